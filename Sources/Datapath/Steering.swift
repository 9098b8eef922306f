package import ESP
package import Wire

/// Which worker the next Child SA of a session is homed on: a worker that carries clearly more than another sheds sessions when they rekey.
///
/// Loads are weights a second, of the last whole interval. What was decided since is taken into account, so that an interval never sheds more
/// than would level the two; and a session moves only where that leaves the two nearer to each other.
package struct Steering: Sendable {
    /// How often the workers are weighed.
    package static let interval = Duration.seconds(10)
    /// How long a session that has moved stays: the figures must have seen it where it is.
    package static let rest = Duration.seconds(60)
    /// What a packet costs besides its octets, in octets.
    package static let packetWeight = 1024.0
    /// The least difference worth a move: about one hundredth of what a core carries.
    package static let leastDifference = 10_000_000.0
    /// How many times the load of the other one is clearly more.
    package static let clearly = 1.5

    private struct Shift: Sendable {
        let from: Int
        let to: Int
        let load: Double
        let at: Instant
    }

    private var totals: [Double] = []
    /// Weights a second by worker; empty before the first whole interval.
    package private(set) var loads: [Double] = []
    private var since: Instant?
    private var shifts: [Shift] = []

    package init() {}

    package static func weight(_ load: WorkerLoad) -> Double { Double(load.octets) + packetWeight * Double(load.packets) }

    /// Takes up what each worker has carried in all. Returns the seconds since the last time, nil when nothing can be said of them.
    @discardableResult
    package mutating func weigh(_ carried: [WorkerLoad], at now: Instant) -> Double? {
        let before = (totals: totals, since: since)
        if let since, Self.seconds(since, now) < 0.001 { return nil }
        totals = carried.map { Self.weight($0) }
        since = now
        let moved = shifts
        shifts = []
        loads = []
        guard let begin = before.since, before.totals.count == totals.count else { return nil }
        let seconds = Self.seconds(begin, now)
        loads = zip(totals, before.totals).map { max(0, $0 - $1) / seconds }
        // What has moved in between was carried where it was for a part of the time
        for shift in moved where loads.indices.contains(shift.from) && loads.indices.contains(shift.to) {
            let misplaced = shift.load * Self.seconds(begin, shift.at) / seconds
            loads[shift.from] = max(0, loads[shift.from] - misplaced)
            loads[shift.to] += misplaced
        }
        return seconds
    }

    /// The worker for a session that carried `load` on `worker`: that one, or one of `candidates` that carries clearly less. The answer is counted as done.
    package mutating func home(of load: Double, on worker: Int, among candidates: [Int], at now: Instant) -> Int {
        guard let since, Self.seconds(since, now) < 3 * Self.seconds(Self.interval), loads.indices.contains(worker), load > 0 else { return worker }
        let others = candidates.filter { $0 != worker && loads.indices.contains($0) }
        guard let other = others.min(by: { loads[$0] < loads[$1] }) else { return worker }
        let (hot, cold) = (loads[worker], loads[other])
        guard hot - cold >= Self.leastDifference, hot >= Self.clearly * cold, hot - load >= cold + load else { return worker }
        loads[worker] = hot - load
        loads[other] = cold + load
        shifts.append(Shift(from: worker, to: other, load: load, at: now))
        return other
    }

    private static func seconds(_ begin: Instant, _ end: Instant) -> Double {
        end.nanoseconds > begin.nanoseconds ? Double(end.nanoseconds - begin.nanoseconds) / 1e9 : 0
    }

    private static func seconds(_ duration: Duration) -> Double { Double(duration.components.seconds) }
}

import GatewayCrypto
import Wire

/// How often a session is reported while it lasts (features.md RAD-8).
package struct InterimTiming: Hashable, Sendable {
    package var interval: Duration
    /// Up to this much is added by chance each time, so that sessions that began together do not report together.
    package var jitter: Duration

    /// The least that RFC 2869 section 5.16 allows an Access-Accept to ask for.
    package static let shortest: Duration = .seconds(60)

    /// The interval that the Access-Accept gave, else the configured one; nil: no interim records. Jitter is the configured one, and at most
    /// the interval.
    package init?(configured: Duration?, jitter: Duration, accepted: Duration?) {
        guard let interval = accepted.map({ max($0, Self.shortest) }) ?? configured, interval > .zero else { return nil }
        self.interval = interval
        self.jitter = max(.zero, min(jitter, interval))
    }
}

/// When each session's next interim record is due.
struct InterimSchedule: Sendable {
    private struct Due: Sendable {
        let at: Instant
        let session: String
    }

    /// What was rescheduled or forgotten stays until it comes up.
    private var heap = DeadlineHeap<Due>()
    private var next: [String: Instant] = [:]
    private var timings: [String: InterimTiming] = [:]
    private let entropy: any Entropy

    init(entropy: any Entropy) {
        self.entropy = entropy
    }

    /// Sessions that report.
    var count: Int { next.count }
    var nextDeadline: Instant? { heap.next }

    /// Begins, changes or (nil) ends the reports of a session.
    mutating func set(_ timing: InterimTiming?, for session: String, at now: Instant) {
        next[session] = nil
        timings[session] = timing
        if let timing { schedule(session, timing, at: now) }
        // no more than twice what is alive
        guard heap.count > 64, heap.count > 2 * next.count else { return }
        let alive = next
        heap.keep { alive[$0.session] == $0.at }
    }

    /// Sessions whose time has come, earliest first; each is scheduled anew.
    mutating func due(at now: Instant) -> [String] {
        var due: [String] = []
        while let first = heap.popDue(at: now) {
            guard next[first.session] == first.at, let timing = timings[first.session] else { continue }
            due.append(first.session)
            schedule(first.session, timing, at: now)
        }
        let alive = next
        heap.prune { alive[$0.session] == $0.at }
        return due
    }

    private mutating func schedule(_ session: String, _ timing: InterimTiming, at now: Instant) {
        let random = entropy.octets(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let jitter = Int64(clamping: timing.jitter.components.seconds) * 1000
        let extra = jitter > 0 ? Int64((UInt64(random) * UInt64(jitter + 1)) >> 32) : 0
        let at = now + timing.interval + .milliseconds(extra)
        next[session] = at
        heap.insert(Due(at: at, session: session), at: at)
    }
}

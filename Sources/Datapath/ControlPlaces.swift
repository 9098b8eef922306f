package import ESP
internal import Synchronization
package import Wire

/// What one worker has to do.
package struct WorkerStatus: Equatable, Sendable {
    package var worker: Int
    /// Sessions with Child SAs here.
    package var sessions: Int
    /// Inner octets and packets of both directions so far.
    package var load: WorkerLoad
    /// Sessions that went to another worker, and that came from one.
    package var shed: UInt64
    package var taken: UInt64
}

extension Control {
    // Where sessions are: one worker's, or two while one goes over to another. The routes lead to one of them, the home.

    /// A session on one worker. Its counters are read once more when the worker has given it back.
    struct Place {
        let id: TunnelID
        var isLeaving = false
    }

    /// What was carried when the workers were last weighed, by place, and what that made a second.
    struct Weights {
        var steering = Steering()
        var carried: [[Double]] = []
        var loads: [[Double]] = []

        func load(_ place: TunnelID) -> Double {
            loads.indices.contains(place.worker) && loads[place.worker].indices.contains(place.index) ? loads[place.worker][place.index] : 0
        }
    }

    // MARK: The choice

    /// Weighs the workers; to be called once in `Steering.interval`. Reads counters only: no packet waits for it.
    package func weigh(at now: Instant) {
        let used = state.withLock { $0.places.map(\.unused) }
        weights.withLock { weights in
            let seconds = weights.steering.weigh(mailboxes.map(\.board.load), at: now)
            let before = weights.carried
            weights.carried = mailboxes.indices.map { worker in
                (0..<used[worker]).map { index in
                    let counters = mailboxes[worker].board.tunnel(index)
                    return Steering.weight(
                        WorkerLoad(octets: counters.octetsIn &+ counters.octetsOut, packets: counters.packetsIn &+ counters.packetsOut))
                }
            }
            weights.loads = weights.carried.indices.map { worker in
                weights.carried[worker].indices.map { index in
                    guard let seconds else { return 0 }
                    let total = weights.carried[worker][index]
                    let old = before.indices.contains(worker) && before[worker].indices.contains(index) ? before[worker][index] : 0
                    // Less than before: another session has the place now
                    return (total >= old ? total - old : total) / seconds
                }
            }
        }
    }

    /// The worker for a further Child SA of a session; nil when there is no such session.
    package func worker(of id: TunnelID) -> Int? { state.withLock { $0.tunnels[id]?.heading } }

    /// The worker for the Child SA that comes in the place of `old`: another than the session's when that carries clearly more. Of several Child SAs
    /// each stays where it is.
    package func worker(of id: TunnelID, replacing old: LocalSPI, at now: Instant) -> Int? {
        state.withLock { state in
            guard let record = state.tunnels[id] else { return nil }
            let home = record.home
            guard !record.isClosing, record.heading == home.worker, record.children == [old], old.worker == home.worker,
                record.movedAt.map({ now >= $0 + Steering.rest }) ?? true
            else { return record.children.contains(old) ? old.worker : record.heading }
            let candidates = mailboxes.indices.filter { hasRoom($0, state) }
            let worker = weights.withLock { weights in
                weights.steering.home(of: weights.load(home), on: home.worker, among: candidates, at: now)
            }
            if worker != home.worker { state.tunnels[id]?.movedAt = now }
            return worker
        }
    }

    private func hasRoom(_ worker: Int, _ state: State) -> Bool {
        let places = state.places[worker]
        return (places.unused < mailboxes[worker].board.tunnelCapacity || !places.free.isEmpty)
            && state.allocators[worker].inUse < state.allocators[worker].capacity
    }

    /// What each worker has to do.
    package var workerStatus: [WorkerStatus] {
        state.withLock { state in
            mailboxes.indices.map { worker in
                WorkerStatus(
                    worker: worker, sessions: state.places[worker].sessions, load: mailboxes[worker].board.load, shed: state.places[worker].shed,
                    taken: state.places[worker].taken)
            }
        }
    }

    // MARK: Several workers (RFC 9611)

    /// Sessions with Child SAs on several workers (threats.md: every table has a cap).
    static let mostSpread = 4096

    /// The worker for a further Child SA with the same selectors: of those without one of this session that with the fewest sessions.
    package func workerForResource(of id: TunnelID) -> Int? {
        state.withLock { state in
            guard let record = state.tunnels[id], !record.isClosing, record.row != nil || hasRow(state) else { return nil }
            let taken = Set(record.children.map(\.worker)).union(record.places.lazy.filter { !$0.isLeaving }.map(\.id.worker))
            return mailboxes.indices.filter { !taken.contains($0) && hasRoom($0, state) }
                .min { state.places[$0].sessions < state.places[$1].sessions }
        }
    }

    private func hasRow(_ state: State) -> Bool { !state.freeRows.isEmpty || state.unusedRows < spread.rows }

    /// Whether packets that a worker handles leave by it, and not by the home.
    private func isServing(_ record: TunnelRecord, _ worker: Int) -> Bool {
        guard let row = record.row, let place = record.places.first(where: { $0.id.worker == worker && !$0.isLeaving })?.id else { return false }
        return spread.target(row: row, worker: worker) == RouteTarget(place)
    }

    /// The worker by which leaves what `worker` handles of a session; nil when there is no such session.
    package func route(of id: TunnelID, on worker: Int) -> Int? {
        state.withLock { state in
            state.tunnels[id].map { record in record.row.map { spread.target(row: $0, worker: worker).worker } ?? record.home.worker }
        }
    }

    /// What a worker handles of a session leaves by the Child SA that it has itself.
    func serve(_ id: TunnelID, by worker: Int, _ state: inout State) {
        guard let record = state.tunnels[id], !record.isClosing,
            let place = record.places.first(where: { $0.id.worker == worker && !$0.isLeaving })?.id
        else { return }
        if record.row == nil {
            guard let row = state.freeRows.popLast() ?? (state.unusedRows < spread.rows ? state.unusedRows : nil) else { return }
            state.unusedRows = max(state.unusedRows, row + 1)
            for other in 0..<workers { spread.set(RouteTarget(record.home), row: row, worker: other) }
            for prefix in record.prefixes {
                _ = routes[record.interface].retarget(prefix, from: RouteTarget(record.home), to: RouteTarget(row: row))
            }
            state.tunnels[id]?.row = row
        }
        if let row = state.tunnels[id]?.row { spread.set(RouteTarget(place), row: row, worker: worker) }
    }

    /// What a worker handles of a session leaves by the home again.
    private func withdraw(_ id: TunnelID, from worker: Int, _ state: inout State) {
        guard let record = state.tunnels[id], let row = record.row else { return }
        spread.set(RouteTarget(record.home), row: row, worker: worker)
    }

    // MARK: The change

    /// A session's place on a worker, and the tunnel that the worker is to be told of first where it has none yet; nil when there is no room.
    func place(of id: TunnelID, on worker: Int, _ state: inout State) -> (id: TunnelID, isNew: Bool)? {
        guard let record = state.tunnels[id] else { return nil }
        if let place = record.places.first(where: { $0.id.worker == worker && !$0.isLeaving }) { return (place.id, false) }
        guard state.places.indices.contains(worker), let place = place(worker, &state) else { return nil }
        state.tunnels[id]?.places.append(Place(id: place))
        state.aliases[place] = id
        return (place, true)
    }

    /// Leads the session's traffic to a worker that holds a Child SA of it. Packets that are on their way to the old one are sent on by it.
    func takeOver(_ id: TunnelID, by worker: Int, _ state: inout State) {
        guard let record = state.tunnels[id], !record.isClosing, record.home.worker != worker,
            let place = record.places.first(where: { $0.id.worker == worker && !$0.isLeaving })?.id
        else { return }
        if let row = record.row {
            for other in 0..<workers where other == worker || other == record.home.worker || !isServing(record, other) {
                spread.set(RouteTarget(place), row: row, worker: other)
            }
        } else {
            let (old, new) = (RouteTarget(record.home), RouteTarget(place))
            for prefix in record.prefixes { _ = routes[record.interface].retarget(prefix, from: old, to: new) }
        }
        state.places[record.home.worker].shed += 1
        state.places[worker].taken += 1
        state.tunnels[id]?.home = place
        leaveEmpty(id, &state)
    }

    /// The home has lost its last Child SA, or is about to: another worker with one takes over.
    func rehome(_ id: TunnelID, without leaving: LocalSPI? = nil, _ state: inout State) {
        guard let record = state.tunnels[id], record.places.count > 1 else { return }
        let left = record.children.filter { $0 != leaving }
        if !left.contains(where: { $0.worker == record.home.worker }) {
            if let next = left.first(where: { $0.worker == record.heading }) ?? left.first { takeOver(id, by: next.worker, &state) }
        }
        if let leaving, !left.contains(where: { $0.worker == leaving.worker }) { withdraw(id, from: leaving.worker, &state) }
        leaveEmpty(id, &state)
    }

    /// Places without Child SAs are given up, but for the home.
    private func leaveEmpty(_ id: TunnelID, _ state: inout State) {
        guard let record = state.tunnels[id], !record.isClosing else { return }
        for (index, place) in record.places.enumerated() where place.id != record.home && !place.isLeaving {
            guard !record.children.contains(where: { $0.worker == place.id.worker }) else { continue }
            state.tunnels[id]?.places[index].isLeaving = true
            state.departing.append(place.id)
            if record.heading == place.id.worker { state.tunnels[id]?.heading = record.home.worker }
        }
    }

    /// Tells workers of the places that are given up. What finds no room in a worker's ring goes with the next call.
    func dismiss() {
        let departing = state.withLock { state in
            defer { state.departing.removeAll() }
            return state.departing
        }
        for place in departing {
            guard let refused = post(.close(index: place.index, generation: place.generation, ticket: 0), to: place.worker) else { continue }
            _ = consume refused
            state.withLock { $0.departing.append(place) }
        }
    }

    /// A worker has given a place back: what was counted there is kept.
    func left(_ place: TunnelID) {
        state.withLock { state in
            let id = state.aliases[place] ?? place
            guard let index = state.tunnels[id]?.places.firstIndex(where: { $0.id == place && $0.isLeaving }) else { return }
            state.tunnels[id]?.past.add(mailboxes[place.worker].board.tunnel(place.index))
            state.tunnels[id]?.places.remove(at: index)
            state.aliases[place] = nil
            giveBack(place, &state)
        }
    }

    /// What has passed through a session, wherever it was.
    func sum(_ record: TunnelRecord) -> TunnelCounters {
        var sum = record.past
        for place in record.places { sum.add(mailboxes[place.id.worker].board.tunnel(place.id.index)) }
        return sum
    }
}

extension Control.TunnelRecord {
    /// Where its prefixes lead.
    var route: RouteTarget { row.map { RouteTarget(row: $0) } ?? RouteTarget(home) }

    /// What the worker of a place is told of the session.
    func tunnel(_ place: TunnelID) -> Tunnel {
        Tunnel(interface: interface, generation: place.generation, settings: settings, sources: prefixes.map(\.range), peer: peer, local: local)
    }
}

extension RouteTarget {
    init(_ place: TunnelID) { self.init(worker: place.worker, tunnel: place.index, generation: place.generation) }
}

extension TunnelCounters {
    mutating func add(_ other: TunnelCounters) {
        octetsIn &+= other.octetsIn
        packetsIn &+= other.packetsIn
        octetsOut &+= other.octetsOut
        packetsOut &+= other.packetsOut
        drops &+= other.drops
        spoofed &+= other.spoofed
        if let last = other.lastInbound { lastInbound = lastInbound.map { max($0, last) } ?? last }
    }
}

package import ESP
package import GatewayCrypto
internal import Synchronization
package import Wire

/// The control plane's side of the datapath: sessions, SPIs and routes, commands to workers and what comes back. Any thread calls it; one thread,
/// the door's, calls `service` to take up the workers' reports. It knows no port, so that tests run it with workers over memory.
package final class Control: Sendable {
    /// What a caller waits for.
    enum Outcome: Sendable {
        case inserted(Bool)
        case retired(SACounters)
        case closed
        case passed
        case stopped
    }

    struct TunnelRecord {
        var interface: Int
        var prefixes: [IPPrefix]
        var children: Set<LocalSPI> = []
        var isClosing = false
    }

    struct ChildRecord {
        var tunnel: TunnelID
        var outbound: UInt32
        var suite: ESPSuite
        var replayWindow: Int
    }

    struct Places {
        var unused = 0
        var free: [Int] = []
        var generations: [UInt32] = []
        var sessions = 0
    }

    enum Ticket {
        case open
        case waiting(CheckedContinuation<Outcome, Never>)
        case done(Outcome)
    }

    struct State {
        var tunnels: [TunnelID: TunnelRecord] = [:]
        var children: [LocalSPI: ChildRecord] = [:]
        var places: [Places]
        var allocators: [SPIAllocator]
        var tickets: [UInt64: Ticket] = [:]
        var lastTicket: UInt64 = 0
        var graces: [(period: GracePeriod, ticket: UInt64, outcome: Outcome)] = []
        var resting: [(period: GracePeriod, interface: Int, removed: [InnerRoutes.Removed])] = []
        var isStopped = false
    }

    package let workers: Int
    package let events: AsyncStream<DatapathEvent>
    let mailboxes: [Mailbox]
    let routes: [InnerRoutes]
    let doorBell: Bell
    private let interfaceNumbers: [String: Int]
    private let eventSink: AsyncStream<DatapathEvent>.Continuation
    private let entropy: any Entropy
    private let state: Mutex<State>

    /// `bells`: the workers', then the door's. `interfaces` by number.
    package init(
        interfaces: [String], bells: [Bell], tunnelsPerWorker: Int, childSAsPerWorker: Int, routesPerInterface: Int? = nil,
        entropy: any Entropy
    ) {
        workers = max(bells.count - 1, 0)
        doorBell = bells[bells.count - 1]
        mailboxes = bells.dropLast().map {
            Mailbox(bell: $0, board: CounterBoard(tunnelCapacity: tunnelsPerWorker, saCapacity: childSAsPerWorker))
        }
        let capacity = routesPerInterface ?? tunnelsPerWorker * max(workers, 1) * 4
        let seed = entropy.octets(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        routes = interfaces.map { _ in InnerRoutes(capacity: capacity, seed: seed) }
        interfaceNumbers = Dictionary(zip(interfaces, interfaces.indices), uniquingKeysWith: { first, _ in first })
        self.entropy = entropy
        // What nobody reads must not grow without end
        (events, eventSink) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(65_536))
        let capacities = mailboxes.map(\.board.saCapacity)
        state = Mutex(
            State(
                places: [Places](repeating: Places(), count: workers),
                allocators: capacities.enumerated().map { SPIAllocator(worker: $0.offset, capacity: $0.element) }))
    }

    // MARK: Asked by the gateway

    /// The worker with the fewest sessions.
    package func homeWorker() -> Int {
        state.withLock { state in
            state.places.indices.min { state.places[$0].sessions < state.places[$1].sessions } ?? 0
        }
    }

    package func allocateSPI(worker: Int) -> LocalSPI? {
        let random = entropy.octets(1).first ?? 1
        return state.withLock { state in
            guard state.allocators.indices.contains(worker) else { return nil }
            return state.allocators[worker].allocate(random: random)
        }
    }

    package func release(_ spi: LocalSPI) {
        state.withLock { state in
            guard state.allocators.indices.contains(spi.worker), state.children[spi] == nil else { return }
            state.allocators[spi.worker].release(spi)
        }
    }

    package func open(tunnel spec: TunnelSpec) -> TunnelID? {
        guard mailboxes.indices.contains(spec.worker), let interface = interfaceNumbers[spec.interface] else { return nil }
        let prefixes = spec.innerAddresses.map { IPPrefix(host: $0) } + spec.innerPrefixes
        guard !spec.innerAddresses.isEmpty, Set(prefixes).count == prefixes.count else { return nil }
        let id: TunnelID? = state.withLock { state in
            guard !state.isStopped, let id = place(spec.worker, &state) else { return nil }
            let target = RouteTarget(worker: id.worker, tunnel: id.index, generation: id.generation)
            for (count, prefix) in prefixes.enumerated() where !routes[interface].insert(prefix, target) {
                // An owner has it, or no room: what was added goes again
                withdraw(Array(prefixes[..<count]), interface, target, &state)
                giveBack(id, &state)
                return nil
            }
            state.tunnels[id] = TunnelRecord(interface: interface, prefixes: prefixes)
            return id
        }
        guard let id else { return nil }
        let tunnel = Tunnel(
            interface: interface, generation: id.generation, settings: spec.settings, sources: prefixes.map(\.range), peer: spec.peer,
            local: spec.local)
        if let refused = post(.open(tunnel, index: id.index), to: id.worker) {
            _ = consume refused
            state.withLock { state in
                let target = RouteTarget(worker: id.worker, tunnel: id.index, generation: id.generation)
                withdraw(prefixes, interface, target, &state)
                state.tunnels[id] = nil
                giveBack(id, &state)
            }
            return nil
        }
        return id
    }

    /// Takes routes out whose session never came to be; their nodes rest until no reader can be on them.
    private func withdraw(_ prefixes: [IPPrefix], _ interface: Int, _ target: RouteTarget, _ state: inout State) {
        let removed = prefixes.compactMap { routes[interface].remove($0, target) }
        state.resting.append((GracePeriod(mailboxes.map(\.passes)), interface, removed))
    }

    package func install(_ child: consuming ChildSASpec) async throws(DatapathError) {
        let tunnel = child.tunnel
        let spi = child.inbound
        let record = ChildRecord(
            tunnel: tunnel, outbound: child.outbound, suite: child.suite, replayWindow: ReplayWindow(size: child.replayWindow).size)
        let pair = try pair(child)
        let ticket = try admit(spi, record, tunnel)
        if await send(.insert(pair, ticket: ticket), to: spi.worker), case .inserted(true) = await outcome(ticket) { return }
        let isStopped = state.withLock { state in
            state.children[spi] = nil
            state.tunnels[tunnel]?.children.remove(spi)
            if state.allocators.indices.contains(spi.worker) { state.allocators[spi.worker].release(spi) }
            return state.isStopped
        }
        throw isStopped ? .stopped : .noSuchTunnel
    }

    /// Keys both directions; the keys themselves end with `child`.
    private func pair(_ child: borrowing ChildSASpec) throws(DatapathError) -> SAPair {
        do throws(CryptoError) {
            let inbound = try InboundSA(
                spi: child.inbound.rawValue, suite: child.suite, encryptionKey: child.keys.inboundEncryption,
                integrityKey: child.keys.inboundIntegrity, replayWindow: child.replayWindow)
            let outbound = try OutboundSA(
                spi: child.outbound, suite: child.suite, encryptionKey: child.keys.outboundEncryption,
                integrityKey: child.keys.outboundIntegrity, entropy: entropy)
            return SAPair(
                inbound: inbound, outbound: outbound, selectors: child.selectors, lifetimes: child.lifetimes, tunnel: child.tunnel.index,
                supersedes: child.supersedes)
        } catch {
            throw .keys
        }
    }

    private func admit(_ spi: LocalSPI, _ record: ChildRecord, _ tunnel: TunnelID) throws(DatapathError) -> UInt64 {
        try state.withLock { state throws(DatapathError) in
            guard !state.isStopped else { throw .stopped }
            guard let owner = state.tunnels[tunnel], !owner.isClosing else { throw .noSuchTunnel }
            guard spi.worker == tunnel.worker, state.allocators.indices.contains(spi.worker), state.allocators[spi.worker].holds(spi),
                state.children[spi] == nil
            else { throw .noSuchSPI }
            guard owner.children.count < Tunnel.maximumChildSAs else { throw .tooManyChildSAs }
            state.children[spi] = record
            state.tunnels[tunnel]?.children.insert(spi)
            return Self.newTicket(&state)
        }
    }

    package func retire(child spi: LocalSPI) async -> SACounters {
        let ticket: UInt64? = state.withLock { state in
            guard let record = state.children[spi], state.tunnels[record.tunnel]?.isClosing != true else { return nil }
            return Self.newTicket(&state)
        }
        guard let ticket else { return SACounters() }
        let board = mailboxes[spi.worker].board
        guard await send(.remove(spi, ticket: ticket), to: spi.worker), case .retired(let counters) = await outcome(ticket) else {
            return board.sa(spi.slot)
        }
        return counters
    }

    package func close(tunnel id: TunnelID) async -> TunnelCounters {
        guard mailboxes.indices.contains(id.worker) else { return TunnelCounters() }
        let board = mailboxes[id.worker].board
        let begun: (interface: Int, removed: [InnerRoutes.Removed], ticket: UInt64)? = state.withLock { state in
            guard let record = state.tunnels[id], !record.isClosing else { return nil }
            state.tunnels[id]?.isClosing = true
            let target = RouteTarget(worker: id.worker, tunnel: id.index, generation: id.generation)
            let removed = record.prefixes.compactMap { routes[record.interface].remove($0, target) }
            return (record.interface, removed, Self.newGrace(&state, counters: mailboxes.map(\.passes)))
        }
        guard let begun else { return TunnelCounters() }
        // Every packet that was routed to the session before is sealed or on the way to its home worker, where it is routed anew
        doorBell.ring()
        _ = await outcome(begun.ticket)
        let ticket = state.withLock { Self.newTicket(&$0) }
        if await send(.close(index: id.index, generation: id.generation, ticket: ticket), to: id.worker) {
            _ = await outcome(ticket)
        }
        let counters = board.tunnel(id.index)
        state.withLock { state in
            for node in begun.removed { routes[begun.interface].reclaim(node) }
            for spi in state.tunnels[id]?.children ?? [] { state.children[spi] = nil }
            state.tunnels[id] = nil
            giveBack(id, &state)
        }
        return counters
    }

    package func move(tunnel id: TunnelID, to peer: Endpoint, from local: Endpoint?) {
        guard mailboxes.indices.contains(id.worker) else { return }
        _ = post(.move(index: id.index, generation: id.generation, peer, from: local), to: id.worker)
    }

    package func counters(tunnel id: TunnelID) -> TunnelCounters? {
        let isThere = state.withLock { $0.tunnels[id] != nil }
        return isThere ? mailboxes[id.worker].board.tunnel(id.index) : nil
    }

    package func status(child spi: LocalSPI) -> SAStatus? {
        guard let record = state.withLock({ $0.children[spi] }) else { return nil }
        let board = mailboxes[spi.worker].board
        let sequences = board.sequences(spi.slot)
        return SAStatus(
            worker: spi.worker, inbound: spi, outbound: record.outbound, suite: record.suite, counters: board.sa(spi.slot),
            highestInbound: sequences.highestIn, replayBitmap: sequences.recentIn, replayWindow: record.replayWindow,
            lastOutbound: sequences.lastOut)
    }

    /// Drops by reason over the workers and whatever else counted on `boards`.
    package func dropCounters(and boards: [CounterBoard] = []) -> [Drop: UInt64] {
        var sums: [Drop: UInt64] = [:]
        for reason in Drop.allCases {
            sums[reason] = (mailboxes.map(\.board) + boards).reduce(0) { $0 &+ $1.drops(reason) }
        }
        return sums
    }

    /// Sessions open, and Child SAs of them (threats.md: every table has a gauge).
    package var gauges: (tunnels: Int, childSAs: Int, spis: Int) {
        state.withLock { ($0.tunnels.count, $0.children.count, $0.allocators.reduce(0) { $0 + $1.inUse }) }
    }

    /// Ends all waiting; nothing is opened or installed afterwards.
    package func stop() {
        let waiting = state.withLock { state in
            state.isStopped = true
            state.graces.removeAll()
            let waiting = state.tickets.keys.map { ($0, Outcome.stopped) }
            return Self.settle(waiting, &state)
        }
        for (continuation, outcome) in waiting { continuation.resume(returning: outcome) }
        eventSink.finish()
    }

    // MARK: The reports of the workers

    /// Takes up what workers have reported, ends grace periods. By one thread. Returns whether somebody still waits for a grace period.
    package func service() -> Bool {
        var finished: [(UInt64, Outcome)] = []
        for mailbox in mailboxes {
            while let report = mailbox.reports.pop() {
                switch consume report {
                case .inserted(let isIn, let ticket): finished.append((ticket, .inserted(isIn)))
                case .absent(let ticket): finished.append((ticket, .retired(SACounters())))
                case .retired(let pair, let ticket):
                    // Read before the slot can have another owner
                    if let spi = LocalSPI(rawValue: pair.inbound.spi) {
                        if ticket != 0 { finished.append((ticket, .retired(mailbox.board.sa(spi.slot)))) }
                        forget(spi)
                    }
                    // The pair ends here, off the packet thread: its keys are wiped
                    _ = consume pair
                case .closed(let tunnel, _, let ticket):
                    _ = consume tunnel
                    finished.append((ticket, .closed))
                case .event(let event): eventSink.yield(event)
                }
            }
        }
        let (resumable, remain) = state.withLock { state in
            var over: [(UInt64, Outcome)] = []
            state.graces = state.graces.compactMap { grace in
                var grace = grace
                guard grace.period.isOver() else { return grace }
                over.append((grace.ticket, grace.outcome))
                return nil
            }
            state.resting = state.resting.compactMap { rest in
                var rest = rest
                guard rest.period.isOver() else { return rest }
                for node in rest.removed { routes[rest.interface].reclaim(node) }
                return nil
            }
            var settled: [(UInt64, Outcome)] = over
            for (ticket, outcome) in finished {
                // An SA serves when every worker has also seen the routes that lead to it
                if case .inserted(true) = outcome, workers > 1 {
                    var period = GracePeriod(mailboxes.map(\.passes))
                    if !period.isOver() {
                        state.graces.append((period, ticket, outcome))
                        continue
                    }
                }
                settled.append((ticket, outcome))
            }
            return (Self.settle(settled, &state), !state.graces.isEmpty)
        }
        for (continuation, outcome) in resumable { continuation.resume(returning: outcome) }
        return remain
    }

    private func forget(_ spi: LocalSPI) {
        state.withLock { state in
            if let record = state.children.removeValue(forKey: spi) { state.tunnels[record.tunnel]?.children.remove(spi) }
            if state.allocators.indices.contains(spi.worker) { state.allocators[spi.worker].release(spi) }
        }
    }

    func report(_ event: DatapathEvent) { eventSink.yield(event) }

    /// Somebody waits for passes to end.
    var hasGracePeriods: Bool { state.withLock { !$0.graces.isEmpty } }

    /// A ticket that is settled when every worker has ended the pass it is in.
    func passed() async {
        let ticket = state.withLock { state in state.isStopped ? nil : Self.newGrace(&state, counters: mailboxes.map(\.passes)) }
        guard let ticket else { return }
        doorBell.ring()
        _ = await outcome(ticket)
    }

    // MARK: Tickets

    private static func newTicket(_ state: inout State) -> UInt64 {
        state.lastTicket += 1
        state.tickets[state.lastTicket] = state.isStopped ? .done(.stopped) : .open
        return state.lastTicket
    }

    private static func newGrace(_ state: inout State, counters: [PassCounter]) -> UInt64 {
        let ticket = newTicket(&state)
        if !state.isStopped { state.graces.append((GracePeriod(counters), ticket, .passed)) }
        return ticket
    }

    private static func settle(_ finished: [(UInt64, Outcome)], _ state: inout State) -> [(CheckedContinuation<Outcome, Never>, Outcome)] {
        var resumable: [(CheckedContinuation<Outcome, Never>, Outcome)] = []
        for (ticket, outcome) in finished {
            switch state.tickets[ticket] {
            case .open: state.tickets[ticket] = .done(outcome)
            case .waiting(let continuation):
                state.tickets[ticket] = nil
                resumable.append((continuation, outcome))
            case .done, nil: break
            }
        }
        return resumable
    }

    private func outcome(_ ticket: UInt64) async -> Outcome {
        await withCheckedContinuation { continuation in
            let ready: Outcome? = state.withLock { state in
                switch state.tickets[ticket] {
                case .done(let outcome):
                    state.tickets[ticket] = nil
                    return outcome
                case .open where !state.isStopped:
                    state.tickets[ticket] = .waiting(continuation)
                    return nil
                case .open, .waiting, nil:
                    state.tickets[ticket] = nil
                    return .stopped
                }
            }
            if let ready { continuation.resume(returning: ready) }
        }
    }

    // MARK: Places and commands

    private func place(_ worker: Int, _ state: inout State) -> TunnelID? {
        let index: Int
        if let reused = state.places[worker].free.popLast() {
            index = reused
        } else {
            guard state.places[worker].unused < mailboxes[worker].board.tunnelCapacity else { return nil }
            index = state.places[worker].unused
            state.places[worker].unused += 1
            state.places[worker].generations.append(0)
        }
        var generation = state.places[worker].generations[index] &+ 1
        if generation == 0 { generation = 1 }
        state.places[worker].generations[index] = generation
        state.places[worker].sessions += 1
        return TunnelID(worker: worker, index: index, generation: generation)
    }

    private func giveBack(_ id: TunnelID, _ state: inout State) {
        state.places[id.worker].free.append(id.index)
        state.places[id.worker].sessions -= 1
    }

    /// Puts a command into a worker's ring; gives it back when the ring is full.
    private func post(_ command: consuming Command, to worker: Int) -> Command? {
        let mailbox = mailboxes[worker]
        var slot: Command? = command
        mailbox.producer.withLock { _ in
            if let next = slot.take() { slot = mailbox.commands.push(next) }
        }
        mailbox.bell.ring()
        return slot
    }

    /// The same, waiting for room; false when the datapath stops meanwhile.
    private func send(_ command: consuming Command, to worker: Int) async -> Bool {
        var next: Command? = command
        while let command = next.take() {
            next = post(command, to: worker)
            if next == nil { return true }
            if state.withLock({ $0.isStopped }) { return false }
            try? await Task.sleep(for: .milliseconds(1))
        }
        return true
    }
}

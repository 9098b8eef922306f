package import ESP
package import GatewayCrypto
internal import Synchronization
internal import Wire

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
        var settings: TunnelSettings
        var peer: Endpoint
        var local: Endpoint
        /// Where its routes lead; one of the places.
        var home: TunnelID
        /// One, but for a session that goes over to another worker.
        var places: [Place]
        /// The worker of its newest Child SA.
        var heading: Int
        var movedAt: Instant?
        /// Of `SpreadRoutes`, where there are or were Child SAs on several workers.
        var row: Int?
        /// Counted in places that it has left.
        var past = TunnelCounters()
        var children: Set<LocalSPI> = []
        var isClosing = false
    }

    struct ChildRecord {
        var tunnel: TunnelID
        var outbound: UInt32
        var suite: ESPSuite
        var replayWindow: Int
        var engine = CryptoEngine.openSSL
        var isPerResource = false
    }

    struct Places {
        var unused = 0
        var free: [Int] = []
        var generations: [UInt32] = []
        var sessions = 0
        var shed: UInt64 = 0
        var taken: UInt64 = 0
    }

    enum Ticket {
        case open
        case waiting(CheckedContinuation<Outcome, Never>)
        case done(Outcome)
    }

    struct State {
        var tunnels: [TunnelID: TunnelRecord] = [:]
        var children: [LocalSPI: ChildRecord] = [:]
        /// Inbound SPIs by outbound ones, which the peers choose.
        var byOutbound: [UInt32: [LocalSPI]] = [:]
        var places: [Places]
        var allocators: [SPIAllocator]
        /// Sessions by those of their places that are not their names.
        var aliases: [TunnelID: TunnelID] = [:]
        /// Given up, and their workers are to be told.
        var departing: [TunnelID] = []
        var unusedRows = 0
        var freeRows: [Int] = []
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
    let spread: SpreadRoutes
    let doorBell: Bell
    let interfaceNumbers: [String: Int]
    let eventSink: AsyncStream<DatapathEvent>.Continuation
    let entropy: any Entropy
    /// Of the SAs that are keyed here and of the workers' batches.
    let engine: CryptoEngine
    let state: Mutex<State>
    let weights = Mutex(Weights())

    /// `bells`: the workers', then the door's. `interfaces` by number.
    package init(
        interfaces: [String], bells: [Bell], tunnelsPerWorker: Int, childSAsPerWorker: Int, routesPerInterface: Int? = nil,
        engine: CryptoEngine = .preferred, entropy: any Entropy
    ) {
        self.engine = engine
        workers = max(bells.count - 1, 0)
        doorBell = bells[bells.count - 1]
        mailboxes = bells.dropLast().map {
            Mailbox(bell: $0, board: CounterBoard(tunnelCapacity: tunnelsPerWorker, saCapacity: childSAsPerWorker))
        }
        let capacity = routesPerInterface ?? tunnelsPerWorker * max(workers, 1) * 4
        let seed = entropy.octets(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        routes = interfaces.map { _ in InnerRoutes(capacity: capacity, seed: seed) }
        spread = SpreadRoutes(rows: Self.mostSpread, workers: workers)
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

    package func counters(tunnel id: TunnelID) -> TunnelCounters? {
        state.withLock { state in state.tunnels[id].map { sum($0) } }
    }

    package func status(child spi: LocalSPI) -> SAStatus? {
        guard let record = state.withLock({ $0.children[spi] }) else { return nil }
        let board = mailboxes[spi.worker].board
        let sequences = board.sequences(spi.slot)
        return SAStatus(
            worker: spi.worker, inbound: spi, outbound: record.outbound, suite: record.suite, counters: board.sa(spi.slot),
            highestInbound: sequences.highestIn, replayBitmap: sequences.recentIn, replayWindow: record.replayWindow,
            lastOutbound: sequences.lastOut, engine: record.engine)
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
}

package import Config
import Datapath
import ESP
import FoundationEssentials
import GatewayCrypto
import IKE
import LinuxIO
import Logging
import ManagementAPI
import NIOPosix
import RADIUS
import ServiceLifecycle
import StateStore
import Synchronization
import Wire

// Start reading here. The daemon is put together in one place, from the outside in:
//
//   datapath threads ── Door (one Responder per gateway) ──mailboxes──> IKEEngine x shards ──> Sessions ──> Addresses ──> StateStore
//        ^  events                                                          │                    │
//        └──────────────────────────── install, close, move ───────────────┴────────────────────┘
//   ManagementServer reads all of them (GatewayReports.swift) and asks for clear and reload.

/// The gateway: what `ipsec-gw run` runs.
package final class Gateway: Service {
    struct Parts: Sendable {
        let datapath: Datapath
        let door: Door
        let statistics: DoorStatistics
        let engines: [IKEEngine]
        let sessions: Sessions
        let addresses: Addresses
        let store: StateStore
        let certificateThreads: CertificateThreads
        let aaa: AAA
        let accounting: Accounting
        let dynamicAuthorization: DynamicAuthorizationService?
    }

    let parts: Parts
    let plan: Plan
    let log: EventLog
    let logger: Logger
    let gatewayLog: GatewayLog
    let current: Mutex<Configuration>
    let expiry: ExpiryReminder
    /// Gateways as they are since the last reload.
    let served: Mutex<[IPAddress: GatewayRuntime]>
    let reloading = ReloadGate()
    let outerReassembly = OuterReassembly()
    let started = (wall: Date(), clock: MonotonicClock.now)
    private let metrics: MetricsRegistry
    private let lock: Mutex<StateDirectoryLock?>
    private let ready: @Sendable () -> Void

    /// How long clients may take to answer our Deletes at a stop.
    static let farewell = Duration.seconds(3)

    /// Opens everything; nothing is served before `run`. `ready` is called when it is. Throws `StartupError`.
    package init(
        _ configuration: Configuration, gatewayLog: GatewayLog, metrics: MetricsRegistry, ready: @escaping @Sendable () -> Void
    ) async throws(StartupError) {
        let logger = gatewayLog.logger("ipsec-gw")
        let log = EventLog(logger)
        let certificates = CertificateInventory(configuration)
        for problem in certificates.problems where problem.severity == .warning { logger.warning("\(problem)") }
        let plan = try Plan(configuration, certificates)
        try Startup.check(plan, logger: logger)
        if !plan.radius.isEmpty || plan.dynamicAuthorization != nil { try Startup.loadDictionary() }
        let lock = try Startup.lock(configuration.management.stateDirectory)
        let store = try Startup.open { () throws(StateStoreError) in
            try StateStore(directory: configuration.management.stateDirectory, spool: plan.spool, now: { MonotonicClock.now })
        }
        let addresses = Addresses(store: store, logger: logger)
        do throws(StateStoreError) {
            try await addresses.configure(configuration.poolsInUse, restoring: true)
        } catch {
            throw StartupError("the leases of state directory \(configuration.management.stateDirectory) cannot be used: \(error)")
        }
        self.lock = Mutex(consume lock)
        self.plan = plan
        self.log = log
        self.logger = logger
        self.gatewayLog = gatewayLog
        self.metrics = metrics
        self.ready = ready
        current = Mutex(configuration)
        let warning = configuration.pki.certificateExpiration
        expiry = ExpiryReminder(lead: warning.before, repetition: warning.repetition, certificates.watched) { log.certificateEnds($0, at: $1) }
        served = Mutex(plan.gateways)
        parts = try Self.assemble(plan, addresses: addresses, store: store, log: log, logger: gatewayLog.logger("radius"))
        let engine = plan.datapath.engine
        logger.info("ESP's cryptography: \(engine.library)", metadata: ["event": "crypto-engine", "engine": "\(engine.rawValue)"])
        for shortcoming in parts.datapath.shortcomings { log.offloadMissing(shortcoming) }
    }

    private static func assemble(
        _ plan: Plan, addresses: Addresses, store: StateStore, log: EventLog, logger: Logger
    ) throws(StartupError) -> Parts {
        let entropy = SystemEntropy()
        let statistics = DoorStatistics()
        let bell = DoorBell()
        let count = plan.shards
        var mailboxes: [Mailbox<Admitted>] = []
        var streams: [AsyncStream<Void>] = []
        for _ in 0..<count {
            let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
            mailboxes.append(Mailbox(capacity: Door.mailboxCapacity) { continuation.yield() })
            streams.append(stream)
        }
        let door: Door
        let datapath: Datapath
        do throws(CryptoError) {
            door = try Door(
                gateways: plan.policies, shards: mailboxes, statistics: statistics, entropy: entropy, at: MonotonicClock.now,
                wake: { bell.ring() })
        } catch {
            throw StartupError("the cryptographic library gives no keys for cookies: \(error)")
        }
        do throws(DatapathError) {
            datapath = try Datapath(plan.datapath, door: door, entropy: entropy)
        } catch {
            throw StartupError(error)
        }
        bell.attach { datapath.wakeDoor() }
        let directory = EngineDirectory()
        let group = MultiThreadedEventLoopGroup.singleton
        let accountingIDs = AccountingIDs()
        let accounting = Accounting(store: store, group: group, entropy: entropy, logger: logger)
        let aaa = AAA(group: group, entropy: entropy, accountingIDs: accountingIDs, logger: logger)
        let sessions = Sessions(
            addresses: addresses, datapath: datapath, log: log, routes: ClientRoutes(logger: logger), accounting: accounting,
            accountingIDs: accountingIDs
        ) { reference, reason in
            await directory.engine(reference.shard)?.close(reference.id, reason)
        }
        let numbers = SessionNumbers()
        let lockouts = Lockouts()
        let reassembly = ReassemblyBudget()
        let certificateThreads = CertificateThreads(threads: Machine.cores)
        var engines: [IKEEngine] = []
        for (shard, mailbox) in mailboxes.enumerated() {
            engines.append(
                IKEEngine(
                    shard: shard, of: count, gateways: plan.gateways,
                    environment: IKEEngine.Environment(
                        mailbox: mailbox, signals: streams[shard], door: door, datapath: datapath, sessions: sessions, log: log,
                        entropy: entropy, numbers: numbers, lockouts: lockouts, reassembly: reassembly,
                        certificateThreads: certificateThreads, aaa: aaa)))
        }
        directory.fill(engines)
        return Parts(
            datapath: datapath, door: door, statistics: statistics, engines: engines, sessions: sessions, addresses: addresses, store: store,
            certificateThreads: certificateThreads, aaa: aaa, accounting: accounting,
            dynamicAuthorization: plan.dynamicAuthorization.map {
                DynamicAuthorizationService($0.settings, port: $0.port, sessions: sessions, group: group, logger: logger)
            })
    }

    // MARK: Running

    /// Serves until graceful shutdown; then says goodbye to every client and takes devices and routes away. Throws `StartupError`.
    package func run() async throws {
        let server = ManagementServer(
            settings: plan.management, source: self, metrics: metrics, logger: gatewayLog.logger("management"))
        do throws(DatapathError) {
            try parts.datapath.start()
        } catch {
            throw StartupError(error)
        }
        await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                await self.serve(server)
            } onGracefulShutdown: {
                self.stopping.trigger()
            }
        } onCancel: {
            self.stopping.trigger()
        }
        if let failure = failure.withLock({ $0 }) { throw failure }
    }

    private let stopping = StopSignal()
    private let failure = Mutex<StartupError?>(nil)

    private func serve(_ server: ManagementServer) async {
        do throws(StartupError) {
            try await beginRADIUS()
        } catch {
            failure.withLock { $0 = error }
            stopping.trigger()
        }
        let tasks = parts.engines.map { engine in Task { await engine.run() } }
        let events = Task { await self.takeEvents() }
        let expiry = Task { await self.expiry.run() }
        let weighing = Task { await self.weighWorkers() }
        let management = Task {
            do {
                try await server.run()
            } catch {
                self.failure.withLock { $0 = StartupError("the control socket: \(error)") }
                self.stopping.trigger()
            }
        }
        do throws(ManagementServerError) {
            try await server.ready()
            announce()
        } catch {
            failure.withLock { $0 = StartupError("\(error)") }
            stopping.trigger()
        }
        await stopping.wait()
        _ = try? ServiceNotification.send("STOPPING=1")
        await sayGoodbye()
        management.cancel()
        await management.value
        parts.datapath.stop()
        outerReassembly.restore()
        events.cancel()
        expiry.cancel()
        weighing.cancel()
        for task in tasks { task.cancel() }
        for engine in parts.engines { await engine.stop() }
        await parts.certificateThreads.stop()
        await parts.accounting.shutDown()
        await parts.aaa.stop()
        await parts.dynamicAuthorization?.stop()
        await parts.addresses.stop()
        do throws(StateStoreError) {
            try await parts.store.close()
        } catch {
            logger.error("the state store did not close cleanly: \(error)")
        }
        logger.notice("stopped")
    }

    /// Servers, and what an earlier daemon left for them, before the first login.
    private func beginRADIUS() async throws(StartupError) {
        await parts.aaa.configure(plan.radius)
        let sessions = parts.sessions
        do throws(StateStoreError) {
            try await parts.accounting.begin(plan.radius, nas: plan.nas) { await sessions.counters(accounting: $0) }
        } catch {
            throw StartupError("the stored accounting records cannot be used: \(error)")
        }
        guard let service = parts.dynamicAuthorization else { return }
        do {
            try await service.start()
        } catch {
            throw StartupError("the port for RADIUS requests (aaa.radius.dynamic-authorization.port) cannot be opened: \(error)")
        }
    }

    private func announce() {
        for text in outerReassembly.apply(plan.reassemblyTime, families: plan.families) {
            logger.warning("\(text)", metadata: ["event": "reassembly-time"])
        }
        for gateway in plan.gateways.values.sorted(by: { $0.name < $1.name }) {
            logger.notice(
                "gateway \(gateway.name) listens on \(gateway.address), UDP 500 and 4500",
                metadata: ["gateway": "\(gateway.name)", "interface": "\(gateway.interface)"])
        }
        _ = try? ServiceNotification.send("READY=1")
        ready()
    }

    /// Deletes to every client; waits for their answers, but not for long.
    private func sayGoodbye() async {
        await parts.sessions.stop()
        for engine in parts.engines { await engine.closeAll(.shutdown) }
        let end = MonotonicClock.now + Self.farewell
        while MonotonicClock.now < end {
            var left = 0
            for engine in parts.engines { left += await engine.remaining }
            if left == 0 { break }
            try? await Task.sleep(for: .milliseconds(20))
        }
        for engine in parts.engines { await engine.settleWork() }
        await parts.sessions.settle()
    }

    /// What each worker carries decides where sessions go when they rekey.
    private func weighWorkers() async {
        while !Task.isCancelled {
            parts.datapath.weigh(at: MonotonicClock.now)
            try? await Task.sleep(for: Steering.interval)
        }
    }

    private func takeEvents() async {
        for await event in parts.datapath.events {
            switch event {
            case .moved(let tunnel, let endpoint):
                guard let session = await parts.sessions.owner(of: tunnel) else { continue }
                await parts.engines[session.sa.shard].feed(.moved(endpoint), to: session.sa.id)
                await parts.sessions.moved(session.id, to: endpoint)
            case .hardLimit(let spi):
                guard let session = await parts.sessions.owner(of: spi.rawValue) else { continue }
                await parts.engines[session.sa.shard].feed(.childExhausted(spi: spi.rawValue), to: session.sa.id)
            case .failed(let worker, let reason):
                // A gateway that lost a device or a socket serves nobody through it: the supervisor starts us anew.
                let place = worker.map { "worker \($0)" } ?? "the door"
                logger.critical("\(place) lost a device or a socket: \(reason)", metadata: ["event": "datapath-failed"])
                failure.withLock { $0 = $0 ?? StartupError("\(place) lost a device or a socket: \(reason)") }
                stopping.trigger()
            case .offloadLost(let worker, let loss): log.offloadMissing(loss, worker: worker)
            case .softLimit(let spi):
                guard let session = await parts.sessions.owner(of: spi.rawValue) else { continue }
                await parts.engines[session.sa.shard].feed(.childAging(spi: spi.rawValue), to: session.sa.id)
            }
        }
    }

    /// Closes the state directory's lock; the process may end.
    package func release() {
        lock.withLock { $0 = nil }
    }
}

/// The engines, filled in once they exist; sessions close SAs through it.
final class EngineDirectory: Sendable {
    private let engines = Mutex<[IKEEngine]>([])

    func fill(_ all: [IKEEngine]) { engines.withLock { $0 = all } }
    func engine(_ shard: Int) -> IKEEngine? { engines.withLock { $0.indices.contains(shard) ? $0[shard] : nil } }
}

/// Wakes the door thread, once there is a datapath to wake it through.
final class DoorBell: Sendable {
    /// In a structure of its own: a closure that stands in a generic type as it is gets a thunk more around it with every access, and keeps them.
    private struct Action: Sendable {
        let run: @Sendable () -> Void
    }

    private let action = Mutex<Action?>(nil)

    func attach(_ action: @escaping @Sendable () -> Void) { self.action.withLock { $0 = Action(run: action) } }
    func ring() { action.withLock { $0 }?.run() }
}

/// Says once that it is time to stop.
final class StopSignal: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() {
        (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func trigger() {
        continuation.yield()
        continuation.finish()
    }

    func wait() async {
        for await _ in stream { return }
    }
}

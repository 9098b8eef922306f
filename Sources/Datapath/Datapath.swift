package import ESP
package import GatewayCrypto
internal import LinuxIO
internal import Synchronization
package import Wire

/// The packet threads: the door and the workers. Everything here may be called from any thread.
///
/// It puts `Control`, `Door` and `Worker` together with TUN devices, sockets and threads; what they do stands there.
package final class Datapath: Sendable {
    /// The events of all workers; one reader.
    package let events: AsyncStream<DatapathEvent>
    /// What this kernel lacks and costs speed, a sentence each; empty where all is there.
    package let shortcomings: [String]
    /// The gateways as they are served: with the ports that the kernel chose.
    package let gateways: [GatewayListener]

    private let settings: Settings
    private let control: Control
    private let outbox: Outbox
    private let doorBoard: CounterBoard
    private let bells: [Bell]
    private let isStopping = StopFlag()
    private let door: Handover<DoorThread>
    private let workers: [Handover<WorkerThread>]
    private let threads: Mutex<[PinnedThread]>

    /// Opens TUN devices and sockets; nothing runs before `start`. `entropy` gives SPIs their tags and seeds IVs.
    package init(_ settings: Settings, door receiver: any DoorReceiver, entropy: any Entropy) throws(DatapathError) {
        try Self.check(settings)
        self.settings = settings
        var pollers: [Handover<Poller>] = []
        var bells: [Bell] = []
        do throws(SystemError) {
            for _ in 0...settings.workers {
                let poller = try Poller()
                let waker = poller.waker
                bells.append(Bell { waker.wake() })
                pollers.append(Handover(poller))
            }
        } catch {
            throw .system("\(error)")
        }
        self.bells = bells
        control = Control(
            interfaces: settings.interfaces.map(\.key), bells: bells, tunnelsPerWorker: settings.tunnelsPerWorker,
            childSAsPerWorker: settings.childSAsPerWorker, engine: settings.engine, entropy: entropy)
        events = control.events
        outbox = Outbox()
        doorBoard = CounterBoard(tunnelCapacity: 1, saCapacity: 1)
        threads = Mutex([])
        do throws(SystemError) {
            let built = try Self.build(settings, control, outbox, doorBoard, receiver, bells, pollers, entropy: entropy)
            door = built.door
            workers = built.workers
            gateways = built.gateways
            shortcomings = built.shortcomings
        } catch {
            throw .system("\(error)")
        }
    }

    private static func check(_ settings: Settings) throws(DatapathError) {
        guard (1...LocalSPI.maximumWorkers).contains(settings.workers) else { throw .settings("between 1 and 64 workers, not \(settings.workers)") }
        guard settings.engine.isAvailable else { throw .settings("the crypto engine is not to be had: \(settings.engine.library)") }
        guard (1...16).contains(settings.gateways.count) else {
            throw .settings("between 1 and 16 gateway addresses, not \(settings.gateways.count)")
        }
        guard (1...32).contains(settings.interfaces.count) else {
            throw .settings("between 1 and 32 private interfaces, not \(settings.interfaces.count)")
        }
        guard Set(settings.interfaces.map(\.key)).count == settings.interfaces.count,
            Set(settings.interfaces.map { [$0.name, $0.networkNamespace ?? ""] }).count == settings.interfaces.count
        else { throw .settings("two private interfaces of one name") }
        guard Set(settings.gateways.map(\.address)).count == settings.gateways.count else { throw .settings("two gateways on one address") }
    }

    // MARK: Running

    /// Starts the threads. Once.
    package func start() throws(DatapathError) {
        var started: [PinnedThread] = []
        do throws(SystemError) {
            if let thread = door.take() {
                started.append(try PinnedThread(name: "door", cpu: cpu(0), context: thread) { [isStopping] in $0.run(until: isStopping) })
            }
            for (index, worker) in workers.enumerated() {
                guard let thread = worker.take() else { continue }
                let name = "worker-\(index)"
                started.append(try PinnedThread(name: name, cpu: cpu(index + 1), context: thread) { [isStopping] in $0.run(until: isStopping) })
            }
        } catch {
            threads.withLock { $0 = started }
            stop()
            throw .system("\(error)")
        }
        threads.withLock { $0 = started }
    }

    /// Core 0 is the door's; workers take the others in turn. Nil where the process may not run there.
    private func cpu(_ number: Int) -> Int? {
        guard settings.pinsThreads else { return nil }
        let allowed = (0..<1024).filter { PinnedThread.mayRun(on: $0) }
        return allowed.isEmpty ? nil : allowed[number % allowed.count]
    }

    /// Ends the threads and takes devices and routes away; returns when all that is done. Calls that wait for workers end with `.stopped`.
    package func stop() {
        isStopping.set()
        control.stop()
        let running = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        // Devices, and with them addresses and routes, end with the queues that the workers hold
        for bell in bells { bell.ringAlways() }
        for thread in running { thread.join() }
        if let unused = door.take() { _ = consume unused }
        for worker in workers { if let unused = worker.take() { _ = consume unused } }
    }

    // MARK: IKE

    /// Sends an IKE message; the non-ESP marker is added when `local` is a port for NAT traversal.
    package func sendIKE(_ octets: [UInt8], from local: Endpoint, to remote: Endpoint) {
        putIKE(octets, from: local, to: remote)
        bells[bells.count - 1].ring()
    }

    /// The same, to go out with the next `wakeDoor`.
    package func putIKE(_ octets: [UInt8], from local: Endpoint, to remote: Endpoint) {
        _ = outbox.put(Outbox.Message(octets: octets, local: local, remote: remote))
    }

    /// Sends a NAT keepalive: one octet 0xFF (RFC 3948 section 2.3).
    package func sendKeepalive(from local: Endpoint, to remote: Endpoint) {
        if !outbox.put(Outbox.Message(octets: [0xff], local: local, remote: remote, isBare: true)) { return }
        bells[bells.count - 1].ring()
    }

    /// Has the door thread call `woken`.
    package func wakeDoor() {
        outbox.want()
        bells[bells.count - 1].ring()
    }

    // MARK: Sessions and Child SAs

    /// The worker with the fewest sessions.
    package func homeWorker() -> Int { control.homeWorker() }

    /// The worker for a further Child SA of a session; nil when there is no such session.
    package func worker(of tunnel: TunnelID) -> Int? { control.worker(of: tunnel) }

    /// The worker for the Child SA that comes in the place of `old`: a hot worker sheds sessions (`Steering`).
    package func worker(of tunnel: TunnelID, replacing old: LocalSPI, at now: Instant) -> Int? {
        control.worker(of: tunnel, replacing: old, at: now)
    }

    /// The worker for a further Child SA with the same selectors (RFC 9611): one without any of this session. Nil: there is none.
    package func workerForResource(of tunnel: TunnelID) -> Int? { control.workerForResource(of: tunnel) }

    /// Weighs the workers; to be called once in `Steering.interval`.
    package func weigh(at now: Instant) { control.weigh(at: now) }

    /// What each worker has to do.
    package var workerStatus: [WorkerStatus] { control.workerStatus }

    /// An SPI for a Child SA to be; nil when the worker's slots are all taken. Install it or `release` it.
    package func allocateSPI(worker: Int) -> LocalSPI? { control.allocateSPI(worker: worker) }

    /// Gives back an SPI that was never installed. One whose `install` threw was given back there.
    package func release(_ spi: LocalSPI) { control.release(spi) }

    /// Makes a session known: routes to its addresses lead to it, and its Child SAs can be installed. Nil when a table is full, the interface is
    /// unknown, or one of the addresses has an owner.
    package func open(tunnel spec: TunnelSpec) -> TunnelID? { control.open(tunnel: spec) }

    /// Installs a Child SA; returns when packets of both directions are served. When it throws, the SPI has been given back.
    package func install(_ child: consuming ChildSASpec) async throws(DatapathError) { try await control.install(child) }

    /// Takes a Child SA out and gives its SPI back. Zeros when there is none.
    package func retire(child: LocalSPI) async -> SACounters { await control.retire(child: child) }

    /// Takes a session out with its routes and Child SAs. Its addresses may be given to another once this has returned (threats.md P30).
    package func close(tunnel: TunnelID) async -> TunnelCounters { await control.close(tunnel: tunnel) }

    /// Sends to another endpoint of the peer from now on (MOBIKE).
    package func move(tunnel: TunnelID, to peer: Endpoint, from local: Endpoint? = nil) { control.move(tunnel: tunnel, to: peer, from: local) }

    /// What has passed so far; nil when the session is gone.
    package func counters(tunnel: TunnelID) -> TunnelCounters? { control.counters(tunnel: tunnel) }

    package func status(child: LocalSPI) -> SAStatus? { control.status(child: child) }

    /// Drops by reason, over all threads.
    package func dropCounters() -> [Drop: UInt64] { control.dropCounters(and: [doorBoard]) }

    /// Sessions open, Child SAs of them, SPIs given out.
    package var gauges: (tunnels: Int, childSAs: Int, spis: Int) { control.gauges }
}

import Datapath
import ESP
import IKEMessages
import RoadWarrior
import Synchronization
import Wire

/// What a connection over the datapath waits for.
enum Arrival: Sendable {
    case message([UInt8], from: Endpoint)
    case event(DatapathEvent)
    /// Now and then: deadlines, signals.
    case tick
}

/// The door's side: hands the gateway's IKE messages over.
final class Messages: DoorReceiver {
    private let sink: AsyncStream<Arrival>.Continuation

    init(_ sink: AsyncStream<Arrival>.Continuation) {
        self.sink = sink
    }

    func receive(
        _ datagram: UnsafeRawBufferPointer, from remote: Endpoint, to local: Endpoint, at now: Instant,
        reply: (UnsafeRawBufferPointer) -> Void
    ) {
        sink.yield(.message(unsafe [UInt8](datagram), from: remote))
    }

    func drained(at now: Instant) {}
    func woken(at now: Instant) {}
}

/// Child SAs between RoadWarrior, which makes them in the middle of an exchange, and the datapath, which gets them afterwards.
final class ChildBirths: Sendable {
    private struct State {
        /// SPIs given out whose Child SA the datapath has not, or not yet.
        var given: Set<UInt32> = []
        var made: [RoadWarrior.ChildKeys] = []
    }

    private let datapath: Datapath
    /// The worker that serves the tunnel.
    let worker: Int
    private let state = Mutex(State())

    init(_ datapath: Datapath) {
        self.datapath = datapath
        worker = datapath.homeWorker()
    }

    /// An SPI for a Child SA to be; nil when none is left.
    func allocate() -> UInt32? {
        guard let spi = datapath.allocateSPI(worker: worker) else { return nil }
        state.withLock { _ = $0.given.insert(spi.rawValue) }
        return spi.rawValue
    }

    func add(_ keys: RoadWarrior.ChildKeys) { state.withLock { $0.made.append(keys) } }

    /// Those made since the last call, in order.
    func takeAll() -> [RoadWarrior.ChildKeys] {
        state.withLock { state in
            defer { state.made = [] }
            return state.made
        }
    }

    /// The datapath has it now, and gives the SPI back with it.
    func settle(_ spi: UInt32) { state.withLock { _ = $0.given.remove(spi) } }

    /// Gives back what was never installed and is not wanted any more.
    func release(allBut living: Set<UInt32>) {
        let unused = state.withLock { state in
            let unused = state.given.subtracting(living)
            state.given.formIntersection(living)
            return unused
        }
        for spi in unused { if let local = LocalSPI(rawValue: spi) { datapath.release(local) } }
    }
}

/// What of the kernel's offloads is lost under way: told once, whichever of the workers lose it.
struct LostOffloads {
    private var told: Set<String> = []

    /// What to say of a loss; nil: it was said before.
    mutating func line(_ loss: String) -> String? {
        told.insert(loss).inserted ? "ipsec-load: \(loss)" : nil
    }
}

extension Selectors.Entry {
    init(_ selector: TrafficSelector) {
        self.init(selector.addresses, ipProtocol: selector.ipProtocol, startPort: selector.startPort, endPort: selector.endPort)
    }
}

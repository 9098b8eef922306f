internal import LinuxIO
internal import Synchronization
internal import Wire

/// Says to threads that they shall end.
final class StopFlag: Sendable {
    private let flag = Atomic<Bool>(false)

    func set() { flag.store(true, ordering: .releasing) }
    var isSet: Bool { flag.load(ordering: .acquiring) }
}

/// Something that cannot be copied, kept until the thread that takes it.
final class Handover<Content: ~Copyable & Sendable>: Sendable {
    private let content: Mutex<Content?>

    init(_ content: consuming sending Content) {
        self.content = Mutex(content)
    }

    /// The content; nil the second time.
    func take() -> sending Content? {
        content.withLock { $0.take() }
    }
}

/// A worker, and what it waits on.
struct WorkerThread: ~Copyable, Sendable {
    var worker: Worker<DatagramPort, TUNPort>
    var poller: Poller
    let bell: Bell
    private var busyPoll: BusyPoll

    /// Watches all ports; their tokens are their bits.
    init(
        _ worker: consuming Worker<DatagramPort, TUNPort>, _ poller: consuming Poller, _ bell: Bell, busyPoll: BusyPoll
    ) throws(SystemError) {
        self.worker = worker
        self.poller = poller
        self.bell = bell
        self.busyPoll = busyPoll
        for (bit, descriptor) in self.worker.descriptors { try self.poller.add(descriptor, token: UInt64(bit)) }
    }

    consuming func run(until isStopping: StopFlag) {
        var ready: UInt64 = .max
        while !isStopping.isSet {
            let now = MonotonicClock.now
            if busyPoll.isOn, ready != 0 || worker.hasWork { busyPoll.worked(at: now) }
            ready = worker.pass(ready, now: now)
            if ready == 0 { ready = look(until: isStopping) }
            let mayWait = ready == 0
            if mayWait { bell.announceWait() }
            let wait: Int32 = mayWait && !worker.hasWork && !isStopping.isSet ? -1 : 0
            ready |= poller.readyBits(waiting: wait)
            if mayWait { bell.endWait() }
            // A descriptor that is ready but broken would wake us again and again
            if worker.brokenPorts & ready != 0 { poller.forget(worker.descriptors, worker.brokenPorts & ready) }
        }
    }

    /// Looks at ports, rings and commands until there is something, for as long as `busyPoll` says. Returns the ports that have something.
    private mutating func look(until isStopping: StopFlag) -> UInt64 {
        guard let end = busyPoll.end else { return 0 }
        while !worker.hasWork, !isStopping.isSet {
            let ready = poller.readyBits(waiting: 0)
            if ready != 0 { return ready }
            guard MonotonicClock.now < end else {
                busyPoll.giveUp()
                return 0
            }
        }
        return 0
    }
}

/// The door, and what it waits on.
struct DoorThread: ~Copyable, Sendable {
    var door: Door<DatagramPort>
    var poller: Poller
    let bell: Bell

    init(_ door: consuming Door<DatagramPort>, _ poller: consuming Poller, _ bell: Bell) throws(SystemError) {
        self.door = door
        self.poller = poller
        self.bell = bell
        for (bit, descriptor) in self.door.descriptors { try self.poller.add(descriptor, token: UInt64(bit)) }
    }

    consuming func run(until isStopping: StopFlag) {
        var ready: UInt64 = .max
        while !isStopping.isSet {
            let result = door.pass(ready, now: MonotonicClock.now)
            ready = result.hasMore
            let mayWait = ready == 0
            if mayWait { bell.announceWait() }
            // A grace period ends with a pass of another thread, which tells nobody: look again soon
            let wait: Int32 = mayWait && !door.hasWork && !isStopping.isSet ? (result.isWaiting ? 1 : -1) : 0
            ready |= poller.readyBits(waiting: wait)
            if mayWait { bell.endWait() }
            if door.brokenPorts & ready != 0 { poller.forget(door.descriptors, door.brokenPorts & ready) }
        }
    }
}

extension Poller {
    /// Waits, and returns the tokens that are ready as bits.
    mutating func readyBits(waiting milliseconds: Int32) -> UInt64 {
        guard let count = try? wait(milliseconds: milliseconds) else { return 0 }
        var bits: UInt64 = 0
        for index in 0..<count { bits |= 1 << (self[index].token & 63) }
        return bits
    }

    /// Watches these ports no more.
    func forget(_ descriptors: [(bit: Int, descriptor: Int32)], _ bits: UInt64) {
        for (bit, descriptor) in descriptors where bits & (1 << UInt64(bit)) != 0 { try? remove(descriptor) }
    }
}

internal import CLinux
internal import Glibc
internal import Synchronization
package import Wire

/// Waits for descriptors, for a deadline and for other threads, by epoll (level-triggered). It belongs to one thread.
@safe
package struct Poller: ~Copyable, @unchecked Sendable {
    /// What to wait for, or what has come.
    package struct Readiness: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        package static let readable = Self(rawValue: 1)
        package static let writable = Self(rawValue: 2)
        /// The descriptor is broken or its other end is gone; always reported.
        package static let failed = Self(rawValue: 4)
    }

    /// One descriptor that is ready.
    package struct Event: Equatable, Sendable {
        package let token: UInt64
        package let readiness: Readiness
    }

    /// Lets any thread end a wait.
    package let waker: Waker
    /// Whether the last wait was ended (also) by the waker.
    package private(set) var wasWoken = false
    /// Descriptors that the last wait found ready.
    package private(set) var count = 0

    private let descriptor: FileDescriptor
    private let events: UnsafeMutablePointer<epoll_event>
    private let capacity: Int

    /// Reserved for the waker; any other value may be a token.
    private static let wakerToken = UInt64.max

    /// A poller that reports at most `capacity` descriptors at once.
    package init(capacity: Int = 64) throws(SystemError) {
        let descriptor = try FileDescriptor(epoll_create1(Int32(EPOLL_CLOEXEC)), "epoll_create1")
        let waker = try Waker()
        try Self.control(descriptor.rawValue, EPOLL_CTL_ADD, waker.descriptor, Self.wakerToken, .readable)
        self.waker = waker
        self.descriptor = descriptor
        self.capacity = min(max(capacity, 1), 1023) + 1
        unsafe events = .allocate(capacity: self.capacity)
        unsafe events.initialize(repeating: epoll_event(), count: self.capacity)
    }

    deinit {
        unsafe events.deallocate()
    }

    /// Watches a descriptor; `token` comes back with its events (any value but UInt64.max).
    package func add(_ descriptor: Int32, token: UInt64, for interest: Readiness = .readable) throws(SystemError) {
        try Self.control(descriptorNumber, EPOLL_CTL_ADD, descriptor, token, interest)
    }

    /// Changes what a descriptor is watched for.
    package func modify(_ descriptor: Int32, token: UInt64, for interest: Readiness) throws(SystemError) {
        try Self.control(descriptorNumber, EPOLL_CTL_MOD, descriptor, token, interest)
    }

    /// Watches a descriptor no more; also needed before its owner hands it elsewhere.
    package func remove(_ descriptor: Int32) throws(SystemError) {
        try Self.control(descriptorNumber, EPOLL_CTL_DEL, descriptor, 0, [])
    }

    private var descriptorNumber: Int32 { self.descriptor.rawValue }

    private static func control(
        _ poller: Int32, _ operation: Int32, _ watched: Int32, _ token: UInt64, _ interest: Readiness
    ) throws(SystemError) {
        var bits: UInt32 = 0
        if interest.contains(.readable) { bits |= EPOLLIN.rawValue }
        if interest.contains(.writable) { bits |= EPOLLOUT.rawValue }
        var event = unsafe epoll_event()
        unsafe gw_epoll_event_set(&event, bits, token)
        guard unsafe epoll_ctl(poller, operation, watched, &event) == 0 else { throw .last("epoll_ctl") }
    }

    /// Waits until something is ready, `deadline` strikes (nil: none; one in the past: only look) or the waker is used.
    /// Returns the number of ready descriptors, the waker not counted. Rounds the deadline up to a millisecond.
    package mutating func wait(until deadline: Instant?) throws(SystemError) -> Int {
        guard let deadline else { return try wait(milliseconds: -1) }
        let now = MonotonicClock.now
        guard deadline > now else { return try wait(milliseconds: 0) }
        let left = deadline.nanoseconds - now.nanoseconds
        return try wait(milliseconds: Int32(clamping: left / 1_000_000 + (left % 1_000_000 == 0 ? 0 : 1)))
    }

    /// Waits at most so long; 0 only looks, -1 has no end. A signal ends the wait with nothing ready.
    package mutating func wait(milliseconds: Int32) throws(SystemError) -> Int {
        wasWoken = false
        count = 0
        let found = unsafe epoll_wait(descriptor.rawValue, events, Int32(capacity), milliseconds)
        guard found >= 0 else {
            guard errno == EINTR else { throw .last("epoll_wait") }
            return 0
        }
        for index in 0..<Int(found) {
            if unsafe gw_epoll_event_token(events + index) == Self.wakerToken {
                waker.drain()
                wasWoken = true
            } else {
                unsafe events[count] = events[index]
                count += 1
            }
        }
        return count
    }

    /// A descriptor that the last wait found ready; `index` below `count`.
    package subscript(index: Int) -> Event {
        precondition(index >= 0 && index < count, "no such event")
        let bits = unsafe events[index].events
        var readiness: Readiness = []
        if bits & EPOLLIN.rawValue != 0 { readiness.insert(.readable) }
        if bits & EPOLLOUT.rawValue != 0 { readiness.insert(.writable) }
        if bits & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0 { readiness.insert(.failed) }
        return Event(token: unsafe gw_epoll_event_token(events + index), readiness: readiness)
    }
}

/// Ends a poller's wait from any thread. Wakes that arrive before the poller has seen the first cost no system call.
package final class Waker: Sendable {
    private let file: FileDescriptor
    private let isPending = Atomic<Bool>(false)

    init() throws(SystemError) {
        file = try FileDescriptor(eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)), "eventfd")
    }

    var descriptor: Int32 { file.rawValue }

    /// Wakes the poller's thread. What was written before this call is seen by it after its wait.
    package func wake() {
        guard !isPending.exchange(true, ordering: .acquiringAndReleasing) else { return }
        var one: UInt64 = 1
        while unsafe write(file.rawValue, &one, 8) < 0, errno == EINTR {}
    }

    /// Takes the wake: first the count, then the flag, so that a wake in between is either seen now or writes again.
    func drain() {
        var value: UInt64 = 0
        while unsafe read(file.rawValue, &value, 8) < 0, errno == EINTR {}
        _ = isPending.exchange(false, ordering: .acquiringAndReleasing)
    }
}

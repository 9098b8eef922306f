package import ESP
package import LinuxIO
internal import Synchronization
package import Wire

/// Carries packets from one thread to one other, octets and all: what a worker or the door finds that is another's. Neither waits; a full ring
/// drops. Trivial to copy, since the packet path may not count references: the memory belongs to a `RingMemory`.
@safe
package struct PacketRing: @unchecked Sendable {
    private struct Ends: ~Copyable {
        // Octets ever taken and given; each has one writer, and a line of its own
        let taken = Atomic<Int>(0)
        var gap: (Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int) = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        let given = Atomic<Int>(0)
    }

    private struct Mark {
        // Below 0: nothing up to the end of the region
        let length: Int
        let tag: UInt64
        let peer: Endpoint
        let local: Endpoint
    }

    private let ends: UnsafeMutablePointer<Ends>
    private let region: UnsafeMutableRawPointer
    /// Octets; a power of two.
    private let size: Int

    private static var markSize: Int { @_noLocks get { (MemoryLayout<Mark>.stride &+ 15) & ~15 } }

    fileprivate init(size wanted: Int) {
        var size = 4096
        while size < wanted { size *= 2 }
        self.size = size
        unsafe ends = .allocate(capacity: 1)
        unsafe ends.initialize(to: Ends())
        unsafe region = .allocate(byteCount: size, alignment: 64)
    }

    fileprivate func free() {
        unsafe ends.deinitialize(count: 1)
        unsafe ends.deallocate()
        unsafe region.deallocate()
    }

    /// By the producer: false when the packet does not fit now.
    @_noLocks
    package func push(_ octets: PacketView, tag: UInt64, peer: Endpoint, local: Endpoint) -> Bool {
        let needed = Self.markSize &+ ((octets.count &+ 15) & ~15)
        // A quarter at most, so that one packet never needs more than all of it
        guard needed <= size / 4 else { return false }
        var given = unsafe ends.pointee.given.load(ordering: .relaxed)
        let taken = unsafe ends.pointee.taken.load(ordering: .acquiring)
        var at = given & (size &- 1)
        let left = size &- at
        let skipped = left < needed ? left : 0
        guard given &- taken &+ skipped &+ needed <= size else { return false }
        if skipped > 0 {
            if left >= Self.markSize {
                unsafe (region + at).storeBytes(of: Mark(length: -1, tag: 0, peer: peer, local: local), as: Mark.self)
            }
            given &+= skipped
            at = 0
        }
        unsafe (region + at).storeBytes(of: Mark(length: octets.count, tag: tag, peer: peer, local: local), as: Mark.self)
        let place = unsafe PacketView(UnsafeMutableRawBufferPointer(start: region + at + Self.markSize, count: octets.count))
        place.copy(from: octets, 0, to: 0, octets.count)
        unsafe ends.pointee.given.store(given &+ needed, ordering: .releasing)
        return true
    }

    /// By the consumer: moves packets into the batch until that is full or the ring empty. A packet larger than a slot is passed over;
    /// returns how many were.
    @_noLocks
    package func drain(into batch: inout Batch) -> Int {
        var lost = 0
        var taken = unsafe ends.pointee.taken.load(ordering: .relaxed)
        let given = unsafe ends.pointee.given.load(ordering: .acquiring)
        while taken != given, !batch.isFull {
            let at = taken & (size &- 1)
            let left = size &- at
            guard left >= Self.markSize else {
                taken &+= left
                continue
            }
            let mark = unsafe (region + at).load(as: Mark.self)
            guard mark.length >= 0 else {
                taken &+= left
                continue
            }
            let octets = unsafe UnsafeRawBufferPointer(start: region + at + Self.markSize, count: mark.length)
            if let index = unsafe batch.append(copying: octets, to: mark.peer, from: mark.local) {
                batch[index].tag = mark.tag
            } else {
                lost &+= 1
            }
            taken &+= Self.markSize &+ ((mark.length &+ 15) & ~15)
        }
        unsafe ends.pointee.taken.store(taken, ordering: .releasing)
        return lost
    }

    package var isEmpty: Bool {
        @_noLocks get {
            unsafe ends.pointee.taken.load(ordering: .acquiring) == ends.pointee.given.load(ordering: .acquiring)
        }
    }
}

/// Owns the rings between the threads of a datapath. Threads are numbered: workers from 0, the door last.
package final class RingMemory: Sendable {
    package let workers: Int
    private let outer: [PacketRing]
    private let inner: [PacketRing]

    package init(workers: Int, ringSize: Int) {
        self.workers = workers
        outer = (0..<(workers + 1) * (workers + 1)).map { _ in PacketRing(size: ringSize) }
        inner = (0..<workers * workers).map { _ in PacketRing(size: ringSize) }
    }

    deinit {
        for ring in outer { ring.free() }
        for ring in inner { ring.free() }
    }

    /// Datagrams from outside, between any two threads; the door is number `workers`.
    package func outer(from: Int, to: Int) -> PacketRing { outer[from * (workers + 1) + to] }
    /// Packets from a private interface, between two workers.
    package func inner(from: Int, to: Int) -> PacketRing { inner[from * workers + to] }
}

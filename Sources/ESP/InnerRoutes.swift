internal import Synchronization
package import Wire

/// Where packets for an inner destination go: a tunnel of a worker.
package struct RouteTarget: Equatable, Sendable {
    package let worker: Int
    package let tunnel: Int
    package let generation: UInt32

    @_noLocks
    package init(worker: Int, tunnel: Int, generation: UInt32) {
        self.worker = worker
        self.tunnel = tunnel
        self.generation = generation
    }

    /// Where a row of `SpreadRoutes` says, which is another place for each worker. No tunnel has generation 0.
    package init(row: Int) { self.init(worker: 0, tunnel: row, generation: 0) }

    /// The row; nil where the target is a tunnel.
    package var row: Int? {
        @_noLocks get { generation == 0 ? tunnel : nil }
    }

    /// Worker 6 bits, tunnel 26, generation 32.
    @_noLocks
    init(packed: UInt64) {
        worker = Int(truncatingIfNeeded: packed & 0x3f)
        tunnel = Int(truncatingIfNeeded: packed >> 6 & 0x3ff_ffff)
        generation = UInt32(truncatingIfNeeded: packed >> 32)
    }

    var packed: UInt64 {
        UInt64(truncatingIfNeeded: worker & 0x3f) | UInt64(truncatingIfNeeded: tunnel & 0x3ff_ffff) << 6 | UInt64(generation) << 32
    }
}

/// Inner destinations of one private interface, addresses and prefixes, longest match first. One writer at a time (whoever holds the control
/// plane's lock); any worker reads at any time without a lock.
///
/// A node that was taken out stays as it is until `reclaim`, which its taker calls after a grace period: no reader is on it any more then.
@safe
package final class InnerRoutes: @unchecked Sendable {
    private struct Node: ~Copyable {
        var key: UInt128 = 0
        // One word: a reader sees the old target or the new one
        let target = Atomic<UInt64>(0)
        var length = 0
        var isIPv6 = false
        // 1 + index of the next node of the bucket; 0 ends it
        let next = Atomic<UInt32>(0)
    }

    private struct Word: ~Copyable {
        let value = Atomic<UInt64>(0)
    }

    /// A route that was taken out and waits for its grace period.
    package struct Removed: Equatable, Sendable {
        fileprivate let node: Int
    }

    package let capacity: Int
    /// Routes at present; the writer's.
    package private(set) var count = 0
    private let bucketMask: UInt64
    private let seed: UInt64
    private let buckets: UnsafeMutablePointer<Atomic<UInt32>>
    private let nodes: UnsafeMutablePointer<Node>
    // Which prefix lengths there are: IPv4 in word 0 (bit = length), IPv6 in words 1...3
    private let lengths: UnsafeMutablePointer<Word>
    private var lengthCounts = [Int](repeating: 0, count: 33 + 129)
    private var free: [Int] = []
    private var unused = 0

    /// Room for `capacity` routes; `seed` keeps bucket places unknown to those who may choose addresses.
    package init(capacity: Int, seed: UInt64) {
        self.capacity = min(max(capacity, 1), 1 << 24)
        self.seed = seed
        var size = 16
        while size < self.capacity * 2 { size *= 2 }
        bucketMask = UInt64(size - 1)
        unsafe buckets = .allocate(capacity: size)
        for index in 0..<size { unsafe (buckets + index).initialize(to: Atomic(0)) }
        unsafe nodes = .allocate(capacity: self.capacity)
        unsafe lengths = .allocate(capacity: 4)
        for index in 0..<4 { unsafe (lengths + index).initialize(to: Word()) }
    }

    deinit {
        unsafe buckets.deinitialize(count: Int(bucketMask) + 1)
        unsafe buckets.deallocate()
        unsafe nodes.deinitialize(count: unused)
        unsafe nodes.deallocate()
        unsafe lengths.deinitialize(count: 4)
        unsafe lengths.deallocate()
    }

    /// The tunnel with the longest prefix around the address; nil when there is none.
    @_noLocks
    package func lookup(_ address: UInt128, isIPv6: Bool) -> RouteTarget? {
        var word = isIPv6 ? 3 : 0
        let last = isIPv6 ? 1 : 0
        while word >= last {
            var bits = unsafe lengths[word].value.load(ordering: .acquiring)
            while bits != 0 {
                let bit = 63 &- bits.leadingZeroBitCount
                bits &= ~(1 << UInt64(truncatingIfNeeded: bit))
                let length = isIPv6 ? bit &+ (word &- 1) &* 64 : bit
                if let found = find(masked(address, length, isIPv6), length, isIPv6) { return found }
            }
            word &-= 1
        }
        return nil
    }

    @_noLocks
    private func find(_ key: UInt128, _ length: Int, _ isIPv6: Bool) -> RouteTarget? {
        var link = unsafe buckets[bucket(key, length, isIPv6)].load(ordering: .acquiring)
        while link != 0 {
            let node = unsafe nodes + Int(truncatingIfNeeded: link &- 1)
            if unsafe node.pointee.key == key, unsafe node.pointee.length == length, unsafe node.pointee.isIPv6 == isIPv6 {
                return RouteTarget(packed: unsafe node.pointee.target.load(ordering: .acquiring))
            }
            link = unsafe node.pointee.next.load(ordering: .acquiring)
        }
        return nil
    }

    @_noLocks
    private func bucket(_ key: UInt128, _ length: Int, _ isIPv6: Bool) -> Int {
        var hash = seed ^ UInt64(truncatingIfNeeded: key) ^ (UInt64(truncatingIfNeeded: length) << 57) ^ (isIPv6 ? 1 << 56 : 0)
        hash = (hash ^ hash >> 33) &* 0xff51_afd7_ed55_8ccd
        hash ^= UInt64(truncatingIfNeeded: key >> 64)
        hash = (hash ^ hash >> 33) &* 0xc4ce_b9fe_1a85_ec53
        return Int(truncatingIfNeeded: (hash ^ hash >> 33) & bucketMask)
    }

    private static func isIPv6(_ family: AddressFamily) -> Bool { family == .ipv6 }

    /// Adds a route; false when exactly this prefix has one, or the table is full.
    package func insert(_ prefix: IPPrefix, _ target: RouteTarget) -> Bool {
        let isIPv6 = Self.isIPv6(prefix.family)
        let key = prefix.address.value
        guard find(key, prefix.length, isIPv6) == nil else { return false }
        let index: Int
        if let reused = free.popLast() {
            index = reused
        } else {
            guard unused < capacity else { return false }
            index = unused
            unused += 1
            unsafe (nodes + index).initialize(to: Node())
        }
        unsafe nodes[index].key = key
        unsafe nodes[index].length = prefix.length
        unsafe nodes[index].isIPv6 = isIPv6
        unsafe nodes[index].target.store(target.packed, ordering: .relaxed)
        let place = bucket(key, prefix.length, isIPv6)
        unsafe nodes[index].next.store(buckets[place].load(ordering: .relaxed), ordering: .relaxed)
        unsafe buckets[place].store(UInt32(index + 1), ordering: .releasing)
        count += 1
        countLength(prefix.length, isIPv6, by: 1)
        return true
    }

    /// Takes a route out; nil when there is none, or it leads to another tunnel.
    package func remove(_ prefix: IPPrefix, _ target: RouteTarget) -> Removed? {
        let isIPv6 = Self.isIPv6(prefix.family)
        let key = prefix.address.value
        let place = bucket(key, prefix.length, isIPv6)
        var before: Int?
        var link = unsafe buckets[place].load(ordering: .relaxed)
        while link != 0 {
            let index = Int(link) - 1
            let next = unsafe nodes[index].next.load(ordering: .relaxed)
            if unsafe nodes[index].key == key, unsafe nodes[index].length == prefix.length, unsafe nodes[index].isIPv6 == isIPv6 {
                guard unsafe nodes[index].target.load(ordering: .relaxed) == target.packed else { return nil }
                if let before {
                    unsafe nodes[before].next.store(next, ordering: .releasing)
                } else {
                    unsafe buckets[place].store(next, ordering: .releasing)
                }
                count -= 1
                countLength(prefix.length, isIPv6, by: -1)
                return Removed(node: index)
            }
            before = index
            link = next
        }
        return nil
    }

    /// Leads a route elsewhere, between two packets of every reader; false when there is none, or it leads to another tunnel than `old`.
    package func retarget(_ prefix: IPPrefix, from old: RouteTarget, to new: RouteTarget) -> Bool {
        let isIPv6 = Self.isIPv6(prefix.family)
        let key = prefix.address.value
        var link = unsafe buckets[bucket(key, prefix.length, isIPv6)].load(ordering: .relaxed)
        while link != 0 {
            let node = unsafe nodes + Int(link) - 1
            if unsafe node.pointee.key == key, unsafe node.pointee.length == prefix.length, unsafe node.pointee.isIPv6 == isIPv6 {
                guard unsafe node.pointee.target.load(ordering: .relaxed) == old.packed else { return false }
                unsafe node.pointee.target.store(new.packed, ordering: .releasing)
                return true
            }
            link = unsafe node.pointee.next.load(ordering: .relaxed)
        }
        return false
    }

    /// Gives the node of a removed route back, after a grace period.
    package func reclaim(_ removed: Removed) {
        free.append(removed.node)
    }

    private func countLength(_ length: Int, _ isIPv6: Bool, by amount: Int) {
        let index = isIPv6 ? 33 + length : length
        lengthCounts[index] += amount
        let word = isIPv6 ? 1 + length / 64 : 0
        let bit: UInt64 = 1 << UInt64(isIPv6 ? length % 64 : length)
        let old = unsafe lengths[word].value.load(ordering: .relaxed)
        unsafe lengths[word].value.store(lengthCounts[index] > 0 ? old | bit : old & ~bit, ordering: .releasing)
    }
}

/// The address without its host bits. No method of the class: a metatype is more than `@_noLocks` allows.
@_noLocks
private func masked(_ address: UInt128, _ length: Int, _ isIPv6: Bool) -> UInt128 {
    let drop = (isIPv6 ? 128 : 32) &- length
    return drop >= 128 ? 0 : (address >> UInt128(truncatingIfNeeded: drop)) << UInt128(truncatingIfNeeded: drop)
}

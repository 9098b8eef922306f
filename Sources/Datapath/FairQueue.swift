/// Whose packet is next where more come from the private side than leave: deficit round robin over tunnels, by octets. Holds numbers of slots,
/// not packets. Each turn of a tunnel is worth 64 KiB, so that whatever a client sends, the others wait for one super-packet of its at the most.
@safe
struct FairQueue: ~Copyable, @unchecked Sendable {
    private struct Waiting {
        var length = 0
        /// The packet behind it in its queue; below 0: none.
        var next = -1
    }

    private struct Flow {
        var key = 0
        var first = -1
        var last = -1
        var count = 0
        var octets = 0
        /// What it may send in this turn; below 0: what it sent too much.
        var deficit = 0
        /// The flow whose turn is next, or the next free one; below 0: none.
        var next = -1
        /// The next flow of the same bucket; below 0: none.
        var sibling = -1
    }

    static var quantum: Int { @_noLocks get { 65_536 } }
    private static var bucketCount: Int { @_noLocks get { 512 } }

    let capacity: Int
    private let waiting: UnsafeMutablePointer<Waiting>
    private let flows: UnsafeMutablePointer<Flow>
    private let buckets: UnsafeMutablePointer<Int>
    private var firstFree = 0
    private var firstActive = -1
    private var lastActive = -1
    /// Packets and octets that wait.
    private(set) var count = 0
    private(set) var octets = 0

    /// For slots 0..<capacity; as many flows, each of which has a packet.
    init(capacity: Int) {
        self.capacity = max(capacity, 1)
        unsafe waiting = .allocate(capacity: self.capacity)
        unsafe waiting.initialize(repeating: Waiting(), count: self.capacity)
        unsafe flows = .allocate(capacity: self.capacity)
        for index in 0..<self.capacity {
            var flow = Flow()
            flow.next = index + 1 < self.capacity ? index + 1 : -1
            unsafe (flows + index).initialize(to: flow)
        }
        unsafe buckets = .allocate(capacity: Self.bucketCount)
        unsafe buckets.initialize(repeating: -1, count: Self.bucketCount)
    }

    deinit {
        unsafe waiting.deallocate()
        unsafe flows.deallocate()
        unsafe buckets.deallocate()
    }

    /// Puts a slot, which must not wait already, at the end of its flow's queue. False when there is no room.
    @_noLocks
    mutating func push(_ slot: Int, flow key: Int, length: Int) -> Bool {
        guard slot >= 0, slot < capacity, count < capacity else { return false }
        let number = flow(key)
        guard number >= 0 else { return false }
        unsafe waiting[slot].length = length
        unsafe waiting[slot].next = -1
        let last = unsafe flows[number].last
        if last >= 0 { unsafe waiting[last].next = slot } else { unsafe flows[number].first = slot }
        unsafe flows[number].last = slot
        unsafe flows[number].count &+= 1
        unsafe flows[number].octets &+= length
        count &+= 1
        octets &+= length
        return true
    }

    /// The slot whose turn it is; below 0: nothing waits. The same until it is taken out.
    @_noLocks
    mutating func next() -> Int {
        while firstActive >= 0 {
            let number = firstActive
            if unsafe flows[number].deficit > 0 { return unsafe flows[number].first }
            unsafe flows[number].deficit &+= Self.quantum
            guard number != lastActive else { continue }
            firstActive = unsafe flows[number].next
            unsafe flows[number].next = -1
            unsafe flows[lastActive].next = number
            lastActive = number
        }
        return -1
    }

    /// Takes out the slot that `next` gave: its packet has left.
    @_noLocks
    mutating func takeNext() {
        guard firstActive >= 0 else { return }
        let slot = removeFirst(of: firstActive)
        guard slot >= 0 else { return }
        unsafe flows[firstActive].deficit &-= waiting[slot].length
        if unsafe flows[firstActive].count == 0 { retire(firstActive, behind: -1) }
    }

    /// Takes out the oldest packet of the flow that has most waiting, by octets or by packets. Returns its slot and its flow; nil: nothing waits.
    @_noLocks
    mutating func dropFromLongest(byOctets: Bool) -> (slot: Int, flow: Int)? {
        var (longest, behind, most) = (-1, -1, 0)
        var (number, last) = (firstActive, -1)
        while number >= 0 {
            let size = unsafe byOctets ? flows[number].octets : flows[number].count
            if size > most { (longest, behind, most) = (number, last, size) }
            last = number
            number = unsafe flows[number].next
        }
        guard longest >= 0 else { return nil }
        let key = unsafe flows[longest].key
        let slot = removeFirst(of: longest)
        if unsafe flows[longest].count == 0 { retire(longest, behind: behind) }
        return slot >= 0 ? (slot, key) : nil
    }

    @_noLocks
    private mutating func removeFirst(of number: Int) -> Int {
        let slot = unsafe flows[number].first
        guard slot >= 0 else { return -1 }
        let length = unsafe waiting[slot].length
        unsafe flows[number].first = waiting[slot].next
        if unsafe flows[number].first < 0 { unsafe flows[number].last = -1 }
        unsafe flows[number].count &-= 1
        unsafe flows[number].octets &-= length
        count &-= 1
        octets &-= length
        return slot
    }

    /// The flow of a key, new at the end of the round where it has none; below 0: there is no room.
    @_noLocks
    private mutating func flow(_ key: Int) -> Int {
        let bucket = Self.bucket(key)
        var number = unsafe buckets[bucket]
        while number >= 0 {
            if unsafe flows[number].key == key { return number }
            number = unsafe flows[number].sibling
        }
        guard firstFree >= 0 else { return -1 }
        number = firstFree
        firstFree = unsafe flows[number].next
        var fresh = Flow()
        fresh.key = key
        fresh.deficit = Self.quantum
        fresh.sibling = unsafe buckets[bucket]
        unsafe flows[number] = fresh
        unsafe buckets[bucket] = number
        if lastActive >= 0 { unsafe flows[lastActive].next = number } else { firstActive = number }
        lastActive = number
        return number
    }

    /// Ends a flow that has nothing left; `behind`: the one before it in the round.
    @_noLocks
    private mutating func retire(_ number: Int, behind: Int) {
        let next = unsafe flows[number].next
        if behind >= 0 { unsafe flows[behind].next = next } else { firstActive = next }
        if lastActive == number { lastActive = behind }
        let bucket = unsafe Self.bucket(flows[number].key)
        if unsafe buckets[bucket] == number {
            unsafe buckets[bucket] = flows[number].sibling
        } else {
            var other = unsafe buckets[bucket]
            while other >= 0, unsafe flows[other].sibling != number { other = unsafe flows[other].sibling }
            if other >= 0 { unsafe flows[other].sibling = flows[number].sibling }
        }
        unsafe flows[number].next = firstFree
        firstFree = number
    }

    @_noLocks
    private static func bucket(_ key: Int) -> Int {
        Int(truncatingIfNeeded: (UInt64(truncatingIfNeeded: key) &* 0x9e37_79b9_7f4a_7c15) >> 55)
    }
}

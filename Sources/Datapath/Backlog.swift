internal import ESP
internal import LinuxIO
internal import Wire

/// Packets from the private side that wait because several clients together are sent more than leaves: one client at line rate cannot starve the
/// others. Only then: the kernel's queue drops whoever comes last, so it is read ahead, and who has most waiting here loses his oldest.
struct Backlog: ~Copyable {
    private(set) var queue = FairQueue(capacity: Backlog.capacity)
    var pool: Batch
    private var free = InlineArray<256, Int>(repeating: 0)
    private var freeCount = 0
    /// Of the packet whose turn it is.
    var cursor = WorkerCore.Cursor()
    /// Several clients had a part in one full read not long before.
    private var contendedUntil: Instant?
    private var turn = Backlog.longestTurn
    /// When the last turn began that left packets behind.
    private var lastTurn: Instant?

    /// Packets, and octets, that wait at the most: what leaves within some milliseconds.
    static var capacity: Int { @_noLocks get { 256 } }
    static var mostOctets: Int { @_noLocks get { 4 << 20 } }
    /// Reads before something must leave, and octets that leave before the next read.
    static var readsAhead: Int { 8 }
    static var longestTurn: Int { 256 << 10 }
    static var shortestTurn: Int { 32 << 10 }

    init() {
        pool = Batch(capacity: Self.capacity, room: 65_535)
        for slot in 0..<Self.capacity {
            _ = pool.append(length: 0)
            giveBack(slot)
        }
    }

    var isEmpty: Bool { @_noLocks get { queue.count == 0 } }

    /// Whether a full read was of several flows within the last second: who asks four times a second still finds a short queue.
    mutating func isContended(_ isSeen: Bool, now: Instant) -> Bool {
        if isSeen { contendedUntil = now + .seconds(1) }
        guard let contendedUntil else { return false }
        return now < contendedUntil
    }

    /// Octets of the turn that begins: fewer where the last ones took long, as with ciphers that are slow. Meanwhile nobody reads what comes.
    mutating func nextTurn(now: Instant) -> Int {
        if let lastTurn {
            let took = now - lastTurn
            if took > .milliseconds(4) { turn = max(turn / 2, Self.shortestTurn) }
            if took < .milliseconds(1) { turn = min(turn * 2, Self.longestTurn) }
        }
        lastTurn = now
        return turn
    }

    /// Tells of the end of a turn: who leaves nothing behind may sleep before the next.
    mutating func endTurn() {
        if isEmpty { lastTurn = nil }
    }

    /// A free slot for a packet; below 0: none.
    @_noLocks
    mutating func takeFree() -> Int {
        guard freeCount > 0 else { return -1 }
        freeCount &-= 1
        return free[freeCount]
    }

    @_noLocks
    mutating func giveBack(_ slot: Int) {
        guard freeCount < Self.capacity else { return }
        free[freeCount] = slot
        freeCount &+= 1
    }

    @_noLocks
    mutating func push(_ slot: Int, flow: Int, length: Int) -> Bool {
        guard queue.push(slot, flow: flow, length: length) else {
            giveBack(slot)
            return false
        }
        return true
    }

    @_noLocks
    mutating func next() -> Int { queue.next() }

    /// The packet whose turn it was has left.
    @_noLocks
    mutating func takeNext(_ slot: Int) {
        queue.takeNext()
        cursor = WorkerCore.Cursor()
        giveBack(slot)
    }

    /// Makes room for so many octets; the flow and the slot of the packet that had to go, nil where none need. No packet is half sent at the time.
    @_noLocks
    mutating func makeRoom(_ length: Int) -> (flow: Int, slot: Int)? {
        let isShort = freeCount == 0
        guard isShort || queue.octets &+ length > Self.mostOctets, let lost = queue.dropFromLongest(byOctets: !isShort) else { return nil }
        giveBack(lost.slot)
        return (lost.flow, lost.slot)
    }
}

extension WorkerCore {
    /// Whose packet it is: the number of a tunnel of ours; below 0: another worker's, or nobody's.
    @_noLocks
    private func flow(_ octets: PacketView, interface: Int) -> Int {
        guard octets.count >= 40 || octets.count >= 20 && octets.u8(0) >> 4 == 4 else { return -1 }
        let isIPv6 = octets.u8(0) >> 4 == 6
        let destination = isIPv6 ? UInt128(octets.u64(24)) << 64 | UInt128(octets.u64(32)) : UInt128(octets.u32(16))
        guard let target = target(of: destination, isIPv6: isIPv6, interface: interface) else { return -1 }
        return target.worker == index ? target.tunnel : -2 &- target.worker
    }

    /// Whether packets of several flows are in the batch, or are to be awaited: while the kernel's queue is full of one client's, another's do not even
    /// come in, but he who asked for them was heard.
    @_noLocks
    func hasSeveralFlows(_ batch: borrowing Batch, interface: Int, now: Instant) -> Bool {
        var (first, entry) = (Int.min, 0)
        while entry < batch.count {
            if batch[entry].length > 0 {
                let key = unsafe flow(PacketView(batch.octets(entry)), interface: interface)
                if first == Int.min { first = key } else if first != key { return true }
            }
            entry &+= 1
        }
        return first != Int.min && sad.hasTalker(besides: first, now: now)
    }

    /// Copies what was read to where it waits for its turn. What that pushes out is counted.
    @_noLocks
    mutating func queue(_ batch: borrowing Batch, in backlog: inout Backlog, interface: Int) {
        var index = 0
        while index < batch.count {
            let entry = batch[index]
            if entry.length > 0 { queue(entry, unsafe PacketView(batch.octets(index)), in: &backlog, interface: interface) }
            index &+= 1
        }
    }

    @_noLocks
    private mutating func queue(_ entry: Batch.Entry, _ octets: PacketView, in backlog: inout Backlog, interface: Int) {
        while let lost = backlog.makeRoom(entry.length) {
            var left = unsafe Segmentation.count(PacketView(backlog.pool.octets(lost.slot)), backlog.pool[lost.slot].offload)
            while left > 0 {
                sad.refuse(.queueFull, tunnel: lost.flow)
                left &-= 1
            }
        }
        let slot = backlog.takeFree()
        guard slot >= 0 else { return sad.count(.queueFull) }
        let start = backlog.pool[slot].start
        guard backlog.pool.place(slot, start: start, length: entry.length),
            unsafe PacketView(backlog.pool.octets(slot)).copy(from: octets, 0, to: 0, entry.length)
        else {
            backlog.giveBack(slot)
            return sad.count(.queueFull)
        }
        guard backlog.push(slot, flow: flow(octets, interface: interface), length: entry.length) else { return sad.count(.queueFull) }
        backlog.pool[slot].offload = entry.offload
        backlog.pool[slot].tag = UInt64(truncatingIfNeeded: interface)
    }

    /// Seals what has its turn, until `left` octets are used up. False when `out` or `replies` is full: send both, empty them, call again.
    mutating func depart(
        _ backlog: inout Backlog, _ out: inout Batch, _ replies: inout Batch, left: inout Int, now: Instant
    ) -> Bool {
        if out.isEmpty { departures.removeAll() }
        let isDone = departWaiting(&backlog, &out, &replies, left: &left, now: now)
        sealAll(&out)
        return isDone
    }

    @_noLocks
    private mutating func departWaiting(
        _ backlog: inout Backlog, _ out: inout Batch, _ replies: inout Batch, left: inout Int, now: Instant
    ) -> Bool {
        while left > 0 {
            let slot = backlog.next()
            guard slot >= 0 else { return true }
            let entry = backlog.pool[slot]
            let octets = unsafe PacketView(backlog.pool.octets(slot))
            guard
                depart(
                    octets, entry.offload, &out, &replies, &backlog.cursor, interface: Int(truncatingIfNeeded: entry.tag), hops: 0, now: now)
            else { return false }
            // A short packet costs more than its octets
            left &-= entry.length < 512 ? 512 : entry.length
            backlog.takeNext(slot)
        }
        return true
    }
}

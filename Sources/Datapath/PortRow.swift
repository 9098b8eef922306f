package import LinuxIO

/// The ports of one thread, by number.
@safe
package struct PortRow<Port: PacketPort & ~Copyable>: ~Copyable, @unchecked Sendable {
    private let ports: UnsafeMutablePointer<Port>
    package let capacity: Int
    package private(set) var count = 0

    /// Room for `capacity` ports, 64 at most.
    package init(capacity: Int) {
        self.capacity = min(max(capacity, 1), 64)
        unsafe ports = .allocate(capacity: self.capacity)
    }

    deinit {
        unsafe ports.deinitialize(count: count)
        unsafe ports.deallocate()
    }

    /// False when the row is full: the port is closed then.
    package mutating func append(_ port: consuming Port) -> Bool {
        guard count < capacity else { return false }
        unsafe (ports + count).initialize(to: port)
        count += 1
        return true
    }

    package func descriptor(_ index: Int) -> Int32 {
        index >= 0 && index < count ? unsafe ports[index].descriptor : -1
    }

    package func counters(_ index: Int) -> PortCounters {
        index >= 0 && index < count ? unsafe ports[index].counters : PortCounters()
    }

    package func offloads(_ index: Int) -> SegmentOffloads {
        index >= 0 && index < count ? unsafe ports[index].offloads : []
    }

    package mutating func receive(_ index: Int, into batch: inout Batch) throws(SystemError) -> Int {
        guard index >= 0, index < count else { return 0 }
        return try unsafe ports[index].receive(into: &batch)
    }

    package mutating func send(_ index: Int, _ batch: borrowing Batch, from first: Int) throws(SystemError) -> Int {
        guard index >= 0, index < count else { return batch.count }
        return try unsafe ports[index].send(batch, from: first)
    }

    /// Hands each entry to the port that the low 6 bits of its tag name; entries of length 0 are passed over. `sent` is told of each entry that a
    /// port took, all or but for `unsent` packets, `lost` of each that it had no room for. Empties the batch.
    package mutating func distribute(
        _ batch: inout Batch, sent: (borrowing Batch.Entry) -> Void, lost: (borrowing Batch.Entry) -> Void
    ) throws(SystemError) {
        guard !batch.isEmpty else { return }
        // Which ports the batch is for, and whether it is one alone: nearly always
        var wanted: UInt64 = 0
        for index in 0..<batch.count where batch[index].length > 0 { wanted |= 1 << (batch[index].tag & 63) }
        if count == 1 || wanted.nonzeroBitCount == 1 {
            let end = try send(count == 1 ? 0 : wanted.trailingZeroBitCount, batch, from: 0)
            for index in 0..<batch.count where batch[index].length > 0 {
                if index < end { sent(batch[index]) } else { lost(batch[index]) }
            }
            batch.removeAll()
            return
        }
        // Each port in turn sees a batch in which only its own entries have a length
        for port in 0..<count where wanted & (1 << UInt64(port)) != 0 {
            var saved = InlineArray<1024, (start: Int, length: Int)>(repeating: (0, 0))
            var own = 0
            for index in 0..<batch.count {
                let entry = batch[index]
                saved[index] = (entry.start, entry.length)
                if entry.tag & 63 == UInt64(port) {
                    if entry.length > 0 { own += 1 }
                } else {
                    _ = batch.place(index, start: entry.start, length: 0)
                }
            }
            guard own > 0 else {
                for index in 0..<batch.count { _ = batch.place(index, start: saved[index].start, length: saved[index].length) }
                continue
            }
            let end = try send(port, batch, from: 0)
            for index in 0..<batch.count {
                if batch[index].length > 0 {
                    if index < end { sent(batch[index]) } else { lost(batch[index]) }
                }
                _ = batch.place(index, start: saved[index].start, length: saved[index].length)
            }
        }
        batch.removeAll()
    }
}

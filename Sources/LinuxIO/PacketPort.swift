/// Where packets come in and go out, many at a time. A port belongs to one thread and never blocks.
package protocol PacketPort: ~Copyable {
    /// What a poller waits on; negative when there is nothing to poll (a port in memory).
    var descriptor: Int32 { get }

    /// What the kernel does here with many packets in one.
    var offloads: SegmentOffloads { get }

    /// What has passed and what was lost here so far.
    var counters: PortCounters { get }

    /// Fills the batch, which is emptied first, with what is waiting. Returns the number of entries; 0 when nothing is waiting.
    /// Throws when the port itself is broken, never because of one packet.
    mutating func receive(into batch: inout Batch) throws(SystemError) -> Int

    /// Sends the entries from `first` on, passing over those of length 0. Returns the index of the first entry not dealt with:
    /// `batch.count` when all are, less when the port has no room now (wait until it is writable, or drop them).
    /// A packet that the kernel refuses is counted in `counters.refused` and passed over; what of an entry was not sent is its `unsent`, which also tells
    /// of the entry that there was room for in part. Throws when the port itself is broken.
    mutating func send(_ batch: borrowing Batch, from first: Int) throws(SystemError) -> Int
}

extension PacketPort where Self: ~Copyable {
    package var offloads: SegmentOffloads { [] }

    /// Sends all entries; see `send(_:from:)`.
    package mutating func send(_ batch: borrowing Batch) throws(SystemError) -> Int {
        try send(batch, from: 0)
    }
}

/// What has passed a port. One writer, the port's thread.
package struct PortCounters: Equatable, Sendable {
    /// Entries received and sent; an entry of many segments is one.
    package var received: UInt64 = 0
    package var sent: UInt64 = 0
    /// Received entries longer than the batch's room: cut off by the kernel, so dropped here.
    package var oversized: UInt64 = 0
    /// Packets that the kernel would not send (no route, too long, filtered), and the last errno of those.
    package var refused: UInt64 = 0
    package var lastRefusal: Int32 = 0

    package init() {}
}

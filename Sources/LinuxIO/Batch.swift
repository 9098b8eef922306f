package import Wire

/// Packets on their way between two ports, in one region of memory: `capacity` slots, each `headroom | room | tailroom`.
///
/// A port fills slots behind the headroom; protocol code works in place, moves the bounds of an entry inside its slot, and hands the same
/// batch to the next port. An entry may hold many equal segments (`segmentSize`), up to 64 KiB, where the slots were made that large.
/// Nothing here allocates after `init`. A batch has one owner; it may be moved to another thread.
@safe
package struct Batch: ~Copyable, @unchecked Sendable {
    /// One packet, or several equal ones in a row.
    package struct Entry: Sendable {
        /// Where the first octet lies, from the beginning of the slot.
        package fileprivate(set) var start: Int
        /// Octets; 0 says that there is nothing to send.
        package fileprivate(set) var length: Int
        /// Octets of every segment but the last, which may be shorter; 0 when the entry is one packet.
        package var segmentSize: Int
        /// Whom it came from or goes to (UDP only).
        package var peer: Endpoint
        /// Our end (UDP only).
        package var local: Endpoint
        /// The TOS octet or Traffic Class of the outer header: DSCP and ECN.
        package var trafficClass: UInt8
        /// The kernel put it together from IP fragments (features.md DP-6).
        package var wasFragmented = false
        /// What the kernel left to us, or we leave to it (TUN devices only).
        package var offload = OffloadHeader()
        /// Packets at the end of it that the port did not take, where it took others or says why: set by ports that send.
        package fileprivate(set) var unsent: UInt16 = 0
        /// For whoever works on the batch: a worker's mark between two passes. Ports set it to 0 and never read it.
        package var tag: UInt64

        /// Whether several segments stand in a row.
        package var isSegmented: Bool { @_noLocks get { segmentSize > 0 && segmentSize < length } }
        /// Packets that the entry stands for: of one from outside, or one that we made. Of one that a device gave, the packet itself says it.
        package var packetCount: Int {
            @_noLocks get {
                if isSegmented { return (length &+ segmentSize &- 1) / segmentSize }
                let payload = length &- Int(offload.headerLength)
                guard offload.kind != 0, offload.segmentSize > 0, payload > 0 else { return 1 }
                return (payload &+ Int(offload.segmentSize) &- 1) / Int(offload.segmentSize)
            }
        }
    }

    /// Slots.
    package let capacity: Int
    /// Octets before received content.
    package let headroom: Int
    /// Octets that one receive may fill.
    package let room: Int
    /// Octets behind the room, for trailers.
    package let tailroom: Int
    /// Octets from one slot to the next.
    package let slotSize: Int
    /// Entries in use, from slot 0 on.
    package private(set) var count = 0
    /// Whether the port that filled it left off before it was empty, though slots were left.
    package internal(set) var leavesMore = false
    /// Octets after which a port leaves off, give or take an entry: they are sealed or opened while they still are in the core's cache.
    static var mostOctets: Int { 256 << 10 }

    private let entries: UnsafeMutablePointer<Entry>
    private let region: UnsafeMutableRawPointer

    private let inPlace = InPlace()

    /// The endpoint of an entry that was given none; sending to it is refused by the kernel.
    private let nowhere = Endpoint(IPAddress(v4: 0), port: 0)

    /// Memory for `capacity` packets (1 to 1024) of up to `room` octets. Pages are touched only when a packet reaches them.
    package init(capacity: Int, room: Int, headroom: Int = 128, tailroom: Int = 64) {
        self.capacity = min(max(capacity, 1), 1024)
        self.room = max(room, 64)
        self.headroom = max(headroom, 0)
        self.tailroom = max(tailroom, 0)
        slotSize = (self.headroom + self.room + self.tailroom + 63) / 64 * 64
        unsafe entries = .allocate(capacity: self.capacity)
        let empty = Entry(start: self.headroom, length: 0, segmentSize: 0, peer: nowhere, local: nowhere, trafficClass: 0, tag: 0)
        unsafe entries.initialize(repeating: empty, count: self.capacity)
        unsafe region = .allocate(byteCount: slotSize * self.capacity, alignment: 64)
    }

    deinit {
        unsafe entries.deinitialize(count: capacity)
        unsafe entries.deallocate()
        unsafe region.deallocate()
    }

    /// Whether no slot is left.
    package var isFull: Bool { @_noLocks get { count == capacity } }
    package var isEmpty: Bool { @_noLocks get { count == 0 } }

    /// The entry at `index`, which must be below `count` (a programming error otherwise), in place: asking for one field copies that alone. Its bounds
    /// change through `place` only.
    package subscript(index: Int) -> Entry {
        @_noLocks unsafeAddress {
            precondition(index >= 0 && index < count, "no such entry in the batch")
            return unsafe UnsafePointer(entries + index)
        }
        @_noLocks unsafeMutableAddress {
            precondition(index >= 0 && index < count, "no such entry in the batch")
            return unsafe entries + index
        }
    }

    /// The octets of an entry, in place.
    @_noLocks
    package borrowing func octets(_ index: Int) -> UnsafeMutableRawBufferPointer {
        precondition(index >= 0 && index < count, "no such entry in the batch")
        let entry = unsafe entries[index]
        return unsafe UnsafeMutableRawBufferPointer(start: region + (index * slotSize + entry.start), count: entry.length)
    }

    /// The whole slot of an entry: headroom, content, tailroom.
    @_noLocks
    package borrowing func slot(_ index: Int) -> UnsafeMutableRawBufferPointer {
        precondition(index >= 0 && index < count, "no such entry in the batch")
        return unsafe UnsafeMutableRawBufferPointer(start: region + index * slotSize, count: slotSize)
    }

    /// Sets where an entry's content lies in its slot. False, and nothing changed, when it would not fit: lengths may come from a peer.
    @_noLocks
    package mutating func place(_ index: Int, start: Int, length: Int) -> Bool {
        precondition(index >= 0 && index < count, "no such entry in the batch")
        guard start >= 0, length >= 0, start <= slotSize, length <= slotSize - start else { return false }
        unsafe entries[index].start = start
        unsafe entries[index].length = length
        return true
    }

    /// Says that a port did not take the last `packets` of an entry. Sending only borrows a batch: nothing of what is sent changes.
    @_noLocks
    package borrowing func leave(_ index: Int, unsent packets: Int) {
        precondition(index >= 0 && index < count, "no such entry in the batch")
        unsafe entries[index].unsent = UInt16(truncatingIfNeeded: packets)
    }

    /// Takes the next free slot for content of `length` octets behind the headroom; nil when none is left or the content would not fit.
    @_noLocks
    package mutating func append(length: Int) -> Int? {
        guard count < capacity, length >= 0, length <= slotSize - headroom else { return nil }
        let index = count
        unsafe entries[index] = Entry(
            start: headroom, length: length, segmentSize: 0, peer: nowhere, local: nowhere, trafficClass: 0, tag: 0)
        count = index + 1
        return index
    }

    /// Copies octets into the next free slot; nil when none is left or they do not fit.
    @_noLocks
    package mutating func append(copying octets: UnsafeRawBufferPointer, to peer: Endpoint, from local: Endpoint) -> Int? {
        guard let index = append(length: octets.count) else { return nil }
        if octets.count > 0, let source = octets.baseAddress {
            unsafe (region + (index * slotSize + headroom)).copyMemory(from: source, byteCount: octets.count)
        }
        unsafe entries[index].peer = peer
        unsafe entries[index].local = local
        return index
    }

    /// Where a port puts the next content: behind the headroom of slot `index`, which need not be in use yet but below `capacity`.
    borrowing func receiveBuffer(_ index: Int) -> UnsafeMutableRawPointer {
        precondition(index >= 0 && index < capacity, "no such slot in the batch")
        return unsafe region + (index * slotSize + headroom)
    }

    /// Takes up what a port has put into the next free slot; at most `slotSize - headroom` octets.
    mutating func admit(
        length: Int, segmentSize: Int, peer: Endpoint, local: Endpoint, trafficClass: UInt8, wasFragmented: Bool = false,
        offload: OffloadHeader = OffloadHeader()
    ) {
        precondition(count < capacity && length >= 0 && length <= slotSize - headroom, "more than a slot of the batch holds")
        unsafe entries[count] = Entry(
            start: headroom, length: length, segmentSize: segmentSize, peer: peer, local: local, trafficClass: trafficClass,
            wasFragmented: wasFragmented, offload: offload, tag: 0)
        count += 1
    }

    /// The endpoint of packets that have none.
    var noEndpoint: Endpoint { nowhere }

    /// Forgets the last entry.
    @_noLocks
    package mutating func removeLast() {
        if count > 0 { count -= 1 }
    }

    /// Forgets all entries.
    @_noLocks
    package mutating func removeAll() {
        count = 0
        leavesMore = false
    }
}

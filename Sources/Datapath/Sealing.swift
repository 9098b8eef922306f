internal import ESP
internal import GatewayCrypto
internal import LinuxIO
internal import Wire

/// Departures of one pass that lie in their places with number, IV and trailer, and are sealed together: what the multi-buffer engine is quick at.
@safe
struct Sealing: ~Copyable, @unchecked Sendable {
    struct Item {
        let slot: Int
        let tunnel: Int
        /// The entry of the outgoing batch.
        let place: Int
        let lane: Lane
        let prepared: OutboundSA.Prepared
        /// Of the batch; below 0: sealed alone.
        var ticket = -1
    }

    private let items: UnsafeMutablePointer<Item>
    private(set) var count = 0
    var lanes = Lanes()
    var records: RecordBatch
    /// Packets that were sealed in batches so far.
    private(set) var together: UInt64 = 0

    /// As many as stay near the processor: 180 KB of full packets.
    static var capacity: Int { @_noLocks get { 128 } }

    init(engine: CryptoEngine) {
        unsafe items = .allocate(capacity: Self.capacity)
        records = RecordBatch(atMost: Self.capacity, engine: engine)
    }

    deinit { unsafe items.deallocate() }

    var isFull: Bool { @_noLocks get { count == Self.capacity } }

    /// The item at `index`, which is below `count`.
    subscript(index: Int) -> Item {
        @_noLocks get { unsafe items[index] }
    }

    /// False when there is no room.
    @_noLocks
    mutating func add(_ item: Item) -> Bool {
        guard count < Self.capacity else { return false }
        unsafe (items + count).initialize(to: item)
        count &+= 1
        lanes.add(item.lane)
        return true
    }

    @_noLocks
    mutating func give(_ ticket: Int, to index: Int) {
        unsafe items[index].ticket = ticket
        together &+= 1
    }

    @_noLocks
    mutating func removeAll() {
        records.removeAll()
        lanes = Lanes()
        count = 0
    }
}

extension WorkerCore {
    /// Numbers a packet and seals it, or leaves that for the end of the pass where others make it cheaper: not that of one that is cut afterwards. Returns
    /// the ESP packet's length. A refusal is counted.
    @_noLocks
    mutating func seal(
        slot: Int, tunnel: Int, _ out: inout Batch, place: Int, offset: Int, length: Int, nextHeader: UInt8, isCut: Bool
    ) throws(Drop) -> Int {
        let lane = sad.lane(ofSlot: slot)
        let buffer = unsafe PacketView(out.slot(place))
        // What others make no cheaper, in one
        if lane.isNone { return try sad.seal(slot: slot, buffer, offset: offset, length: length, nextHeader: nextHeader) }
        let prepared = try sad.prepare(slot: slot, buffer, offset: offset, length: length, nextHeader: nextHeader)
        if !isCut, sealing.add(Sealing.Item(slot: slot, tunnel: tunnel, place: place, lane: lane, prepared: prepared)) {
            return prepared.packet.count
        }
        guard sad.seal(slot: slot, prepared) else {
            sad.refuse(.cipher, tunnel: tunnel)
            throw .cipher
        }
        return prepared.packet.count
    }

    /// Seals what waits: before a packet of it leaves, is moved, or its Child SA goes.
    @_noLocks
    mutating func sealAll(_ out: inout Batch) {
        guard sealing.count > 0 else { return }
        var index = 0
        while index < sealing.count {
            let item = sealing[index]
            if sealing.lanes.takes(item.lane), let ticket = sad.seal(slot: item.slot, item.prepared, in: &sealing.records) {
                sealing.give(ticket, to: index)
            } else if !sad.seal(slot: item.slot, item.prepared) {
                withdraw(item, &out)
            }
            index &+= 1
        }
        sealing.records.flush()
        if !sealing.records.allSucceeded {
            index = 0
            while index < sealing.count {
                let item = sealing[index]
                if item.ticket >= 0, !sealing.records.succeeded(item.ticket) { withdraw(item, &out) }
                index &+= 1
            }
        }
        sealing.removeAll()
    }

    /// Takes an entry out with all that stands in it: what is not sealed leaves for nobody.
    @_noLocks
    private mutating func withdraw(_ item: Sealing.Item, _ out: inout Batch) {
        let entry = out[item.place]
        guard entry.length > 0 else { return }
        var left = entry.packetCount
        while left > 0 {
            sad.refuse(.cipher, tunnel: item.tunnel)
            left &-= 1
        }
        _ = out.place(item.place, start: entry.start, length: 0)
        departures.end(item.tunnel)
    }
}

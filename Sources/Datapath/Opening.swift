internal import ESP
internal import GatewayCrypto
internal import LinuxIO
internal import Wire

/// Packets of one read from outside that are opened together, and then judged in the order in which they came.
@safe
struct Opening: ~Copyable, @unchecked Sendable {
    enum State {
        /// Opened when its turn comes.
        case alone
        case begun(SAD.Opening)
        /// Counted already.
        case refused
    }

    struct Item {
        let packet: PacketView
        /// The entry of the received batch.
        let entry: Int
        let slot: Int
        let lane: Lane
        var state = State.alone
    }

    private let items: UnsafeMutablePointer<Item>
    private(set) var count = 0
    /// Whose turn it is.
    private(set) var next = 0
    /// Whether the batch was given what is for it, and flushed.
    var isBegun = false
    var lanes = Lanes()
    var records: RecordBatch
    /// Packets that were opened in batches so far.
    private(set) var together: UInt64 = 0

    init(engine: CryptoEngine) {
        unsafe items = .allocate(capacity: Sealing.capacity)
        records = RecordBatch(atMost: Sealing.capacity, engine: engine)
    }

    deinit { unsafe items.deallocate() }

    var isEmpty: Bool { @_noLocks get { count == 0 } }
    var isFull: Bool { @_noLocks get { count == Sealing.capacity } }

    /// The item at `index`, which is below `count`.
    subscript(index: Int) -> Item {
        @_noLocks get { unsafe items[index] }
    }

    /// There is room.
    @_noLocks
    mutating func add(_ item: Item) {
        guard count < Sealing.capacity else { return }
        unsafe (items + count).initialize(to: item)
        count &+= 1
        lanes.add(item.lane)
    }

    @_noLocks
    mutating func set(_ state: State, at index: Int) {
        unsafe items[index].state = state
        if case .begun = state { together &+= 1 }
    }

    @_noLocks
    mutating func takeNext() -> Item {
        next &+= 1
        return unsafe items[next &- 1]
    }

    @_noLocks
    mutating func removeAll() {
        records.removeAll()
        lanes = Lanes()
        count = 0
        next = 0
        isBegun = false
    }
}

extension WorkerCore {
    /// Opens what waits and hands it on in order. False when `arrivals` is full: what is left goes on with the next call.
    @_noLocks
    mutating func openAll(_ batch: borrowing Batch, _ arrivals: inout Batch, now: Instant) -> Bool {
        if !opening.isBegun {
            beginAll()
            opening.isBegun = true
        }
        while opening.next < opening.count {
            guard !arrivals.isFull else { return false }
            let item = opening.takeNext()
            let entry = batch[item.entry]
            do throws(Drop) {
                switch item.state {
                case .alone:
                    let delivery = try sad.open(
                        item.packet, slot: item.slot, from: entry.peer, at: entry.local, trafficClass: entry.trafficClass, now: now)
                    deliver(item.packet, delivery, &arrivals)
                case .begun(let pending):
                    let delivery = try sad.finish(
                        item.packet, pending, in: opening.records, from: entry.peer, at: entry.local, trafficClass: entry.trafficClass, now: now)
                    deliver(item.packet, delivery, &arrivals)
                case .refused: break
                }
            } catch {
                // Counted where it was found
            }
        }
        opening.removeAll()
        return true
    }

    @_noLocks
    private mutating func beginAll() {
        var index = 0
        while index < opening.count {
            let item = opening[index]
            if opening.lanes.takes(item.lane) {
                do throws(Drop) {
                    opening.set(.begun(try sad.begin(item.packet, slot: item.slot, in: &opening.records)), at: index)
                } catch {
                    opening.set(.refused, at: index)
                }
            }
            index &+= 1
        }
        opening.records.flush()
    }
}

import Wire

/// Every address of a pool that is or was in use, with its owner. All operations take constant time.
///
/// A slot stands in at most one of three queues, oldest first (resting: given back, nobody else's yet; held: kept for its identity;
/// recycled: anybody's), and, while resting or held, in the list of its identity, newest first.
struct LeaseTable: Sendable {
    enum Phase: Int, Sendable, CaseIterable { case live, resting, held, recycled }

    struct Slot: Sendable {
        let address: IPAddress
        var identity: String
        var phase: Phase
        var session: LeaseSession?
        /// The disk has it that the address is, or was last, this identity's.
        var isStored = false
        /// When it was given back; in a queue, never earlier than that of the slot before.
        var releasedAt: Instant
        fileprivate var queue = Links()
        fileprivate var siblings = Links()
    }

    fileprivate struct Links: Sendable {
        var before = -1
        var after = -1
    }

    private struct Queue: Sendable {
        var first = -1
        var last = -1
        var count = 0
    }

    private var slots: [Slot] = []
    /// Places of `slots` whose address was dropped.
    private var vacant: [Int] = []
    private var index: [IPAddress: Int] = [:]
    private var queues = [Queue](repeating: Queue(), count: Phase.allCases.count)
    private var newestOfIdentity: [String: Int] = [:]

    /// Addresses in the table.
    var count: Int { index.count }
    func count(_ phase: Phase) -> Int { queues[phase.rawValue].count }
    func find(_ address: IPAddress) -> Int? { index[address] }
    subscript(slot: Int) -> Slot { slots[slot] }

    /// The slot that was given back first, of those in this phase.
    func oldest(_ phase: Phase) -> Int? {
        let first = queues[phase.rawValue].first
        return first < 0 ? nil : first
    }

    /// The slot that this identity gave back last and that is still kept for it.
    func newest(of identity: String) -> Int? { newestOfIdentity[identity] }

    /// Puts an address that is not in the table into it, recycled, as the newest.
    mutating func add(_ address: IPAddress, at now: Instant) -> Int {
        let slot = Slot(address: address, identity: "", phase: .recycled, session: nil, releasedAt: now)
        let place: Int
        if let reused = vacant.popLast() {
            place = reused
            slots[place] = slot
        } else {
            place = slots.count
            slots.append(slot)
        }
        index[address] = place
        enqueue(place)
        return place
    }

    /// Gives the slot to a session.
    mutating func assign(_ place: Int, identity: String, session: LeaseSession) {
        dequeue(place)
        if slots[place].identity != identity { slots[place].isStored = false }
        slots[place].identity = identity
        slots[place].session = session
        slots[place].phase = .live
        enqueue(place)
    }

    /// The record of its owner is on the disk.
    mutating func stored(_ place: Int) { slots[place].isStored = true }

    /// From live to resting: kept for its identity, nobody else's yet.
    mutating func rest(_ place: Int, at now: Instant) {
        dequeue(place)
        slots[place].session = nil
        slots[place].phase = .resting
        slots[place].releasedAt = now
        enqueue(place)
    }

    /// From resting to held.
    mutating func hold(_ place: Int) {
        dequeue(place)
        slots[place].phase = .held
        enqueue(place)
    }

    /// To nobody's.
    mutating func recycle(_ place: Int) {
        dequeue(place)
        slots[place].identity = ""
        slots[place].phase = .recycled
        enqueue(place)
    }

    /// Takes the address out of the table.
    mutating func drop(_ place: Int) {
        dequeue(place)
        index[slots[place].address] = nil
        slots[place].identity = ""
        vacant.append(place)
    }

    /// Every slot in this phase, oldest first.
    func all(_ phase: Phase) -> [Int] {
        var found: [Int] = []
        found.reserveCapacity(count(phase))
        var place = queues[phase.rawValue].first
        while place >= 0 {
            found.append(place)
            place = slots[place].queue.after
        }
        return found
    }

    private mutating func enqueue(_ place: Int) {
        let phase = slots[place].phase
        let last = queues[phase.rawValue].last
        slots[place].queue = Links(before: last, after: -1)
        if last >= 0 { slots[last].queue.after = place } else { queues[phase.rawValue].first = place }
        queues[phase.rawValue].last = place
        queues[phase.rawValue].count += 1
        guard phase == .resting || phase == .held else { return }
        let identity = slots[place].identity
        let newest = newestOfIdentity[identity] ?? -1
        slots[place].siblings = Links(before: -1, after: newest)
        if newest >= 0 { slots[newest].siblings.before = place }
        newestOfIdentity[identity] = place
    }

    private mutating func dequeue(_ place: Int) {
        let phase = slots[place].phase
        let links = slots[place].queue
        if links.before >= 0 { slots[links.before].queue.after = links.after } else { queues[phase.rawValue].first = links.after }
        if links.after >= 0 { slots[links.after].queue.before = links.before } else { queues[phase.rawValue].last = links.before }
        queues[phase.rawValue].count -= 1
        guard phase == .resting || phase == .held else { return }
        let siblings = slots[place].siblings
        if siblings.before >= 0 {
            slots[siblings.before].siblings.after = siblings.after
        } else {
            newestOfIdentity[slots[place].identity] = siblings.after >= 0 ? siblings.after : nil
        }
        if siblings.after >= 0 { slots[siblings.after].siblings.before = siblings.before }
    }
}

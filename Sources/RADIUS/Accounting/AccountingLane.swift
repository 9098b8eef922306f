import Wire

/// First in, first out.
struct FIFO<Element: Sendable>: Sendable {
    private var elements: [Element] = []
    private var head = 0

    var isEmpty: Bool { head == elements.count }
    var count: Int { elements.count - head }
    var first: Element? { head < elements.count ? elements[head] : nil }

    mutating func append(_ element: Element) { elements.append(element) }

    mutating func popFirst() -> Element? {
        guard let first else { return nil }
        head += 1
        if head > 64, head * 2 > elements.count {
            elements.removeFirst(head)
            head = 0
        }
        return first
    }
}

/// The records for one server policy that are in memory: those of a session one after the other, Accounting-On and -Off between all others.
/// What does not fit stays on the disk and is loaded when there is room, so a server that is away for days costs disk, not memory.
struct AccountingLane: Sendable {
    struct Entry: Sendable {
        let record: AccountingRecord
        /// How old the event was when the entry was made.
        let age: Duration
        let since: Instant
        /// Stored, or beyond storing for now.
        var isSendable: Bool
        var isReleased = false
        var isReady = false
        var isInFlight = false

        func delay(at now: Instant) -> UInt32 {
            UInt32(clamping: (now - since + age).components.seconds)
        }
    }

    /// Records in memory at most.
    static let window = 16_384
    static let longestBackOff: Duration = .seconds(30)

    /// Requests at once at most.
    var share: Int
    /// The configuration knows the policy; others keep their records.
    var isConfigured: Bool
    private(set) var entries: [AccountingRecordID: Entry] = [:]
    private var sessions: [String: FIFO<AccountingRecordID>] = [:]
    private var ready = FIFO<AccountingRecordID>()
    /// In memory, but behind an On or Off that has not arrived.
    private var held = FIFO<AccountingRecordID>()
    private var released = 0
    private var barrier: AccountingRecordID?
    private(set) var inFlight = 0
    /// Further records are on the disk, behind `newest`.
    private(set) var hasMore: Bool
    private(set) var isLoading = false
    private(set) var newest: AccountingRecordID = 0
    private(set) var failures = 0
    private var notBefore: Instant?

    init(share: Int, isConfigured: Bool, hasMore: Bool) {
        self.share = share
        self.isConfigured = isConfigured
        self.hasMore = hasMore
    }

    /// Nothing is left to deliver.
    var isEmpty: Bool { entries.isEmpty && !hasMore }

    /// Takes up a new record if there is room and nothing waits on the disk before it.
    mutating func append(_ record: AccountingRecord, as id: AccountingRecordID, at now: Instant) {
        guard !hasMore, entries.count < Self.window else {
            hasMore = true
            return
        }
        insert(record, id, age: .zero, isSendable: false, at: now)
    }

    private mutating func insert(_ record: AccountingRecord, _ id: AccountingRecordID, age: Duration, isSendable: Bool, at now: Instant) {
        entries[id] = Entry(record: record, age: age, since: now, isSendable: isSendable)
        newest = max(newest, id)
        held.append(id)
        release()
    }

    /// Lets out what no On or Off holds back any more.
    private mutating func release() {
        while barrier == nil, let id = held.first {
            guard let entry = entries[id] else {
                _ = held.popFirst()
                continue
            }
            if entry.record.kind.isBarrier {
                guard released == 0 else { return }
                barrier = id
            }
            _ = held.popFirst()
            released += 1
            entries[id]?.isReleased = true
            sessions[entry.record.subject.sessionID, default: FIFO()].append(id)
            makeReady(entry.record.subject.sessionID)
        }
    }

    /// The first record of a session may go when it is stored.
    private mutating func makeReady(_ session: String) {
        while let id = sessions[session]?.first {
            if let entry = entries[id] {
                guard entry.isSendable, !entry.isReady, !entry.isInFlight else { return }
                entries[id]?.isReady = true
                ready.append(id)
                return
            }
            _ = sessions[session]?.popFirst()
        }
        sessions[session] = nil
    }

    mutating func makeSendable(_ id: AccountingRecordID) {
        guard let entry = entries[id], !entry.isSendable else { return }
        entries[id]?.isSendable = true
        if entry.isReleased { makeReady(entry.record.subject.sessionID) }
    }

    /// The next record to send; one at a time while the server does not answer.
    mutating func take(at now: Instant) -> (AccountingRecordID, Entry)? {
        guard isConfigured, inFlight < (failures > 0 ? 1 : share), notBefore.map({ $0 <= now }) ?? true else { return nil }
        while let id = ready.popFirst() {
            guard let entry = entries[id] else { continue }
            entries[id]?.isReady = false
            entries[id]?.isInFlight = true
            inFlight += 1
            return (id, entry)
        }
        return nil
    }

    /// When something that waits may go, if that is a matter of time.
    var nextDeadline: Instant? {
        isConfigured && inFlight == 0 && !ready.isEmpty ? notBefore : nil
    }

    /// Returns whether the record was on its way.
    mutating func acknowledged(_ id: AccountingRecordID) -> Bool {
        guard let entry = entries[id], entry.isInFlight else { return false }
        failures = 0
        notBefore = nil
        inFlight -= 1
        remove(id)
        return true
    }

    /// Again, later, with what else waits before it. Returns whether the record was on its way.
    mutating func failed(_ id: AccountingRecordID, at now: Instant) -> Bool {
        guard let entry = entries[id], entry.isInFlight else { return false }
        inFlight -= 1
        entries[id]?.isInFlight = false
        entries[id]?.isReady = true
        ready.append(id)
        // those that were on their way together fail together
        if notBefore.map({ $0 <= now }) ?? true {
            failures += 1
            notBefore = now + min(.seconds(1 << Int64(min(failures - 1, 5))), Self.longestBackOff)
        }
        return true
    }

    /// Forgets a record that the spool no longer has; one that is on its way may still arrive.
    mutating func drop(_ id: AccountingRecordID) {
        guard let entry = entries[id], !entry.isInFlight else { return }
        remove(id)
    }

    private mutating func remove(_ id: AccountingRecordID) {
        guard let entry = entries.removeValue(forKey: id), entry.isReleased else { return }
        released -= 1
        if barrier == id { barrier = nil }
        makeReady(entry.record.subject.sessionID)
        release()
    }

    /// Whether to load from the disk now; the caller does.
    mutating func beginLoading() -> Bool {
        guard isConfigured, hasMore, !isLoading, entries.count <= Self.window / 2 else { return false }
        isLoading = true
        return true
    }

    /// What was loaded, in order; `isComplete`: there is no more.
    mutating func loaded(_ records: [(id: AccountingRecordID, record: AccountingRecord)], isComplete: Bool, at now: Instant, wall: UInt32) {
        isLoading = false
        hasMore = !isComplete
        for (id, record) in records where id > newest {
            let age = wall > record.eventTime ? wall - record.eventTime : 0
            insert(record, id, age: .seconds(Int64(age)), isSendable: true, at: now)
        }
    }

    /// Passes over a record that cannot be read.
    mutating func skip(_ id: AccountingRecordID) { newest = max(newest, id) }

    mutating func loadingFailed() { isLoading = false }
}

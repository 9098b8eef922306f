package import GatewayCrypto
package import Wire

/// Accounting on its way (features.md RAD-7, RAD-8): a record is stored, then sent until it is acknowledged, then removed. Pure: the driver keeps,
/// sends, counts and tells the time.
///
/// Order: the records of a session one after the other; Accounting-On after all that the run before left, and before all of this run;
/// Accounting-Off last. Each new attempt is a new transaction, with what Acct-Delay-Time has become (RFC 2866 section 5.2).
/// At most once: a session has one Start, and one Stop (threats.md I3); what a crash interrupts between acknowledgement and removal is sent again.
package struct AccountingQueue: Sendable {
    /// Records on their way at once, over all server policies.
    package static let maximumInFlight = 256
    /// Records in memory at most, for each server policy; the others wait on the disk.
    package static let window = AccountingLane.window
    /// Changes of one `.store`.
    static let batch = 1024
    /// Changes that wait for a store that refuses; beyond that, interim records are lost.
    static let maximumUnsaved = 65_536
    static let storeRetry: Duration = .seconds(5)

    private struct Live: Sendable {
        let subject: AccountingSubject
        let policy: String
        let since: Instant
        var counters = AccountingCounters()
    }

    private var lanes: [String: AccountingLane] = [:]
    /// The lanes in an order of their own, so that a run can be repeated.
    private var order: [String] = []
    private var destinations: [String: AccountingDestination] = [:]
    private var live: [String: Live] = [:]
    private var interims: InterimSchedule
    private var nextID: AccountingRecordID
    private let runID: String
    private var inFlight = 0

    private var unsaved: [SpoolChange] = []
    private var saving: [SpoolChange] = []
    private var isStoreFailing = false
    private var storeAgain: Instant?
    private var loadAgain: Instant?
    /// Policies whose records on the disk end where those that are not stored yet begin.
    private var awaitingStore: Set<String> = []
    private var failing: Set<String> = []

    private var end: Instant?
    private var isFinished = false

    package private(set) var statistics = Statistics()

    /// Takes up what the run before left: Stops for its open sessions, what waits, then Accounting-On. `wall` is seconds since 1970.
    package init(
        _ destinations: [AccountingDestination], remains: AccountingRemains, entropy: any Entropy, at now: Instant, wall: UInt32,
        into outputs: inout [Output]
    ) {
        interims = InterimSchedule(entropy: entropy)
        nextID = max(remains.newest, 0) + 1
        runID = "gateway-\(wall)"
        for policy in remains.policies.union(remains.sessions.map(\.policy)).sorted() { addLane(policy, hasMore: true) }
        for session in remains.sessions { close(session, at: now, into: &outputs) }
        configure(destinations)
        for destination in destinations { tell(destination, .on, at: now, wall: wall) }
        for policy in order where self.destinations[policy] == nil { outputs.append(.alarm(.unknownPolicy(policy))) }
        pump(at: now, into: &outputs)
    }

    // MARK: Gauges

    /// Sessions with a Start and no Stop.
    package var liveSessions: Int { live.count }
    /// Records in memory; what the spool holds beside them is the store's to say.
    package var waiting: Int { lanes.values.reduce(0) { $0 + $1.entries.count } }
    /// No login may be let in: its records could not be kept. The spool's own level counts beside this.
    package var refusesLogins: Bool { isStoreFailing || unsaved.count >= Self.maximumUnsaved || end != nil }

    package var nextDeadline: Instant? {
        guard !isFinished else { return nil }
        var next = Instant.earlier(.earlier(end, loadAgain), interims.nextDeadline)
        if saving.isEmpty { next = .earlier(next, storeAgain) }
        for lane in lanes.values { next = .earlier(next, lane.nextDeadline) }
        return next
    }

    // MARK: Inputs

    package mutating func handle(_ input: Input, at now: Instant, wall: UInt32, into outputs: inout [Output]) {
        guard !isFinished else { return }
        switch input {
        case .start(let session): start(session, at: now, wall: wall)
        case .interim(let session, let counters): interim(session, counters, at: now, wall: wall, into: &outputs)
        case .stop(let session, let counters, let cause): stop(session, counters, cause, at: now, wall: wall)
        case .interimTiming(let session, let timing): if live[session] != nil { interims.set(timing, for: session, at: now) }
        case .stored(let refused, let dropped): stored(refused: refused, dropped: dropped, into: &outputs)
        case .notStored: notStored(at: now, into: &outputs)
        case .loaded(let policy, let records): loaded(policy, records, at: now, wall: wall, into: &outputs)
        case .notLoaded(let policy):
            lanes[policy]?.loadingFailed()
            awaitingStore.insert(policy)
            loadAgain = now + Self.storeRetry
        case .acknowledged(let id): acknowledged(id, into: &outputs)
        case .failed(let id): failed(id, at: now, into: &outputs)
        case .destinations(let destinations): configure(destinations)
        case .shutDown(let until): shutDown(until: until, at: now, wall: wall)
        case .deadline: deadline(at: now, into: &outputs)
        }
        pump(at: now, into: &outputs)
    }

    private mutating func start(_ session: AccountingSession, at now: Instant, wall: UInt32) {
        let id = session.subject.sessionID
        guard live[id] == nil, end == nil else {
            statistics.ignored += 1
            return
        }
        let begun = Live(subject: session.subject, policy: session.policy, since: now)
        live[id] = begun
        statistics.starts += 1
        let record = AccountingRecord(kind: .start, subject: session.subject, eventTime: wall)
        append(record, policy: session.policy, live: .write(lastWord(of: begun, at: now, wall: wall)), at: now)
        interims.set(session.interim, for: id, at: now)
    }

    private mutating func interim(
        _ session: String, _ counters: AccountingCounters, at now: Instant, wall: UInt32, into outputs: inout [Output]
    ) {
        guard live[session] != nil else {
            statistics.ignored += 1
            return
        }
        live[session]?.counters = counters
        guard let current = live[session] else { return }
        guard unsaved.count < Self.maximumUnsaved else {
            statistics.lostInterims += 1
            outputs.append(.alarm(.lostInterims(1)))
            return
        }
        statistics.interims += 1
        let record = AccountingRecord(
            kind: .interim, subject: current.subject, eventTime: wall, sessionTime: Self.seconds(now - current.since), counters: counters)
        append(record, policy: current.policy, live: .write(lastWord(of: current, at: now, wall: wall)), at: now)
    }

    private mutating func stop(_ session: String, _ counters: AccountingCounters, _ cause: TerminateCause, at now: Instant, wall: UInt32) {
        guard let ended = live.removeValue(forKey: session) else {
            statistics.ignored += 1
            return
        }
        interims.set(nil, for: session, at: now)
        statistics.stops += 1
        let record = AccountingRecord(
            kind: .stop, subject: ended.subject, eventTime: wall, sessionTime: Self.seconds(now - ended.since), counters: counters, cause: cause)
        append(record, policy: ended.policy, live: .remove, at: now)
    }

    /// The Stop that a crash from now on would make necessary.
    private func lastWord(of session: Live, at now: Instant, wall: UInt32) -> [UInt8] {
        AccountingRecord(
            kind: .stop, subject: session.subject, eventTime: wall, sessionTime: Self.seconds(now - session.since), counters: session.counters,
            cause: .nasReboot
        ).encoded
    }

    /// A session of the run before: what was last known of it becomes its Stop.
    private mutating func close(_ session: SpooledSession, at now: Instant, into outputs: inout [Output]) {
        guard let record = try? AccountingRecord(decoding: session.content), record.kind == .stop else {
            outputs.append(.alarm(.unreadable(0, policy: session.policy)))
            unsaved.append(.ended(session: session.session))
            return
        }
        statistics.stops += 1
        append(record, policy: session.policy, live: .remove, at: now)
    }

    private mutating func append(_ record: AccountingRecord, policy: String, live: SpoolChange.Live, at now: Instant) {
        let id = nextID
        nextID += 1
        if lanes[policy] == nil { addLane(policy, hasMore: false) }
        let spooled = SpooledRecord(
            id: id, policy: policy, session: record.subject.sessionID, isInterim: record.kind == .interim, content: record.encoded)
        unsaved.append(.record(spooled, live: live))
        lanes[policy]?.append(record, as: id, at: now)
        // while nothing can be stored, what is in memory goes out all the same
        if isStoreFailing { lanes[policy]?.makeSendable(id) }
    }

    private static func seconds(_ duration: Duration) -> UInt32 { UInt32(clamping: duration.components.seconds) }

    // MARK: The store

    private mutating func stored(refused: [AccountingRecordID], dropped: [AccountingRecordID], into outputs: inout [Output]) {
        let lost = Set(refused).union(dropped)
        for case .record(let record, _) in saving where !lost.contains(record.id) { lanes[record.policy]?.makeSendable(record.id) }
        saving = []
        storeAgain = nil
        awaitingStore = []
        for id in lost { for policy in order { lanes[policy]?.drop(id) } }
        if isStoreFailing {
            isStoreFailing = false
            outputs.append(.alarm(.storing(isFailing: false)))
        }
        let count = refused.count + dropped.count
        guard count > 0 else { return }
        statistics.lostInterims += count
        outputs.append(.alarm(.lostInterims(count)))
    }

    private mutating func notStored(at now: Instant, into outputs: inout [Output]) {
        unsaved = SpoolChange.shortened(saving + unsaved)
        saving = []
        storeAgain = now + Self.storeRetry
        for case .record(let record, _) in unsaved { lanes[record.policy]?.makeSendable(record.id) }
        guard !isStoreFailing else { return }
        isStoreFailing = true
        outputs.append(.alarm(.storing(isFailing: true)))
    }

    private mutating func loaded(_ policy: String, _ records: [SpooledRecord], at now: Instant, wall: UInt32, into outputs: inout [Output]) {
        var readable: [(id: AccountingRecordID, record: AccountingRecord)] = []
        for spooled in records {
            if let record = try? AccountingRecord(decoding: spooled.content) {
                readable.append((spooled.id, record))
            } else {
                outputs.append(.alarm(.unreadable(spooled.id, policy: policy)))
                unsaved.append(.delivered(spooled.id))
                lanes[policy]?.skip(spooled.id)
            }
        }
        let isAll = records.count < Self.window / 2
        let newest = max(records.last?.id ?? 0, lanes[policy]?.newest ?? 0)
        let isComplete = isAll && !hasUnsaved(policy, after: newest)
        lanes[policy]?.loaded(readable, isComplete: isComplete, at: now, wall: wall)
        if isAll, !isComplete { awaitingStore.insert(policy) }
    }

    private func hasUnsaved(_ policy: String, after id: AccountingRecordID) -> Bool {
        func isOne(_ change: SpoolChange) -> Bool {
            if case .record(let record, _) = change { record.policy == policy && record.id > id } else { false }
        }
        return saving.contains(where: isOne) || unsaved.contains(where: isOne)
    }

    // MARK: Servers

    private mutating func acknowledged(_ id: AccountingRecordID, into outputs: inout [Output]) {
        guard let policy = order.first(where: { lanes[$0]?.acknowledged(id) == true }) else { return }
        inFlight -= 1
        statistics.acknowledged += 1
        unsaved.append(.delivered(id))
        if failing.remove(policy) != nil { outputs.append(.alarm(.delivery(policy: policy, isFailing: false))) }
    }

    private mutating func failed(_ id: AccountingRecordID, at now: Instant, into outputs: inout [Output]) {
        guard let policy = order.first(where: { lanes[$0]?.failed(id, at: now) == true }) else { return }
        inFlight -= 1
        statistics.failed += 1
        if failing.insert(policy).inserted { outputs.append(.alarm(.delivery(policy: policy, isFailing: true))) }
    }

    private mutating func addLane(_ policy: String, hasMore: Bool) {
        lanes[policy] = AccountingLane(share: 1, isConfigured: destinations[policy] != nil, hasMore: hasMore)
        order.append(policy)
        for policy in order { lanes[policy]?.share = max(1, Self.maximumInFlight / order.count) }
    }

    /// Accounting-On is for the start alone: later it would end, at a server that two policies share, sessions that live.
    private mutating func configure(_ destinations: [AccountingDestination]) {
        self.destinations = Dictionary(destinations.map { ($0.policy, $0) }, uniquingKeysWith: { first, _ in first })
        for destination in destinations where lanes[destination.policy] == nil { addLane(destination.policy, hasMore: false) }
        for policy in order { lanes[policy]?.isConfigured = self.destinations[policy] != nil }
    }

    /// A destination whose names do not fit into attributes is one that the configuration would not have let through: it goes without.
    private mutating func tell(_ destination: AccountingDestination, _ kind: AccountingRecord.Kind, at now: Instant, wall: UInt32) {
        guard let subject = try? AccountingSubject(gateway: destination.nas, sessionID: runID, selected: destination.selected) else { return }
        append(AccountingRecord(kind: kind, subject: subject, eventTime: wall), policy: destination.policy, live: .none, at: now)
    }

    // MARK: Time

    private mutating func shutDown(until: Instant, at now: Instant, wall: UInt32) {
        guard end == nil else { return }
        end = until
        for (session, last) in live.sorted(by: { $0.key < $1.key }) { stop(session, last.counters, .adminReboot, at: now, wall: wall) }
        for policy in order { if let destination = destinations[policy] { tell(destination, .off, at: now, wall: wall) } }
    }

    private mutating func deadline(at now: Instant, into outputs: inout [Output]) {
        for session in interims.due(at: now) { outputs.append(.sample(session: session)) }
        if let storeAgain, storeAgain <= now {
            self.storeAgain = nil
            awaitingStore = []
        }
        if let loadAgain, loadAgain <= now {
            self.loadAgain = nil
            awaitingStore = []
        }
    }

    /// What can be done now: send, load, store, finish.
    private mutating func pump(at now: Instant, into outputs: inout [Output]) {
        for policy in order {
            while inFlight < Self.maximumInFlight, let (id, entry) = lanes[policy]?.take(at: now) {
                inFlight += 1
                statistics.sent += 1
                outputs.append(.send(id, entry.record, delay: entry.delay(at: now), policy: policy))
            }
            if !awaitingStore.contains(policy), lanes[policy]?.beginLoading() == true {
                outputs.append(.load(policy: policy, after: lanes[policy]?.newest ?? 0, limit: Self.window / 2))
            }
        }
        if saving.isEmpty, !unsaved.isEmpty, storeAgain.map({ $0 <= now }) ?? true {
            saving = Array(unsaved.prefix(Self.batch))
            unsaved.removeFirst(saving.count)
            outputs.append(.store(saving))
        }
        finishIfDone(at: now, into: &outputs)
    }

    private mutating func finishIfDone(at now: Instant, into outputs: inout [Output]) {
        guard let end else { return }
        let isDelivered = order.allSatisfy { destinations[$0] == nil || lanes[$0]?.isEmpty ?? true }
        guard end <= now || isDelivered && unsaved.isEmpty && saving.isEmpty else { return }
        isFinished = true
        outputs.append(.finished(undelivered: waiting))
    }
}

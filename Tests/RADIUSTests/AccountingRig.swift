import GatewayCrypto
import RADIUS
import Testing
import Wire

/// A queue with a spool in memory and a server whose answers the test gives.
final class AccountingRig {
    struct Sent: Equatable {
        let id: AccountingRecordID
        let record: AccountingRecord
        let delay: UInt32
        let policy: String
    }

    private(set) var queue: AccountingQueue
    private(set) var now = Instant(nanoseconds: 1_000_000_000_000)
    private(set) var wall: UInt32 = 1_795_230_880
    /// What the disk holds.
    private(set) var records: [AccountingRecordID: SpooledRecord] = [:]
    private(set) var sessions: [String: SpooledSession] = [:]
    // What the driver was asked to do and has not done.
    private(set) var storing: [SpoolChange]?
    private(set) var loading: [(policy: String, after: AccountingRecordID, limit: Int)] = []
    private(set) var inFlight: [Sent] = []
    /// What reached the servers, in order.
    private(set) var log: [Sent] = []
    private(set) var alarms: [AccountingAlarm] = []
    private(set) var samples: [String] = []
    private(set) var undelivered: Int?
    private(set) var mostInFlight = 0
    let destinations: [AccountingDestination]
    private let entropy: SeededEntropy

    init(policies: [String] = ["aaa"], seed: UInt64 = 1) {
        destinations = policies.map { AccountingDestination(policy: $0, nas: gateway, selected: []) }
        entropy = SeededEntropy(seed: seed)
        var outputs: [AccountingQueue.Output] = []
        queue = AccountingQueue(destinations, remains: AccountingRemains(), entropy: entropy, at: now, wall: wall, into: &outputs)
        take(outputs)
    }

    private func take(_ outputs: [AccountingQueue.Output]) {
        for output in outputs {
            switch output {
            case .store(let changes):
                #expect(storing == nil, "one store at a time")
                storing = changes
            case .load(let policy, let after, let limit): loading.append((policy, after, limit))
            case .send(let id, let record, let delay, let policy):
                let session = record.subject.sessionID
                #expect(!inFlight.contains { $0.record.subject.sessionID == session && $0.policy == policy }, "one of a session at a time")
                inFlight.append(Sent(id: id, record: record, delay: delay, policy: policy))
                mostInFlight = max(mostInFlight, inFlight.count)
            case .sample(let session): samples.append(session)
            case .alarm(let alarm): alarms.append(alarm)
            case .finished(let left): undelivered = left
            }
        }
    }

    func feed(_ input: AccountingQueue.Input) {
        var outputs: [AccountingQueue.Output] = []
        queue.handle(input, at: now, wall: wall, into: &outputs)
        take(outputs)
    }

    // MARK: The driver's work

    /// Keeps what waits to be kept.
    func store(refused: Set<AccountingRecordID> = []) {
        guard let changes = storing else { return }
        storing = nil
        for change in changes {
            switch change {
            case .record(let record, let live):
                if !refused.contains(record.id) { records[record.id] = record }
                switch live {
                case .none: break
                case .write(let content):
                    sessions[record.session] = SpooledSession(session: record.session, policy: record.policy, content: content)
                case .remove: sessions[record.session] = nil
                }
            case .delivered(let id): records[id] = nil
            case .live(let session): sessions[session.session] = session
            case .ended(let session): sessions[session] = nil
            }
        }
        feed(.stored(refused: refused.sorted(), dropped: []))
    }

    func refuseToStore() {
        guard storing != nil else { return }
        storing = nil
        feed(.notStored)
    }

    /// The spool made room: an interim record is gone.
    func drop(_ id: AccountingRecordID) {
        guard storing != nil else { return }
        records[id] = nil
        let changes = storing
        storing = nil
        for case .record(let record, .none) in changes ?? [] { records[record.id] = record }
        feed(.stored(refused: [], dropped: [id]))
    }

    func load() {
        guard !loading.isEmpty else { return }
        let (policy, after, limit) = loading.removeFirst()
        let found = records.values.filter { $0.policy == policy && $0.id > after }.sorted { $0.id < $1.id }.prefix(limit)
        feed(.loaded(policy: policy, Array(found)))
    }

    func damage(_ id: AccountingRecordID) { records[id]?.content = [9, 9, 9] }

    /// The server gets a record, and its response arrives or is lost.
    func answer(_ place: Int = 0, isLost: Bool = false) {
        guard inFlight.indices.contains(place) else { return }
        let sent = inFlight.remove(at: place)
        log.append(sent)
        feed(isLost ? .failed(sent.id) : .acknowledged(sent.id))
    }

    /// The server never gets it.
    func fail(_ place: Int = 0) {
        guard inFlight.indices.contains(place) else { return }
        feed(.failed(inFlight.remove(at: place).id))
    }

    func wait(_ duration: Duration) {
        now = now + duration
        wall += UInt32(duration.components.seconds)
        feed(.deadline)
    }

    /// The process dies; the disk stays. The next one begins `pause` later.
    func crash(pause: Duration = .seconds(3), destinations others: [AccountingDestination]? = nil) {
        storing = nil
        loading = []
        inFlight = []
        undelivered = nil
        // another boot may have begun: the monotonic clock says nothing
        now = Instant(nanoseconds: 5_000_000_000)
        wall += UInt32(pause.components.seconds)
        let remains = AccountingRemains(
            newest: records.keys.max() ?? 0, policies: Set(records.values.map(\.policy)), sessions: sessions.values.sorted { $0.session < $1.session }
        )
        var outputs: [AccountingQueue.Output] = []
        queue = AccountingQueue(others ?? destinations, remains: remains, entropy: entropy, at: now, wall: wall, into: &outputs)
        take(outputs)
    }

    /// Everything works until nothing is left to do, or time itself would have to pass.
    func settle() {
        while storing != nil || !loading.isEmpty || !inFlight.isEmpty {
            store()
            load()
            answer()
        }
    }

    // MARK: Looking

    func start(_ session: String, policy: String = "aaa", interim: InterimTiming? = nil) throws {
        feed(.start(AccountingSession(subject: try subject(session), policy: policy, interim: interim)))
    }

    /// The log as words: `on`, `start a`, ...
    var words: [String] { log.map(Self.word) }

    static func word(_ sent: Sent) -> String {
        sent.record.kind.isBarrier ? "\(sent.record.kind)" : "\(sent.record.kind) \(sent.record.subject.sessionID)"
    }
}

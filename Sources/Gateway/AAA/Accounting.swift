import FoundationEssentials
import GatewayCrypto
import IKE
import LinuxIO
import Logging
import ManagementAPI
import NIOCore
import RADIUS
import StateStore
import Wire

/// Drives accounting: gives `AccountingQueue` its disk, its servers and its clock (features.md RAD-7, RAD-8). A record is on the disk before it is
/// sent, and stays until its server has it.
actor Accounting {
    private let store: StateStore
    private let group: any EventLoopGroup
    private let entropy: any Entropy
    private let logger: Logger
    private var exchanges: [String: RADIUSExchange] = [:]
    private var queue: AccountingQueue?
    private var sample: (@Sendable (String) async -> AccountingCounters?)?
    private var timer = DeadlineTimer()
    private var finished: [CheckedContinuation<Int, Never>] = []
    /// As of the last commit.
    private var spool: SpoolState?
    private var isStoreFailing = false
    /// What the operator heard last of the spool.
    private var announced = SpoolLevel.normal

    /// How long a clean stop waits for the last records; what is left goes with the next start.
    static let farewell = Duration.seconds(3)

    init(store: StateStore, group: any EventLoopGroup, entropy: any Entropy, logger: Logger) {
        self.store = store
        self.group = group
        self.entropy = entropy
        self.logger = logger
    }

    /// Takes up what an earlier daemon left, and begins: its sessions' Stops, then Accounting-On. `sample` reads a session's counters, by its
    /// Acct-Session-Id. Throws `StateStoreError`.
    func begin(
        _ plan: RADIUSPlan, nas: NASDescription, sample: @escaping @Sendable (String) async -> AccountingCounters?
    ) async throws(StateStoreError) {
        self.sample = sample
        let outline = try store.spoolOutline()
        let sessions = try store.liveSessionRows()
        spool = await store.spool
        let remains = AccountingRemains(
            newest: outline.newestID, policies: Set(outline.policies.keys),
            sessions: sessions.map { SpooledSession(session: $0.session, policy: $0.policy, content: $0.content) })
        await replaceExchanges(plan)
        var outputs: [AccountingQueue.Output] = []
        queue = AccountingQueue(
            Self.destinations(plan, nas), remains: remains, entropy: entropy, at: MonotonicClock.now, wall: WallClock.stamp, into: &outputs)
        perform(outputs)
        arm()
    }

    /// Goes on with another configuration.
    func configure(_ plan: RADIUSPlan, nas: NASDescription, spool settings: SpoolSettings) async {
        await replaceExchanges(plan)
        if let level = await store.limitSpool(settings) { announce(level) }
        spool = await store.spool
        feed(.destinations(Self.destinations(plan, nas)))
    }

    private static func destinations(_ plan: RADIUSPlan, _ nas: NASDescription) -> [AccountingDestination] {
        plan.destinations.sorted { $0.key < $1.key }.map { AccountingDestination(policy: $0.key, nas: nas, selected: $0.value) }
    }

    private func replaceExchanges(_ plan: RADIUSPlan) async {
        var kept: [String: RADIUSExchange] = [:]
        for (name, settings) in plan.accounting {
            if let exchange = exchanges[name], await exchange.settings == settings {
                kept[name] = exchange
            } else {
                kept[name] = RADIUSExchange(name, settings, kind: .accounting, group: group, entropy: entropy, logger: logger)
            }
        }
        let replaced = exchanges.filter { kept[$0.key] !== $0.value }
        exchanges = kept
        for exchange in replaced.values { await exchange.retire() }
    }

    // MARK: Sessions

    /// Why no login may be let in now; nil: none.
    var refusal: String? {
        guard queue != nil else { return nil }
        if spool?.refusesLogins == true { return "the accounting spool is full (management.accounting-spool); the RADIUS servers take no records" }
        if queue?.refusesLogins == true { return "accounting records cannot be stored; look at the state directory's disk" }
        return nil
    }

    func start(_ session: AccountingSession) { feed(.start(session)) }

    func stop(_ session: String, _ counters: AccountingCounters, _ cause: TerminateCause) { feed(.stop(session: session, counters, cause)) }

    func changeInterim(_ session: String, _ timing: InterimTiming?) { feed(.interimTiming(session: session, timing)) }

    /// Stops for what still lives, Accounting-Off, and a while for the servers to take them.
    func shutDown() async {
        guard queue != nil else { return }
        let undelivered = await withCheckedContinuation { continuation in
            finished.append(continuation)
            feed(.shutDown(until: MonotonicClock.now + Self.farewell))
        }
        if undelivered > 0 {
            logger.notice(
                "\(undelivered) accounting records are not delivered; they stay in the spool for the next start",
                metadata: ["event": "accounting-left"])
        }
        timer.cancel()
        for exchange in exchanges.values { await exchange.stop() }
    }

    // MARK: The queue

    private func feed(_ input: AccountingQueue.Input) {
        guard queue != nil else { return }
        var outputs: [AccountingQueue.Output] = []
        queue?.handle(input, at: MonotonicClock.now, wall: WallClock.stamp, into: &outputs)
        perform(outputs)
        arm()
    }

    private func perform(_ outputs: [AccountingQueue.Output]) {
        for output in outputs {
            switch output {
            case .store(let changes): Task { await self.keep(changes) }
            case .load(let policy, let id, let limit): Task { await self.load(policy, after: id, limit: limit) }
            case .send(let id, let record, let delay, let policy): Task { await self.send(id, record, delay, policy) }
            case .sample(let session): Task { await self.measure(session) }
            case .alarm(let alarm): announce(alarm)
            case .finished(let undelivered):
                for continuation in finished { continuation.resume(returning: undelivered) }
                finished = []
            }
        }
    }

    private func keep(_ changes: [SpoolChange]) async {
        do throws(StateStoreError) {
            let outcome = try await store.commit(changes.map(StateChange.init))
            spool = await store.spool
            if let level = outcome.level { announce(level) }
            feed(.stored(refused: outcome.refused, dropped: outcome.dropped))
        } catch {
            logger.error("accounting records could not be stored: \(error)", metadata: ["event": "accounting-not-stored"])
            feed(.notStored)
        }
    }

    private func load(_ policy: String, after id: AccountingRecordID, limit: Int) async {
        do throws(StateStoreError) {
            let rows = try await store.accountingRows(policy: policy, after: id, limit: limit)
            feed(
                .loaded(
                    policy: policy,
                    rows.map { SpooledRecord(id: $0.id, policy: $0.policy, session: $0.session, isInterim: $0.isInterim, content: $0.content) }))
        } catch {
            logger.error("stored accounting records could not be read: \(error)", metadata: ["event": "accounting-not-read"])
            feed(.notLoaded(policy: policy))
        }
    }

    private func send(_ id: AccountingRecordID, _ record: AccountingRecord, _ delay: UInt32, _ policy: String) async {
        guard let exchange = exchanges[policy] else { return feed(.failed(id)) }
        switch await exchange.request(RequestDraft(record.attributes(delay: delay))) {
        case .success: feed(.acknowledged(id))
        case .failure: feed(.failed(id))
        }
    }

    private func measure(_ session: String) async {
        guard let counters = await sample?(session) else { return }
        feed(.interim(session: session, counters))
    }

    private func arm() {
        timer.arm(queue?.nextDeadline) { [weak self] in await self?.strike() }
    }

    private func strike() {
        timer.struck()
        feed(.deadline)
    }

    // MARK: What the operator hears

    private func announce(_ level: SpoolLevel) {
        defer { announced = level }
        switch level {
        case .normal: logger.notice("the accounting spool has room again", metadata: ["event": "accounting-spool-normal"])
        case .high where announced == .full:
            logger.notice(
                "the accounting spool is full no more; it is still over 75 % full", metadata: ["event": "accounting-spool-high"])
        case .high:
            logger.warning(
                "the accounting spool is over 80 % full: look at the RADIUS accounting servers (ipsec-gwctl radius)",
                metadata: ["event": "accounting-spool-high"])
        case .full:
            logger.error(
                "the accounting spool is full: no login is let in until the RADIUS servers take records (ipsec-gwctl radius)",
                metadata: ["event": "accounting-spool-full"])
        }
    }

    private func announce(_ alarm: AccountingAlarm) {
        switch alarm {
        case .storing(let isFailing):
            isStoreFailing = isFailing
            if isFailing {
                logger.error(
                    "accounting records are not stored: sessions go on, logins are refused; make room on the state directory's disk",
                    metadata: ["event": "accounting-store-failing"])
            } else {
                logger.notice("accounting records are stored again", metadata: ["event": "accounting-store-normal"])
            }
        case .delivery(let policy, let isFailing):
            if isFailing {
                logger.warning("server-policy \(policy) takes no accounting records; they wait in the spool", metadata: ["event": "accounting-waits"])
            } else {
                logger.notice("server-policy \(policy) takes accounting records again", metadata: ["event": "accounting-flows"])
            }
        case .unknownPolicy(let policy):
            logger.warning(
                "accounting records wait for server-policy \(policy), which the configuration does not have; they stay in the spool",
                metadata: ["event": "accounting-orphans"])
        case .unreadable(let id, let policy):
            logger.error(
                "stored accounting record \(id) of server-policy \(policy) cannot be read and is given up",
                metadata: ["event": "accounting-unreadable"])
        case .lostInterims(let count):
            logger.warning("\(count) interim accounting records were given up for room", metadata: ["event": "accounting-interims-lost"])
        }
    }

    var exchangesInUse: [RADIUSExchange] { exchanges.values.sorted { $0.policy < $1.policy } }

    /// For `ipsec-gwctl radius`; nil: nothing is accounted for.
    var report: RADIUSReport.Spool? {
        get async {
            guard let queue, !exchanges.isEmpty || queue.waiting > 0 else { return nil }
            let spool = await store.spool
            let state: RADIUSReport.Spool.State
            switch spool.level {
            case _ where isStoreFailing: state = .failing
            case .normal: state = .normal
            case .high: state = .filling
            case .full: state = .full
            }
            return RADIUSReport.Spool(
                records: UInt64(max(0, spool.records)), octets: UInt64(max(0, spool.octets)), maximumOctets: UInt64(spool.settings.maximumSize),
                state: state, delivered: UInt64(max(0, queue.statistics.acknowledged)), dropped: UInt64(max(0, spool.lostInterims)))
        }
    }
}

extension StateChange {
    init(_ change: SpoolChange) {
        switch change {
        case .record(let record, let live):
            let row = AccountingRow(
                id: record.id, policy: record.policy, session: record.session, isInterim: record.isInterim, content: record.content)
            switch live {
            case .none: self = .record(row, live: .none)
            case .write(let content): self = .record(row, live: .write(content))
            case .remove: self = .record(row, live: .remove)
            }
        case .delivered(let id): self = .delivered(id)
        case .live(let session):
            self = .progress(LiveSessionRow(session: session.session, policy: session.policy, content: session.content))
        case .ended(let session): self = .ended(session: session)
        }
    }
}

extension WallClock {
    /// Seconds since 1970 as RADIUS writes them.
    static var stamp: UInt32 { UInt32(clamping: seconds) }
}

extension TerminateCause {
    /// Why a session ended, as RAD-7 tells it.
    init(_ reason: ClosingReason) {
        switch reason {
        case .peerDelete: self = .userRequest
        case .deadPeer: self = .lostCarrier
        case .idleTimeout: self = .idleTimeout
        case .sessionTimeout, .lifetime: self = .sessionTimeout
        case .operatorRequest, .disconnected: self = .adminReset
        case .shutdown, .configuration: self = .adminReboot
        case .replaced: self = .nasRequest
        case .childless, .authenticationFailed, .halfOpenTimeout, .protocolError, .internalError: self = .nasError
        }
    }
}

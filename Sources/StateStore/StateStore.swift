import GRDB
package import Wire

/// One thing to remember.
package enum StateChange: Hashable, Sendable {
    /// Writes the row, over an older one of its pool and address.
    case write(LeaseRow)
    /// Removes the row of this pool and address.
    case remove(LeaseRow)
    /// Adds an accounting record, and changes its session's row with it. An interim record may be refused for want of room.
    case record(AccountingRow, live: LiveChange)
    /// The record of this id reached its server.
    case delivered(Int64)
    /// A live session's counters, without a record.
    case progress(LiveSessionRow)
    /// A live session ended without a record of ours.
    case ended(session: String)
}

/// What survives the daemon and the machine: SQLite in the state directory. A change is on the disk when `commit` returns.
///
/// Group commit: a change that comes soon after a transaction waits up to `window` for others, and while one transaction is being written for its
/// end; all that have come by then share the next. So a thousand logins at once cost a few waits for the disk, and one login costs one. What may be
/// forgotten (`note`) goes along with the next transaction.
package actor StateStore {
    private struct Waiting {
        let changes: [StateChange]
        let answer: @Sendable (Result<CommitOutcome, StateStoreError>) -> Void
    }

    private let database: DatabaseQueue
    private let window: Duration
    private var waiting: [Waiting] = []
    private var waitingChanges = 0
    private var isWriting = false
    private var isNoting = false
    private let now: (@Sendable () -> Instant)?
    private var lastWritten: Instant?
    private var isClosed = false
    private var idle: [CheckedContinuation<Void, Never>] = []
    package nonisolated let path: String

    /// How the store has worked so far, for metrics.
    package private(set) var statistics = Statistics()
    /// How full the accounting spool is, as committed.
    package private(set) var spool: SpoolState

    package struct Statistics: Hashable, Sendable {
        package var transactions = 0
        package var changes = 0
        package var failures = 0
    }

    package static let fileName = "state.sqlite"
    /// Changes that wait at most (threats.md, rule 7).
    package static let maximumWaiting = 65_536
    /// How long a note waits for a transaction that it can go along with.
    package static let notePatience = Duration.seconds(1)
    /// A transaction as recent as this one lets the next wait for company.
    private static let busy = Duration.milliseconds(5)
    /// Changes in one transaction at most, so that none makes all others wait.
    private static let maximumBatch = 4096

    /// Opens the store in a directory, which is created (mode 0700) if only it is missing; brings an older schema up to date. Blocks; for the start.
    /// The file grows to `maximumSize` octets at most (nil: leases and twice the spool); then it is full as a disk is. `now`: without it every change
    /// waits for company.
    package init(
        directory: String, window: Duration = .milliseconds(2), maximumSize: Int? = nil, spool settings: SpoolSettings = SpoolSettings(),
        now: (@Sendable () -> Instant)? = nil
    ) throws(StateStoreError) {
        self.window = min(window, .milliseconds(10))
        self.now = now
        path = directory + "/" + Self.fileName
        let size = maximumSize ?? (4 << 30) + 2 * min(settings.maximumSize, 1 << 42)
        let database = try Self.open(directory: directory, path: path, maximumSize: size)
        spool = try Self.reading(path) { try database.read { try AccountingTables.measure(settings, $0) } }
        self.database = database
    }

    /// Writes changes and returns when they are on the disk; all of them or, with an error, none. Commits are written in the order of their calls.
    @discardableResult
    package func commit(_ changes: [StateChange]) async throws(StateStoreError) -> CommitOutcome {
        guard !changes.isEmpty else { return CommitOutcome() }
        guard !isClosed else { throw .closed }
        guard waitingChanges + changes.count <= Self.maximumWaiting else { throw .overloaded }
        let result = await withCheckedContinuation { continuation in
            add(Waiting(changes: changes) { continuation.resume(returning: $0) })
            begin()
        }
        return try result.get()
    }

    /// Writes changes with the next transaction, or within `notePatience`: what a crash may undo without harm. In the order of the calls, commits
    /// among them.
    package func note(_ changes: [StateChange], failed: @escaping @Sendable (StateStoreError) -> Void) {
        guard !changes.isEmpty else { return }
        guard !isClosed else { return failed(.closed) }
        guard waitingChanges + changes.count <= Self.maximumWaiting else { return failed(.overloaded) }
        add(Waiting(changes: changes) { if case .failure(let error) = $0 { failed(error) } })
        guard !isWriting, !isNoting else { return }
        isNoting = true
        Task { await self.writeNotes() }
    }

    private func add(_ changes: Waiting) {
        waiting.append(changes)
        waitingChanges += changes.changes.count
    }

    private func begin() {
        guard !isWriting else { return }
        isWriting = true
        Task { await self.writeAll() }
    }

    private func writeNotes() async {
        try? await Task.sleep(for: Self.notePatience)
        isNoting = false
        if !waiting.isEmpty { begin() }
    }

    /// Other limits of the spool; the level if they change it.
    package func limitSpool(_ settings: SpoolSettings) -> SpoolLevel? {
        spool.settings = settings
        return spool.settle()
    }

    /// Every lease, in the order in which they were last written. Blocks; for the start.
    package nonisolated func leaseRows() throws(StateStoreError) -> [LeaseRow] {
        try Self.reading(path) { try database.read { try LeaseTable.all($0) } }
    }

    /// Sessions that began and did not end. Blocks; for the start.
    package nonisolated func liveSessionRows() throws(StateStoreError) -> [LiveSessionRow] {
        try Self.reading(path) { try database.read { try AccountingTables.sessions($0) } }
    }

    /// What waits to be delivered. Blocks; for the start.
    package nonisolated func spoolOutline() throws(StateStoreError) -> SpoolOutline {
        try Self.reading(path) { try database.read { try AccountingTables.outline($0) } }
    }

    /// Records of a server policy behind one of them, in their order.
    package func accountingRows(policy: String, after id: Int64, limit: Int) async throws(StateStoreError) -> [AccountingRow] {
        do {
            return try await database.read { try AccountingTables.records(policy: policy, after: id, limit: limit, $0) }
        } catch {
            throw StateStoreError(error, path: path)
        }
    }

    private static func reading<Result>(_ path: String, _ body: () throws -> Result) throws(StateStoreError) -> Result {
        do {
            return try body()
        } catch {
            throw StateStoreError(error, path: path)
        }
    }

    /// Writes what waits, then closes the file; later commits are refused.
    package func close() async throws(StateStoreError) {
        isClosed = true
        if !waiting.isEmpty { begin() }
        if isWriting { await withCheckedContinuation { idle.append($0) } }
        do {
            try database.close()
        } catch {
            throw StateStoreError(error, path: path)
        }
    }

    /// Whether others will come soon; without a clock it is taken so.
    private var isBusy: Bool {
        guard let now else { return true }
        return lastWritten.map { now() - $0 < Self.busy } ?? false
    }

    private func writeAll() async {
        if isBusy { try? await Task.sleep(for: window) }
        while !waiting.isEmpty {
            let batch = takeBatch()
            // What removes rows must not fail with what adds them: on a full disk each commit stands for itself.
            if case .failure(.diskFull) = await writeTogether(batch, isLast: batch.count == 1) {
                for one in batch where batch.count > 1 { _ = await writeTogether([one], isLast: true) }
            }
        }
        lastWritten = now?()
        isWriting = false
        for one in idle { one.resume() }
        idle = []
    }

    /// Writes commits in one transaction and answers them; a full disk only when `isLast`.
    private func writeTogether(_ batch: [Waiting], isLast: Bool) async -> Result<Void, StateStoreError> {
        let result = await write(batch.map(\.changes))
        if case .failure(.diskFull) = result, !isLast { return result.map { _ in } }
        statistics.transactions += 1
        switch result {
        case .success(let outcomes):
            statistics.changes += batch.reduce(0) { $0 + $1.changes.count }
            for (one, outcome) in zip(batch, outcomes) { one.answer(.success(outcome)) }
        case .failure(let error):
            statistics.failures += 1
            for one in batch { one.answer(.failure(error)) }
        }
        return result.map { _ in }
    }

    private func takeBatch() -> [Waiting] {
        var count = 0
        var size = 0
        while count < waiting.count, count == 0 || size + waiting[count].changes.count <= Self.maximumBatch {
            size += waiting[count].changes.count
            count += 1
        }
        let batch = Array(waiting.prefix(count))
        waiting.removeFirst(count)
        waitingChanges -= size
        return batch
    }

    /// One transaction; an outcome for each commit.
    private func write(_ commits: [[StateChange]]) async -> Result<[CommitOutcome], StateStoreError> {
        do {
            let before = spool
            var (after, outcomes) = try await database.write { database in
                var spool = before
                let outcomes = try commits.map { try Self.write($0, spool: &spool, database) }
                return (spool, outcomes)
            }
            if spool.settings != after.settings {  // other limits came meanwhile
                after.settings = spool.settings
                outcomes[outcomes.count - 1].level = after.settle() ?? outcomes[outcomes.count - 1].level
            }
            spool = after
            return .success(outcomes)
        } catch {
            return .failure(StateStoreError(error, path: path))
        }
    }

    private static func write(_ changes: [StateChange], spool: inout SpoolState, _ database: Database) throws -> CommitOutcome {
        var outcome = CommitOutcome()
        for change in changes {
            switch change {
            case .write(let row): try LeaseTable.write(row, database)
            case .remove(let row): try LeaseTable.remove(row, database)
            case .record(let row, let live): try AccountingTables.append(row, live: live, to: &spool, outcome: &outcome, database)
            case .delivered(let id): try AccountingTables.remove(id, from: &spool, database)
            case .progress(let row): try AccountingTables.write(row, in: &spool, database)
            case .ended(let session): try AccountingTables.end(session, in: &spool, database)
            }
        }
        outcome.level = spool.settle()
        return outcome
    }
}

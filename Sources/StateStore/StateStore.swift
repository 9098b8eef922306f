import GRDB

/// One thing to remember.
package enum StateChange: Hashable, Sendable {
    /// Writes the row, over an older one of its pool and address.
    case write(LeaseRow)
    /// Removes the row of this pool and address.
    case remove(LeaseRow)
}

/// What survives the daemon and the machine: SQLite in the state directory. A change is on the disk when `commit` returns.
///
/// Group commit: a change waits up to `window` for others, and while one transaction is being written for its end; all that have come by
/// then share the next. So a thousand logins at once cost a few waits for the disk, and one login costs one.
package actor StateStore {
    private struct Waiting {
        let changes: [StateChange]
        let answer: CheckedContinuation<Result<Void, StateStoreError>, Never>
    }

    private let database: DatabaseQueue
    private let window: Duration
    private var waiting: [Waiting] = []
    private var waitingChanges = 0
    private var isWriting = false
    private var isClosed = false
    private var idle: [CheckedContinuation<Void, Never>] = []
    package nonisolated let path: String

    /// How the store has worked so far, for metrics.
    package private(set) var statistics = Statistics()

    package struct Statistics: Hashable, Sendable {
        package var transactions = 0
        package var changes = 0
        package var failures = 0
    }

    package static let fileName = "state.sqlite"
    /// Changes that wait at most (threats.md, rule 7).
    package static let maximumWaiting = 65_536
    /// Changes in one transaction at most, so that none makes all others wait.
    private static let maximumBatch = 4096

    /// Opens the store in a directory, which is created (mode 0700) if only it is missing; brings an older schema up to date. Blocks; for the start.
    /// The file grows to `maximumSize` octets at most; then it is full as a disk is.
    package init(
        directory: String, window: Duration = .milliseconds(2), maximumSize: Int = 4 << 30
    ) throws(StateStoreError) {
        self.window = min(window, .milliseconds(10))
        path = directory + "/" + Self.fileName
        database = try Self.open(directory: directory, path: path, maximumSize: maximumSize)
    }

    /// Writes changes and returns when they are on the disk; all of them or, with an error, none.
    package func commit(_ changes: [StateChange]) async throws(StateStoreError) {
        guard !changes.isEmpty else { return }
        guard !isClosed else { throw .closed }
        guard waitingChanges + changes.count <= Self.maximumWaiting else { throw .overloaded }
        let result = await withCheckedContinuation { answer in
            waiting.append(Waiting(changes: changes, answer: answer))
            waitingChanges += changes.count
            guard !isWriting else { return }
            isWriting = true
            Task { await self.writeAll() }
        }
        try result.get()
    }

    /// Every lease, in the order in which they were last written. Blocks; for the start.
    package nonisolated func leaseRows() throws(StateStoreError) -> [LeaseRow] {
        do {
            return try database.read { try LeaseTable.all($0) }
        } catch {
            throw StateStoreError(error, path: path)
        }
    }

    /// Writes what waits, then closes the file; later commits are refused.
    package func close() async throws(StateStoreError) {
        isClosed = true
        if isWriting { await withCheckedContinuation { idle.append($0) } }
        do {
            try database.close()
        } catch {
            throw StateStoreError(error, path: path)
        }
    }

    private func writeAll() async {
        try? await Task.sleep(for: window)
        while !waiting.isEmpty {
            let batch = takeBatch()
            let result = await write(batch.flatMap(\.changes))
            statistics.transactions += 1
            switch result {
            case .success: statistics.changes += batch.reduce(0) { $0 + $1.changes.count }
            case .failure: statistics.failures += 1
            }
            for one in batch { one.answer.resume(returning: result) }
        }
        isWriting = false
        for one in idle { one.resume() }
        idle = []
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

    private func write(_ changes: [StateChange]) async -> Result<Void, StateStoreError> {
        do {
            try await database.write { database in
                for change in changes {
                    switch change {
                    case .write(let row): try LeaseTable.write(row, database)
                    case .remove(let row): try LeaseTable.remove(row, database)
                    }
                }
            }
            return .success(())
        } catch {
            return .failure(StateStoreError(error, path: path))
        }
    }
}

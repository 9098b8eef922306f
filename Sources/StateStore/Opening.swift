import Foundation
import GRDB

extension StateStore {
    /// Opens or creates the file, readable by its owner only, and brings its schema up to date.
    static func open(directory: String, path: String, maximumSize: Int) throws(StateStoreError) -> DatabaseQueue {
        try prepare(directory: directory, path: path)
        var configuration = GRDB.Configuration()
        configuration.label = "state"
        configuration.busyMode = .timeout(1)
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA journal_mode = WAL")
            // FULL: a commit has reached the disk, not only the kernel, when it returns; power may fail.
            try database.execute(sql: "PRAGMA synchronous = FULL")
            let pageSize = try Int.fetchOne(database, sql: "PRAGMA page_size") ?? 4096
            try database.execute(sql: "PRAGMA max_page_count = \(max(maximumSize / max(pageSize, 512), 16))")
        }
        do {
            let database = try DatabaseQueue(path: path, configuration: configuration)
            try database.write { database in
                guard try String.fetchOne(database, sql: "PRAGMA quick_check(1)") == "ok" else { throw StateStoreError.Damage() }
            }
            let migrator = migrator
            if try database.read({ try migrator.hasBeenSuperseded($0) }) { throw StateStoreError.newerSchema(path: path) }
            try migrator.migrate(database)
            return database
        } catch {
            throw StateStoreError(error, path: path)
        }
    }

    /// Never change a migration that has been in use; add one.
    private static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1: leases") { try LeaseTable.create($0) }
        migrator.registerMigration("2: accounting") { try AccountingTables.create($0) }
        return migrator
    }

    /// SQLite gives its side files the mode of the file itself, so that is fixed first.
    private static func prepare(directory: String, path: String) throws(StateStoreError) {
        if unsafe mkdir(directory, 0o700) != 0, errno != EEXIST { throw .directory(directory, errno) }
        let descriptor = unsafe Foundation.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            throw errno == EACCES || errno == ENOENT || errno == ENOTDIR || errno == EROFS
                ? .directory(directory, errno) : .file(path, errno)
        }
        defer { Foundation.close(descriptor) }
        guard fchmod(descriptor, 0o600) == 0 else { throw .file(path, errno) }
    }
}

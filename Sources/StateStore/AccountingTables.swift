import Foundation
import GRDB

/// An accounting record on its way to a server.
package struct AccountingRow: Hashable, Sendable {
    /// Records go out in this order; the writer counts.
    package var id: Int64
    /// The server policy it goes to.
    package var policy: String
    /// Acct-Session-Id; empty for Accounting-On and -Off.
    package var session: String
    /// May be left out when there is no room.
    package var isInterim: Bool
    package var content: [UInt8]

    package init(id: Int64, policy: String, session: String, isInterim: Bool, content: [UInt8]) {
        self.id = id
        self.policy = policy
        self.session = session
        self.isInterim = isInterim
        self.content = content
    }

    var size: Int { policy.utf8.count + session.utf8.count + content.count + SpoolState.rowOverhead }
}

/// A session that has a Start and no Stop yet: what a crash leaves to be closed.
package struct LiveSessionRow: Hashable, Sendable {
    package var session: String
    package var policy: String
    package var content: [UInt8]

    package init(session: String, policy: String, content: [UInt8]) {
        self.session = session
        self.policy = policy
        self.content = content
    }

    var size: Int { policy.utf8.count + session.utf8.count + content.count + SpoolState.rowOverhead * 2 + SpoolState.stopMargin }
}

/// What a record does to its session's row, in the same transaction.
package enum LiveChange: Hashable, Sendable {
    case none
    /// The session begins, or its counters are newer.
    case write([UInt8])
    /// The session has ended.
    case remove
}

/// Tables `accounting_record` and `accounting_session`.
enum AccountingTables {
    static func create(_ database: Database) throws {
        try database.execute(
            sql: """
                CREATE TABLE accounting_record (
                    id INTEGER PRIMARY KEY,
                    policy TEXT NOT NULL,
                    session TEXT NOT NULL,
                    interim INTEGER NOT NULL,
                    size INTEGER NOT NULL,
                    content BLOB NOT NULL
                );
                CREATE INDEX accounting_record_policy ON accounting_record (policy, id);
                CREATE INDEX accounting_record_interim ON accounting_record (id) WHERE interim = 1;
                CREATE TABLE accounting_session (
                    session TEXT PRIMARY KEY NOT NULL,
                    policy TEXT NOT NULL,
                    size INTEGER NOT NULL,
                    content BLOB NOT NULL
                ) WITHOUT ROWID
                """)
    }

    /// Adds a record, after making room as the settings say.
    static func append(
        _ row: AccountingRow, live: LiveChange, to spool: inout SpoolState, outcome: inout CommitOutcome, _ database: Database
    ) throws {
        switch live {
        case .none: break
        case .write(let content):
            try write(LiveSessionRow(session: row.session, policy: row.policy, content: content), in: &spool, database)
        case .remove: try end(row.session, in: &spool, database)
        }
        if spool.octets + row.size > spool.settings.maximumSize {
            switch spool.settings.whenFull {
            case .dropOldestInterim:
                try dropInterims(until: spool.settings.maximumSize - row.size, in: &spool, outcome: &outcome, database)
            case .refuseLogins where row.isInterim:
                outcome.refused.append(row.id)
                spool.lostInterims += 1
                return
            case .refuseLogins: break
            }
            if row.isInterim, spool.octets + row.size > spool.settings.maximumSize {
                outcome.refused.append(row.id)
                spool.lostInterims += 1
                return
            }
        }
        // a commit that failed may have been written all the same, and is asked for again
        try database.cachedStatement(
            sql: "INSERT OR IGNORE INTO accounting_record (id, policy, session, interim, size, content) VALUES (?, ?, ?, ?, ?, ?)"
        ).execute(arguments: [row.id, row.policy, row.session, row.isInterim, row.size, Data(row.content)])
        if database.changesCount > 0 { spool.added(row.size, isInterim: row.isInterim) }
    }

    private static func dropInterims(
        until target: Int, in spool: inout SpoolState, outcome: inout CommitOutcome, _ database: Database
    ) throws {
        let statement = try database.cachedStatement(
            sql: """
                DELETE FROM accounting_record WHERE id = (SELECT min(id) FROM accounting_record WHERE interim = 1) RETURNING id, size
                """)
        while spool.octets > target, spool.interimOctets > 0 {
            guard let row = try Row.fetchOne(statement) else { return }
            guard let id = Int64.fromDatabaseValue(row[0]), let size = Int.fromDatabaseValue(row[1]) else { throw StateStoreError.Damage() }
            spool.removed(size, isInterim: true)
            spool.lostInterims += 1
            outcome.dropped.append(id)
        }
    }

    /// Removes a record that was delivered; one that made room before is gone already.
    static func remove(_ id: Int64, from spool: inout SpoolState, _ database: Database) throws {
        let statement = try database.cachedStatement(sql: "DELETE FROM accounting_record WHERE id = ? RETURNING size, interim")
        guard let row = try Row.fetchOne(statement, arguments: [id]) else { return }
        guard let size = Int.fromDatabaseValue(row[0]), let isInterim = Bool.fromDatabaseValue(row[1]) else { throw StateStoreError.Damage() }
        spool.removed(size, isInterim: isInterim)
    }

    /// Begins or updates a live session.
    static func write(_ row: LiveSessionRow, in spool: inout SpoolState, _ database: Database) throws {
        let old = try Int.fetchOne(
            database.cachedStatement(sql: "SELECT size FROM accounting_session WHERE session = ?"), arguments: [row.session])
        try database.cachedStatement(
            sql: "INSERT OR REPLACE INTO accounting_session (session, policy, size, content) VALUES (?, ?, ?, ?)"
        ).execute(arguments: [row.session, row.policy, row.size, Data(row.content)])
        spool.octets += row.size - (old ?? 0)
        if old == nil { spool.liveSessions += 1 }
    }

    /// Ends a live session, if there is one.
    static func end(_ session: String, in spool: inout SpoolState, _ database: Database) throws {
        let statement = try database.cachedStatement(sql: "DELETE FROM accounting_session WHERE session = ? RETURNING size")
        guard let size = try Int.fetchOne(statement, arguments: [session]) else { return }
        spool.octets -= size
        spool.liveSessions -= 1
    }

    /// What is stored, counted anew.
    static func measure(_ settings: SpoolSettings, _ database: Database) throws -> SpoolState {
        var spool = SpoolState(settings: settings)
        guard
            let records = try Row.fetchOne(
                database,
                sql: """
                    SELECT count(*), ifnull(sum(size), 0), ifnull(sum(CASE WHEN interim = 1 THEN size ELSE 0 END), 0) FROM accounting_record
                    """),
            let sessions = try Row.fetchOne(database, sql: "SELECT count(*), ifnull(sum(size), 0) FROM accounting_session"),
            let count = Int.fromDatabaseValue(records[0]), let octets = Int.fromDatabaseValue(records[1]),
            let interims = Int.fromDatabaseValue(records[2]), let live = Int.fromDatabaseValue(sessions[0]),
            let reserved = Int.fromDatabaseValue(sessions[1]), !octets.addingReportingOverflow(reserved).overflow
        else { throw StateStoreError.Damage() }
        spool.records = count
        spool.octets = octets + reserved
        spool.interimOctets = interims
        spool.liveSessions = live
        _ = spool.settle()
        return spool
    }

    /// Throws `StateStoreError.Damage` for a row that this program cannot have written.
    static func records(policy: String, after id: Int64, limit: Int, _ database: Database) throws -> [AccountingRow] {
        let statement = try database.cachedStatement(
            sql: "SELECT id, session, interim, content FROM accounting_record WHERE policy = ? AND id > ? ORDER BY id LIMIT ?")
        return try Row.fetchAll(statement, arguments: [policy, id, limit]).map { row in
            guard let id = Int64.fromDatabaseValue(row[0]), let session = String.fromDatabaseValue(row[1]),
                let isInterim = Bool.fromDatabaseValue(row[2]), let content = Data.fromDatabaseValue(row[3])
            else { throw StateStoreError.Damage() }
            return AccountingRow(id: id, policy: policy, session: session, isInterim: isInterim, content: [UInt8](content))
        }
    }

    static func sessions(_ database: Database) throws -> [LiveSessionRow] {
        try Row.fetchAll(database, sql: "SELECT session, policy, content FROM accounting_session ORDER BY session").map { row in
            guard let session = String.fromDatabaseValue(row[0]), let policy = String.fromDatabaseValue(row[1]),
                let content = Data.fromDatabaseValue(row[2])
            else { throw StateStoreError.Damage() }
            return LiveSessionRow(session: session, policy: policy, content: [UInt8](content))
        }
    }

    /// Policies with records, and the newest record's id.
    static func outline(_ database: Database) throws -> SpoolOutline {
        let newest = try Int64.fetchOne(database, sql: "SELECT ifnull(max(id), 0) FROM accounting_record") ?? 0
        let policies = try Row.fetchAll(database, sql: "SELECT policy, count(*) FROM accounting_record GROUP BY policy").map { row in
            guard let policy = String.fromDatabaseValue(row[0]), let count = Int.fromDatabaseValue(row[1]) else {
                throw StateStoreError.Damage()
            }
            return (policy, count)
        }
        return SpoolOutline(newestID: newest, policies: Dictionary(policies, uniquingKeysWith: { $0 + $1 }))
    }
}

/// What a start finds in the spool.
package struct SpoolOutline: Hashable, Sendable {
    /// 0: there is none.
    package var newestID: Int64
    /// Records by server policy.
    package var policies: [String: Int]

    package init(newestID: Int64, policies: [String: Int]) {
        self.newestID = newestID
        self.policies = policies
    }
}

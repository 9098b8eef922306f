import Foundation
import GRDB
package import Wire

/// Who had, or has, an address.
package struct LeaseRow: Hashable, Sendable {
    package var server: String
    package var pool: String
    package var address: IPAddress
    package var identity: String
    /// Some session owned it when this was written.
    package var isLive: Bool

    package init(server: String, pool: String, address: IPAddress, identity: String, isLive: Bool) {
        self.server = server
        self.pool = pool
        self.address = address
        self.identity = identity
        self.isLive = isLive
    }
}

/// Table `lease`: one row for each pool and address; the identity is UTF-8 that may hold a NUL, hence no TEXT. A row that is written again goes to the end, so rows stand in the order of their last change.
enum LeaseTable {
    static func create(_ database: Database) throws {
        try database.execute(
            sql: """
                CREATE TABLE lease (
                    id INTEGER PRIMARY KEY,
                    server TEXT NOT NULL,
                    pool TEXT NOT NULL,
                    address BLOB NOT NULL,
                    identity BLOB NOT NULL,
                    live INTEGER NOT NULL,
                    UNIQUE (server, pool, address)
                )
                """)
    }

    static func write(_ row: LeaseRow, _ database: Database) throws {
        try database.cachedStatement(
            sql: "INSERT OR REPLACE INTO lease (server, pool, address, identity, live) VALUES (?, ?, ?, ?, ?)"
        ).execute(arguments: [
            row.server, row.pool, Data(row.address.octets), Data(row.identity.utf8), row.isLive,
        ])
    }

    static func remove(_ row: LeaseRow, _ database: Database) throws {
        try database.cachedStatement(sql: "DELETE FROM lease WHERE server = ? AND pool = ? AND address = ?")
            .execute(arguments: [row.server, row.pool, Data(row.address.octets)])
    }

    /// Throws `StateStoreError.Damage` for a row that this program cannot have written.
    static func all(_ database: Database) throws -> [LeaseRow] {
        let rows = try Row.fetchCursor(database, sql: "SELECT server, pool, address, identity, live FROM lease ORDER BY id")
        var leases: [LeaseRow] = []
        while let row = try rows.next() {
            guard let server = String.fromDatabaseValue(row[0]), let pool = String.fromDatabaseValue(row[1]),
                let octets = Data.fromDatabaseValue(row[2]), let address = IPAddress(octets: octets),
                let identity = Data.fromDatabaseValue(row[3]).flatMap({ String(validating: $0, as: UTF8.self) }),
                let isLive = Bool.fromDatabaseValue(row[4])
            else { throw StateStoreError.Damage() }
            leases.append(LeaseRow(server: server, pool: pool, address: address, identity: identity, isLive: isLive))
        }
        return leases
    }
}

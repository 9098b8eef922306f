import AddressAssignment
import StateStore

/// Lease records as rows of the store, which knows no address source.
extension LeaseRow {
    init(_ record: LeaseRecord) {
        self.init(
            server: record.pool.server, pool: record.pool.pool, address: record.address, identity: record.identity, isLive: record.isLive)
    }
}

extension LeaseRecord {
    init(_ row: LeaseRow) {
        self.init(pool: PoolName(server: row.server, pool: row.pool), address: row.address, identity: row.identity, isLive: row.isLive)
    }
}

extension StateChange {
    static func store(_ record: LeaseRecord) -> StateChange { .write(LeaseRow(record)) }
    static func forget(_ record: LeaseRecord) -> StateChange { .remove(LeaseRow(record)) }
}

extension StateStore {
    /// Every lease record, in the order in which they were last written. Blocks; for the start.
    nonisolated func leases() throws(StateStoreError) -> [LeaseRecord] {
        try leaseRows().map(LeaseRecord.init)
    }
}

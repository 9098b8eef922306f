package import Wire

/// Who failed to prove itself too often is left outside for a while (features.md X-12). Keyed by address and port, and by address and identity, never
/// by identity alone: IDi is sent unauthenticated, and anyone could lock out anyone.
package struct LockoutTable: Sendable {
    private enum Key: Hashable {
        case port(Endpoint)
        case identity(IPAddress, [UInt8])
        case address(IPAddress)
    }

    private struct Record {
        var failures: [Instant] = []
        /// nil: not locked; the end of the clock stands for "until the daemon restarts".
        var lockedUntil: Instant?
    }

    private var records: [Key: Record] = [:]
    private var lockedPorts: [IPAddress: Set<UInt16>] = [:]
    private var nextSweep: Instant?

    /// Keys remembered at once; when that many have failed lately, further ones are not remembered (threats.md rule 7).
    package static let capacity = 65_536

    package init() {}

    /// Whether a client is left outside now.
    package func isLocked(_ remote: Endpoint, identity: [UInt8], at now: Instant) -> Bool {
        [Key.address(remote.address), .port(remote), .identity(remote.address, identity)].contains { isLocked($0, at: now) }
    }

    private func isLocked(_ key: Key, at now: Instant) -> Bool {
        records[key]?.lockedUntil.map { now < $0 } ?? false
    }

    /// A wrong AUTH value; a timeout or an address refusal never counts. Returns whether the client is locked out from now on.
    package mutating func failed(_ remote: Endpoint, identity: [UInt8], policy: IKEPolicy.Lockout, at now: Instant) -> Bool {
        var locked = false
        for key in [Key.port(remote), .identity(remote.address, identity)] where count(key, policy, at: now) {
            locked = true
            guard case .port = key else { continue }
            let others = (lockedPorts[remote.address] ?? []).filter { isLocked(.port(Endpoint(remote.address, port: $0)), at: now) }
            let ports = others.union([remote.port])
            lockedPorts[remote.address] = ports
            if ports.count > policy.maximumPortsPerAddress {
                var record = records[.address(remote.address)] ?? Record()
                record.lockedUntil = end(policy, at: now)
                records[.address(remote.address)] = record
            }
        }
        return locked
    }

    /// Keys that are remembered, for gauges.
    package var count: Int { records.count }

    private mutating func count(_ key: Key, _ policy: IKEPolicy.Lockout, at now: Instant) -> Bool {
        if records[key] == nil, records.count >= Self.capacity, nextSweep.map({ $0 <= now }) ?? true { sweep(policy, at: now) }
        guard records[key] != nil || records.count < Self.capacity else { return false }
        var record = records[key] ?? Record()
        if let until = record.lockedUntil, until <= now { record = Record() }
        record.failures.removeAll { now - $0 > policy.duration }
        record.failures.append(now)
        if record.failures.count >= policy.failedAttempts {
            record.failures = []
            record.lockedUntil = end(policy, at: now)
        }
        records[key] = record
        return record.lockedUntil != nil
    }

    private func end(_ policy: IKEPolicy.Lockout, at now: Instant) -> Instant {
        policy.block.map { now + $0 } ?? Instant(nanoseconds: .max)
    }

    private mutating func forget(_ key: Key) {
        records[key] = nil
        guard case .port(let remote) = key else { return }
        lockedPorts[remote.address]?.remove(remote.port)
        if lockedPorts[remote.address]?.isEmpty == true { lockedPorts[remote.address] = nil }
    }

    /// Drops what no longer matters; at most once a second, so that a full table does not cost a walk for each failure (threats.md C3).
    private mutating func sweep(_ policy: IKEPolicy.Lockout, at now: Instant) {
        nextSweep = now + .seconds(1)
        for (key, record) in records {
            let isRecent = record.failures.last.map { now - $0 <= policy.duration } ?? false
            if !isLocked(key, at: now), !isRecent { forget(key) }
        }
    }
}

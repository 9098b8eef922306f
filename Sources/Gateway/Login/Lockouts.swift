import IKE
import IKEMessages
import Synchronization
import Wire

/// Who is locked out, over all shards.
final class Lockouts: Sendable {
    private let table = Mutex(LockoutTable())

    func isLocked(_ remote: Endpoint, identity: [UInt8], at now: Instant) -> Bool {
        table.withLock { $0.isLocked(remote, identity: identity, at: now) }
    }

    func failed(_ remote: Endpoint, identity: [UInt8], policy: IKEPolicy.Lockout, at now: Instant) -> Bool {
        table.withLock { $0.failed(remote, identity: identity, policy: policy, at: now) }
    }
}

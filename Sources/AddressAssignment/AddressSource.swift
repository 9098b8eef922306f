package import Wire

/// Where inner addresses come from: a pure machine that is asked, told and woken. `AddressSourceContract` in GatewayTesting says what every one keeps to.
///
/// The driver carries outputs out in their order, and has a `.store` on disk before it acts on the `.granted` behind it.
package protocol AddressSource: Sendable {
    mutating func handle(_ input: AddressInput, at now: Instant, into outputs: inout [AddressOutput])
}

/// Names one question so that its answer finds the asker.
package struct RequestID: Hashable, Sendable {
    package let rawValue: UInt64
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// Names the session that owns a lease; never reused while the daemon runs.
package struct LeaseSession: Hashable, Sendable {
    package let rawValue: UInt64
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

package struct LeaseRequest: Hashable, Sendable {
    /// The identity text of features.md ADDR-8; it is authenticated.
    package var identity: String
    /// The client's wish; an unspecified address is none.
    package var wanted: IPAddress?
    /// A prefix that a RADIUS server gave, of which any free host part will do (features.md V6-3).
    package var within: IPPrefix?
    package var family: AddressFamily
    package var session: LeaseSession

    /// 253 octets of identity text, and what a suffix such as `#65535` adds.
    package static let maximumIdentityLength = 264

    package init(identity: String, wanted: IPAddress? = nil, family: AddressFamily, session: LeaseSession) {
        self.identity = identity
        self.wanted = wanted
        self.family = family
        self.session = session
    }
}

/// An address that belongs to one session until it is released.
package struct Lease: Hashable, Sendable {
    package let address: IPAddress
    package let identity: String
    package let session: LeaseSession
    /// The source's subnet: INTERNAL_IP4_NETMASK is its netmask.
    package let subnet: IPPrefix
    package let dns: [IPAddress]
    package let pool: PoolName

    package init(
        address: IPAddress, identity: String, session: LeaseSession, subnet: IPPrefix, dns: [IPAddress], pool: PoolName
    ) {
        self.address = address
        self.identity = identity
        self.session = session
        self.subnet = subnet
        self.dns = dns
        self.pool = pool
    }
}

/// What must survive the daemon: who had, or has, an address. One record for each pool and address.
package struct LeaseRecord: Hashable, Sendable {
    package var pool: PoolName
    package var address: IPAddress
    package var identity: String
    /// Some session owned it when this was written.
    package var isLive: Bool

    package init(pool: PoolName, address: IPAddress, identity: String, isLive: Bool) {
        self.pool = pool
        self.address = address
        self.identity = identity
        self.isLive = isLive
    }
}

package enum AddressInput: Hashable, Sendable {
    case request(RequestID, LeaseRequest)
    /// The same identity came again: its new session owns the lease from here on, which is not released between (features.md X-8).
    case takeOver(RequestID, Lease, by: LeaseSession)
    /// The session is gone, and its SAs with it. A lease that is not, or no longer, its own is ignored.
    case release(Lease)
    /// The record that was to be stored with this grant is on the disk.
    case stored(Lease)
    /// The instant of the last `.arm` has come.
    case deadline
}

package enum AddressOutput: Hashable, Sendable {
    case granted(RequestID, Lease)
    case refused(RequestID, AddressRefusal)
    /// Write the record, over an older one of its pool and address; what is granted beside it waits for that.
    case store(LeaseRecord)
    /// The same for a record whose address and identity are on the disk already: nobody waits, and a crash may lose it.
    case note(LeaseRecord)
    /// Remove the record of this pool and address.
    case forget(LeaseRecord)
    /// Feed `.deadline` at this instant; replaces the one before.
    case arm(Instant)
}

/// Why a client gets no address: INTERNAL_ADDRESS_FAILURE on the wire, this in the log.
package enum AddressRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// Every address is in use or rests after use.
    case exhausted(PoolName)
    /// The source has no addresses of the family.
    case wrongFamily(AddressFamily)
    /// No identity, or one over `LeaseRequest.maximumIdentityLength`.
    case badIdentity
    /// The lease to take over is not in use.
    case notLeased
    /// The RADIUS server gave no address of the family.
    case notGiven(AddressFamily)
    /// The given address is in no prefix of the private interface, or none for a client there (features.md X-8).
    case outside(IPAddress)
    /// The given address belongs to another identity's session (features.md X-8).
    case ownedByAnother(IPAddress)
    /// The given address belongs to another session of the same identity.
    case inUse(IPAddress, by: LeaseSession)

    package var description: String {
        switch self {
        case .exhausted(let pool): "pool \(pool) has no free address; give it a larger range"
        case .wrongFamily(let family): "the pool has no IPv\(family.rawValue) addresses"
        case .badIdentity: "the identity is empty or too long for a lease"
        case .notLeased: "the lease to take over is not in use"
        case .notGiven(let family): "the RADIUS server gave no IPv\(family.rawValue) address"
        case .outside(let address): "the RADIUS server gave \(address), which is for no client of the private interface"
        case .ownedByAnother(let address): "the RADIUS server gave \(address), which another user's session has"
        case .inUse(let address, _): "the RADIUS server gave \(address), which another session of the user has"
        }
    }
}

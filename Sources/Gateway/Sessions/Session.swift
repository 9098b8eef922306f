import AddressAssignment
import Datapath
import FoundationEssentials
import GatewayCrypto
import IKE
import IKEMessages
import Wire

/// Where an IKE SA lives: the shard that owns it, and the session's number, which outlives its SPIs.
struct SAReference: Hashable, Sendable {
    let shard: Int
    let id: UInt64
}

/// One client's session, from the verified AUTH value to the last octet.
struct Session: Sendable {
    let id: UInt64
    /// The authenticated name: what accounting reports, and what limits count.
    let name: String
    /// IDi, escaped.
    let identity: String
    /// How it was proved, and the authenticated name: whose session it is.
    let user: [UInt8]
    /// The same with IDi as it was sent: sessions of one name and one IDi replace each other (features.md X-11).
    let identityBody: [UInt8]
    /// What leases are remembered by (features.md ADDR-8).
    let leaseIdentity: String
    /// What a RADIUS server said of it.
    let authorization: Authorization?
    let gateway: GatewayRuntime
    /// Of the next Child SA.
    var replayWindow: Int
    let sa: SAReference
    let local: Endpoint
    var remote: Endpoint
    let worker: Int
    /// At most one of each family (features.md V6-3).
    var leases: [AddressFamily: Lease] = [:]
    var tunnel: TunnelID?
    /// Networks behind the client that have a route of the kernel.
    var routed: [IPPrefix] = []
    /// ESP goes inside UDP; else it is an IP protocol of its own.
    var isEncapsulated = true
    var children: Set<UInt32> = []
    var established: Date?
    let accountingID: String
    var limits = SessionLimits.Wanted()
    /// What RADIUS said of it last.
    var interimInterval: Duration?
    /// A Start was made: a Stop is owed.
    var isAccountedFor = false
    /// Set once the session is being taken down; everyone else waits for it.
    var teardown: Task<Void, Never>?

    /// What accounting reports.
    var accountedName: [UInt8] { authorization?.userName ?? Array(name.utf8) }

    /// Networks behind the client (features.md X-3).
    var networks: [IPPrefix] { authorization?.terms.clientNetworks ?? [] }

    /// IPv4 first.
    var addresses: [IPAddress] { [.ipv4, .ipv6].compactMap { leases[$0]?.address } }

    /// Where the datapath sends: the datapath knows ESP without UDP by port 0.
    func espEndpoint(_ endpoint: Endpoint) -> Endpoint {
        isEncapsulated ? endpoint : Endpoint(endpoint.address, port: 0)
    }

    var subject: EventLog.Subject {
        EventLog.Subject(session: String(id), gateway: gateway.name, identity: identity, remote: remote, addresses: addresses)
    }
}

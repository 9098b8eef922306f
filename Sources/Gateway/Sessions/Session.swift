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
    /// How it was proved, and IDi as it was sent: sessions of one name and one IDi replace each other (features.md X-11).
    let identityBody: [UInt8]
    var gateway: GatewayRuntime
    let sa: SAReference
    let local: Endpoint
    var remote: Endpoint
    let worker: Int
    /// At most one of each family (features.md V6-3).
    var leases: [AddressFamily: Lease] = [:]
    var tunnel: TunnelID?
    /// ESP goes inside UDP; else it is an IP protocol of its own.
    var isEncapsulated = true
    var children: Set<UInt32> = []
    var established: Date?
    var accountingID: String
    /// Set once the session is being taken down; everyone else waits for it.
    var teardown: Task<Void, Never>?

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

/// The identity text of features.md ADDR-8: one type octet (its own numbering), then the text; what leases are remembered by.
enum LeaseIdentity {
    /// KEY_ID 0, IPv4 1, DN 2, FQDN 3, RFC822 4, IPv6 5.
    static func text(_ identity: IdentificationPayload) -> String {
        let number: Int
        switch identity.type {
        case .keyID: number = 0
        case .ipv4Address: number = 1
        case .derASN1DN: number = 2
        case .fqdn: number = 3
        case .rfc822Address: number = 4
        case .ipv6Address: number = 5
        default: number = 0
        }
        let value = identity.ipAddress?.description ?? Self.value(identity)
        let whole = "\(number)\(value)"
        return whole.utf8.count <= 253 ? whole : "sha256:" + digest(identity)
    }

    /// Names as they are where they are plain text, anything else in hexadecimal behind a blank, which no plain name has.
    private static func value(_ identity: IdentificationPayload) -> String {
        switch identity.type {
        case .fqdn, .rfc822Address, .keyID:
            let printable = identity.data.allSatisfy { (0x21...0x7e).contains($0) }
            return printable ? String(decoding: identity.data, as: UTF8.self) : " 0x" + identity.data.hexadecimal
        default: return " 0x" + identity.data.hexadecimal
        }
    }

    private static func digest(_ identity: IdentificationPayload) -> String {
        Digest.sha256(identity.body).hexadecimal
    }
}

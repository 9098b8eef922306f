import AddressAssignment
import ESP
import IKE
import IKEMessages
import Wire

/// One `ipsec-gateway` as it runs: what its IKE SAs and sessions are made from. A reload replaces it whole.
struct GatewayRuntime: Sendable {
    var name: String
    var address: IPAddress
    var profile: GatewayProfile
    var sharedKey: Secret<[UInt8]>?
    var template: TunnelTemplate
    var service: String
    /// The private interface's device, as reports name it; another namespace may have one of the same name.
    var interface: String
    /// The private interface as the datapath knows it.
    var interfaceKey: String
    /// Local address assignment (features.md ADDR-4); without a pool there are no addresses of the family here.
    var pools: [AddressFamily: PoolName]
    var uniqueness: Uniqueness
    /// 0: no limit.
    var maximumSessionsPerUser: Int
    var sessionLimitAction: SessionLimitAction

    /// The credential of a client, or why there is none. PSK until certificates and EAP come.
    func credential(for question: PeerQuestion) -> PeerAnswer {
        switch question.method {
        case nil: return .refused("it asks for EAP, and gateway \(name) authenticates by pre-shared key; set the client to PSK")
        case .some(.sharedKey):
            guard let sharedKey else { return .refused("gateway \(name) has no pre-shared key") }
            return .sharedKey(sharedKey)
        case .some(let method):
            return .refused("its authentication method \(method.rawValue) is not a pre-shared key, which gateway \(name) asks for")
        }
    }
}

import AddressAssignment
import ESP
import IKE
import IKEMessages
import PKI
import Wire

/// One `ipsec-gateway` as it runs: what its IKE SAs and sessions are made from. A reload replaces it whole. Shared, for ten thousand sessions refer
/// to one.
@dynamicMemberLookup
final class GatewayRuntime: Sendable {
    struct Settings: Sendable {
        var name: String
        var address: IPAddress
        var profile: GatewayProfile
        var sharedKey: Secret<[UInt8]>?
        var certificates: GatewayCertificates
        /// `local-id: auto`: with a certificate of ours our IDr is a name of that (features.md AUTH-2).
        var choosesIdentity: Bool
        var template: TunnelTemplate
        var service: String
        /// Alc-IPsec-Serv-Id.
        var serviceID: Int
        /// The private interface's device, as reports name it; another namespace may have one of the same name.
        var interface: String
        /// The private interface's namespace; nil: the daemon's own.
        var networkNamespace: String?
        /// The private interface as the datapath knows it.
        var interfaceKey: String
        /// Those of the private interface: addresses that a RADIUS server gives lie within them (features.md X-8).
        var prefixes: [IPPrefix]
        /// The gateway's own addresses there.
        var ownAddresses: [IPAddress]
        var aaa: GatewayAAA
        /// Local address assignment (features.md ADDR-4); without a pool there are no addresses of the family here.
        var pools: [AddressFamily: PoolName]
        var uniqueness: Uniqueness
        /// 0: no limit.
        var maximumSessionsPerUser: Int
        var sessionLimitAction: SessionLimitAction
    }

    let settings: Settings

    init(_ settings: Settings) {
        self.settings = settings
    }

    subscript<Value>(dynamicMember path: KeyPath<Settings, Value>) -> Value { settings[keyPath: path] }

    /// The same with changes.
    func with<Failure: Error>(_ change: (inout Settings) throws(Failure) -> Void) throws(Failure) -> GatewayRuntime {
        var settings = settings
        try change(&settings)
        return GatewayRuntime(settings)
    }

    /// Our IDr to a client that names none.
    var identity: IdentificationPayload {
        guard settings.choosesIdentity, settings.profile.policy.signs, let entry = settings.certificates.own?.entries.first else {
            return settings.profile.identity
        }
        return entry.identity(wanted: nil) ?? settings.profile.identity
    }

    func hasPrefix(of address: IPAddress) -> Bool { settings.prefixes.contains { $0.contains(address) } }

    var device: PrivateDevice { PrivateDevice(name: settings.interface, networkNamespace: settings.networkNamespace) }

    /// Names the addresses of the private interface that RADIUS servers give.
    var givenName: PoolName { PoolName(server: "radius", pool: settings.interfaceKey) }

    /// A RADIUS server has a word in every login by PSK or certificate (features.md AUTH-3, AUTH-7).
    var authorizesByRADIUS: Bool {
        switch settings.profile.policy.authentication.method {
        case .pskRADIUS, .certificateRADIUS, .autoEAPRADIUS: true
        case .psk, .certificate, .eap, .autoEAP: false
        }
    }
}

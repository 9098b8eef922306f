package import AddressAssignment
package import IKE
package import Wire

/// One `ipsec-gateway`, everything that it names resolved.
package struct GatewayConfiguration: Sendable, Hashable {
    package var name: String
    /// `admin-state`.
    package var isEnabled = true
    /// NAS-Port-Id.
    package var sap: String?
    package var tunnelGroup: Int
    package var policy: IKEPolicy
    /// `default-tunnel-template`.
    package var template: SessionTemplate
    /// `default-secure-service`.
    package var interface: InterfaceName
    package var address: Address
    package var identity = GatewayIdentity.auto
    /// Local address assignment; the pools lie within the prefixes of the interface.
    package var ipv4Pool: PoolName?
    package var ipv6Pool: PoolName?
    package var dhcpv4: DHCPSettings?
    package var dhcpv6: DHCPSettings?
    package var preSharedKey: ConfiguredSecret?
    package var certificate: GatewayCertificate?
    /// nil: everything in the families of the assigned addresses.
    package var trafficSelectors: TrafficSelectorList?
    package var clientDatabase: ClientDatabaseReference?
    /// Names of policies in `Configuration.radius`; nil too where the policy's method asks no RADIUS server (features.md AUTH-10).
    package var authenticationPolicy: String?
    package var accountingPolicy: String?
    package var uniqueness = Uniqueness.replace
    /// nil: no limit.
    package var maximumSessionsPerUser: Int?
    package var sessionLimitAction = SessionLimitAction.replaceOldest

    /// `gateway-address`.
    package enum Address: Hashable, Sendable, CustomStringConvertible {
        /// That of the default route.
        case automatic
        case fixed(IPAddress)

        package var description: String {
            switch self {
            case .automatic: "auto"
            case .fixed(let address): address.description
            }
        }
    }
}

/// `dhcpv4` or `dhcpv6` of a `dhcp-address-assignment`.
package struct DHCPSettings: Hashable, Sendable {
    /// `gi-address` or `link-address`.
    package var relayAddress: IPAddress
    package var servers: [IPAddress]
    package var sendsRelease = true
}

/// `cert` of a gateway.
package struct GatewayCertificate: Hashable, Sendable {
    /// A cert-profile: what we show.
    package var profile: String?
    /// A trust-anchor-profile: whom we trust.
    package var trustAnchors: String?
    package var statusVerify = StatusVerify()
}

/// `status-verify` (features.md PKI-9).
package struct StatusVerify: Hashable, Sendable {
    package var primary = Method.crl
    package var secondary: Method?
    package var defaultResult = Result.revoked

    package enum Method: String, Hashable, Sendable, CaseIterable { case crl, ocsp }
    package enum Result: String, Hashable, Sendable, CaseIterable { case good, revoked }
}

/// `client-db` of a gateway.
package struct ClientDatabaseReference: Hashable, Sendable {
    package var name: String
    /// Whoever is not in it gets the gateway's own settings; else is refused.
    package var fallback = true
}

package import IKEMessages
package import Wire

/// What RADIUS said for the Child SAs of one session (features.md RAD-5, X-3); nil and empty: as the gateway's profile says.
package struct ChildTerms: Hashable, Sendable {
    /// In the place of the template's.
    package var transforms: [IPsecTransform]?
    /// Hard lifetime of a Child SA, before the transform's and the policy's.
    package var lifetime: Duration?
    /// Group of rekeys: first choice, and offered on our own; `.none`: neither offered nor required.
    package var keyExchange: KeyExchangeMethod?
    /// Filter-Id: TSr is narrowed to this too.
    package var selectors: TrafficSelectorList?
    /// Framed-Route, Delegated-IPv6-Prefix: networks behind the client, which may stand in TSi beside its addresses.
    package var clientNetworks: [IPPrefix] = []
    /// How long the session may last from now on: AUTH_LIFETIME says this where it is shorter than the policy's. Who ends the session then is its
    /// owner, with `.close(.sessionTimeout)`: it may change (features.md X-5).
    package var sessionLifetime: Duration?

    package init() {}

    /// Networks behind one client (threats.md C3).
    package static let mostClientNetworks = 16
}

extension AddressGrant {
    /// Families of which the client has anything; of others nothing is negotiated (features.md TS-5).
    var families: Set<AddressFamily> {
        Set(addresses.map(\.family)).union(clientNetworks.map(\.family))
    }

    private var clientNetworks: ArraySlice<IPPrefix> { (terms?.clientNetworks ?? []).prefix(ChildTerms.mostClientNetworks) }

    /// TSi at the most: the assigned addresses (features.md TS-5), and what RADIUS says is behind the client.
    package var selectors: [TrafficSelector] {
        (addresses.map { IPPrefix(host: $0) } + clientNetworks).map {
            TrafficSelector(ipProtocol: 0, startPort: 0, endPort: .max, addresses: $0.range)
        }
    }
}

extension GatewayProfile {
    /// TSr at the most, in the families of the grant.
    package func localSelectors(for grant: AddressGrant) -> [TrafficSelector] {
        let families = grant.families
        let allowed = localSelectors.filter { families.contains($0.addresses.family) }
        guard let narrower = grant.terms?.selectors else { return allowed }
        return Narrowing.narrow(allowed, to: narrower.trafficSelectors)
    }

    /// Transforms of Child SAs, as this session has them.
    func childTransforms(for grant: AddressGrant) -> [IPsecTransform] {
        guard let terms = grant.terms else { return childTransforms }
        return (terms.transforms ?? childTransforms).map { transform in
            var transform = transform
            if let lifetime = terms.lifetime { transform.lifetime = lifetime }
            if let group = terms.keyExchange {
                transform.prefersPFS = group != .none
                if group == .none {
                    transform.requiresPFS = false
                } else {
                    transform.keyExchange = [group] + transform.keyExchange.filter { $0 != group }
                }
            }
            return transform
        }
    }

    /// AUTH_LIFETIME, RFC 4478: the policy's, or what is left of the session where that is shorter.
    func authenticationLifetime(for grant: AddressGrant) -> Duration? {
        policy.authentication.lifetime.map { min($0, grant.terms?.sessionLifetime ?? $0) }
    }
}

extension TrafficSelectorList {
    var trafficSelectors: [TrafficSelector] {
        local.map {
            TrafficSelector(ipProtocol: $0.ipProtocol, startPort: $0.ports.lowerBound, endPort: $0.ports.upperBound, addresses: $0.addresses)
        }
    }
}

package import IKEMessages
import Wire

/// What an `ipsec-gateway` gives every IKE SA born at it: policy, proposals, identity and selectors.
package struct GatewayProfile: Hashable, Sendable {
    package var name: String
    package var policy: IKEPolicy
    /// In order of preference.
    package var childTransforms: [IPsecTransform]
    /// Our IDr, as far as no certificate decides.
    package var identity: IdentificationPayload
    /// What CERTREQ says: the hashes of our trust anchors' keys, at most eight (features.md PKI-11, threats.md C10).
    package var authorities: [UInt8] = []
    /// nil: everything in the families of the assigned addresses (configuration.md).
    package var selectors: TrafficSelectorList?
    /// Packets in one direction after which a Child SA is replaced, less a random part (threats.md P25).
    package var packetLifetime: UInt64 = 1 << 31
    /// Child SAs with the same selectors that one client may have, each on a worker of its own (RFC 9611); 1: nobody is offered another.
    package var resources = 1
    /// The most that `resources` may be: a client has no more Child SAs at all.
    package static var mostResources: Int { ChildTable.most }

    package init(
        name: String, policy: IKEPolicy, childTransforms: [IPsecTransform], identity: IdentificationPayload, selectors: TrafficSelectorList?
    ) {
        self.name = name
        self.policy = policy
        self.childTransforms = childTransforms
        self.identity = identity
        self.selectors = selectors
    }

    /// TSr as far as we allow it.
    var localSelectors: [TrafficSelector] {
        selectors?.trafficSelectors ?? [.all(.ipv4), .all(.ipv6)]
    }

    var liveness: RetransmissionSchedule {
        let detection = policy.deadPeerDetection ?? IKEPolicy.DeadPeerDetection()
        return .liveness(interval: detection.interval, maxRetries: detection.maximumRetries)
    }
}

extension GatewayProfile {
    /// Attributes that are sent unasked (RAD-11).
    var unsolicited: Set<ConfigurationAttributeType> {
        var types: Set<ConfigurationAttributeType> = []
        if policy.relayUnsolicited.ip4Netmask { types.insert(.internalIP4Netmask) }
        if policy.relayUnsolicited.ip4DNS { types.insert(.internalIP4DNS) }
        if policy.relayUnsolicited.ip6DNS { types.insert(.internalIP6DNS) }
        return types
    }
}

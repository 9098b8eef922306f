import IKEMessages
package import Wire

/// What an address source gives a client, as IKE needs it: addresses and what is said beside them.
package struct AddressGrant: Hashable, Sendable {
    package var ipv4: IPAddress?
    /// Netmask of INTERNAL_IP4_NETMASK; never implies wider selectors (RAD-11).
    package var ipv4Netmask: IPAddress?
    package var ipv6: IPAddress?
    /// At most two of each family are sent (RAD-6).
    package var dns: [IPAddress]
    /// What RADIUS said for this session; nil: nothing.
    package var terms: ChildTerms?

    package init(
        ipv4: IPAddress? = nil, ipv4Netmask: IPAddress? = nil, ipv6: IPAddress? = nil, dns: [IPAddress] = [], terms: ChildTerms? = nil
    ) {
        self.ipv4 = ipv4
        self.ipv4Netmask = ipv4Netmask
        self.ipv6 = ipv6
        self.dns = dns
        self.terms = terms
    }

    package var addresses: [IPAddress] { [ipv4, ipv6].compactMap { $0 } }
}

/// What a CFG_REQUEST asked for.
package struct AddressWish: Hashable, Sendable {
    /// The client asks for an IPv4 address; the value is the one it would like, if it named one.
    package var ipv4 = false
    package var preferredIPv4: IPAddress?
    package var ipv6 = false
    package var preferredIPv6: IPAddress?

    package init() {}

    /// The families that an address is asked of, IPv4 first.
    package var families: [AddressFamily] { (ipv4 ? [.ipv4] : []) + (ipv6 ? [.ipv6] : []) }

    package func preferred(_ family: AddressFamily) -> IPAddress? {
        switch family {
        case .ipv4: preferredIPv4
        case .ipv6: preferredIPv6
        }
    }

    init(_ request: ConfigurationPayload) {
        for attribute in request.attributes {
            switch attribute.type {
            case .internalIP4Address:
                ipv4 = true
                if let address = IPAddress(octets: attribute.value), address.family == .ipv4, !address.isUnspecified { preferredIPv4 = address }
            case .internalIP6Address:
                ipv6 = true
                // 16 octets of address and one of prefix length
                if let address = IPAddress(octets: attribute.value.prefix(16)), address.family == .ipv6, !address.isUnspecified {
                    preferredIPv6 = address
                }
            default: continue
            }
        }
    }
}

/// CFG_REPLY, RFC 7296 section 3.15: only what was requested, plus what the policy sends unasked (RAD-11).
enum ConfigurationReply {
    static let mostDNSServersPerFamily = 2

    static func payload(
        to request: ConfigurationPayload, grant: AddressGrant, selectors: [TrafficSelector], unsolicited: Set<ConfigurationAttributeType>
    ) -> ConfigurationPayload {
        let asked = Set(request.attributes.map(\.type))
        func wanted(_ type: ConfigurationAttributeType) -> Bool { asked.contains(type) || unsolicited.contains(type) }
        var attributes: [ConfigurationAttribute] = []
        if let address = grant.ipv4, asked.contains(.internalIP4Address) {
            attributes.append(ConfigurationAttribute(type: .internalIP4Address, value: address.octets))
            if let netmask = grant.ipv4Netmask, wanted(.internalIP4Netmask) {
                attributes.append(ConfigurationAttribute(type: .internalIP4Netmask, value: netmask.octets))
            }
        }
        if let address = grant.ipv6, asked.contains(.internalIP6Address) {
            attributes.append(ConfigurationAttribute(type: .internalIP6Address, value: address.octets + [128]))
        }
        for (type, family) in [(ConfigurationAttributeType.internalIP4DNS, AddressFamily.ipv4), (.internalIP6DNS, .ipv6)] where wanted(type) {
            for server in grant.dns.filter({ $0.family == family }).prefix(mostDNSServersPerFamily) {
                attributes.append(ConfigurationAttribute(type: type, value: server.octets))
            }
        }
        attributes += subnets(selectors, wanted: wanted)
        return ConfigurationPayload(type: .reply, attributes: attributes)
    }

    /// INTERNAL_IP4_SUBNET and INTERNAL_IP6_SUBNET are the prefixes of TSr; a range that is no prefix has none.
    private static func subnets(
        _ selectors: [TrafficSelector], wanted: (ConfigurationAttributeType) -> Bool
    ) -> [ConfigurationAttribute] {
        var seen: Set<IPPrefix> = []
        return selectors.compactMap { selector in
            guard let prefix = selector.addresses.prefix, seen.insert(prefix).inserted else { return nil }
            switch prefix.family {
            case .ipv4:
                guard wanted(.internalIP4Subnet) else { return nil }
                return ConfigurationAttribute(type: .internalIP4Subnet, value: prefix.address.octets + prefix.netmask.octets)
            case .ipv6:
                guard wanted(.internalIP6Subnet) else { return nil }
                return ConfigurationAttribute(type: .internalIP6Subnet, value: prefix.address.octets + [UInt8(prefix.length)])
            }
        }
    }
}

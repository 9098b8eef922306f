/// The network most scenarios run on. Clients and gateway are a router apart, as on the internet.
///
/// ```
///  client 1 198.51.101.2 --+                                +-- gateway 192.0.2.1 | 10.20.0.1 ---- host 10.20.0.2
///  client 2 198.51.102.2 --+-- internet .1 … 192.0.2.254 ---+
///        (or behind one NAT: 192.168.101.2, 192.168.102.2 -- nat 203.0.113.2 -- internet 203.0.113.1)
///
///  with IPv6 beside it:
///  client n 2001:db8:10n::2 -- internet ::1 … 2001:db8:1::fe -- gateway 2001:db8:1::1 | 2001:db8:20::1 ---- host 2001:db8:20::2
/// ```
package struct RoadNetwork: Sendable {
    package static let gatewayAddress = "192.0.2.1"
    package static let lan = "10.20.0.0/24"
    /// The gateway's own on the private side: servers there know it by this.
    package static let gatewayLANAddress = "10.20.0.1"
    package static let hostAddress = "10.20.0.2"
    package static let natAddress = "203.0.113.2"
    package static let gatewayAddress6 = "2001:db8:1::1"
    package static let gatewayLANAddress6 = "2001:db8:20::1"
    package static let lan6 = "2001:db8:20::/64"
    package static let hostAddress6 = "2001:db8:20::2"
    package static func clientAddress6(_ number: Int) -> String { "2001:db8:10\(number)::2" }

    package let scenario: Scenario
    package let internet: Namespace
    package let gateway: Namespace
    package let host: Namespace
    package let nat: Namespace?
    package let clients: [Namespace]

    /// Where a client stands before its packets are translated.
    package let clientAddresses: [String]

    /// - Parameter ipv6: both families on every link; not with a NAT.
    package static func build(
        _ scenario: Scenario, clients count: Int = 1, behindNAT: Bool = false, ipv6: Bool = false
    ) async throws -> RoadNetwork {
        let internet = try await scenario.namespace("net")
        let gateway = try await scenario.namespace("gw")
        let host = try await scenario.namespace("host")
        try await internet.forwards()
        try await gateway.forwards()
        try await Namespace.connect(gateway, "wan", "\(gatewayAddress)/24", to: internet, "gw", "192.0.2.254/24")
        try await Namespace.connect(gateway, "lan", "10.20.0.1/24", to: host, "lan", "\(hostAddress)/24")
        try await gateway.ip("route add default via 192.0.2.254")
        try await host.ip("route add default via 10.20.0.1")

        var nat: Namespace?
        if behindNAT {
            let router = try await scenario.namespace("nat")
            try await router.forwards()
            try await Namespace.connect(router, "wan", "\(natAddress)/24", to: internet, "nat", "203.0.113.1/24")
            try await router.ip("route add default via 203.0.113.1")
            try await router.masquerades(out: "wan")
            nat = router
        }
        var clients: [Namespace] = []
        var addresses: [String] = []
        for number in 1...count {
            let client = try await scenario.namespace("c\(number)")
            let network = "\(behindNAT ? "192.168" : "198.51").\(100 + number)"
            try await Namespace.connect(client, "eth0", "\(network).2/24", to: nat ?? internet, "c\(number)", "\(network).1/24")
            try await client.ip("route add default via \(network).1")
            clients.append(client)
            addresses.append("\(network).2")
        }
        if ipv6 { try await addIPv6(internet: internet, gateway: gateway, host: host, clients: clients) }
        return RoadNetwork(
            scenario: scenario, internet: internet, gateway: gateway, host: host, nat: nat, clients: clients, clientAddresses: addresses)
    }

    /// `nodad`: addresses are usable at once.
    private static func addIPv6(internet: Namespace, gateway: Namespace, host: Namespace, clients: [Namespace]) async throws {
        try await internet.ip("address add 2001:db8:1::fe/64 dev gw nodad")
        try await gateway.ip(
            "address add \(gatewayAddress6)/64 dev wan nodad", "address add 2001:db8:20::1/64 dev lan nodad", "route add default via 2001:db8:1::fe"
        )
        try await host.ip("address add \(hostAddress6)/64 dev lan nodad", "route add default via 2001:db8:20::1")
        for (index, client) in clients.enumerated() {
            let number = index + 1
            try await internet.ip("address add 2001:db8:10\(number)::1/64 dev c\(number) nodad")
            try await client.ip("address add \(clientAddress6(number))/64 dev eth0 nodad", "route add default via 2001:db8:10\(number)::1")
        }
    }
}

/// One client and the gateway with a `Relay` where the internet would be. The relay holds the gateway's address on the client's side
/// and the client's address on the gateway's side, so neither end sees a NAT.
///
/// ```
///  client 198.51.100.2 ---- 192.0.2.1 near | relay | far 198.51.100.2 ---- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 host
/// ```
package struct RelayedNetwork: Sendable {
    package let client: Namespace
    package let near: Namespace
    package let far: Namespace
    package let gateway: Namespace
    package let host: Namespace

    package static let clientAddress = "198.51.100.2"

    package static func build(_ scenario: Scenario) async throws -> RelayedNetwork {
        let client = try await scenario.namespace("c")
        let near = try await scenario.namespace("near")
        let far = try await scenario.namespace("far")
        let gateway = try await scenario.namespace("gw")
        let host = try await scenario.namespace("host")
        try await gateway.forwards()
        try await Namespace.connect(client, "eth0", "\(clientAddress)/32", to: near, "client", "\(RoadNetwork.gatewayAddress)/32")
        try await Namespace.connect(far, "gw", "\(clientAddress)/32", to: gateway, "wan", "\(RoadNetwork.gatewayAddress)/32")
        try await Namespace.connect(gateway, "lan", "10.20.0.1/24", to: host, "lan", "\(RoadNetwork.hostAddress)/24")
        try await client.ip("route add \(RoadNetwork.gatewayAddress) dev eth0", "route add default via \(RoadNetwork.gatewayAddress)")
        try await near.ip("route add \(clientAddress) dev client")
        try await far.ip("route add \(RoadNetwork.gatewayAddress) dev gw")
        try await gateway.ip("route add \(clientAddress) dev wan", "route add default via \(clientAddress)")
        try await host.ip("route add default via 10.20.0.1")
        return RelayedNetwork(client: client, near: near, far: far, gateway: gateway, host: host)
    }
}

/// Clients behind a NAT that is a `Relay`, so that its mappings can be changed at will.
///
/// ```
///  client n 192.168.(100+n).2 ---- 192.0.2.1 near | relay | far 203.0.113.2 ---- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 host
/// ```
package struct TranslatedNetwork: Sendable {
    package let clients: [Namespace]
    package let near: Namespace
    package let far: Namespace
    package let gateway: Namespace
    package let host: Namespace

    package static func build(_ scenario: Scenario, clients count: Int) async throws -> TranslatedNetwork {
        let near = try await scenario.namespace("near")
        let far = try await scenario.namespace("far")
        let gateway = try await scenario.namespace("gw")
        let host = try await scenario.namespace("host")
        try await gateway.forwards()
        try await near.ip("address add \(RoadNetwork.gatewayAddress)/32 dev lo")
        try await Namespace.connect(far, "gw", "\(RoadNetwork.natAddress)/32", to: gateway, "wan", "\(RoadNetwork.gatewayAddress)/32")
        try await Namespace.connect(gateway, "lan", "10.20.0.1/24", to: host, "lan", "\(RoadNetwork.hostAddress)/24")
        try await far.ip("route add \(RoadNetwork.gatewayAddress) dev gw")
        try await gateway.ip("route add \(RoadNetwork.natAddress) dev wan", "route add default via \(RoadNetwork.natAddress)")
        try await host.ip("route add default via 10.20.0.1")
        var clients: [Namespace] = []
        for number in 1...count {
            let client = try await scenario.namespace("c\(number)")
            let network = "192.168.\(100 + number)"
            try await Namespace.connect(client, "eth0", "\(network).2/24", to: near, "c\(number)", "\(network).1/24")
            try await client.ip("route add default via \(network).1")
            clients.append(client)
        }
        return TranslatedNetwork(clients: clients, near: near, far: far, gateway: gateway, host: host)
    }
}

import Lab
import Testing

/// Two gateways in one daemon, each with a private interface and a pool of its own; the second interface in a namespace of its own.
///
/// ```
///  alice 198.51.101.2 --+              +-- 192.0.2.1  gateway rw      priv0 10.99.0.1   10.20.0.1 ---- 10.20.0.2  host
///                       +-- internet --+
///  bob   198.51.102.2 --+              +-- 192.0.2.3  gateway beside  priv1 10.98.0.1   10.20.0.1 ---- 10.20.0.2  other host
///                                                     (may be in the namespace `corp`; same LAN addresses there)
/// ```
@Suite(.watched)
struct SeveralGatewaysTests {
    private static let second = "192.0.2.3"

    /// The gateway's machine with a second address, and a namespace with a LAN of its own that has the very addresses of the first.
    private func build(
        _ scenario: Scenario, interface: String, apart: Bool, second: String = SeveralGatewaysTests.second, psk: String = GatewaySettings.psk
    ) async throws -> (road: Road, corp: Namespace, other: Namespace) {
        let network = try await RoadNetwork.build(scenario, clients: 2, ipv6: true)
        if second == Self.second { try await network.gateway.ip("address add \(second)/24 dev wan") }
        let corp = try await scenario.namespace("corp")
        let other = try await scenario.namespace("other")
        try await corp.forwards()
        try await Namespace.connect(corp, "lan", "10.20.0.1/24", to: other, "lan", "\(RoadNetwork.hostAddress)/24")
        try await other.ip("route add default via 10.20.0.1")
        var settings = GatewaySettings()
        var beside = GatewaySettings.Beside("beside", address: second, interface: interface, namespace: apart ? corp.name : nil)
        beside.psk = psk
        settings.beside = beside
        let gateway = try await GatewayProcess.start(scenario, in: network.gateway, settings)
        return (Road(scenario: scenario, network: network, gateway: gateway), corp, other)
    }

    @Test("two gateways, two interfaces, two pools: each client gets an address of its gateway's pool, and both reach the host")
    func twoGateways() async throws {
        try await Scenario.run { scenario in
            let (road, _, _) = try await build(scenario, interface: "priv1", apart: false)
            let alice = try await road.client(1, "alice.test")
            let bob = try await road.client(2, "bob.test") { $0.remoteAddress = Self.second }
            let first = try #require(try await alice.connect().virtualAddresses.first)
            let second = try #require(try await bob.connect().virtualAddresses.first)
            #expect(first.hasPrefix("10.99.0.") && second.hasPrefix("10.98.0."))
            let (one, two) = (try await road.session(of: "alice.test"), try await road.session(of: "bob.test"))
            #expect(one.gateway == "rw" && one.interface == "priv0" && one.service == "home")
            #expect(two.gateway == "beside" && two.interface == "priv1" && two.service == "beside")
            #expect(try await road.reachesHost(alice))
            #expect(try await road.reachesHost(bob))
            #expect(try await Ping.run(from: road.host, to: first).isComplete)
            #expect(try await Ping.run(from: road.host, to: second).isComplete)
            async let up = TCPTransfer.run(from: alice.namespace, to: road.host, at: RoadNetwork.hostAddress, octets: 2_000_001, seed: 1)
            async let beside = TCPTransfer.run(from: bob.namespace, to: road.host, at: RoadNetwork.hostAddress, octets: 2_000_001, seed: 2)
            let whole = TCPTransfer.Outcome(octets: 2_000_001, isIntact: true)
            let outcomes = try await [up, beside]
            #expect(outcomes == [whole, whole])
            try await alice.terminate()
            #expect(try await road.gateway.waitForSessions(1).first?.gateway == "beside")
            #expect(try await road.reachesHost(bob))
        }
    }

    @Test(
        "an interface in a namespace of its own: its clients reach that namespace's LAN, never the other's, even with the same device name",
        arguments: ["priv1", GatewaySettings.interfaceName])
    func namespaceOfItsOwn(interface: String) async throws {
        try await Scenario.run { scenario in
            let (road, corp, other) = try await build(scenario, interface: interface, apart: true)
            let alice = try await road.client(1, "alice.test")
            let bob = try await road.client(2, "bob.test") { $0.remoteAddress = Self.second }
            let first = try #require(try await alice.connect().virtualAddresses.first)
            let second = try #require(try await bob.connect().virtualAddresses.first)
            #expect(first.hasPrefix("10.99.0.") && second.hasPrefix("10.98.0."))
            #expect(try await corp.show("-4 address show dev \(interface)").contains("10.98.0.1/24"))
            #expect(try await road.network.gateway.show("-4 address show").contains("10.98.0.1") == false)
            let (home, away) = (
                try await Capture.start(scenario, in: road.host, link: "lan", filter: "icmp"),
                try await Capture.start(scenario, in: other, link: "lan", filter: "icmp")
            )
            // the same address, but not the same host
            #expect(try await road.reachesHost(alice))
            #expect(try await road.reachesHost(bob))
            let (seenAtHome, seenAway) = (try await home.stop(), try await away.stop())
            #expect(seenAtHome.contains { $0.contains(first) } && !seenAtHome.contains { $0.contains(second) })
            #expect(seenAway.contains { $0.contains(second) } && !seenAway.contains { $0.contains(first) })
            #expect(try await Ping.run(from: other, to: second).isComplete)
            #expect(!(try await Ping.run(from: other, to: first, count: 1).isAnswered))
            #expect(!(try await Ping.run(from: road.host, to: second, count: 1).isAnswered))

            road.gateway.process.signal(15)
            #expect(try await road.gateway.process.wait(timeout: .seconds(10)) == .exited(0))
            #expect(!(try await corp.show("-brief link show").contains(interface)))
        }
    }

    @Test("one gateway on IPv4, another on IPv6: each with its own PSK, and one's PSK opens nothing at the other")
    func bothFamilies() async throws {
        try await Scenario.run { scenario in
            let psk = "the other gateway's text, as long"
            let (road, _, _) = try await build(scenario, interface: "priv1", apart: false, second: RoadNetwork.gatewayAddress6, psk: psk)
            let alice = try await road.client(1, "alice.test")
            try await alice.connect()
            let bob = try await road.client(2, "bob.test") { $0.remoteAddress = RoadNetwork.gatewayAddress6 }
            let refused = try await bob.initiate()
            #expect(!refused.succeeded && refused.output.contains("AUTHENTICATION_FAILED"), "\(refused.output)")
            var connection = CharonConnection()
            (connection.identity, connection.remoteAddress, connection.psk) = ("bob.test", RoadNetwork.gatewayAddress6, psk)
            try await bob.load([connection])
            #expect(try await bob.connect().virtualAddresses.allSatisfy { $0.hasPrefix("10.98.0.") })
            #expect(try await road.session(of: "bob.test").remote == "[\(RoadNetwork.clientAddress6(2))]:4500")
            #expect(try await road.reachesHost(alice))
            #expect(try await road.reachesHost(bob))
        }
    }

    @Test("threats.md P36: INITIAL_CONTACT at one gateway ends nothing at another, even under the same name")
    func threat_P36_otherGateway() async throws {
        try await Scenario.run { scenario in
            let (road, _, _) = try await build(scenario, interface: "priv1", apart: false)
            let alice = try await road.client(1, "alice.test")
            try await alice.connect()
            let namesake = try await road.client(2, "alice.test") { $0.remoteAddress = Self.second }
            try await namesake.connect()
            #expect(Set(try await road.gateway.waitForSessions(2).map(\.gateway)) == ["rw", "beside"])
            #expect(try await road.reachesHost(alice))
            #expect(try await road.reachesHost(namesake))
        }
    }
}

import Lab
import Testing

/// Traffic selectors: what a client asks for, what the gateway's ts-list allows, and what then passes.
///
/// ```
///  client 198.51.101.2 ---- internet ---- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2   host
///                                                                         +- 10.20.0.200
/// ```
@Suite(.watched)
struct SelectorTests {
    @Test("TS-2: the answer is the intersection of what was asked and the ts-list, and only that is reached")
    func ts_2_narrowed() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.selectors = ["10.20.0.0/25", "172.16.0.0/16"]
            let road = try await Road.build(scenario, settings)
            try await road.host.ip("address add 10.20.0.200/24 dev lan")
            let client = try await road.client(1, "alice.test")
            let sa = try await client.connect()
            let child = try #require(sa.children.first)
            #expect(child.remoteSelectors == ["10.20.0.0/25"])
            #expect(child.localSelectors == sa.virtualAddresses.map { "\($0)/32" })
            #expect(try await road.reachesHost(client))
            #expect(!(try await Ping.run(from: client.namespace, to: "10.20.0.200").isAnswered))
            // from the other side: an address outside the selectors gets nothing into the tunnel
            let address = try #require(sa.virtualAddresses.first)
            #expect(try await Ping.run(from: road.host, to: address, source: "10.20.0.2").isComplete)
            #expect(!(try await Ping.run(from: road.host, to: address, source: "10.20.0.200").isAnswered))
        }
    }

    @Test("TS-1: several wishes are answered by several selectors")
    func ts_1_several() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.selectors = ["10.20.0.0/24", "172.16.0.0/16"]
            let road = try await Road.build(scenario, settings)
            let client = try await road.client(1, "alice.test") { $0.remoteSelectors = ["0.0.0.0/0"] }
            let child = try #require(try await client.connect().children.first)
            #expect(Set(child.remoteSelectors) == ["10.20.0.0/24", "172.16.0.0/16"])
            #expect(try await road.reachesHost(client))
        }
    }

    @Test("TS-3: no overlap is TS_UNACCEPTABLE beside AUTH; then the gateway deletes the IKE SA and keeps no address")
    func ts_3_noOverlap() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.selectors = ["10.20.0.0/24"]
            let road = try await Road.build(scenario, settings)
            let client = try await road.client(1, "alice.test") { $0.remoteSelectors = ["172.16.0.0/12"] }
            let result = try await client.initiate()
            #expect(!result.succeeded)
            #expect(result.output.contains("TS_UNACCEPTABLE"), "\(result.output)")
            #expect(result.output.contains("AUTHENTICATION_FAILED") == false)
            // the client would keep the IKE SA: it is our Delete that ends it
            #expect(try await becomesTrue(within: .seconds(5)) { try await client.sas().isEmpty })
            #expect(try await road.gateway.sessions().isEmpty)
            #expect(try await becomesTrue(within: .seconds(5)) { try await road.gateway.pools().map(\.used) == [0] })
        }
    }

    @Test("TS-1: a protocol and a range of ports in the selectors: what fits passes, nothing else does, from neither side")
    func ts_1_protocolAndPorts() async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario)
            let client = try await road.client(1, "alice.test") {
                ($0.localSelectors, $0.remoteSelectors) = (["dynamic[tcp]"], ["10.20.0.0/24[tcp/1024-65535]"])
            }
            let sa = try await client.connect()
            let child = try #require(sa.children.first)
            let address = try #require(sa.virtualAddresses.first)
            #expect(child.remoteSelectors == ["10.20.0.0/24[tcp/1024-65535]"] && child.localSelectors == ["\(address)/32[tcp]"])
            let sent = try await TCPTransfer.run(from: client.namespace, to: road.host, at: RoadNetwork.hostAddress, octets: 100_000)
            #expect(sent == .init(octets: 100_000, isIntact: true))
            #expect(!(try await Ping.run(from: client.namespace, to: RoadNetwork.hostAddress).isAnswered))
            let before = try await road.gateway.counters()
            #expect(!(try await Ping.run(from: road.host, to: address).isAnswered))
            #expect(try await road.gateway.counters().drops["selectors", default: 0] > before.drops["selectors", default: 0])
        }
    }

    @Test("clients reach each other through the gateway, where their selectors and the ts-list hold the inner addresses")
    func clientsReachEachOther() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.selectors = [RoadNetwork.lan, GatewaySettings.poolPrefix]
            let road = try await Road.build(scenario, clients: 3, settings)
            var clients: [Charon] = []
            var addresses: [String] = []
            for (index, name) in ["alice.test", "bob.test", "carol.test"].enumerated() {
                // Carol asks for the network behind the gateway alone
                let networks = index < 2 ? settings.selectors : [RoadNetwork.lan]
                let client = try await road.client(index + 1, name) { $0.remoteSelectors = networks }
                addresses += try await client.connect().virtualAddresses
                clients.append(client)
            }
            #expect(Set(addresses).count == 3)
            #expect(try await Ping.run(from: clients[0].namespace, to: addresses[1]).isComplete)
            #expect(try await Ping.run(from: clients[1].namespace, to: addresses[0], size: 1400).isComplete)
            let sent = try await TCPTransfer.run(from: clients[0].namespace, to: clients[1].namespace, at: addresses[1], octets: 2_000_000)
            #expect(sent == .init(octets: 2_000_000, isIntact: true))
            #expect(!(try await Ping.run(from: clients[0].namespace, to: addresses[2]).isAnswered), "her selectors hold no client")
            for client in clients { #expect(try await road.reachesHost(client)) }
        }
    }
}

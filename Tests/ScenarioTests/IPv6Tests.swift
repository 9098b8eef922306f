import Lab
import Testing

/// IPv6 outside, inside, and both families at once.
///
/// ```
///  client 198.51.101.2 ------+-- internet --+-- 192.0.2.1     gateway 10.20.0.1 -------+- 10.20.0.2     host
///         2001:db8:101::2 ---+              +-- 2001:db8:1::1         2001:db8:20::1 --+- 2001:db8:20::2
///                                               inner addresses 10.99.0.0/24, 2001:db8:99::/64
/// ```
@Suite(.watched)
struct IPv6Tests {
    private let range6 = (first: "2001:db8:99::100", last: "2001:db8:99::1ff")

    /// A gateway on one family outside with these families inside.
    private func settings(outer: Int, ipv4: Bool = true, ipv6: Bool = true) -> GatewaySettings {
        var settings = GatewaySettings()
        if outer == 6 { settings.gatewayAddress = RoadNetwork.gatewayAddress6 }
        settings.assignsIPv4 = ipv4
        settings.pool6 = ipv6 ? range6 : nil
        return settings
    }

    private func client(_ road: Road, _ identity: String, outer: Int, asking addresses: [String], for selectors: [String]) async throws -> Charon {
        try await road.client(1, identity) {
            $0.remoteAddress = outer == 6 ? RoadNetwork.gatewayAddress6 : RoadNetwork.gatewayAddress
            $0.virtualAddresses = addresses
            $0.remoteSelectors = selectors
        }
    }

    @Test("V6-4: IKE and ESP over IPv6, IPv4 inside; large transfers both ways")
    func v6_4_outer() async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario, ipv6: true, settings(outer: 6, ipv6: false))
            let capture = try await Capture.start(scenario, in: road.network.internet, link: "gw", filter: "udp")
            let client = try await client(road, "alice.test", outer: 6, asking: ["0.0.0.0"], for: [RoadNetwork.lan])
            let sa = try await client.connect()
            let address = try #require(sa.virtualAddresses.first)
            #expect(try await road.reachesHost(client))
            #expect(try await Ping.run(from: road.host, to: address).isComplete)
            let session = try await road.session(of: "alice.test")
            #expect(session.remote == "[\(RoadNetwork.clientAddress6(1))]:4500")
            #expect(session.innerAddresses == [address])
            #expect(session.acctSessionId.hasPrefix("[\(RoadNetwork.gatewayAddress6)]-[\(RoadNetwork.clientAddress6(1))]:4500-"))
            let whole = TCPTransfer.Outcome(octets: 2_000_001, isIntact: true)
            #expect(try await TCPTransfer.run(from: client.namespace, to: road.host, at: RoadNetwork.hostAddress, octets: whole.octets) == whole)
            #expect(try await TCPTransfer.run(from: road.host, to: client.namespace, at: address, octets: whole.octets) == whole)
            let packets = try await capture.stop()
            #expect(packets.contains { $0.contains("\(RoadNetwork.gatewayAddress6).4500") })
            #expect(!packets.contains { $0.contains(RoadNetwork.gatewayAddress) })
            try await client.terminate()
            try await road.gateway.waitForSessions(0)
        }
    }

    @Test("V6-3: IPv6 inside: an address of the pool as /128 in CP and TSi, traffic both ways", arguments: [4, 6])
    func v6_3_inner(outer: Int) async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario, ipv6: true, settings(outer: outer, ipv4: false))
            let client = try await client(road, "alice.test", outer: outer, asking: ["::"], for: [RoadNetwork.lan6])
            let sa = try await client.connect()
            let address = try #require(sa.virtualAddresses.first)
            #expect(sa.virtualAddresses.count == 1 && address.hasPrefix("2001:db8:99::1"))
            #expect(sa.children.first?.localSelectors == ["\(address)/128"])
            #expect(sa.children.first?.remoteSelectors == [RoadNetwork.lan6])
            #expect(try await road.reachesHost6(client))
            #expect(try await Ping.run(from: road.host, to: address).isComplete)
            #expect(try await road.session(of: "alice.test").innerAddresses == [address])
            let whole = TCPTransfer.Outcome(octets: 2_000_001, isIntact: true)
            #expect(try await TCPTransfer.run(from: client.namespace, to: road.host, at: RoadNetwork.hostAddress6, octets: whole.octets) == whole)
            #expect(try await TCPTransfer.run(from: road.host, to: client.namespace, at: address, octets: whole.octets) == whole)
            try await client.terminate()
            try await road.gateway.waitForSessions(0)
            #expect(!(try await Ping.run(from: road.host, to: address, count: 1).isAnswered))
        }
    }

    @Test("V6-3, TS-5: both families inside one Child SA, each with an address of its own", arguments: [4, 6])
    func v6_3_dualStack(outer: Int) async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario, ipv6: true, settings(outer: outer))
            let client = try await client(
                road, "alice.test", outer: outer, asking: ["0.0.0.0", "::"], for: [RoadNetwork.lan, RoadNetwork.lan6])
            let sa = try await client.connect()
            let four = try #require(sa.virtualAddresses.first { $0.hasPrefix("10.99.0.") })
            let six = try #require(sa.virtualAddresses.first { $0.hasPrefix("2001:db8:99::1") })
            #expect(sa.virtualAddresses.count == 2 && sa.children.count == 1)
            #expect(Set(sa.children.first?.localSelectors ?? []) == ["\(four)/32", "\(six)/128"])
            #expect(Set(sa.children.first?.remoteSelectors ?? []) == [RoadNetwork.lan, RoadNetwork.lan6])
            #expect(try await road.reachesHost(client))
            #expect(try await road.reachesHost6(client))
            #expect(try await Ping.run(from: road.host, to: four).isComplete)
            #expect(try await Ping.run(from: road.host, to: six).isComplete)
            #expect(try await road.session(of: "alice.test").innerAddresses == [four, six])
            #expect(try await road.gateway.pools().map(\.used) == [1, 1])

            // a restarted client takes both addresses over (X-8)
            await client.killNow()
            let again = try await self.client(
                road, "alice.test", outer: outer, asking: ["0.0.0.0", "::"], for: [RoadNetwork.lan, RoadNetwork.lan6])
            #expect(Set(try await again.connect().virtualAddresses) == [four, six])
            #expect(try await road.reachesHost(again))
            #expect(try await road.reachesHost6(again))
            try await again.terminate()
            try await road.gateway.waitForSessions(0)
            #expect(try await road.gateway.pools().map(\.used) == [0, 0])
        }
    }

    @Test("TS-5: one family assignable is success, and the other is dropped from the selectors", arguments: [4, 6])
    func ts_5_oneFamily(assigned: Int) async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario, ipv6: true, settings(outer: 4, ipv4: assigned == 4, ipv6: assigned == 6))
            let client = try await client(
                road, "alice.test", outer: 4, asking: ["0.0.0.0", "::"], for: [RoadNetwork.lan, RoadNetwork.lan6])
            let sa = try await client.connect()
            let address = try #require(sa.virtualAddresses.first)
            #expect(sa.virtualAddresses.count == 1 && address.contains(":") == (assigned == 6))
            #expect(sa.children.first?.localSelectors == [assigned == 6 ? "\(address)/128" : "\(address)/32"])
            #expect(sa.children.first?.remoteSelectors == [assigned == 6 ? RoadNetwork.lan6 : RoadNetwork.lan])
            #expect(try await assigned == 6 ? road.reachesHost6(client) : road.reachesHost(client))
        }
    }

    @Test("TS-5: an address of no family that is asked for is INTERNAL_ADDRESS_FAILURE; an empty IPv6 pool leaves IPv4")
    func ts_5_noFamily() async throws {
        try await Scenario.run { scenario in
            var settings = settings(outer: 4)
            settings.pool6 = (first: "2001:db8:99::100", last: "2001:db8:99::100")
            let road = try await Road.build(scenario, clients: 2, ipv6: true, settings)
            let alice = try await client(road, "alice.test", outer: 4, asking: ["::"], for: [RoadNetwork.lan6])
            #expect(try await alice.connect().virtualAddresses == ["2001:db8:99::100"])
            let bob = try await road.client(2, "bob.test") {
                $0.virtualAddresses = ["::"]
                $0.remoteSelectors = [RoadNetwork.lan6]
            }
            let refused = try await bob.initiate()
            #expect(!refused.succeeded)
            #expect(refused.output.contains("INTERNAL_ADDRESS_FAILURE") || refused.output.contains("INT_ADDR_FAIL"), "\(refused.output)")
            #expect(try await becomesTrue(within: .seconds(5)) { try await bob.sas().isEmpty })

            var both = CharonConnection()
            both.identity = "bob.test"
            both.virtualAddresses = ["0.0.0.0", "::"]
            both.remoteSelectors = [RoadNetwork.lan, RoadNetwork.lan6]
            try await bob.load([both])
            let sa = try await bob.connect()
            #expect(sa.virtualAddresses.count == 1 && sa.virtualAddresses.allSatisfy { $0.hasPrefix("10.99.0.") })
            #expect(try await road.reachesHost(bob))
            #expect(try await road.reachesHost6(alice))
        }
    }

    @Test("DP-4: more than ip-mtu is answered by packet too big, and the host's next packets fit; at most 1280 pass whole", arguments: [4, 6])
    func dp_4_pathMTU(outer: Int) async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario, ipv6: true, settings(outer: outer))
            let client = try await client(road, "alice.test", outer: outer, asking: ["::"], for: [RoadNetwork.lan6])
            let address = try #require(try await client.connect().virtualAddresses.first)
            #expect(try await Ping.run(from: road.host, to: address, size: 1400, fragmentation: .forbidden).isComplete)
            let large = try await Ping.run(from: road.host, to: address, count: 1, size: 1500, fragmentation: .forbidden)
            #expect(!large.isAnswered)
            #expect(large.output.contains("mtu=1400") || large.output.contains("mtu = 1400"), "\(large.output)")
            // the host has learned it, and fragments by itself
            let again = try await Ping.run(from: road.host, to: address, size: 1500)
            #expect(again.isComplete, "\(again.output)")
            let whole = TCPTransfer.Outcome(octets: 1_000_001, isIntact: true)
            #expect(try await TCPTransfer.run(from: road.host, to: client.namespace, at: address, octets: whole.octets) == whole)
        }
    }

    @Test("DP-4: an ip-mtu below 1280 does not keep IPv6 packets of 1280 octets out, and is told as 1280")
    func dp_4_below1280() async throws {
        try await Scenario.run { scenario in
            var settings = settings(outer: 6)
            settings.ipMTU = 1000
            let road = try await Road.build(scenario, ipv6: true, settings)
            let client = try await client(road, "alice.test", outer: 6, asking: ["::"], for: [RoadNetwork.lan6])
            let address = try #require(try await client.connect().virtualAddresses.first)
            #expect(try await Ping.run(from: road.host, to: address, size: 1280, fragmentation: .forbidden).isComplete)
            let large = try await Ping.run(from: road.host, to: address, count: 1, size: 1281, fragmentation: .forbidden)
            #expect(!large.isAnswered)
            #expect(large.output.contains("mtu=1280") || large.output.contains("mtu = 1280"), "\(large.output)")
        }
    }

    @Test("outer path MTU: a router on the way takes less than the link; large packets and transfers arrive, in both families", arguments: [4, 6])
    func outerPathMTU(outer: Int) async throws {
        try await Scenario.run { scenario in
            var settings = settings(outer: outer)
            // hosts are not told: what they send must arrive as large as it is
            settings.propagatesPathMTU = false
            let road = try await Road.build(scenario, ipv6: true, settings)
            // the client's link takes 1300 octets; an inner packet of 1400 makes an outer one of more than that
            try await road.network.internet.ip("link set c1 mtu 1300")
            try await road.network.clients[0].ip("link set eth0 mtu 1300")
            let capture = try await Capture.start(scenario, in: road.network.internet, link: outer == 6 ? "gw" : "c1")
            let client = try await client(road, "alice.test", outer: outer, asking: ["0.0.0.0", "::"], for: [RoadNetwork.lan, RoadNetwork.lan6])
            let addresses = try await client.connect().virtualAddresses
            let whole = TCPTransfer.Outcome(octets: 1_000_001, isIntact: true)
            for address in addresses {
                // the packet that finds out is lost
                _ = try await Ping.run(from: road.host, to: address, count: 1, size: 1400)
                let large = try await Ping.run(from: road.host, to: address, size: 1400, fragmentation: .forbidden)
                #expect(large.isComplete, "\(large.output)")
                #expect(try await TCPTransfer.run(from: road.host, to: client.namespace, at: address, octets: whole.octets) == whole)
            }
            let packets = try await capture.stop()
            if outer == 6 {
                // the router says so, and the gateway fragments
                #expect(packets.contains { $0.contains("packet too big, mtu 1300") })
                #expect(packets.contains { $0.contains("frag (") })
            } else {
                // DF is clear (DP-3): the router fragments
                #expect(packets.contains { $0.contains("flags [+]") })
            }
        }
    }

    @Test("our own client, both families: CP with two addresses and DNS servers, traffic through its device", arguments: [4, 6])
    func ownClient(outer: Int) async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario, ipv6: true, settings(outer: outer))
            let namespace = road.network.clients[0]
            let load = try await namespace.start(
                "ipsec-load",
                [
                    try Programs.path("ipsec-load"), "connect", "--yes-this-is-my-gateway", "--gateway",
                    outer == 6 ? RoadNetwork.gatewayAddress6 : RoadNetwork.gatewayAddress, "--psk", GatewaySettings.psk, "--id", "carol.test",
                    "--remote-id", "gw.test", "--inner", "dual", "--esp", "aes256gcm16-esn", "--tun", "rw0", "--route", RoadNetwork.lan,
                    RoadNetwork.lan6,
                ])
            let line = try await load.waitForLine(containing: "connected inner=")
            let session = try await road.session(of: "carol.test")
            #expect(session.innerAddresses.count == 2 && line.contains("inner=\(session.innerAddresses.joined(separator: ",")) "), "\(line)")
            #expect(try await Ping.run(from: namespace, to: RoadNetwork.hostAddress).isComplete)
            #expect(try await Ping.run(from: namespace, to: RoadNetwork.hostAddress6).isComplete)
            for address in session.innerAddresses { #expect(try await Ping.run(from: road.host, to: address).isComplete) }
            let whole = TCPTransfer.Outcome(octets: 3_000_001, isIntact: true)
            #expect(try await TCPTransfer.run(from: namespace, to: road.host, at: RoadNetwork.hostAddress6, octets: whole.octets) == whole)
            load.signal(15)
            #expect(try await load.wait(timeout: .seconds(10)) == .exited(0))
            try await road.gateway.waitForSessions(0)
        }
    }
}

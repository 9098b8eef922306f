import Foundation
import Lab
import Testing

/// The outer packets as they are on the wire: their size, their fragments, their traffic class.
///
/// ```
///  client 198.51.101.2 ------+-- internet --+-- 192.0.2.1     gateway 10.20.0.1 -------+- 10.20.0.2     host
///         2001:db8:101::2 ---+              +-- 2001:db8:1::1         2001:db8:20::1 --+- 2001:db8:20::2
///                              captured here
/// ```
@Suite(.watched)
struct OuterPacketTests {
    private func road(_ scenario: Scenario, outer: Int = 4, _ change: (inout GatewaySettings) -> Void = { _ in }) async throws -> (Road, Charon) {
        var settings = GatewaySettings()
        if outer == 6 { settings.gatewayAddress = RoadNetwork.gatewayAddress6 }
        change(&settings)
        let road = try await Road.build(scenario, ipv6: outer == 6, settings)
        let client = try await road.client(1, "alice.test") {
            $0.remoteAddress = outer == 6 ? RoadNetwork.gatewayAddress6 : RoadNetwork.gatewayAddress
        }
        return (road, client)
    }

    @Test("DP-5: with encapsulated-ip-mtu no outer packet of the gateway is longer; what is whole inside arrives whole", arguments: [4, 6])
    func dp_5(outer: Int) async throws {
        try await Scenario.run { scenario in
            let limit = outer == 4 ? 700 : 1300
            let (road, client) = try await road(scenario, outer: outer) { $0.encapsulatedMTU = limit }
            let address = try #require(try await client.connect().virtualAddresses.first)
            let source = outer == 4 ? RoadNetwork.gatewayAddress : RoadNetwork.gatewayAddress6
            let capture = try await Capture.start(
                scenario, in: road.network.internet, link: "gw", filter: "src host \(source) and (ip6 or ip)")
            let large = try await Ping.run(from: road.host, to: address, count: 5, size: 1400, fragmentation: .forbidden)
            #expect(large.isComplete, "\(large.output)")
            let whole = TCPTransfer.Outcome(octets: 500_001, isIntact: true)
            #expect(try await TCPTransfer.run(from: road.host, to: client.namespace, at: address, octets: whole.octets) == whole)
            #expect(try await TCPTransfer.run(from: client.namespace, to: road.host, at: RoadNetwork.hostAddress, octets: whole.octets) == whole)
            #expect(try await capture.stop(filter: "greater \(limit + 15)") == [])
        }
    }

    @Test("DP-6: without `reassembly` ESP that came in fragments is dropped and counted; the rest goes on")
    func dp_6() async throws {
        try await Scenario.run { scenario in
            let (road, client) = try await road(scenario) { $0.reassembles = false }
            try await client.connect()
            // a first link so narrow that the client has to cut its ESP
            try await client.namespace.ip("link set eth0 mtu 900")
            let large = try await Ping.run(from: client.namespace, to: RoadNetwork.hostAddress, size: 1300)
            #expect(!large.isAnswered, "\(large.output)")
            #expect(try await becomesTrue(within: .seconds(5)) { try await road.gateway.counters().drops["outer-fragment", default: 0] > 0 })
            #expect(try await road.reachesHost(client))
        }
    }

    /// The `tos` values of the gateway's ESP packets in tcpdump's lines.
    private func classes(_ lines: [String]) -> Set<String> {
        Set(
            lines.compactMap { line in
                guard let start = line.range(of: "tos ") ?? line.range(of: "class ") else { return nil }
                return String(line[start.upperBound...].prefix { $0 != "," && $0 != " " && $0 != ")" })
            })
    }

    @Test("DP-8: outer packets have DSCP and ECN of what is inside, or the configured DSCP", arguments: [4, 6], [nil, 10])
    func dp_8_encapsulation(outer: Int, dscp: Int?) async throws {
        try await Scenario.run { scenario in
            let (road, client) = try await road(scenario, outer: outer) { $0.dscp = dscp }
            let address = try #require(try await client.connect().virtualAddresses.first)
            let source = outer == 4 ? RoadNetwork.gatewayAddress : RoadNetwork.gatewayAddress6
            let capture = try await Capture.start(
                scenario, in: road.network.internet, link: "gw", filter: "src host \(source) and udp port 4500 and greater 150")
            // expedited forwarding with ECT(0)
            let ping = try await road.host.run("/usr/bin/ping -n -c 3 -i 0.2 -W 2 -s 200 -Q 0xba \(address)")
            #expect(ping.output.contains(" 0% packet loss"), "\(ping.output)")
            let lines = try await capture.stop()
            #expect(classes(lines) == [dscp == nil ? "0xba" : "0x2a"], "\(lines)")
        }
    }

    @Test("RFC 6040: congestion met outside is told inside to those who can hear it, and drops those who cannot")
    func dp_8_congestion() async throws {
        try await Scenario.run { scenario in
            let (road, client) = try await road(scenario)
            try await client.connect()
            #expect(try await road.reachesHost(client))
            for command in [
                "add table ip lab", "add chain ip lab pre { type filter hook prerouting priority 0; }",
                "add rule ip lab pre iifname c1 udp dport 4500 ip length > 150 ip ecn set ce",
            ] { _ = try await scenario.run(["/usr/sbin/nft", command], in: road.network.internet).required() }
            let capture = try await Capture.start(scenario, in: road.host, link: "lan", filter: "icmp and src net 10.99.0.0/24")
            let deaf = try await client.namespace.run("/usr/bin/ping -n -c 3 -i 0.2 -W 1 -s 200 \(RoadNetwork.hostAddress)")
            #expect(deaf.output.contains("100% packet loss"), "\(deaf.output)")
            #expect(try await becomesTrue(within: .seconds(5)) { try await road.gateway.counters().drops["congestion", default: 0] >= 3 })
            let hearing = try await client.namespace.run("/usr/bin/ping -n -c 3 -i 0.2 -W 2 -s 200 -Q 0x02 \(RoadNetwork.hostAddress)")
            #expect(hearing.output.contains(" 0% packet loss"), "\(hearing.output)")
            let lines = try await capture.stop()
            #expect(classes(lines) == ["0x3"], "\(lines)")
        }
    }

    @Test("force: false and no NAT: IKE stays on port 500, ESP is IP protocol 50, traffic passes both ways", arguments: [4, 6])
    func x_9_nativeESP(outer: Int) async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.forcesEncapsulation = false
            if outer == 6 { settings.gatewayAddress = RoadNetwork.gatewayAddress6 }
            let road = try await Road.build(scenario, ipv6: outer == 6, settings)
            let namespace = road.network.clients[0]
            let capture = try await Capture.start(scenario, in: road.network.internet, link: "gw")
            let load = try await namespace.start(
                "ipsec-load",
                [
                    try Programs.path("ipsec-load"), "connect", "--yes-this-is-my-gateway", "--gateway", settings.gatewayAddress, "--psk",
                    GatewaySettings.psk, "--id", "carol.test", "--remote-id", "gw.test", "--native-esp", "--esp", "aes256gcm16-esn", "--tun", "rw0",
                    "--route", RoadNetwork.lan,
                ])
            let line = try await load.waitForLine(containing: "connected inner=")
            let address = try #require(line.split(separator: " ").first { $0.hasPrefix("inner=") }.map { String($0.dropFirst(6)) })
            #expect(try await Ping.run(from: namespace, to: RoadNetwork.hostAddress).isComplete)
            #expect(try await Ping.run(from: road.host, to: address).isComplete)
            let whole = TCPTransfer.Outcome(octets: 2_000_001, isIntact: true)
            #expect(try await TCPTransfer.run(from: namespace, to: road.host, at: RoadNetwork.hostAddress, octets: whole.octets) == whole)
            #expect(try await TCPTransfer.run(from: road.host, to: namespace, at: address, octets: whole.octets) == whole)
            load.signal(SIGTERM)
            #expect(try await load.wait(timeout: .seconds(10)) == .exited(0))
            try await road.gateway.waitForSessions(0)
            let lines = try await capture.stop()
            #expect(lines.contains { $0.contains("ESP(spi=") }, "\(lines.prefix(10))")
            #expect(!lines.contains { $0.contains("\(settings.gatewayAddress).4500") }, "\(lines.prefix(10))")
        }
    }
}

import Lab
import Testing

/// Packets as large as the wire, through a tunnel that takes less.
///
/// ```
///  client 198.51.101.2 -- 1500 -- internet -- 1500 -- 192.0.2.1 gateway 10.20.0.1 -- 1500 -- 10.20.0.2 host
///                               inner packets: at most ip-mtu, 1400 unless configured
/// ```
@Suite(.watched)
struct PacketSizeTests {
    @Test("DP-3: 1500 octets with DF are answered by frag-needed with ip-mtu; what fits into ip-mtu passes with DF")
    func dp_3_withDF() async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario)
            let client = try await road.client(1, "alice.test")
            let address = try #require(try await client.connect().virtualAddresses.first)
            let fits = try await Ping.run(from: road.host, to: address, size: 1400, fragmentation: .forbidden)
            #expect(fits.isComplete, "\(fits.output)")
            let large = try await Ping.run(from: road.host, to: address, count: 1, size: 1500, fragmentation: .forbidden)
            #expect(!large.isAnswered)
            #expect(large.output.contains("mtu = 1400") || large.output.contains("mtu=1400"), "\(large.output)")
            // the gateway speaks in its own name
            #expect(large.output.contains("From 10.99.0.1 "), "\(large.output)")
            // the host has learned the path's MTU: its next packet does not leave it
            let again = try await Ping.run(from: road.host, to: address, count: 1, size: 1500, fragmentation: .forbidden)
            #expect(again.output.contains("mtu=1400"), "\(again.output)")
            #expect(try await Ping.run(from: client.namespace, to: RoadNetwork.hostAddress, size: 1400, fragmentation: .forbidden).isComplete)
        }
    }

    @Test("DP-3: 1500 octets without DF are fragmented to ip-mtu and arrive, both ways")
    func dp_3_withoutDF() async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario)
            let client = try await road.client(1, "alice.test")
            let address = try #require(try await client.connect().virtualAddresses.first)
            let down = try await Ping.run(from: road.host, to: address, size: 1500, fragmentation: .allowed)
            #expect(down.isComplete, "\(down.output)")
            let up = try await Ping.run(from: client.namespace, to: RoadNetwork.hostAddress, size: 1500, fragmentation: .allowed)
            #expect(up.isComplete, "\(up.output)")
            let huge = try await Ping.run(from: road.host, to: address, size: 6000, fragmentation: .allowed)
            #expect(huge.isComplete, "\(huge.output)")
        }
    }

    @Test("DP-3: with clear-df-bit 1500 octets with DF are fragmented too")
    func dp_3_clearDF() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.clearsDF = true
            let road = try await Road.build(scenario, settings)
            let client = try await road.client(1, "alice.test")
            let address = try #require(try await client.connect().virtualAddresses.first)
            let large = try await Ping.run(from: road.host, to: address, size: 1500, fragmentation: .forbidden)
            #expect(large.isComplete, "\(large.output)")
        }
    }

    @Test("private-tcp-mss-adjust: SYNs say ip-mtu less 40, and a transfer of full segments arrives whole both ways")
    func mss() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.ipMTU = 1300
            let road = try await Road.build(scenario, settings)
            let client = try await road.client(1, "alice.test")
            let address = try #require(try await client.connect().virtualAddresses.first)
            let capture = try await Capture.start(scenario, in: road.host, link: "lan", filter: "tcp")
            let whole = TCPTransfer.Outcome(octets: 1_500_001, isIntact: true)
            #expect(try await TCPTransfer.run(from: client.namespace, to: road.host, at: RoadNetwork.hostAddress, octets: 1_500_001) == whole)
            #expect(try await TCPTransfer.run(from: road.host, to: client.namespace, at: address, octets: 1_500_001) == whole)
            let opening = try await capture.stop(filter: "tcp[tcpflags] & tcp-syn != 0 and src net 10.99.0.0/24")
                .filter { $0.contains("Flags [S") }  // tcpdump's first line of a packet does not name them
            // two connections; a SYN may be repeated
            #expect(opening.count >= 2 && opening.allSatisfy { $0.contains("mss 1260") }, "\(opening)")
        }
    }
}

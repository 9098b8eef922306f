import Lab
import Testing

/// IKE messages that are larger than a packet may be, and what keeps a login alive beside them.
///
/// ```
///  alice 198.51.101.2 -- internet -- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 host
///        fragment_size 300             ikev2-fragment: mtu 512
/// ```
@Suite(.watched)
struct FragmentationTests {
    @Test("RFC 7383: IKE_AUTH in fragments both ways, none larger than either side allows, over both families", arguments: [4, 6])
    func rfc7383_bothWays(outer: Int) async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            if outer == 6 { settings.gatewayAddress = RoadNetwork.gatewayAddress6 }
            settings.fragmentMTU = 512
            // 32 selectors that do not touch are 512 octets of TSr.
            settings.selectors = (0..<32).map { "10.20.0.\($0 * 8)/30" }
            let road = try await Road.build(scenario, ipv6: true, settings)
            let capture = try await Capture.start(scenario, in: road.network.gateway, link: "wan", filter: "udp port 4500")
            var charon = Charon.Settings()
            charon.fragmentSize = 300
            let identity = "alice." + String(repeating: "a-long-name.", count: 15) + "test"
            let client = try await road.client(1, identity, settings: charon) { $0.remoteAddress = settings.gatewayAddress }
            let login = try await client.initiate()
            try #require(login.succeeded, "\(login.output)")
            #expect(try await road.reachesHost(client))
            #expect(try await road.session(of: identity).packetsIn >= 3)
            #expect(login.output.contains("generating IKE_AUTH request 1 [ EF(1/"), "\(login.output)")
            #expect(login.output.contains("parsed IKE_AUTH response 1 [ EF(1/"), "\(login.output)")
            // the non-ESP marker
            let marker = outer == 6 ? "ip6[48:4] = 0" : "udp[8:4] = 0"
            let requests = try await capture.stop(filter: "dst host \(settings.gatewayAddress) and \(marker)")
            #expect(requests.count >= 2, "\(requests)")
            let drops = try await road.gateway.counters().ike.filter { $0.key.hasPrefix("messages-dropped") }
            #expect(drops.isEmpty, "\(drops)")

            try await client.terminate()
            try await road.gateway.waitForSessions(0)
        }
    }

    @Test("RFC 7383: a response that is larger than mtu comes in fragments, and strongSwan puts it together")
    func rfc7383_response() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.fragmentMTU = 512
            settings.selectors = (0..<32).map { "10.20.\($0 * 2).0/24" }
            let road = try await Road.build(scenario, settings)
            let capture = try await Capture.start(scenario, in: road.network.gateway, link: "wan", filter: "udp port 4500")
            let client = try await road.client(1, "alice.test") { $0.remoteSelectors = ["0.0.0.0/0"] }
            let login = try await client.initiate()
            try #require(login.succeeded, "\(login.output)")
            #expect(login.output.contains("parsed IKE_AUTH response 1 [ EF(1/"), "\(login.output)")
            #expect(try await client.sas().first?.children.first?.remoteSelectors.count == 32)
            #expect(try await road.reachesHost(client))
            let answers = try await capture.stop(filter: "src host 192.0.2.1 and udp[8:4] = 0")
            #expect(answers.count >= 3)
            // tcpdump -v names the length of each IP packet.
            let lengths = answers.compactMap { line in line.split(separator: "length ").dropFirst().first.flatMap { Int($0.prefix { $0.isNumber }) } }
            #expect(lengths.max() ?? 0 <= 512 && lengths.max() ?? 0 > 480, "\(answers)")
        }
    }

    @Test("RFC 4478: the client is told AUTH_LIFETIME and plans to authenticate anew")
    func rfc4478_authenticationLifetime() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.authenticationLifetime = 3600
            let road = try await Road.build(scenario, settings)
            let client = try await road.client(1, "alice.test")
            let login = try await client.initiate()
            #expect(login.output.contains("received AUTH_LIFETIME of 3600s"), "\(login.output)")
        }
    }

    @Test("RFC 3948: a keepalive of one octet to the client in every keep-alive-interval")
    func rfc3948_keepalive() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.keepAliveInterval = 20
            let road = try await Road.build(scenario, settings)
            let client = try await road.client(1, "alice.test")
            try await client.connect()
            let capture = try await Capture.start(scenario, in: road.network.gateway, link: "wan", filter: "udp port 4500")
            try await Task.sleep(for: .seconds(21))
            // Length field of UDP: 8 and one octet.
            let keepalives = try await capture.stop(filter: "src host 192.0.2.1 and udp[4:2] = 9 and udp[8] = 0xff")
            #expect(keepalives.filter { $0.contains("192.0.2.1.4500 >") }.count == 1, "\(keepalives)")
            #expect(try await road.gateway.counters().ike["keepalives-sent"] == 1)
            #expect(try await road.reachesHost(client))
        }
    }
}

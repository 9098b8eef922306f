import Foundation
import Lab
import Testing

/// What lies between the gateway and a client takes less than the gateway's own link, or somebody says so.
///
/// ```
///  client 198.51.101.2 ------+-- 1300 -- internet -- 1500 --+-- 192.0.2.1     gateway 10.20.0.1 ---- 10.20.0.2 host
///         2001:db8:101::2 ---+                              +-- 2001:db8:1::1
/// ```
@Suite(.watched)
struct OuterPathTests {
    private func road(_ scenario: Scenario, outer: Int, _ settings: GatewaySettings = GatewaySettings()) async throws -> (Road, Charon) {
        var settings = settings
        if outer == 6 { settings.gatewayAddress = RoadNetwork.gatewayAddress6 }
        let road = try await Road.build(scenario, ipv6: outer == 6, settings)
        let client = try await road.client(1, "alice.test") {
            $0.remoteAddress = outer == 6 ? RoadNetwork.gatewayAddress6 : RoadNetwork.gatewayAddress
        }
        return (road, client)
    }

    /// The MTU that `ping` was told of, by the gateway or by its own stack that remembers.
    private func told(_ ping: Ping) -> Int? {
        for sign in ["mtu = ", "mtu="] {
            if let found = ping.output.range(of: sign) { return Int(ping.output[found.upperBound...].prefix { $0.isNumber }) }
        }
        return nil
    }

    /// What a host behind the gateway is told when it sends 1400 octets with DF, as soon as it is.
    private func toldToHost(_ road: Road, _ address: String) async throws -> Int? {
        for _ in 0..<10 {
            let ping = try await Ping.run(from: road.host, to: address, count: 1, size: 1400, fragmentation: .forbidden)
            if let mtu = told(ping) { return mtu }
        }
        return nil
    }

    @Test("the router's word is heeded: hosts are told what fits, and nothing is fragmented outside any more", arguments: [4, 6])
    func pathMTUIsPropagated(outer: Int) async throws {
        try await Scenario.run { scenario in
            let (road, client) = try await road(scenario, outer: outer)
            try await road.network.internet.ip("link set c1 mtu 1300")
            try await road.network.clients[0].ip("link set eth0 mtu 1300")
            let address = try #require(try await client.connect().virtualAddresses.first)
            let mtu = try #require(try await toldToHost(road, address))
            #expect((1180...1300 - 50).contains(mtu))
            let capture = try await Capture.start(scenario, in: road.network.clients[0], link: "eth0", filter: "ip or ip6")
            let fits = try await Ping.run(from: road.host, to: address, size: mtu, fragmentation: .forbidden)
            #expect(fits.isComplete, "\(fits.output)")
            let cut = try await Ping.run(from: road.host, to: address, size: 3000, fragmentation: .allowed)
            #expect(cut.isComplete, "\(cut.output)")
            let whole = TCPTransfer.Outcome(octets: 500_001, isIntact: true)
            #expect(try await TCPTransfer.run(from: road.host, to: client.namespace, at: address, octets: whole.octets) == whole)
            #expect(try await TCPTransfer.run(from: client.namespace, to: road.host, at: RoadNetwork.hostAddress, octets: whole.octets) == whole)
            let fragments = try await capture.stop(
                filter: outer == 4 ? "src host \(RoadNetwork.gatewayAddress)" : "src host \(RoadNetwork.gatewayAddress6)"
            )
            .filter { $0.contains("flags [+]") || $0.contains("frag (") }
            #expect(fragments == [])
        }
    }

    @Test("whoever sees our packets and says 68: not heeded over IPv4, 1280 over IPv6", arguments: [4, 6])
    func threat_P33_spoofedMTU(outer: Int) async throws {
        try await Scenario.run { scenario in
            let (road, client) = try await road(scenario, outer: outer)
            let address = try #require(try await client.connect().virtualAddresses.first)
            let gateway = outer == 4 ? RoadNetwork.gatewayAddress : RoadNetwork.gatewayAddress6
            let script = try scenario.write(
                """
                import socket, struct
                outer, gateway = \(outer), "\(gateway)"
                link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
                link.bind(("gw", 0))
                link.settimeout(30)
                print("listening", flush=True)
                own = socket.inet_pton(socket.AF_INET if outer == 4 else socket.AF_INET6, gateway)
                while True:
                    frame = link.recv(65535)
                    packet = frame[14:]
                    if outer == 4 and frame[12:14] == b"\\x08\\x00" and packet[9] == 17 and packet[12:16] == own:
                        content = packet[28:]
                    elif outer == 6 and frame[12:14] == b"\\x86\\xdd" and packet[6] == 17 and packet[8:24] == own:
                        content = packet[48:]
                    else:
                        continue
                    if len(content) > 16 and content[:4] != b"\\0\\0\\0\\0":
                        break

                def checksum(octets):
                    total = sum(struct.unpack("!%dH" % (len(octets) // 2), octets))
                    while total >> 16:
                        total = (total & 0xffff) + (total >> 16)
                    return ~total & 0xffff

                def say(quoted):
                    if outer == 4:
                        quoted = quoted[:68]
                        message = struct.pack("!BBHHH", 3, 4, 0, 0, 68) + quoted
                        message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
                        link = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
                    else:
                        message = struct.pack("!BBHI", 2, 0, 0, 68) + quoted[:100]
                        link = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
                    link.sendto(message, (gateway, 0))

                spi = 28 if outer == 4 else 48
                for value in (b"\\0\\0\\1\\0", b"\\xca\\xfe\\xca\\xfe"):
                    say(packet[:spi] + value + packet[spi + 4:])
                say(packet)
                print("said", flush=True)

                """, to: "spoof.py")
            let spoof = try await road.network.internet.start("spoof", ["/usr/bin/python3", script])
            _ = try await spoof.waitForLine(containing: "listening")
            #expect(try await road.reachesHost(client))
            _ = try await spoof.waitForLine(containing: "said")
            let unproven: UInt64 = outer == 4 ? 3 : 2
            #expect(
                try await becomesTrue(within: .seconds(10)) { try await road.gateway.counters().drops["unproven-too-big", default: 0] == unproven })
            let large = try await Ping.run(from: road.host, to: address, size: 1400, fragmentation: .forbidden)
            if outer == 4 {
                #expect(large.isComplete, "\(large.output)")
            } else {
                let mtu = try #require(try await toldToHost(road, address))
                #expect((1180...1280 - 70).contains(mtu), "\(large.output)")
            }
            let whole = TCPTransfer.Outcome(octets: 500_001, isIntact: true)
            #expect(try await TCPTransfer.run(from: road.host, to: client.namespace, at: address, octets: whole.octets) == whole)
        }
    }

    @Test("DP-6: max-wait-time is the kernel's, rounded up to seconds; a reload changes it, a stop puts back what was there", arguments: [4, 6])
    func dp_6_waitTime(outer: Int) async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.reassemblyTime = 2500
            let (road, _) = try await road(scenario, outer: outer, settings)
            let key = outer == 4 ? "net.ipv4.ipfrag_time" : "net.ipv6.ip6frag_time"
            let before = try await road.network.host.run("/sbin/sysctl -n \(key)").required()
            func current() async throws -> String { try await road.network.gateway.run("/sbin/sysctl -n \(key)").required() }
            #expect(try await current().hasPrefix("3"))
            settings.reassemblyTime = 4000
            if outer == 6 { settings.gatewayAddress = RoadNetwork.gatewayAddress6 }
            try road.gateway.rewrite(settings)
            let reload = try await road.gateway.ctl("reload")
            #expect(reload.exitCode == 0 && !reload.output.contains("restart"), "\(reload.output)")
            #expect(try await current().hasPrefix("4"))
            road.gateway.process.signal(SIGTERM)
            #expect(try await road.gateway.process.wait(timeout: .seconds(15)) == .exited(0))
            #expect(try await current() == before)
        }
    }
}

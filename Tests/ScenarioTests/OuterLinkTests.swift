import Foundation
import Lab
import Testing

/// The gateway's own system: what comes in by the link of the clients' ESP, and what its masquerade would do for them (threats.md C14).
///
/// ```
///  alice 198.51.101.2 --+                              +-- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 host
///                       +-- internet, 192.0.2.254 -----+             inner addresses 10.99.0.0/24
///  bob   198.51.102.2 --+
/// ```
@Suite(.watched)
struct OuterLinkTests {
    /// A stranger on the gateway's public link.
    private static let stranger = "192.0.2.254"

    @Test("CVE-2019-14899: strangers that send to an inner address are warned of with a command, and shut out by it; never is anything in the clear")
    func threat_C14_outsideHost() async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario)
            let client = try await road.client(1, "alice.test") { $0.remoteSelectors = [RoadNetwork.lan, "192.0.2.128/25"] }
            let address = try #require(try await client.connect().virtualAddresses.first)
            try await road.network.internet.ip("route add 10.99.0.0/24 via \(RoadNetwork.gatewayAddress)")
            let capture = try await Capture.start(scenario, in: road.network.internet, link: "c1")
            let open = try await Ping.run(from: road.network.internet, to: address, source: Self.stranger)
            #expect(open.isComplete, "nothing is in the way yet: \(open.output)")

            let warning = try #require(await road.logLine(with: "outer-link-open", "no packet filter"), "\(road.gateway.process.output)")
            let command = try #require(warning.range(of: "close it with: ").map { warning[$0.upperBound...] })
            // The line ends with what belongs to the event
            let shell = String(command.prefix(command.range(of: "drop'").map { command.distance(from: command.startIndex, to: $0.upperBound) } ?? 0))
            #expect(shell.hasPrefix("nft add table"), "\(warning)")
            _ = try await scenario.run(["/bin/sh", "-c", shell], in: road.network.gateway).required()
            let closed = try await Ping.run(from: road.network.internet, to: address, source: Self.stranger)
            #expect(!closed.isAnswered, "\(closed.output)")
            // What the client asks for comes back, and the LAN may speak first
            #expect(try await Ping.run(from: client.namespace, to: Self.stranger).isComplete)
            #expect(try await Ping.run(from: road.host, to: address).isComplete)
            let clear = try await capture.stop(filter: "net 10.99.0.0/24")
            #expect(clear == [])
        }
    }

    @Test("a source that claims an inner address and comes in by the public link is warned of with a command, and shut out by it")
    func threat_C14_innerSourceOutside() async throws {
        try await Scenario.run { scenario in
            let network = try await RoadNetwork.build(scenario)
            try await network.gateway.sysctl("net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.wan.rp_filter=0")
            let road = Road(scenario: scenario, network: network, gateway: try await GatewayProcess.start(scenario, in: network.gateway))
            let warning = try #require(await road.logLine(with: "outer-link-open", "rp_filter is not strict"), "\(road.gateway.process.output)")
            let script = try scenario.write(
                """
                import socket, struct
                link = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
                datagram = struct.pack("!HHHH", 7000, 7777, 12, 0) + b"test"
                header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 7, 0, 64, 17, 0)
                header += socket.inet_aton("10.99.0.77") + socket.inet_aton("\(RoadNetwork.hostAddress)")
                for _ in range(5):
                    link.sendto(header + datagram, ("\(RoadNetwork.hostAddress)", 0))

                """, to: "claim.py")
            try await road.network.internet.ip("route add \(RoadNetwork.lan) via \(RoadNetwork.gatewayAddress)")
            func arrived() async throws -> Int {
                let capture = try await Capture.start(scenario, in: road.host, link: "lan", filter: "udp port 7777")
                _ = try await road.network.internet.run("/usr/bin/python3 \(script)").required()
                return try await capture.stop(filter: "src host 10.99.0.77").count
            }
            #expect(try await arrived() > 0)
            let command = try #require(warning.range(of: "sysctl -w ").map { warning[$0.upperBound...] })
            let settings = command.split(separator: " ").map(String.init).filter { $0.hasSuffix("rp_filter=1") }
            #expect(settings.count == 2, "\(warning)")
            try await road.network.gateway.sysctl(settings[0], settings[1])
            #expect(try await arrived() == 0)
        }
    }

    @Test("CVE-2021-3773: where the gateway masquerades, a client's packets from port 4500 to another's address go nowhere; others pass")
    func threat_C14_portShadow() async throws {
        try await Scenario.run { scenario in
            let network = try await RoadNetwork.build(scenario, clients: 2)
            try await network.gateway.masquerades(out: "wan")
            let road = Road(scenario: scenario, network: network, gateway: try await GatewayProcess.start(scenario, in: network.gateway))
            #expect(await road.logs("listener-ports-reserved"), "\(road.gateway.process.output)")
            let alice = try await road.client(1, "alice.test") { $0.remoteSelectors = [RoadNetwork.lan, "198.51.102.0/24"] }
            let address = try #require(try await alice.connect().virtualAddresses.first)
            let bob = try await road.client(2, "bob.test")
            try await bob.connect()
            let capture = try await Capture.start(
                scenario, in: network.internet, link: "gw", filter: "udp and dst host 198.51.102.2 and dst port 7777")
            let script = try scenario.write(
                """
                import socket, struct
                link = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
                for _ in range(5):
                    for port in (500, 4500, 4501):
                        datagram = struct.pack("!HHHH", port, 7777, 12, 0) + b"test"
                        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 7, 0, 64, 17, 0)
                        header += socket.inet_aton("\(address)") + socket.inet_aton("198.51.102.2")
                        link.sendto(header + datagram, ("198.51.102.2", 0))

                """, to: "shadow.py")
            _ = try await alice.namespace.run("/usr/bin/python3 \(script)").required()
            #expect(try await becomesTrue(within: .seconds(10)) { try await road.gateway.counters().drops["listener-port", default: 0] == 10 })
            let lines = try await capture.stop().filter { $0.contains(".7777") }
            #expect(lines.count == 5 && lines.allSatisfy { $0.contains("192.0.2.1.4501 >") }, "\(lines)")
            #expect(try await road.reachesHost(bob))
        }
    }
}

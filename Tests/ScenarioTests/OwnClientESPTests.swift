import Foundation
import Lab
import Testing

/// What Debian's strongSwan cannot do, with our own client: ESP as IP protocol 50, extended sequence numbers, both families.
///
/// ```
///  ipsec-load 198.51.101.2 ------+-- internet --+-- 192.0.2.1     gateway 10.20.0.1 -------+- 10.20.0.2     host
///             2001:db8:101::2 ---+              +-- 2001:db8:1::1         2001:db8:20::1 --+- 2001:db8:20::2
/// ```
@Suite(.watched)
struct OwnClientESPTests {
    struct Way: Sendable, CustomTestStringConvertible {
        let outer: Int
        let esp: String
        var testDescription: String { "IPv\(outer), \(esp)" }
        var gateway: String { outer == 6 ? RoadNetwork.gatewayAddress6 : RoadNetwork.gatewayAddress }
    }

    static let ways = [
        Way(outer: 4, esp: "aes256gcm16-esn"), Way(outer: 4, esp: "aes256gcm16-noesn"), Way(outer: 4, esp: "aes128-sha256-esn"),
        Way(outer: 6, esp: "aes256gcm16-esn"), Way(outer: 6, esp: "aes256-sha512-noesn"), Way(outer: 6, esp: "chacha20poly1305-esn"),
    ]

    private func build(_ scenario: Scenario, _ way: Way) async throws -> Road {
        var settings = GatewaySettings()
        settings.gatewayAddress = way.gateway
        settings.pool6 = (first: "2001:db8:99::100", last: "2001:db8:99::1ff")
        settings.forcesEncapsulation = false
        return try await Road.build(scenario, ipv6: true, settings)
    }

    private func connect(_ road: Road, _ way: Way, _ more: String...) async throws -> LabProcess {
        let words = [
            "connect", "--yes-this-is-my-gateway", "--gateway", way.gateway, "--psk", GatewaySettings.psk, "--id", "carol.test", "--remote-id",
            "gw.test", "--native-esp", "--inner", "dual", "--esp", way.esp, "--tun", "rw0", "--route", RoadNetwork.lan, RoadNetwork.lan6,
        ]
        let load = try await road.network.clients[0].start("ipsec-load", [try Programs.path("ipsec-load")] + words + more)
        _ = try await load.waitForLine(containing: "connected inner=")
        return load
    }

    private func inner(_ load: LabProcess) throws -> (four: String, six: String) {
        let line = try #require(load.output.split(separator: "\n").first { $0.contains("connected inner=") })
        let list = try #require(line.split(separator: " ").first { $0.hasPrefix("inner=") }).dropFirst(6).split(separator: ",").map(String.init)
        return (try #require(list.first { $0.contains(".") }), try #require(list.first { $0.contains(":") }))
    }

    @Test("RFC 4303 native ESP, outer IPv4 and IPv6, dual stack inside, with and without ESN", arguments: ways)
    func nativeESP(_ way: Way) async throws {
        try await Scenario.run { scenario in
            let road = try await build(scenario, way)
            let capture = try await Capture.start(
                scenario, in: road.network.internet, link: "gw", filter: "ip proto 50 or ip6 proto 50 or udp port 4500")
            let load = try await connect(road, way)
            let namespace = road.network.clients[0]
            let addresses = try inner(load)
            #expect(try await Ping.run(from: namespace, to: RoadNetwork.hostAddress).isComplete)
            #expect(try await Ping.run(from: namespace, to: RoadNetwork.hostAddress6).isComplete)
            #expect(try await Ping.run(from: road.host, to: addresses.four).isComplete)
            #expect(try await Ping.run(from: road.host, to: addresses.six).isComplete)
            let whole = TCPTransfer.Outcome(octets: 1_000_001, isIntact: true)
            #expect(try await TCPTransfer.run(from: namespace, to: road.host, at: RoadNetwork.hostAddress, octets: whole.octets) == whole)
            #expect(try await TCPTransfer.run(from: road.host, to: namespace, at: addresses.six, octets: whole.octets) == whole)
            let packets = try await capture.stop()
            #expect(
                packets.contains { $0.contains("ESP(spi=") } && !packets.contains { $0.contains(".4500 ") || $0.contains(".4500:") },
                "\(packets.prefix(8))")
            load.signal(SIGTERM)
            #expect(try await load.wait(timeout: .seconds(10)) == .exited(0))
            try await road.gateway.waitForSessions(0)
        }
    }

    @Test("rekeys of both kinds by our client under a running transfer: not an octet is lost", arguments: [ways[0], ways[4]])
    func rekeyUnderTransfer(_ way: Way) async throws {
        try await Scenario.run { scenario in
            let road = try await build(scenario, way)
            let load = try await connect(road, way, "--rekey-child", "1.5", "--rekey-ike", "4")
            let session = try await road.session(of: "carol.test")
            let transfer = try await TCPTransfer.start(
                from: road.network.clients[0], to: road.host, at: RoadNetwork.hostAddress, bytesPerSecond: 2_000_000)
            func count(_ words: String) -> Int { load.output.split(separator: "\n").filter { $0.contains(words) }.count }
            #expect(
                await becomesTrue(within: .seconds(40)) { count("rekeyed child by=us") >= 4 && count("rekeyed ike by=us") >= 2 }, "\(load.output)")
            let mark = transfer.progress
            #expect(await becomesTrue(within: .seconds(20)) { transfer.progress > mark + 1_000_000 })
            let outcome = try await transfer.finish()
            #expect(outcome.isIntact && outcome.octets > 3_000_000)
            #expect(try await road.session(of: "carol.test").id == session.id)
            #expect(load.isRunning)
            load.signal(SIGTERM)
            #expect(try await load.wait(timeout: .seconds(10)) == .exited(0))
            try await road.gateway.waitForSessions(0)
        }
    }

    @Test("P26: a captured ESP packet that is sent again is dropped and counted", arguments: [ways[0], ways[1], ways[3]])
    func threat_P26_replayedPacket(_ way: Way) async throws {
        try await Scenario.run { scenario in
            let road = try await build(scenario, way)
            let load = try await connect(road, way)
            let namespace = road.network.clients[0]
            let script = try scenario.write(
                """
                import socket
                link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
                link.bind(("eth0", 0))
                link.settimeout(30)
                print("listening", flush=True)
                while True:
                    frame, origin = link.recvfrom(65535)
                    kind, header = frame[12:14], frame[14:]
                    esp = kind == b"\\x08\\x00" and header[9] == 50 or kind == b"\\x86\\xdd" and header[6] == 50
                    if origin[2] == socket.PACKET_OUTGOING and esp:
                        break
                for _ in range(40):
                    link.send(frame)
                print("sent again", flush=True)

                """, to: "replay.py")
            let replay = try await namespace.start("replay", ["/usr/bin/python3", script])
            _ = try await replay.waitForLine(containing: "listening")
            #expect(try await Ping.run(from: namespace, to: RoadNetwork.hostAddress).isComplete)
            _ = try await replay.waitForLine(containing: "sent again")
            #expect(try await becomesTrue(within: .seconds(10)) { try await road.gateway.counters().drops["replayed"] ?? 0 >= 40 })
            let packets = try await road.session(of: "carol.test").packetsIn
            #expect(packets < 40, "\(packets) packets were let in")
            #expect(try await Ping.run(from: namespace, to: RoadNetwork.hostAddress).isComplete)
            load.signal(SIGTERM)
            #expect(try await load.wait(timeout: .seconds(10)) == .exited(0))
        }
    }
}

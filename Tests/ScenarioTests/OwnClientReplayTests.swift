import Lab
import Testing

/// Somebody on the client's link who keeps its ESP packets and sends them again through a raw socket.
///
/// ```
///  ipsec-load 198.51.101.2 ------+-- internet --+-- 192.0.2.1     gateway 10.20.0.1 -------+- 10.20.0.2     host
///             2001:db8:101::2 ---+              +-- 2001:db8:1::1         2001:db8:20::1 --+- 2001:db8:20::2
/// ```
@Suite(.watched)
struct OwnClientReplayTests {
    /// Keeps `count` outgoing ESP packets; sends them all again when it reads a line, `times` times.
    private static func script(count: Int, times: Int) -> String {
        """
        import socket, sys, time
        link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
        link.bind(("eth0", 0))
        print("listening", flush=True)
        kept = []
        while len(kept) < \(count):
            frame, origin = link.recvfrom(65535)
            kind, header = frame[12:14], frame[14:]
            esp = kind == b"\\x08\\x00" and header[9] == 50 or kind == b"\\x86\\xdd" and header[6] == 50
            if origin[2] == socket.PACKET_OUTGOING and esp:
                kept.append(frame)
        print("kept", flush=True)
        while not __import__("os").path.exists(sys.argv[1]):
            time.sleep(0.02)
        for _ in range(\(times)):
            for frame in kept:
                link.send(frame)
        print("sent again", flush=True)

        """
    }

    private struct Replay {
        let process: LabProcess
        let signal: String
        let scenario: Scenario

        static func start(_ scenario: Scenario, _ namespace: Namespace, count: Int, times: Int) async throws -> Replay {
            let script = try scenario.write(OwnClientReplayTests.script(count: count, times: times), to: "replay.py")
            let signal = "\(scenario.folder)/again"
            let process = try await namespace.start("replay", ["/usr/bin/python3", script, signal])
            _ = try await process.waitForLine(containing: "listening")
            return Replay(process: process, signal: signal, scenario: scenario)
        }

        func sendAgain() async throws {
            _ = try await process.waitForLine(containing: "kept")
            _ = try scenario.write("now", to: "again")
            _ = try await process.waitForLine(containing: "sent again")
        }
    }

    /// How many packets of the client came out of the tunnel.
    private func packetsIn(_ road: Road) async throws -> UInt64 { UInt64(try await road.session(of: "carol.test").packetsIn) }

    @Test("P26: captured ESP packets that are sent again within the window are dropped and counted", arguments: OwnClientWay.all)
    func threat_P26_replayedPacket(_ way: OwnClientWay) async throws {
        try await Scenario.run { scenario in
            let road = try await way.build(scenario)
            let load = try await way.connect(road)
            let client = road.network.clients[0]
            let replay = try await Replay.start(scenario, client, count: 5, times: 8)
            #expect(try await Ping.run(from: client, to: RoadNetwork.hostAddress, count: 8).isComplete)
            try await replay.sendAgain()
            #expect(try await becomesTrue(within: .seconds(10)) { try await road.gateway.counters().drops["replayed"] ?? 0 >= 40 })
            #expect(try await packetsIn(road) < 40)
            #expect(try await Ping.run(from: client, to: RoadNetwork.hostAddress).isComplete)
            try await way.end(load, road)
        }
    }

    @Test("P26: packets from before the window, and with ESN as if from far ahead, are dropped and counted", arguments: OwnClientWay.all)
    func threat_P26_oldPackets(_ way: OwnClientWay) async throws {
        try await Scenario.run { scenario in
            let road = try await way.build(scenario)
            let load = try await way.connect(road)
            let client = road.network.clients[0]
            let replay = try await Replay.start(scenario, client, count: 5, times: 8)
            // Far more packets than the widest window has numbers.
            let whole = TCPTransfer.Outcome(octets: 8_000_000, isIntact: true)
            #expect(try await TCPTransfer.run(from: client, to: road.host, at: RoadNetwork.hostAddress, octets: whole.octets) == whole)
            let before = try await packetsIn(road)
            #expect(before > 2500)
            try await replay.sendAgain()
            // RFC 4303 appendix A2: a low half behind the window is taken for the next high half, and the ICV says that it is not.
            let cause = way.usesESN ? "integrity" : "replayed"
            #expect(try await becomesTrue(within: .seconds(10)) { try await road.gateway.counters().drops[cause] ?? 0 >= 40 })
            #expect(try await packetsIn(road) < before + 40)
            #expect(try await Ping.run(from: client, to: RoadNetwork.hostAddress).isComplete, "the window did not move for them")
            try await way.end(load, road)
        }
    }

    @Test("P26, P27: packets of a Child SA that was replaced are nobody's", arguments: OwnClientWay.all)
    func threat_P26_packetsOfAReplacedSA(_ way: OwnClientWay) async throws {
        try await Scenario.run { scenario in
            let road = try await way.build(scenario)
            let load = try await way.connect(road, ["--rekey-child", "3"])
            let client = road.network.clients[0]
            let replay = try await Replay.start(scenario, client, count: 5, times: 8)
            let first = try await road.session(of: "carol.test").childSAs
            #expect(try await Ping.run(from: client, to: RoadNetwork.hostAddress, count: 8).isComplete)
            let isReplaced = try await becomesTrue(within: .seconds(20)) {
                let now = try await road.session(of: "carol.test").childSAs
                return now.count == 1 && now != first
            }
            #expect(isReplaced)
            let before = try await (packets: packetsIn(road), drops: road.gateway.counters().allDrops)
            try await replay.sendAgain()
            #expect(try await becomesTrue(within: .seconds(10)) { try await road.gateway.counters().allDrops >= before.drops + 40 })
            #expect(try await packetsIn(road) < before.packets + 40)
            #expect(try await Ping.run(from: client, to: RoadNetwork.hostAddress).isComplete)
            try await way.end(load, road)
        }
    }
}

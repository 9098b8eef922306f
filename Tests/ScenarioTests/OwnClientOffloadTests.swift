import Foundation
import Lab
import Testing

/// Random data through our own client and gateway, with any offloads on either side.
///
/// ```
///  ipsec-load 198.51.101.2 ------+-- internet --+-- 192.0.2.1     gateway 10.20.0.1 -------+- 10.20.0.2     host
///             2001:db8:101::2 ---+              +-- 2001:db8:1::1         2001:db8:20::1 --+- 2001:db8:20::2
/// ```
@Suite(.watched)
struct OwnClientOffloadTests {
    /// Which offloads the two sides use, and what is outside.
    struct Combination: Sendable, CustomTestStringConvertible {
        let client: String
        let gateway: String
        let outer: Int
        /// Octets of each transfer.
        let octets: Int
        /// What the gateway's kernel lacks, in debug builds.
        var lacking: String?
        var testDescription: String { "client \(client), gateway \(gateway), outer IPv\(outer), \(octets) octets" }

        /// A gateway, and our client connected to it with a TUN device `rw0`.
        func connect(_ scenario: Scenario) async throws -> Connected {
            var settings = GatewaySettings()
            settings.gatewayAddress = outer == 6 ? RoadNetwork.gatewayAddress6 : RoadNetwork.gatewayAddress
            settings.pool6 = (first: "2001:db8:99::100", last: "2001:db8:99::1ff")
            settings.offloads = gateway
            settings.lacking = lacking
            let road = try await Road.build(scenario, ipv6: true, settings)
            #expect(road.logLines(with: "event=fewer-offloads").count == 1, "the gateway took the variable")
            let load = try await road.network.clients[0].start(
                "ipsec-load",
                [
                    try Programs.path("ipsec-load"), "connect", "--yes-this-is-my-gateway", "--gateway", settings.gatewayAddress, "--psk",
                    GatewaySettings.psk, "--id", "carol.test", "--remote-id", "gw.test", "--inner", "dual", "--esp", "aes128gcm16-esn", "--tun",
                    "rw0", "--offloads", client, "--route", RoadNetwork.lan, RoadNetwork.lan6,
                ])
            _ = try await load.waitForLine(containing: "connected inner=")
            let inner = try await road.session(of: "carol.test").innerAddresses
            return Connected(
                road: road, load: load, address: try #require(inner.first { $0.contains(".") }),
                address6: try #require(inner.first { $0.contains(":") }))
        }
    }

    /// A client that is in.
    struct Connected {
        let road: Road
        let load: LabProcess
        /// Inner addresses.
        let address: String
        let address6: String
        var client: Namespace { road.network.clients[0] }

        /// The client leaves, and the gateway has no session left.
        func end() async throws {
            load.signal(SIGTERM)
            #expect(try await load.wait(timeout: .seconds(10)) == .exited(0))
            try await road.gateway.waitForSessions(0)
        }
    }

    static let whole = 300_000_000
    /// `IPSEC_GW_OCTETS` sends more through every combination, over both families outside (make soak); else each has one of them.
    static let soaked = ProcessInfo.processInfo.environment["IPSEC_GW_OCTETS"].flatMap(Int.init)
    static let octets = soaked ?? 16_000_000

    static let combinations: [Combination] = ["none", "tun", "udp", "all"].enumerated().flatMap { row, client in
        ["none", "tun", "udp", "all"].enumerated().flatMap { column, gateway in
            (soaked == nil ? [(row + column).isMultiple(of: 2) ? 4 : 6] : [4, 6]).map { outer in
                Combination(client: client, gateway: gateway, outer: outer, octets: octets)
            }
        }
    }
    static let everything = [4, 6].map { Combination(client: "all", gateway: "all", outer: $0, octets: max(whole, octets)) }

    @Test("TCP each way through every combination of offloads: equal by SHA-256", arguments: combinations)
    func everyCombination(_ combination: Combination) async throws {
        try await Self.compare(combination, slots: 1)
    }

    @Test("300 MB of random data each way with all offloads: equal by SHA-256", arguments: everything)
    func threeHundredMegabytes(_ combination: Combination) async throws {
        try await Self.compare(combination, slots: 2)
    }

    /// Random octets up and down, equal by SHA-256; `check` sees the gateway before the client leaves.
    static func compare(_ combination: Combination, slots: Int, _ check: (Road) throws -> Void = { _ in }) async throws {
        try await Scenario.run(slots: slots) { scenario in
            let way = try await combination.connect(scenario)
            let (road, client) = (way.road, way.client)
            // Up over one family and down over the other; with all offloads the other way round in the other run
            let crossed = combination.outer == 6
            let up = crossed ? RoadNetwork.hostAddress6 : RoadNetwork.hostAddress
            try await Stream(combination: combination, scenario: scenario, sender: client, receiver: road.host, address: up).run()
            let down = crossed ? way.address : way.address6
            try await Stream(combination: combination, scenario: scenario, sender: road.host, receiver: client, address: down).run()
            try check(road)
            try await way.end()
        }
    }

    /// One stream of random octets.
    private struct Stream {
        let combination: Combination
        let scenario: Scenario
        let sender: Namespace
        let receiver: Namespace
        let address: String

        func run() async throws {
            let seed = UInt64.random(in: 0...UInt64.max)
            let note: Comment = "\(combination), seed \(seed)"
            let script = try scenario.write(OwnClientOffloadTests.script, to: "digest.py")
            let listening = try await receiver.start("digest", ["/usr/bin/python3", script, "receive", address])
            let line = try await listening.waitForLine(containing: "port ")
            let port = try #require(line.split(separator: " ").last)
            let patience = Duration.seconds(60 + combination.octets / 1_000_000)
            let began = ContinuousClock.now
            let sent = try await sender.run("/usr/bin/python3 \(script) send \(address) \(port) \(combination.octets) \(seed)", timeout: patience)
            #expect(sent.succeeded, "\(note): \(sent.output)")
            #expect(try await listening.wait(timeout: patience) == .exited(0), note)
            let seconds = (ContinuousClock.now - began) / .seconds(1)
            print("\(note): to \(address) \(Int(Double(combination.octets) * 8 / seconds / 1e6)) Mbit/s")
            let digests = [sent.output, listening.output].map { $0.split(separator: "\n").first { $0.hasPrefix("sha256 ") } }
            #expect(digests[0] != nil && digests[0] == digests[1], note)
            #expect(digests[0]?.hasSuffix(" \(combination.octets)") == true, note)
        }
    }

    /// Sends or takes one stream, and tells the SHA-256 and the length of what passed.
    private static let script = #"""
        import hashlib, random, socket, sys
        mode, address = sys.argv[1:3]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        digest, total = hashlib.sha256(), 0
        if mode == "send":
            port, octets, seed = map(int, sys.argv[3:])
            stream = socket.create_connection((address, port), timeout=30)
            noise = random.Random(seed)
            while total < octets:
                block = noise.randbytes(min(1 << 20, octets - total))
                stream.sendall(block)
                digest.update(block)
                total += len(block)
            stream.shutdown(socket.SHUT_WR)
            stream.recv(1)
        else:
            listener = socket.create_server((address, 0), family=family)
            print("port", listener.getsockname()[1], flush=True)
            stream, _ = listener.accept()
            while block := stream.recv(1 << 20):
                digest.update(block)
                total += len(block)
        print("sha256", digest.hexdigest(), total, flush=True)

        """#
}

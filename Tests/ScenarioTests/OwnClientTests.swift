import Foundation
import Lab
import Testing

/// Our own client against our own gateway: `ipsec-load connect` with its TUN device, and `ipsec-load setup`.
///
/// ```
///  ipsec-load 198.51.101.2 ---- internet ---- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 host
/// ```
@Suite(.watched)
struct OwnClientTests {
    private func connect(_ road: Road, _ more: String...) async throws -> LabProcess {
        let target = [
            "connect", "--yes-this-is-my-gateway", "--gateway", RoadNetwork.gatewayAddress, "--psk", GatewaySettings.psk, "--id", "carol.test",
            "--remote-id", "gw.test",
        ]
        return try await road.network.clients[0].start("ipsec-load", [try Programs.path("ipsec-load")] + target + more)
    }

    @Test(
        "ipsec-load connect: address, device and routes come and go with the session; traffic passes both ways",
        arguments: ["aes256gcm16-esn", "aes128gcm16", "aes256-sha256-esn"])
    func connectWithTUN(esp: String) async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario)
            let namespace = road.network.clients[0]
            let routes = try await namespace.show("-4 route show")
            let load = try await connect(road, "--esp", esp, "--tun", "rw0", "--route", RoadNetwork.lan)
            let line = try await load.waitForLine(containing: "connected inner=")
            let words = line.split(separator: " ")
            let address = try #require(words.first { $0.hasPrefix("inner=") }.map { String($0.dropFirst(6)) })
            #expect(words.contains("tun=rw0"))
            #expect(try await road.session(of: "carol.test").innerAddresses == [address])
            #expect(try await Ping.run(from: namespace, to: RoadNetwork.hostAddress).isComplete)
            #expect(try await Ping.run(from: road.host, to: address).isComplete)
            let whole = TCPTransfer.Outcome(octets: 5_000_001, isIntact: true)
            #expect(try await TCPTransfer.run(from: namespace, to: road.host, at: RoadNetwork.hostAddress, octets: whole.octets) == whole)
            #expect(try await TCPTransfer.run(from: road.host, to: namespace, at: address, octets: whole.octets) == whole)

            load.signal(SIGTERM)
            #expect(try await load.wait(timeout: .seconds(10)) == .exited(0))
            try await road.gateway.waitForSessions(0)
            #expect(try await namespace.show("-4 route show") == routes)
            #expect(!(try await namespace.show("-brief link show").contains("rw0")))
        }
    }

    @Test("ipsec-load connect: a refusal is told by its cause, exit 1")
    func refused() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.psk = "quite another text than the client has"
            let road = try await Road.build(scenario, settings)
            let load = try await connect(road)
            #expect(try await load.wait(timeout: .seconds(20)) == .exited(1))
            #expect(load.output.lowercased().contains("authentication"), "\(load.output)")
        }
    }

    /// What `ipsec-load setup --json` ends with.
    private struct Outcome: Decodable {
        let started: Int
        let established: Int
        let failed: Int
    }

    @Test("ipsec-load setup: many logins, all counted as done, none left behind")
    func setup() async throws {
        try await Scenario.run(slots: 2) { scenario in
            let road = try await Road.build(scenario)
            let result = try await scenario.run(
                [
                    try Programs.path("ipsec-load"), "setup", "--yes-this-is-my-gateway", "--gateway", RoadNetwork.gatewayAddress, "--psk",
                    GatewaySettings.psk,
                    "--id", "load%n.test", "--remote-id", "gw.test", "--rate", "20", "--clients", "40", "--for", "5s", "--json",
                ], in: road.network.clients[0], timeout: .seconds(60))
            #expect(result.succeeded, "\(result.output)")
            let line = try #require(result.output.split(separator: "\n").last { $0.hasPrefix("{") }, "\(result.output)")
            print("ipsec-load setup: \(line)")
            let outcome = try JSONDecoder().decode(Outcome.self, from: Data(line.utf8))
            #expect(outcome.failed == 0 && outcome.established == outcome.started && outcome.started >= 90, "\(line)")
            #expect(try await becomesTrue(within: .seconds(10)) { try await road.gateway.sessions().isEmpty })
            #expect(road.gateway.process.isRunning)
        }
    }
}

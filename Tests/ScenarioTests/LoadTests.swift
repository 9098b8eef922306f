import Foundation
import GatewayTesting
import Lab
import Testing

/// `ipsec-load hold`, `traffic` and `flood` against our own gateway, in small numbers.
///
/// ```
///  ipsec-load 198.51.101.2 ------- internet ------- 192.0.2.1 gateway 10.20.0.1 ------- 10.20.0.2 ipsec-load reflect
///             198.51.101.128/25        198.18.0.0/15 is routed to ipsec-load
/// ```
@Suite(.watched)
struct LoadTests {
    private func words(_ subcommand: String, _ more: [String]) throws -> [String] {
        let target = subcommand == "flood" ? [] : ["--psk", GatewaySettings.psk, "--id", "load%n.test", "--remote-id", "gw.test"]
        return [try Programs.path("ipsec-load"), subcommand, "--yes-this-is-my-gateway", "--gateway", RoadNetwork.gatewayAddress, "--json"]
            + target + more
    }

    /// What the program ends with.
    private func figures<Figures: Decodable>(_ output: String) throws -> Figures {
        let line = try #require(output.split(separator: "\n").last { $0.hasPrefix("{") }, "\(output)")
        print("ipsec-load: \(line)")
        return try JSONDecoder().decode(Figures.self, from: Data(line.utf8))
    }

    private struct Cause: Decodable {
        let cause: String
        let count: Int
    }

    // MARK: hold

    private struct Held: Decodable {
        let established: Int
        let held: Int
        let failed: Int
        let lost: Int
        let losses: [Cause]
        let childRekeysByUs: Int
        let childRekeysByGateway: Int
        let ikeRekeysByUs: Int
        let ikeRekeysByGateway: Int
        let keepalives: Int
        let answered: Int
        let unansweredDeletes: Int
    }

    /// Whoever is first rekeys: here we are with Child SAs and the gateway with IKE SAs, or the other way round.
    @Test(
        "ipsec-load hold: many clients stay over rekeys of both sides, liveness and keepalives, and leave at a signal",
        arguments: [(share: 1, child: 2, ike: 60), (share: 5, child: 60, ike: 4)])
    func hold(share: Int, child: Int, ike: Int) async throws {
        try await Scenario.run(slots: 2) { scenario in
            var settings = GatewaySettings()
            settings.shortLifetimes = "isakmp=9,ipsec=5"
            settings.logLevel = "info"
            let road = try await Road.build(scenario, settings)
            let client = road.network.clients[0]
            try await client.ip("route add local 198.51.101.128/25 dev lo")
            let load = try await client.start(
                "ipsec-load",
                try words(
                    "hold",
                    [
                        "--clients", "20", "--ramp", "20", "--from", "198.51.101.130-198.51.101.133", "--share", "\(share)", "--rekey-child",
                        "\(child)",
                        "--rekey-ike", "\(ike)", "--keepalive", "1", "--liveness", "2", "--progress",
                    ]))
            try await road.gateway.waitForSessions(20, timeout: .seconds(20))
            #expect(try await Set(road.gateway.sessions().flatMap(\.innerAddresses)).count == 20)
            // Each side has replaced what there is of either kind by then.
            let byGateway = await becomesTrue(within: .seconds(40)) {
                guard let counters = try? await road.gateway.counters().ike else { return false }
                return (counters["ike-sas-rekeyed"] ?? 0) >= 40 && (counters["child-sas-created"] ?? 0) >= 100
            }
            #expect(byGateway)
            #expect(try await road.gateway.sessions().count == 20)

            load.signal(SIGINT)
            #expect(try await load.wait(timeout: .seconds(30)) == .exited(0))
            let held: Held = try figures(load.output)
            #expect(held.established == 20 && held.held == 20 && held.failed == 0 && held.lost == 0, "\(held.losses)")
            #expect((held.childRekeysByUs > 0) == (child < 60) && (held.ikeRekeysByUs > 0) == (ike < 60), "\(held)")
            #expect((held.childRekeysByGateway > 0 || child < 60) && (held.ikeRekeysByGateway > 0 || ike < 60), "\(held)")
            #expect(held.keepalives + held.answered > 0)
            #expect(held.unansweredDeletes == 0 && load.output.contains("up 20"))
            try await road.gateway.waitForSessions(0)
            #expect(road.gateway.process.isRunning)
        }
    }

    @Test("ipsec-load hold: who is lost is counted by cause")
    func lost() async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario)
            let load = try await road.network.clients[0].start("ipsec-load", try words("hold", ["--clients", "6", "--progress"]))
            try await road.gateway.waitForSessions(6, timeout: .seconds(15))
            _ = try await road.gateway.ctl("clear", "session", "load2.test").required()
            _ = try await load.waitForLine(containing: "lost 1")
            load.signal(SIGTERM)
            #expect(try await load.wait(timeout: .seconds(20)) == .exited(0))
            let held: Held = try figures(load.output)
            #expect(held.held == 5 && held.lost == 1 && held.losses.map(\.cause) == ["deleted by the gateway"], "\(load.output)")
        }
    }

    // MARK: traffic

    /// A way of loading a tunnel.
    struct Way: Sendable, CustomTestStringConvertible {
        let family: Int
        let more: [String]
        let up: Bool
        let down: Bool
        var testDescription: String { "IPv\(family) \(more.joined(separator: " "))" }

        static let all = [
            Way(family: 4, more: ["--size", "64,1300,300", "--rate", "300"], up: true, down: true),
            Way(family: 4, more: ["--rate", "300", "--down", "0", "--share", "8", "--esp", "aes128-sha256"], up: true, down: false),
            Way(family: 4, more: ["--rate", "300", "--up", "0", "--rekey-child", "1"], up: false, down: true),
            Way(family: 4, more: ["--rate", "300", "--rekey-child", "1"], up: true, down: true),
            Way(family: 6, more: ["--size", "72,1200", "--rate", "200", "--inner", "dual"], up: true, down: true),
        ]
    }

    @Test("ipsec-load traffic: every octet both ways, nothing lost, nothing twice", arguments: Way.all)
    func traffic(_ way: Way) async throws {
        try await Scenario.run(slots: 2) { scenario in
            var settings = GatewaySettings()
            if way.family == 6 { settings.pool6 = (first: "2001:db8:99::100", last: "2001:db8:99::1ff") }
            settings.logLevel = "info"
            let road = try await Road.build(scenario, ipv6: way.family == 6, settings)
            let far = way.family == 6 ? "[\(RoadNetwork.hostAddress6)]:7007" : "\(RoadNetwork.hostAddress):7007"
            let reflector = try await road.host.start(
                "reflect", [try Programs.path("ipsec-load"), "reflect", "--yes-this-is-my-gateway", "--listen", far, "--json"])
            _ = try await reflector.waitForLine(containing: "reflecting on")
            // What a stalled machine could not send in its time is left out, not made up for: long enough for some seconds of that
            let result = try await scenario.run(
                words("traffic", ["--clients", "8", "--to", far, "--for", "6s"] + way.more), in: road.network.clients[0], timeout: .seconds(60))
            #expect(result.succeeded, "\(result.output)")
            let carried: TrafficFigures = try figures(result.output)
            #expect(carried.established == 8 && carried.agreed == 8)
            for (direction, isLoaded) in [(carried.up, way.up), (carried.down, way.down)] {
                #expect(direction.lost == 0 && direction.duplicated == 0 && direction.corrupted == 0)
                #expect(isLoaded ? direction.received >= 300 : direction.sent == 0, "\(direction)")
                #expect((direction.p50Microseconds != nil) == isLoaded)
            }
            // What the kernel says of itself on a new device (router solicitations) is for no client.
            let drops = try await road.gateway.counters().drops.filter { $0.key != "no-route" && $0.value > 0 }
            #expect(drops.isEmpty, "\(drops)")
            reflector.signal(SIGTERM)
            #expect(try await reflector.wait(timeout: .seconds(10)) == .exited(0))
            try await road.gateway.waitForSessions(0)
        }
    }

    @Test("ipsec-load traffic: without a far side it says so and leaves")
    func trafficWithoutReflector() async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario)
            let result = try await scenario.run(
                words("traffic", ["--to", "\(RoadNetwork.hostAddress):7007", "--for", "1s"]), in: road.network.clients[0], timeout: .seconds(40))
            #expect(result.exitCode == 1 && result.output.contains("does `ipsec-load reflect` listen there"), "\(result.output)")
            try await road.gateway.waitForSessions(0)
        }
    }

    // MARK: flood

    private struct Flooded: Decodable {
        let sent: Int
        let answered: Int
        let amplification: Double
        let cookiesReturned: Int
        let answers: [Cause]
        let missedAnswers: Int
    }

    private struct LoggedIn: Decodable {
        let started: Int
        let established: Int
        let failures: [Cause]
    }

    private struct Status: Decodable {
        let halfOpen: Int
    }

    private func residentKiB(_ process: LabProcess) throws -> Int {
        let text = try String(contentsOfFile: "/proc/\(process.pid)/status", encoding: .utf8)
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
        return try #require(line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) })
    }

    @Test(
        "threat P1, P3: under a flood who means it comes in, memory and tables stay as they are, and less goes out than comes in",
        arguments: ["spoofed", "half-open", "malformed"])
    func threat_P1_P3_flood(kind: String) async throws {
        try await Scenario.run(slots: 2) { scenario in
            var settings = GatewaySettings()
            settings.logLevel = "warning"
            let road = try await Road.build(scenario, settings)
            let client = road.network.clients[0]
            try await client.ip("route add local 198.51.101.128/25 dev lo")
            try await road.network.internet.ip("route add 198.18.0.0/15 via 198.51.101.2")
            let from = kind == "spoofed" ? "198.18.0.0/15" : "198.51.101.130-198.51.101.137"
            func flood(_ seconds: Int) throws -> [String] {
                try words("flood", ["--kind", kind, "--rate", "2000", "--for", "\(seconds)s", "--from", from, "--seed", "1"])
            }
            // What is set up once is there by then: the second flood is compared with the first.
            _ = try await scenario.run(flood(2), in: client, timeout: .seconds(30)).required()
            let before = try residentKiB(road.gateway.process)
            let flooding = try await client.start("flood", flood(6))
            let setup = try await scenario.run(
                words("setup", ["--rate", "5", "--clients", "20", "--for", "4s"]), in: client, timeout: .seconds(90))
            #expect(try await flooding.wait(timeout: .seconds(30)) == .exited(0))
            let after = try residentKiB(road.gateway.process)

            let flooded: Flooded = try figures(flooding.output)
            #expect(flooded.sent > 5_000 && flooded.answered > 0 && flooded.amplification <= 1, "\(flooding.output)")
            if kind == "half-open" { #expect(flooded.cookiesReturned > 0) }
            let loggedIn: LoggedIn = try figures(setup.output)
            #expect(loggedIn.started >= 15 && loggedIn.established * 100 >= loggedIn.started * 95, "\(loggedIn.failures)")
            print("flood \(kind): RSS \(before) KiB, then \(after) KiB")
            #expect(after - before < 8 << 10, "\(before) KiB, then \(after) KiB")
            let shown = try await road.gateway.ctl("--json", "status").required()
            let status = try JSONDecoder().decode(Status.self, from: Data(shown.utf8))
            // The threshold of cookies, or the most of eight addresses.
            #expect(status.halfOpen <= 160, "\(status)")
            #expect(road.gateway.process.isRunning)
        }
    }

    // MARK: Strangers

    @Test(
        "programs: from the host's own namespace no subcommand goes to a stranger",
        arguments: [
            ["connect", "--gateway", "192.0.2.1"], ["setup", "--gateway", "192.0.2.1", "--rate", "1", "--for", "1ms"],
            ["hold", "--gateway", "192.0.2.1", "--clients", "1", "--for", "1ms"],
            ["traffic", "--gateway", "192.0.2.1", "--to", "10.0.0.1:7", "--for", "1ms"],
            ["flood", "--gateway", "192.0.2.1", "--kind", "spoofed", "--rate", "1", "--for", "1ms"],
            ["flood", "--gateway", "192.0.2.1", "--kind", "malformed", "--rate", "1", "--for", "1ms"],
            ["reflect", "--listen", "192.0.2.1:7007"],
        ])
    func refusesStrangers(_ words: [String]) async throws {
        try await Scenario.run { scenario in
            let login = ["flood", "reflect"].contains(words[0]) ? [] : ["--psk", "k", "--id", "c"]
            let result = try await scenario.run([try Programs.path("ipsec-load")] + words + login)
            #expect(result.exitCode == 1 && result.output.contains("is not loopback"), "\(result.output)")
        }
    }
}

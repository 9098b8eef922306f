import Lab
import Testing

/// RADIUS servers that are dead, slow, deaf or replaced: sessions stay up, logins fail over within the policy's timers, no record is lost.
///
/// ```
///  clients 198.51.101.2, 198.51.102.2 ---- internet ---- 192.0.2.1 gateway 10.20.0.1 --+-- 10.20.0.2 radius-1
///                                                                                      +-- 10.20.0.3 radius-2
/// ```
@Suite(.watched)
struct RADIUSFailureTests {
    private static let alice = FreeRADIUSSettings.User("alice", password: AAARoad.password)
    private static let bob = FreeRADIUSSettings.User("bob", password: AAARoad.password)

    /// A gateway with both servers, the second not started yet.
    private static func two(_ settings: inout GatewaySettings) {
        settings.radius?.servers.append(.init("radius-2", address: AAARoad.secondAddress))
    }

    @Test("P19: a server that is dead at start: the login fails within the policy's timers; when it is there the next one succeeds")
    func threat_P19_deadAtStart() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, Self.alice)
            await aaa.server.stop()
            let again = try await GatewayProcess.start(scenario, in: try await Self.restarted(aaa), configuredIn: aaa.gateway.folder)
            let client = try await aaa.client(1, "alice")
            let begin = ContinuousClock.now
            let refused = try await client.initiate()
            // 1 s, 2 s, 4 s with their jitter, and nobody is left waiting for strongSwan's own 17
            #expect(!refused.succeeded && ContinuousClock.now - begin < .seconds(14))
            #expect(try await again.radius().server("radius-1")?.timeouts ?? 0 >= 1)
            #expect(again.process.lines().contains { $0.contains("radius-1") })
            try await aaa.server.startAgain()
            let came = try await becomesTrue(within: .seconds(20), every: .seconds(1)) { try await client.initiate().succeeded }
            #expect(came)
            #expect(try await aaa.road.reachesHost(client))
        }
    }

    /// Ends the gateway; its namespace, for the next one.
    private static func restarted(_ aaa: AAARoad) async throws -> Namespace {
        await aaa.gateway.process.stop()
        return aaa.road.network.gateway
    }

    @Test(
        "P19: the first server is silent: the same login is taken to the second, and the next one goes there at once; after the hold-down the first is back"
    )
    func threat_P19_failover() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, clients: 2, Self.alice, Self.bob) { Self.two(&$0) }
            let second = try await aaa.secondServer()
            aaa.server.playDead()
            let alice = try await aaa.client(1, "alice")
            let login = try await alice.initiate()
            #expect(login.succeeded, "\(login.output)")
            #expect(try await aaa.session(named: "alice").authorization?.server == "radius-2")
            #expect(try await aaa.gateway.radius().server("radius-1")?.state == "down")
            #expect(await aaa.road.logs("radius-1", "down"))

            let bob = try await aaa.client(2, "bob")
            let begin = ContinuousClock.now
            try await bob.connect()
            #expect(ContinuousClock.now - begin < .seconds(2))
            #expect(try second.exchanges("Access-Accept").count == 2)

            aaa.server.revive()
            let mark = try aaa.server.exchanges("Access-Accept").count
            #expect(
                try await becomesTrue(within: .seconds(20), every: .seconds(1)) {
                    try await bob.terminate()
                    try await bob.connect()
                    return try aaa.server.exchanges("Access-Accept").count > mark
                })
            #expect(try await aaa.road.reachesHost(alice))
        }
    }

    @Test("P19: the first server dies in the middle of an EAP conversation: its State never goes to the second, and the next login does")
    func threat_P19_diesInEAP() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, Self.alice) { Self.two(&$0) }
            let second = try await aaa.secondServer()
            // the first request passes, every later one is lost
            try await aaa.server.goesDeaf(after: 1)
            let client = try await aaa.client(1, "alice", by: .tls)
            let first = try await client.initiate()
            #expect(try aaa.server.exchanges("Access-Challenge").count == 1)
            #expect(!first.succeeded, "\(first.output)")
            let came = try await becomesTrue(within: .seconds(20), every: .seconds(1)) { try await client.initiate().succeeded }
            #expect(came)
            let states = Set(try aaa.server.exchanges("Access-Challenge").compactMap { $0["State"] })
            let asked = try second.exchanges("Access-Request")
            #expect(!asked.isEmpty && asked.first?["State"] == nil && asked.allSatisfy { !states.contains($0["State"] ?? "") })
            #expect(try await aaa.session(named: "alice").authorization?.server == "radius-2")
            #expect(try await aaa.road.reachesHost(client))
            #expect(try await aaa.gateway.radius().conversations == 0)
        }
    }

    @Test("a server that answers after five seconds: one login, one session, one Start; the late replies to copies count for nothing")
    func slow() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, Self.alice) { $0.radius?.timers = (timeout: 2, retryCount: 3, holdDownTime: 5) }
            let client = try await aaa.client(1, "alice")
            aaa.server.playDead()
            async let login = client.initiate()
            try await Task.sleep(for: .seconds(5))
            aaa.server.revive()
            let result = try await login
            #expect(result.succeeded, "\(result.output)")
            try await aaa.gateway.waitForSessions(1)
            #expect(try await aaa.road.reachesHost(client))
            #expect(try await aaa.gateway.radius().server("radius-1")?.retransmissions ?? 0 >= 1)
            #expect(try await aaa.server.waitForAccounting { !$0.of("Start").isEmpty }.of("Start").count == 1)
        }
    }

    @Test("C12: a server with another secret: nothing it says counts, the login is refused, and live sessions do not care")
    func threat_C12_wrongSecret() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, clients: 2, Self.alice, Self.bob)
            let alice = try await aaa.client(1, "alice")
            try await alice.connect()
            var settings = aaa.server.settings
            settings.name = "radius-1-changed"
            settings.secret = "somebody else's secret"
            await aaa.server.stop()
            _ = try await FreeRADIUS.start(scenario, in: aaa.host, settings)
            #expect(try await !aaa.client(2, "bob").initiate().succeeded)
            #expect(try await aaa.gateway.waitForSessions(1).first?.name == "alice")
            #expect(try await aaa.road.reachesHost(alice))
        }
    }

    @Test("I3: RADIUS is killed under 50 live sessions while logins go on every second, and comes back: Starts = Stops + live")
    func threat_I3_killedUnderLoad() async throws {
        try await Scenario.run(slots: 2) { scenario in
            let aaa = try await AAARoad.build(scenario, clients: 2, server: { $0.users = AAARoad.crowdUsers(60) })
            let crowd = try await aaa.crowd(50)
            for index in 1...50 { try await crowd.connect("net\(index)") }
            try await aaa.gateway.waitForSessions(50)
            let late = try await aaa.crowd(10, on: 2, from: 51)
            await aaa.server.killNow()
            for index in 1...10 {
                _ = try await late.swanctl(["--initiate", "--child", "net\(50 + index)", "--timeout", "1"])
                try await crowd.terminate(ike: "rw\(index)")
            }
            // nobody who was in has been thrown out
            let names = Set(try await aaa.gateway.sessions().map(\.name))
            #expect((11...50).allSatisfy { names.contains("user\($0)") } && !names.contains("user1"))
            #expect(try await Ping.run(from: crowd.namespace, to: RoadNetwork.hostAddress).isComplete)
            #expect(try await aaa.gateway.radius().spool?.records ?? 0 >= 10)

            try await aaa.server.startAgain()
            let came = try await becomesTrue(within: .seconds(30), every: .seconds(1)) {
                for index in 51...60 where try await late.sas().allSatisfy({ $0.name != "rw\(index)" || $0.state != "ESTABLISHED" }) {
                    _ = try await late.swanctl(["--initiate", "--child", "net\(index)", "--timeout", "5"])
                }
                return try await aaa.gateway.sessions().count == 50
            }
            #expect(came)
            let live = Set(try await aaa.gateway.sessions().map(\.acctSessionId))
            let records = try await aaa.server.waitForAccounting(timeout: .seconds(60)) {
                Set($0.sessions("Start").keys) == Set($0.sessions("Stop").keys).union(live)
            }
            // an answer that was lost with the server makes a record come twice; a session is one all the same
            #expect(Set(records.sessions("Stop").keys).isDisjoint(with: live) && records.sessions("Stop").count >= 10)
            #expect(records.sessions("Start").count == records.sessions("Stop").count + live.count)
            for id in records.sessions("Stop").keys {
                let own = records.filter { $0.session == id }.map(\.kind)
                #expect(own.firstIndex(of: "Stop") ?? 0 > own.lastIndex(of: "Start") ?? own.count, "\(own)")
            }
            #expect(try await becomesTrue(within: .seconds(10)) { try await aaa.gateway.radius().spool?.records == 0 })
        }
    }
}

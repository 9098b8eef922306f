import Glibc
import Lab
import Testing

/// What the RADIUS server is told: who used which address for how long and how much, exactly once, whatever happens meanwhile.
///
/// ```
///  alice 198.51.101.2 ---- internet ---- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 FreeRADIUS, and what alice reaches
/// ```
@Suite(.watched)
struct AccountingTests {
    private static let password = AAARoad.password

    @Test("RAD-7, X-2: five pings of 1300 octets are 6500 octets in five packets each way; the name is the EAP identity, every Class comes back")
    func rad_7_exact() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(
                scenario, .init("alice", password: Self.password, "Framed-IP-Address = 10.99.0.77", "Class = \"staff\"", "Class += 0x00ff00")
            ) { $0.assignsIPv4 = false }
            let client = try await aaa.client(1, "alice")
            try await client.connect()
            let session = try await aaa.session(named: "alice")
            // each asked once, however slow the answer
            let ping = try await client.namespace.run("/usr/bin/ping -n -c 5 -i 0.4 -W 5 -s 1272 \(RoadNetwork.hostAddress)")
            #expect(ping.output.contains("5 received"), "\(ping.output)")
            try await client.terminate()
            let records = try await aaa.server.waitForAccounting { !$0.of("Stop").isEmpty }
            #expect(records.map(\.kind) == ["Accounting-On", "Start", "Stop"])
            let (start, stop) = (records[1], records[2])
            for record in [start, stop] {
                #expect(record.userName == "alice" && record.session == session.acctSessionId && record.classes == ["0x7374616666", "0x00ff00"])
                #expect(record["Framed-IP-Address"] == "10.99.0.77" && record["NAS-Identifier"] == GatewayRADIUSSettings.nasIdentifier)
                #expect(record["NAS-Port-Id"] == GatewayRADIUSSettings.nasPortID && record["NAS-IP-Address"] == RoadNetwork.gatewayAddress)
                #expect(record["Calling-Station-Id"] == "198.51.101.2:4500" && record["Called-Station-Id"] == RoadNetwork.gatewayAddress)
                #expect(record["Event-Timestamp"] != nil)
            }
            #expect(try aaa.server.exchanges("Access-Request").allSatisfy { $0["Acct-Session-Id"] == session.acctSessionId })
            #expect(start.octetsIn == nil && start.octetsOut == nil && start.packetsIn == nil && start.seconds == nil && start.cause == nil)
            #expect(stop.octetsIn == 6500 && stop.octetsOut == 6500 && stop.packetsIn == 5 && stop.packetsOut == 5, "\(stop.record)")
            #expect(stop.cause == "User-Request" && (1...20).contains(stop.seconds ?? 0))
        }
    }

    @Test("RAD-8, X-10: Acct-Interim-Interval 60: after a minute a record with time and counters, and the session goes on")
    func rad_8_interim() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, .init("alice", password: Self.password, "Acct-Interim-Interval = 60"))
            let client = try await aaa.client(1, "alice")
            try await client.connect()
            #expect(try await client.namespace.run("/usr/bin/ping -n -c 5 -i 0.2 -W 5 -s 1272 \(RoadNetwork.hostAddress)").succeeded)
            try await scenario.rest(for: .seconds(58))
            let records = try await aaa.server.waitForAccounting(timeout: .seconds(15)) { !$0.of("Interim-Update").isEmpty }
            let interim = records.of("Interim-Update")[0]
            #expect(interim.octetsIn == 6500 && interim.octetsOut == 6500 && interim.packetsIn == 5 && interim.packetsOut == 5, "\(interim.record)")
            #expect((55...75).contains(interim.seconds ?? 0) && interim.cause == nil)
            #expect(interim.session == records.of("Start").first?.session)
            #expect(try await aaa.road.reachesHost(client))
        }
    }

    /// How a session ends, and what its Stop says.
    enum End: String, Sendable, CaseIterable {
        case delete, deadPeer, operatorClears, cleanStop, replaced
        var cause: String {
            switch self {
            case .delete: "User-Request"
            case .deadPeer: "Lost-Carrier"
            case .operatorClears: "Admin-Reset"
            case .cleanStop: "Admin-Reboot"
            case .replaced: "NAS-Request"
            }
        }
    }

    @Test("RAD-7: Acct-Terminate-Cause says why; one Start, one Stop; a clean stop ends with Accounting-Off", arguments: End.allCases)
    func rad_7_causes(_ end: End) async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, clients: 2, .init("alice", password: Self.password)) {
                $0.dpd = (interval: 10, maxRetries: 2)
            }
            let client = try await aaa.client(1, "alice", idi: "phone.test")
            try await client.connect()
            let session = try await aaa.session(named: "alice")
            switch end {
            case .delete: try await client.terminate()
            case .deadPeer:
                try await aaa.road.network.clients[0].ip("link set eth0 down")
                try await scenario.rest(for: .seconds(20))
            case .operatorClears: #expect(try await aaa.gateway.ctl("clear", "session", "alice").succeeded)
            case .cleanStop:
                aaa.gateway.process.signal(SIGTERM)
                #expect(try await aaa.gateway.process.wait(timeout: .seconds(10)) == .exited(0))
            case .replaced: try await aaa.client(2, "alice", idi: "phone.test").connect()
            }
            let records = try await aaa.server.waitForAccounting(timeout: .seconds(30)) { !$0.of("Stop").isEmpty }
            let stop = records.of("Stop")[0]
            #expect(stop.cause == end.cause && stop.session == session.acctSessionId, "\(stop.record)")
            #expect(records.sessions("Start")[session.acctSessionId] == 1 && records.sessions("Stop") == [session.acctSessionId: 1])
            if end == .cleanStop {
                let last = try await aaa.server.waitForAccounting { $0.last?.kind == "Accounting-Off" }
                #expect(last.map(\.kind) == ["Accounting-On", "Start", "Stop", "Accounting-Off"])
            }
        }
    }

    @Test("X-2: records of a time without a server arrive when it is back, in order and with Acct-Delay-Time; the session never noticed")
    func rad_7_serverAway() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, .init("alice", password: Self.password))
            let client = try await aaa.client(1, "alice")
            try await client.connect()
            try await aaa.server.waitForAccounting { !$0.of("Start").isEmpty }
            await aaa.server.killNow()
            #expect(try await aaa.road.reachesHost(client))
            try await client.terminate()
            try await aaa.gateway.waitForSessions(0)
            #expect(try await becomesTrue(within: .seconds(5)) { try await aaa.gateway.radius().spool?.records == 1 })
            try await scenario.rest(for: .seconds(5))
            try await aaa.server.startAgain()
            let stop = try await aaa.server.waitForAccounting(timeout: .seconds(40)) { !$0.of("Stop").isEmpty }.of("Stop")[0]
            #expect((stop.delay ?? 0) >= 5 && (stop.seconds ?? 99) <= 5, "\(stop.record)")
            #expect(try await becomesTrue(within: .seconds(5)) { try await aaa.gateway.radius().spool?.records == 0 })
            #expect(try aaa.server.accounting().map(\.kind) == ["Accounting-On", "Start", "Stop"])
        }
    }

    @Test("I3: the gateway is killed with -9 under 20 sessions: after its restart every Stop arrives, once, before the new Accounting-On")
    func threat_I3_killed() async throws {
        try await Scenario.run(slots: 2) { scenario in
            let aaa = try await AAARoad.build(scenario, server: { $0.users = AAARoad.crowdUsers(20) })
            let crowd = try await aaa.crowd(20)
            for index in 1...20 { try await crowd.connect("net\(index)") }
            let ids = Set(try await aaa.gateway.waitForSessions(20).map(\.acctSessionId))
            try await aaa.server.waitForAccounting { $0.of("Start").count == 20 }
            await aaa.gateway.process.killNow()
            let again = try await GatewayProcess.start(scenario, in: aaa.road.network.gateway, configuredIn: aaa.gateway.folder)
            let records = try await aaa.server.waitForAccounting(timeout: .seconds(20)) {
                $0.of("Stop").count >= 20 && $0.of("Accounting-On").count >= 2
            }
            #expect(ids.count == 20 && records.sessions("Stop") == Dictionary(uniqueKeysWithValues: ids.map { ($0, 1) }))
            #expect(
                records.of("Stop").allSatisfy { $0.cause == "NAS-Reboot" && $0.userName?.hasPrefix("user") == true && $0.classes == ["0x63726f7764"] }
            )
            #expect(records.last?.kind == "Accounting-On", "\(records.map(\.summary))")
            // no more of them after another restart
            again.process.signal(SIGTERM)
            try await again.process.wait(timeout: .seconds(10))
            let third = try await GatewayProcess.start(scenario, in: aaa.road.network.gateway, configuredIn: aaa.gateway.folder)
            try await aaa.server.waitForAccounting { $0.of("Accounting-On").count == 3 }
            #expect(try aaa.server.accounting().of("Stop").count == 20)
            #expect(try await third.radius().spool?.records == 0)
        }
    }
}

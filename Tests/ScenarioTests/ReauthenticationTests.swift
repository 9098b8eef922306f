import Lab
import Testing

/// A client that authenticates anew: another IKE SA with its Child SAs in the place of the one that stands.
///
/// ```
///  alice 198.51.101.2 ---- internet ---- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 host
/// ```
@Suite(.watched)
struct ReauthenticationTests {
    /// Whether the new SA comes before the old one goes, and what the gateway makes of a second session of one identity.
    struct Way: Sendable, CustomTestStringConvertible {
        let makesBeforeBreak: Bool
        let uniqueness: String
        var testDescription: String { "\(makesBeforeBreak ? "new SA first" : "delete first"), uniqueness \(uniqueness)" }
        var charon: Charon.Settings {
            var settings = Charon.Settings()
            settings.makesBeforeBreak = makesBeforeBreak
            return settings
        }
    }

    /// What strongSwan has once it has another SA than `old`, and no other beside it; throws where it comes to something else.
    private func renewed(_ client: Charon, after old: CharonSA) async throws -> CharonSA {
        let new: CharonSA? = try await eventually(within: .seconds(20)) {
            let sas = try await client.sas()
            guard sas.count == 1, sas[0].number != old.number, sas[0].state == "ESTABLISHED", !sas[0].children.isEmpty else { return nil }
            return sas[0]
        }
        guard let new else {
            let left = try await client.sas().map { "\($0.number) \($0.state), \($0.children.count) Child SAs" }
            throw LabError("it did not come to one new SA in the place of \(old.number): \(left)")
        }
        return new
    }

    @Test(
        "RFC 7296 2.8.3: twice anew: the inner address stays, one session is left, traffic passes both ways",
        arguments: [
            Way(makesBeforeBreak: false, uniqueness: "replace"), Way(makesBeforeBreak: true, uniqueness: "replace"),
            Way(makesBeforeBreak: false, uniqueness: "keep"),
        ])
    func rfc7296_2_8_3_addressStays(_ way: Way) async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.uniqueness = way.uniqueness
            let road = try await Road.build(scenario, settings)
            let client = try await road.client(1, "alice.test", settings: way.charon)
            var old = try await client.connect()
            let addresses = old.virtualAddresses
            for round in 1...2 {
                let before = try await road.session(of: "alice.test")
                try await client.reauthenticate()
                old = try await renewed(client, after: old)
                #expect(old.virtualAddresses == addresses, "round \(round)")
                let after = try #require(try await road.gateway.waitForSessions(1).first)
                #expect(after.id != before.id && after.innerAddresses == addresses, "round \(round)")
                #expect(try await road.reachesHost(client), "round \(round)")
                #expect(try await Ping.run(from: road.host, to: addresses[0]).isComplete, "round \(round)")
            }
            try await client.terminate()
            try await road.gateway.waitForSessions(0)
        }
    }

    @Test("RFC 7296 2.8.3: new SA first under a transfer each way: every octet arrives")
    func rfc7296_2_8_3_underTransfer() async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario)
            let way = Way(makesBeforeBreak: true, uniqueness: "replace")
            let client = try await road.client(1, "alice.test", settings: way.charon)
            let old = try await client.connect()
            let address = try #require(old.virtualAddresses.first)
            let up = try await TCPTransfer.start(
                from: client.namespace, to: road.host, at: RoadNetwork.hostAddress, seed: 1, bytesPerSecond: 2_000_000)
            let down = try await TCPTransfer.start(from: road.host, to: client.namespace, at: address, seed: 2, bytesPerSecond: 2_000_000)
            #expect(await becomesTrue(within: .seconds(15)) { up.progress > 1_000_000 && down.progress > 1_000_000 })
            try await client.reauthenticate()
            let new = try await renewed(client, after: old)
            #expect(new.virtualAddresses == [address])
            let (upMark, downMark) = (up.progress, down.progress)
            #expect(await becomesTrue(within: .seconds(20)) { up.progress > upMark + 1_000_000 && down.progress > downMark + 1_000_000 })
            #expect(try await up.finish().isIntact)
            #expect(try await down.finish().isIntact)
            try await road.gateway.waitForSessions(1)
        }
    }

    @Test(
        "RFC 7296 2.8.3, X-2, X-8: by EAP with an address of its own: Start, Stop and Start, in this order, and the address moves over",
        arguments: [false, true])
    func rfc7296_2_8_3_accounting(makesBeforeBreak: Bool) async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, .init("alice", password: AAARoad.password, "Framed-IP-Address = 10.99.0.77")) {
                $0.assignsIPv4 = false
            }
            let way = Way(makesBeforeBreak: makesBeforeBreak, uniqueness: "replace")
            let client = try await aaa.client(1, "alice", idi: "phone.test", settings: way.charon)
            let old = try await client.connect()
            let before = try await aaa.session(named: "alice")
            // just so many: with a deadline ping asks on until it has its answers
            let ping = try await client.namespace.run("/usr/bin/ping -n -c 3 -i 0.4 -W 5 \(RoadNetwork.hostAddress)")
            #expect(ping.output.contains("3 received"), "\(ping.output)")
            try await client.reauthenticate()
            let new = try await renewed(client, after: old)
            #expect(new.virtualAddresses == ["10.99.0.77"])
            #expect(try await aaa.road.reachesHost(client))
            let records = try await aaa.server.waitForAccounting { $0.of("Start").count == 2 && $0.of("Stop").count == 1 }
            #expect(records.filter { $0.kind != "Accounting-On" }.map(\.kind) == ["Start", "Stop", "Start"])
            let stop = records.of("Stop")[0]
            #expect(stop.session == before.acctSessionId && stop.packetsIn == 3 && stop.packetsOut == 3, "\(stop.record)")
            #expect(records.of("Start").last?.session == (try await aaa.session(named: "alice").acctSessionId))
        }
    }
}

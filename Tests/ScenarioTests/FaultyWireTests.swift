import Lab
import Testing

/// Logins and transfers over a wire that loses, reorders, repeats and damages datagrams.
///
/// ```
///  client 198.51.100.2 ---- near | relay | far ---- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 host
/// ```
@Suite(.watched)
struct FaultyWireTests {
    private func world(
        _ scenario: Scenario, _ faults: Relay.Faults, seed: UInt64, _ settings: GatewaySettings = GatewaySettings()
    ) async throws -> (RelayedNetwork, Relay, GatewayProcess) {
        let network = try await RelayedNetwork.build(scenario)
        let relay = try await Relay.start(
            scenario, near: network.near, far: network.far, clientFacing: RoadNetwork.gatewayAddress, gateway: RoadNetwork.gatewayAddress,
            faults: faults, seed: seed)
        return (network, relay, try await GatewayProcess.start(scenario, in: network.gateway, settings))
    }

    private func client(_ scenario: Scenario, _ network: RelayedNetwork, fragmentSize: Int? = nil) async throws -> Charon {
        var connection = CharonConnection()
        connection.identity = "alice.test"
        var settings = Charon.Settings()
        settings.fragmentSize = fragmentSize
        (settings.retransmitTimeout, settings.retransmitBase, settings.retransmitTries) = (0.4, 1.2, 10)
        return try await Charon.start(scenario, in: network.client, settings: settings, connection)
    }

    @Test("10 % loss, reordering, repetition and corruption: login, whole transfers both ways, logout", arguments: [UInt64(1), 2, 3])
    func everythingAtOnce(seed: UInt64) async throws {
        try await Scenario.run { scenario in
            let faults = Relay.Faults(loss: 0.1, duplication: 0.1, reordering: 0.1, corruption: 0.02)
            let (network, relay, gateway) = try await world(scenario, faults, seed: seed)
            let client = try await client(scenario, network)
            let address = try #require(try await client.connect().virtualAddresses.first, "seed \(seed)")
            #expect(try await gateway.sessions().count == 1, "retransmissions made no second session; seed \(seed)")

            // TCP crawls at 10 % loss: enough octets for every fault to happen many times, few enough to end
            let whole = TCPTransfer.Outcome(octets: 300_001, isIntact: true)
            let up = try await TCPTransfer.run(
                from: network.client, to: network.host, at: RoadNetwork.hostAddress, octets: whole.octets, timeout: .seconds(90))
            #expect(up == whole, "seed \(seed)")
            let down = try await TCPTransfer.run(
                from: network.host, to: network.client, at: address, octets: whole.octets, timeout: .seconds(90))
            #expect(down == whole, "seed \(seed)")
            let counts = relay.counts
            #expect(counts.lost > 10 && counts.duplicated > 10 && counts.reordered > 10 && counts.corrupted > 2, "seed \(seed): \(counts)")
            // repeated datagrams are replays, damaged ones fail their ICV: both are counted
            #expect(try await gateway.counters().allDrops > 0, "seed \(seed)")

            try await client.terminate()
            try await gateway.waitForSessions(0, timeout: .seconds(20))
            #expect(gateway.process.isRunning)
        }
    }

    /// What the arithmetic allows. A datagram passes with 1 - 0.3 = 0.7; damaged ones (2 %, IKE_SA_INIT is spared) are as good as lost, repeated and
    /// late ones are not. An exchange's one attempt succeeds when request and response pass: p = 0.7^2 = 0.49 in IKE_SA_INIT, (0.7 * 0.98)^2 = 0.47
    /// in IKE_AUTH, since the gateway answers each copy of a request. strongSwan sends a request 14 times: it fails with (1 - p)^14, 8.1e-5 and
    /// 1.4e-4. So 99.98 of 100 logins succeed; less one point, 98.98. Of 96 logins (each with a fresh nonce, key and fate) one may fail: two or
    /// more do with a chance of 2e-4.
    @Test("30 % loss, reordering, repetition, corruption: as many logins succeed as retransmission allows", arguments: [UInt64(61), 62])
    func loginsAgainstTheArithmetic(seed: UInt64) async throws {
        try await Scenario.run(slots: 2) { scenario in
            let faults = Relay.Faults(loss: 0.3, duplication: 0.1, reordering: 0.2, corruption: 0.02)
            let (network, relay, gateway) = try await world(scenario, faults, seed: seed)
            var settings = Charon.Settings()
            (settings.retransmitTimeout, settings.retransmitBase, settings.retransmitTries) = (0.2, 1.1, 13)
            let client = try await Charon.start(scenario, in: network.client, settings: settings)
            let identities = (1...8).map { "user\($0)" }
            try await client.load(
                identities.map { name in
                    var connection = CharonConnection()
                    (connection.name, connection.identity) = (name, "\(name).test")
                    connection.child = "net-\(name)"
                    return connection
                })
            let failures = try await withThrowingTaskGroup(of: [String].self) { group in
                for name in identities {
                    group.addTask {
                        var failed: [String] = []
                        for round in 1...12 {
                            let login = try await client.initiate("net-\(name)", timeout: .seconds(60))
                            if !login.succeeded { failed.append("round \(round) of \(name):\n\(login.output)") }
                            // no word of it to the gateway: the next login takes the session over, or DPD would find out
                            try await client.forget(ike: name)
                        }
                        return failed
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            let rate = 1 - Double(failures.count) / 96
            print("logins at 30 % loss: \(rate), seed \(seed), \(relay.counts)")
            #expect(rate >= 0.9898, "seed \(seed): \(failures.joined(separator: "\n"))")
            // nothing was left out: of some 96 * 4 datagrams and their copies a third was lost
            #expect(relay.counts.lost > 100 && relay.counts.corrupted > 2 && relay.counts.reordered > 50, "seed \(seed): \(relay.counts)")
            // one session for each name at the most, whatever was lost
            let sessions = try await gateway.sessions()
            #expect(Set(sessions.map(\.identity)).count == sessions.count && sessions.count <= identities.count, "seed \(seed): \(sessions)")
            #expect(gateway.process.isRunning)
        }
    }

    @Test("RFC 7383: logins in fragments over a lossy wire", arguments: [UInt64(21)])
    func loginsInFragments(seed: UInt64) async throws {
        try await Scenario.run { scenario in
            var gatewaySettings = GatewaySettings()
            gatewaySettings.fragmentMTU = 512
            gatewaySettings.selectors = (0..<32).map { "10.20.0.\($0 * 8)/30" }
            let (network, relay, gateway) = try await world(
                scenario, .init(loss: 0.05, duplication: 0.2, reordering: 0.2, corruption: 0.02), seed: seed, gatewaySettings)
            let client = try await client(scenario, network, fragmentSize: 300)
            for round in 1...4 {
                let login = try await client.initiate()
                #expect(login.succeeded && login.output.contains("EF(1/"), "round \(round), seed \(seed): \(login.output)")
                #expect(try await gateway.sessions().count == 1, "round \(round), seed \(seed)")
                try await client.terminate()
                try await gateway.waitForSessions(0, timeout: .seconds(20))
            }
            #expect(relay.counts.duplicated > 2 && relay.counts.reordered > 2, "seed \(seed): \(relay.counts)")
        }
    }

    @Test("many logins over a lossy wire: each leaves one session, and no address is used twice", arguments: [UInt64(11)])
    func loginsOverLoss(seed: UInt64) async throws {
        try await Scenario.run { scenario in
            let (network, _, gateway) = try await world(scenario, .init(loss: 0.1, duplication: 0.2, reordering: 0.2), seed: seed)
            let client = try await client(scenario, network)
            for round in 1...8 {
                try await client.connect()
                #expect(try await gateway.sessions().count == 1, "round \(round), seed \(seed)")
                #expect(try await gateway.pools().map(\.used) == [1], "round \(round), seed \(seed)")
                try await client.terminate()
                try await gateway.waitForSessions(0, timeout: .seconds(20))
            }
        }
    }
}

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

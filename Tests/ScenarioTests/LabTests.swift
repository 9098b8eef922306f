import Lab
import Testing

/// The lab itself, with strongSwan on both ends: when these fail, the lab is broken and no other scenario says anything.
///
/// ```
///  client 198.51.101.2 ---- internet ---- 192.0.2.1 strongSwan 10.20.0.1 ---- 10.20.0.2 host
/// ```
@Suite(.watched)
struct LabTests {
    private func responder(_ scenario: Scenario, in namespace: Namespace) async throws -> Charon {
        var connection = CharonConnection()
        connection.role = .responder(pool: "10.99.0.0/24")
        connection.identity = "gw.test"
        connection.remoteIdentity = ""
        connection.ike = "aes128gcm16-prfsha256-x25519,aes256gcm16-prfsha384-x25519"
        connection.esp = "aes128gcm16,aes256gcm16"
        connection.unique = "never"
        return try await Charon.start(scenario, in: namespace, connection)
    }

    private func roadWarrior(_ identity: String) -> CharonConnection {
        var connection = CharonConnection()
        connection.identity = identity
        return connection
    }

    @Test("strongSwan reaches strongSwan, ping and TCP pass, and nothing is left")
    func strongSwanToStrongSwan() async throws {
        try await Scenario.run { scenario in
            let network = try await RoadNetwork.build(scenario)
            let gateway = try await responder(scenario, in: network.gateway)
            let capture = try await Capture.start(scenario, in: network.internet, link: "gw")
            let client = try await Charon.start(scenario, in: network.clients[0], roadWarrior("alice.test"))
            let sa = try await client.connect()
            #expect(sa.virtualAddresses == ["10.99.0.1"])
            #expect(sa.children.first?.encryption == "AES_GCM_16-128")
            #expect(sa.children.first?.remoteSelectors == ["10.20.0.0/24"])
            #expect(sa.keyExchange == "CURVE_25519")
            #expect(try await Ping.run(from: network.clients[0], to: RoadNetwork.hostAddress).isComplete)
            let outcome = try await TCPTransfer.run(
                from: network.clients[0], to: network.host, at: RoadNetwork.hostAddress, octets: 3_000_001)
            #expect(outcome == .init(octets: 3_000_001, isIntact: true))
            let packets = try await capture.stop(filter: "udp port 4500")
            #expect(!packets.isEmpty)
            try await client.terminate()
            #expect(try await client.sas().isEmpty)
            #expect(try await becomesTrue(within: .seconds(3)) { try await gateway.sas().isEmpty })
        }
    }

    @Test("two clients behind one NAT have different addresses there")
    func behindNAT() async throws {
        try await Scenario.run { scenario in
            let network = try await RoadNetwork.build(scenario, clients: 2, behindNAT: true)
            _ = try await responder(scenario, in: network.gateway)
            var addresses: Set<String> = []
            for (number, namespace) in network.clients.enumerated() {
                let client = try await Charon.start(scenario, in: namespace, roadWarrior("c\(number).test"))
                let sa = try await client.connect()
                #expect(sa.isBehindNAT)
                addresses.formUnion(sa.virtualAddresses)
                #expect(try await Ping.run(from: namespace, to: RoadNetwork.hostAddress).isComplete)
            }
            #expect(addresses.count == 2)
        }
    }

    @Test("a wrong PSK is refused, and swanctl says why")
    func wrongPSK() async throws {
        try await Scenario.run { scenario in
            let network = try await RoadNetwork.build(scenario)
            _ = try await responder(scenario, in: network.gateway)
            var connection = roadWarrior("alice.test")
            connection.psk = "another text altogether"
            let client = try await Charon.start(scenario, in: network.clients[0], connection)
            let result = try await client.initiate()
            #expect(!result.succeeded)
            #expect(result.output.contains("AUTHENTICATION_FAILED"))
        }
    }

    @Test("the relay loses, repeats, reorders and damages, and shows no NAT", arguments: [UInt64(7)])
    func relay(seed: UInt64) async throws {
        try await Scenario.run { scenario in
            let network = try await RelayedNetwork.build(scenario)
            let faults = Relay.Faults(loss: 0.1, duplication: 0.1, reordering: 0.1, corruption: 0.05)
            let relay = try await Relay.start(
                scenario, near: network.near, far: network.far, clientFacing: RoadNetwork.gatewayAddress, gateway: RoadNetwork.gatewayAddress,
                faults: faults, seed: seed)
            _ = try await responder(scenario, in: network.gateway)
            let client = try await Charon.start(scenario, in: network.client, roadWarrior("alice.test"))
            try await client.connect()
            let ping = try await Ping.run(from: network.client, to: RoadNetwork.hostAddress, count: 60)
            #expect(ping.received > 20 && ping.received < 60, "\(ping.output)")
            let counts = relay.counts
            #expect(counts.lost > 0 && counts.duplicated > 0 && counts.reordered > 0 && counts.corrupted > 0, "seed \(seed): \(counts)")
            relay.set(.init())
            #expect(try await Ping.run(from: network.client, to: RoadNetwork.hostAddress, count: 5).isComplete)
        }
    }

    @Test("the recipe that make run prints for strongSwan connects to a strongSwan with these settings")
    func recipe() async throws {
        try await Scenario.run { scenario in
            let network = try await RoadNetwork.build(scenario)
            _ = try await responder(scenario, in: network.gateway)
            let configuration = try scenario.write(GatewaySettings().yaml(folder: scenario.folder), to: "ipsec-gw.yaml")
            let client = try await Charon.start(scenario, in: network.clients[0])
            try await client.load(swanctl: try await Recipe.swanctl(scenario, for: configuration))
            #expect(try await client.connect().children.first?.remoteSelectors == ["10.20.0.0/24"])
            #expect(try await Ping.run(from: network.clients[0], to: RoadNetwork.hostAddress).isComplete)
        }
    }

    @Test("a scenario that throws leaves nothing either")
    func cleanUpAfterFailure() async throws {
        struct Deliberate: Error {}
        await #expect(throws: Deliberate.self) {
            try await Scenario.run(quietly: true) { scenario in
                let network = try await RoadNetwork.build(scenario)
                _ = try await network.host.start("sleep", ["/bin/sleep", "1000"])
                throw Deliberate()
            }
        }
    }
}

import Lab
import Testing

/// A NAT that changes its mind: the seeded relay translates, and forgets its mappings when it is told to.
///
/// ```
///  client n 192.168.(100+n).2 ---- relay 203.0.113.2 ---- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 host
/// ```
@Suite(.watched)
struct NATTests {
    private func build(
        _ scenario: Scenario, clients: Int, seed: UInt64, ports: ClosedRange<UInt16> = 20_000...60_000
    ) async throws -> (network: TranslatedNetwork, relay: Relay, gateway: GatewayProcess) {
        let network = try await TranslatedNetwork.build(scenario, clients: clients)
        let relay = try await Relay.start(
            scenario, near: network.near, far: network.far, clientFacing: RoadNetwork.gatewayAddress, gateway: RoadNetwork.gatewayAddress,
            faults: .init(), seed: seed, translation: .init(address: RoadNetwork.natAddress, ports: ports))
        return (network, relay, try await GatewayProcess.start(scenario, in: network.gateway))
    }

    private func client(
        _ scenario: Scenario, _ namespace: Namespace, _ identity: String, dpdDelay: Int = 0, keepAlive: Int? = nil
    ) async throws -> Charon {
        var connection = CharonConnection()
        (connection.identity, connection.dpdDelay) = (identity, dpdDelay)
        var settings = Charon.Settings()
        settings.keepAlive = keepAlive
        return try await Charon.start(scenario, in: namespace, settings: settings, connection)
    }

    private func endpoints(_ relay: Relay) -> Set<String> { Set(relay.mappedPorts.map { "\(RoadNetwork.natAddress):\($0)" }) }

    @Test(
        "RFC 7296 2.23: the NAT maps anew in the middle of transfers, three times: nothing stalls, the session and its SAs stay",
        arguments: [UInt64(31)])
    func rfc7296_2_23_mappingChange(seed: UInt64) async throws {
        try await Scenario.run { scenario in
            let (network, relay, gateway) = try await build(scenario, clients: 1, seed: seed)
            let alice = try await client(scenario, network.clients[0], "alice.test")
            let sa = try await alice.connect()
            #expect(sa.isBehindNAT)
            let address = try #require(sa.virtualAddresses.first)
            let before = try #require(try await gateway.waitForSessions(1).first)
            #expect(endpoints(relay) == [before.remote], "seed \(seed)")

            let up = try await TCPTransfer.start(
                from: alice.namespace, to: network.host, at: RoadNetwork.hostAddress, seed: 1, bytesPerSecond: 2_000_000)
            let down = try await TCPTransfer.start(from: network.host, to: alice.namespace, at: address, seed: 2, bytesPerSecond: 2_000_000)
            async let datagrams = Ping.run(from: alice.namespace, to: RoadNetwork.hostAddress, count: 50)
            var seen: Set<String> = [before.remote]
            for round in 1...3 {
                let (upMark, downMark) = (up.progress, down.progress)
                #expect(
                    await becomesTrue(within: .seconds(15)) { up.progress > upMark + 1_000_000 && down.progress > downMark + 1_000_000 },
                    "round \(round), seed \(seed): \(up.progress - upMark) up, \(down.progress - downMark) down")
                try await relay.forgetMappings()
                let moved = try await eventually(within: .seconds(10)) {
                    let session = try await gateway.sessions().first
                    return session.flatMap { seen.insert($0.remote).inserted ? $0 : nil }
                }
                #expect(moved?.id == before.id && moved?.childSAs == before.childSAs, "round \(round), seed \(seed)")
                #expect(moved.map { endpoints(relay).contains($0.remote) } == true, "round \(round), seed \(seed): \(String(describing: moved))")
            }
            let (upMark, downMark) = (up.progress, down.progress)
            #expect(await becomesTrue(within: .seconds(15)) { up.progress > upMark + 1_000_000 && down.progress > downMark + 1_000_000 })
            #expect(try await up.finish().isIntact)
            #expect(try await down.finish().isIntact)
            // what was on its way to an old port is lost, no more than that
            let answered = try await datagrams
            #expect(answered.received >= answered.sent - 6, "seed \(seed): \(answered.output)")

            // IKE has followed too: the Delete finds the client
            #expect(try await gateway.ctl("clear", "session", "alice.test").output.contains("cleared 1"))
            #expect(try await becomesTrue(within: .seconds(10)) { try await alice.sas().isEmpty })
        }
    }

    @Test(
        "the NAT of 20 clients is switched off and on: ports are dealt anew among them, all 20 come back, with their sessions and addresses",
        arguments: [UInt64(41)])
    func natReboot(seed: UInt64) async throws {
        try await Scenario.run(slots: 3) { scenario in
            // hardly more ports than mappings: many a client gets what was another's
            let (network, relay, gateway) = try await build(scenario, clients: 20, seed: seed, ports: 30_000...30_049)
            var clients: [Charon] = []
            for (index, namespace) in network.clients.enumerated() {
                clients.append(try await client(scenario, namespace, "client\(index).test", dpdDelay: 4))
            }
            let addresses = try await withThrowingTaskGroup(of: (Int, String).self) { group in
                for (index, client) in clients.enumerated() {
                    group.addTask { (index, try await client.connect().virtualAddresses.first ?? "") }
                }
                return try await group.reduce(into: [Int: String]()) { $0[$1.0] = $1.1 }
            }
            #expect(Set(addresses.values).count == 20)
            let before = try await gateway.waitForSessions(20).sorted { $0.identity < $1.identity }
            #expect(Set(before.map(\.remote)) == endpoints(relay))

            try await relay.forgetMappings()
            // no client sends anything of its own; the next liveness check of each shows where it is
            let after = try await eventually(within: .seconds(60), every: .milliseconds(500)) {
                let now = try await gateway.sessions().sorted { $0.identity < $1.identity }
                return now.count == 20 && zip(now, before).allSatisfy { $0.remote != $1.remote } ? now : nil
            }
            let moved = try #require(after, "seed \(seed)")
            #expect(moved.map(\.id) == before.map(\.id) && moved.map(\.innerAddresses) == before.map(\.innerAddresses), "seed \(seed)")
            #expect(Set(moved.map(\.remote)).count == 20 && Set(moved.map(\.remote)) == endpoints(relay))
            #expect(!Set(moved.map(\.remote)).isDisjoint(with: before.map(\.remote)), "no port was another's before; seed \(seed)")
            for (index, client) in clients.enumerated() {
                // the gateway's side begins: ESP has moved along with IKE
                #expect(try await Ping.run(from: network.host, to: addresses[index] ?? "").isComplete, "client \(index), seed \(seed)")
                #expect(try await Ping.run(from: client.namespace, to: RoadNetwork.hostAddress).isComplete, "client \(index), seed \(seed)")
            }
        }
    }

    @Test("RFC 3948 4: a client's keepalives arrive, are counted and answered by nothing; the session is not moved by them")
    func rfc3948_4_clientKeepalives() async throws {
        try await Scenario.run { scenario in
            let (network, relay, gateway) = try await build(scenario, clients: 1, seed: 51)
            let alice = try await client(scenario, network.clients[0], "alice.test", keepAlive: 1)
            try await alice.connect()
            let capture = try await Capture.start(scenario, in: network.gateway, link: "wan", filter: "udp port 4500")
            let before = try #require(try await gateway.waitForSessions(1).first)
            #expect(try await becomesTrue(within: .seconds(20)) { try await gateway.counters().drops["nat-keepalive"] ?? 0 >= 3 })
            // from another port they are anyone's: a keepalive is not authentic
            try await relay.forgetMappings()
            let counted = try await gateway.counters().drops["nat-keepalive"] ?? 0
            #expect(try await becomesTrue(within: .seconds(20)) { try await gateway.counters().drops["nat-keepalive"] ?? 0 >= counted + 2 })
            #expect(try await gateway.sessions().first?.remote == before.remote)
            let packets = try await capture.stop(filter: "udp[4:2] = 9 and udp[8] = 0xff")
            #expect(packets.filter { $0.contains("> 192.0.2.1.4500") }.count >= 5, "\(packets)")
            #expect(!packets.contains { $0.contains("192.0.2.1.4500 >") }, "\(packets)")
            // a packet moves it
            #expect(try await Ping.run(from: alice.namespace, to: RoadNetwork.hostAddress).isComplete)
            #expect(
                try await becomesTrue(within: .seconds(10)) {
                    try await gateway.sessions().first.map { endpoints(relay).contains($0.remote) } ?? false
                })
        }
    }

    @Test("RFC 7296 2.23: the gateway itself stands behind a router that forwards its two ports; both sides see it, and traffic passes both ways")
    func rfc7296_2_23_gatewayBehindNAT() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.forcesEncapsulation = false
            let road = try await Road.build(scenario, settings)
            try await road.network.internet.forwards([500, 4500], of: "198.51.101.1", to: RoadNetwork.gatewayAddress)
            let client = try await road.client(1, "alice.test") { ($0.remoteAddress, $0.childRekey) = ("198.51.101.1", 8) }
            let sa = try await client.connect()
            #expect(sa.peerIsBehindNAT && sa.children.first?.isEncapsulated == true)
            let address = try #require(sa.virtualAddresses.first)
            #expect(try await road.session(of: "alice.test").remote == "198.51.101.2:4500")
            let first = try await road.session(of: "alice.test").childSAs
            #expect(try await road.reachesHost(client))
            #expect(try await Ping.run(from: road.host, to: address).isComplete)
            #expect(try await becomesTrue(within: .seconds(20)) { try await road.session(of: "alice.test").childSAs != first }, "the client's rekey")
            #expect(try await road.reachesHost(client))
            try await client.terminate()
            try await road.gateway.waitForSessions(0)
        }
    }
}

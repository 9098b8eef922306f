import Glibc
import Lab
import Testing

/// One owner per address, always: when the pool is empty, and when the gateway dies in the middle.
///
/// ```
///  client n 198.51.(100+n).2 ---- internet ---- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 host
/// ```
@Suite(.watched)
struct AddressTests {
    @Test("ADDR-4: an empty pool is INTERNAL_ADDRESS_FAILURE; an address given back rests 30 s, then serves the next client")
    func addr_4_exhausted() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.pool = (first: "10.99.0.10", last: "10.99.0.10")
            let road = try await Road.build(scenario, clients: 2, settings)
            let alice = try await road.client(1, "alice.test")
            let bob = try await road.client(2, "bob.test")
            #expect(try await alice.connect().virtualAddresses == ["10.99.0.10"])
            let refused = try await bob.initiate()
            #expect(!refused.succeeded)
            #expect(refused.output.contains("INTERNAL_ADDRESS_FAILURE") || refused.output.contains("INT_ADDR_FAIL"), "\(refused.output)")
            #expect(await road.logs("bob.test", "address"))
            #expect(try await road.reachesHost(alice))
            #expect(try await becomesTrue(within: .seconds(5)) { try await road.gateway.sessions().count == 1 })

            try await alice.terminate()
            try await road.gateway.waitForSessions(0)
            #expect(try await road.gateway.pools().map(\.quarantined) == [1])
            let early = try await bob.initiate()
            #expect(!early.succeeded, "the address was given to another while it rests")
            try await scenario.rest(for: .seconds(31))
            #expect(try await bob.connect().virtualAddresses == ["10.99.0.10"])
            #expect(try await road.reachesHost(bob))
        }
    }

    @Test("kill -9: the gateway starts again, clients return by themselves with their own addresses, and none is given twice")
    func killedAndStartedAgain() async throws {
        try await Scenario.run(slots: 2) { scenario in
            let road = try await Road.build(scenario, clients: 4)
            var settings = Charon.Settings()
            (settings.retransmitTries, settings.retransmitTimeout) = (2, 0.5)
            var clients: [Charon] = []
            var addresses: [[String]] = []
            for (number, name) in ["alice", "bob", "carol"].enumerated() {
                let client = try await road.client(number + 1, "\(name).test", settings: settings) {
                    ($0.dpdDelay, $0.dpdAction) = (2, "restart")
                }
                addresses.append(try await client.connect().virtualAddresses)
                clients.append(client)
            }
            #expect(Set(addresses).count == 3)
            await road.gateway.process.killNow()
            let again = try await GatewayProcess.start(scenario, in: road.network.gateway, folder: road.gateway.folder)

            // a newcomer logs in before the others are back: their addresses are still theirs
            let dave = try await road.client(4, "dave.test")
            let new = try await dave.connect().virtualAddresses
            #expect(!addresses.contains(new))
            try await again.waitForSessions(4, timeout: .seconds(40))
            var seen: [[String]] = [new]
            for (client, address) in zip(clients, addresses) {
                let current = try await eventually(within: .seconds(10)) {
                    try await client.sas().last { $0.state == "ESTABLISHED" && !$0.children.isEmpty }?.virtualAddresses
                }
                #expect(current == address)
                seen.append(current ?? [])
                #expect(try await road.reachesHost(client))
            }
            #expect(Set(seen).count == 4)
            #expect(Set(try await again.sessions().flatMap(\.innerAddresses)).count == 4)
            #expect(try await again.pools().map(\.used) == [4])
        }
    }

    @Test("ADDR-4: where the first range of a pool is used up, the next serves")
    func addr_4_nextRange() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.pool = (first: "10.99.0.10", last: "10.99.0.10")
            settings.furtherRange = (first: "10.99.0.90", last: "10.99.0.91")
            let road = try await Road.build(scenario, clients: 3, settings)
            var addresses: [String] = []
            for (index, name) in ["alice.test", "bob.test", "carol.test"].enumerated() {
                let client = try await road.client(index + 1, name)
                addresses += try await client.connect().virtualAddresses
                #expect(try await road.reachesHost(client))
            }
            #expect(addresses.first == "10.99.0.10" && Set(addresses.dropFirst()) == ["10.99.0.90", "10.99.0.91"], "\(addresses)")
        }
    }

    @Test("ADDR-4: name servers of the pool reach the client, and go with the session")
    func addr_4_nameServers() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.dns = ["10.20.0.53", "10.20.0.54"]
            let road = try await Road.build(scenario, settings)
            var taking = Charon.Settings()
            taking.takesNameServers = true
            let client = try await road.client(1, "alice.test", settings: taking)
            try await client.connect()
            #expect(Set(client.nameServers()) == Set(settings.dns))
            try await client.terminate()
            #expect(await becomesTrue(within: .seconds(5)) { client.nameServers().isEmpty })
        }
    }
}

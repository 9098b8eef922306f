import Glibc
import Lab
import Testing

/// How sessions end: a dead client, a client that comes again, an operator's word, a clean stop.
///
/// ```
///  alice 198.51.101.2 --+
///                       +-- internet ---- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 host
///  bob   198.51.102.2 --+
/// ```
@Suite(.watched)
struct EndingTests {
    @Test("IKE-3: a client that has died is noticed by DPD; session, address and route go with it")
    func ike_3_deadClient() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.dpd = (interval: 10, maxRetries: 2)
            let road = try await Road.build(scenario, clients: 2, settings)
            let routes = try await road.gateway.routes()
            let alice = try await road.client(1, "alice.test")
            let bob = try await road.client(2, "bob.test")
            let address = try #require(try await alice.connect().virtualAddresses.first)
            try await bob.connect()
            try await road.gateway.waitForSessions(2)
            try await road.network.clients[0].ip("link set eth0 down")
            await alice.killNow()
            // 10 s of silence, then two requests 10 s apart; bob answers his
            let left = try await road.gateway.waitForSessions(1, timeout: .seconds(45))
            #expect(left.first?.identity == "bob.test")
            #expect(await road.logs("alice.test", address))
            #expect(try await road.gateway.pools().map(\.used) == [1])
            #expect(try await road.reachesHost(bob))
            try await bob.terminate()
            try await road.gateway.waitForSessions(0)
            #expect(try await road.gateway.routes() == routes)
        }
    }

    @Test("X-11: a client that restarts takes its own place by INITIAL_CONTACT, with the same address")
    func x_11_initialContact() async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario, clients: 2)
            let bob = try await road.client(2, "bob.test")
            try await bob.connect()
            let before = try await road.client(1, "alice.test")
            let address = try await before.connect().virtualAddresses
            let old = try await road.session(of: "alice.test")
            await before.killNow()
            let after = try await road.client(1, "alice.test")
            #expect(try await after.connect().virtualAddresses == address)
            #expect(try await becomesTrue(within: .seconds(5)) { try await road.gateway.sessions().count == 2 })
            #expect(try await road.session(of: "alice.test").id != old.id)
            #expect(try await road.reachesHost(after))
            #expect(try await road.reachesHost(bob))
        }
    }

    @Test("ipsec-gwctl clear session takes an identity, says how many, and the client gets a Delete")
    func clearByIdentity() async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario, clients: 2)
            let alice = try await road.client(1, "alice.test")
            let bob = try await road.client(2, "bob.test")
            try await alice.connect()
            try await bob.connect()
            let cleared = try await road.gateway.ctl("clear", "session", "alice.test")
            #expect(cleared.exitCode == 0 && cleared.output.contains("cleared 1"), "\(cleared.output)")
            #expect(try await becomesTrue(within: .seconds(5)) { try await alice.sas().isEmpty })
            #expect(try await road.gateway.waitForSessions(1).first?.identity == "bob.test")
            #expect(try await road.reachesHost(bob))
            #expect(try await road.gateway.ctl("clear", "session", "nobody.test").exitCode == 1)
        }
    }

    @Test("SIGTERM: Deletes to every client, exit 0 within 10 s, and no device, route, socket or lock is left")
    func sigterm() async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario, clients: 2)
            let alice = try await road.client(1, "alice.test")
            let bob = try await road.client(2, "bob.test")
            try await alice.connect()
            try await bob.connect()
            #expect(try await road.gateway.devices().contains(GatewaySettings.interfaceName))
            let routes = try await road.network.gateway.show("-4 route show table all")
            #expect(routes.contains(GatewaySettings.interfaceName))

            road.gateway.process.signal(SIGTERM)
            #expect(try await road.gateway.process.wait(timeout: .seconds(10)) == .exited(0))
            #expect(try await becomesTrue(within: .seconds(3)) { try await alice.sas().isEmpty })
            #expect(try await becomesTrue(within: .seconds(3)) { try await bob.sas().isEmpty })
            #expect(try await !road.gateway.devices().contains(GatewaySettings.interfaceName))
            #expect(try await !road.network.gateway.show("-4 route show table all").contains("10.99.0."))
            #expect(access(road.gateway.socket, F_OK) != 0)
            #expect(try await road.gateway.ctl("status").exitCode == 2)
            // state and ports are free: the same gateway starts again
            let again = try await GatewayProcess.start(scenario, in: road.network.gateway, folder: road.gateway.folder)
            #expect(try await again.sessions().isEmpty)
        }
    }
}

import Lab
import Testing

/// Logins by PSK: who may come in, under which name, and what is seen of it.
///
/// ```
///  alice 198.51.101.2 --+
///                       +-- internet ---- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 host
///  bob   198.51.102.2 --+
///  (or both behind one NAT, 203.0.113.2)
/// ```
@Suite(.watched)
struct LoginTests {
    /// A client's identity as it is configured, and as the gateway lists it.
    struct Identity: Sendable, CustomTestStringConvertible {
        let configured: String?
        let listed: String
        var testDescription: String { listed }
    }

    @Test(
        "AUTH-1: a client is known by FQDN, RFC822 name or address; traffic passes both ways and is counted",
        arguments: [
            Identity(configured: "alice.test", listed: "alice.test"), Identity(configured: "alice@example.test", listed: "alice@example.test"),
            Identity(configured: nil, listed: "198.51.101.2"),
        ])
    func auth_1_identities(_ identity: Identity) async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario)
            let routes = try await road.gateway.routes()
            let client = try await road.client(1, identity.configured)
            let sa = try await client.connect()
            let address = try #require(sa.virtualAddresses.first)
            #expect(address.hasPrefix("10.99.0."))
            #expect(sa.remoteIdentity == "gw.test")
            #expect(sa.children.first?.remoteSelectors == [RoadNetwork.lan])
            #expect(sa.children.first?.localSelectors == ["\(address)/32"])

            #expect(try await road.reachesHost(client))
            #expect(try await Ping.run(from: road.host, to: address).isComplete)
            let session = try await road.session(of: identity.listed)
            #expect(session.innerAddresses == [address])
            #expect(session.remote == "198.51.101.2:4500")
            #expect(session.gateway == "rw" && session.interface == GatewaySettings.interfaceName && session.service == "home")
            // six echo requests or replies of 84 octets in each direction
            #expect(session.octetsIn >= 6 * 84 && session.packetsIn >= 6)
            #expect(session.octetsOut >= 6 * 84 && session.packetsOut >= 6)
            #expect(await road.logs(identity.listed, address))

            try await client.terminate()
            try await road.gateway.waitForSessions(0)
            #expect(try await road.gateway.routes() == routes)
            #expect(!(try await Ping.run(from: road.host, to: address, count: 1).isAnswered))
        }
    }

    @Test("AUTH-1: a client that does not say whom it expects is told who the gateway is")
    func auth_1_withoutIDr() async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario)
            let client = try await road.client(1, "alice.test") { $0.remoteIdentity = "" }
            #expect(try await client.connect().remoteIdentity == "gw.test")
            #expect(try await road.reachesHost(client))
        }
    }

    @Test(
        "threats.md P2: with cookies on, clients log in at the cost of one round trip, also with a first guess at the group",
        arguments: [false, true])
    func threat_P2_cookies(behindNAT: Bool) async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.cookieThreshold = 0
            settings.ikeTransforms = [.init("aes256-gcm16", "auth-encryption", "sha-384", "x25519")]
            let road = try await Road.build(scenario, clients: 2, behindNAT: behindNAT, settings)
            // bob's first guess is wrong: COOKIE, INVALID_KE_PAYLOAD, and the third request comes in
            for (number, (identity, groups)) in [("alice.test", "x25519"), ("bob.test", "ecp256-x25519")].enumerated() {
                let client = try await road.client(number + 1, identity) { $0.ike = "aes256gcm16-prfsha384-\(groups)" }
                let login = try await client.initiate()
                #expect(login.succeeded, "\(login.output)")
                #expect(login.output.contains("parsed IKE_SA_INIT response 0 [ N(COOKIE) ]"), "\(login.output)")
                #expect(login.output.contains("it requested CURVE_25519") == (identity == "bob.test"), "\(login.output)")
                #expect(try await road.reachesHost(client))
            }
            let sessions = try await road.gateway.waitForSessions(2)
            #expect(Set(sessions.map(\.identity)) == ["alice.test", "bob.test"])
        }
    }

    @Test("a wrong PSK is refused with AUTHENTICATION_FAILED and one line of cause; the right one comes in after it")
    func auth_1_wrongPSK() async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario)
            let client = try await road.client(1, "mallory.test") { $0.psk = "not the text of the lab" }
            let result = try await client.initiate()
            #expect(!result.succeeded)
            #expect(result.output.contains("AUTHENTICATION_FAILED"))
            #expect(try await road.gateway.sessions().isEmpty)
            #expect(try await road.gateway.pools().map(\.used) == [0])
            #expect(await road.logs("mallory.test", "198.51.101.2"))
            #expect(!road.gateway.process.output.contains(GatewaySettings.psk), "the PSK is in the log")

            var connection = CharonConnection()
            connection.identity = "mallory.test"
            try await client.load([connection])
            try await client.connect()
            try await road.gateway.waitForSessions(1)
        }
    }

    @Test("TS-5: without a request for an address the client is told FAILED_CP_REQUIRED")
    func ts_5_withoutConfigurationRequest() async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario)
            let client = try await road.client(1, "alice.test") { $0.virtualAddresses = [] }
            let result = try await client.initiate()
            #expect(!result.succeeded)
            #expect(result.output.contains("FAILED_CP_REQUIRED") || result.output.contains("FAIL_CP_REQ"), "\(result.output)")
            #expect(try await becomesTrue(within: .seconds(5)) { try await road.gateway.sessions().isEmpty })
        }
    }

    @Test("two clients at once, each with an address and counters of its own", arguments: [false, true])
    func twoClients(behindNAT: Bool) async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario, clients: 2, behindNAT: behindNAT)
            let alice = try await road.client(1, "alice.test")
            let bob = try await road.client(2, "bob.test")
            async let first = alice.connect()
            async let second = bob.connect()
            let (aliceSA, bobSA) = try await (first, second)
            #expect(aliceSA.isBehindNAT == behindNAT && bobSA.isBehindNAT == behindNAT)
            #expect(!aliceSA.virtualAddresses.isEmpty && aliceSA.virtualAddresses != bobSA.virtualAddresses)

            let sessions = try await road.gateway.waitForSessions(2)
            #expect(Set(sessions.map(\.remote)).count == 2)
            if behindNAT { #expect(sessions.allSatisfy { $0.remote.hasPrefix(RoadNetwork.natAddress + ":") }) }
            #expect(try await road.reachesHost(alice))
            #expect(try await road.session(of: "bob.test").packetsIn == 0)
            #expect(try await road.reachesHost(bob))
            #expect(try await road.session(of: "bob.test").packetsIn >= 3)

            // both at full tilt: nothing of one reaches the other
            async let up = TCPTransfer.run(
                from: alice.namespace, to: road.host, at: RoadNetwork.hostAddress, octets: 2_000_000, seed: 1)
            async let beside = TCPTransfer.run(
                from: bob.namespace, to: road.host, at: RoadNetwork.hostAddress, octets: 2_000_000, seed: 2)
            let whole = TCPTransfer.Outcome(octets: 2_000_000, isIntact: true)
            let outcomes = try await [up, beside]
            #expect(outcomes == [whole, whole])

            try await alice.terminate()
            let left = try await road.gateway.waitForSessions(1)
            #expect(left.first?.identity == "bob.test")
            #expect(try await road.reachesHost(bob))
        }
    }

    @Test("the recipe that make run prints for strongSwan connects, and everything goes through the tunnel")
    func recipe() async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario)
            let client = try await Charon.start(scenario, in: road.network.clients[0])
            try await client.load(swanctl: try await Recipe.swanctl(scenario, for: road.gateway.configuration))
            #expect(try await client.connect().children.first?.remoteSelectors == ["0.0.0.0/0"])
            #expect(try await road.reachesHost(client))
        }
    }
}

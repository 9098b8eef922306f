import Lab
import Testing

/// The client replaces its Child SA and its IKE SA under a running transfer; no octet is lost, and the session stays what it was.
///
/// ```
///  alice 198.51.101.2 ---- internet ---- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 host
/// ```
@Suite(.watched)
struct RekeyTests {
    /// What the session is known by, which no rekey may change.
    private func identity(_ session: GatewaySession) -> [String] {
        [session.id, session.name, session.acctSessionId] + session.innerAddresses
    }

    @Test(
        "RFC 7296 1.3.3: a Child SA replaced by the client, with and without a key exchange of its own",
        arguments: ["aes128gcm16", "aes128gcm16-x25519", "aes256-sha256-ecp256"])
    func childByClient(esp: String) async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario)
            let alice = try await road.client(1, "alice.test") { $0.esp = esp }
            try await alice.connect()
            let before = try await road.session(of: "alice.test")
            let transfer = try await TCPTransfer.start(
                from: alice.namespace, to: road.host, at: RoadNetwork.hostAddress, bytesPerSecond: 4_000_000)
            #expect(await becomesTrue(within: .seconds(5)) { transfer.progress > 200_000 })
            for _ in 1...3 {
                let known = try await road.session(of: "alice.test").childSAs
                let rekey = try await alice.swanctl(["--rekey", "--child", CharonConnection.childName])
                #expect(rekey.exitCode == 0, "\(rekey.output)")
                let replaced = try await eventually(within: .seconds(5)) {
                    let session = try await road.session(of: "alice.test")
                    return session.childSAs.count == 1 && session.childSAs != known ? session : nil
                }
                let changed = try #require(replaced, "one Child SA, and a new one")
                #expect(identity(changed) == identity(before))
                let mark = transfer.progress
                #expect(await becomesTrue(within: .seconds(5)) { transfer.progress > mark + 1_000_000 })
            }
            let outcome = try await transfer.finish()
            #expect(outcome.isIntact && outcome.octets > 3_000_000)
            #expect(try await road.gateway.counters().ike["child-sas-created"] == 3)
            _ = try await alice.terminate()
            _ = try await road.gateway.waitForSessions(0)
        }
    }

    @Test("RFC 7296 2.18: the IKE SA replaced by the client keeps its Child SA; liveness, clear and Delete follow it")
    func ikeByClient() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.dpd = (interval: 10, maxRetries: 2)
            let road = try await Road.build(scenario, settings)
            let alice = try await road.client(1, "alice.test")
            try await alice.connect()
            let before = try await road.session(of: "alice.test")
            let transfer = try await TCPTransfer.start(
                from: alice.namespace, to: road.host, at: RoadNetwork.hostAddress, bytesPerSecond: 4_000_000)
            #expect(await becomesTrue(within: .seconds(5)) { transfer.progress > 200_000 })
            for round in 1...2 {
                let rekey = try await alice.swanctl(["--rekey", "--ike", "rw"])
                #expect(rekey.exitCode == 0, "\(rekey.output)")
                #expect(
                    await becomesTrue(within: .seconds(5)) {
                        (try? await road.gateway.counters().ike["ike-sas-rekeyed"]) == UInt64(round)
                    })
            }
            let session = try await road.session(of: "alice.test")
            #expect(identity(session) == identity(before) && session.childSAs == before.childSAs)
            let outcome = try await transfer.finish()
            #expect(outcome.isIntact)
            // A Child SA is made with the new IKE SA's keys.
            let rekey = try await alice.swanctl(["--rekey", "--child", CharonConnection.childName])
            #expect(rekey.exitCode == 0, "\(rekey.output)")
            #expect(try await road.reachesHost(alice))
            let cleared = try await road.gateway.ctl("clear", "session", "alice.test")
            #expect(cleared.output.contains("cleared 1"))
            #expect(await becomesTrue(within: .seconds(5)) { (try? await alice.sas().isEmpty) == true })
        }
    }

    @Test("RFC 7296 1.3.1: a further Child SA for other traffic stands beside the first and goes alone")
    func furtherChild() async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario)
            let alice = try await road.client(1, "alice.test") {
                $0.remoteSelectors = ["10.20.0.0/25"]
                $0.furtherChildren = ["other": ["10.20.0.128/25"]]
            }
            try await alice.connect()
            let second = try await alice.initiate("other")
            #expect(second.exitCode == 0, "\(second.output)")
            #expect(try await road.session(of: "alice.test").childSAs.count == 2)
            #expect(try await road.reachesHost(alice))
            let gone = try await alice.swanctl(["--terminate", "--child", "other"])
            #expect(gone.exitCode == 0, "\(gone.output)")
            #expect(await becomesTrue(within: .seconds(5)) { (try? await road.session(of: "alice.test").childSAs.count) == 1 })
            #expect(try await road.reachesHost(alice))
        }
    }

    /// Lets a transfer run while the gateway replaces SAs, until its counters say how often; returns those counters.
    private func transfer(
        _ road: Road, _ alice: Charon, until enough: @escaping @Sendable ([String: UInt64]) -> Bool
    ) async throws -> [String: UInt64] {
        let before = try await road.session(of: "alice.test")
        let transfer = try await TCPTransfer.start(
            from: alice.namespace, to: road.host, at: RoadNetwork.hostAddress, bytesPerSecond: 4_000_000)
        #expect(await becomesTrue(within: .seconds(90)) { (try? await road.gateway.counters().ike).map(enough) ?? false })
        let mark = transfer.progress
        #expect(await becomesTrue(within: .seconds(10)) { transfer.progress > mark + 1_000_000 })
        let outcome = try await transfer.finish()
        #expect(outcome.isIntact)
        let after = try await road.session(of: "alice.test")
        #expect(identity(after) == identity(before) && after.childSAs != before.childSAs)
        return try await road.gateway.counters().ike
    }

    @Test(
        "RFC 7296 2.8, threats.md P25: the gateway replaces Child SAs after so many packets; no octet is lost",
        arguments: ["aes128gcm16", "aes128gcm16-x25519"])
    func childByGatewayPackets(esp: String) async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.shortLifetimes = "packets=3000"
            // A group is preferred, and a client without one is served without (features.md X-7).
            settings.ipsecTransforms = [.init("aes128-gcm16", "auth-encryption", pfs: "x25519")]
            let road = try await Road.build(scenario, settings)
            let alice = try await road.client(1, "alice.test") { $0.esp = esp }
            try await alice.connect()
            let counters = try await transfer(road, alice) { $0["child-sas-created", default: 0] >= 4 }
            #expect(counters["ended-dead-peer"] == nil && counters["ike-sas-rekeyed"] == nil)
            #expect(
                await becomesTrue(within: .seconds(10)) { (try? await road.session(of: "alice.test").childSAs.count) == 1 },
                "the old ones are gone")
            #expect(try await road.reachesHost(alice))
            let group = try await alice.sas().first?.children.first?.fields["dh-group"]
            #expect(group == (esp.hasSuffix("x25519") ? "CURVE_25519" : nil))
            _ = try await alice.terminate()
            _ = try await road.gateway.waitForSessions(0)
        }
    }

    @Test("RFC 7296 2.8 and 2.18, IKE-16: the gateway replaces Child SAs and the IKE SA by time; no octet is lost")
    func byGatewayTime() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.shortLifetimes = "ipsec=20,isakmp=27"
            settings.dpd = (interval: 10, maxRetries: 3)
            let road = try await Road.build(scenario, settings)
            let alice = try await road.client(1, "alice.test")
            try await alice.connect()
            let counters = try await transfer(road, alice) {
                $0["child-sas-created", default: 0] >= 2 && $0["ike-sas-rekeyed", default: 0] >= 2
            }
            #expect(counters["ended-lifetime"] == nil && counters["ended-dead-peer"] == nil)
            // The client's own exchanges go on, on an IKE SA that we asked for.
            let rekey = try await alice.swanctl(["--rekey", "--child", CharonConnection.childName])
            #expect(rekey.exitCode == 0, "\(rekey.output)")
            #expect(try await road.reachesHost(alice))
            let ike = try await alice.swanctl(["--rekey", "--ike", "rw"])
            #expect(ike.exitCode == 0, "\(ike.output)")
            #expect(try await road.reachesHost(alice))
            let cleared = try await road.gateway.ctl("clear", "session", "alice.test")
            #expect(cleared.output.contains("cleared 1"))
            #expect(await becomesTrue(within: .seconds(5)) { (try? await alice.sas().isEmpty) == true })
        }
    }

    @Test("RFC 7296 2.8.1 and 2.8.2: both sides replace what they have over and over; no octet is lost")
    func byBothSides() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.shortLifetimes = "packets=1500"
            let road = try await Road.build(scenario, settings)
            let alice = try await road.client(1, "alice.test")
            try await alice.connect()
            let before = try await road.session(of: "alice.test")
            let transfer = try await TCPTransfer.start(
                from: alice.namespace, to: road.host, at: RoadNetwork.hostAddress, bytesPerSecond: 4_000_000)
            for round in 1...8 {
                // What meets an exchange of ours is refused for now, and the client tries again by itself.
                _ = try await alice.swanctl(["--rekey", round % 4 == 0 ? "--ike" : "--child", round % 4 == 0 ? "rw" : CharonConnection.childName])
                let mark = transfer.progress
                #expect(await becomesTrue(within: .seconds(10)) { transfer.progress > mark + 500_000 })
            }
            let outcome = try await transfer.finish()
            #expect(outcome.isIntact)
            let counters = try await road.gateway.counters().ike
            // some of the client's eight are refused for now, and come again after the end
            #expect(counters["child-sas-created", default: 0] > 3 && counters["ended-dead-peer"] == nil, "ours beside the client's")
            #expect(identity(try await road.session(of: "alice.test")) == identity(before))
            #expect(await becomesTrue(within: .seconds(30)) { (try? await road.session(of: "alice.test").childSAs.count) == 1 })
            #expect(try await road.reachesHost(alice))
        }
    }
}

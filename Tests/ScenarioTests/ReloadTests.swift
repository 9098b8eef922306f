import Glibc
import Lab
import Testing

/// A new configuration under a running transfer: a good one counts for new sessions, a broken one for nobody.
///
/// ```
///  alice 198.51.101.2 --+
///                       +-- internet ---- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 host
///  bob   198.51.102.2 --+
/// ```
@Suite(.watched)
struct ReloadTests {
    @Test("reload: the session and its transfer go on; a new client gets the new settings", arguments: ["ipsec-gwctl", "SIGHUP"])
    func goodFile(by means: String) async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.selectors = ["10.20.0.0/24"]
            let road = try await Road.build(scenario, clients: 2, settings)
            let alice = try await road.client(1, "alice.test")
            try await alice.connect()
            let before = try await road.session(of: "alice.test")
            let transfer = try await TCPTransfer.start(
                from: alice.namespace, to: road.host, at: RoadNetwork.hostAddress, bytesPerSecond: 4_000_000)
            #expect(await becomesTrue(within: .seconds(5)) { transfer.progress > 200_000 })

            settings.selectors = ["10.20.0.0/25"]
            try road.gateway.rewrite(settings)
            if means == "SIGHUP" {
                road.gateway.process.signal(SIGHUP)
                try await Task.sleep(for: .seconds(1))
            } else {
                let reload = try await road.gateway.ctl("reload")
                #expect(reload.exitCode == 0, "\(reload.output)")
            }
            let mark = transfer.progress
            #expect(await becomesTrue(within: .seconds(5)) { transfer.progress > mark + 1_000_000 })
            #expect(try await road.session(of: "alice.test").id == before.id)

            let bob = try await road.client(2, "bob.test")
            #expect(try await bob.connect().children.first?.remoteSelectors == ["10.20.0.0/25"])
            #expect(try await alice.sas().first?.children.first?.remoteSelectors == ["10.20.0.0/24"])
            let outcome = try await transfer.finish()
            #expect(outcome.isIntact && outcome.octets > 1_200_000)
        }
    }

    @Test("reload: five of them under transfers both ways: not a packet is lost, and the session keeps its SAs and counters")
    func nothingLost() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            let road = try await Road.build(scenario, settings)
            let alice = try await road.client(1, "alice.test")
            let address = try #require(try await alice.connect().virtualAddresses.first)
            let before = try await road.session(of: "alice.test")
            let up = try await TCPTransfer.start(
                from: alice.namespace, to: road.host, at: RoadNetwork.hostAddress, seed: 1, bytesPerSecond: 1_000_000)
            let down = try await TCPTransfer.start(from: road.host, to: alice.namespace, at: address, seed: 2, bytesPerSecond: 1_000_000)
            async let datagrams = Ping.run(from: alice.namespace, to: RoadNetwork.hostAddress, count: 40)
            for round in 1...5 {
                settings.dpd = (interval: 30 + round, maxRetries: 3)
                settings.selectors = round % 2 == 0 ? [] : ["10.20.0.0/25"]
                settings.ipMTU = 1400 - round
                try road.gateway.rewrite(settings)
                let reload = try await road.gateway.ctl("reload")
                #expect(reload.exitCode == 0, "\(reload.output)")
                let (upMark, downMark) = (up.progress, down.progress)
                #expect(await becomesTrue(within: .seconds(10)) { up.progress > upMark + 300_000 && down.progress > downMark + 300_000 })
            }
            let answered = try await datagrams
            #expect(answered.isComplete, "\(answered.output)")
            #expect(try await up.finish().isIntact)
            #expect(try await down.finish().isIntact)
            let after = try await road.session(of: "alice.test")
            #expect(after.id == before.id && after.childSAs == before.childSAs && after.innerAddresses == before.innerAddresses)
            #expect(after.established == before.established && after.octetsIn >= 1_500_000 && after.octetsOut >= 1_500_000)
            // the kernel solicits routers on the private interface, where no session listens
            let drops = try await road.gateway.counters().drops.filter { $0.value > 0 && $0.key != "no-route" }
            #expect(drops.isEmpty, "\(drops)")
        }
    }

    @Test(
        "reload: other algorithms, groups and lifetimes hold from the next rekey on, whoever asks for it; not an octet is lost",
        arguments: ["client", "gateway"])
    func nextRekey(by side: String) async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.ikeTransforms = [.init("aes128-gcm16", "auth-encryption", "sha-256", "x25519")]
            settings.ipsecTransforms = [.init("aes128-gcm16", "auth-encryption")]
            settings.ipsecLifetime = 3600
            if side == "gateway" { settings.shortLifetimes = "packets=3000" }
            let road = try await Road.build(scenario, settings)
            let alice = try await road.client(1, "alice.test") {
                $0.ike = "aes128gcm16-prfsha256-x25519,aes256gcm16-prfsha256-ecp256"
                $0.esp = "aes128gcm16,aes256gcm16"
            }
            try await alice.connect()
            let before = try await road.session(of: "alice.test")
            let transfer = try await TCPTransfer.start(
                from: alice.namespace, to: road.host, at: RoadNetwork.hostAddress, bytesPerSecond: 4_000_000)
            #expect(await becomesTrue(within: .seconds(10)) { transfer.progress > 200_000 })

            settings.ikeTransforms = [.init("aes256-gcm16", "auth-encryption", "sha-256", "group-19")]
            settings.ipsecTransforms = [.init("aes256-gcm16", "auth-encryption")]
            settings.ipsecLifetime = 1500
            try road.gateway.rewrite(settings)
            let standing = try #require(try await road.gateway.sas().first)
            #expect(standing.encryption == "aes128-gcm16" && standing.children.map(\.encryption) == ["aes128-gcm16"])
            let reload = try await road.gateway.ctl("reload")
            #expect(reload.exitCode == 0, "\(reload.output)")
            if side == "client" {
                let untouched = try #require(try await road.gateway.sas().first)
                #expect(untouched.children.map(\.inboundSPI) == standing.children.map(\.inboundSPI))
                #expect(try #require(untouched.children.first?.remainingSeconds) > 1500)
                let rekey = try await alice.swanctl(["--rekey", "--child", CharonConnection.childName])
                #expect(rekey.exitCode == 0, "\(rekey.output)")
            }
            let replaced = try await eventually(within: .seconds(30)) {
                let children = try await road.gateway.sas().first?.children ?? []
                return children.map(\.encryption) == ["aes256-gcm16"] ? children[0] : nil
            }
            #expect(try #require(replaced?.remainingSeconds, "replaced, and the old one gone") <= 1500)
            let encryption = try await alice.sas().first?.children.last?.fields["encr-keysize"]
            #expect(encryption == "256")

            let ike = try await alice.swanctl(["--rekey", "--ike", "rw"])
            #expect(ike.exitCode == 0, "\(ike.output)")
            let renewed = try await eventually(within: .seconds(10)) {
                try await road.gateway.sas().first { $0.encryption == "aes256-gcm16" && $0.keyExchange == "group-19" }
            }
            #expect(renewed != nil)
            let mark = transfer.progress
            #expect(await becomesTrue(within: .seconds(10)) { transfer.progress > mark + 1_000_000 })
            #expect(try await transfer.finish().isIntact)
            let after = try await road.session(of: "alice.test")
            #expect(after.id == before.id && after.innerAddresses == before.innerAddresses)
            #expect(try await road.gateway.counters().ike["ended-configuration"] == nil)
        }
    }

    @Test("reload: a gateway that is gone says goodbye to its clients, and to them alone; its address and name come back with the next reload")
    func removedGateway() async throws {
        try await Scenario.run { scenario in
            let network = try await RoadNetwork.build(scenario, clients: 2)
            try await network.gateway.ip("address add 192.0.2.3/24 dev wan")
            var settings = GatewaySettings()
            settings.beside = GatewaySettings.Beside("beside", address: "192.0.2.3", interface: "priv1")
            let gateway = try await GatewayProcess.start(scenario, in: network.gateway, settings)
            let road = Road(scenario: scenario, network: network, gateway: gateway)
            let alice = try await road.client(1, "alice.test")
            let bob = try await road.client(2, "bob.test") { $0.remoteAddress = "192.0.2.3" }
            try await alice.connect()
            try await bob.connect()
            let before = try await road.session(of: "alice.test")
            let transfer = try await TCPTransfer.start(
                from: alice.namespace, to: road.host, at: RoadNetwork.hostAddress, bytesPerSecond: 1_000_000)

            settings.beside?.isEnabled = false
            try gateway.rewrite(settings)
            let reload = try await gateway.ctl("reload")
            #expect(reload.exitCode == 0, "\(reload.output)")
            #expect(try await gateway.waitForSessions(1).map(\.id) == [before.id])
            #expect(await becomesTrue(within: .seconds(5)) { (try? await bob.sas().isEmpty) == true }, "a Delete")
            #expect(try await gateway.counters().ike["ended-configuration"] == 1)
            #expect(await road.logs("bob.test", "configuration"))

            settings.beside?.isEnabled = true
            try gateway.rewrite(settings)
            #expect(try await gateway.ctl("reload").exitCode == 0)
            try await bob.connect()
            #expect(try await transfer.finish().isIntact)
            #expect(try await road.session(of: "alice.test").id == before.id)
        }
    }

    @Test("reload: another gateway-address waits for a restart, and says so; clients find the gateway where it was")
    func movedGateway() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            let road = try await Road.build(scenario, clients: 2, settings)
            let alice = try await road.client(1, "alice.test")
            try await alice.connect()
            let before = try await road.session(of: "alice.test")
            settings.gatewayAddress = "192.0.2.9"
            settings.selectors = ["10.20.0.0/25"]
            try road.gateway.rewrite(settings)
            let reload = try await road.gateway.ctl("reload")
            #expect(reload.exitCode == 0 && reload.output.contains("ipsec-gateway.rw.local.gateway-address: takes effect after a restart"))
            #expect(try await road.session(of: "alice.test").id == before.id)
            #expect(try await road.reachesHost(alice))
            let bob = try await road.client(2, "bob.test")
            #expect(try await bob.connect().children.first?.remoteSelectors == ["10.20.0.0/25"], "with its other new settings")
        }
    }

    @Test("reload: a broken file is refused with file, line and key, and changes nothing")
    func brokenFile() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.selectors = ["10.20.0.0/24"]
            let road = try await Road.build(scenario, clients: 2, settings)
            let alice = try await road.client(1, "alice.test")
            try await alice.connect()
            let before = try await road.session(of: "alice.test")
            let transfer = try await TCPTransfer.start(
                from: alice.namespace, to: road.host, at: RoadNetwork.hostAddress, bytesPerSecond: 4_000_000)

            settings.selectors = ["10.20.0.0/25"]
            settings.psk = "another text, which must not count"
            settings.dpd = (interval: 7, maxRetries: 99)
            try road.gateway.rewrite(settings)
            let reload = try await road.gateway.ctl("reload")
            #expect(reload.exitCode == 1)
            #expect(reload.output.contains("ipsec-gw.yaml:") && reload.output.contains("dpd.interval"), "\(reload.output)")
            #expect(reload.output.contains("dpd.max-retries"), "all problems at once: \(reload.output)")
            #expect(!reload.output.contains(settings.psk))

            let mark = transfer.progress
            #expect(await becomesTrue(within: .seconds(5)) { transfer.progress > mark + 1_000_000 })
            #expect(try await road.session(of: "alice.test").id == before.id)
            let bob = try await road.client(2, "bob.test")
            #expect(try await bob.connect().children.first?.remoteSelectors == ["10.20.0.0/24"])
            #expect(try await transfer.finish().isIntact)
        }
    }
}

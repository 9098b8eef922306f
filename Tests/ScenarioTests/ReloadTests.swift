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

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

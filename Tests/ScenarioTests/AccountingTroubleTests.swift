import Lab
import Testing

/// Accounting records that cannot go out, or not even be kept.
///
/// ```
///  client1..2 198.51.101.2, .102.2 ---- internet ---- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 FreeRADIUS
/// ```
@Suite(.watched)
struct AccountingTroubleTests {
    private static let password = AAARoad.password

    @Test("I3: the accounting spool fills: an alarm at 80 %, at 100 % no login is let in and the operator is told; the session that stands goes on")
    func threat_I3_spoolFull() async throws {
        try await Scenario.run(slots: 2) { scenario in
            let names = (0..<64).map { "c\($0)@load.test" }
            let aaa = try await AAARoad.build(
                scenario, clients: 2, .init("alice.test", password: GatewaySettings.psk)
            ) {
                $0.authentication = ["auth-method: psk-radius"]
                $0.radius?.servers[0].accountingPort = 1  // nobody is there
                $0.radius?.spool = (size: "1MiB", whenFull: "refuse-logins")
            } server: {
                $0.users += names.map { .init($0, password: GatewaySettings.psk) }
            }
            let alice = try await aaa.client(1, withoutEAP: "alice.test", byCertificate: false) { $0.remoteAuth = "psk" }
            try await alice.connect()
            let filling = try await scenario.run(
                [
                    try Programs.path("ipsec-load"), "setup", "--yes-this-is-my-gateway", "--gateway", RoadNetwork.gatewayAddress, "--psk",
                    GatewaySettings.psk, "--remote-id", "gw.test", "--id", "c%n@load.test", "--clients", "64", "--rate", "60", "--for", "40s",
                ], in: aaa.road.network.clients[1], timeout: .seconds(90))
            let spool = try #require(try await aaa.gateway.radius().spool)
            #expect(spool.state == "full" && spool.octets < (1 << 20) + 65_536 && spool.records > 1000, "\(spool) \(filling.output)")
            for event in ["accounting-spool-high", "accounting-spool-full"] { #expect(await aaa.road.logs(event), "\(event)") }
            #expect(await aaa.road.logs("event=refused", "spool"))
            // who is in stays in
            #expect(try await aaa.road.reachesHost(alice))
            #expect(try await aaa.gateway.sessions().contains { $0.name == "alice.test" })
        }
    }

    @Test("I3: the disk is full: tunnels go on, logins are refused in plain words; with room again everything that was owed arrives")
    func threat_I3_diskFull() async throws {
        try await Scenario.run { scenario in
            let folder = "\(scenario.folder)/gw-small"
            let state = "\(folder)/state"
            _ = try await scenario.run(["/bin/mkdir", "-p", state]).required()
            _ = try await scenario.run(["/bin/mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "lab", state]).required()
            scenario.atEnd { _ = try? await scenario.run(["/bin/umount", "-l", state]) }
            let aaa = try await AAARoad.build(
                scenario, clients: 2, folder: folder, .init("alice", password: Self.password), .init("bob", password: Self.password))
            let alice = try await aaa.client(1, "alice")
            try await alice.connect()
            try await aaa.server.waitForAccounting { !$0.of("Start").isEmpty }

            _ = try await scenario.run(["/bin/dd", "if=/dev/zero", "of=\(state)/filler", "bs=4096"])
            let bob = try await aaa.client(2, "bob")
            #expect(try await !bob.initiate().succeeded)
            #expect(await aaa.road.logs("event=refused", "bob", "stored"))
            #expect(try await aaa.road.reachesHost(alice))
            try await alice.terminate()
            #expect(await becomesTrue(within: .seconds(10)) { !aaa.road.logLines(with: "accounting-not-stored").isEmpty })
            #expect(try await aaa.gateway.radius().spool?.state == "failing")

            _ = try await scenario.run(["/bin/rm", "\(state)/filler"]).required()
            let records = try await aaa.server.waitForAccounting(timeout: .seconds(30)) { !$0.of("Stop").isEmpty }
            #expect(records.of("Stop").map(\.userName) == ["alice"])
            // the store is tried again every few seconds
            #expect(try await becomesTrue(within: .seconds(30), every: .seconds(1)) { try await bob.initiate().succeeded })
            #expect(try await aaa.road.reachesHost(bob))
            #expect(try await aaa.gateway.radius().spool?.state == "normal")
        }
    }

    @Test("X-3: Framed-Pool names a pool of ours; Framed-IP-Address 255.255.255.255 and .254 leave the choice to the client and to us")
    func x_3_framedPool() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(
                scenario, clients: 2, .init("alice", password: Self.password, "Framed-Pool = \"all\"", "Framed-IP-Address = 255.255.255.255"),
                .init("bob", password: Self.password, "Framed-Pool = \"rw/all\"", "Framed-IP-Address = 255.255.255.254"),
                .init("carol", password: Self.password, "Framed-Pool = \"none\"")
            ) { $0.assignsIPv4 = false }
            let alice = try await aaa.client(1, "alice") { $0.virtualAddresses = ["10.99.0.123"] }
            #expect(try await alice.connect().virtualAddresses == ["10.99.0.123"])
            let bob = try await aaa.client(2, "bob") { $0.virtualAddresses = ["10.99.0.124"] }
            let chosen = try await bob.connect().virtualAddresses
            #expect(chosen.count == 1 && chosen != ["10.99.0.124"] && chosen[0].hasPrefix("10.99.0."), "\(chosen)")
            await bob.killNow()
            let carol = try await aaa.client(2, "carol")
            #expect(try await !carol.initiate().succeeded)
            #expect(await aaa.road.logs("name=carol", "the pool none"))
        }
    }
}

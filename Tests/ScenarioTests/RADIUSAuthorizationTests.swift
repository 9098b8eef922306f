import Lab
import Testing

/// What an Access-Accept says about a session, and what becomes of it; logins by PSK and certificate that RADIUS has to allow.
///
/// ```
///  alice 198.51.101.2 --+                                    +-- 10.20.0.2 FreeRADIUS, and a host
///                       +-- internet ---- 192.0.2.1 gateway -+
///  bob   198.51.102.2 --+            priv0 10.99.0.1/24      +-- 10.20.0.3 another host
///                                    priv1 10.97.0.1/24
/// ```
@Suite(.watched)
struct RADIUSAuthorizationTests {
    private static let password = AAARoad.password

    /// psk-radius or cert-radius.
    struct Mode: Sendable, CustomTestStringConvertible {
        let byCertificate: Bool
        /// The policy's password; nil: the client's PSK is sent.
        let password: String?
        /// RAD-2: the client's PSK comes before the policy's password.
        var sent: String { byCertificate ? password ?? "" : GatewaySettings.psk }
        var authentication: [String] {
            byCertificate ? ["auth-method: cert-radius", "own-auth-method: cert"] : ["auth-method: psk-radius", "own-auth-method: cert"]
        }
        var testDescription: String { (byCertificate ? "cert-radius" : "psk-radius") + (password == nil ? "" : " with the policy's password") }
    }

    static let modes = [
        Mode(byCertificate: false, password: nil), Mode(byCertificate: false, password: "the policy's"),
        Mode(byCertificate: true, password: "the policy's"),
    ]

    @Test("AUTH-3, RAD-2: after PSK or certificate RADIUS has the last word: accepted, then another who is rejected", arguments: modes)
    func auth_3_modes(_ mode: Mode) async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, clients: 2, .init("alice.test", password: mode.sent, "Class = \"staff\"")) {
                $0.authentication = mode.authentication
                $0.radius?.password = mode.password
            }
            let alice = try await aaa.client(1, withoutEAP: "alice.test", byCertificate: mode.byCertificate)
            try await alice.connect()
            #expect(try await aaa.road.reachesHost(alice))
            let session = try await aaa.session(named: "alice.test")
            #expect(session.identity == "alice.test" && session.authorization?.classes == ["staff"])
            let request = try #require(try aaa.server.exchanges("Access-Request").first)
            #expect(request["User-Name"] == "alice.test" && request["EAP-Message"] == nil && request["Service-Type"] == "Framed-User")
            #expect(request["Acct-Session-Id"] == session.acctSessionId)

            let bob = try await aaa.client(2, withoutEAP: "bob.test", byCertificate: mode.byCertificate)
            let refused = try await bob.initiate()
            #expect(
                !refused.succeeded && (refused.output.contains("AUTH_FAILED") || refused.output.contains("AUTHENTICATION_FAILED")),
                "\(refused.output)")
            #expect(await aaa.road.logs("event=refused", "bob.test"))
            #expect(try await aaa.gateway.waitForSessions(1).first?.name == "alice.test")
            #expect(try await aaa.server.waitForAccounting { !$0.of("Start").isEmpty }.of("Start").map(\.userName) == ["alice.test"])
        }
    }

    @Test("AUTH-3: a wrong PSK is refused before RADIUS hears of it")
    func auth_3_wrongPSK() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, .init("alice.test", password: GatewaySettings.psk)) {
                $0.authentication = Self.modes[0].authentication
            }
            let alice = try await aaa.client(1, withoutEAP: "alice.test", byCertificate: false) { $0.psk = "not the text of the lab" }
            #expect(try await !alice.initiate().succeeded)
            #expect(try aaa.server.exchanges().isEmpty)
        }
    }

    @Test(
        "X-4, C12: an Accept without Message-Authenticator counts for nothing, is counted and named; require: false takes it",
        arguments: [true, false])
    func threat_C12_messageAuthenticator(isRequired: Bool) async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, .init("alice.test", password: GatewaySettings.psk)) {
                $0.authentication = Self.modes[0].authentication
                $0.radius?.servers[0].requiresMessageAuthenticator = isRequired
            } server: {
                $0.hasMessageAuthenticatorLines = false
            }
            let alice = try await aaa.client(1, withoutEAP: "alice.test", byCertificate: false)
            let login = try await alice.initiate()
            #expect(login.succeeded == !isRequired, "\(login.output)")
            let drops = try #require(try await aaa.gateway.radius().server("radius-1")).drops.values.reduce(0, +)
            #expect((drops > 0) == isRequired)
            if isRequired {
                #expect(await aaa.road.logs("radius-reply-dropped", "message-authenticator"))
            } else {
                #expect(aaa.road.logLines(with: "radius-reply-dropped").isEmpty)
            }
            #expect(try await aaa.gateway.sessions().count == (isRequired ? 0 : 1))
        }
    }

    @Test("RAD-5: every attribute of the Child SA, the service and the names acts, and is seen in ipsec-gwctl sessions")
    func rad_5_attributes() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(
                scenario,
                .init(
                    "alice", password: Self.password, "Alc-IPsec-Serv-Id = 7", "Alc-IPsec-Interface = \"priv1\"", "Alc-IPsec-Tunnel-Template-Id = 2",
                    "Alc-IPsec-SA-Lifetime = 1200", "Alc-IPsec-SA-PFS-Group = group14", "Alc-IPsec-SA-Encr-Algorithm = aes256",
                    "Alc-IPsec-SA-Auth-Algorithm = sha256", "Alc-IPsec-SA-Replay-Window = 1024", "Framed-IP-Address = 10.97.0.77",
                    "Framed-IP-Netmask = 255.255.255.255", "Alc-Primary-Dns = 10.20.0.53", "Alc-Secondary-Dns = 10.20.0.54", "Session-Timeout = 7200",
                    "Idle-Timeout = 600", "Acct-Interim-Interval = 300", "Class = \"staff\"", "Class += 0x00ff00", "Port-Limit = 3")
            ) {
                $0.assignsIPv4 = false
                $0.furtherServices = [(name: "office", id: 7, interface: "priv1", address: "10.97.0.1/24")]
                $0.furtherTemplates = [2: ["ip-mtu: 1300"]]
            }
            var settings = Charon.Settings()
            settings.takesNameServers = true
            let client = try await aaa.client(1, "alice", settings: settings) { $0.esp = "aes128gcm16,aes256-sha256-modp2048,aes256-sha256" }
            let sa = try await client.connect()
            #expect(sa.virtualAddresses == ["10.97.0.77"])
            #expect(sa.children.first?.encryption == "AES_CBC-256" && sa.children.first?.integrity == "HMAC_SHA2_256_128")
            #expect(await becomesTrue(within: .seconds(3)) { client.nameServers().count == 2 })
            #expect(Set(client.nameServers()) == ["10.20.0.53", "10.20.0.54"])
            #expect(try await aaa.road.reachesHost(client))

            let session = try await aaa.session(named: "alice")
            #expect(session.service == "office" && session.interface == "priv1" && session.template == 2 && session.innerAddresses == ["10.97.0.77"])
            let said = try #require(session.authorization)
            #expect(said.server == "radius-1" && said.classes == ["staff", "0x00ff00"])
            #expect(said.sessionTimeoutSeconds == 7200 && said.idleTimeoutSeconds == 600 && said.interimIntervalSeconds == 300 && said.portLimit == 3)
            #expect(
                said.lifetimeSeconds == 1200 && said.pfsGroup == "group-14" && said.replayWindow == 1024 && said.dns == ["10.20.0.53", "10.20.0.54"])
            let child = try #require(try await aaa.gateway.sas().first { $0.session == session.id }?.children.first)
            #expect(child.encryption == "aes-256" && child.integrity == "sha-256" && child.replay.window == 1024)
            #expect((1100...1200).contains(child.remainingSeconds ?? 0), "\(child)")
            // the template's ip-mtu
            #expect(try await Ping.run(from: aaa.host, to: "10.97.0.77", count: 1, size: 1300, fragmentation: .forbidden).isComplete)
            #expect(try await !Ping.run(from: aaa.host, to: "10.97.0.77", count: 1, size: 1320, fragmentation: .forbidden).isAnswered)
            #expect(try await aaa.gateway.ctl("sessions", session.id).required().contains("office"))
            // PFS: the next Child SA has a key exchange of the group that the server named
            _ = try await client.swanctl(["--rekey", "--child", "net"])
            #expect(
                try await becomesTrue(within: .seconds(10)) {
                    try await client.sas().first?.children.contains { $0.fields["dh-group"] == "MODP_2048" } == true
                })
        }
    }

    @Test(
        "RAD-5: what cannot be followed refuses the login: an unknown service, interface or template, an algorithm that nobody has",
        arguments: [
            "Alc-IPsec-Serv-Id = 99", "Alc-IPsec-Interface = \"nowhere\"", "Alc-IPsec-Tunnel-Template-Id = 99", "Alc-IPsec-SA-Encr-Algorithm = 200",
            "Filter-Id = \"unheard\"", "Framed-IP-Address = 224.0.0.1",
            "Framed-Route = \"198.51.101.0/24 0.0.0.0 1\"",
        ])
    func rad_5_refused(_ attribute: String) async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, .init("alice", password: Self.password, attribute)) {
                // a pool would suppress the address, and with it the refusal
                if attribute.hasPrefix("Framed-IP") { $0.assignsIPv4 = false }
            }
            #expect(try await !aaa.client(1, "alice").initiate().succeeded)
            #expect(try await becomesTrue(within: .seconds(5)) { try await aaa.gateway.sessions().isEmpty })
            #expect(await aaa.road.logs("event=refused", "alice"))
            #expect(try aaa.server.accounting().of("Start").isEmpty)
        }
    }

    @Test(
        "RAD-5, ADDR-12: Framed-IP-Address and an IPv6 address, by Framed-IPv6-Prefix of 128 bits and by Framed-IPv6-Address",
        arguments: [
            "Framed-IPv6-Prefix = 2001:db8:99::77/128", "Framed-IPv6-Address = 2001:db8:99::77",
        ])
    func addr_12_bothFamilies(_ attribute: String) async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(
                scenario, ipv6: true,
                .init("alice", password: Self.password, "Framed-IP-Address = 10.99.0.77", attribute, "Alc-Ipv6-Primary-Dns = 2001:db8:20::53")
            ) {
                $0.assignsIPv4 = false
                $0.hasIPv6Interface = true
            }
            let client = try await aaa.client(1, "alice") {
                $0.virtualAddresses = ["0.0.0.0", "::"]
                $0.remoteSelectors = [RoadNetwork.lan, RoadNetwork.lan6]
            }
            let sa = try await client.connect()
            #expect(Set(sa.virtualAddresses) == ["10.99.0.77", "2001:db8:99::77"])
            #expect(try await aaa.road.reachesHost(client))
            #expect(try await aaa.road.reachesHost6(client))
            #expect(try await aaa.session(named: "alice").authorization?.dns == ["2001:db8:20::53"])
            let start = try await aaa.server.waitForAccounting { !$0.of("Start").isEmpty }.of("Start")[0]
            #expect(start["Framed-IP-Address"] == "10.99.0.77" && start["Framed-IPv6-Prefix"] == "2001:db8:99::77/128")
        }
    }

    @Test("RAD-5, V6-3: a Framed-IPv6-Prefix that leaves the host part to us, or to Framed-Interface-Id; Framed-IP-Netmask; two IPv6 DNS servers")
    func v6_3_prefix() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(
                scenario, clients: 2, ipv6: true,
                .init(
                    "alice", password: Self.password, "Framed-IP-Address = 10.99.0.77", "Framed-IP-Netmask = 255.255.255.0",
                    "Framed-IPv6-Prefix = 2001:db8:99::/64", "Framed-Interface-Id = 0:0:0:4242", "Alc-Ipv6-Primary-Dns = 2001:db8:20::53",
                    "Alc-Ipv6-Secondary-Dns = 2001:db8:20::54"),
                .init("bob", password: Self.password, "Framed-IP-Address = 10.99.0.78", "Framed-IPv6-Prefix = 2001:db8:99:0:8000::/65")
            ) {
                $0.assignsIPv4 = false
                $0.hasIPv6Interface = true
            }
            func connect(_ number: Int, _ name: String) async throws -> Charon {
                let client = try await aaa.client(number, name) {
                    $0.virtualAddresses = ["0.0.0.0", "::"]
                    $0.remoteSelectors = [RoadNetwork.lan, RoadNetwork.lan6]
                }
                try await client.connect()
                #expect(try await aaa.road.reachesHost6(client))
                return client
            }
            _ = try await connect(1, "alice")
            let alice = try await aaa.session(named: "alice")
            #expect(alice.innerAddresses == ["10.99.0.77", "2001:db8:99::4242"])
            #expect(alice.authorization?.netmask == "255.255.255.0" && alice.authorization?.dns == ["2001:db8:20::53", "2001:db8:20::54"])
            _ = try await connect(2, "bob")
            let bob = try await aaa.session(named: "bob")
            let parts = bob.innerAddresses.last?.split(separator: ":", omittingEmptySubsequences: false) ?? []
            #expect(bob.innerAddresses.count == 2 && parts.prefix(4) == ["2001", "db8", "99", "0"], "\(bob.innerAddresses)")
            #expect(parts.count > 4 && UInt16(parts[4], radix: 16) ?? 0 >= 0x8000, "the bit of the prefix that is ours stays")
        }
    }

    @Test("ADDR-2, ADDR-3: a pool of ours suppresses Framed-IP-Address; the rest is honoured, and accounting says what was assigned")
    func addr_3_suppressed() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(
                scenario, .init("alice", password: Self.password, "Framed-IP-Address = 10.99.0.77", "Class = \"staff\"", "Session-Timeout = 7200")
            ) { $0.pool = (first: "10.99.0.10", last: "10.99.0.20") }
            let client = try await aaa.client(1, "alice")
            let address = try #require(try await client.connect().virtualAddresses.first)
            #expect(address.hasPrefix("10.99.0.") && address != "10.99.0.77")
            let session = try await aaa.session(named: "alice")
            #expect(session.authorization?.classes == ["staff"] && session.authorization?.sessionTimeoutSeconds == 7200)
            #expect(try await aaa.server.waitForAccounting { !$0.of("Start").isEmpty }.of("Start")[0]["Framed-IP-Address"] == address)
            let disconnected = try await aaa.server.request(
                .disconnect, ["NAS-Port-Id = \"\(GatewayRADIUSSettings.nasPortID)\"", "Framed-IP-Address = \(address)", "Alc-IPsec-Serv-Id = 1"])
            #expect(disconnected?.isAcknowledged == true, "\(String(describing: disconnected))")
            try await aaa.gateway.waitForSessions(0)
        }
    }

    @Test("X-8: an address that another has, and one outside of every private prefix, are refused with INTERNAL_ADDRESS_FAILURE")
    func x_8_refused() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(
                scenario, clients: 2, .init("alice", password: Self.password, "Framed-IP-Address = 10.99.0.77"),
                .init("bob", password: Self.password, "Framed-IP-Address = 10.99.0.77"),
                .init("carol", password: Self.password, "Framed-IP-Address = 10.50.0.1")
            ) { $0.assignsIPv4 = false }
            let alice = try await aaa.client(1, "alice")
            #expect(try await alice.connect().virtualAddresses == ["10.99.0.77"])
            for name in ["bob", "carol"] {
                let other = try await aaa.client(2, name)
                let refused = try await other.initiate()
                #expect(!refused.succeeded)
                #expect(refused.output.contains("INT_ADDR_FAIL") || refused.output.contains("INTERNAL_ADDRESS_FAILURE"), "\(name): \(refused.output)")
                #expect(await aaa.road.logs("name=\(name)", "the RADIUS server gave"))
                await other.killNow()
            }
            #expect(try await becomesTrue(within: .seconds(5)) { try await aaa.gateway.sessions().map(\.name) == ["alice"] })
            #expect(try await aaa.road.reachesHost(alice))
            #expect(try aaa.server.accounting().of("Start").count == 1)
        }
    }

    @Test("X-8: the same name and IDi from a new address takes its Framed-IP-Address over while the old SA still stands; the Stop comes first")
    func x_8_roaming() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, clients: 2, .init("alice", password: Self.password, "Framed-IP-Address = 10.99.0.77")) {
                $0.assignsIPv4 = false
            }
            let before = try await aaa.client(1, "alice", idi: "phone.test") { $0.unique = "never" }
            try await before.connect()
            let old = try await aaa.session(named: "alice")
            // it is out of reach, and nobody has noticed yet
            try await aaa.road.network.clients[0].ip("link set eth0 down")
            let after = try await aaa.client(2, "alice", idi: "phone.test") { $0.unique = "never" }
            #expect(try await after.connect().virtualAddresses == ["10.99.0.77"])
            #expect(try await aaa.road.reachesHost(after))
            let session = try await aaa.session(named: "alice")
            #expect(session.id != old.id && session.remote.hasPrefix("198.51.102.2:"))
            let records = try await aaa.server.waitForAccounting { $0.of("Start").count == 2 && $0.of("Stop").count == 1 }
            #expect(records.filter { $0.kind != "Accounting-On" }.map(\.kind) == ["Start", "Stop", "Start"])
            #expect(records.of("Stop")[0].session == old.acctSessionId && records.of("Stop")[0].cause == "NAS-Request")
            #expect(records.of("Start").last?.session == session.acctSessionId)
        }
    }

    @Test("RAD-5, X-3: Class with its template and ts-list decides what a user reaches")
    func x_3_classDecides() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(
                scenario, clients: 2, .init("alice", password: Self.password, "Class = \"staff\""),
                .init("bob", password: Self.password, "Class = \"guests\"", "Alc-IPsec-Tunnel-Template-Id = 2", "Filter-Id = \"printers\"")
            ) {
                $0.selectors = [RoadNetwork.lan]
                $0.furtherTemplates = [2: ["ip-mtu: 1300"]]
                $0.furtherLists = ["printers": ["\(AAARoad.secondAddress)/32"]]
            }
            let alice = try await aaa.client(1, "alice")
            #expect(try await alice.connect().children.first?.remoteSelectors == [RoadNetwork.lan])
            let bob = try await aaa.client(2, "bob")
            #expect(try await bob.connect().children.first?.remoteSelectors == ["\(AAARoad.secondAddress)/32"])
            #expect(try await Ping.run(from: alice.namespace, to: RoadNetwork.hostAddress).isComplete)
            #expect(try await Ping.run(from: alice.namespace, to: AAARoad.secondAddress).isComplete)
            #expect(try await Ping.run(from: bob.namespace, to: AAARoad.secondAddress).isComplete)
            #expect(try await !Ping.run(from: bob.namespace, to: RoadNetwork.hostAddress, count: 1).isAnswered)
            let session = try await aaa.session(named: "bob")
            #expect(session.template == 2 && session.authorization?.classes == ["guests"] && session.authorization?.filter == "printers")
        }
    }

    @Test("X-3: Framed-Route: the network behind a client is in TSi and in the gateway's routes, and gone with the session")
    func x_3_framedRoute() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, .init("alice", password: Self.password, "Framed-Route = \"10.30.0.0/24 0.0.0.0 1\""))
            try await aaa.road.network.clients[0].ip("address add 10.30.0.1/24 dev lo")
            let client = try await aaa.client(1, "alice") { $0.localSelectors = ["dynamic", "10.30.0.0/24"] }
            let child = try #require(try await client.connect().children.first)
            #expect(child.localSelectors.contains("10.30.0.0/24"), "\(child.localSelectors)")
            #expect(try await aaa.session(named: "alice").authorization?.routes == ["10.30.0.0/24"])
            #expect(try await aaa.gateway.routes().contains { $0.contains("10.30.0.0/24") })
            #expect(try await Ping.run(from: aaa.host, to: "10.30.0.1").isComplete)
            try await client.terminate()
            try await aaa.gateway.waitForSessions(0)
            #expect(try await !aaa.gateway.routes().contains { $0.contains("10.30.0.0/24") })
        }
    }

    @Test("X-3: Port-Limit overrides max-sessions-per-user: with 1 the second device is refused, where the gateway would allow four")
    func x_3_portLimit() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, clients: 2, .init("alice", password: Self.password, "Port-Limit = 1")) {
                $0.sessionLimit = (count: 4, action: "reject")
            }
            let phone = try await aaa.client(1, "alice")
            try await phone.connect()
            let laptop = try await aaa.client(2, "alice")
            #expect(try await !laptop.initiate().succeeded)
            #expect(try await aaa.session(named: "alice").identity == "device-1.test")
            #expect(try await aaa.road.reachesHost(phone))
        }
    }

    @Test("X-3: Session-Timeout ends the session when it is over, traffic or not")
    func x_3_sessionTimeout() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, .init("alice", password: Self.password, "Session-Timeout = 6"))
            let client = try await aaa.client(1, "alice")
            try await client.connect()
            #expect(try await aaa.road.reachesHost(client))
            #expect(try await becomesTrue(within: .seconds(10)) { try await client.sas().isEmpty })
            let stop = try await aaa.server.waitForAccounting { !$0.of("Stop").isEmpty }.of("Stop")[0]
            #expect(stop.cause == "Session-Timeout" && (5...8).contains(stop.seconds ?? 0), "\(stop.record)")
        }
    }

    @Test("X-3: Idle-Timeout ends a session through which nothing passes; one with traffic lives on")
    func x_3_idleTimeout() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(
                scenario, clients: 2, .init("alice", password: Self.password, "Idle-Timeout = 5"),
                .init("bob", password: Self.password, "Idle-Timeout = 5"))
            let alice = try await aaa.client(1, "alice")
            let bob = try await aaa.client(2, "bob")
            try await alice.connect()
            try await bob.connect()
            async let traffic = bob.namespace.run("/usr/bin/ping -n -i 1 -c 12 \(RoadNetwork.hostAddress)", timeout: .seconds(30))
            #expect(try await becomesTrue(within: .seconds(12)) { try await alice.sas().isEmpty })
            #expect(try await traffic.output.contains("12 received"))
            #expect(try await aaa.gateway.sessions().map(\.name) == ["bob"])
            let stop = try await aaa.server.waitForAccounting { !$0.of("Stop").isEmpty }.of("Stop")[0]
            #expect(stop.userName == "alice" && stop.cause == "Idle-Timeout")
        }
    }
}

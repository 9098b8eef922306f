import GatewayTesting
import Lab
import PKI
import Testing

/// Logins by EAP with strongSwan and FreeRADIUS: every method, whose name counts, and who is refused.
///
/// ```
///  alice 198.51.101.2 --+
///                       +-- internet ---- 192.0.2.1 gateway gw.test 10.20.0.1 ---- 10.20.0.2 FreeRADIUS, and what alice reaches
///  carol 198.51.102.2 --+
/// ```
@Suite(.watched)
struct EAPLoginTests {
    private static let alice = FreeRADIUSSettings.User("alice", password: AAARoad.password, "Class = \"staff\"")

    @Test("AUTH-4, AUTH-6, X-1: each method logs in under the EAP identity, which is not IDi, and traffic passes", arguments: EAPMethod.all)
    func auth_4_methods(_ method: EAPMethod) async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, Self.alice) {
                if !method.isKeying { $0.authentication.append("allow-non-keying-eap: true") }
            } server: {
                $0.firstInnerEAPMethod = method.inner
            }
            let client = try await aaa.client(1, "alice", by: method)
            let sa = try await client.connect()
            #expect(sa.remoteIdentity == "gw.test")
            #expect(try await aaa.road.reachesHost(client))
            let session = try await aaa.session(named: "alice")
            #expect(session.identity == "device-1.test" && session.innerAddresses == sa.virtualAddresses)
            #expect(session.authorization?.server == "radius-1" && session.authorization?.classes == ["staff"])

            // RAD-1 to RAD-4, X-4: as the server saw it
            let requests = try aaa.server.exchanges("Access-Request")
            #expect(requests.count >= 2)
            for request in requests {
                #expect(request.attributes.first { !$0.name.hasPrefix("Packet-") }?.name == "Message-Authenticator", "\(request)")
                #expect(request["User-Name"] == "alice" && request["EAP-Message"] != nil && request["User-Password"] == nil)
                #expect(request["Service-Type"] == "Framed-User" && request["NAS-Port-Type"] == "Virtual" && request["Framed-MTU"] != nil)
                #expect(request["NAS-Identifier"] == GatewayRADIUSSettings.nasIdentifier && request["NAS-Port-Id"] == GatewayRADIUSSettings.nasPortID)
                #expect(request["NAS-IP-Address"] == RoadNetwork.gatewayAddress && request["Called-Station-Id"] == RoadNetwork.gatewayAddress)
                #expect(request["Calling-Station-Id"]?.hasPrefix("198.51.101.2:") == true)
                #expect(request["Acct-Session-Id"] == session.acctSessionId && session.acctSessionId.hasPrefix("192.0.2.1-198.51.101.2:"))
            }
            #expect(requests.dropFirst().allSatisfy { $0["State"] != nil } && requests.first?["State"] == nil)
            try await client.terminate()
            try await aaa.gateway.waitForSessions(0)
            #expect(try await aaa.gateway.radius().conversations == 0)
        }
    }

    @Test(
        "X-1: an RFC822 IDi is the EAP identity without a question; `request` asks all the same, and `idi` asks nobody",
        arguments: ["auto", "request", "idi"])
    func x_1_identity(_ mode: String) async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, .init("alice@example.test", password: AAARoad.password)) {
                $0.authentication.append("eap-identity: \(mode)")
            }
            let client = try await aaa.client(1, "alice@example.test", idi: "alice@example.test")
            let login = try await client.initiate()
            #expect(login.succeeded, "\(login.output)")
            #expect(login.output.contains("EAP/REQ/ID") == (mode == "request"), "\(login.output)")
            #expect(try await aaa.session(named: "alice@example.test").identity == "alice@example.test")
            #expect(try aaa.server.exchanges("Access-Request").allSatisfy { $0["User-Name"] == "alice@example.test" })
        }
    }

    @Test(
        "a wrong password is refused with AUTHENTICATION_FAILED, one line and no record; the right one comes in after it",
        arguments: EAPMethod.all.filter { !$0.isByCertificate })
    func rad_12_wrongPassword(_ method: EAPMethod) async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, Self.alice) {
                if !method.isKeying { $0.authentication.append("allow-non-keying-eap: true") }
            } server: {
                $0.firstInnerEAPMethod = method.inner
            }
            let client = try await aaa.client(1, "alice", password: "not hers", by: method)
            let refused = try await client.initiate()
            #expect(!refused.succeeded)
            #expect(
                refused.output.contains("EAP/FAIL") || refused.output.contains("AUTH_FAILED") || refused.output.contains("AUTHENTICATION_FAILED"),
                "\(refused.output)")
            #expect(try aaa.server.exchanges("Access-Reject").count == 1)
            #expect(try await aaa.gateway.sessions().isEmpty)
            #expect(try await aaa.gateway.pools().map(\.used) == [0])
            #expect(await aaa.road.logs("event=refused", "device-1.test"))
            #expect(aaa.road.logLines(with: "event=refused", "device-1.test").count == 1)
            #expect(!aaa.gateway.process.output.contains("not hers") && !aaa.gateway.process.output.contains(FreeRADIUSSettings.secret))

            var right = CharonConnection()
            right.remoteAuth = "pubkey"
            method.apply(to: &right, identity: "alice", password: AAARoad.password, idi: "device-1.test")
            try await client.load([right])
            try await client.connect()
            #expect(try await aaa.road.reachesHost(client))
            #expect(try await aaa.server.waitForAccounting { !$0.of("Start").isEmpty }.of("Start").count == 1)
        }
    }

    @Test("RAD-12: a user who is shut out is refused; Reply-Message is in the log")
    func rad_12_replyMessage() async throws {
        try await Scenario.run { scenario in
            let users = "mallory\tAuth-Type := Reject\n\tReply-Message = \"The account is closed.\"\n"
            let aaa = try await AAARoad.build(scenario, server: { $0.usersFile = users })
            #expect(try await !aaa.client(1, "mallory").initiate().succeeded)
            #expect(await aaa.road.logs("mallory", "The account is closed."))
            #expect(try await aaa.gateway.sessions().isEmpty)
        }
    }

    @Test("AUTH-6, P15: EAP-MD5 without allow-non-keying-eap is refused, though the server accepts it")
    func threat_P15_nonKeying() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, Self.alice, server: { $0.firstEAPMethod = "md5" })
            let refused = try await aaa.client(1, "alice", by: .md5).initiate()
            #expect(!refused.succeeded)
            #expect(try await aaa.gateway.sessions().isEmpty)
            #expect(await aaa.road.logs("event=refused", "key"))
        }
    }

    @Test(
        "AUTH-5, RFC 5998: own-auth-method eap-only: the gateway shows neither AUTH nor certificate, and is proved by the MSK",
        arguments: [EAPMethod.tls, .ttlsMSCHAPv2])
    func auth_5_eapOnly(_ method: EAPMethod) async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, Self.alice) {
                $0.authentication = ["auth-method: eap", "own-auth-method: eap-only"]
            } server: {
                $0.firstInnerEAPMethod = method.inner
            }
            let client = try await aaa.client(1, "alice", by: method) { $0.remoteAuth = method.auth }
            let login = try await client.initiate()
            #expect(login.succeeded, "\(login.output)")
            #expect(login.output.contains("parsed IKE_AUTH response 1 [ IDr EAP/REQ"), "\(login.output)")
            #expect(try await aaa.road.reachesHost(client))
            #expect(try await aaa.session(named: "alice").identity == "device-1.test")
        }
    }

    @Test(
        "AUTH-5, P16: EAP alone is not for a client that wants a certificate of the gateway, nor with methods that prove one side",
        arguments: ["not wanted", "eap-mschapv2", "eap-md5"])
    func threat_P16_eapOnly(_ what: String) async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, Self.alice) {
                $0.authentication = ["auth-method: eap", "own-auth-method: eap-only", "allow-non-keying-eap: true"]
            }
            let method = what == "eap-mschapv2" ? EAPMethod.mschapv2 : what == "eap-md5" ? .md5 : .tls
            let client = try await aaa.client(1, "alice", by: method) { if what != "not wanted" { $0.remoteAuth = what } }
            let refused = try await client.initiate()
            #expect(!refused.succeeded)
            if what == "not wanted" {
                // strongSwan offers it always, and refuses afterwards if it is not content
                #expect(refused.output.contains("AUTH_FAILED") || refused.output.contains("AUTHENTICATION_FAILED"), "\(refused.output)")
            }
            #expect(try await aaa.gateway.sessions().isEmpty)
            let words = what == "not wanted" ? ["event=closed", "authentication failed"] : ["event=refused", "its EAP-Response is refused: EAP-M"]
            #expect(await aaa.road.logs(words[0], words[1]))
        }
    }

    @Test("P17: the name that counts is Access-Accept's User-Name, else the EAP identity; IDi raises no rights")
    func threat_P17_names() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(
                scenario, clients: 2, .init("alice", password: AAARoad.password, "User-Name := \"a.smith\"", "Class = \"staff\""),
                .init("carol", password: AAARoad.password, "Class = \"guests\""), .init("dave", password: "another", "Class = \"admins\"")
            ) {
                $0.authentication.append("eap-identity: request")
            }
            let alice = try await aaa.client(1, "alice")
            try await alice.connect()
            #expect(try await aaa.session(named: "a.smith").authorization?.classes == ["staff"])
            // carol says that she is dave, to IKE alone
            let carol = try await aaa.client(2, "carol", idi: "dave")
            try await carol.connect()
            let session = try await aaa.session(named: "carol")
            #expect(session.identity == "dave" && session.authorization?.classes == ["guests"])
            let starts = try await aaa.server.waitForAccounting { $0.of("Start").count == 2 }.of("Start")
            #expect(Set(starts.map(\.userName)) == ["a.smith", "carol"])
        }
    }

    @Test("AUTH-5: EAP clients of a gateway that proves itself by PSK")
    func auth_5_ownPSK() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, Self.alice) { $0.authentication = ["auth-method: eap", "own-auth-method: psk"] }
            let client = try await aaa.client(1, "alice") { $0.remoteAuth = "psk" }
            try await client.connect()
            #expect(try await aaa.road.reachesHost(client))
            let stranger = try await aaa.session(named: "alice")
            #expect(stranger.authorization?.server == "radius-1")
        }
    }

    @Test("AUTH-7: auto-eap-radius: EAP, PSK and certificate clients on one gateway at once, each asked of RADIUS")
    func auth_7_auto() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(
                scenario, clients: 3, Self.alice,
                .init("bob.test", password: GatewaySettings.psk, checks: ["EAP-Message !* 0x00"], "Class = \"psk\""),
                .init("carol.test", password: "the policy's", checks: ["EAP-Message !* 0x00"], "Class = \"cert\"")
            ) {
                $0.authentication = [
                    "auth-method: auto-eap-radius", "own-auth-method: cert", "auto-eap-method: psk-or-cert", "own-auto-eap-method: cert",
                ]
                $0.radius?.password = "the policy's"
            }
            let clients = [
                try await aaa.client(1, "alice"), try await aaa.client(2, withoutEAP: "bob.test", byCertificate: false),
                try await aaa.client(3, withoutEAP: "carol.test", byCertificate: true),
            ]
            for client in clients {
                try await client.connect()
                #expect(try await aaa.road.reachesHost(client))
            }
            let sessions = try await aaa.gateway.waitForSessions(3)
            #expect(
                Set(sessions.map { "\($0.name) \($0.authorization?.classes ?? [])" }) == [
                    "alice [\"staff\"]", "bob.test [\"psk\"]", "carol.test [\"cert\"]",
                ])
        }
    }

    @Test("AUTH-8: auto-eap: EAP clients are asked of RADIUS and accounted for, a PSK client on the same gateway is neither")
    func auth_8_auto() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, clients: 2, Self.alice) {
                $0.authentication = ["auth-method: auto-eap", "own-auth-method: cert", "auto-eap-method: psk", "own-auto-eap-method: cert"]
            }
            let clients = [
                try await aaa.client(1, "alice"), try await aaa.client(2, withoutEAP: "bob.test", byCertificate: false),
            ]
            for client in clients {
                try await client.connect()
                #expect(try await aaa.road.reachesHost(client))
            }
            #expect(Set(try await aaa.gateway.waitForSessions(2).map(\.name)) == ["alice", "bob.test"])
            for client in clients { try await client.terminate() }
            let records = try await aaa.server.waitForAccounting { !$0.of("Stop").isEmpty }
            #expect(records.map(\.userName).filter { $0 != nil } == ["alice", "alice"])
            #expect(try aaa.server.exchanges("Access-Request").allSatisfy { $0["User-Name"] == "alice" })
        }
    }

    @Test("RFC 3579 section 3.1, RFC 7383: EAP packets of 2,500 octets travel in ten EAP-Messages and in fragments of IKE, both ways")
    func largeEAP() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(scenario, Self.alice, server: { $0.eapFragmentSize = 2500 })
            var settings = Charon.Settings()
            settings.eapFragmentSize = 2500
            let charon = try await Charon.start(scenario, in: aaa.road.network.clients[0], settings: settings)
            try charon.trust(aaa.authority.root.certificate.pem)
            var connection = CharonConnection()
            connection.remoteAuth = "pubkey"
            _ = try aaa.authority.install(try aaa.authority.largeClient("alice"), at: charon)
            EAPMethod.tls.apply(to: &connection, identity: "alice", password: "", idi: "device-1.test")
            try await charon.load([connection])
            let login = try await charon.initiate()
            #expect(login.succeeded, "\(login.output)")
            #expect(login.output.contains("splitting IKE message"), "\(login.output)")
            #expect(try aaa.server.exchanges("Access-Request").contains { $0.eapLength ?? 0 > 2200 })
            #expect(try await aaa.road.reachesHost(charon))
        }
    }
}

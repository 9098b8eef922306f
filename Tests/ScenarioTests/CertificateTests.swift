import Foundation
import GatewayTesting
import Lab
import PKI
import Testing

/// Logins by certificate with strongSwan: every kind of key, either side by certificate, and all that must be refused.
///
/// ```
///  alice 198.51.101.2 --+                        root CA
///                       +-- internet ---- 192.0.2.1 gateway gw.test 10.20.0.1 ---- 10.20.0.2 host
///  bob   198.51.102.2 --+
/// ```
@Suite(.watched)
struct CertificateTests {
    /// A kind of key with how strongSwan is to sign, and whether our side signs by PSS.
    struct Kind: Sendable, CustomTestStringConvertible {
        let name: String
        let key: IssuingKey.Kind
        var auth = "pubkey"
        var pss = false
        var testDescription: String { name }
    }

    static let kinds = [
        Kind(name: "RSA", key: .rsa(bits: 2048), auth: "ike:rsa/pkcs1"), Kind(name: "RSA-PSS", key: .rsa(bits: 3072), auth: "ike:rsa/pss", pss: true),
        Kind(name: "ECDSA P-256", key: .ecP256), Kind(name: "ECDSA P-384", key: .ecP384), Kind(name: "Ed25519", key: .ed25519),
    ]

    /// A client with a certificate, not connected yet.
    private func client(
        _ road: Road, _ identity: String?, _ certificate: TestCertificate, of authority: LabCertificates, number: Int = 1,
        _ change: (inout CharonConnection) -> Void = { _ in }
    ) async throws -> Charon {
        let charon = try await Charon.start(road.scenario, in: road.network.clients[number - 1])
        var connection = CharonConnection()
        connection.identity = identity
        (connection.localAuth, connection.remoteAuth) = ("pubkey", "pubkey")
        connection.certificate = try authority.install(certificate, at: charon)
        change(&connection)
        try await charon.load([connection])
        return charon
    }

    private func settings(_ certificates: GatewaySettings.Certificates, _ authentication: String...) -> GatewaySettings {
        var settings = GatewaySettings()
        settings.certificates = certificates
        settings.authentication = authentication.isEmpty ? ["auth-method: cert"] : authentication
        return settings
    }

    @Test("AUTH-2: both sides by certificate, every kind of key; the name is the SAN's", arguments: kinds)
    func auth_2_kinds(_ kind: Kind) async throws {
        try await Scenario.run { scenario in
            let authority = try LabCertificates(scenario)
            var own = try authority.gateway(kind: kind.key)
            own.signsByPSS = kind.pss
            let road = try await Road.build(scenario, settings(own))
            let charon = try await client(road, "alice@example.test", authority.client("alice@example.test", kind: kind.key), of: authority) {
                $0.localAuth = kind.auth
            }
            let sa = try await charon.connect()
            #expect(sa.remoteIdentity == "gw.test")
            #expect(try await road.reachesHost(charon))
            #expect(try await road.session(of: "alice@example.test").packetsIn >= 3)
            #expect(await road.logs("client authenticated", "method=cert"))
            try await charon.terminate()
            try await road.gateway.waitForSessions(0)
        }
    }

    @Test("AUTH-9: the two sides may differ: PSK there and certificate here, and the reverse", arguments: [true, false])
    func auth_9_mixed(clientByPSK: Bool) async throws {
        try await Scenario.run { scenario in
            let authority = try LabCertificates(scenario)
            let road = try await Road.build(
                scenario,
                settings(
                    try authority.gateway(), clientByPSK ? "auth-method: psk" : "auth-method: cert",
                    clientByPSK ? "own-auth-method: cert" : "own-auth-method: psk"))
            let charon = try await client(road, "alice.test", authority.client("alice.test"), of: authority) {
                if clientByPSK { $0.localAuth = "psk" } else { $0.remoteAuth = "psk" }
            }
            try await charon.connect()
            #expect(try await road.reachesHost(charon))
        }
    }

    @Test("AUTH-8: PSK and certificate clients on one gateway at once; the gateway shows its certificate to both")
    func auth_8_both() async throws {
        try await Scenario.run { scenario in
            let authority = try LabCertificates(scenario)
            let road = try await Road.build(
                scenario, clients: 3,
                settings(try authority.gateway(), "auth-method: auto-eap", "auto-eap-method: psk-or-cert", "own-auto-eap-method: cert"))
            let alice = try await client(road, "alice.test", authority.client("alice.test"), of: authority)
            let bob = try await client(road, "bob.test", authority.client("bob.test"), of: authority, number: 2) { $0.localAuth = "psk" }
            try await alice.connect()
            try await bob.connect()
            #expect(try await road.gateway.waitForSessions(2).count == 2)
            #expect(try await road.reachesHost(alice))
            #expect(try await road.reachesHost(bob))

            // P36: whoever has the group's key may call itself alice, with INITIAL_CONTACT, and pushes nobody out
            let before = try await road.session(of: "alice.test").id
            let mallory = try await client(road, "alice.test", authority.client("mallory.test"), of: authority, number: 3) { $0.localAuth = "psk" }
            try await mallory.connect()
            let sessions = try await road.gateway.waitForSessions(3)
            #expect(sessions.filter { $0.identity == "alice.test" }.count == 2 && sessions.contains { $0.id == before })
            #expect(try await road.reachesHost(alice))
        }
    }

    @Test("AUTH-2: without an id of its own the gateway has the name that the client asks for, else its certificate's subject")
    func auth_2_ownIdentity() async throws {
        try await Scenario.run { scenario in
            let authority = try LabCertificates(scenario)
            var settings = settings(try authority.gateway())
            settings.hasAutomaticIdentity = true
            let road = try await Road.build(scenario, clients: 2, settings)
            let alice = try await client(road, "alice.test", authority.client("alice.test"), of: authority)
            #expect(try await alice.connect().remoteIdentity == "gw.test")
            // strongSwan without an id is known by its certificate's subject
            let bob = try await client(road, nil, authority.client("bob.test"), of: authority, number: 2) { $0.remoteIdentity = "" }
            try await bob.connect()
            #expect(try await bob.swanctl(["--list-sas"]).output.contains("remote 'O=Test, CN=gw.test'"))
            #expect(try await road.gateway.sessions().contains { $0.identity.contains("CN=bob.test") })
            #expect(try await road.gateway.ctl("gateways").output.contains("CN=gw.test"))
        }
    }

    @Test("AUTH-11: intermediate CAs on both sides; the client sends its own, the gateway its send-chain")
    func auth_11_intermediates() async throws {
        try await Scenario.run { scenario in
            let authority = try LabCertificates(scenario, intermediate: true)
            let road = try await Road.build(scenario, settings(try authority.gateway()))
            let charon = try await client(road, "alice.test", authority.client("alice.test"), of: authority)
            try await charon.connect()
            #expect(try await road.reachesHost(charon))
        }
    }

    /// What is wrong with a client's certificate, and what the log says of it.
    struct Fault: Sendable, CustomTestStringConvertible {
        let name: String
        let cause: String
        var identity = "mallory.test"
        var foreign = false
        var change: @Sendable (inout TestCA.Options) -> Void = { _ in }
        var testDescription: String { name }
    }

    static let faults = [
        Fault(name: "wrong CA", cause: "no trust anchor issued it", foreign: true),
        Fault(name: "wrong identity", cause: "is not in its certificate", identity: "alice.test"),
        Fault(name: "expired", cause: "expired") { $0.notAfter = $0.notBefore + .seconds(3600) },
        Fault(name: "not yet valid", cause: "not yet valid") { $0.notBefore = $0.notAfter + .seconds(-3600) },
        Fault(name: "wrong EKU", cause: "ExtendedKeyUsage") { $0.extendedKeyUsage = [.serverAuthentication] },
        Fault(name: "no digitalSignature", cause: "KeyUsage") { $0.keyUsage = [.keyEncipherment] },
        Fault(name: "a hundred SANs, none of them its own", cause: "is not in its certificate", identity: "alice.test") {
            $0.names = (0..<100).map { .dns("n\($0).example.test") }
        },
    ]

    @Test("threats C8, P18: a certificate that must be refused is, with one plain cause in the log; a good one comes in after it", arguments: faults)
    func threat_C8_refused(_ fault: Fault) async throws {
        try await Scenario.run { scenario in
            let authority = try LabCertificates(scenario)
            let other = try LabCertificates(scenario, "Other")
            let road = try await Road.build(scenario, clients: 2, settings(try authority.gateway()))
            let issuer = fault.foreign ? other : authority
            let certificate = try issuer.client("mallory.test", fault.change)
            // strongSwan would not even use some of these by itself
            let charon = try await client(road, fault.identity, certificate, of: issuer)
            try charon.trust(authority.root.certificate.pem)
            var connection = CharonConnection()
            connection.identity = fault.identity
            (connection.localAuth, connection.remoteAuth) = ("pubkey", "pubkey")
            connection.certificate = try authority.install(certificate, at: charon)
            try await charon.load([connection])
            let result = try await charon.initiate()
            #expect(!result.succeeded)
            #expect(result.output.contains("AUTHENTICATION_FAILED"), "\(result.output)")
            #expect(await road.logs("client refused", fault.cause), "\(road.logLines(with: "refused"))")
            #expect(try await road.gateway.sessions().isEmpty)

            let good = try await client(road, "bob.test", authority.client("bob.test"), of: authority, number: 2)
            try await good.connect()
        }
    }

    @Test("a client without a certificate, and one that wants EAP, are told AUTHENTICATION_FAILED; the log says what to set")
    func auth_8_others() async throws {
        try await Scenario.run { scenario in
            let authority = try LabCertificates(scenario)
            let road = try await Road.build(scenario, clients: 2, settings(try authority.gateway()))
            let psk = try await client(road, "alice.test", authority.client("alice.test"), of: authority) { $0.localAuth = "psk" }
            #expect(try await psk.initiate().output.contains("AUTHENTICATION_FAILED"))
            #expect(await road.logs("client refused", "takes a certificate"))
            #expect(try await road.gateway.sessions().isEmpty)
        }
    }

    @Test("RFC 7383: certificates that need fragments, both families", arguments: [false, true])
    func rfc_7383_largeCertificates(ipv6: Bool) async throws {
        try await Scenario.run { scenario in
            let authority = try LabCertificates(scenario, kind: .rsa(bits: 4096))
            let large: (inout TestCA.Options) -> Void = { options in
                options.names += (0..<60).map { .dns("another-name-\($0).gateway.example.test") }
            }
            var settings = settings(try authority.gateway(kind: .rsa(bits: 4096), large))
            if ipv6 { settings.gatewayAddress = RoadNetwork.gatewayAddress6 }
            let road = try await Road.build(scenario, ipv6: ipv6, settings)
            let certificate = try authority.client("alice.test", kind: .rsa(bits: 4096), large)
            let charon = try await client(road, "alice.test", certificate, of: authority) {
                if ipv6 { $0.remoteAddress = RoadNetwork.gatewayAddress6 }
            }
            let login = try await charon.initiate()
            try #require(login.succeeded, "\(login.output)")
            #expect(login.output.contains("splitting IKE message"), "\(login.output)")
            #expect(login.output.contains("parsed IKE_AUTH response 1 [ EF(1/"), "\(login.output)")
            #expect(try await road.reachesHost(charon))
        }
    }

    @Test("reload: a certificate replaced on disk counts for the next login; the session and its transfer go on")
    func reload_certificate() async throws {
        try await Scenario.run { scenario in
            let authority = try LabCertificates(scenario)
            let own = try authority.gateway()
            let road = try await Road.build(scenario, clients: 2, settings(own))
            let alice = try await client(road, "alice.test", authority.client("alice.test"), of: authority)
            try await alice.connect()
            let before = try await road.session(of: "alice.test")
            let transfer = try await TCPTransfer.start(
                from: alice.namespace, to: road.host, at: RoadNetwork.hostAddress, bytesPerSecond: 4_000_000)

            // another CA, which bob trusts, and a broken key in between
            let next = try LabCertificates(scenario, "Next")
            let fresh = try next.issuer.endEntity("gw.test") {
                $0.valid()
                $0.names = [.dns("gw.test")]
                $0.extendedKeyUsage = [.serverAuthentication]
            }
            let files = try next.write(fresh, "fresh")
            try String(contentsOfFile: files.certificate, encoding: .utf8).write(toFile: own.certificate, atomically: true, encoding: .utf8)
            let broken = try await road.gateway.ctl("reload")
            #expect(broken.exitCode == 1)
            #expect(broken.output.contains("does not belong to the certificate"), "\(broken.output)")
            try String(contentsOfFile: files.key, encoding: .utf8).write(toFile: own.key, atomically: true, encoding: .utf8)
            let reload = try await road.gateway.ctl("reload")
            #expect(reload.exitCode == 0, "\(reload.output)")

            let bob = try await client(road, "bob.test", authority.client("bob.test"), of: authority, number: 2)
            let refused = try await bob.initiate()
            #expect(!refused.succeeded, "bob does not trust the new CA yet")
            try bob.trust(next.root.certificate.pem)
            var connection = CharonConnection()
            connection.identity = "bob.test"
            (connection.localAuth, connection.remoteAuth) = ("pubkey", "pubkey")
            connection.certificate = try authority.install(authority.client("bob.test"), at: bob)
            try await bob.load([connection])
            try await bob.connect()

            let mark = transfer.progress
            #expect(await becomesTrue(within: .seconds(5)) { transfer.progress > mark + 1_000_000 })
            #expect(try await road.session(of: "alice.test").id == before.id)
            #expect(try await transfer.finish().isIntact)
        }
    }
}

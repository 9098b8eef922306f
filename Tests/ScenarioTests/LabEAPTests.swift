import GatewayTesting
import Lab
import PKI
import Testing

/// The lab's clients by EAP against strongSwan as the gateway, which asks FreeRADIUS: when these fail, EAP scenarios of ours say nothing.
///
/// ```
///  client 198.51.101.2 ---- internet ---- 192.0.2.1 strongSwan 10.20.0.1 ---- 10.20.0.2 FreeRADIUS
/// ```
@Suite(.watched)
struct LabEAPTests {
    @Test("a strongSwan client logs in by each method; accounting and a Disconnect-Request reach both ends", arguments: EAPMethod.all)
    func methods(_ method: EAPMethod) async throws {
        try await Scenario.run { scenario in
            let network = try await RoadNetwork.build(scenario)
            let authority = try LabCertificates(scenario)
            var settings = FreeRADIUSSettings(.init("alice", password: "alice's password", "Framed-IP-Address = 10.99.0.77", "Class = \"staff\""))
            settings.certificates = try authority.radius()
            settings.firstInnerEAPMethod = method.inner
            let server = try await FreeRADIUS.start(scenario, in: network.host, settings)
            let gateway = try await Self.gateway(scenario, network, authority, settings)
            let client = try await Self.client(scenario, network, authority, method)
            let sa = try await client.connect()
            #expect(sa.virtualAddresses == ["10.99.0.77"])
            #expect(try await Ping.run(from: network.clients[0], to: RoadNetwork.hostAddress).isComplete)

            let requests = try server.exchanges("Access-Request")
            #expect(requests.count > 1 && requests.allSatisfy { $0["User-Name"] == "alice" && $0["EAP-Message"] != nil }, "\(requests)")
            #expect(try server.exchanges("Access-Accept").last?["User-Name"] == "alice")
            let start = try await server.waitForAccounting { $0.of("Start").count == 1 }[0]
            #expect(start["Framed-IP-Address"] == "10.99.0.77")

            #expect(try await server.request(.disconnect, ["User-Name = \"nobody\""])?.isAcknowledged == false)
            #expect(try await server.request(.disconnect, ["User-Name = \"alice\""], secret: "another", timeout: 1) == nil)
            #expect(try await server.request(.disconnect, ["User-Name = \"alice\""])?.isAcknowledged == true)
            #expect(try await becomesTrue(within: .seconds(5)) { try await client.sas().isEmpty })
            let stop = try await server.waitForAccounting { $0.of("Stop").count == 1 }.of("Stop")[0]
            #expect(stop.session == start.session && (stop.octetsIn ?? 0) >= 3 * 84)
            try await gateway.load([])
        }
    }

    @Test("a wrong password is refused by each method that has one", arguments: EAPMethod.all.filter { !$0.isByCertificate })
    func wrongPassword(_ method: EAPMethod) async throws {
        try await Scenario.run { scenario in
            let network = try await RoadNetwork.build(scenario)
            let authority = try LabCertificates(scenario)
            var settings = FreeRADIUSSettings(.init("alice", password: "alice's password"))
            settings.certificates = try authority.radius()
            settings.firstInnerEAPMethod = method.inner
            let server = try await FreeRADIUS.start(scenario, in: network.host, settings)
            _ = try await Self.gateway(scenario, network, authority, settings)
            let client = try await Self.client(scenario, network, authority, method, password: "wrong")
            let result = try await client.initiate()
            #expect(!result.succeeded)
            #expect(try server.exchanges("Access-Reject").count == 1)
        }
    }

    @Test("RFC 5998: EAP-TLS alone, without a proof of the gateway before it; and not where the client wants one", arguments: [true, false])
    func eapOnly(isTaken: Bool) async throws {
        try await Scenario.run { scenario in
            let network = try await RoadNetwork.build(scenario)
            let authority = try LabCertificates(scenario)
            var settings = FreeRADIUSSettings(.init("alice", password: nil, "Framed-IP-Address = 10.99.0.77"))
            settings.certificates = try authority.radius()
            _ = try await FreeRADIUS.start(scenario, in: network.host, settings)
            _ = try await Self.gateway(scenario, network, authority, settings) { $0.localAuth = "eap-tls" }
            let client = try await Self.client(scenario, network, authority, .tls) { if isTaken { $0.remoteAuth = "eap-tls" } }
            #expect(try await client.initiate().succeeded == isTaken)
        }
    }

    @Test("EAP packets of 2,500 octets, from a certificate with many names; and a server that goes deaf after the first request")
    func largeAndDeaf() async throws {
        try await Scenario.run { scenario in
            let network = try await RoadNetwork.build(scenario)
            let authority = try LabCertificates(scenario)
            var settings = FreeRADIUSSettings(.init("alice", password: nil, "Framed-IP-Address = 10.99.0.77"))
            settings.certificates = try authority.radius()
            settings.eapFragmentSize = 2500
            let server = try await FreeRADIUS.start(scenario, in: network.host, settings)
            _ = try await Self.gateway(scenario, network, authority, settings)
            var own = Charon.Settings()
            own.eapFragmentSize = 2500
            let client = try await Self.client(scenario, network, authority, .tls, settings: own)
            let login = try await client.initiate()
            #expect(login.succeeded && login.output.contains("splitting IKE message"), "\(login.output)")
            #expect(try server.exchanges("Access-Request").contains { $0.eapLength ?? 0 > 2200 })
            try await client.terminate()

            let before = try server.exchanges("Access-Challenge").count
            try await server.goesDeaf(after: 1)
            _ = try await client.initiate(timeout: .seconds(5))
            #expect(try server.exchanges("Access-Challenge").count == before + 1)
        }
    }

    private static func gateway(
        _ scenario: Scenario, _ network: RoadNetwork, _ authority: LabCertificates, _ server: FreeRADIUSSettings,
        _ change: (inout CharonConnection) -> Void = { _ in }
    ) async throws -> Charon {
        var settings = Charon.Settings()
        settings.radius = server
        let charon = try await Charon.start(scenario, in: network.gateway, settings: settings)
        var connection = CharonConnection()
        connection.role = .responder(pool: "radius")
        connection.identity = "gw.test"
        connection.remoteIdentity = ""
        (connection.localAuth, connection.remoteAuth) = ("pubkey", "eap-radius")
        connection.certificate = try authority.install(
            try authority.issuer.endEntity("gw.test") {
                $0.valid()
                $0.names = [.dns("gw.test")]
                $0.extendedKeyUsage = [.serverAuthentication]
            }, at: charon)
        connection.unique = "never"
        change(&connection)
        try await charon.load([connection])
        return charon
    }

    private static func client(
        _ scenario: Scenario, _ network: RoadNetwork, _ authority: LabCertificates, _ method: EAPMethod, password: String = "alice's password",
        settings: Charon.Settings = .init(), _ change: (inout CharonConnection) -> Void = { _ in }
    ) async throws -> Charon {
        let charon = try await Charon.start(scenario, in: network.clients[0], settings: settings)
        var connection = CharonConnection()
        connection.remoteAuth = "pubkey"
        try charon.trust(authority.root.certificate.pem)
        if method.isByCertificate {
            let certificate = try settings.eapFragmentSize == nil ? authority.client("alice") : authority.largeClient("alice")
            // TLS takes the one that says it is the EAP identity
            _ = try authority.install(certificate, at: charon)
        }
        method.apply(to: &connection, identity: "alice", password: password, idi: "device.test")
        change(&connection)
        try await charon.load([connection])
        return charon
    }
}

import Foundation
import Lab
import PKI
import Testing

/// Our own client by certificate against our own gateway.
///
/// ```
///  ipsec-load 198.51.101.2 ---- internet ---- 192.0.2.1 gateway gw.test 10.20.0.1 ---- 10.20.0.2 host
/// ```
@Suite(.watched)
struct OwnClientCertificateTests {
    struct Kind: Sendable, CustomTestStringConvertible {
        let name: String
        let key: IssuingKey.Kind
        var options: [String] = []
        var testDescription: String { name }
    }

    static let kinds = [
        Kind(name: "RSA in fragments", key: .rsa(bits: 4096)), Kind(name: "RSA-PSS", key: .rsa(bits: 2048), options: ["--pss"]),
        Kind(name: "ECDSA P-521", key: .ecP521), Kind(name: "Ed25519", key: .ed25519),
        Kind(name: "method 9", key: .ecP256, options: ["--no-rfc7427", "--signature", "method9"]),
    ]

    private func words(_ authority: LabCertificates, _ made: TestCertificateFiles, _ command: String, ca: String? = nil) -> [String] {
        [
            command, "--yes-this-is-my-gateway", "--gateway", RoadNetwork.gatewayAddress, "--cert", made.certificate, "--key", made.key, "--ca",
            ca ?? authority.rootFile, "--remote-id", "gw.test",
        ]
    }

    private typealias TestCertificateFiles = (certificate: String, key: String)

    private func settings(_ certificates: GatewaySettings.Certificates) -> GatewaySettings {
        var settings = GatewaySettings()
        settings.certificates = certificates
        settings.authentication = ["auth-method: cert"]
        return settings
    }

    @Test("AUTH-2: ipsec-load connect by certificate, every kind of key", arguments: kinds)
    func auth_2_connect(_ kind: Kind) async throws {
        try await Scenario.run { scenario in
            let authority = try LabCertificates(scenario)
            let road = try await Road.build(scenario, settings(try authority.gateway(kind: kind.key)))
            let made = try authority.write(authority.client("carol@example.test", kind: kind.key), "carol")
            let load = try await road.network.clients[0].start(
                "ipsec-load",
                [try Programs.path("ipsec-load")] + words(authority, made, "connect") + kind.options + [
                    "--id", "carol@example.test", "--tun", "rw0", "--route", RoadNetwork.lan,
                ])
            _ = try await load.waitForLine(containing: "connected inner=")
            #expect(try await Ping.run(from: road.network.clients[0], to: RoadNetwork.hostAddress).isComplete)
            #expect(await road.logs("client authenticated", "method=cert"))
            load.signal(SIGTERM)
            #expect(try await load.wait(timeout: .seconds(10)) == .exited(0))
            try await road.gateway.waitForSessions(0)
        }
    }

    @Test("P18: ipsec-load does not believe a gateway of another CA; the gateway hears of it")
    func threat_P18_wrongCA() async throws {
        try await Scenario.run { scenario in
            let authority = try LabCertificates(scenario)
            let road = try await Road.build(scenario, settings(try authority.gateway()))
            let made = try authority.write(authority.client("carol@example.test"), "carol")
            let other = try LabCertificates(scenario, "Other")
            let load = try await road.network.clients[0].start(
                "ipsec-load",
                [try Programs.path("ipsec-load")] + words(authority, made, "connect", ca: other.rootFile) + ["--id", "carol@example.test"])
            #expect(try await load.wait(timeout: .seconds(20)) == .exited(1))
            #expect(load.output.contains("no trust anchor issued it"), "\(load.output)")
            try await road.gateway.waitForSessions(0)
        }
    }

    private struct Outcome: Decodable {
        let started: Int
        let established: Int
        let failed: Int
        let perSecond: Double
        let p50Milliseconds: Double?
        let p99Milliseconds: Double?
    }

    @Test("ipsec-load setup by certificate: all logins are done and counted", arguments: [IssuingKey.Kind.ecP256, .rsa(bits: 2048)])
    func setup(_ kind: IssuingKey.Kind) async throws {
        try await Scenario.run(slots: 2) { scenario in
            let authority = try LabCertificates(scenario)
            let road = try await Road.build(scenario, settings(try authority.gateway(kind: kind)))
            // More than are at it together even where the disk takes a second for the first grants: logins begin whether or not others have ended
            for number in 0..<40 { _ = try authority.write(authority.client("load\(number).test", kind: kind), "load\(number)") }
            let made = (certificate: "\(scenario.folder)/load%n.pem", key: "\(scenario.folder)/load%n.key")
            let result = try await scenario.run(
                [try Programs.path("ipsec-load")] + words(authority, made, "setup") + [
                    "--id", "load%n.test", "--rate", "20", "--clients", "40", "--for", "5s", "--json",
                ], in: road.network.clients[0], timeout: .seconds(60))
            #expect(result.succeeded, "\(result.output)")
            let line = try #require(result.output.split(separator: "\n").last { $0.hasPrefix("{") }, "\(result.output)")
            print("ipsec-load setup by certificate, \(kind): \(line)")
            let outcome = try JSONDecoder().decode(Outcome.self, from: Data(line.utf8))
            #expect(outcome.failed == 0 && outcome.established == outcome.started && outcome.started >= 90, "\(line)")
            #expect(outcome.p50Milliseconds != nil && outcome.p99Milliseconds != nil)
            #expect(try await becomesTrue(within: .seconds(10)) { try await road.gateway.sessions().isEmpty })
        }
    }
}

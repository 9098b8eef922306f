import Foundation
import GatewayCrypto
import GatewayTesting
import PKI
import Testing

/// Certificates, fragments and rekeys with strongSwan as the gateway.
@Suite(.serialized, .enabled(if: StrongSwanGateway.missing == nil, "needs root and strongSwan with kernel-libipsec"))
struct StrongSwanCertificateTests {
    /// A CA of today with a gateway and a client.
    struct Files {
        let root: TestCA
        let between: TestCA?
        let gateway: TestCertificate
        let client: TestCertificate

        init(_ kind: IssuingKey.Kind, intermediate: Bool = false, name: String = "gw.example.org") throws {
            func valid(_ options: inout TestCA.Options) {
                let now = CertificateTime(unixSeconds: Int64(Date().timeIntervalSince1970))
                options.notBefore = now + .seconds(-86_400)
                options.notAfter = now + .seconds(86_400 * 30)
                options.kind = kind
            }
            root = try TestCA("Root", valid)
            between = intermediate ? try root.intermediate("Between", valid) : nil
            let issuer = between ?? root
            gateway = try issuer.endEntity("gateway") {
                valid(&$0)
                $0.names = [.dns(name)]
                $0.extendedKeyUsage = [.serverAuthentication]
            }
            client = try issuer.endEntity("warrior") {
                valid(&$0)
                $0.names = [.rfc822("warrior@example.org")]
            }
        }

        func gateway(gatewayAuth: String = "pubkey", clientAuth: String = "pubkey") throws -> StrongSwanGateway.Certificates {
            StrongSwanGateway.Certificates(
                certificate: gateway.certificate.pem, key: try Self.pem(gateway), authority: root.certificate.pem,
                intermediates: gateway.chain.map(\.pem), gatewayAuth: gatewayAuth, clientAuth: clientAuth)
        }

        static func pem(_ certificate: TestCertificate) throws -> String {
            String(decoding: try certificate.key.pem().exposed(), as: UTF8.self)
        }

        /// `--cert`, `--key` of the client.
        func own(_ gateway: StrongSwanGateway) throws -> [String] {
            let chain = ([client.certificate] + client.chain).map(\.pem).joined()
            return [
                "--cert", try gateway.write(chain, to: "own.pem"), "--key", try gateway.write(Self.pem(client), to: "own.key"),
            ]
        }

        func authority(_ gateway: StrongSwanGateway, _ other: TestCA? = nil) throws -> [String] {
            ["--ca", try gateway.write((other ?? root).certificate.pem, to: "ca.pem")]
        }
    }

    static let ike = "aes256gcm16-prfsha256-x25519"
    static let esp = "aes256gcm16"

    private func connect(_ gateway: StrongSwanGateway, _ more: [String], esp: String = "aes256gcm16-noesn") throws -> Running {
        try gateway.load(
            words: ["connect", "--gateway", "198.51.100.1", "--remote-id", "gw.example.org", "--ike", Self.ike, "--esp", esp] + more)
    }

    private func expectConnected(_ load: Running, _ gateway: StrongSwanGateway) {
        #expect(load.waitFor("connected inner=10.8.0.", seconds: 15), "\(load.output)\n\(gateway.log)")
    }

    private func ping(_ gateway: StrongSwanGateway, count: Int = 3) throws {
        let ping = try command(
            "ip", "netns", "exec", gateway.client, "ping", "-c", "\(count)", "-i", "0.2", "-W", "2", "10.9.0.1")
        #expect(ping.output.contains(" 0% packet loss"), "\(ping.output)\n\(gateway.log)")
    }

    struct Kind: CustomTestStringConvertible, Sendable {
        let name: String
        let kind: IssuingKey.Kind
        var gatewayAuth = "pubkey"
        var clientAuth = "pubkey"
        var options: [String] = []
        var testDescription: String { name }
    }

    static let kinds = [
        Kind(name: "RSA PKCS #1", kind: .rsa(bits: 2048), clientAuth: "ike:rsa/pkcs1"),
        Kind(name: "RSA-PSS", kind: .rsa(bits: 2048), gatewayAuth: "ike:rsa/pss", clientAuth: "ike:rsa/pss", options: ["--pss"]),
        Kind(name: "RSA, method 1", kind: .rsa(bits: 2048), options: ["--no-rfc7427", "--signature", "method1"]),
        Kind(name: "ECDSA P-256", kind: .ecP256), Kind(name: "ECDSA P-384", kind: .ecP384), Kind(name: "ECDSA P-521", kind: .ecP521),
        Kind(name: "ECDSA P-256, method 9", kind: .ecP256, options: ["--no-rfc7427", "--signature", "method9"]),
        Kind(name: "ECDSA P-384, method 10", kind: .ecP384, options: ["--no-rfc7427", "--signature", "method10"]),
        Kind(name: "ECDSA P-521, method 11", kind: .ecP521, options: ["--no-rfc7427", "--signature", "method11"]),
        Kind(name: "Ed25519", kind: .ed25519),
    ]

    @Test("AUTH-2: both sides by certificate", arguments: kinds)
    func AUTH2_kinds(kind: Kind) throws {
        let files = try Files(kind.kind)
        let gateway = try StrongSwanGateway(
            ike: Self.ike, esp: Self.esp, certificates: try files.gateway(gatewayAuth: kind.gatewayAuth, clientAuth: kind.clientAuth))
        defer { gateway.remove() }
        let load = try connect(
            gateway,
            ["--id", "warrior@example.org", "--tun", "rw0", "--route", "10.9.0.0/16"] + files.own(gateway)
                + files.authority(gateway) + kind.options)
        defer { load.stop() }
        expectConnected(load, gateway)
        try ping(gateway)
        load.terminate()
        #expect(load.end(seconds: 10) == 0, "\(load.output)")
    }

    @Test("AUTH-9: one side by the shared key", arguments: [true, false])
    func AUTH9_mixed(clientByKey: Bool) throws {
        let files = try Files(.ecP256)
        let gateway = try StrongSwanGateway(
            ike: Self.ike, esp: Self.esp,
            certificates: try files.gateway(gatewayAuth: clientByKey ? "pubkey" : "psk", clientAuth: clientByKey ? "psk" : "pubkey"))
        defer { gateway.remove() }
        let proof = clientByKey ? try files.authority(gateway) : try files.own(gateway)
        let load = try connect(gateway, ["--id", "warrior@example.org", "--psk", StrongSwanGateway.psk] + proof)
        defer { load.stop() }
        expectConnected(load, gateway)
    }

    @Test("P18: another CA and another name are refused with their cause")
    func threat_P18_refused() throws {
        let files = try Files(.ecP256, name: "other.example.org")
        let gateway = try StrongSwanGateway(ike: Self.ike, esp: Self.esp, certificates: try files.gateway())
        defer { gateway.remove() }
        let own = try files.own(gateway)
        let stranger = try connect(gateway, ["--id", "warrior@example.org"] + own + files.authority(gateway, try Files(.ecP256).root))
        #expect(stranger.end(seconds: 15) == 1, "\(stranger.output)")
        #expect(stranger.output.contains("no trust anchor issued it") || stranger.output.contains("not gw.example.org"), "\(stranger.output)")
        let named = try connect(gateway, ["--id", "warrior@example.org"] + own + files.authority(gateway))
        #expect(named.end(seconds: 15) == 1, "\(named.output)")
    }

    @Test("RFC 7383: certificates that do not fit into one datagram, through an intermediate CA")
    func RFC7383_fragments() throws {
        let files = try Files(.rsa(bits: 4096), intermediate: true)
        let gateway = try StrongSwanGateway(ike: Self.ike, esp: Self.esp, certificates: try files.gateway(), fragmentSize: 700)
        defer { gateway.remove() }
        let load = try connect(
            gateway, ["--id", "warrior@example.org", "--fragment-size", "900"] + files.own(gateway) + files.authority(gateway))
        defer { load.stop() }
        expectConnected(load, gateway)
        #expect(gateway.log.contains("received fragment #") && gateway.log.contains("splitting IKE message"), "\(gateway.log)")
    }

    @Test(
        "RFC 7296 1.3.3, 2.18: rekeys by us, with and without a key exchange of their own",
        arguments: ["aes256gcm16-noesn", "aes256gcm16-x25519-noesn"])
    func RFC7296_1_3_3_byUs(esp: String) throws {
        let gateway = try StrongSwanGateway(ike: Self.ike, esp: "aes256gcm16-x25519,aes256gcm16")
        defer { gateway.remove() }
        let load = try connect(
            gateway,
            [
                "--id", "warrior@example.org", "--psk", StrongSwanGateway.psk, "--tun", "rw0", "--route", "10.9.0.0/16", "--rekey-child", "2",
                "--rekey-ike", "3",
            ], esp: esp)
        defer { load.stop() }
        expectConnected(load, gateway)
        try ping(gateway, count: 50)
        #expect(load.waitFor("rekeyed ike by=us", seconds: 10) && load.waitFor("rekeyed child by=us", seconds: 10), "\(load.output)")
        try ping(gateway)
        #expect(load.isRunning && !load.output.contains("refused"), "\(load.output)\n\(gateway.log)")
        load.terminate()
        #expect(load.end(seconds: 10) == 0, "\(load.output)")
    }

    @Test("RFC 7296 2.8: rekeys by strongSwan, by time, by packets and by command", arguments: ["aes256gcm16", "aes256gcm16-ecp256"])
    func RFC7296_2_8_byTheGateway(esp: String) throws {
        let gateway = try StrongSwanGateway(ike: Self.ike, esp: esp, childRekey: "3s", ikeRekey: "5s")
        defer { gateway.remove() }
        let load = try connect(
            gateway,
            ["--id", "warrior@example.org", "--psk", StrongSwanGateway.psk, "--tun", "rw0", "--route", "10.9.0.0/16"],
            esp: esp + "-noesn")
        defer { load.stop() }
        expectConnected(load, gateway)
        try ping(gateway, count: 50)
        #expect(
            load.waitFor("rekeyed child by=gateway", seconds: 10) && load.waitFor("rekeyed ike by=gateway", seconds: 10),
            "\(load.output)\n\(gateway.log)")
        #expect(try gateway.swanctl("--rekey", "--child", "net").status == 0)
        try ping(gateway)
        #expect(try gateway.swanctl("--rekey", "--ike", "rw").status == 0)
        try ping(gateway)
        #expect(load.isRunning, "\(load.output)\n\(gateway.log)")
        load.terminate()
        #expect(load.end(seconds: 10) == 0, "\(load.output)")
    }

    @Test("programs.md: logins by certificate are counted; those that fail, by cause")
    func programs_setupByCertificate() throws {
        let files = try Files(.ecP256)
        let gateway = try StrongSwanGateway(ike: Self.ike, esp: Self.esp, certificates: try files.gateway())
        defer { gateway.remove() }
        let common = [
            "setup", "--gateway", "198.51.100.1", "--id", "warrior@example.org", "--rate", "10", "--clients", "10", "--for", "2s", "--json", "--ike",
            Self.ike,
        ]
        let load = try gateway.load(words: common + files.own(gateway) + files.authority(gateway))
        #expect(load.end(seconds: 60) == 0)
        let result = try Self.result(load)
        #expect(result["started"] as? Int == 20 && result["failed"] as? Int == 0, "\(load.output)\n\(gateway.log)")
        #expect(result["p99Milliseconds"] is Double, "\(load.output)")
        let wrong = try gateway.load(words: common + files.own(gateway) + files.authority(gateway, try Files(.ecP256).root))
        #expect(wrong.end(seconds: 60) == 0)
        let failures = try Self.result(wrong)["failures"] as? [[String: Any]]
        #expect(failures?.first?["cause"] as? String == "gateway not authenticated" && failures?.first?["count"] as? Int == 20, "\(wrong.output)")
    }

    private static func result(_ load: Running) throws -> [String: Any] {
        let last = load.output.split(separator: "\n").last.map { Data($0.utf8) } ?? Data()
        return try #require(try JSONSerialization.jsonObject(with: last) as? [String: Any], "\(load.output)")
    }
}

import Foundation
import GatewayCrypto
import GatewayTesting
import PKI
import Testing
import Wire

/// The CA that `make run` creates, beside OpenSSL's own program.
@Suite struct PrivateCATests {
    static let validity = PrivateCA.Validity(from: TestCA.now + .seconds(-3600), days: 825)
    static let rootValidity = PrivateCA.Validity(from: TestCA.now + .seconds(-3600), days: PrivateCA.rootDays)

    @Test(arguments: [IssuingKey.Kind.ecP256, .rsa(bits: 3072)]) func rootServerAndClient(_ kind: IssuingKey.Kind) throws {
        let entropy = SystemEntropy()
        let made = try PrivateCA(generating: "home", kind: kind, validity: Self.rootValidity, entropy: entropy)
        // as the next run finds it
        let keyFile = try made.key.pem().exposed()
        let ca = try PrivateCA(certificateFile: Array(made.certificate.pem.utf8), keyFile: keyFile)
        let authority = try CertificateAuthority(name: "home", certificate: ca.certificate, revocationCheck: .none, at: TestCA.now)
        let anchors = try TrustAnchors([authority])

        let server = try ca.issueServer(name: "vpn.example.com", kind: kind, validity: Self.validity, entropy: entropy)
        #expect(server.certificate.matches(.fqdn(Array("vpn.example.com".utf8))))
        #expect(server.certificate.extensions.extendedKeyUsage == [.serverAuthentication])
        #expect(anchors.refusal([server.certificate.der], purpose: .server) == nil)
        #expect(anchors.refusal([server.certificate.der], purpose: .client)?.cause == .extendedKeyUsage)
        let entry = try OwnCertificates.Entry(
            id: 1, certificate: server.certificate, keyInfo: server.key.subjectPublicKeyInfo, authorities: [ca.certificate])
        #expect(entry.warnings(name: .fqdn(Array("vpn.example.com".utf8)), at: TestCA.now) == [])

        // Windows looks for an address among the dNSNames too
        let address = IPAddress(v4: 0xc000_0201)
        let byAddress = try ca.issueServer(name: "192.0.2.1", kind: kind, validity: Self.validity, entropy: entropy)
        #expect(byAddress.certificate.subjectAlternativeNames == [.address(address), .dns("192.0.2.1")])

        for (identity, type) in [("alice@example.com", UInt8(3)), ("laptop.example.com", 2)] {
            let client = try ca.issueClient(identity: identity, kind: kind, validity: Self.validity, entropy: entropy)
            let path = try anchors.validate([client.certificate.der], at: TestCA.now)
            #expect(path.endEntity.matches(try #require(PeerIdentity(type: type, data: Array(identity.utf8)))))
            #expect(anchors.refusal([client.certificate.der], purpose: .server)?.cause == .extendedKeyUsage)
        }
        #expect(server.certificate.serialNumber != byAddress.certificate.serialNumber)
    }

    @Test(arguments: ["", "a b", "a\0b", "\u{e4}", String(repeating: "a", count: 254)]) func namesThatCannotBeIssued(_ name: String) throws {
        let ca = try PrivateCA(generating: "home", validity: Self.rootValidity, entropy: SystemEntropy())
        #expect(throws: IssuingError.badValue) { try ca.issueServer(name: name, validity: Self.validity, entropy: SystemEntropy()) }
        #expect(throws: IssuingError.badValue) { try ca.issueClient(identity: name, validity: Self.validity, entropy: SystemEntropy()) }
    }

    @Test func filesThatDoNotBelongTogether() throws {
        let one = try PrivateCA(generating: "one", validity: Self.rootValidity, entropy: SystemEntropy())
        let other = try PrivateCA(generating: "other", validity: Self.rootValidity, entropy: SystemEntropy())
        let key = try other.key.pem().exposed()
        #expect(throws: IssuingError.noAuthority) { try PrivateCA(certificateFile: Array(one.certificate.pem.utf8), keyFile: key) }
        #expect(throws: IssuingError.noKey) { try PrivateCA(certificateFile: Array(one.certificate.pem.utf8), keyFile: [1, 2, 3]) }
        let client = try one.issueClient(identity: "alice", validity: Self.validity, entropy: SystemEntropy())
        #expect(throws: IssuingError.noAuthority) { try PrivateCA(certificateFile: client.certificate.der, keyFile: client.key.pem().exposed()) }
        #expect(throws: IssuingError.badValue) { try client.pkcs12(password: "", friendlyName: "alice") }
        #expect(throws: IssuingError.badValue) { try client.pkcs12(password: "a\0b", friendlyName: "alice") }
    }

    /// Never issues beyond its own end, with any of its keys.
    @Test func endsWithItsCA() throws {
        let short = PrivateCA.Validity(from: TestCA.now, days: 10)
        let ca = try PrivateCA(generating: "home", validity: short, entropy: SystemEntropy())
        let client = try ca.issueClient(identity: "alice", validity: Self.validity, entropy: SystemEntropy())
        #expect(client.certificate.notAfter == ca.certificate.notAfter)
        #expect(ca.certificate.notAfter - ca.certificate.notBefore == .seconds(864_000))
    }

    // MARK: Beside OpenSSL's program

    static let program = "/usr/bin/openssl"
    static var hasProgram: Bool { FileManager.default.isExecutableFile(atPath: program) }

    func run(_ arguments: [String], in folder: URL) throws -> (status: Int32, text: String) {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(filePath: Self.program)
        process.arguments = arguments
        process.currentDirectoryURL = folder
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let octets = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: octets, as: UTF8.self))
    }

    @Test(.enabled(if: hasProgram, "needs \(program)"), arguments: [IssuingKey.Kind.ecP256, .rsa(bits: 3072), .ed25519])
    func opensslReadsWhatWeIssue(_ kind: IssuingKey.Kind) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "pki-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let entropy = SystemEntropy()
        let ca = try PrivateCA(generating: "home", kind: kind, validity: Self.rootValidity, entropy: entropy)
        let client = try ca.issueClient(identity: "alice@example.com", kind: kind, validity: Self.validity, entropy: entropy)
        try Data(ca.certificate.pem.utf8).write(to: folder.appending(path: "root.pem"))
        try Data(client.certificate.pem.utf8).write(to: folder.appending(path: "alice.pem"))

        let verified = try run(
            ["verify", "-x509_strict", "-purpose", "sslclient", "-attime", "\(TestCA.now.unixSeconds)", "-CAfile", "root.pem", "alice.pem"],
            in: folder)
        #expect(verified.status == 0, "\(verified.text)")
        let shown = try run(["x509", "-in", "alice.pem", "-noout", "-text"], in: folder)
        #expect(shown.text.contains("email:alice@example.com") && shown.text.contains("TLS Web Client Authentication"))
        #expect(shown.text.contains("Digital Signature") && shown.text.contains("CA:FALSE"))

        for (protection, cipher) in [(PKCS12Protection.compatible, "pbeWithSHA1And3-KeyTripleDES-CBC"), (.strong, "AES-256-CBC")] {
            let bundle = try client.pkcs12(password: "correct horse", friendlyName: "ipsec-gw alice", protection: protection)
            try Data(bundle).write(to: folder.appending(path: "alice.p12"))
            let read = try run(["pkcs12", "-in", "alice.p12", "-passin", "pass:correct horse", "-nodes", "-info"], in: folder)
            #expect(read.status == 0 && read.text.contains(cipher), "\(read.text)")
            #expect(read.text.contains("friendlyName: ipsec-gw alice") && read.text.contains("BEGIN PRIVATE KEY"))
            #expect(try Set(Certificate.all(inFile: Array(read.text.utf8))) == [client.certificate, ca.certificate])
            #expect(try IssuingKey(file: Array(read.text.utf8)).subjectPublicKeyInfo == client.key.subjectPublicKeyInfo)
            let refused = try run(["pkcs12", "-in", "alice.p12", "-passin", "pass:wrong", "-nodes"], in: folder)
            #expect(refused.status != 0)
        }
    }

    /// Certificates and keys that OpenSSL's program made.
    @Test(.enabled(if: hasProgram, "needs \(program)")) func weReadWhatOpensslIssues() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "pki-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let made = try run(
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days",
                "30",
                "-subj", "/C=DE/O=Example/CN=Root", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-addext",
                "nameConstraints=permitted;DNS:example.com", "-addext",
                "subjectAltName=DNS:ca.example.com,email:ca@example.com,IP:2001:db8::1,URI:http://x/",
            ], in: folder)
        #expect(made.status == 0, "\(made.text)")
        let file = try [UInt8](Data(contentsOf: folder.appending(path: "ca.pem")))
        let certificate = try Certificate(file: file)
        #expect(certificate.description == "C=DE, O=Example, CN=Root" && certificate.isSelfIssued && certificate.version == 3)
        #expect(certificate.extensions.basicConstraints == .init(isAuthority: true))
        #expect(certificate.extensions.keyUsage == [.keyCertificateSign, .crlSign] && certificate.extensions.nameConstraintCount == 1)
        #expect(certificate.subjectKey == .ecP384 && certificate.notAfter - certificate.notBefore == .seconds(30 * 86_400))
        let address = try #require(IPAddress("2001:db8::1"))
        #expect(
            certificate.subjectAlternativeNames == [
                .dns("ca.example.com"), .rfc822("ca@example.com"), .address(address), .uri(Array("http://x/".utf8)),
            ])
        #expect(certificate.extensions.authorityKeyIdentifier == certificate.extensions.subjectKeyIdentifier)
        #expect(throws: Never.self) {
            try PrivateCA(certificateFile: file, keyFile: [UInt8](Data(contentsOf: folder.appending(path: "ca.key"))))
        }
    }
}

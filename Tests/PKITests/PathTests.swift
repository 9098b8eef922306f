import GatewayCrypto
import GatewayTesting
import PKI
import Testing
import Wire

/// Chains of our own making: what is taken, and each refusal with its plain cause (features.md AUTH-2, AUTH-11, PKI-8; threats.md C8).
@Suite struct PathTests {
    // MARK: Taken

    @Test(arguments: [IssuingKey.Kind.ecP256, .ecP384, .ecP521, .ed25519, .rsa(bits: 2048)], [CertificateSignature.sha256, .sha384, .sha512])
    func AUTH_2_algorithms(_ kind: IssuingKey.Kind, _ signature: CertificateSignature) throws {
        let root = try TestCA {
            $0.kind = kind; $0.signature = signature
        }
        let client = try root.intermediate("Staff") {
            $0.kind = kind; $0.signature = signature
        }
        .endEntity("alice") {
            $0.kind = kind; $0.signature = signature
        }
        let path = try root.anchors().validate(client.payloads, at: TestCA.now)
        #expect(path.endEntity == client.certificate && path.anchor == root.certificate && path.certificates.count == 3)
    }

    @Test(arguments: [CertificateSignature.pss256, .pss384, .pss512]) func AUTH_2_signedWithPSS(_ signature: CertificateSignature) throws {
        let root = try TestCA {
            $0.kind = .rsa(bits: 2048); $0.signature = signature
        }
        let client = try root.endEntity("alice") { $0.signature = signature }
        #expect(try root.anchors().refusal(client.payloads) == nil)
    }

    @Test func AUTH_11_anyAnchorOfTheProfileInTheChain() throws {
        let root = try TestCA()
        let staff = try root.intermediate("Staff")
        let client = try staff.intermediate("Berlin").endEntity("alice")
        let other = try TestCA("Other")
        // the anchor is an intermediate: the root above it need not be known, nor be sent
        let anchors = try TrustAnchors([other.authority(), staff.authority()])
        #expect(try anchors.validate(client.payloads, at: TestCA.now).anchor == staff.certificate)
        // the peer sends more than it need
        let all = client.payloads + [root.certificate.der, other.certificate.der]
        #expect(try anchors.validate(all, at: TestCA.now).certificates.count == 3)
        #expect(try TrustAnchors([other.authority(), root.authority()]).validate(all, at: TestCA.now).anchor == root.certificate)
    }

    @Test func PKI_8_intermediatesOfTheConfigurationCompleteAChain() throws {
        let root = try TestCA()
        let staff = try root.intermediate("Staff")
        let client = try staff.endEntity("alice")
        #expect(try root.anchors().refusal([client.certificate.der])?.cause == .unknownAuthority)
        let anchors = try TrustAnchors([root.authority()], intermediates: [staff.authority()])
        #expect(anchors.refusal([client.certificate.der]) == nil)
    }

    @Test func PKI_8_orderAndRepetitionDoNotMatter() throws {
        let root = try TestCA()
        let client = try root.intermediate("A").intermediate("B").intermediate("C").endEntity("alice")
        let shuffled = [client.payloads[0]] + client.payloads.dropFirst().reversed() + client.payloads.dropFirst() + [client.payloads[0]]
        #expect(try root.anchors().refusal(shuffled) == nil)
    }

    /// A root's key changes and its name stays; without key identifiers only the signature tells which one it was.
    @Test(arguments: [true, false]) func PKI_8_renewedRootOfTheSameName(_ withKeyIdentifiers: Bool) throws {
        let old = try TestCA { $0.withKeyIdentifiers = withKeyIdentifiers }
        let new = try TestCA { $0.withKeyIdentifiers = withKeyIdentifiers }
        let client = try new.endEntity("alice") { $0.withKeyIdentifiers = withKeyIdentifiers }
        #expect(try TrustAnchors([old.authority(), new.authority()]).validate(client.payloads, at: TestCA.now).anchor == new.certificate)
    }

    @Test func PKI_8_certificatesThatCannotBeReadArePassedOver() throws {
        let root = try TestCA()
        let client = try root.intermediate("Staff").endEntity("alice")
        let payloads = [client.payloads[0], [0x30, 0x03, 0x01]] + client.payloads.dropFirst()
        #expect(try root.anchors().refusal(payloads) == nil)
        // but named where they may be what is missing
        let refusal = try root.anchors().refusal([client.payloads[0], [0x30, 0x03, 0x01]])
        #expect(refusal?.cause == .malformed(.encoding(.truncated)) && refusal?.depth == 1)
    }

    static let goodPurposes: [[ObjectIdentifier]?] = [
        nil, [.clientAuthentication], [.anyExtendedKeyUsage], [.ipsecIKE], [.serverAuthentication, .clientAuthentication],
    ]
    @Test(arguments: goodPurposes) func threat_C8_purposesThatAClientMayHave(_ purposes: [ObjectIdentifier]?) throws {
        let root = try TestCA()
        #expect(try root.anchors().refusal(root.endEntity("alice") { $0.extendedKeyUsage = purposes }.payloads) == nil)
    }

    @Test func threat_C8_aServersPurposeIsAnother() throws {
        let root = try TestCA()
        let server = try root.endEntity("vpn") { $0.extendedKeyUsage = [.serverAuthentication] }
        #expect(try root.anchors().refusal(server.payloads, purpose: .server) == nil)
        #expect(try root.anchors().refusal(server.payloads, purpose: .client)?.cause == .extendedKeyUsage)
        #expect(try root.anchors().refusal(root.endEntity("alice").payloads, purpose: .server)?.cause == .extendedKeyUsage)
    }

    static let goodUsages: [CertificateExtensions.KeyUsage?] = [
        nil, [.digitalSignature], [.contentCommitment], [.digitalSignature, .keyEncipherment],
    ]
    @Test(arguments: goodUsages) func RFC4945_keyUsages(_ usage: CertificateExtensions.KeyUsage?) throws {
        let root = try TestCA()
        #expect(try root.anchors().refusal(root.endEntity("alice") { $0.keyUsage = usage }.payloads) == nil)
    }

    @Test func threat_C3_depth() throws {
        var ca = try TestCA()
        let anchors = try ca.anchors()
        for level in 1...6 { ca = try ca.intermediate("Level \(level)") }
        let client = try ca.endEntity("alice")
        #expect(try anchors.validate(client.payloads, at: TestCA.now).certificates.count == 8)
        let deeper = try ca.intermediate("Level 7").endEntity("alice")
        #expect(anchors.refusal(deeper.payloads)?.cause == .pathTooLong)
    }

    // MARK: Refused

    struct Refusal: CustomStringConvertible, Sendable {
        let description: String
        let cause: PathFailure.Cause
        var depth = 0
        var time = TestCA.now
        let payloads: @Sendable (TestCA) throws -> [[UInt8]]
    }

    static let year = Duration.seconds(365 * 86_400)

    static let refusals: [Refusal] = [
        Refusal(description: "no certificate", cause: .noCertificate) { _ in [] },
        Refusal(description: "wrong CA", cause: .unknownAuthority) { _ in try TestCA("Other").endEntity("alice").payloads },
        Refusal(description: "wrong CA that sends its root", cause: .unknownAuthority, depth: 1) { _ in
            let other = try TestCA("Other")
            return try other.endEntity("alice").payloads + [other.certificate.der]
        },
        Refusal(description: "wrong CA below an intermediate", cause: .unknownAuthority, depth: 1) { _ in
            try TestCA("Other").intermediate("Staff").endEntity("alice").payloads
        },
        Refusal(description: "wrong CA of the right name", cause: .badSignature) { _ in
            try TestCA { $0.withKeyIdentifiers = false }.endEntity("alice") { $0.withKeyIdentifiers = false }.payloads
        },
        Refusal(description: "self-signed", cause: .unknownAuthority) { _ in [try TestCA("alice").certificate.der] },
        Refusal(description: "the trust anchor itself", cause: .isTrustAnchor) { [$0.certificate.der] },
        Refusal(description: "an intermediate is missing", cause: .unknownAuthority) { root in
            Array(try root.intermediate("Staff").endEntity("alice").payloads.prefix(1))
        },
        Refusal(description: "expired", cause: .expired) { root in
            try root.endEntity("alice") { $0.notAfter = TestCA.now + .seconds(-1) }.payloads
        },
        Refusal(description: "not yet valid", cause: .notYetValid) { root in
            try root.endEntity("alice") { $0.notBefore = TestCA.now + .seconds(1) }.payloads
        },
        Refusal(description: "expired intermediate", cause: .expired, depth: 1) { root in
            try root.intermediate("Staff") { $0.notAfter = TestCA.now + .seconds(-1) }.endEntity("alice").payloads
        },
        Refusal(description: "expired anchor", cause: .expired, depth: 1, time: TestCA.now + year + .seconds(1)) { root in
            try root.endEntity("alice") { $0.notAfter = TestCA.now + year + year }.payloads
        },
        Refusal(description: "EKU serverAuth", cause: .extendedKeyUsage) { root in
            try root.endEntity("alice") { $0.extendedKeyUsage = [.serverAuthentication] }.payloads
        },
        Refusal(description: "EKU emailProtection, critical", cause: .extendedKeyUsage) { root in
            try root.endEntity("alice") {
                $0.extendedKeyUsage = nil
                $0.extensions = [.extendedKeyUsage([.emailProtection], critical: true)]
            }.payloads
        },
        Refusal(description: "intermediate for servers", cause: .extendedKeyUsage, depth: 1) { root in
            try root.intermediate("Web") { $0.extendedKeyUsage = [.serverAuthentication] }.endEntity("alice").payloads
        },
        Refusal(description: "KU keyEncipherment alone", cause: .keyUsage) { root in
            try root.endEntity("alice") { $0.keyUsage = [.keyEncipherment] }.payloads
        },
        Refusal(description: "issuer is an end entity", cause: .issuerIsNoAuthority, depth: 1) { root in
            let mallory = try root.intermediate("mallory") { $0.basicConstraints = .init(isAuthority: false) }
            return try mallory.endEntity("alice").payloads
        },
        Refusal(description: "issuer without BasicConstraints", cause: .issuerIsNoAuthority, depth: 1) { root in
            let mallory = try root.intermediate("mallory") { $0.basicConstraints = nil }
            return try mallory.endEntity("alice").payloads
        },
        Refusal(description: "issuer without keyCertSign", cause: .issuerKeyUsage, depth: 1) { root in
            try root.intermediate("Staff") { $0.keyUsage = [.digitalSignature] }.endEntity("alice").payloads
        },
        Refusal(description: "pathLenConstraint", cause: .pathTooLong, depth: 2) { root in
            try root.intermediate("A") { $0.basicConstraints = .init(isAuthority: true, maximumPathLength: 0) }.intermediate("B").endEntity("alice")
                .payloads
        },
        Refusal(description: "SHA-1", cause: .weakSignature) { try $0.endEntity("alice") { $0.signature = .sha1 }.payloads },
        Refusal(description: "SHA-1 intermediate", cause: .weakSignature, depth: 1) { root in
            try root.intermediate("Staff") { $0.signature = .sha1 }.endEntity("alice").payloads
        },
        Refusal(description: "RSA-1024", cause: .weakKey) { try $0.endEntity("alice") { $0.kind = .rsa(bits: 1024) }.payloads },
        Refusal(description: "RSA-1536 intermediate", cause: .weakKey, depth: 1) { root in
            try root.intermediate("Staff") { $0.kind = .rsa(bits: 1536) }.endEntity("alice").payloads
        },
        Refusal(description: "unknown critical extension", cause: .unknownCriticalExtension) { root in
            try root.endEntity("alice") { $0.extensions = [.init(ObjectIdentifier(1, 3, 6, 1, 4, 1, 6527, 9, 9), critical: true, [5, 0])] }.payloads
        },
        Refusal(description: "unknown critical extension of a CA", cause: .unknownCriticalExtension, depth: 1) { root in
            try root.intermediate("Staff") { $0.extensions = [.init(ObjectIdentifier(1, 3, 6, 1, 4, 1, 6527, 9, 9), critical: true, [5, 0])] }
                .endEntity("alice").payloads
        },
        Refusal(description: "eleven certificates", cause: .tooManyCertificates) { root in
            [[UInt8]](repeating: try root.endEntity("alice").certificate.der, count: 11)
        },
        Refusal(description: "no DER", cause: .malformed(.encoding(.truncated))) { _ in [[0x30, 0x82, 0xff, 0xff, 0x00]] },
        Refusal(description: "changed signature", cause: .badSignature) { root in
            var octets = try root.endEntity("alice") { $0.kind = .ed25519 }.certificate.der
            octets[octets.count - 3] ^= 1
            return [octets]
        },
        Refusal(description: "excluded dNSName, upper case (2026-35331)", cause: .nameConstraint) { root in
            try root.intermediate("Staff") { $0.excluded = [.dns("evil.example.com")] }
                .endEntity("alice") { $0.names = [.dns("A.EVIL.example.COM")] }.payloads
        },
        Refusal(description: "not permitted dNSName", cause: .nameConstraint) { root in
            try root.intermediate("Staff") { $0.permitted = [.dns("example.com")] }
                .endEntity("alice") { $0.names = [.dns("badexample.com")] }.payloads
        },
        Refusal(description: "excluded mail domain", cause: .nameConstraint) { root in
            try root.intermediate("Staff") { $0.excluded = [.rfc822("Example.org")] }
                .endEntity("alice") { $0.names = [.rfc822("alice@example.ORG")] }.payloads
        },
        Refusal(description: "not permitted address", cause: .nameConstraint) { root in
            try root.intermediate("Staff") { $0.permitted = [.other(0x87, [192, 0, 2, 0, 255, 255, 255, 0])] }
                .endEntity("alice") { $0.names = [.other(0x87, [192, 0, 3, 1])] }.payloads
        },
        Refusal(description: "excluded directoryName", cause: .nameConstraint) { root in
            let excluded = try #require(DistinguishedName([("O", "TEST")]))
            return try root.intermediate("Staff") { $0.excluded = [.directory(excluded)] }.endEntity("alice").payloads
        },
    ]

    @Test(arguments: refusals) func threat_C8_refusedWithAPlainCause(_ refusal: Refusal) throws {
        let root = try TestCA()
        let payloads = try refusal.payloads(root)
        let anchors = try root.anchors()
        let (found, spent) = milliseconds { anchors.refusal(payloads, at: refusal.time) }
        #expect(found?.cause == refusal.cause && found?.depth == refusal.depth, "\(found?.description ?? "accepted")")
        #expect(found?.description.utf8.allSatisfy { (0x20...0x7e).contains($0) } == true)
        #expect(spent < 50)
    }

    @Test func threat_C8_namesWithinTheConstraints() throws {
        let root = try TestCA()
        let staff = try root.intermediate("Staff") {
            $0.permitted = [.dns("example.com"), .rfc822("example.com"), .other(0x87, [192, 0, 2, 0, 255, 255, 255, 0])]
            $0.excluded = [.dns("evil.example.com")]
        }
        let client = try staff.endEntity("alice") {
            $0.names = [.dns("a.Example.com"), .dns("EXAMPLE.com"), .rfc822("alice@EXAMPLE.com"), .other(0x87, [192, 0, 2, 77])]
        }
        #expect(try root.anchors().refusal(client.payloads) == nil)
    }

    @Test func PKI_11_anchorsAreLimited() throws {
        let authorities = try (0..<9).map { try TestCA("Root \($0)").authority() }
        #expect(throws: TrustAnchors.Problem.tooMany) { try TrustAnchors(authorities) }
        #expect(throws: TrustAnchors.Problem.empty) { try TrustAnchors([]) }
        #expect(try TrustAnchors(Array(authorities.prefix(8))).requests.hashes.count == 8)
    }

    struct AuthorityCase: CustomStringConvertible, Sendable {
        let description: String
        let problem: CertificateAuthority.Problem
        var check = RevocationCheck.none
        var change: @Sendable (inout TestCA.Options) -> Void = { _ in }
    }

    static let authorityCases: [AuthorityCase] = [
        AuthorityCase(description: "no CA", problem: .notAnAuthority) { $0.basicConstraints = .init(isAuthority: false) },
        AuthorityCase(description: "no BasicConstraints", problem: .notAnAuthority) { $0.basicConstraints = nil },
        AuthorityCase(description: "no cRLSign", problem: .keyUsage) { $0.keyUsage = [.keyCertificateSign] },
        AuthorityCase(description: "no keyCertSign", problem: .keyUsage) { $0.keyUsage = [.crlSign] },
        AuthorityCase(description: "RSA-1024", problem: .weakKey) { $0.kind = .rsa(bits: 1024) },
        AuthorityCase(description: "expired", problem: .expired(at: TestCA.now + .seconds(-1))) { $0.notAfter = TestCA.now + .seconds(-1) },
        AuthorityCase(description: "not yet valid", problem: .notYetValid(from: TestCA.now + .seconds(1))) {
            $0.notBefore = TestCA.now + .seconds(1)
        },
        AuthorityCase(description: "X-14: crl", problem: .revocationCheckNotSupported, check: .crl),
        AuthorityCase(description: "X-14: crl-optional", problem: .revocationCheckNotSupported, check: .crlOptional),
    ]

    @Test(arguments: authorityCases) func PKI_4_profileStaysDown(_ example: AuthorityCase) throws {
        let certificate = try TestCA("Root", example.change).certificate
        #expect(throws: example.problem) {
            try CertificateAuthority(name: "root", certificate: certificate, revocationCheck: example.check, at: TestCA.now)
        }
    }

    @Test func PKI_4_withoutKeyUsageItIsUp() throws {
        let certificate = try TestCA("Root") { $0.keyUsage = nil }.certificate
        #expect(throws: Never.self) {
            try CertificateAuthority(name: "root", certificate: certificate, revocationCheck: .none, at: TestCA.now)
        }
    }
}

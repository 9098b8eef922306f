import GatewayCrypto
import GatewayTesting
import PKI
import Testing
import Wire

/// What the gateway shows of itself (features.md PKI-11, PKI-12, PKI-13, PKI-15).
@Suite struct OwnCertificateTests {
    static func entry(_ id: Int, _ own: TestCertificate, _ authorities: [TestCA], send: [Certificate] = []) throws -> OwnCertificates.Entry {
        try OwnCertificates.Entry(
            id: id, certificate: own.certificate, keyInfo: own.key.subjectPublicKeyInfo, sendChain: send, authorities: authorities.map(\.certificate))
    }

    @Test func PKI_12_firstEntryWithARequestedAuthority() throws {
        let a = try TestCA("A")
        let b = try TestCA("B")
        let below = try b.intermediate("Below B")
        let authorities = [a, b, below]
        let profile = try OwnCertificates([
            Self.entry(7, a.endEntity("gateway"), authorities), Self.entry(3, below.endEntity("gateway"), authorities),
            Self.entry(9, below.endEntity("gateway"), authorities),
        ])
        func chosen(_ requested: [TestCA]) -> Int? { profile.entry(for: CertificateRequests(requested.map(\.certificate)))?.id }
        #expect(chosen([a]) == 7)
        #expect(chosen([b]) == 3)
        #expect(chosen([below]) == 3)
        #expect(chosen([b, a]) == 7)
        // none fits, or none was asked for: the first that is configured, whatever its id
        #expect(try chosen([TestCA("C")]) == 7)
        #expect(chosen([]) == 7)
    }

    @Test func PKI_12_compareChain() throws {
        let root = try TestCA()
        let staff = try root.intermediate("Staff")
        let own = try staff.endEntity("gateway")
        #expect(try Self.entry(1, own, [staff, root]).compareChain == [staff.certificate, root.certificate])
        #expect(try Self.entry(1, own, [root]).compareChain == [])
        #expect(try Self.entry(1, own, [root], send: [staff.certificate]).compareChain == [staff.certificate, root.certificate])
        // of the same name, but not who signed
        let other = try TestCA("Root") { $0.withKeyIdentifiers = false }
        #expect(try Self.entry(1, other.endEntity("gateway") { $0.withKeyIdentifiers = false }, [root]).compareChain == [])
    }

    @Test func PKI_13_payloads() throws {
        let root = try TestCA()
        let staff = try root.intermediate("Staff")
        let own = try staff.endEntity("gateway")
        let entry = try Self.entry(1, own, [root, staff], send: [staff.certificate])
        #expect(entry.payloads == [own.certificate.der, staff.certificate.der])
        let twisted = try Self.entry(1, own, [root, staff], send: [root.certificate, staff.certificate])
        #expect(twisted.warnings(name: nil, at: TestCA.now).contains(.chainDoesNotConnect))
    }

    @Test(arguments: [IssuingKey.Kind.ecP256, .ed25519, .rsa(bits: 2048)]) func AUTH_2_theKeyBelongsToTheCertificate(_ kind: IssuingKey.Kind) throws {
        let root = try TestCA()
        let own = try root.endEntity("gateway") { $0.kind = kind }
        let other = try IssuingKey(generating: kind)
        #expect(throws: OwnCertificates.Problem.keyDoesNotMatch) {
            try OwnCertificates.Entry(id: 1, certificate: own.certificate, keyInfo: other.subjectPublicKeyInfo, authorities: [])
        }
        #expect(throws: OwnCertificates.Problem.keyDoesNotMatch) {
            try OwnCertificates.Entry(id: 1, certificate: own.certificate, keyInfo: [], authorities: [])
        }
        #expect(throws: Never.self) { try Self.entry(1, own, []) }
    }

    @Test func PKI_12_limits() throws {
        let root = try TestCA()
        let entry = try Self.entry(1, root.endEntity("gateway"), [root])
        #expect(throws: OwnCertificates.Problem.empty) { try OwnCertificates([]) }
        #expect(throws: OwnCertificates.Problem.tooMany) { try OwnCertificates([OwnCertificates.Entry](repeating: entry, count: 9)) }
        #expect(throws: OwnCertificates.Problem.chainTooLong) {
            try Self.entry(1, root.endEntity("gateway"), [], send: [Certificate](repeating: root.certificate, count: 8))
        }
        #expect(throws: OwnCertificates.Problem.weakKey) { try Self.entry(1, root.endEntity("gateway") { $0.kind = .rsa(bits: 1024) }, []) }
    }

    @Test func configurationWarnsOfWhatClientsRefuse() throws {
        let root = try TestCA()
        let name = PeerIdentity.fqdn(Array("vpn.example.com".utf8))
        func warnings(_ change: (inout TestCA.Options) -> Void) throws -> [OwnCertificates.Warning] {
            try Self.entry(1, root.endEntity("gateway", change), [root]).warnings(name: name, at: TestCA.now)
        }
        let good: (inout TestCA.Options) -> Void = {
            $0.extendedKeyUsage = [.serverAuthentication]
            $0.names = [.dns("vpn.example.com")]
        }
        #expect(try warnings(good) == [])
        #expect(
            try warnings {
                $0.extendedKeyUsage = nil; $0.names = []
            } == [.noServerAuthentication, .nameMissing])
        #expect(
            try warnings {
                good(&$0); $0.names = [.dns("www.example.com")]
            } == [.nameMissing])
        #expect(
            try warnings {
                good(&$0); $0.keyUsage = [.keyEncipherment]
            } == [.keyUsage])
        let past = TestCA.now + .seconds(-10)
        #expect(
            try warnings {
                good(&$0); $0.notAfter = past
            } == [.expired(at: past)])
        let future = TestCA.now + .seconds(10)
        #expect(
            try warnings {
                good(&$0); $0.notBefore = future
            } == [.notYetValid(from: future)])
    }

    // MARK: CERTREQ

    @Test func PKI_11_requests() throws {
        let authorities = try (0..<3).map { try TestCA("\($0)").certificate }
        let requests = CertificateRequests(authorities + authorities)
        #expect(requests.authorities.count == 60 && requests.authorities.starts(with: Digest.sha1(authorities[0].subjectPublicKeyInfo)))
        #expect(try CertificateRequests(parsing: [requests.authorities]) == requests)
        #expect(try CertificateRequests(parsing: []).isEmpty)
        #expect(throws: WireError.badLength) { try CertificateRequests(parsing: [[UInt8](repeating: 0, count: 21)]) }
    }

    @Test func PKI_11_sixteenHashesAreLookedAt() throws {
        let certificate = try TestCA().certificate
        func requests(_ strangers: Int) throws -> CertificateRequests {
            let filler = (0..<strangers).flatMap { [UInt8](repeating: UInt8($0), count: 20) }
            // over two payloads: the count goes on
            return try CertificateRequests(parsing: [filler, certificate.publicKeyHash])
        }
        #expect(try requests(15).contains(certificate))
        #expect(try !requests(16).contains(certificate))
        #expect(try requests(200).hashes.count == 16)
    }

    // MARK: Expiry

    @Test func PKI_15_warnings() throws {
        let end = TestCA.now + .seconds(100 * 3600)
        let soon = ExpiryWatch.Subject(name: "root", certificate: try TestCA { $0.notAfter = end }.certificate)
        let later = ExpiryWatch.Subject(name: "staff-ca", certificate: try TestCA().certificate)
        var watch = ExpiryWatch(lead: .seconds(72 * 3600), repetition: .seconds(24 * 3600))
        func due(_ hours: Int64) -> [ExpiryWatch.Warning] { watch.due([soon, later], at: TestCA.now + .seconds(hours * 3600)) }
        #expect(due(0) == [] && watch.next([soon], after: TestCA.now) == TestCA.now + .seconds(28 * 3600))
        #expect(due(28).map(\.name) == ["root"])
        #expect(due(29) == [] && watch.next([soon], after: TestCA.now) == TestCA.now + .seconds(52 * 3600))
        #expect(due(52).map(\.hasExpired) == [false])
        #expect(due(101).map(\.hasExpired) == [true])
        // replaced: forgotten
        #expect(watch.due([later], at: end) == [])
        #expect(watch.due([soon], at: end).count == 1)

        var once = ExpiryWatch(lead: .seconds(72 * 3600), repetition: nil)
        #expect(once.due([soon], at: end).count == 1)
        #expect(once.due([soon], at: end + .seconds(1_000_000)) == [] && once.next([soon], after: end) == nil)
        var never = ExpiryWatch(lead: nil, repetition: nil)
        #expect(never.due([soon], at: end) == [] && never.next([soon], after: end) == nil)
    }
}

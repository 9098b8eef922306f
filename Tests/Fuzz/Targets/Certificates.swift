import GatewayCrypto
import GatewayTesting
import PKI
import Wire

/// What a peer's CERT, CERTREQ, ID and AUTH payloads hold. The first octet chooses what the rest is read as.
enum Certificates {
    static func run(_ octets: [UInt8]) {
        guard let kind = octets.first else { return }
        let rest = Array(octets.dropFirst())
        switch kind % 10 {
        case 0: bounded("a certificate") { look(at: try? Certificate(der: rest)) }
        case 1: bounded("a file") { for certificate in (try? Certificate.all(inFile: rest)) ?? [] { look(at: certificate) } }
        case 2: names(rest)
        case 3: keys(rest)
        case 4: identities(rest)
        case 5: chain(rest)
        case 6, 7: issued(rest, inIntermediate: kind % 10 == 7)
        case 8: subject(rest)
        default: signatures(rest)
        }
    }

    private static func look(at certificate: Certificate?) {
        guard let certificate else { return }
        expect(certificate.der.count <= Certificate.maximumSize, "a certificate of \(certificate.der.count) octets")
        expect(certificate.subjectAlternativeNames.count <= Certificate.maximumAlternativeNames, "too many names")
        for text in [certificate.description, certificate.subject.description, certificate.issuer.description] { expectPlain(text) }
        guard let again = try? Certificate(der: certificate.der) else { found("a certificate that can be read once only") }
        expect(again == certificate && again.subject == certificate.subject, "a certificate that differs from itself")
        _ = certificate.isValid(at: TestCA.now)
        _ = certificate.isSelfIssued
        for identity in Shared.identities { _ = certificate.matches(identity) }
        expect(!certificate.matches(.fqdn([])), "an empty name matches")
    }

    private static func expectPlain(_ text: String) {
        expect(text.utf8.allSatisfy { (0x20...0x7e).contains($0) }, "a name that no log line can hold")
        expect(text.utf8.count <= 4096, "a name of \(text.utf8.count) octets")
    }

    private static func names(_ octets: [UInt8]) {
        bounded("names") {
            if let name = try? DistinguishedName(der: octets) {
                expectPlain(name.description)
                expect(name == name && (try? DistinguishedName(der: name.der)) == name, "a name that differs from itself")
            }
            if let name = try? GeneralName(der: octets) { expect((try? GeneralName(der: name.der)) == name, "a name that differs from itself") }
            let half = octets.count / 2
            if let requests = try? CertificateRequests(parsing: [Array(octets[..<half]), Array(octets[half...])]) {
                expect(requests.hashes.count <= CertificateRequests.maximum, "too many authorities")
            }
        }
    }

    private static func keys(_ octets: [UInt8]) {
        bounded("a public key", milliseconds: 200) {
            guard let key = try? PublicKey(subjectPublicKeyInfo: octets) else { return }
            for scheme in SignatureScheme.all { expectNoSignature(key, [UInt8](repeating: 1, count: 64), scheme) }
        }
    }

    private static func expectNoSignature(_ key: PublicKey, _ signature: [UInt8], _ scheme: SignatureScheme) {
        do { try key.verify(signature, over: [1, 2, 3], by: scheme) } catch { return }
        found("\(scheme) verifies what nobody signed")
    }

    private static func identities(_ octets: [UInt8]) {
        guard let type = octets.first, let identity = PeerIdentity(type: type, data: Array(octets.dropFirst())) else { return }
        expectPlain(identity.description)
        let isOwn =
            switch identity {
            case .fqdn(let name): name.map(lowered) == Array("alice.example".utf8)
            case .rfc822(let name): name.starts(with: Array("alice@".utf8)) && name.map(lowered) == Array("alice@example.org".utf8)
            case .distinguishedName(let name): name == Shared.endEntity.certificate.subject
            case .generalName: true
            case .address, .opaque: false
            }
        expect(isOwn || !Shared.endEntity.certificate.matches(identity), "\(identity) matches \(Shared.endEntity.certificate)")
    }

    private static func lowered(_ octet: UInt8) -> UInt8 { (0x41...0x5a).contains(octet) ? octet | 0x20 : octet }

    /// CERT payloads as they come: 16-bit length and octets, again and again.
    private static func chain(_ octets: [UInt8]) {
        var script = Script(octets)
        var payloads: [[UInt8]] = []
        while !script.isAtEnd, payloads.count < 12 {
            switch script.octet() & 3 {
            case 0: payloads.append(Shared.endEntity.certificate.der)
            case 1: payloads.append(Shared.intermediate.certificate.der)
            default: payloads.append(script.octets(Int(script.number())))
            }
        }
        let isGood = bounded("a chain", milliseconds: 100) { (try? Shared.anchors.validate(payloads, at: TestCA.now)) != nil }
        // Nobody can sign for the CA: only its own end entity, with its own intermediate, comes through.
        expect(!isGood || payloads.first == Shared.endEntity.certificate.der, "a chain that the CA never issued")
    }

    /// Extensions as the CA itself might have signed them.
    private static func issued(_ octets: [UInt8], inIntermediate: Bool) {
        var script = Script(octets)
        var extensions: [CertificateTemplate.Extension] = []
        while !script.isAtEnd, extensions.count < 20 {
            let head = script.octet()
            let types = Shared.extensionTypes
            let type = types[Int(head & 0x1f) % types.count]
            extensions.append(.init(type, critical: head & 0x80 != 0, script.octets(Int(script.octet()))))
        }
        func plain(_ options: inout TestCA.Options) {
            options.basicConstraints = nil
            options.keyUsage = nil
            options.extendedKeyUsage = nil
            options.withKeyIdentifiers = false
            options.key = Shared.spareKey
            options.extensions = extensions
        }
        if inIntermediate {
            guard let below = try? Shared.root.intermediate("Fuzzed", plain), let client = try? below.endEntity("alice") else { return }
            look(at: below.certificate)
            let isGood = bounded("a chain", milliseconds: 100) { (try? Shared.anchors.validate(client.payloads, at: TestCA.now)) != nil }
            // RFC 5280 section 6.1.4 (k): an intermediate says that it is a CA.
            expect(!isGood || extensions.contains { $0.type == .basicConstraints }, "an intermediate that is no CA")
        } else {
            guard let made = try? Shared.root.endEntityOctets("alice", plain) else { return }
            bounded("a certificate") { look(at: try? Certificate(der: made.octets)) }
            _ = bounded("a chain", milliseconds: 100) { try? Shared.anchors.validate([made.octets], at: TestCA.now) }
        }
    }

    /// A subject, a validity and a key as the CA itself might have signed them.
    private static func subject(_ octets: [UInt8]) {
        guard let name = try? DistinguishedName(der: octets) else { return }
        let made = try? Shared.root.endEntityOctets("alice") {
            $0.subject = name
            $0.key = Shared.spareKey
        }
        guard let made else { return }
        let certificate = bounded("a certificate") { try? Certificate(der: made.octets) }
        look(at: certificate)
        expect(certificate == nil || certificate?.subject == name, "a subject that changed")
    }

    /// RFC 7427 authentication data, and what it might verify.
    private static func signatures(_ octets: [UInt8]) {
        bounded("a signature", milliseconds: 100) {
            if let signature = try? DigitalSignature(parsing: octets) {
                expectNoSignature(Shared.publicKey, signature.signature, signature.scheme)
                expect((try? DigitalSignature(parsing: signature.encoded ?? [])) == signature, "authentication data that differs from itself")
            }
            for scheme in SignatureScheme.all { expectNoSignature(Shared.publicKey, octets, scheme) }
            _ = try? SignatureHashAlgorithm.list(parsing: octets)
        }
    }

    /// One CA for all inputs; its keys differ from run to run, which no octet of an input can depend on.
    private enum Shared {
        static let root = made { try TestCA() }
        static let intermediate = made { try root.intermediate("Staff") }
        static let endEntity = made { try intermediate.endEntity("alice") { $0.names = [.dns("alice.example"), .rfc822("alice@example.org")] } }
        static let anchors = made { try root.anchors() }
        static let spareKey = made { try IssuingKey(generating: .ecP256) }
        static let publicKey = made { try PublicKey(subjectPublicKeyInfo: spareKey.subjectPublicKeyInfo) }
        static let names: [PeerIdentity] = [
            .fqdn(Array("alice.example".utf8)), .rfc822(Array("alice@example.org".utf8)),
            .distinguishedName(endEntity.certificate.subject),
        ]
        static let identities: [PeerIdentity] = names + [.address(IPAddress(v4: 0x0a00_0001)), .fqdn([0x2a, 0x2e, 0x63, 0x6f, 0x6d])]
        static let extensionTypes: [ObjectIdentifier] = [
            .basicConstraints, .keyUsage, .extendedKeyUsage, .subjectAlternativeName, .nameConstraints, .subjectKeyIdentifier,
            .authorityKeyIdentifier, ObjectIdentifier(2, 5, 29, 32), ObjectIdentifier(2, 5, 29, 36), ObjectIdentifier(2, 5, 29, 54),
            ObjectIdentifier(2, 5, 29, 31), ObjectIdentifier(1, 3, 6, 1, 5, 5, 7, 1, 1), ObjectIdentifier(1, 2, 3),
        ]

        private static func made<Value>(_ make: () throws -> Value) -> Value {
            guard let value = try? make() else { found("the test CA cannot be made") }
            return value
        }
    }
}

internal import GatewayCrypto
package import PKI

/// A CA for tests: root or intermediate, with any algorithm, validity, usage and constraint, also such as must be refused.
package struct TestCA: Sendable {
    /// When tests take place, unless they say otherwise: 2026-11-21T12:00:00Z.
    package static let now = CertificateTime(unixSeconds: 1_795_262_400)

    package let certificate: Certificate
    package let key: IssuingKey
    /// The intermediates from this one upwards, without the root: what goes behind an end entity in CERT payloads.
    package let chain: [Certificate]

    /// What differs from a plain good certificate.
    package struct Options: Sendable {
        package var kind = IssuingKey.Kind.ecP256
        package var notBefore = TestCA.now + .seconds(-86_400)
        package var notAfter = TestCA.now + .seconds(365 * 86_400)
        /// nil leaves the extension out.
        package var basicConstraints: CertificateExtensions.BasicConstraints?
        package var keyUsage: CertificateExtensions.KeyUsage?
        package var extendedKeyUsage: [ObjectIdentifier]?
        package var names: [GeneralName] = []
        package var permitted: [GeneralName] = []
        package var excluded: [GeneralName] = []
        /// Further extensions, last.
        package var extensions: [CertificateTemplate.Extension] = []
        /// How the issuer signs it.
        package var signature = CertificateSignature.sha256
        /// nil: O=Test, CN=name.
        package var subject: DistinguishedName?
        package var withKeyIdentifiers = true
        /// A key that is there already, such as of a CA that is renewed.
        package var key: IssuingKey?

        package init() {}

        package static var authority: Options {
            var options = Options()
            options.basicConstraints = .init(isAuthority: true)
            options.keyUsage = [.keyCertificateSign, .crlSign]
            return options
        }

        package static var endEntity: Options {
            var options = Options()
            options.basicConstraints = .init(isAuthority: false)
            options.keyUsage = [.digitalSignature]
            options.extendedKeyUsage = [.clientAuthentication]
            return options
        }
    }

    /// A self-signed root.
    package init(_ name: String = "Root", _ change: (inout Options) -> Void = { _ in }) throws {
        var options = Options.authority
        change(&options)
        let (octets, key) = try Self.issue(name, options, issuer: nil)
        certificate = try Certificate(der: octets)
        self.key = key
        chain = []
    }

    private init(certificate: Certificate, key: IssuingKey, chain: [Certificate]) {
        self.certificate = certificate
        self.key = key
        self.chain = chain
    }

    /// A CA below this one.
    package func intermediate(_ name: String, _ change: (inout Options) -> Void = { _ in }) throws -> TestCA {
        var options = Options.authority
        change(&options)
        let (octets, key) = try Self.issue(name, options, issuer: self)
        let certificate = try Certificate(der: octets)
        return TestCA(certificate: certificate, key: key, chain: [certificate] + chain)
    }

    /// A certificate for a client (with other usages, for anyone) that this CA issued.
    package func endEntity(_ name: String, _ change: (inout Options) -> Void = { _ in }) throws -> TestCertificate {
        let (octets, key) = try endEntityOctets(name, change)
        return TestCertificate(certificate: try Certificate(der: octets), key: key, chain: chain)
    }

    /// The same as octets, for certificates that cannot be read.
    package func endEntityOctets(_ name: String, _ change: (inout Options) -> Void = { _ in }) throws -> (octets: [UInt8], key: IssuingKey) {
        var options = Options.endEntity
        change(&options)
        return try Self.issue(name, options, issuer: self)
    }

    /// What the configuration would make of it.
    package func authority(at time: CertificateTime = TestCA.now) throws -> CertificateAuthority {
        try CertificateAuthority(name: certificate.description, certificate: certificate, revocationCheck: .none, at: time)
    }

    package func anchors(at time: CertificateTime = TestCA.now) throws -> TrustAnchors { try TrustAnchors([authority(at: time)]) }

    private static func issue(_ name: String, _ options: Options, issuer: TestCA?) throws -> (octets: [UInt8], key: IssuingKey) {
        let key = try options.key ?? IssuingKey(generating: options.kind)
        guard let subject = options.subject ?? DistinguishedName([("O", "Test"), ("CN", name)]) else { throw IssuingError.badValue }
        let serialNumber = [0x40] + SystemEntropy().octets(15)
        var template = CertificateTemplate(
            subject: subject, notBefore: options.notBefore, notAfter: options.notAfter, serialNumber: serialNumber)
        if let constraints = options.basicConstraints {
            template.extensions.append(
                .basicConstraints(isAuthority: constraints.isAuthority, maximumPathLength: constraints.maximumPathLength))
        }
        if let usage = options.keyUsage { template.extensions.append(.keyUsage(usage)) }
        if let purposes = options.extendedKeyUsage { template.extensions.append(.extendedKeyUsage(purposes)) }
        if !options.names.isEmpty { template.extensions.append(.subjectAlternativeNames(options.names)) }
        if !options.permitted.isEmpty || !options.excluded.isEmpty {
            template.extensions.append(.nameConstraints(permitted: options.permitted, excluded: options.excluded))
        }
        if options.withKeyIdentifiers {
            template.extensions.append(.subjectKeyIdentifier(PrivateCA.keyIdentifier(key.subjectPublicKeyInfo)))
            template.extensions.append(
                .authorityKeyIdentifier(PrivateCA.keyIdentifier((issuer?.key ?? key).subjectPublicKeyInfo)))
        }
        template.extensions += options.extensions
        let octets = try template.issued(
            for: key.subjectPublicKeyInfo, by: issuer?.certificate.subject ?? subject, key: issuer?.key ?? key, signature: options.signature)
        return (octets, key)
    }
}

/// An end entity of a `TestCA`.
package struct TestCertificate: Sendable {
    package let certificate: Certificate
    package let key: IssuingKey
    /// The intermediates above it.
    package let chain: [Certificate]

    /// CERT payloads' octets.
    package var payloads: [[UInt8]] { [certificate.der] + chain.map(\.der) }
}

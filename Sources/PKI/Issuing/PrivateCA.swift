package import GatewayCrypto
import Wire

/// A CA of one's own for `make run` and small sites: a self-signed root that issues the gateway's certificate and one for each client.
/// Where its files lie, and who may read them, is the caller's affair.
package struct PrivateCA: Sendable {
    package let certificate: Certificate
    package let key: IssuingKey

    /// How long: from the given time, which should lie an hour back so that clocks may differ.
    package struct Validity: Hashable, Sendable {
        package var from: CertificateTime
        package var days: Int

        package init(from: CertificateTime, days: Int) {
            self.from = from
            self.days = days
        }

        var until: CertificateTime { from + .seconds(Int64(clamping: days) * 86_400) }
    }

    /// Ten years for a root.
    package static let rootDays = 3653
    /// For others: Apple's devices take 825 days at most, and count the second at the end too (RFC 5280 section 4.1.2.5), so one day less.
    package static let endEntityDays = 824

    /// A fresh root: ECDSA P-256, or RSA-3072 where the clients need RSA.
    package init(
        generating name: String, organization: String = "ipsec-gw", kind: IssuingKey.Kind = .ecP256, validity: Validity, entropy: any Entropy
    ) throws(IssuingError) {
        let key = try IssuingKey(generating: kind)
        guard let subject = DistinguishedName([("O", organization), ("CN", name)]) else { throw .badValue }
        var template = CertificateTemplate(
            subject: subject, notBefore: validity.from, notAfter: validity.until, serialNumber: Self.serialNumber(entropy))
        let identifier = Self.keyIdentifier(key.subjectPublicKeyInfo)
        template.extensions = [
            .basicConstraints(isAuthority: true, maximumPathLength: 0), .keyUsage([.keyCertificateSign, .crlSign]),
            .subjectKeyIdentifier(identifier), .authorityKeyIdentifier(identifier),
        ]
        let octets = try template.issued(for: key.subjectPublicKeyInfo, by: subject, key: key)
        guard let certificate = try? Certificate(der: octets) else { throw .badValue }
        try self.init(certificate: certificate, key: key)
    }

    /// Of the files of an earlier run; throws `.noAuthority` where they do not belong together.
    package init(certificateFile: [UInt8], keyFile: [UInt8]) throws(IssuingError) {
        guard let certificate = try? Certificate(file: certificateFile) else { throw .noAuthority }
        try self.init(certificate: certificate, key: try IssuingKey(file: keyFile))
    }

    private init(certificate: Certificate, key: IssuingKey) throws(IssuingError) {
        guard certificate.extensions.basicConstraints?.isAuthority == true,
            LibX509.isSameKey(certificate.subjectPublicKeyInfo, key.subjectPublicKeyInfo)
        else { throw .noAuthority }
        self.certificate = certificate
        self.key = key
    }

    /// A certificate with the key that was made for it.
    package struct Issued: Sendable {
        package let certificate: Certificate
        package let key: IssuingKey
        /// Its issuer, which a bundle holds too.
        package let authority: Certificate

        /// PKCS#12 with key, certificate and CA. The password may not be empty: Apple's and Android's devices do not take such a bundle.
        package func pkcs12(password: String, friendlyName: String, protection: PKCS12Protection = .compatible) throws(IssuingError) -> [UInt8] {
            guard !password.isEmpty, !password.utf8.contains(0), !friendlyName.utf8.contains(0) else { throw .badValue }
            return try key.key.pkcs12(certificate, [authority], password: password, friendlyName: friendlyName, protection)
        }
    }

    /// A gateway's certificate: serverAuth, and every name of `name`, which is what clients type. An address stands there as dNSName too, since
    /// Windows looks for it there.
    package func issueServer(name: String, kind: IssuingKey.Kind = .ecP256, validity: Validity, entropy: any Entropy) throws(IssuingError) -> Issued {
        try issueServer(names: [name], kind: kind, validity: validity, entropy: entropy)
    }

    /// The same for a gateway with several names; the first is the subject's too. Throws `.badValue` without any.
    package func issueServer(names: [String], kind: IssuingKey.Kind, validity: Validity, entropy: any Entropy) throws(IssuingError) -> Issued {
        guard let first = names.first, names.count <= Certificate.maximumAlternativeNames / 2 else { throw .badValue }
        let addresses = names.compactMap { IPAddress($0).map(GeneralName.address) }
        return try issue(
            commonName: first, names: addresses + names.map { .dns($0) }, purposes: [.serverAuthentication], kind: kind, validity: validity,
            entropy: entropy)
    }

    /// A client's certificate: clientAuth, and its identity by its look: with an @ a mail address, else a domain name or an address.
    package func issueClient(
        identity: String, kind: IssuingKey.Kind = .ecP256, validity: Validity, entropy: any Entropy
    ) throws(IssuingError) -> Issued {
        let name: GeneralName =
            if let address = IPAddress(identity) { .address(address) } else if identity.contains("@") { .rfc822(identity) } else { .dns(identity) }
        return try issue(
            commonName: identity, names: [name], purposes: [.clientAuthentication], kind: kind, validity: validity, entropy: entropy)
    }

    private func issue(
        commonName: String, names: [GeneralName], purposes: [ObjectIdentifier], kind: IssuingKey.Kind, validity: Validity, entropy: any Entropy
    ) throws(IssuingError) -> Issued {
        // RFC 5280 ub-common-name, and the printable ASCII of host names and mail addresses
        guard !commonName.isEmpty, names.allSatisfy(\.isPrintable), commonName.utf8.count <= 253,
            commonName.utf8.allSatisfy({ (0x21...0x7e).contains($0) }),
            let subject = DistinguishedName(commonName.utf8.count <= 64 ? [("O", "ipsec-gw"), ("CN", commonName)] : [("O", "ipsec-gw")])
        else { throw .badValue }
        let fresh = try IssuingKey(generating: kind)
        var template = CertificateTemplate(
            subject: subject, notBefore: validity.from, notAfter: min(validity.until, certificate.notAfter),
            serialNumber: Self.serialNumber(entropy))
        template.extensions = [
            .basicConstraints(isAuthority: false), .keyUsage([.digitalSignature]), .extendedKeyUsage(purposes), .subjectAlternativeNames(names),
            .subjectKeyIdentifier(Self.keyIdentifier(fresh.subjectPublicKeyInfo)),
            .authorityKeyIdentifier(certificate.extensions.subjectKeyIdentifier ?? Self.keyIdentifier(key.subjectPublicKeyInfo)),
        ]
        let octets = try template.issued(for: fresh.subjectPublicKeyInfo, by: certificate.subject, key: key)
        guard let issued = try? Certificate(der: octets) else { throw .badValue }
        return Issued(certificate: issued, key: fresh, authority: certificate)
    }

    /// 127 random bits, never zero (RFC 5280 section 4.1.2.2).
    static func serialNumber(_ entropy: any Entropy) -> [UInt8] {
        let octets = entropy.octets(16)
        return [(octets.first ?? 0) & 0x3f | 0x40] + octets.dropFirst()
    }

    /// RFC 7093 section 2, method 1: 160 bits of SHA-256; any unique value would do.
    package static func keyIdentifier(_ subjectPublicKeyInfo: [UInt8]) -> [UInt8] { Array(Digest.sha256(subjectPublicKeyInfo).prefix(20)) }
}

extension GeneralName {
    /// A name without blanks and control characters, as hosts and people have it.
    fileprivate var isPrintable: Bool {
        switch self {
        case .rfc822(let text), .dns(let text), .uri(let text): (1...253).contains(text.count) && text.allSatisfy { (0x21...0x7e).contains($0) }
        case .address, .directory, .other: true
        }
    }
}

/// How a PKCS#12 bundle is protected.
package enum PKCS12Protection: Hashable, Sendable {
    /// 3DES and an HMAC of SHA-1: what iOS, macOS before 15 and Windows before 1709 can read (clients.md). The password protects it, so let it be long.
    case compatible
    /// AES-256 and an HMAC of SHA-256.
    case strong
}

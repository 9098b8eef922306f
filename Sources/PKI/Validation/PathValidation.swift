/// One path, end entity first and anchor last: our own rules where they are stricter or plainer than OpenSSL's, then X509_verify_cert.
enum PathValidation {
    /// Names times constraints of a whole path (threats.md C3).
    static let maximumNameComparisons = 10_000

    static func validate(
        _ path: [Certificate], accepting purposes: Set<ObjectIdentifier>, _ strength: PathStrength, _ known: KnownCertificates,
        at time: CertificateTime
    ) throws(PathFailure) {
        try checkAlgorithms(path, strength)
        try checkNameComparisons(path)
        try checkAuthorities(path)
        let read = try Self.read(path, known)
        try LibX509.verify(path, read.map(\.library), strength, at: time)
        try checkUsage(path, purposes)
        known.keep(read)
    }

    private static func read(_ path: [Certificate], _ known: KnownCertificates) throws(PathFailure) -> [KnownCertificates.Known] {
        var read: [KnownCertificates.Known] = []
        for (depth, certificate) in path.enumerated() {
            if let found = known.find(certificate.der) {
                read.append(found)
            } else {
                read.append(KnownCertificates.Known(certificate: certificate, library: try LibCertificate(certificate, depth: depth)))
            }
        }
        return read
    }

    /// An allow-list; below it OpenSSL's security level stands (threats.md C7). An anchor's own signature says nothing.
    private static func checkAlgorithms(_ path: [Certificate], _ strength: PathStrength) throws(PathFailure) {
        for (depth, certificate) in path.enumerated() {
            guard strength.accepts(certificate.subjectKey) else { throw PathFailure(.weakKey, depth: depth, certificate) }
            guard depth == path.count - 1 || strength.accepts(signature: certificate.signatureAlgorithm) else {
                throw PathFailure(.weakSignature, depth: depth, certificate)
            }
        }
    }

    private static func checkNameComparisons(_ path: [Certificate]) throws(PathFailure) {
        var names = 0
        var comparisons = 0
        for (depth, certificate) in path.enumerated() {
            comparisons += names * certificate.extensions.nameConstraintCount
            guard comparisons <= maximumNameComparisons else { throw PathFailure(.tooManyNameConstraints, depth: depth, certificate) }
            names += 1 + certificate.subject.emailAddressCount + certificate.subjectAlternativeNames.count
        }
    }

    /// OpenSSL takes version 1 roots and KeyUsage in place of BasicConstraints; RFC 5280 section 6.1.4 (k) and features.md PKI-4 do not.
    private static func checkAuthorities(_ path: [Certificate]) throws(PathFailure) {
        for (depth, certificate) in path.enumerated().dropFirst() {
            guard certificate.version == 3, certificate.extensions.basicConstraints?.isAuthority == true else {
                throw PathFailure(.issuerIsNoAuthority, depth: depth, certificate)
            }
            guard certificate.extensions.keyUsage?.contains(.keyCertificateSign) ?? true else {
                throw PathFailure(.issuerKeyUsage, depth: depth, certificate)
            }
        }
    }

    /// KeyUsage of the end entity, RFC 4945 section 5.1.3.2; ExtendedKeyUsage of all below the anchor, so that a CA for servers issues no clients.
    private static func checkUsage(_ path: [Certificate], _ purposes: Set<ObjectIdentifier>) throws(PathFailure) {
        if let endEntity = path.first, let usage = endEntity.extensions.keyUsage,
            usage.isDisjoint(with: [.digitalSignature, .contentCommitment])
        {
            throw PathFailure(.keyUsage, depth: 0, endEntity)
        }
        for (depth, certificate) in path.enumerated().dropLast() {
            guard let extended = certificate.extensions.extendedKeyUsage else { continue }
            guard !extended.isDisjoint(with: purposes) else { throw PathFailure(.extendedKeyUsage, depth: depth, certificate) }
        }
    }
}

/// Which algorithms certificates may use.
enum PathStrength: Sendable {
    case current
    /// RSA-1024, DSA and SHA-1: the suite of NIST is from 2001. Nothing but tests asks for it.
    case historic

    func accepts(_ key: SubjectKey) -> Bool { self == .historic || key.isStrong }

    func accepts(signature: ObjectIdentifier) -> Bool { self == .historic || Self.signatureAlgorithms.contains(signature) }

    /// OpenSSL's: 2 means 112 bits, that is no SHA-1, no MD5, RSA from 2048 bits.
    var securityLevel: Int32 { self == .historic ? 0 : 2 }

    private static let signatureAlgorithms: Set<ObjectIdentifier> = [
        .sha256WithRSA, .sha384WithRSA, .sha512WithRSA, .rsaPSS, .ecdsaWithSHA256, .ecdsaWithSHA384, .ecdsaWithSHA512, .ed25519, .ed448,
    ]
}

package import GatewayCrypto

/// Why nothing was issued.
package enum IssuingError: Error, Hashable, Sendable {
    /// A file without a private key, or with one that cannot be read.
    case noKey
    /// The private CA's key does not belong to its certificate, or the certificate may not issue.
    case noAuthority
    /// A name that cannot stand in a certificate, a password with a NUL.
    case badValue
    /// The library refused.
    case library
}

/// A private key that signs certificates, or for which one is issued. Its mathematics and its octets are OpenSSL's, wiped when the last owner goes.
package final class IssuingKey: Sendable {
    package enum Kind: Hashable, Sendable {
        case ecP256, ecP384, ecP521, ed25519
        case rsa(bits: Int)
    }

    let key: LibPrivateKey
    /// Of the public half.
    package let subjectPublicKeyInfo: [UInt8]
    package let subjectKey: SubjectKey

    private init(_ key: consuming LibPrivateKey) throws(IssuingError) {
        let info = try key.subjectPublicKeyInfo()
        self.key = key
        subjectPublicKeyInfo = info
        var cursor = DERCursor(info)
        guard let element = try? cursor.next(), let subjectKey = try? SubjectKey(parsing: element, of: cursor) else { throw .noKey }
        self.subjectKey = subjectKey
    }

    /// A fresh key from the library's generator.
    package convenience init(generating kind: Kind) throws(IssuingError) {
        try self.init(try LibPrivateKey(generating: kind))
    }

    /// Of a key file: PKCS#8, PKCS#1 or SEC 1, PEM or DER, not encrypted.
    package convenience init(file: [UInt8]) throws(IssuingError) {
        var octets = file
        if PEM.isText(file) {
            guard let block = try? PEM.blocks(file).first(where: { $0.label.hasSuffix("PRIVATE KEY") && !$0.label.hasPrefix("ENCRYPTED") })
            else { throw .noKey }
            octets = block.octets
        }
        try self.init(try LibPrivateKey(SecretOctets(copying: octets)))
    }

    /// PrivateKeyInfo, RFC 5208, in DER.
    package func pkcs8() throws(IssuingError) -> SecretOctets { try key.pkcs8() }

    /// The same as PEM text for a file that only its owner may read.
    package func pem() throws(IssuingError) -> SecretOctets {
        SecretOctets(copying: Array(PEM.encode("PRIVATE KEY", try key.pkcs8().exposed()).utf8))
    }
}

/// How a certificate is signed. SHA-1 is for tests of what must be refused.
package enum CertificateSignature: Hashable, Sendable {
    case sha1, sha256, sha384, sha512
    /// RSA-PSS with MGF1 of the same digest and a salt as long as it (RFC 4055).
    case pss256, pss384, pss512

    var usesPSS: Bool { self == .pss256 || self == .pss384 || self == .pss512 }

    /// OpenSSL's name of the digest.
    var digest: String {
        switch self {
        case .sha1: "SHA1"
        case .sha256, .pss256: "SHA256"
        case .sha384, .pss384: "SHA384"
        case .sha512, .pss512: "SHA512"
        }
    }

    var saltLength: Int {
        switch self {
        case .sha1: 20
        case .sha256, .pss256: 32
        case .sha384, .pss384: 48
        case .sha512, .pss512: 64
        }
    }

    /// AlgorithmIdentifier; nil where the key cannot sign so.
    func algorithm(for key: SubjectKey) -> [UInt8]? {
        switch key {
        case .rsa: rsaAlgorithm
        case .ecP256, .ecP384, .ecP521: ecdsaIdentifier.map { DERWriting.sequence($0.der) }
        case .ed25519: DERWriting.sequence(ObjectIdentifier.ed25519.der)
        case .ed448, .other: nil
        }
    }

    private var rsaAlgorithm: [UInt8] {
        let hash: ObjectIdentifier
        switch self {
        case .sha1: return DERWriting.sequence(ObjectIdentifier.sha1WithRSA.der, DERWriting.null)
        case .sha256: return DERWriting.sequence(ObjectIdentifier.sha256WithRSA.der, DERWriting.null)
        case .sha384: return DERWriting.sequence(ObjectIdentifier.sha384WithRSA.der, DERWriting.null)
        case .sha512: return DERWriting.sequence(ObjectIdentifier.sha512WithRSA.der, DERWriting.null)
        case .pss256: hash = .sha256
        case .pss384: hash = .sha384
        case .pss512: hash = .sha512
        }
        let digest = DERWriting.sequence(hash.der, DERWriting.null)
        return DERWriting.sequence(
            ObjectIdentifier.rsaPSS.der,
            DERWriting.sequence(
                DERWriting.explicit(0, digest), DERWriting.explicit(1, DERWriting.sequence(ObjectIdentifier.mgf1.der, digest)),
                DERWriting.explicit(2, DERWriting.integer(saltLength))))
    }

    private var ecdsaIdentifier: ObjectIdentifier? {
        switch self {
        case .sha1: .ecdsaWithSHA1
        case .sha256: .ecdsaWithSHA256
        case .sha384: .ecdsaWithSHA384
        case .sha512: .ecdsaWithSHA512
        case .pss256, .pss384, .pss512: nil
        }
    }
}

package import Wire

/// A hash function by its number in SIGNATURE_HASH_ALGORITHMS, RFC 7427 section 4 and RFC 8420 section 2.
package struct SignatureHashAlgorithm: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let sha1 = Self(rawValue: 1)
    package static let sha256 = Self(rawValue: 2)
    package static let sha384 = Self(rawValue: 3)
    package static let sha512 = Self(rawValue: 4)
    /// No hash before the signature's own: Ed25519.
    package static let identity = Self(rawValue: 5)

    /// What we say we have: never SHA-1 (threats.md C7).
    package static let announced: [Self] = [.sha256, .sha384, .sha512, .identity]

    /// The data of a SIGNATURE_HASH_ALGORITHMS notify.
    package static func encoded(_ algorithms: [Self] = announced) -> [UInt8] {
        var octets: [UInt8] = []
        for algorithm in algorithms { octets.append(bigEndian: algorithm.rawValue) }
        return octets
    }

    /// What a peer's notify says, unknown numbers included; the first 64 of them. Throws `.truncated` for an odd number of octets.
    package static func list(parsing data: [UInt8]) throws(WireError) -> [Self] {
        var algorithms: [Self] = []
        var octets = unsafe data.span.bytes
        while !octets.isEmpty {
            let algorithm = Self(rawValue: try octets.next())
            if algorithms.count < 64 { algorithms.append(algorithm) }
        }
        return algorithms
    }
}

/// A row of the table of signatures: what an AUTH payload by certificate may hold. RFC 7427 (method 14), and methods 1, 9, 10, 11.
package struct SignatureScheme: Hashable, Sendable, CustomStringConvertible {
    /// The mathematics, and how a signature is written.
    package enum Family: Hashable, Sendable {
        case rsaPKCS1
        /// The mask's hash is the same, the salt as long as the digest.
        case rsaPSS
        /// SEQUENCE { r, s } in DER.
        case ecdsa
        /// r | s, each as long as the order of this curve, the only one (RFC 4754).
        case ecdsaConcatenated(PublicKey.Kind)
        case ed25519
    }

    package let family: Family
    package let hash: SignatureHashAlgorithm
    /// The AUTH payload's method: 1, 9, 10, 11 or 14.
    package let method: UInt8
    /// DER; the one that we send first, then others that say the same. Only with method 14.
    package let algorithmIdentifiers: [[UInt8]]
    /// For logs.
    package let description: String

    private init(
        _ description: String, _ family: Family, _ hash: SignatureHashAlgorithm, method: UInt8 = 14, _ identifiers: [[UInt8]] = []
    ) {
        self.description = description
        self.family = family
        self.hash = hash
        self.method = method
        algorithmIdentifiers = identifiers
    }

    package static let rsaSHA256 = Self("RSA with SHA-256", .rsaPKCS1, .sha256, AlgorithmIdentifier.rsaPKCS1(0x0b))
    package static let rsaSHA384 = Self("RSA with SHA-384", .rsaPKCS1, .sha384, AlgorithmIdentifier.rsaPKCS1(0x0c))
    package static let rsaSHA512 = Self("RSA with SHA-512", .rsaPKCS1, .sha512, AlgorithmIdentifier.rsaPKCS1(0x0d))
    package static let pssSHA256 = Self("RSA-PSS with SHA-256", .rsaPSS, .sha256, AlgorithmIdentifier.rsaPSS(hash: 1, salt: 32))
    package static let pssSHA384 = Self("RSA-PSS with SHA-384", .rsaPSS, .sha384, AlgorithmIdentifier.rsaPSS(hash: 2, salt: 48))
    package static let pssSHA512 = Self("RSA-PSS with SHA-512", .rsaPSS, .sha512, AlgorithmIdentifier.rsaPSS(hash: 3, salt: 64))
    package static let ecdsaSHA256 = Self("ECDSA with SHA-256", .ecdsa, .sha256, AlgorithmIdentifier.ecdsa(2))
    package static let ecdsaSHA384 = Self("ECDSA with SHA-384", .ecdsa, .sha384, AlgorithmIdentifier.ecdsa(3))
    package static let ecdsaSHA512 = Self("ECDSA with SHA-512", .ecdsa, .sha512, AlgorithmIdentifier.ecdsa(4))
    package static let ed25519 = Self("Ed25519", .ed25519, .identity, [AlgorithmIdentifier.ed25519])

    /// Method 1: RSA PKCS#1 v1.5 with SHA-1, RFC 7296 section 3.8. For a peer that sent no SIGNATURE_HASH_ALGORITHMS (features.md X-7).
    package static let method1 = Self("RSA with SHA-1 (method 1)", .rsaPKCS1, .sha1, method: 1)
    package static let method9 = Self("ECDSA-256 (method 9)", .ecdsaConcatenated(.p256), .sha256, method: 9)
    package static let method10 = Self("ECDSA-384 (method 10)", .ecdsaConcatenated(.p384), .sha384, method: 10)
    package static let method11 = Self("ECDSA-521 (method 11)", .ecdsaConcatenated(.p521), .sha512, method: 11)

    /// Those of method 14.
    package static let digitalSignatures: [Self] = [
        rsaSHA256, rsaSHA384, rsaSHA512, pssSHA256, pssSHA384, pssSHA512, ecdsaSHA256, ecdsaSHA384, ecdsaSHA512, ed25519,
    ]
    package static let all: [Self] = digitalSignatures + [method1, method9, method10, method11]

    /// The scheme that a method stands for alone; nil for 14 and for what is no signature.
    package static func of(method: UInt8) -> Self? {
        method == 14 ? nil : all.first { $0.method == method }
    }

    /// The scheme of an RFC 7427 AlgorithmIdentifier: octet for octet one of the table's, or nil (threats.md C7).
    package static func of(algorithmIdentifier octets: [UInt8]) -> Self? {
        byIdentifier[octets]
    }

    private static let byIdentifier: [[UInt8]: Self] = {
        var table: [[UInt8]: Self] = [:]
        for scheme in digitalSignatures {
            for identifier in scheme.algorithmIdentifiers { table[identifier] = scheme }
        }
        return table
    }()

    package static func == (left: Self, right: Self) -> Bool {
        left.family == right.family && left.hash == right.hash && left.method == right.method
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(family)
        hasher.combine(hash)
        hasher.combine(method)
    }

    /// Whether a key of this kind can make or check such a signature.
    package func fits(_ kind: PublicKey.Kind) -> Bool {
        switch (family, kind) {
        case (.rsaPKCS1, .rsa), (.rsaPSS, .rsa), (.ecdsa, .p256), (.ecdsa, .p384), (.ecdsa, .p521), (.ed25519, .ed25519): true
        case (.ecdsaConcatenated(let curve), _): curve == kind
        default: false
        }
    }
}

/// The AlgorithmIdentifiers of RFC 7427 appendix A and RFC 8420, in DER.
private enum AlgorithmIdentifier {
    private static let null: [UInt8] = [0x05, 0x00]

    /// 1.2.840.113549.1.1.n with NULL, or without: RFC 4055 section 5 wants both taken.
    static func rsaPKCS1(_ last: UInt8) -> [[UInt8]] {
        let object = DER.object([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last])
        return [DER.sequence(object + null), DER.sequence(object)]
    }

    /// 1.2.840.10045.4.3.n, no parameters (RFC 5758 section 3.2).
    static func ecdsa(_ last: UInt8) -> [[UInt8]] {
        [DER.sequence(DER.object([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, last]))]
    }

    /// 1.3.101.112.
    static let ed25519 = DER.sequence(DER.object([0x2b, 0x65, 0x70]))

    /// id-RSASSA-PSS with all parameters that matter. The hash (2.16.840.1.101.3.4.2.n) has NULL or nothing (RFC 4055 section 2.1), and the
    /// trailer field, a default, is left out as DER wants or written down as RFC 7427 appendix A.4.3 shows.
    static func rsaPSS(hash last: UInt8, salt: UInt8) -> [[UInt8]] {
        let trailer = DER.tagged(3, DER.element(0x02, [1]))
        return [(null, []), (null, trailer), ([], []), ([], trailer)].map { parameters, trailer in
            let hash = DER.sequence(DER.object([0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, last]) + parameters)
            let mask = DER.sequence(DER.object([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08]) + hash)
            return DER.sequence(
                DER.object([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a])
                    + DER.sequence(
                        DER.tagged(0, hash) + DER.tagged(1, mask) + DER.tagged(2, DER.element(0x02, [salt])) + trailer))
        }
    }
}

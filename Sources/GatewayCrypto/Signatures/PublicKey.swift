internal import Wire

/// A public key that signatures are checked with; equal when its SubjectPublicKeyInfo is.
package struct PublicKey: Hashable, Sendable {
    /// The algorithm and its size. Curves are those of RFC 5480; everything else is refused.
    package enum Kind: Hashable, Sendable {
        case rsa(bits: Int)
        case p256, p384, p521
        case ed25519

        /// Octets of a signature: all of it with RSA and Ed25519, half of r | s with ECDSA.
        var length: Int {
            switch self {
            case .rsa(let bits): (bits + 7) / 8
            case .p256: 32
            case .p384: 48
            case .p521: 66
            case .ed25519: 64
            }
        }
    }

    package let kind: Kind
    /// DER, as it came: what certificates hold, and what their key identifiers are the hash of.
    package let subjectPublicKeyInfo: [UInt8]
    private let key: LibCrypto.SignatureKey

    /// Reads a SubjectPublicKeyInfo: algorithm and parameters octet for octet, and RSA's numbers, before the library sees any of it.
    /// Throws `.malformed`, `.unsupportedAlgorithm`, `.rsaModulus`, `.rsaExponent`, `.library`.
    package init(subjectPublicKeyInfo octets: [UInt8]) throws(KeyError) {
        let (kind, numbers) = try Self.numbers(of: octets)
        do {
            key = try LibCrypto.SignatureKey(numbers)
        } catch {
            throw .malformed  // such as a point off its curve
        }
        self.kind = kind
        subjectPublicKeyInfo = octets
    }

    package static func == (left: Self, right: Self) -> Bool { left.subjectPublicKeyInfo == right.subjectPublicKeyInfo }
    package func hash(into hasher: inout Hasher) { hasher.combine(subjectPublicKeyInfo) }

    /// Returns when the signature over these octets is right. Throws `.wrongKey` when the scheme is not for this kind of key, else `.invalid`.
    package func verify(_ signature: [UInt8], over octets: [UInt8], by scheme: SignatureScheme) throws(SignatureError) {
        guard scheme.fits(kind) else { throw .wrongKey }
        let given: [UInt8]
        switch scheme.family {
        case .rsaPKCS1, .rsaPSS, .ed25519:
            guard signature.count == kind.length else { throw .invalid }
            given = signature
        case .ecdsa:
            // The library wants the shortest encoding and nothing behind it; two numbers take no more than this.
            guard signature.count <= 2 * (kind.length + 3) + 4 else { throw .invalid }
            given = signature
        case .ecdsaConcatenated:
            guard signature.count == 2 * kind.length else { throw .invalid }
            given = DER.sequence(DER.integer(signature.prefix(kind.length)) + DER.integer(signature.suffix(kind.length)))
        }
        guard key.verifies(given, over: octets, by: scheme) else { throw .invalid }
    }

    /// What our own key signs with: the first scheme that fits it, out of the peer's SIGNATURE_HASH_ALGORITHMS. Without that notify methods 1
    /// and 9 to 11 (features.md X-7). Nil when there is none.
    package func scheme(peerHashes: [SignatureHashAlgorithm]?, preferringPSS: Bool) -> SignatureScheme? {
        guard let peerHashes else {
            return [SignatureScheme.method1, .method9, .method10, .method11].first { $0.fits(kind) }
        }
        return preferences(pss: preferringPSS).first { peerHashes.contains($0.hash) }
    }

    /// A hash as strong as the key first, then stronger, then weaker ones.
    private func preferences(pss: Bool) -> [SignatureScheme] {
        switch kind {
        case .rsa: pss ? [.pssSHA256, .pssSHA384, .pssSHA512] : [.rsaSHA256, .rsaSHA384, .rsaSHA512]
        case .p256: [.ecdsaSHA256, .ecdsaSHA384, .ecdsaSHA512]
        case .p384: [.ecdsaSHA384, .ecdsaSHA512, .ecdsaSHA256]
        case .p521: [.ecdsaSHA512, .ecdsaSHA384, .ecdsaSHA256]
        case .ed25519: [.ed25519]
        }
    }
}

extension PublicKey {
    private static func numbers(of info: [UInt8]) throws(KeyError) -> (Kind, LibCrypto.PublicNumbers) {
        guard let (algorithm, key) = try? parts(of: info) else { throw .malformed }
        guard let row = algorithms.first(where: { $0.identifier == algorithm }) else { throw .unsupportedAlgorithm }
        switch row.kind {
        case .rsa: return try rsa(key)
        case .p256: return (row.kind, try point(key, on: "P-256", length: row.kind.length))
        case .p384: return (row.kind, try point(key, on: "P-384", length: row.kind.length))
        case .p521: return (row.kind, try point(key, on: "P-521", length: row.kind.length))
        case .ed25519:
            guard key.count == 32 else { throw .malformed }
            return (row.kind, .ed25519(key))
        }
    }

    /// Uncompressed, RFC 5480 section 2.2.
    private static func point(_ key: [UInt8], on curve: String, length: Int) throws(KeyError) -> LibCrypto.PublicNumbers {
        guard key.count == 1 + 2 * length, key.first == 0x04 else { throw .malformed }
        return .point(key, curve: curve)
    }

    /// AlgorithmIdentifiers with their only parameters (RFC 3279 section 2.3.1, RFC 5480 section 2.1.1, RFC 8410 section 3).
    private static let algorithms: [(identifier: [UInt8], kind: Kind)] = {
        let curves = DER.object([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01])
        return [
            (DER.sequence(DER.object([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01]) + [0x05, 0x00]), .rsa(bits: 0)),
            (DER.sequence(curves + DER.object([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07])), .p256),
            (DER.sequence(curves + DER.object([0x2b, 0x81, 0x04, 0x00, 0x22])), .p384),
            (DER.sequence(curves + DER.object([0x2b, 0x81, 0x04, 0x00, 0x23])), .p521),
            (DER.sequence(DER.object([0x2b, 0x65, 0x70])), .ed25519),
        ]
    }()

    /// SEQUENCE { AlgorithmIdentifier, BIT STRING without unused bits }.
    private static func parts(of info: [UInt8]) throws(WireError) -> (algorithm: [UInt8], key: [UInt8]) {
        var octets = unsafe info.span.bytes
        let whole = try octets.element(0x30)
        try octets.end()
        var fields = unsafe whole.span.bytes
        let algorithm = DER.sequence(try fields.element(0x30))
        let bits = try fields.element(0x03)
        try fields.end()
        guard bits.first == 0 else { throw .badValue }
        return (algorithm, Array(bits.dropFirst()))
    }

    /// SEQUENCE { modulus, publicExponent }.
    private static func rsa(_ key: [UInt8]) throws(KeyError) -> (Kind, LibCrypto.PublicNumbers) {
        guard let (modulus, exponent) = try? rsaNumbers(key), let first = modulus.first, let last = modulus.last else { throw .malformed }
        let bits = modulus.count * 8 - first.leadingZeroBitCount
        guard (2048...8192).contains(bits) else { throw .rsaModulus(bits: bits) }
        guard last & 1 == 1 else { throw .malformed }
        // Up to eight octets: below 2^64, and odd, so never 2^64 itself.
        guard exponent.count <= 8 else { throw .rsaExponent }
        let e = exponent.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard e >= 65537, e & 1 == 1 else { throw .rsaExponent }
        return (.rsa(bits: bits), .rsa(modulus: modulus, exponent: exponent))
    }

    private static func rsaNumbers(_ key: [UInt8]) throws(WireError) -> (modulus: [UInt8], exponent: [UInt8]) {
        var octets = unsafe key.span.bytes
        let whole = try octets.element(0x30)
        try octets.end()
        var numbers = unsafe whole.span.bytes
        let modulus = try numbers.unsignedInteger()
        let exponent = try numbers.unsignedInteger()
        try numbers.end()
        return (modulus, exponent)
    }
}

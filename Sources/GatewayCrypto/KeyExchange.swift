package import Wire

/// One ephemeral key of one key exchange method, RFC 7296 section 3.4.
/// Public values: MODP as long as the prime (RFC 3526), ECP x | y (RFC 5903), X25519 and X448 as RFC 8031.
package struct KeyExchange: ~Copyable, Sendable {
    package let method: KeyExchangeMethod
    package let publicValue: [UInt8]
    private let group: Group
    let privateValue: SecretOctets

    /// A row of the table of methods: which mathematics, and its lengths in octets.
    enum Group: Sendable {
        /// Modular exponentiation; the exponent's octets, as long as RFC 3526 section 8 asks and no longer.
        case modp(LibCrypto.Prime, exponent: Int)
        /// A curve of RFC 5903; length of a coordinate.
        case ecp(LibCrypto.Curve, length: Int)
        /// A function of RFC 7748.
        case montgomery(LibCrypto.Montgomery)
    }

    static let rows: [KeyExchangeMethod: Group] = [
        .modp768: .modp(.rfc2409_768, exponent: 30),
        .modp1024: .modp(.rfc2409_1024, exponent: 30),
        .modp1536: .modp(.rfc3526_1536, exponent: 30),
        .modp2048: .modp(.rfc3526_2048, exponent: 40),
        .modp3072: .modp(.rfc3526_3072, exponent: 53),
        .modp4096: .modp(.rfc3526_4096, exponent: 60),
        .modp6144: .modp(.rfc3526_6144, exponent: 68),
        .modp8192: .modp(.rfc3526_8192, exponent: 78),
        .ecp256: .ecp(.p256, length: 32),
        .ecp384: .ecp(.p384, length: 48),
        .ecp521: .ecp(.p521, length: 66),
        .x25519: .montgomery(.x25519),
        .x448: .montgomery(.x448),
    ]

    package static func supports(_ method: KeyExchangeMethod) -> Bool { rows[method] != nil }

    /// Octets of a KE payload's data; nil for a method this build does not have.
    package static func publicValueLength(_ method: KeyExchangeMethod) -> Int? { rows[method]?.publicValueLength }

    /// A fresh key whose private value comes from `entropy` alone; throws `.unsupported`, `.library`.
    package init(_ method: KeyExchangeMethod, entropy: any Entropy) throws(CryptoError) {
        guard let group = Self.rows[method] else { throw .unsupported }
        // A curve's private value is drawn anew until it lies in 1 ..< order; for these curves all but the first draw are rare.
        for _ in 0..<128 {
            let candidate = group.draw(from: entropy)
            if case .ecp(let curve, _) = group, !(try LibCrypto.isPrivateValue(candidate, on: curve)) { continue }
            try self.init(method, privateValue: candidate)
            return
        }
        throw .library
    }

    /// A key with a private value that is known already: vectors. Throws `.unsupported`, `.badLength` (also for a value outside the group's
    /// range), `.library`.
    package init(_ method: KeyExchangeMethod, privateValue: consuming SecretOctets) throws(CryptoError) {
        guard let group = Self.rows[method] else { throw .unsupported }
        guard privateValue.count == group.privateValueLength else { throw .badLength }
        switch group {
        case .modp(let prime, _):
            publicValue = try LibCrypto.modpPublicValue(prime, privateValue)
        case .ecp(let curve, let length):
            guard try LibCrypto.isPrivateValue(privateValue, on: curve) else { throw .badLength }
            publicValue = try LibCrypto.curvePublicValue(curve, length: length, privateValue)
        case .montgomery(let function):
            publicValue = try LibCrypto.montgomeryPublicValue(function, privateValue)
        }
        self.method = method
        self.group = group
        self.privateValue = privateValue
    }

    /// g^ir with the peer's public value, as long as the prime, the coordinate or the public value. Throws `.badLength` for another length than
    /// the method's, `.invalidPublicValue` for a value outside 1 < y < p-1, a point off the curve, an all-zero result; `.library`.
    package borrowing func sharedSecret(with peer: [UInt8]) throws(CryptoError) -> SecretOctets {
        guard peer.count == group.publicValueLength else { throw .badLength }
        switch group {
        case .modp(let prime, _):
            return try LibCrypto.modpSharedSecret(prime, privateValue, peer)
        case .ecp(let curve, let length):
            return try LibCrypto.curveSharedSecret(curve, length: length, privateValue, peer)
        case .montgomery(let function):
            return try LibCrypto.montgomerySharedSecret(function, privateValue, publicValue: publicValue, peer)
        }
    }
}

extension KeyExchange.Group {
    var publicValueLength: Int {
        switch self {
        case .modp(let prime, _): prime.length
        case .ecp(_, let length): 2 * length
        case .montgomery(let function): function.length
        }
    }

    var privateValueLength: Int {
        switch self {
        case .modp(_, let exponent): exponent
        case .ecp(_, let length): length
        case .montgomery(let function): function.length
        }
    }

    fileprivate func draw(from entropy: any Entropy) -> SecretOctets {
        var candidate = entropy.secret(privateValueLength)
        unsafe candidate.withUnsafeMutableBytes { octets in
            guard let first = octets.indices.first else { return }
            switch self {
            case .modp: unsafe octets[first] |= 0x80  // a full-length exponent, never 0 or 1
            case .ecp(.p521, _): unsafe octets[first] &= 0x01  // 521 bits in 66 octets
            case .ecp, .montgomery: break
            }
        }
        return candidate
    }
}

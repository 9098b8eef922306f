/// What kind of key a SubjectPublicKeyInfo holds, and how large: enough to refuse it before any mathematics (threats.md C3, C7).
package enum SubjectKey: Hashable, Sendable {
    case rsa(bits: Int, exponent: UInt64)
    case ecP256, ecP384, ecP521
    case ed25519, ed448
    case other(ObjectIdentifier)

    package static let maximumRSABits = 8192
    package static let minimumRSABits = 2048

    /// RSA from 2048 bits with an exponent of 65537 or more, the three NIST curves, the Edwards curves.
    package var isStrong: Bool {
        switch self {
        case .rsa(let bits, let exponent): bits >= Self.minimumRSABits && exponent >= 65_537
        case .ecP256, .ecP384, .ecP521, .ed25519, .ed448: true
        case .other: false
        }
    }

    /// Whether we have the algorithm at all.
    package var isSupported: Bool {
        if case .other = self { false } else { true }
    }

    /// SubjectPublicKeyInfo ::= SEQUENCE { algorithm SEQUENCE { OBJECT IDENTIFIER, parameters ANY OPTIONAL }, key BIT STRING }
    /// Throws `.rsaKey` beyond 1024 ... 8192 bits or an exponent that is even or above 64 bits.
    init(parsing element: DERElement, of outer: DERCursor) throws(CertificateError) {
        let type: ObjectIdentifier
        let curve: ObjectIdentifier?
        let key: [UInt8]
        do throws(DERError) {
            guard element.tag == DER.Tag.sequence else { throw .unexpectedTag }
            var info = outer.inside(element)
            var algorithm = info.inside(try info.next(DER.Tag.sequence))
            type = try algorithm.objectIdentifier(try algorithm.next())
            let parameters = algorithm.isAtEnd ? nil : try algorithm.next()
            try algorithm.finish()
            // parameters that name no curve give none
            if let parameters, parameters.tag == DER.Tag.objectIdentifier {
                curve = try algorithm.objectIdentifier(parameters)
            } else {
                curve = nil
            }
            key = try info.bitString(try info.next(DER.Tag.bitString)).octets
            try info.finish()
        } catch {
            throw .encoding(error)
        }
        switch type {
        case .rsaEncryption, .rsaPSS: self = try Self.rsa(key)
        case .ecPublicKey:
            switch curve {
            case .p256?: self = .ecP256
            case .p384?: self = .ecP384
            case .p521?: self = .ecP521
            default: self = .other(curve ?? type)
            }
        case .ed25519: self = .ed25519
        case .ed448: self = .ed448
        default: self = .other(type)
        }
    }

    /// RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }
    private static func rsa(_ key: [UInt8]) throws(CertificateError) -> SubjectKey {
        let modulus: [UInt8]
        let exponent: [UInt8]
        do throws(DERError) {
            var outer = DERCursor(key)
            var cursor = outer.inside(try outer.next(DER.Tag.sequence))
            try outer.finish()
            modulus = try cursor.magnitude(try cursor.next(DER.Tag.integer))
            exponent = try cursor.magnitude(try cursor.next(DER.Tag.integer))
            try cursor.finish()
        } catch {
            throw .encoding(error)
        }
        guard let first = modulus.first, let last = modulus.last, last & 1 == 1 else { throw .rsaKey }
        let bits = modulus.count * 8 - first.leadingZeroBitCount
        guard (1024...maximumRSABits).contains(bits), exponent.count <= 8 else { throw .rsaKey }
        let value = exponent.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard value & 1 == 1, value >= 3 else { throw .rsaKey }
        return .rsa(bits: bits, exponent: value)
    }
}

import COpenSSL

// MARK: Groups

/// A number of the library, wiped in deinit.
@safe struct Number: ~Copyable {
    let pointer: OpaquePointer

    init() throws(CryptoError) {
        guard let fresh = unsafe BN_new() else { throw LibCrypto.libraryFault() }
        unsafe pointer = fresh
    }

    /// Takes over what the library made.
    init(owning made: OpaquePointer?) throws(CryptoError) {
        guard let made = unsafe made else { throw LibCrypto.libraryFault() }
        unsafe pointer = made
    }

    init(_ octets: [UInt8]) throws(CryptoError) {
        guard let count = Int32(exactly: octets.count) else { throw .badLength }
        try unsafe self.init(owning: BN_bin2bn(octets, count, nil))
    }

    /// A number that is worked with in constant time.
    init(secret octets: borrowing SecretOctets) throws(CryptoError) {
        guard let count = Int32(exactly: octets.count) else { throw .badLength }
        try unsafe self.init(owning: BN_bin2bn(octets.base.assumingMemoryBound(to: UInt8.self), count, nil))
        unsafe gw_set_constant_time(pointer)
    }

    deinit { unsafe BN_clear_free(pointer) }

    /// Big-endian, padded on the left; throws `.library` when it does not fit into `length` octets.
    func secretOctets(_ length: Int) throws(CryptoError) -> SecretOctets {
        let octets = SecretOctets(count: length)
        guard let count = Int32(exactly: length),
            unsafe BN_bn2binpad(pointer, octets.base.assumingMemoryBound(to: UInt8.self), count) == count
        else { throw LibCrypto.libraryFault() }
        return octets
    }
}

/// Room for the library's intermediate numbers, which it wipes.
@safe private struct Workspace: ~Copyable {
    let pointer: OpaquePointer

    init() throws(CryptoError) {
        guard let fresh = unsafe BN_CTX_new() else { throw LibCrypto.libraryFault() }
        unsafe pointer = fresh
    }

    deinit { unsafe BN_CTX_free(pointer) }
}

extension LibCrypto {
    /// The primes of RFC 3526, and of RFC 2409 section 6 (bits); all safe, and the generator is 2.
    enum Prime: Int, Sendable {
        case rfc2409_768 = 768
        case rfc2409_1024 = 1024
        case rfc3526_1536 = 1536
        case rfc3526_2048 = 2048
        case rfc3526_3072 = 3072
        case rfc3526_4096 = 4096
        case rfc3526_6144 = 6144
        case rfc3526_8192 = 8192

        /// Octets of the prime.
        var length: Int { rawValue / 8 }
    }

    private static func number(_ prime: Prime) throws(CryptoError) -> Number {
        let made: OpaquePointer? =
            switch prime {
            case .rfc2409_768: unsafe BN_get_rfc2409_prime_768(nil)
            case .rfc2409_1024: unsafe BN_get_rfc2409_prime_1024(nil)
            case .rfc3526_1536: unsafe BN_get_rfc3526_prime_1536(nil)
            case .rfc3526_2048: unsafe BN_get_rfc3526_prime_2048(nil)
            case .rfc3526_3072: unsafe BN_get_rfc3526_prime_3072(nil)
            case .rfc3526_4096: unsafe BN_get_rfc3526_prime_4096(nil)
            case .rfc3526_6144: unsafe BN_get_rfc3526_prime_6144(nil)
            case .rfc3526_8192: unsafe BN_get_rfc3526_prime_8192(nil)
            }
        let number = try unsafe Number(owning: made)
        guard unsafe BN_num_bits(number.pointer) == Int32(prime.rawValue) else { throw .badLength }
        return number
    }

    static func modpPublicValue(_ prime: Prime, _ privateValue: borrowing SecretOctets) throws(CryptoError) -> [UInt8] {
        try power(of: try Number([2]), privateValue, modulo: try number(prime)).secretOctets(prime.length).exposed()
    }

    /// Throws `.invalidPublicValue` unless 1 < y < p - 1 (RFC 6989 section 2.1: enough where p is a safe prime).
    static func modpSharedSecret(
        _ prime: Prime, _ privateValue: borrowing SecretOctets, _ peer: [UInt8]
    ) throws(CryptoError) -> SecretOctets {
        guard peer.count == prime.length else { throw .badLength }
        let p = try number(prime)
        let y = try Number(peer)
        let last = try unsafe Number(owning: BN_dup(p.pointer))
        guard unsafe BN_sub_word(last.pointer, 1) == 1 else { throw libraryFault() }
        guard unsafe BN_cmp(y.pointer, BN_value_one()) > 0, unsafe BN_cmp(y.pointer, last.pointer) < 0 else {
            throw .invalidPublicValue
        }
        return try power(of: y, privateValue, modulo: p).secretOctets(prime.length)
    }

    private static func power(
        of base: borrowing Number, _ exponent: borrowing SecretOctets, modulo p: borrowing Number
    ) throws(CryptoError) -> Number {
        let secret = try Number(secret: exponent)
        let workspace = try Workspace()
        let result = try Number()
        guard
            unsafe BN_mod_exp_mont_consttime(
                result.pointer, base.pointer, secret.pointer, p.pointer, workspace.pointer, nil) == 1
        else { throw libraryFault() }
        return result
    }

    /// The curves of RFC 5903; all of cofactor 1.
    enum Curve: Sendable {
        case p256, p384, p521
    }

    // Made once and only read from then on, which the library allows from many threads.
    nonisolated(unsafe) private static let p256 = unsafe EC_GROUP_new_by_curve_name_ex(nil, nil, NID_X9_62_prime256v1)
    nonisolated(unsafe) private static let p384 = unsafe EC_GROUP_new_by_curve_name_ex(nil, nil, NID_secp384r1)
    nonisolated(unsafe) private static let p521 = unsafe EC_GROUP_new_by_curve_name_ex(nil, nil, NID_secp521r1)

    private static func group(_ curve: Curve) throws(CryptoError) -> OpaquePointer {
        let made: OpaquePointer? =
            switch curve {
            case .p256: unsafe p256
            case .p384: unsafe p384
            case .p521: unsafe p521
            }
        guard let group = unsafe made else { throw .library }
        return unsafe group
    }

    /// Whether the number lies in 1 ..< order.
    static func isPrivateValue(_ value: borrowing SecretOctets, on curve: Curve) throws(CryptoError) -> Bool {
        let number = try Number(secret: value)
        guard let order = unsafe EC_GROUP_get0_order(try group(curve)) else { throw libraryFault() }
        return unsafe BN_is_zero(number.pointer) == 0 && BN_cmp(number.pointer, order) < 0
    }

    static func curvePublicValue(
        _ curve: Curve, length: Int, _ privateValue: borrowing SecretOctets
    ) throws(CryptoError) -> [UInt8] {
        let group = try unsafe group(curve)
        let secret = try Number(secret: privateValue)
        let workspace = try Workspace()
        let point = try unsafe Point(group)
        var octets = [UInt8](repeating: 0, count: 1 + 2 * length)
        guard unsafe EC_POINT_mul(group, point.pointer, secret.pointer, nil, nil, workspace.pointer) == 1,
            unsafe EC_POINT_point2oct(
                group, point.pointer, POINT_CONVERSION_UNCOMPRESSED, &octets, octets.count, workspace.pointer) == octets.count
        else { throw libraryFault() }
        return Array(octets.dropFirst())
    }

    /// The x coordinate of the product. Throws `.invalidPublicValue` for a point off the curve (RFC 6989 section 2.3).
    static func curveSharedSecret(
        _ curve: Curve, length: Int, _ privateValue: borrowing SecretOctets, _ peer: [UInt8]
    ) throws(CryptoError) -> SecretOctets {
        guard peer.count == 2 * length else { throw .badLength }
        let group = try unsafe group(curve)
        let secret = try Number(secret: privateValue)
        let workspace = try Workspace()
        let point = try unsafe Point(group)
        let product = try unsafe Point(group)
        let octets = [UInt8(POINT_CONVERSION_UNCOMPRESSED.rawValue)] + peer
        // Checks both coordinates against the prime, and the equation.
        guard unsafe EC_POINT_oct2point(group, point.pointer, octets, octets.count, workspace.pointer) == 1 else {
            _ = libraryFault()
            throw .invalidPublicValue
        }
        let x = try Number()
        guard unsafe EC_POINT_mul(group, product.pointer, nil, point.pointer, secret.pointer, workspace.pointer) == 1,
            unsafe EC_POINT_get_affine_coordinates(group, product.pointer, x.pointer, nil, workspace.pointer) == 1
        else { throw libraryFault() }
        return try x.secretOctets(length)
    }
}

/// A point of the library, wiped in deinit.
@safe private struct Point: ~Copyable {
    let pointer: OpaquePointer

    init(_ group: OpaquePointer) throws(CryptoError) {
        guard let fresh = unsafe EC_POINT_new(group) else { throw LibCrypto.libraryFault() }
        unsafe pointer = fresh
    }

    deinit { unsafe EC_POINT_clear_free(pointer) }
}

import COpenSSL

extension LibCrypto {
    /// The functions of RFC 7748.
    enum Montgomery: String, Sendable {
        case x25519 = "X25519"
        case x448 = "X448"

        /// Octets of private values, public values and results alike.
        var length: Int {
            switch self {
            case .x25519: 32
            case .x448: 56
            }
        }
    }

    /// The function at the base point. The library's own way to a public value (Edwards arithmetic in C) takes three times as long as its ladder.
    static func montgomeryPublicValue(
        _ function: Montgomery, _ privateValue: borrowing SecretOctets
    ) throws(CryptoError) -> [UInt8] {
        let result = try montgomeryResult(function, privateValue, publicValue: function.basePoint, at: function.basePoint)
        return unsafe result.withUnsafeBytes { unsafe [UInt8]($0) }
    }

    /// `publicValue`: the private value's, which the library would calculate again where it is not given.
    static func montgomerySharedSecret(
        _ function: Montgomery, _ privateValue: borrowing SecretOctets, publicValue: [UInt8], _ peer: [UInt8]
    ) throws(CryptoError) -> SecretOctets {
        try montgomeryResult(function, privateValue, publicValue: publicValue, at: peer)
    }

    /// Throws `.badLength`, `.invalidPublicValue` where the result is zero, `.library`.
    private static func montgomeryResult(
        _ function: Montgomery, _ privateValue: borrowing SecretOctets, publicValue: [UInt8], at point: [UInt8]
    ) throws(CryptoError) -> SecretOctets {
        guard point.count == function.length else { throw .badLength }
        let key = try MontgomeryKey(function, privateValue, publicValue: publicValue)
        guard let other = unsafe EVP_PKEY_new_raw_public_key_ex(nil, function.rawValue, nil, point, point.count) else {
            throw libraryFault()
        }
        defer { unsafe EVP_PKEY_free(other) }
        guard let context = unsafe EVP_PKEY_CTX_new_from_pkey(nil, key.pointer, nil) else { throw libraryFault() }
        defer { unsafe EVP_PKEY_CTX_free(context) }
        // Any value of the right length is a public value of these functions: there is nothing to validate
        guard unsafe EVP_PKEY_derive_init(context) == 1, unsafe EVP_PKEY_derive_set_peer_ex(context, other, 0) == 1 else {
            throw libraryFault()
        }
        let shared = SecretOctets(count: function.length)
        var count = function.length
        // The library refuses an all-zero result itself (RFC 7748 section 6); we look again rather than rely on it.
        let derived = unsafe EVP_PKEY_derive(context, shared.base.assumingMemoryBound(to: UInt8.self), &count) == 1
        guard derived, count == function.length, !shared.isEqual(to: SecretOctets(count: function.length)) else {
            _ = libraryFault()
            throw .invalidPublicValue
        }
        return shared
    }
}

extension LibCrypto.Montgomery {
    /// RFC 7748 sections 4.1 and 4.2: u = 9 and u = 5.
    fileprivate var basePoint: [UInt8] {
        var point = [UInt8](repeating: 0, count: length)
        point[0] = self == .x25519 ? 9 : 5
        return point
    }
}

/// An X25519 or X448 key of the library; freed, and wiped by it, in deinit.
@safe private struct MontgomeryKey: ~Copyable {
    let pointer: OpaquePointer

    init(_ function: LibCrypto.Montgomery, _ value: borrowing SecretOctets, publicValue: [UInt8]) throws(CryptoError) {
        guard value.count == function.length, publicValue.count == function.length else { throw .badLength }
        guard let context = unsafe EVP_PKEY_CTX_new_from_name(nil, function.rawValue, nil) else { throw LibCrypto.libraryFault() }
        defer { unsafe EVP_PKEY_CTX_free(context) }
        var key: OpaquePointer?
        guard unsafe EVP_PKEY_fromdata_init(context) == 1,
            unsafe gw_raw_key_pair(context, &key, value.base, publicValue, function.length) == 1, let key = unsafe key
        else { throw LibCrypto.libraryFault() }
        unsafe pointer = key
    }

    deinit { unsafe EVP_PKEY_free(pointer) }
}

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

    static func montgomeryPublicValue(
        _ function: Montgomery, _ privateValue: borrowing SecretOctets
    ) throws(CryptoError) -> [UInt8] {
        let key = try MontgomeryKey(function, privateValue)
        var value = [UInt8](repeating: 0, count: function.length)
        var count = value.count
        guard unsafe EVP_PKEY_get_raw_public_key(key.pointer, &value, &count) == 1, count == function.length else {
            throw libraryFault()
        }
        return value
    }

    static func montgomerySharedSecret(
        _ function: Montgomery, _ privateValue: borrowing SecretOctets, _ peer: [UInt8]
    ) throws(CryptoError) -> SecretOctets {
        guard peer.count == function.length else { throw .badLength }
        let key = try MontgomeryKey(function, privateValue)
        guard let other = unsafe EVP_PKEY_new_raw_public_key_ex(nil, function.rawValue, nil, peer, peer.count) else {
            throw libraryFault()
        }
        defer { unsafe EVP_PKEY_free(other) }
        guard let context = unsafe EVP_PKEY_CTX_new_from_pkey(nil, key.pointer, nil) else { throw libraryFault() }
        defer { unsafe EVP_PKEY_CTX_free(context) }
        guard unsafe EVP_PKEY_derive_init(context) == 1, unsafe EVP_PKEY_derive_set_peer(context, other) == 1 else {
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

/// An X25519 or X448 key of the library; freed, and wiped by it, in deinit.
@safe private struct MontgomeryKey: ~Copyable {
    let pointer: OpaquePointer

    init(_ function: LibCrypto.Montgomery, _ value: borrowing SecretOctets) throws(CryptoError) {
        guard value.count == function.length else { throw .badLength }
        guard
            let key = unsafe EVP_PKEY_new_raw_private_key_ex(
                nil, function.rawValue, nil, value.base.assumingMemoryBound(to: UInt8.self), value.count)
        else { throw LibCrypto.libraryFault() }
        unsafe pointer = key
    }

    deinit { unsafe EVP_PKEY_free(pointer) }
}

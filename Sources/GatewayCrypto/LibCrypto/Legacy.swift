import COpenSSL

extension LibCrypto {
    // Single DES and MD4 sit in a provider that the library does not load by itself. It gets a library context of its own, made when the first of
    // them is asked for, so that nothing else is ever found there.
    nonisolated(unsafe) private static let legacy: OpaquePointer? = {
        guard let context = unsafe OSSL_LIB_CTX_new() else { return nil }
        guard unsafe OSSL_PROVIDER_load(context, "legacy") != nil else {
            unsafe OSSL_LIB_CTX_free(context)
            return nil
        }
        return unsafe context
    }()

    nonisolated(unsafe) private static let md4: OpaquePointer? = {
        guard let context = unsafe legacy, let digest = unsafe EVP_MD_fetch(context, "MD4", nil) else { return nil }
        return unsafe digest
    }()

    // Fetched once, as digests are, and never freed.
    nonisolated(unsafe) private static let ciphers: [OpaquePointer?] = unsafe CipherFunction.allCases.map {
        unsafe $0.isLegacy ? nil : EVP_CIPHER_fetch(nil, $0.rawValue, nil)
    }

    nonisolated(unsafe) private static let legacyCiphers: [OpaquePointer?] = unsafe CipherFunction.allCases.map {
        guard $0.isLegacy, let context = unsafe legacy else { return nil }
        return unsafe EVP_CIPHER_fetch(context, $0.rawValue, nil)
    }

    /// The library's cipher, which stays its own.
    static func cipher(_ function: CipherFunction) -> OpaquePointer? {
        guard let index = CipherFunction.allCases.firstIndex(of: function) else { return nil }
        return unsafe function.isLegacy ? legacyCiphers[index] : ciphers[index]
    }

    /// A whole digest; false unless `target` has 16 octets and the library the function.
    static func md4(_ octets: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer) -> Bool {
        guard target.count == 16, let into = target.baseAddress, let algorithm = unsafe md4, unsafe EVP_MD_get_size(algorithm) == 16
        else {
            _ = libraryFault()
            return false
        }
        return unsafe EVP_Digest(
            octets.baseAddress, octets.count, into.assumingMemoryBound(to: UInt8.self), nil, algorithm, nil) == 1
    }
}

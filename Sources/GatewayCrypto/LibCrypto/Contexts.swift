import COpenSSL

// MARK: Contexts of the packet path

/// A provider's functions for one digest, looked up once (provider-digest(7)).
@safe private struct DigestFunctions {
    let state: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer?
    let free: @convention(c) (UnsafeMutableRawPointer?) -> Void
    let start: @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<OSSL_PARAM>?) -> Int32
    let update: @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<UInt8>?, Int) -> Int32
    let finish: @convention(c) (UnsafeMutableRawPointer?, UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<Int>?, Int) -> Int32
    let provider: UnsafeMutableRawPointer?

    // Functions of a library that stays loaded.
    nonisolated(unsafe) private static let all: [DigestFunctions?] = HashFunction.allCases.map(lookup)

    static func of(_ function: HashFunction) -> DigestFunctions? { unsafe all[function.index] }

    private static func lookup(_ function: HashFunction) -> DigestFunctions? {
        guard let algorithm = unsafe LibCrypto.algorithm(function), let provider = unsafe EVP_MD_get0_provider(algorithm) else {
            return nil
        }
        var noCache: Int32 = 0
        guard let rows = unsafe OSSL_PROVIDER_query_operation(provider, OSSL_OP_DIGEST, &noCache) else { return nil }
        defer { unsafe OSSL_PROVIDER_unquery_operation(provider, OSSL_OP_DIGEST, rows) }
        var row = unsafe rows
        while let names = unsafe row.pointee.algorithm_names {
            if unsafe String(cString: names).split(separator: ":").contains(Substring(function.libraryName)),
                let functions = unsafe row.pointee.implementation
            {
                return unsafe DigestFunctions(functions, OSSL_PROVIDER_get0_provider_ctx(provider))
            }
            unsafe row += 1
        }
        return nil
    }

    private init?(_ functions: UnsafePointer<OSSL_DISPATCH>, _ provider: UnsafeMutableRawPointer?) {
        func find(_ number: Int32) -> UnsafePointer<OSSL_DISPATCH>? {
            var entry = unsafe functions
            while unsafe entry.pointee.function_id != 0 {
                if unsafe entry.pointee.function_id == number { return unsafe entry }
                unsafe entry += 1
            }
            return nil
        }
        guard let state = unsafe find(OSSL_FUNC_DIGEST_NEWCTX).flatMap({ unsafe OSSL_FUNC_digest_newctx($0) }),
            let free = unsafe find(OSSL_FUNC_DIGEST_FREECTX).flatMap({ unsafe OSSL_FUNC_digest_freectx($0) }),
            let start = unsafe find(OSSL_FUNC_DIGEST_INIT).flatMap({ unsafe OSSL_FUNC_digest_init($0) }),
            let update = unsafe find(OSSL_FUNC_DIGEST_UPDATE).flatMap({ unsafe OSSL_FUNC_digest_update($0) }),
            let finish = unsafe find(OSSL_FUNC_DIGEST_FINAL).flatMap({ unsafe OSSL_FUNC_digest_final($0) })
        else { return nil }
        unsafe self.state = state
        unsafe self.free = free
        unsafe self.start = start
        unsafe self.update = update
        unsafe self.finish = finish
        unsafe self.provider = provider
    }
}

/// A digest that is started over and over without allocating.
@safe struct DigestContext: ~Copyable, @unchecked Sendable {
    private let functions: DigestFunctions
    private let state: UnsafeMutableRawPointer
    private let outputLength: Int

    init(_ function: HashFunction) throws(CryptoError) {
        guard let functions = DigestFunctions.of(function), let fresh = unsafe functions.state(functions.provider) else {
            throw LibCrypto.libraryFault()
        }
        self.functions = functions
        unsafe state = fresh
        outputLength = function.outputLength
    }

    // The library wipes the state.
    deinit { unsafe functions.free(state) }

    @_noLocks mutating func restart() -> Bool { unsafe gw_digest_restart(functions.start, state) == 1 }

    @_noLocks mutating func absorb(_ octets: UnsafeRawBufferPointer) -> Bool {
        guard octets.count > 0, let base = octets.baseAddress else { return octets.count == 0 }
        return unsafe gw_digest_update(functions.update, state, base, octets.count) == 1
    }

    /// False unless `octets` is as long as the digest.
    @_noLocks mutating func finish(into octets: UnsafeMutableRawBufferPointer) -> Bool {
        guard octets.count == outputLength, let base = octets.baseAddress else { return false }
        return unsafe gw_digest_finish(functions.finish, state, base, outputLength) == 1
    }
}

/// A cipher keyed once; only the nonce changes per record.
@safe struct CipherContext: ~Copyable, @unchecked Sendable {
    private let context: OpaquePointer
    private let nonceLength: Int
    private let tagLength: Int
    private let blockLength: Int

    /// Throws `.badLength` unless the key, the nonce and the block are as long as the library's cipher has them.
    init(_ row: CipherRow, key: borrowing SecretOctets, seals: Bool) throws(CryptoError) {
        guard let function = row.function, let algorithm = unsafe LibCrypto.cipher(function) else { throw LibCrypto.libraryFault() }
        let nonceLength = row.saltLength + row.ivLength
        guard key.count == row.keyLength, unsafe EVP_CIPHER_get_key_length(algorithm) == Int32(key.count),
            unsafe EVP_CIPHER_get_iv_length(algorithm) == Int32(nonceLength),
            unsafe EVP_CIPHER_get_block_size(algorithm) == Int32(row.blockLength)
        else { throw .badLength }
        guard let fresh = unsafe EVP_CIPHER_CTX_new() else { throw LibCrypto.libraryFault() }
        let octets = unsafe key.base.assumingMemoryBound(to: UInt8.self)
        guard unsafe EVP_CipherInit_ex(fresh, algorithm, nil, octets, nil, seals ? 1 : 0) == 1,
            unsafe EVP_CIPHER_CTX_set_padding(fresh, 0) == 1
        else {
            unsafe EVP_CIPHER_CTX_free(fresh)
            throw LibCrypto.libraryFault()
        }
        unsafe context = fresh
        self.nonceLength = nonceLength
        tagLength = row.tagLength
        blockLength = row.blockLength
    }

    deinit { unsafe EVP_CIPHER_CTX_free(context) }

    /// Starts a record; false unless the nonce has its length.
    @_noLocks mutating func restart(_ nonce: UnsafeRawBufferPointer) -> Bool {
        guard nonce.count == nonceLength, let base = nonce.baseAddress else { return false }
        return unsafe gw_cipher_restart(context, base) == 1
    }

    /// Takes associated data of an AEAD.
    @_noLocks mutating func authenticate(_ octets: UnsafeRawBufferPointer) -> Bool {
        guard octets.count > 0, let base = octets.baseAddress else { return octets.count == 0 }
        guard tagLength > 0, octets.count <= Int(Int32.max) else { return false }
        return unsafe gw_cipher_update(context, nil, base, Int32(octets.count)) == 1
    }

    /// Encrypts or decrypts in place; the caller saw to whole blocks.
    @_noLocks mutating func transform(_ octets: UnsafeMutableRawBufferPointer) -> Bool {
        guard octets.count > 0, let base = octets.baseAddress else { return octets.count == 0 }
        guard octets.count <= Int(Int32.max) else { return false }
        return unsafe gw_cipher_update(context, base, base, Int32(octets.count)) == 1
    }

    /// Encrypts whole blocks into `scratch`, in pieces as long as that: for what chains blocks and looks at the last one only.
    @_noLocks mutating func chain(_ octets: UnsafeRawBufferPointer, through scratch: UnsafeMutableRawBufferPointer) -> Bool {
        guard let room = scratch.baseAddress, scratch.count > 0, scratch.count <= Int(Int32.max), octets.count % blockLength == 0,
            scratch.count % blockLength == 0
        else { return false }
        guard octets.count > 0, let base = octets.baseAddress else { return octets.count == 0 }
        var taken = 0
        while taken < octets.count {
            let count = min(scratch.count, octets.count &- taken)
            guard unsafe gw_cipher_update(context, room, base + taken, Int32(truncatingIfNeeded: count)) == 1 else { return false }
            taken &+= count
        }
        return true
    }

    /// Ends a record; false when the expected tag does not fit, or a block is not whole.
    @_noLocks mutating func finish() -> Bool { unsafe gw_cipher_finish(context) == 1 }

    /// Writes an AEAD's tag; false unless `octets` has its length.
    @_noLocks mutating func writeTag(_ octets: UnsafeMutableRawBufferPointer) -> Bool {
        guard tagLength > 0, octets.count == tagLength, let base = octets.baseAddress else { return false }
        return unsafe gw_cipher_tag(context, base, Int32(octets.count)) == 1
    }

    /// Says which tag `finish` must find; false unless `octets` has its length.
    @_noLocks mutating func expectTag(_ octets: UnsafeRawBufferPointer) -> Bool {
        guard tagLength > 0, octets.count == tagLength, let base = octets.baseAddress else { return false }
        return unsafe gw_cipher_expect_tag(context, base, Int32(octets.count)) == 1
    }
}

import COpenSSL
import Glibc

/// OpenSSL's libcrypto. Every call into it stands in this file, behind an explicit check of the lengths it relies on (threats.md C4).
/// Pointers go no further than the owners below; results are values.
enum LibCrypto {
    static var version: String { unsafe String(cString: OpenSSL_version(OPENSSL_VERSION)) }

    // MARK: Memory

    /// Zeroed octets, at least one; memory that is not to be had ends the process, as it does everywhere in Swift.
    static func allocate(_ count: Int) -> UnsafeMutableRawPointer {
        guard let block = unsafe gw_allocate(max(count, 1)) else { fatalError("out of memory") }
        return unsafe block
    }

    static func wipeAndFree(_ block: UnsafeMutableRawPointer, _ count: Int) {
        unsafe gw_wipe_and_free(block, max(count, 1))
    }

    @_noLocks static func wipe(_ octets: UnsafeMutableRawBufferPointer) {
        guard octets.count > 0, let base = octets.baseAddress else { return }
        unsafe gw_wipe(base, octets.count)
    }

    /// Constant time but for the lengths.
    static func isEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        unsafe left.count == right.count && isPrefix(left, of: right)
    }

    /// Whether `whole` begins with `prefix`; constant time but for the lengths.
    @_noLocks static func isPrefix(_ prefix: UnsafeRawBufferPointer, of whole: UnsafeRawBufferPointer) -> Bool {
        guard prefix.count <= whole.count else { return false }
        guard let left = prefix.baseAddress, let right = whole.baseAddress else { return prefix.count == 0 }
        return unsafe gw_equal(left, right, prefix.count) == 1
    }

    /// Fills `target` with the first octets of `source`; false when there are not as many.
    @_noLocks static func copyPrefix(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) -> Bool {
        guard target.count <= source.count else { return false }
        guard let to = target.baseAddress, let from = source.baseAddress else { return target.count == 0 }
        unsafe gw_copy(to, from, target.count)
        return true
    }

    /// Fills the buffer from the library's generator. Without randomness nothing here is safe, so its failure ends the process.
    static func randomize(_ octets: UnsafeMutableRawBufferPointer, secret: Bool) {
        guard octets.count > 0, let base = octets.baseAddress else { return }
        let bytes = unsafe base.assumingMemoryBound(to: UInt8.self)
        guard let count = Int32(exactly: octets.count),
            unsafe (secret ? RAND_priv_bytes(bytes, count) : RAND_bytes(bytes, count)) == 1
        else { fatalError("no random octets: \(octets.count) asked for") }
    }

    /// Has the library wipe every block that it frees; false when it was used before. Otherwise it leaves private values of ECP-256 and
    /// ECP-521 behind: its curve code frees recoded scalars as they are.
    static func wipeFreedMemory() -> Bool {
        unsafe CRYPTO_set_mem_functions(
            { count, _, _ in unsafe malloc(count) },
            { block, count, _, _ in
                guard let larger = unsafe malloc(count) else { return nil }
                guard let block = unsafe block else { return unsafe larger }
                let usable = unsafe gw_usable_size(block)
                unsafe larger.copyMemory(from: block, byteCount: min(usable, count))
                unsafe gw_wipe(block, usable)
                unsafe free(block)
                return unsafe larger
            },
            { block, _, _ in
                guard let block = unsafe block else { return }
                unsafe gw_wipe(block, gw_usable_size(block))
                unsafe free(block)
            }) == 1
    }

    // MARK: Digests

    // Fetched once: a fetch takes the library's locks.
    nonisolated(unsafe) private static let digests: [OpaquePointer?] = unsafe HashFunction.allCases.map {
        unsafe EVP_MD_fetch(nil, $0.libraryName, nil)
    }

    fileprivate static func algorithm(_ function: HashFunction) -> OpaquePointer? {
        guard let digest = unsafe digests[function.index], unsafe EVP_MD_get_size(digest) == Int32(function.outputLength) else {
            return nil
        }
        return unsafe digest
    }

    /// A whole digest; false unless `target` has the function's output length and the library the function.
    static func digest(
        _ function: HashFunction, _ octets: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) -> Bool {
        guard target.count == function.outputLength, let into = target.baseAddress, let algorithm = unsafe algorithm(function)
        else { return false }
        return unsafe EVP_Digest(
            octets.baseAddress, octets.count, into.assumingMemoryBound(to: UInt8.self), nil, algorithm, nil) == 1
    }

    // MARK: X25519, RFC 7748

    static func x25519PublicValue(_ privateValue: borrowing SecretOctets) throws(CryptoError) -> [UInt8] {
        let key = try PrivateKey(x25519: privateValue)
        var value = [UInt8](repeating: 0, count: 32)
        var count = value.count
        guard unsafe EVP_PKEY_get_raw_public_key(key.pointer, &value, &count) == 1, count == 32 else { throw libraryFault() }
        return value
    }

    static func x25519SharedSecret(
        _ privateValue: borrowing SecretOctets, _ peer: [UInt8]
    ) throws(CryptoError) -> SecretOctets {
        guard peer.count == 32 else { throw .badLength }
        let key = try PrivateKey(x25519: privateValue)
        guard let other = unsafe EVP_PKEY_new_raw_public_key_ex(nil, "X25519", nil, peer, peer.count) else { throw libraryFault() }
        defer { unsafe EVP_PKEY_free(other) }
        guard let context = unsafe EVP_PKEY_CTX_new_from_pkey(nil, key.pointer, nil) else { throw libraryFault() }
        defer { unsafe EVP_PKEY_CTX_free(context) }
        guard unsafe EVP_PKEY_derive_init(context) == 1, unsafe EVP_PKEY_derive_set_peer(context, other) == 1 else {
            throw libraryFault()
        }
        let shared = SecretOctets(count: 32)
        var count = 32
        // The library refuses an all-zero result itself (RFC 7748 section 6.1); we look again rather than rely on it.
        let derived = unsafe EVP_PKEY_derive(context, shared.base.assumingMemoryBound(to: UInt8.self), &count) == 1
        guard derived, count == 32, !shared.isEqual(to: SecretOctets(count: 32)) else {
            _ = libraryFault()
            throw .invalidPublicValue
        }
        return shared
    }

    /// Empties this thread's queue of the library's errors, which otherwise speak up somewhere else.
    fileprivate static func libraryFault() -> CryptoError {
        ERR_clear_error()
        return .library
    }
}

/// An X25519 key of the library; freed, and wiped by it, in deinit.
@safe private struct PrivateKey: ~Copyable {
    let pointer: OpaquePointer

    init(x25519 value: borrowing SecretOctets) throws(CryptoError) {
        guard value.count == 32 else { throw .badLength }
        guard
            let key = unsafe EVP_PKEY_new_raw_private_key_ex(
                nil, "X25519", nil, value.base.assumingMemoryBound(to: UInt8.self), value.count)
        else { throw LibCrypto.libraryFault() }
        unsafe pointer = key
    }

    deinit { unsafe EVP_PKEY_free(pointer) }
}

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

    /// Throws `.badLength` unless the key, the nonce and the block are as long as the library's cipher has them.
    init(_ row: CipherRow, key: borrowing SecretOctets, seals: Bool) throws(CryptoError) {
        guard let algorithm = unsafe EVP_CIPHER_fetch(nil, row.function.rawValue, nil) else { throw LibCrypto.libraryFault() }
        defer { unsafe EVP_CIPHER_free(algorithm) }
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

// MARK: Groups

/// A number of the library, wiped in deinit.
@safe private struct Number: ~Copyable {
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
    /// The primes of RFC 3526; the generator is 2.
    enum Prime: Sendable {
        case rfc3526_2048, rfc3526_3072, rfc3526_4096
    }

    private static func number(_ prime: Prime, length: Int) throws(CryptoError) -> Number {
        let made: OpaquePointer? =
            switch prime {
            case .rfc3526_2048: unsafe BN_get_rfc3526_prime_2048(nil)
            case .rfc3526_3072: unsafe BN_get_rfc3526_prime_3072(nil)
            case .rfc3526_4096: unsafe BN_get_rfc3526_prime_4096(nil)
            }
        let number = try unsafe Number(owning: made)
        guard unsafe BN_num_bits(number.pointer) == Int32(8 * length) else { throw .badLength }
        return number
    }

    static func modpPublicValue(
        _ prime: Prime, length: Int, _ privateValue: borrowing SecretOctets
    ) throws(CryptoError) -> [UInt8] {
        try power(of: try Number([2]), privateValue, modulo: try number(prime, length: length)).secretOctets(length).exposed()
    }

    /// Throws `.invalidPublicValue` unless 1 < y < p - 1 (RFC 6989 section 2.1: enough where p is a safe prime).
    static func modpSharedSecret(
        _ prime: Prime, length: Int, _ privateValue: borrowing SecretOctets, _ peer: [UInt8]
    ) throws(CryptoError) -> SecretOctets {
        guard peer.count == length else { throw .badLength }
        let p = try number(prime, length: length)
        let y = try Number(peer)
        let last = try unsafe Number(owning: BN_dup(p.pointer))
        guard unsafe BN_sub_word(last.pointer, 1) == 1 else { throw libraryFault() }
        guard unsafe BN_cmp(y.pointer, BN_value_one()) > 0, unsafe BN_cmp(y.pointer, last.pointer) < 0 else {
            throw .invalidPublicValue
        }
        return try power(of: y, privateValue, modulo: p).secretOctets(length)
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

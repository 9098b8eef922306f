#if MULTI_BUFFER
import CIPsecMB
import Wire

/// intel-ipsec-mb. Every call into it stands in this folder, behind an explicit check of the lengths it relies on (threats.md C4): a call that it
/// finds fault with returns as if it had been done.
enum MultiBuffer {
    // Only its table of functions is used, which many threads may read; jobs have managers of their own.
    nonisolated(unsafe) static let shared: UnsafeMutablePointer<IMB_MGR>? = unsafe manager()

    static var isUsable: Bool { unsafe shared != nil }

    static var description: String {
        guard let shared = unsafe shared else { return "intel-ipsec-mb, not on this processor" }
        let features = unsafe shared.pointee.features
        let instructions =
            features & UInt64(IMB_FEATURE_VAES) != 0
            ? "VAES" : features & UInt64(IMB_FEATURE_AVX512F) != 0 ? "AVX-512" : features & UInt64(IMB_FEATURE_AVX2) != 0 ? "AVX2" : "AES-NI"
        return "intel-ipsec-mb \(IMB_VERSION_STR) (\(instructions))"
    }

    /// A manager of its own; nil on processors without instructions for AES, where OpenSSL is better, and when the library's self-test fails.
    static func manager() -> UnsafeMutablePointer<IMB_MGR>? {
        guard let fresh = unsafe alloc_mb_mgr(0) else { return nil }
        unsafe init_mb_mgr_auto(fresh, nil)
        let needed = UInt64(IMB_FEATURE_AESNI) | UInt64(IMB_FEATURE_PCLMULQDQ) | UInt64(IMB_FEATURE_SELF_TEST_PASS)
        guard unsafe imb_get_errno(fresh) == 0, unsafe fresh.pointee.features & needed == needed else {
            unsafe free_mb_mgr(fresh)
            return nil
        }
        return unsafe fresh
    }
}

/// Keys as the library wants them, in one aligned block that does not move and is wiped when it goes; or none.
@safe struct MultiBufferBlock: ~Copyable, @unchecked Sendable {
    /// Valid as long as the block lives.
    let keys: MultiBufferKeys?
    private let base: UnsafeMutableRawPointer?

    /// None for suites that the library is not asked to do, and for the other engine; throws `.unsupported` on a processor without it, `.badLength`.
    init(
        _ engine: CryptoEngine, _ cipher: CipherRow, mac: MACRow?, key: borrowing SecretOctets, macKey: borrowing SecretOctets, seals: Bool
    ) throws(CryptoError) {
        guard engine == .multiBuffer else {
            keys = nil
            unsafe base = nil
            return
        }
        guard let manager = unsafe MultiBuffer.shared else { throw .unsupported }
        guard key.count == cipher.keyLength, macKey.count == mac?.function.keyLength ?? 0 else { throw .badLength }
        guard let kind = MultiBufferKeys.kind(cipher, mac) else {
            keys = nil
            unsafe base = nil
            return
        }
        let block = unsafe LibCrypto.allocate(MultiBufferKeys.allocation)
        unsafe base = block
        keys = unsafe MultiBufferKeys(block, manager, kind, cipher, mac, key: key, macKey: macKey, seals: seals)
    }

    deinit {
        // Who drops keys before the flush has made a mistake: that memory is lost rather than read by the library when it is another's.
        guard let base = unsafe base, unsafe keys?.jobs.pointee == 0 else { return }
        unsafe LibCrypto.wipeAndFree(base, MultiBufferKeys.allocation)
    }
}

/// Where the keys of a block stand, and what is done with them.
@safe struct MultiBufferKeys: @unchecked Sendable {
    enum Kind: Sendable { case gcm, gmac, chaCha20Poly1305, hmac }

    let kind: Kind
    let seals: Bool
    let bits: Int32
    let icvLength: Int
    /// GCM's tables, or the key of ChaCha20, or the round keys of CBC.
    let key: UnsafeMutableRawPointer
    /// Octets of the cipher's key; 0: the text is left as it is.
    let keyLength: Int
    let hash: IMB_HASH_ALG
    let lane: Lane
    private let run: aes_gcm_enc_dec_t?
    private let manager: UnsafeMutablePointer<IMB_MGR>

    /// What both constructors need: 1008 octets of GCM's tables, or 256 of round keys and twice 64 of hash states; then 64 for a tag and a count of jobs.
    private static var tables: Int { @_noLocks get { 1024 } }
    private static var tagLength: Int { @_noLocks get { 64 } }
    private static var alignment: Int { @_noLocks get { 64 } }
    fileprivate static var allocation: Int { @_noLocks get { tables &+ tagLength &+ alignment &+ alignment } }

    /// Hash states behind HMAC's padded keys.
    var inner: UnsafeMutableRawPointer { @_noLocks get { unsafe key + 256 } }
    var outer: UnsafeMutableRawPointer { @_noLocks get { unsafe key + 320 } }
    private var tag: UnsafeMutableRawPointer { @_noLocks get { unsafe key + Self.tables } }
    /// How many jobs use these keys now.
    var jobs: UnsafeMutablePointer<Int> {
        @_noLocks get { unsafe (key + Self.tables + Self.tagLength).assumingMemoryBound(to: Int.self) }
    }

    fileprivate static func kind(_ cipher: CipherRow, _ mac: MACRow?) -> Kind? {
        switch (cipher.number, mac.map { hash($0.function) }) {
        case (.aesGCM8, nil), (.aesGCM12, nil), (.aesGCM16, nil): .gcm
        case (.nullAESGMAC, nil): .gmac
        case (.chaCha20Poly1305, nil): .chaCha20Poly1305
        case (.aesCBC, .some(.some)), (.null, .some(.some)): .hmac
        default: nil
        }
    }

    private static func hash(_ function: MACFunction) -> IMB_HASH_ALG? {
        switch function {
        case .hmac(.md5): IMB_AUTH_MD5
        case .hmac(.sha1): IMB_AUTH_HMAC_SHA_1
        case .hmac(.sha256): IMB_AUTH_HMAC_SHA_256
        case .hmac(.sha384): IMB_AUTH_HMAC_SHA_384
        case .hmac(.sha512): IMB_AUTH_HMAC_SHA_512
        case .hmac, .aesXCBC: nil
        }
    }

    fileprivate init(
        _ block: UnsafeMutableRawPointer, _ manager: UnsafeMutablePointer<IMB_MGR>, _ kind: Kind, _ cipher: CipherRow, _ mac: MACRow?,
        key: borrowing SecretOctets,
        macKey: borrowing SecretOctets, seals: Bool
    ) {
        let aligned = unsafe block.alignedUp(toMultipleOf: Self.alignment)
        unsafe self.key = aligned
        unsafe self.manager = manager
        self.kind = kind
        self.seals = seals
        bits = Int32(cipher.keyBits)
        keyLength = cipher.keyLength
        icvLength = mac?.icvLength ?? cipher.tagLength
        hash = mac.flatMap { Self.hash($0.function) } ?? IMB_AUTH_NULL
        lane = Self.lane(kind, hash)
        unsafe run = kind == .gcm ? gw_mb_gcm_function(manager, Int32(cipher.keyBits), seals ? 1 : 0) : nil
        switch kind {
        case .gcm, .gmac:
            unsafe gw_mb_gcm_key(manager, Int32(cipher.keyBits), key.base, aligned)
        case .chaCha20Poly1305:
            unsafe aligned.copyMemory(from: key.base, byteCount: key.count)
        case .hmac:
            let length = 256
            if cipher.keyLength > 0 {
                // The library always makes both directions' keys
                let other = unsafe LibCrypto.allocate(length + Self.alignment)
                let otherKey = unsafe other.alignedUp(toMultipleOf: Self.alignment)
                unsafe gw_mb_cbc_key(
                    manager, Int32(cipher.keyBits), key.base, seals ? aligned : otherKey, seals ? otherKey : aligned)
                unsafe LibCrypto.wipeAndFree(other, length + Self.alignment)
            }
            unsafe Self.state(manager, hash, macKey, 0x36, into: aligned + 256)
            unsafe Self.state(manager, hash, macKey, 0x5c, into: aligned + 320)
        }
    }

    /// RFC 2104: the hash's state behind key XOR padding. Keys are no longer than the hash, so never longer than a block.
    private static func state(
        _ manager: UnsafeMutablePointer<IMB_MGR>, _ hash: IMB_HASH_ALG, _ key: borrowing SecretOctets, _ padding: UInt8,
        into state: UnsafeMutableRawPointer
    ) {
        var input = SecretOctets(count: 128)
        unsafe input.withUnsafeMutableBytes { input in
            unsafe key.withUnsafeBytes { key in
                for index in input.indices { unsafe input[index] = padding ^ (index < key.count ? key[index] : 0) }
            }
            guard let input = input.baseAddress else { return }
            unsafe gw_mb_one_block(manager, hash, input, state)
        }
    }

    // MARK: One record

    @inline(__always)
    @_noLocks func sendFor() { unsafe CacheHint.sendFor(key, octets: Self.tables) }

    /// Whether one record at a time is done here. CBC with HMAC pays in batches only.
    var worksAlone: Bool { @_noLocks get { kind != .hmac } }
    /// What others a record gains by, and so whether it goes to the manager of jobs.
    private static func lane(_ kind: Kind, _ hash: IMB_HASH_ALG) -> Lane {
        switch kind {
        // As fast alone
        case .gcm: Lane.none
        case .gmac, .chaCha20Poly1305: Lane.single
        case .hmac:
            switch hash {
            case IMB_AUTH_HMAC_SHA_256: Lane(number: 1)
            case IMB_AUTH_HMAC_SHA_1: Lane(number: 2)
            case IMB_AUTH_HMAC_SHA_512: Lane(number: 3)
            case IMB_AUTH_HMAC_SHA_384: Lane(number: 4)
            default: Lane(number: 5)
            }
        }
    }
    /// Whether associated data is given apart from what is covered in one piece.
    var separatesAssociatedData: Bool { @_noLocks get { kind == .chaCha20Poly1305 } }

    /// Room for a nonce behind GCM's tables, in a line of the cache that those need anyway: 12 octets, of which the salt stays.
    private var nonce: UnsafeMutableRawPointer { @_noLocks get { unsafe key + Self.noncePlace } }
    private static var noncePlace: Int { @_noLocks get { 1008 } }
    private static var nonceLength: Int { @_noLocks get { 12 } }

    func setSalt(_ salt: UnsafeRawBufferPointer) {
        guard worksAlone, salt.count <= Self.nonceLength, let from = salt.baseAddress else { return }
        unsafe nonce.copyMemory(from: from, byteCount: salt.count)
    }

    /// Completes the nonce; false when the two make no whole one.
    @inline(__always)
    @_noLocks private func restart(_ saltLength: Int, _ iv: UnsafeRawBufferPointer) -> Bool {
        guard iv.count == 8, saltLength == Self.nonceLength - 8, let from = iv.baseAddress else { return false }
        unsafe nonce.storeBytes(of: from.loadUnaligned(as: UInt64.self), toByteOffset: Self.nonceLength - 8, as: UInt64.self)
        return true
    }

    // Both are put in place where they are called: as a call of its own each would have a copy of all of this made.

    /// Seals in place; the caller saw to the lengths of IV and ICV.
    @inline(__always)
    @_noLocks func seal(
        _ saltLength: Int, aad: UnsafeRawBufferPointer, iv: UnsafeRawBufferPointer, text: UnsafeMutableRawBufferPointer,
        icv: UnsafeMutableRawBufferPointer
    ) -> Bool {
        guard seals, icv.count == icvLength, let tag = icv.baseAddress, unsafe restart(saltLength, iv) else { return false }
        return unsafe compute(aad, iv, text, tag)
    }

    /// Opens in place; false and a text of zeros when the ICV does not fit.
    @inline(__always)
    @_noLocks func open(
        _ saltLength: Int, aad: UnsafeRawBufferPointer, iv: UnsafeRawBufferPointer, text: UnsafeMutableRawBufferPointer,
        icv: UnsafeRawBufferPointer
    ) -> Bool {
        guard !seals, icv.count == icvLength, unsafe restart(saltLength, iv), unsafe compute(aad, iv, text, tag) else { return false }
        if unsafe LibCrypto.isPrefix(icv, of: UnsafeRawBufferPointer(start: tag, count: icvLength)) { return true }
        if kind != .gmac { unsafe LibCrypto.wipe(text) }  // it decrypts before it knows: unverified text goes to nobody
        return false
    }

    @inline(__always)
    private func compute(
        _ aad: UnsafeRawBufferPointer, _ iv: UnsafeRawBufferPointer, _ text: UnsafeMutableRawBufferPointer,
        _ tag: UnsafeMutableRawPointer
    ) -> Bool {
        guard aad.count <= Int(Int32.max), text.count <= Int(Int32.max) else { return false }
        // The library takes no null, not even for nothing
        let first = unsafe aad.baseAddress ?? UnsafeRawPointer(key)
        let octets = unsafe text.baseAddress ?? key
        switch kind {
        case .gcm:
            guard let run = unsafe run else { return false }
            unsafe gw_mb_gcm(run, key, octets, text.count, nonce, first, aad.count, tag, icvLength)
        case .gmac:
            unsafe gw_mb_gmac(
                manager, bits, key, nonce, first, aad.count, iv.baseAddress ?? UnsafeRawPointer(key), iv.count, octets, text.count, tag)
        case .chaCha20Poly1305:
            unsafe gw_mb_chacha20_poly1305(manager, seals ? 1 : 0, key, octets, text.count, nonce, first, aad.count, tag)
        case .hmac:
            return false
        }
        return true
    }
}
#endif

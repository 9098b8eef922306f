internal import GatewayCrypto
internal import Wire

/// Initialization vectors for CBC that no observer can foretell (RFC 3602 section 3): the key stream of AES-GCM under a key of its own, sixteen
/// vectors at a time, so that a packet costs no call into the system's random numbers.
@safe
struct UnpredictableIV: ~Copyable, @unchecked Sendable {
    private var cipher: RecordCipher
    private var counter: UInt64 = 0
    private var used = Self.length
    private let stream: UnsafeMutableRawPointer

    private static var length: Int { @_noLocks get { 256 } }
    // Behind the stream: 8 octets of nonce, 16 of ICV that nobody needs
    private static var allocation: Int { @_noLocks get { length &+ 8 &+ 16 } }

    /// A source for the suite; nil for those that need none.
    static func source(for protection: ProtectionSuite, entropy: any Entropy, engine: CryptoEngine) throws(CryptoError) -> UnpredictableIV? {
        guard !protection.isAEAD, protection.ivLength > 0 else { return nil }
        return try UnpredictableIV(entropy: entropy, engine: engine)
    }

    private init(entropy: any Entropy, engine: CryptoEngine) throws(CryptoError) {
        guard let suite = ProtectionSuite(encryption: .aesGCM16, keyBits: 128, integrity: .none) else { throw .unsupported }
        cipher = try RecordCipher(
            suite, encryptionKey: entropy.secret(suite.encryptionKeyLength), integrityKey: SecretOctets(count: 0), direction: .seal,
            engine: engine)
        unsafe stream = .allocate(byteCount: Self.allocation, alignment: 16)
        unsafe stream.initializeMemory(as: UInt8.self, repeating: 0, count: Self.allocation)
    }

    deinit {
        unsafe stream.initializeMemory(as: UInt8.self, repeating: 0, count: Self.allocation)
        unsafe stream.deallocate()
    }

    /// Fills the vector; false when the cipher refuses.
    @_noLocks
    mutating func write(_ iv: PacketView) -> Bool {
        let all = unsafe PacketView(UnsafeMutableRawBufferPointer(start: stream, count: Self.allocation))
        if used &+ iv.count > Self.length {
            let text = all.part(0, Self.length)
            var index = 0
            while index < Self.length {
                text.put(UInt64(0), at: index)
                index &+= 8
            }
            counter &+= 1
            all.put(counter, at: Self.length)
            guard
                unsafe cipher.seal(
                    aad: all.part(0, 0).readOnly, iv: all.part(Self.length, 8).readOnly, text: text.buffer,
                    macTrailer: all.part(0, 0).readOnly, icv: all.part(Self.length &+ 8, 16).buffer)
            else { return false }
            used = 0
        }
        guard iv.copy(from: all, used, to: 0, iv.count) else { return false }
        used &+= iv.count
        return true
    }
}

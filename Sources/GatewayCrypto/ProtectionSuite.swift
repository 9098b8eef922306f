package import Wire

/// What protects SK payloads or ESP packets: an AEAD, or a cipher and a MAC over it (encrypt-then-MAC).
/// Plain numbers only, so that the packet path may read it.
package struct ProtectionSuite: Hashable, Sendable {
    package let encryption: EncryptionAlgorithm
    /// 128, 192 or 256; 0 where the algorithm has one length only.
    package let keyBits: Int
    /// `.none` with an AEAD.
    package let integrity: IntegrityAlgorithm
    package let isAEAD: Bool
    /// Octets taken from KEYMAT or prf+ for the cipher: key, then salt (RFC 4106 section 8.1, RFC 5282 section 7.1).
    package let encryptionKeyLength: Int
    /// Octets taken for the MAC; 0 with an AEAD.
    package let integrityKeyLength: Int
    /// Octets of the IV that travels in the message.
    package let ivLength: Int
    /// Octets of the integrity check value at the end.
    package let icvLength: Int
    /// What the text must be a multiple of: 1 with an AEAD.
    package let blockLength: Int

    let cipher: CipherRow
    let mac: MACRow?

    /// Nil when this build has no such suite, or the combination makes none (an AEAD with a MAC, a cipher without).
    package init?(encryption: EncryptionAlgorithm, keyBits: Int, integrity: IntegrityAlgorithm) {
        guard let cipher = CipherRow.all.first(where: { $0.number == encryption && $0.keyBits == keyBits }) else { return nil }
        let mac = MACRow.all.first { $0.number == integrity }
        guard cipher.isAEAD ? integrity == .none : mac != nil else { return nil }
        self.encryption = encryption
        self.keyBits = keyBits
        self.integrity = integrity
        self.cipher = cipher
        self.mac = mac
        isAEAD = cipher.isAEAD
        encryptionKeyLength = cipher.keyLength + cipher.saltLength
        integrityKeyLength = mac?.function.outputLength ?? 0
        ivLength = cipher.ivLength
        icvLength = mac?.icvLength ?? cipher.tagLength
        blockLength = cipher.blockLength
    }

    /// Every suite there is, AEADs first.
    package static let all: [ProtectionSuite] = CipherRow.all.flatMap { cipher in
        (cipher.isAEAD ? [IntegrityAlgorithm.none] : MACRow.all.map(\.number)).compactMap {
            ProtectionSuite(encryption: cipher.number, keyBits: cipher.keyBits, integrity: $0)
        }
    }
}

/// A row of the table of ciphers.
struct CipherRow: Hashable, Sendable {
    let number: EncryptionAlgorithm
    let keyBits: Int
    let function: CipherFunction
    let keyLength: Int
    /// Octets that come with the key and stand before the IV in the nonce.
    let saltLength: Int
    let ivLength: Int
    /// Octets of an AEAD's tag; 0: the cipher needs a MAC.
    let tagLength: Int
    let blockLength: Int

    var isAEAD: Bool { tagLength > 0 }

    static let all: [CipherRow] = [
        gcm16(.aes256GCM, 256), gcm16(.aes192GCM, 192), gcm16(.aes128GCM, 128),
        cbc(.aes256CBC, 256), cbc(.aes192CBC, 192), cbc(.aes128CBC, 128),
    ]

    /// RFC 4106 for ESP, RFC 5282 for IKE.
    private static func gcm16(_ function: CipherFunction, _ bits: Int) -> CipherRow {
        CipherRow(
            number: .aesGCM16, keyBits: bits, function: function, keyLength: bits / 8, saltLength: 4, ivLength: 8,
            tagLength: 16, blockLength: 1)
    }

    /// RFC 3602.
    private static func cbc(_ function: CipherFunction, _ bits: Int) -> CipherRow {
        CipherRow(
            number: .aesCBC, keyBits: bits, function: function, keyLength: bits / 8, saltLength: 0, ivLength: 16,
            tagLength: 0, blockLength: 16)
    }
}

/// A cipher by the name that the library fetches it by.
enum CipherFunction: String, Sendable, CaseIterable {
    case aes128GCM = "AES-128-GCM"
    case aes192GCM = "AES-192-GCM"
    case aes256GCM = "AES-256-GCM"
    case aes128CBC = "AES-128-CBC"
    case aes192CBC = "AES-192-CBC"
    case aes256CBC = "AES-256-CBC"
}

/// A row of the table of MACs: the hash, whose output length is the key's length too, and what is kept of a result.
struct MACRow: Hashable, Sendable {
    let number: IntegrityAlgorithm
    let function: HashFunction
    let icvLength: Int

    static let all: [MACRow] = [
        MACRow(number: .hmacSHA512_256, function: .sha512, icvLength: 32),  // RFC 4868
        MACRow(number: .hmacSHA384_192, function: .sha384, icvLength: 24),
        MACRow(number: .hmacSHA256_128, function: .sha256, icvLength: 16),
        MACRow(number: .hmacSHA1_96, function: .sha1, icvLength: 12),  // RFC 2404: ESP only (features.md X-7)
    ]
}

package import Wire

/// What protects SK payloads or ESP packets: an AEAD, or a cipher and a MAC over it (encrypt-then-MAC). Here is every suite that we can do;
/// which ones may be used is the policy's question.
/// Plain numbers only, so that the packet path may read it.
package struct ProtectionSuite: Hashable, Sendable {
    package let encryption: EncryptionAlgorithm
    /// 128, 192 or 256; 0 where the algorithm has one length only.
    package let keyBits: Int
    /// `.none` with an AEAD.
    package let integrity: IntegrityAlgorithm
    package let isAEAD: Bool
    /// False with NULL and NULL-AES-GMAC, which only authenticate: for ESP, never for IKE (RFC 7296 section 3.3.2, RFC 4543 section 4).
    package let encrypts: Bool
    /// Octets taken from KEYMAT or prf+ for the cipher: key, then salt (RFC 4106 section 8.1, RFC 5282 section 7.1).
    package let encryptionKeyLength: Int
    /// Octets taken for the MAC; 0 with an AEAD.
    package let integrityKeyLength: Int
    /// Octets of the IV that travels in the message.
    package let ivLength: Int
    /// Octets of the integrity check value at the end.
    package let icvLength: Int
    /// What the text must be a multiple of: 1 with an AEAD and with NULL.
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
        encrypts = cipher.encrypts
        encryptionKeyLength = cipher.keyLength + cipher.saltLength
        integrityKeyLength = mac?.function.keyLength ?? 0
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
    /// What is done to the text.
    enum Mode: Sendable {
        /// Encrypted and authenticated in one.
        case aead
        /// Authenticated as associated data, and left as it is (RFC 4543).
        case authenticated
        /// Encrypted; a MAC authenticates.
        case encrypted
        /// Left as it is; a MAC authenticates (RFC 2410).
        case plain
    }

    let number: EncryptionAlgorithm
    let keyBits: Int
    let mode: Mode
    /// Nil: nothing is enciphered.
    let function: CipherFunction?
    let keyLength: Int
    /// Octets that come with the key and stand before the IV in the nonce.
    let saltLength: Int
    let ivLength: Int
    /// Octets of an AEAD's tag; 0: the cipher needs a MAC.
    let tagLength: Int
    let blockLength: Int

    var isAEAD: Bool { tagLength > 0 }
    var encrypts: Bool { mode == .aead || mode == .encrypted }

    static let all: [CipherRow] =
        [EncryptionAlgorithm.aesGCM16, .aesGCM12, .aesGCM8].flatMap { number in
            gcmFunctions.map { gcm(number, .aead, $0, $1, tag: number == .aesGCM16 ? 16 : number == .aesGCM12 ? 12 : 8) }
        }
        + [
            CipherRow(  // RFC 7634
                number: .chaCha20Poly1305, keyBits: 0, mode: .aead, function: .chaCha20Poly1305, keyLength: 32, saltLength: 4,
                ivLength: 8, tagLength: 16, blockLength: 1)
        ]
        + gcmFunctions.map { gcm(.nullAESGMAC, .authenticated, $0, $1, tag: 16) }
        + [
            cbc(.aesCBC, 256, .aes256CBC, key: 32, block: 16),  // RFC 3602
            cbc(.aesCBC, 192, .aes192CBC, key: 24, block: 16),
            cbc(.aesCBC, 128, .aes128CBC, key: 16, block: 16),
            cbc(.tripleDES, 0, .tripleDESCBC, key: 24, block: 8),  // RFC 2451
            cbc(.des, 0, .desCBC, key: 8, block: 8),  // RFC 2405
            CipherRow(  // RFC 2410
                number: .null, keyBits: 0, mode: .plain, function: nil, keyLength: 0, saltLength: 0, ivLength: 0, tagLength: 0,
                blockLength: 1),
        ]

    private static let gcmFunctions: [(CipherFunction, Int)] = [(.aes256GCM, 256), (.aes192GCM, 192), (.aes128GCM, 128)]

    /// RFC 4106 for ESP, RFC 5282 for IKE; RFC 4543.
    private static func gcm(
        _ number: EncryptionAlgorithm, _ mode: Mode, _ function: CipherFunction, _ bits: Int, tag: Int
    ) -> CipherRow {
        CipherRow(
            number: number, keyBits: bits, mode: mode, function: function, keyLength: bits / 8, saltLength: 4, ivLength: 8,
            tagLength: tag, blockLength: 1)
    }

    fileprivate static func cbc(
        _ number: EncryptionAlgorithm, _ bits: Int, _ function: CipherFunction, key: Int, block: Int
    ) -> CipherRow {
        CipherRow(
            number: number, keyBits: bits, mode: .encrypted, function: function, keyLength: key, saltLength: 0, ivLength: block,
            tagLength: 0, blockLength: block)
    }

    /// What AES-XCBC-MAC chains its blocks with.
    static let aes128CBC = cbc(.aesCBC, 128, .aes128CBC, key: 16, block: 16)
    /// With an IV of zero the first block of CBC is the cipher alone.
    static let desCBC = cbc(.des, 0, .desCBC, key: 8, block: 8)
}

/// A cipher by the name that the library fetches it by.
enum CipherFunction: String, Sendable, CaseIterable {
    case aes128GCM = "AES-128-GCM"
    case aes192GCM = "AES-192-GCM"
    case aes256GCM = "AES-256-GCM"
    case chaCha20Poly1305 = "ChaCha20-Poly1305"
    case aes128CBC = "AES-128-CBC"
    case aes192CBC = "AES-192-CBC"
    case aes256CBC = "AES-256-CBC"
    case tripleDESCBC = "DES-EDE3-CBC"
    case desCBC = "DES-CBC"

    /// In the library's legacy provider.
    var isLegacy: Bool { self == .desCBC }
}

/// A row of the table of MACs: the function, and what is kept of a result.
struct MACRow: Hashable, Sendable {
    let number: IntegrityAlgorithm
    let function: MACFunction
    let icvLength: Int

    static let all: [MACRow] = [
        MACRow(number: .hmacSHA512_256, function: .hmac(.sha512), icvLength: 32),  // RFC 4868
        MACRow(number: .hmacSHA384_192, function: .hmac(.sha384), icvLength: 24),
        MACRow(number: .hmacSHA256_128, function: .hmac(.sha256), icvLength: 16),
        MACRow(number: .hmacSHA1_96, function: .hmac(.sha1), icvLength: 12),  // RFC 2404
        MACRow(number: .aesXCBC_96, function: .aesXCBC, icvLength: 12),  // RFC 3566
        MACRow(number: .hmacMD5_96, function: .hmac(.md5), icvLength: 12),  // RFC 2403
    ]
}

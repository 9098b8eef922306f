import IKE
import Wire

/// The words of the algorithm keys (configuration.md) and what they mean.
enum AlgorithmNames {
    static let groups: [(String, KeyExchangeMethod)] = [
        ("group-1", .modp768), ("group-2", .modp1024), ("group-5", .modp1536), ("group-14", .modp2048),
        ("group-15", .modp3072), ("group-16", .modp4096), ("group-17", .modp6144), ("group-18", .modp8192),
        ("group-19", .ecp256), ("group-20", .ecp384), ("group-21", .ecp521), ("x25519", .x25519), ("x448", .x448),
    ]

    static let ikeEncryption: [(String, EncryptionChoice)] = [
        ("des", EncryptionChoice(.des)), ("des-3", EncryptionChoice(.tripleDES)),
        ("aes-128", EncryptionChoice(.aesCBC, keyBits: 128)), ("aes-192", EncryptionChoice(.aesCBC, keyBits: 192)),
        ("aes-256", EncryptionChoice(.aesCBC, keyBits: 256)),
        ("aes128-gcm8", EncryptionChoice(.aesGCM8, keyBits: 128)),
        ("aes128-gcm16", EncryptionChoice(.aesGCM16, keyBits: 128)),
        ("aes256-gcm8", EncryptionChoice(.aesGCM8, keyBits: 256)),
        ("aes256-gcm16", EncryptionChoice(.aesGCM16, keyBits: 256)),
        ("chacha20-poly1305", EncryptionChoice(.chaCha20Poly1305)),
    ]

    static let espEncryption: [(String, EncryptionChoice)] = {
        var names: [(String, EncryptionChoice)] = [
            ("null", EncryptionChoice(.null)), ("des", EncryptionChoice(.des)), ("des-3", EncryptionChoice(.tripleDES)),
        ]
        let sizes = [128, 192, 256]
        names += sizes.map { ("aes-\($0)", EncryptionChoice(.aesCBC, keyBits: $0)) }
        for (suffix, algorithm) in [
            ("gcm8", EncryptionAlgorithm.aesGCM8), ("gcm12", .aesGCM12), ("gcm16", .aesGCM16),
        ] {
            names += sizes.map { ("aes\($0)-\(suffix)", EncryptionChoice(algorithm, keyBits: $0)) }
        }
        names += sizes.map { ("null-aes\($0)-gmac", EncryptionChoice(.nullAESGMAC, keyBits: $0)) }
        names.append(("chacha20-poly1305", EncryptionChoice(.chaCha20Poly1305)))
        return names
    }()

    static let integrity: [(String, IntegrityAlgorithm)] = [
        ("md-5", .hmacMD5_96), ("sha-1", .hmacSHA1_96), ("sha-256", .hmacSHA256_128), ("sha-384", .hmacSHA384_192),
        ("sha-512", .hmacSHA512_256), ("aes-xcbc", .aesXCBC_96),
    ]

    static let pseudorandomFunctions: [(String, PseudorandomFunction)] = [
        ("md-5", .hmacMD5), ("sha-1", .hmacSHA1), ("sha-256", .hmacSHA256), ("sha-384", .hmacSHA384),
        ("sha-512", .hmacSHA512), ("aes-xcbc", .aesXCBC),
    ]

    /// Words that name something which nobody should choose without need (features.md X-7).
    static let weak: Set<String> = [
        "des", "des-3", "null", "md-5", "sha-1", "aes-xcbc", "group-1", "group-2", "group-5", "null-aes128-gmac",
        "null-aes192-gmac", "null-aes256-gmac",
    ]
}

/// A word that was chosen, with what it means; nil when nothing was.
struct Chosen<Meaning> {
    let word: String
    let meaning: Meaning
    let value: Value?
}

extension Value {
    /// One of the algorithms of a table, or of further words, which come back without a meaning. Warns of a weak one.
    func algorithm<Algorithm>(_ table: [(String, Algorithm)], others: [String] = []) -> Chosen<Algorithm?>? {
        let words = table.map(\.0) + others
        guard let word = isBareNull && words.contains("null") ? "null" : word(of: words) else { return nil }
        if AlgorithmNames.weak.contains(word) { warn(found: word.quoted, allowed: "a stronger algorithm; this one is for old peers alone") }
        return Chosen(word: word, meaning: table.first { $0.0 == word }?.1, value: self)
    }
}

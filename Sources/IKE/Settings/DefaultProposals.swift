package import Wire

/// What an unset `ike-transform` or `ipsec-transform` means (features.md X-7), in order of preference.
package enum DefaultProposals {
    package static let keyExchange: [KeyExchangeMethod] = [
        .x25519, .ecp256, .ecp384, .ecp521, .modp2048, .modp3072, .modp4096,
    ]
    package static let pseudorandomFunctions: [PseudorandomFunction] = [.hmacSHA256, .hmacSHA384, .hmacSHA512]
    package static let aead: [EncryptionChoice] = [
        EncryptionChoice(.aesGCM16, keyBits: 128), EncryptionChoice(.aesGCM16, keyBits: 256),
        EncryptionChoice(.chaCha20Poly1305),
    ]
    package static let ciphers: [EncryptionChoice] = [
        EncryptionChoice(.aesCBC, keyBits: 128), EncryptionChoice(.aesCBC, keyBits: 192),
        EncryptionChoice(.aesCBC, keyBits: 256),
    ]
    package static let integrity: [IntegrityAlgorithm] = [.hmacSHA256_128, .hmacSHA384_192, .hmacSHA512_256]

    package static let ike: [IKETransform] = [
        IKETransform(encryption: aead, pseudorandomFunctions: pseudorandomFunctions, keyExchange: keyExchange),
        IKETransform(
            encryption: ciphers, integrity: integrity, pseudorandomFunctions: pseudorandomFunctions,
            keyExchange: keyExchange),
    ]

    /// The last one, with SHA-1, is for Windows, which offers nothing better by default.
    package static let ipsec: [IPsecTransform] = [
        IPsecTransform(encryption: aead),
        IPsecTransform(encryption: ciphers, integrity: integrity),
        IPsecTransform(encryption: ciphers, integrity: [.hmacSHA1_96]),
    ]
}

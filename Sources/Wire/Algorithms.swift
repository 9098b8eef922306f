// Numbers of the IANA registry "IKEv2 Parameters" that both messages and cryptography speak of. An unknown number is a value, not an error.

/// Transform Type 1, Encryption Algorithm.
package struct EncryptionAlgorithm: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let des = Self(rawValue: 2)
    package static let tripleDES = Self(rawValue: 3)
    package static let null = Self(rawValue: 11)
    package static let aesCBC = Self(rawValue: 12)
    package static let aesGCM8 = Self(rawValue: 18)
    package static let aesGCM12 = Self(rawValue: 19)
    package static let aesGCM16 = Self(rawValue: 20)
    package static let nullAESGMAC = Self(rawValue: 21)
    package static let chaCha20Poly1305 = Self(rawValue: 28)
}

/// Transform Type 2, Pseudorandom Function.
package struct PseudorandomFunction: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let hmacMD5 = Self(rawValue: 1)
    package static let hmacSHA1 = Self(rawValue: 2)
    package static let aesXCBC = Self(rawValue: 4)
    package static let hmacSHA256 = Self(rawValue: 5)
    package static let hmacSHA384 = Self(rawValue: 6)
    package static let hmacSHA512 = Self(rawValue: 7)
}

/// Transform Type 3, Integrity Algorithm.
package struct IntegrityAlgorithm: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let none = Self(rawValue: 0)
    package static let hmacMD5_96 = Self(rawValue: 1)
    package static let hmacSHA1_96 = Self(rawValue: 2)
    package static let aesXCBC_96 = Self(rawValue: 5)
    package static let hmacSHA256_128 = Self(rawValue: 12)
    package static let hmacSHA384_192 = Self(rawValue: 13)
    package static let hmacSHA512_256 = Self(rawValue: 14)
}

/// Transform Type 4, Key Exchange Method.
package struct KeyExchangeMethod: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let none = Self(rawValue: 0)
    package static let modp768 = Self(rawValue: 1)
    package static let modp1024 = Self(rawValue: 2)
    package static let modp1536 = Self(rawValue: 5)
    package static let modp2048 = Self(rawValue: 14)
    package static let modp3072 = Self(rawValue: 15)
    package static let modp4096 = Self(rawValue: 16)
    package static let modp6144 = Self(rawValue: 17)
    package static let modp8192 = Self(rawValue: 18)
    package static let ecp256 = Self(rawValue: 19)
    package static let ecp384 = Self(rawValue: 20)
    package static let ecp521 = Self(rawValue: 21)
    package static let x25519 = Self(rawValue: 31)
    package static let x448 = Self(rawValue: 32)
}

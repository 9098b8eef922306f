package import Wire

/// Alc-IPsec-SA-Encr-Algorithm: 1 to 6 as FreeRADIUS's dictionary has them, 7 and up in the order of the reference's data model (numbers.md).
package struct SAEncryption: Hashable, Sendable {
    package let algorithm: EncryptionAlgorithm
    /// Bits; nil for a cipher that has one length only.
    package let keyLength: Int?

    init(_ algorithm: EncryptionAlgorithm, _ keyLength: Int? = nil) {
        self.algorithm = algorithm
        self.keyLength = keyLength
    }

    init?(alcatel number: UInt32) {
        let gcm: [EncryptionAlgorithm] = [.aesGCM8, .aesGCM12, .aesGCM16]
        switch number {
        case 1: self.init(.null)
        case 2: self.init(.des)
        case 3: self.init(.tripleDES)
        case 4...6: self.init(.aesCBC, 128 + 64 * (Int(number) - 4))
        case 7...15: self.init(gcm[(Int(number) - 7) % 3], 128 + 64 * ((Int(number) - 7) / 3))
        case 16...18: self.init(.nullAESGMAC, 128 + 64 * (Int(number) - 16))
        default: return nil
        }
    }

    /// Whether it authenticates by itself.
    package var isAEAD: Bool {
        switch algorithm {
        case .aesGCM8, .aesGCM12, .aesGCM16, .nullAESGMAC, .chaCha20Poly1305: true
        default: false
        }
    }
}

/// Alc-IPsec-SA-Auth-Algorithm, as above; null (1) is refused: there is no ESP here without authentication (DP-1, RFC 8221 section 4).
package enum SAIntegrity: Hashable, Sendable {
    case separate(IntegrityAlgorithm)
    /// auth-encryption: what goes with an AEAD.
    case authenticatedEncryption

    init?(alcatel number: UInt32) {
        switch number {
        case 2: self = .separate(.hmacMD5_96)
        case 3: self = .separate(.hmacSHA1_96)
        case 4: self = .separate(.hmacSHA256_128)
        case 5: self = .separate(.hmacSHA384_192)
        case 6: self = .separate(.hmacSHA512_256)
        case 7: self = .separate(.aesXCBC_96)
        case 8: self = .authenticatedEncryption
        default: return nil
        }
    }

    /// nil for an AEAD's own.
    package var algorithm: IntegrityAlgorithm? {
        if case .separate(let algorithm) = self { algorithm } else { nil }
    }
}

extension KeyExchangeMethod {
    /// Alc-IPsec-SA-PFS-Group: the group's number; 1, 2 and 5 in the dictionary, the others that we have as well.
    init?(alcatel number: UInt32) {
        guard [1, 2, 5, 14, 15, 16, 17, 18, 19, 20, 21, 31, 32].contains(number), let group = UInt16(exactly: number) else { return nil }
        self.init(rawValue: group)
    }
}

package import Wire

/// An encryption algorithm with the size of its key.
package struct EncryptionChoice: Hashable, Sendable {
    package let algorithm: EncryptionAlgorithm
    /// 128, 192 or 256; 0 where the algorithm has one size only (no Key Length attribute, RFC 7296 section 3.3.5).
    package let keyBits: Int

    package init(_ algorithm: EncryptionAlgorithm, keyBits: Int = 0) {
        self.algorithm = algorithm
        self.keyBits = keyBits
    }

    /// Encryption and integrity in one algorithm (RFC 5282, RFC 4106, RFC 4543, RFC 7634): no integrity transform stands beside it.
    package var isAEAD: Bool {
        switch algorithm {
        case .aesGCM8, .aesGCM12, .aesGCM16, .nullAESGMAC, .chaCha20Poly1305: true
        default: false
        }
    }
}

/// One `ike-transform`: a proposal for the IKE SA, its alternatives in order of preference.
package struct IKETransform: Hashable, Sendable {
    /// The id in the configuration; 0 for a default proposal.
    package var id: Int
    /// Either all AEAD or none.
    package var encryption: [EncryptionChoice]
    /// Empty with AEAD.
    package var integrity: [IntegrityAlgorithm]
    package var pseudorandomFunctions: [PseudorandomFunction]
    package var keyExchange: [KeyExchangeMethod]
    /// `isakmp-lifetime`: the hard lifetime of an IKE SA made from this proposal.
    package var lifetime: Duration

    package static let defaultLifetime = Duration.seconds(86_400)

    package init(
        id: Int = 0, encryption: [EncryptionChoice], integrity: [IntegrityAlgorithm] = [],
        pseudorandomFunctions: [PseudorandomFunction], keyExchange: [KeyExchangeMethod],
        lifetime: Duration = Self.defaultLifetime
    ) {
        self.id = id
        self.encryption = encryption
        self.integrity = integrity
        self.pseudorandomFunctions = pseudorandomFunctions
        self.keyExchange = keyExchange
        self.lifetime = lifetime
    }
}

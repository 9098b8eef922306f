package import Wire

/// One `ipsec-transform`: a proposal for a Child SA, its alternatives in order of preference.
package struct IPsecTransform: Hashable, Sendable {
    /// The id in the configuration; 0 for a default proposal.
    package var id: Int
    /// Either all AEAD or none.
    package var encryption: [EncryptionChoice]
    /// Empty with AEAD.
    package var integrity: [IntegrityAlgorithm]
    /// true: ESN where it is offered, else 32-bit sequence numbers; false: 32-bit only (features.md X-7).
    package var extendedSequenceNumbers: Bool
    /// Groups accepted in a rekey with a KE payload; the first is preferred on our own rekeys when `prefersPFS`. Empty: none.
    package var keyExchange: [KeyExchangeMethod]
    /// A `pfs-dh-group` other than `none`: our own rekeys carry a KE payload.
    package var prefersPFS: Bool
    /// A rekey without a KE payload is refused.
    package var requiresPFS: Bool
    /// `ipsec-lifetime`; unset: the policy's (configuration.md).
    package var lifetime: Duration?

    package init(
        id: Int = 0, encryption: [EncryptionChoice], integrity: [IntegrityAlgorithm] = [],
        extendedSequenceNumbers: Bool = true, keyExchange: [KeyExchangeMethod] = DefaultProposals.keyExchange,
        prefersPFS: Bool = false, requiresPFS: Bool = false, lifetime: Duration? = nil
    ) {
        self.id = id
        self.encryption = encryption
        self.integrity = integrity
        self.extendedSequenceNumbers = extendedSequenceNumbers
        self.keyExchange = keyExchange
        self.prefersPFS = prefersPFS
        self.requiresPFS = requiresPFS
        self.lifetime = lifetime
    }
}

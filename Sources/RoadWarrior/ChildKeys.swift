import GatewayCrypto

extension RoadWarrior {
    /// The keys of a Child SA, for who knows its packets elsewhere: a datapath, Wireshark, Scapy. Of the client alone: the gateway tells nobody.
    package struct ChildKeys: Equatable, Sendable {
        package let facts: ChildEstablished
        package let inboundEncryption, inboundIntegrity, outboundEncryption, outboundIntegrity: [UInt8]
    }

    /// Called for each Child SA as it is made, before its first packet.
    package typealias ChildKeyLog = @Sendable (ChildKeys) -> Void
}

extension RoadWarrior.ChildKeys {
    /// Cuts KEYMAT as `ChildSA` does, RFC 7296 section 2.17.
    init(
        _ facts: RoadWarrior.ChildEstablished, material: borrowing SecretOctets, isInitiator: Bool
    ) throws(CryptoError) {
        let (encryption, integrity) = (facts.protection.encryptionKeyLength, facts.protection.integrityKeyLength)
        let half = encryption + integrity
        let (own, peer) = isInitiator ? (0, half) : (half, 0)
        self.facts = facts
        outboundEncryption = try material.slice(own..<own + encryption).exposed()
        outboundIntegrity = try material.slice(own + encryption..<own + half).exposed()
        inboundEncryption = try material.slice(peer..<peer + encryption).exposed()
        inboundIntegrity = try material.slice(peer + encryption..<peer + half).exposed()
    }
}

import GatewayCrypto
import IKEMessages
import Wire

/// A CREATE_CHILD_SA request of the client that replaces the IKE SA, RFC 7296 sections 1.3.2 and 2.18. It is answered at once: nothing has to be
/// asked but an SPI of ours, which comes within the same feed.
struct IKERekey: ~Copyable, Sendable {
    let messageID: UInt32
    let proposal: IKEProposal
    let peerSPI: IKESPI
    let peerKey: [UInt8]
    let initiatorNonce: [UInt8]

    /// Takes a request up, or throws what it is refused with.
    static func begin(
        _ request: CreateChildSARequest, messageID: UInt32, accepting transforms: [IKETransform]
    ) throws(ExchangeError) -> IKERekey {
        guard let key = request.keyExchange else { throw .invalidSyntax }
        guard let proposal = ProposalSelection.ike(from: request.proposals, accepting: transforms, offeredKey: key.method, spiLength: 8),
            let offer = request.proposals.first(where: { $0.number == proposal.number && $0.protocolID == .ike })
        else { throw .noProposalChosen }
        guard proposal.keyExchange == key.method else { throw .invalidKeyExchange(preferred: proposal.keyExchange) }
        let spi = offer.spi.reduce(IKESPI(0)) { $0 << 8 | IKESPI($1) }
        guard offer.spi.count == 8, spi != 0, key.data.count == KeyExchange.publicValueLength(key.method) else { throw .invalidSyntax }
        return IKERekey(
            messageID: messageID, proposal: proposal, peerSPI: spi, peerKey: key.data, initiatorNonce: request.nonce.octets)
    }

    /// The new IKE SA's keys: SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr) with the old SA's PRF, and the response that makes the client derive
    /// the same.
    consuming func finish(
        ours spi: IKESPI, old: borrowing SAKeys, entropy: any Entropy
    ) throws(CryptoError) -> RekeyedIKE {
        guard let prf = PRF(proposal.prf) else { throw .unsupported }
        let key = try KeyExchange(proposal.keyExchange, entropy: entropy)
        let secret = try key.sharedSecret(with: peerKey)
        let nonce = entropy.octets(Initiation.nonceLength)
        let keys = try SAKeys(
            rekeying: old, prf: prf, suite: proposal.suite, sharedSecret: secret, initiatorNonce: initiatorNonce, responderNonce: nonce,
            initiatorSPI: peerSPI, responderSPI: spi)
        let protection = try Protection(responder: keys, suite: proposal.suite)
        var octets: [UInt8] = []
        octets.append(bigEndian: spi)
        var offer = proposal.response
        offer.spi = octets
        let payloads: [Payload] = [
            .securityAssociation(SecurityAssociationPayload(proposals: [offer])),
            .nonce(NoncePayload(octets: nonce)),
            .keyExchange(KeyExchangePayload(method: proposal.keyExchange, data: key.publicValue)),
        ]
        return RekeyedIKE(
            initiatorSPI: peerSPI, responderSPI: spi, proposal: proposal, keys: keys, protection: protection, payloads: payloads)
    }
}

/// A new IKE SA's keys and the response to the request that asked for it.
struct RekeyedIKE: ~Copyable, Sendable {
    let initiatorSPI: IKESPI
    let responderSPI: IKESPI
    let proposal: IKEProposal
    let keys: SAKeys
    let protection: Protection
    let payloads: [Payload]
}

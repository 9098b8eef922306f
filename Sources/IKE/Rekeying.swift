import GatewayCrypto
import IKEMessages
import Wire

/// A CREATE_CHILD_SA request of the client that replaces the IKE SA, RFC 7296 sections 1.3.2 and 2.18. It is answered at once: nothing has to be
/// asked but an SPI of ours, which comes within the same feed.
struct IKERekey: Sendable {
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
        let spi = offer.ikeSPI
        guard offer.spi.count == 8, spi != 0, key.data.count == KeyExchange.publicValueLength(key.method) else { throw .invalidSyntax }
        return IKERekey(
            messageID: messageID, proposal: proposal, peerSPI: spi, peerKey: key.data, initiatorNonce: request.nonce.octets)
    }

    /// The IKE SA that comes of it, and the response that makes the client derive the same.
    func finish(
        ours spi: IKESPI, replacing old: borrowing Channel, keys oldKeys: borrowing SAKeys, at now: Instant
    ) throws(CryptoError) -> (Successor, [Payload]) {
        let key = try KeyExchange(proposal.keyExchange, entropy: old.entropy)
        let secret = try key.sharedSecret(with: peerKey)
        let nonce = old.entropy.octets(Initiation.nonceLength)
        var octets: [UInt8] = []
        octets.append(bigEndian: spi)
        var offer = proposal.response
        offer.spi = octets
        let payloads: [Payload] = [
            .securityAssociation(SecurityAssociationPayload(proposals: [offer])),
            .nonce(NoncePayload(octets: nonce)),
            .keyExchange(KeyExchangePayload(method: proposal.keyExchange, data: key.publicValue)),
        ]
        let successor = try Successor(
            Successor.Terms(
                role: .responder, initiatorSPI: peerSPI, responderSPI: spi, proposal: proposal, initiatorNonce: initiatorNonce,
                responderNonce: nonce),
            secret: secret, replacing: old, keys: oldKeys, at: now)
        return (successor, payloads)
    }
}

/// Our own request that replaces the IKE SA.
struct OurIKERekey: Sendable {
    /// Ours in the new IKE SA, of which we are the initiator.
    let spi: IKESPI
    private let nonce: [UInt8]
    private var offers: Offers<IKETransform>
    private var key: Held<KeyExchange>
    /// SK_d of the IKE SA that it was asked on, which may not be the one in use any more when the answer comes.
    private let oldKeys: Held<SAKeys>
    /// INVALID_KE_PAYLOAD is followed once (threats.md P9).
    private var hasRetried = false

    /// Throws when there is no key to be had.
    init(spi: IKESPI, offers: Offers<IKETransform>, keys: Held<SAKeys>, entropy: any Entropy) throws(CryptoError) {
        let key = try KeyExchange(offers.group ?? .x25519, entropy: entropy)
        self.spi = spi
        self.offers = offers
        self.key = Held(key)
        oldKeys = keys
        nonce = entropy.octets(Initiation.nonceLength)
    }

    /// SA, Ni, KEi.
    var payloads: [Payload] {
        var octets: [UInt8] = []
        octets.append(bigEndian: spi)
        return [
            offers.payload(spi: octets), .nonce(NoncePayload(octets: nonce)),
            .keyExchange(KeyExchangePayload(method: key.value.method, data: key.value.publicValue)),
        ]
    }

    /// Takes the group that the client asks for, if it may be followed; throws when there is no key to be had.
    mutating func follows(_ refusal: NotifyPayload, entropy: any Entropy) throws(CryptoError) -> Bool {
        guard !hasRetried, let group = refusal.preferredGroup, let offers = offers.with(group: group) else { return false }
        let key = try KeyExchange(group, entropy: entropy)
        self.offers = offers
        self.key = Held(key)
        hasRetried = true
        return true
    }

    /// The IKE SA that comes of an answer; nil when that is not what was asked for.
    func finish(
        _ answer: CreateChildSAResponse.Accepted, replacing old: borrowing Channel, at now: Instant
    ) -> Successor? {
        guard answer.initiatorSelectors == nil, answer.proposals.count == 1, let proposal = answer.proposals.first, offers.hold(proposal),
            proposal.spi.count == 8, proposal.ikeSPI != 0, let theirs = answer.keyExchange, theirs.method == key.value.method,
            let agreed = ProposalSelection.ike(
                from: [proposal], accepting: offers.transforms, offeredKey: key.value.method, spiLength: 8),
            agreed.keyExchange == key.value.method, let secret = try? key.value.sharedSecret(with: theirs.data)
        else { return nil }
        return try? Successor(
            Successor.Terms(
                role: .initiator, initiatorSPI: spi, responderSPI: proposal.ikeSPI, proposal: agreed, initiatorNonce: nonce,
                responderNonce: answer.nonce.octets),
            secret: secret, replacing: old, keys: oldKeys.value, at: now)
    }
}

/// An IKE SA that is to take the place of another.
struct Successor: Sendable {
    let channel: Held<Channel>
    let keys: Held<SAKeys>
    let proposal: IKEProposal
    /// The lower of its exchange's two nonces (RFC 7296 section 2.8.2).
    let lowestNonce: [UInt8]

    struct Terms {
        let role: Role
        let initiatorSPI: IKESPI
        let responderSPI: IKESPI
        let proposal: IKEProposal
        let initiatorNonce: [UInt8]
        let responderNonce: [UInt8]
    }

    /// SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr) with the old SA's PRF.
    init(
        _ terms: Terms, secret: borrowing SecretOctets, replacing old: borrowing Channel, keys oldKeys: borrowing SAKeys, at now: Instant
    ) throws(CryptoError) {
        guard let prf = PRF(terms.proposal.prf) else { throw .unsupported }
        let keys = try SAKeys(
            rekeying: oldKeys, prf: prf, suite: terms.proposal.suite, sharedSecret: secret, initiatorNonce: terms.initiatorNonce,
            responderNonce: terms.responderNonce, initiatorSPI: terms.initiatorSPI, responderSPI: terms.responderSPI)
        let protection = try Protection(keys, as: terms.role, suite: terms.proposal.suite)
        var channel = Channel(
            initiatorSPI: terms.initiatorSPI, responderSPI: terms.responderSPI, role: terms.role, local: old.local, remote: old.remote,
            nat: old.nat, protection: protection, requests: RequestWindow(expected: 0), lastHeard: old.lastHeard, entropy: old.entropy,
            liveness: old.liveness)
        channel.fragmentation = old.fragmentation
        self.channel = Held(channel)
        self.keys = Held(keys)
        proposal = terms.proposal
        lowestNonce = Nonces.lowest(terms.initiatorNonce, terms.responderNonce)
    }
}

extension Proposal {
    fileprivate var ikeSPI: IKESPI { spi.prefix(8).reduce(IKESPI(0)) { $0 << 8 | IKESPI($1) } }
}

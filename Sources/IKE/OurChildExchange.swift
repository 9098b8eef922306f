import GatewayCrypto
import IKEMessages
import Wire

/// A CREATE_CHILD_SA request of our own: a Child SA in the place of another, or one from scratch where the client has lost it
/// (RFC 7296 sections 1.3.3 and 2.25.1).
struct OurChildExchange: Sendable {
    /// Our SPI of the Child SA that is to be replaced; nil: none.
    let replaces: UInt32?
    let localSelectors: [TrafficSelector]
    let remoteSelectors: [TrafficSelector]
    /// What it replaces serves a resource of its own, and so will this one (RFC 9611 section 3).
    let isPerResource: Bool
    let nonce: [UInt8]
    private(set) var offers: Offers<IPsecTransform>
    private(set) var key: Held<KeyExchange>?
    /// INVALID_KE_PAYLOAD is followed once (threats.md P9).
    private var hasRetried = false
    /// Known as soon as the datapath has given it.
    var inboundSPI: UInt32?
    /// What the client agreed to, while it is being installed.
    var agreed: Agreed?
    /// SPIs that the client has deleted and we do not know: that of this Child SA may be among them, if its answer was overtaken.
    var deleted: Set<[UInt8]> = []
    /// The client's exchange for the same Child SA, as far as it is known: which of the two stays is a matter of nonces.
    var rival: Child.Origin?

    struct Agreed: Sendable {
        let child: ChildSA
        let responderNonce: [UInt8]
        /// g^ir, where the exchange had a key exchange of its own.
        let secret: Held<SecretOctets>?
    }

    /// Throws when there is no key to be had.
    init(
        replacing old: ChildSA, fromScratch: Bool, offers: Offers<IPsecTransform>, entropy: any Entropy
    ) throws(CryptoError) {
        replaces = fromScratch ? nil : old.inboundSPI
        localSelectors = old.localSelectors
        remoteSelectors = old.remoteSelectors
        isPerResource = old.isPerResource && !fromScratch
        self.offers = offers
        var key: Held<KeyExchange>?
        if let group = offers.group { key = Held(try KeyExchange(group, entropy: entropy)) }
        self.key = key
        nonce = entropy.octets(Initiation.nonceLength)
    }

    /// The group that the client asks for, if it may be followed; throws when there is no key to be had.
    mutating func follows(_ refusal: NotifyPayload, entropy: any Entropy) throws(CryptoError) -> Bool {
        guard !hasRetried, let group = refusal.preferredGroup, let offers = offers.with(group: group) else { return false }
        let key = try KeyExchange(group, entropy: entropy)
        self.offers = offers
        self.key = Held(key)
        hasRetried = true
        return true
    }

    /// [N(REKEY_SA)], SA, Ni, [KEi], TSi, TSr.
    func payloads(inboundSPI spi: UInt32) -> [Payload] {
        var payloads: [Payload] = []
        if let replaces {
            var notify = NotifyPayload(.rekeySA)
            notify.protocolID = SecurityProtocol.esp.rawValue
            notify.spi = ChildTable.octets(replaces)
            payloads.append(.notify(notify))
        }
        payloads += [offers.payload(spi: ChildTable.octets(spi)), .nonce(NoncePayload(octets: nonce))]
        if let key { payloads.append(.keyExchange(KeyExchangePayload(method: key.value.method, data: key.value.publicValue))) }
        return payloads + [
            .initiatorTrafficSelectors(TrafficSelectorPayload(selectors: localSelectors)),
            .responderTrafficSelectors(TrafficSelectorPayload(selectors: remoteSelectors)),
        ]
    }

    /// What an answer comes to.
    enum Answer {
        case agreed(ESPProposal, Held<SecretOctets>?, local: [TrafficSelector], remote: [TrafficSelector])
        /// Against what was asked; the client has a Child SA with this SPI that must go again, if it said which.
        case unacceptable(outboundSPI: UInt32?)
    }

    /// Measures an answer by the request.
    func measure(_ answer: CreateChildSAResponse.Accepted) -> Answer {
        guard answer.proposals.count == 1, let proposal = answer.proposals.first, proposal.spi.count == 4 else {
            return .unacceptable(outboundSPI: nil)
        }
        let spi = proposal.spi.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard offers.hold(proposal),
            let suite = ProposalSelection.esp(from: [proposal], accepting: offers.transforms, keyExchange: .allowed(key?.value.method)),
            let local = answer.initiatorSelectors, let remote = answer.responderSelectors,
            // Never narrower than the traffic in use (threats.md P24), and never wider than was asked.
            Narrowing.lies(local, within: localSelectors), Narrowing.lies(remote, within: remoteSelectors),
            replaces == nil || (Narrowing.lies(localSelectors, within: local) && Narrowing.lies(remoteSelectors, within: remote))
        else { return .unacceptable(outboundSPI: spi) }
        guard let group = suite.keyExchange else { return .agreed(suite, nil, local: local, remote: remote) }
        guard let theirs = answer.keyExchange, theirs.method == group, let key, key.value.method == group,
            let secret = try? key.value.sharedSecret(with: theirs.data)
        else { return .unacceptable(outboundSPI: spi) }
        return .agreed(suite, Held(secret), local: local, remote: remote)
    }

    /// KEYMAT as for every exchange, the first half for what we send.
    func keys(_ keys: borrowing SAKeys) -> ChildKeys? {
        guard let agreed else { return nil }
        let suite = agreed.child.suite.suite
        guard let secret = agreed.secret else {
            return try? keys.childKeys(
                suite: suite, initiatorNonce: nonce, responderNonce: agreed.responderNonce, as: .initiator)
        }
        return try? keys.childKeys(
            suite: suite, secret: secret.value, initiatorNonce: nonce, responderNonce: agreed.responderNonce, as: .initiator)
    }
}

/// The four nonces of two exchanges that collided, RFC 7296 section 2.8.1.
enum Nonces {
    /// The lower of two, octet by octet; a beginning of the other is lower.
    static func lowest(_ left: [UInt8], _ right: [UInt8]) -> [UInt8] { right.lexicographicallyPrecedes(left) ? right : left }

    /// Whether what was made with `ours` goes: it has the lowest of all four.
    static func loses(_ ours: [UInt8], to theirs: [UInt8]) -> Bool { ours.lexicographicallyPrecedes(theirs) }
}

extension NotifyPayload {
    /// The group that INVALID_KE_PAYLOAD asks for.
    var preferredGroup: KeyExchangeMethod? {
        type == .invalidKEPayload && data.count == 2 ? KeyExchangeMethod(rawValue: UInt16(data[0]) << 8 | UInt16(data[1])) : nil
    }
}

extension Narrowing {
    /// Whether everything that `inner` selects lies within `outer`.
    static func lies(_ inner: [TrafficSelector], within outer: [TrafficSelector]) -> Bool {
        !inner.isEmpty && narrow(inner, to: outer) == narrow(inner, to: inner)
    }
}

import GatewayCrypto
package import IKEMessages
package import Wire

/// What lasts from the first IKE_SA_INIT request to the keys.
struct Initiation: ~Copyable {
    var nonce: [UInt8] = []
    var responderNonce: [UInt8] = []
    var keyExchange: KeyExchange?
    /// The COOKIE to return, RFC 7296 section 2.6.
    var cookie: [UInt8]?
    /// The request as sent last and the response as accepted: AUTH covers both (RFC 7296 section 2.15).
    var request: [UInt8] = []
    var response: [UInt8] = []
    /// Both of them announce IKE_SA_INIT_FULL_TRANSCRIPT_AUTH.
    var isFullTranscript = false
    /// How often COOKIE and INVALID_KE_PAYLOAD made us begin anew.
    var restarts = 0
    var refusal: RoadWarrior.Refusal?

    static let maximumRestarts = 6
}

extension RoadWarrior {
    /// HDR, [N(COOKIE),] SAi1, KEi, Ni, N(NAT_DETECTION_*)  -->  with a fresh key of the method, RFC 7296 section 1.2.
    mutating func initiate(with method: KeyExchangeMethod, at now: Instant, into outputs: inout [Output]) {
        do {
            initiation.keyExchange = try KeyExchange(method, entropy: settings.entropy)
        } catch {
            return close(.cryptography(error), into: &outputs)
        }
        sendInitiation(at: now, into: &outputs)
    }

    private mutating func sendInitiation(at now: Instant, into outputs: inout [Output]) {
        guard let method = initiation.keyExchange?.method, let value = initiation.keyExchange?.publicValue else { return }
        var payloads: [Payload] = []
        if let cookie = initiation.cookie { payloads.append(.notify(NotifyPayload(.cookie, data: cookie))) }
        payloads.append(.securityAssociation(SecurityAssociationPayload(proposals: settings.ikeProposals)))
        payloads.append(.keyExchange(KeyExchangePayload(method: method, data: value)))
        payloads.append(.nonce(NoncePayload(octets: initiation.nonce)))
        payloads += natDetection()
        if usesSignatures, settings.announcesSignatureHashes {
            payloads.append(.notify(NotifyPayload(.signatureHashAlgorithms, data: SignatureHashAlgorithm.encoded())))
        }
        if settings.longestMessage != nil { payloads.append(.notify(NotifyPayload(.fragmentationSupported))) }
        if settings.announcesFullTranscript { payloads.append(.notify(NotifyPayload(.fullTranscriptAuthentication))) }
        payloads += settings.initNotifies.map { .notify($0) }
        let header = IKEHeader(
            initiatorSPI: initiatorSPI, responderSPI: 0, exchange: .ikeSAInit, flags: [.initiator], messageID: 0)
        guard let outgoing = tampered(header, payloads) else { return }
        let octets = IKEMessage(header: outgoing.header, payloads: outgoing.payloads).encoded()
        initiation.request = octets
        transmit([octets], on: ike, id: 0, .ikeSAInit, for: .initiation, at: now, into: &outputs)
    }

    private func natDetection() -> [Payload] {
        let source: [UInt8]
        switch settings.natClaim {
        case .silent: return []
        case .truthful: source = Self.natHash(initiatorSPI, 0, settings.local)
        case .behindNAT: source = settings.entropy.octets(20)
        }
        return [
            .notify(NotifyPayload(.natDetectionSourceIP, data: source)),
            .notify(
                NotifyPayload(.natDetectionDestinationIP, data: Self.natHash(initiatorSPI, 0, settings.remote))),
        ]
    }

    /// SHA-1 (SPIi | SPIr | IP | Port), RFC 7296 section 2.23.
    package static func natHash(_ initiatorSPI: IKESPI, _ responderSPI: IKESPI, _ endpoint: Endpoint) -> [UInt8] {
        var text: [UInt8] = []
        text.append(bigEndian: initiatorSPI)
        text.append(bigEndian: responderSPI)
        text += endpoint.address.octets
        text.append(bigEndian: endpoint.port)
        return Digest.sha1(text)
    }

    mutating func receiveInitiationResponse(
        _ message: IKEMessage, octets: [UInt8], at now: Instant, into outputs: inout [Output]
    ) {
        let payloads = message.payloads
        guard ike.window.outstanding != nil else {
            drops.outsideWindow += 1
            return
        }
        if let cookie = payloads.notify(.cookie) {
            return returnCookie(cookie.data, at: now, into: &outputs)
        }
        if let invalid = payloads.notify(.invalidKEPayload) {
            return changeMethod(invalid, at: now, into: &outputs)
        }
        if let error = payloads.firstError {
            return noteRefusal(error, at: now, into: &outputs)
        }
        guard let proposals = payloads.proposals, let exchange = payloads.keyExchange, let nonce = payloads.nonce,
            message.header.responderSPI != 0
        else {
            drops.malformed += 1
            return
        }
        let suite: IKESuite
        do {
            suite = try Choice.ike(proposals, of: settings.ikeProposals)
        } catch {
            return close(.violation(error.words), into: &outputs)
        }
        guard let ours = initiation.keyExchange?.method, exchange.method == ours, suite.keyExchange == ours else {
            return close(.violation("the key exchange is not of the method that we sent"), into: &outputs)
        }
        ike.responderSPI = message.header.responderSPI
        initiation.response = octets
        initiation.responderNonce = nonce
        do {
            try deriveKeys(suite, peer: exchange.data)
        } catch {
            return close(.cryptography(error), into: &outputs)
        }
        ike.window.outstanding = nil
        ike.retransmission = nil
        deadlines[.patience] = nil
        lastHeard = now
        detectNAT(payloads)
        knowsFragments = settings.longestMessage != nil && payloads.notify(.fragmentationSupported) != nil
        noteSignatures(payloads)
        initiation.isFullTranscript = settings.announcesFullTranscript && payloads.notify(.fullTranscriptAuthentication) != nil
        stage = .authenticating
        authenticate(at: now, into: &outputs)
    }

    private mutating func deriveKeys(_ suite: IKESuite, peer value: [UInt8]) throws(CryptoError) {
        guard let exchange = initiation.keyExchange.take() else { throw .unsupported }
        let shared = try exchange.sharedSecret(with: value)
        let derived = try IKEKeys(
            suite, shared: shared, initiatorNonce: initiation.nonce, responderNonce: initiation.responderNonce,
            initiatorSPI: initiatorSPI, responderSPI: responderSPI)
        ike.protection = try Protection(derived, isInitiator: true)
        ike.keys = derived
    }

    /// A COOKIE is returned as it came; the same one once more answers a retransmission of ours, RFC 7296 section 2.6.
    private mutating func returnCookie(_ cookie: [UInt8], at now: Instant, into outputs: inout [Output]) {
        guard (1...64).contains(cookie.count), cookie != initiation.cookie else {
            drops.malformed += 1
            return
        }
        guard restart(into: &outputs) else { return }
        initiation.cookie = cookie
        sendInitiation(at: now, into: &outputs)
    }

    /// INVALID_KE_PAYLOAD names the method to use, which must be one of our own; a cookie stays with the request (RFC 7296 section 2.6.1).
    private mutating func changeMethod(_ notify: NotifyPayload, at now: Instant, into outputs: inout [Output]) {
        let wanted = KeyExchangeMethod(rawValue: notify.data.reduce(0) { $0 << 8 | UInt16($1) })
        guard notify.data.count == 2, wanted != initiation.keyExchange?.method else {
            drops.malformed += 1
            return
        }
        let offered = settings.ikeProposals.contains { proposal in
            proposal.transforms.contains { $0.type == .keyExchange && $0.id == wanted.rawValue }
        }
        guard offered, KeyExchange.supports(wanted) else { return noteRefusal(notify, at: now, into: &outputs) }
        guard restart(into: &outputs) else { return }
        initiate(with: wanted, at: now, into: &outputs)
    }

    private mutating func restart(into outputs: inout [Output]) -> Bool {
        initiation.restarts += 1
        guard initiation.restarts <= Initiation.maximumRestarts else {
            close(.violation("it asked for another IKE_SA_INIT again and again"), into: &outputs)
            return false
        }
        return true
    }

    /// A refusal without protection may be forged: a proper response may still come for a while.
    private mutating func noteRefusal(_ notify: NotifyPayload, at now: Instant, into outputs: inout [Output]) {
        guard initiation.refusal == nil else { return }
        let refusal = Refusal(exchange: .ikeSAInit, notify: notify, authenticated: false)
        initiation.refusal = refusal
        outputs.append(.refused(refusal))
        deadlines[.patience] = now + settings.patience
    }

    mutating func losePatience(into outputs: inout [Output]) {
        guard stage == .initiating, let refusal = initiation.refusal else { return }
        close(.refused(refusal), into: &outputs)
    }

    /// Any NAT, or our claim of one, moves both sides to the NAT port, RFC 7296 section 2.23.
    private mutating func detectNAT(_ payloads: [Payload]) {
        let sources = payloads.notifies.filter { $0.type == .natDetectionSourceIP }
        guard settings.natClaim != .silent, !sources.isEmpty,
            let destination = payloads.notify(.natDetectionDestinationIP)
        else { return }
        let gatewayHash = Self.natHash(initiatorSPI, responderSPI, settings.remote)
        behindNAT = destination.data != Self.natHash(initiatorSPI, responderSPI, settings.local)
        encapsulated = behindNAT || settings.natClaim == .behindNAT || !sources.contains { $0.data == gatewayHash }
    }
}

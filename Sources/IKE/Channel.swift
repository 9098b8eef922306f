import GatewayCrypto
import IKEMessages
import Wire

/// Which end of an IKE SA we are; keys, SPIs and the Initiator flag follow from it. Whoever asks for an IKE SA in the place of another is the initiator
/// of the new one (RFC 7296 section 2.18). Of an exchange: whether we asked.
package enum Role: Sendable {
    case initiator
    case responder
}

/// What every stage after the key exchange shares: SPIs, path, protection, windows and deadlines of one IKE SA.
struct Channel: ~Copyable, Sendable {
    let initiatorSPI: IKESPI
    let responderSPI: IKESPI
    let role: Role
    /// Where the client is now, and where it talks to us.
    var local: Endpoint
    var remote: Endpoint
    var nat: NATState
    var protection: Protection
    var requests: RequestWindow
    var outstanding: OutstandingRequest?
    /// Between which ends the request in work came: its answer goes back the same way, wherever the client is believed to be (RFC 7296 section 2.11).
    private var answerPath: (local: Endpoint, remote: Endpoint)
    /// How often INFORMATIONAL requests are answered, and how often the last response is repeated (threats.md P21).
    private var answers = RateCap()
    private var repetitions = RateCap()
    /// Requests that wait for the window (size 1).
    var queued: [(RequestPurpose, [Payload])] = []
    var nextRequestID: UInt32 = 0
    /// The last time the client proved to be alive.
    var lastHeard: Instant
    var deadlines = Deadlines<SADeadline>()
    let entropy: any Entropy
    /// How liveness checks are repeated.
    var liveness: RetransmissionSchedule
    /// RFC 7383; nil where the client did not say that it knows fragments.
    var fragmentation: Fragmentation?
    /// The message that is being put together: one per SA (threats.md P5).
    var reassembly: Held<Reassembly>?
    /// The digest of the first fragment of the request that was completed just now.
    var completedRequest: [UInt8]?
    /// How often the NAT before us hears of us; nil: never.
    var keepAliveInterval: Duration?
    var upkeep = Deadlines<UpkeepDeadline>()
    /// The SA is being deleted: whatever is still out waits no longer than the Delete would.
    private var isEnding = false

    /// Requests of our own that may wait at once.
    static let mostQueuedRequests = 24

    init(
        initiatorSPI: IKESPI, responderSPI: IKESPI, role: Role = .responder, local: Endpoint, remote: Endpoint, nat: NATState,
        protection: consuming Protection, requests: RequestWindow, lastHeard: Instant, entropy: any Entropy, liveness: RetransmissionSchedule
    ) {
        self.initiatorSPI = initiatorSPI
        self.responderSPI = responderSPI
        self.role = role
        self.local = local
        self.remote = remote
        self.nat = nat
        self.protection = protection
        self.requests = requests
        self.lastHeard = lastHeard
        self.entropy = entropy
        self.liveness = liveness
        answerPath = (local, remote)
    }

    /// The SPI that messages to us have.
    var ourSPI: IKESPI { role == .responder ? responderSPI : initiatorSPI }

    /// Whether a message names this IKE SA.
    func isNamed(by header: IKEHeader) -> Bool { header.initiatorSPI == initiatorSPI && header.responderSPI == responderSPI }

    /// What a datagram came to.
    enum Arrival {
        case request(ExchangeType, id: UInt32, [Payload])
        case faultyRequest(ExchangeType, id: UInt32, MessageError)
        case response(RequestPurpose, [Payload])
        case nothing
    }

    /// Takes a datagram through header, window and ICV, in this order; what fails costs one counted drop or the cached response.
    mutating func receive(_ datagram: IKEDatagram, at now: Instant, into outputs: inout [Output]) -> Arrival {
        let message: IKEMessage
        do throws(MessageError) {
            message = try IKEMessage(parsing: datagram.octets)
        } catch {
            return drop(.malformed, into: &outputs)
        }
        let header = message.header
        guard isNamed(by: header), header.isFromInitiator == (role == .responder) else {
            return drop(.wrongDirection, into: &outputs)
        }
        guard let sealed = Sealed(message.payloads) else { return drop(.notEncrypted, into: &outputs) }
        if case .fragment = sealed, fragmentation == nil { return drop(.fragment, into: &outputs) }
        completedRequest = nil
        return header.isResponse
            ? receiveResponse(header, sealed, datagram, at: now, into: &outputs)
            : receiveRequest(header, sealed, datagram, at: now, into: &outputs)
    }

    private mutating func open(
        _ header: IKEHeader, _ sealed: Sealed, _ octets: [UInt8], at now: Instant, into outputs: inout [Output]
    ) -> Unsealed {
        switch sealed {
        case .whole(let encrypted): protection.open(octets, encrypted)
        case .fragment(let fragment): collect(fragment, header, octets, at: now, into: &outputs)
        }
    }

    private mutating func receiveRequest(
        _ header: IKEHeader, _ sealed: Sealed, _ datagram: IKEDatagram, at now: Instant, into outputs: inout [Output]
    ) -> Arrival {
        switch requests.place(of: header.messageID, request: datagram.octets) {
        case .outside:
            if let response = requests.response(to: header.messageID), isCutAnew(sealed, datagram.octets) {
                return answerAgain(response, to: datagram, at: now, into: &outputs)
            }
            return drop(requests.isBusy ? .stillWorking : .outsideWindow, into: &outputs)
        case .repeated(let response): return answerAgain(response, to: datagram, at: now, into: &outputs)
        case .expected: break
        }
        let unsealed = open(header, sealed, datagram.octets, at: now, into: &outputs)
        switch unsealed {
        case .unauthentic: return drop(.unauthentic, into: &outputs)
        case .incomplete: return .nothing
        case .payloads, .faulty: break
        }
        // After the ICV, so that nobody else can use up the client's share; the request stays unanswered and will come again.
        if header.exchange == .informational, !answers.admits(at: now) { return drop(.rateLimited, into: &outputs) }
        switch unsealed {
        case .unauthentic, .incomplete: return .nothing
        case .faulty(let error):
            accepted(datagram, at: now, into: &outputs)
            return .faultyRequest(header.exchange, id: header.messageID, error)
        case .payloads(let payloads):
            return .request(header.exchange, id: header.messageID, payloads)
        }
    }

    /// The last request came again: the same octets go back to wherever it came from.
    private mutating func answerAgain(
        _ response: [[UInt8]], to datagram: IKEDatagram, at now: Instant, into outputs: inout [Output]
    ) -> Arrival {
        guard repetitions.admits(at: now) else { return drop(.rateLimited, into: &outputs) }
        outputs += response.map { .send(IKEDatagram($0, local: datagram.local, remote: datagram.remote)) }
        return .nothing
    }

    /// The stage takes the request: its copies are dropped until `respond`, and the client is where it came from.
    mutating func accepted(_ datagram: IKEDatagram, at now: Instant, into outputs: inout [Output]) {
        requests.accept(digest: completedRequest ?? Digest.sha256(datagram.octets))
        forgetFragments(ofResponse: false)
        answerPath = (datagram.local, datagram.remote)
        // No further request can be numbered: the SA has outlived itself (RFC 7296 section 2.2).
        if requests.isExhausted { deadlines[.ageOut] = now }
        heard(from: datagram, at: now, into: &outputs)
    }

    private mutating func receiveResponse(
        _ header: IKEHeader, _ sealed: Sealed, _ datagram: IKEDatagram, at now: Instant, into outputs: inout [Output]
    ) -> Arrival {
        guard let waiting = outstanding, waiting.id == header.messageID, waiting.exchange == header.exchange else {
            return drop(.unsolicitedResponse, into: &outputs)
        }
        let payloads: [Payload]
        switch open(header, sealed, datagram.octets, at: now, into: &outputs) {
        case .unauthentic: return drop(.unauthentic, into: &outputs)
        case .incomplete: return .nothing
        // Authentic and malformed: the exchange is over all the same, with nothing learned from it.
        case .faulty: payloads = []
        case .payloads(let inner): payloads = inner
        }
        outstanding = nil
        deadlines[.retransmit] = nil
        forgetFragments(ofResponse: true)
        heard(from: datagram, at: now, into: &outputs)
        // What waits behind a rekey belongs on the IKE SA that comes of it.
        if waiting.purpose != .rekeyIKESA { sendQueued(at: now, into: &outputs) }
        return .response(waiting.purpose, payloads)
    }

    /// An authentic, new message: liveness evidence, and the newest place of a client behind a NAT (RFC 7296 section 2.23).
    private mutating func heard(from datagram: IKEDatagram, at now: Instant, into outputs: inout [Output]) {
        lastHeard = max(lastHeard, now)
        guard datagram.remote != remote || datagram.local != local else { return }
        let floating = local.port != datagram.local.port
        guard floating || nat.peerBehindNAT else { return }
        local = datagram.local
        remote = datagram.remote
        outputs.append(.moved(remote))
    }

    func drop(_ reason: MessageDrop, into outputs: inout [Output]) -> Arrival {
        outputs.append(.dropped(reason))
        return .nothing
    }

    /// Answers the request taken last; the octets are kept for its repetitions.
    mutating func respond(_ exchange: ExchangeType, id: UInt32, _ payloads: [Payload], into outputs: inout [Output]) {
        let header = IKEHeader(
            initiatorSPI: initiatorSPI, responderSPI: responderSPI, exchange: exchange,
            flags: role == .initiator ? [.response, .initiator] : .response, messageID: id)
        guard let messages = seal(header, payloads, from: answerPath.local) else { return }
        requests.answered(messages)
        outputs += messages.map { .send(IKEDatagram($0, local: answerPath.local, remote: answerPath.remote)) }
    }

    mutating func respond(_ exchange: ExchangeType, id: UInt32, error: ExchangeError, into outputs: inout [Output]) {
        respond(exchange, id: id, [.notify(error.notify)], into: &outputs)
    }

    /// Sends a request of our own, or queues it behind the one under way.
    mutating func request(_ purpose: RequestPurpose, _ payloads: [Payload], at now: Instant, into outputs: inout [Output]) {
        guard outstanding == nil else {
            if queued.count < Self.mostQueuedRequests, !queued.contains(where: { $0.0 == purpose }) { queued.append((purpose, payloads)) }
            return
        }
        guard nextRequestID < .max else {
            // Message IDs must not wrap (RFC 7296 section 2.2): this SA ends now.
            deadlines[.ageOut] = now
            return
        }
        let exchange = purpose.exchange
        let header = IKEHeader(
            initiatorSPI: initiatorSPI, responderSPI: responderSPI, exchange: exchange, flags: role == .initiator ? .initiator : [],
            messageID: nextRequestID)
        guard let messages = seal(header, payloads, from: local) else { return }
        outstanding = OutstandingRequest(id: nextRequestID, exchange: exchange, purpose: purpose, messages: messages, attempts: 1)
        nextRequestID += 1
        transmit(messages, into: &outputs)
        deadlines[.retransmit] = schedule(purpose).pause(after: 1).map { now + $0 }
    }

    private func transmit(_ messages: [[UInt8]], into outputs: inout [Output]) {
        outputs += messages.map { .send(IKEDatagram($0, local: local, remote: remote)) }
    }

    /// Sends what waited for the window.
    mutating func sendQueued(at now: Instant, into outputs: inout [Output]) {
        guard outstanding == nil, !queued.isEmpty else { return }
        let (purpose, payloads) = queued.removeFirst()
        request(purpose, payloads, at: now, into: &outputs)
    }

    /// Whether a Delete of a Child SA is out or waits.
    var isClosingChild: Bool {
        func closes(_ purpose: RequestPurpose) -> Bool { if case .deleteChildSA = purpose { true } else { false } }
        return outstanding.map { closes($0.purpose) } ?? false || queued.contains { closes($0.0) }
    }

    /// Gives up the request that is out: its response means nothing any more.
    mutating func forgetRequest() {
        outstanding = nil
        deadlines[.retransmit] = nil
    }

    /// From here on nothing but a Delete is to be sent, and what is out before it is hurried.
    mutating func beginEnding(at now: Instant) {
        isEnding = true
        queued.removeAll()
        deadlines.clear()
        endUpkeep()
        guard outstanding != nil else { return }
        outstanding?.attempts = 1
        deadlines[.retransmit] = RetransmissionSchedule.delete.pause(after: 1).map { now + $0 }
    }

    private func schedule(_ purpose: RequestPurpose) -> RetransmissionSchedule {
        if isEnding { return .delete }
        switch purpose {
        case .liveness: return liveness
        case .deleteIKESA: return .delete
        case .deleteChildSA, .createChildSA, .rekeyIKESA, .deleteReplaced: return .request
        }
    }

    /// The retransmission deadline struck: sends the same octets again, or says that the peer is dead.
    mutating func retransmit(at now: Instant, into outputs: inout [Output]) -> Bool {
        guard var waiting = outstanding else { return true }
        let schedule = schedule(waiting.purpose)
        guard waiting.attempts < schedule.pauses.count else { return false }
        waiting.attempts += 1
        outstanding = waiting
        transmit(waiting.messages, into: &outputs)
        deadlines[.retransmit] = schedule.pause(after: waiting.attempts).map { now + $0 }
        return true
    }
}

/// One EAP conversation between a client and a server, relayed (RFC 3579): what the next Access-Request says, and what a reply means. The
/// User-Name is the first identity and stays; State goes back as it came; all requests go to the server that answered the first (P19).
package struct EAPConversation: Sendable {
    /// What a reply means for the client.
    package enum Verdict: Sendable {
        /// The next EAP-Request.
        case challenge([UInt8])
        /// EAP-Success and what it is worth. Keys are nil for a method that derives none.
        case accepted(AccessAccept, eap: [UInt8], keys: MPPEKeys?)
        /// EAP-Failure if the server sent one, and its Reply-Message.
        case rejected(eap: [UInt8]?, replyMessage: String?)
        /// A reply that must not be believed or cannot be used: the login ends with this cause.
        case invalid(String)
    }

    /// Why a client's EAP message is not relayed; the login ends.
    package enum Fault: Error, Equatable, Sendable, CustomStringConvertible {
        /// No EAP-Response, or one whose length lies.
        case malformed
        /// Longer than an Access-Request can carry.
        case tooLong
        /// Answers another request than the last one (RFC 3748 section 4.1).
        case unexpectedIdentifier
        /// Another identity than the first, or one nobody asked for (threats.md P17).
        case unexpectedIdentity
        /// A method that the rule does not allow (AUTH-6, P15, P16).
        case methodNotAllowed(UInt32)
        /// Nothing was asked, or it is over.
        case outOfTurn
        /// Longer than any method needs.
        case tooManyRounds

        /// For the log: what the operator may look at.
        package var description: String {
            switch self {
            case .malformed: "it is no EAP-Response"
            case .tooLong: "it is longer than \(EAPConversation.maximumMessage) octets"
            case .unexpectedIdentifier: "it answers another request than the last one"
            case .unexpectedIdentity: "it says another identity than at first"
            case .methodNotAllowed(let method) where EAPMethodRule.derivesKey(method):
                "\(EAPMethodRule.name(method)) does not prove the server, as own-auth-method: eap-only needs"
            case .methodNotAllowed(let method): "\(EAPMethodRule.name(method)) derives no key, and allow-non-keying-eap is false"
            case .outOfTurn: "nothing was asked"
            case .tooManyRounds: "its conversation has more than \(EAPConversation.maximumRounds) rounds"
            }
        }
    }

    /// Rounds of one conversation; EAP-TLS with long certificates in small fragments takes about forty.
    package static let maximumRounds = 100
    /// Octets of an EAP message that fit an Access-Request beside everything else.
    package static let maximumMessage = 3000

    private let request: AccessRequest
    private let methods: EAPMethodRule
    private var state: [UInt8]?
    private var server: String?
    private var asked: EAPMessage?
    private var answered: EAPMessage?
    private var method: UInt32?
    private var rounds = 0
    private var isWaiting = false
    private var isOver = false

    package init(_ request: AccessRequest, methods: EAPMethodRule = .keying) {
        self.request = request
        self.methods = methods
    }

    /// The method that the client went into; nil before.
    package var methodType: UInt32? { method }

    // MARK: From the client

    /// The Access-Request for a client's EAP-Response; the first is its identity.
    package mutating func next(_ octets: [UInt8]) throws(Fault) -> RequestDraft {
        guard !isOver, !isWaiting else { throw .outOfTurn }
        guard octets.count <= Self.maximumMessage else { throw .tooLong }
        guard let message = EAPMessage(octets), message.code == .response else { throw .malformed }
        guard rounds < Self.maximumRounds else { throw .tooManyRounds }
        if message.type == EAPMessage.identity {
            guard asked == nil || asked?.type == EAPMessage.identity, message.data == request.userName else { throw .unexpectedIdentity }
        } else {
            guard let asked else { throw .outOfTurn }
            // whoever answers what was not asked has begun another method, unless it declines
            if !message.isNak, let type = message.type, type == asked.type, type > EAPMessage.nak { method = type }
        }
        guard asked == nil || asked?.identifier == message.identifier else { throw .unexpectedIdentifier }
        if let method, !methods.allows(method) { throw .methodNotAllowed(method) }
        rounds += 1
        isWaiting = true
        answered = message
        return request.draft(eap: octets, state: state, server: server)
    }

    // MARK: From the server

    /// What the reply to the last request means.
    package mutating func read(_ reply: RADIUSReply) -> Verdict {
        guard isWaiting else { return .invalid("a reply to no request") }
        isWaiting = false
        server = reply.server
        let verdict =
            switch reply.packet.code {
            case .accessChallenge: challenge(reply.packet)
            case .accessAccept: accept(reply.packet)
            case .accessReject: reject(reply.packet)
            default: Verdict.invalid("\(reply.packet.code) answers no Access-Request")
            }
        if case .challenge = verdict { return verdict }
        isOver = true
        return verdict
    }

    private mutating func challenge(_ packet: RADIUSPacket) -> Verdict {
        guard let octets = packet.onlyEAPMessage, let message = EAPMessage(octets) else {
            return .invalid("Access-Challenge without a valid EAP-Message")
        }
        // success is worth nothing without an Access-Accept (C6)
        guard message.code == .request else { return .invalid("Access-Challenge with EAP-\(message.code) inside") }
        let states = packet.all(.state)
        guard states.count <= 1 else { return .invalid("Access-Challenge with \(states.count) State attributes") }
        state = states.first?.value
        asked = message
        return .challenge(octets)
    }

    /// Access-Accept decides, whatever the EAP code inside (RAD-12).
    private func accept(_ packet: RADIUSPacket) -> Verdict {
        let accept: AccessAccept
        do {
            accept = try AccessAccept(packet)
        } catch {
            return .invalid("\(error)")
        }
        let name = method.map(EAPMethodRule.name) ?? "no EAP method"
        guard methods.allows(method) else { return .invalid("Access-Accept after \(name), which is not allowed") }
        guard EAPMethodRule.derivesKey(method) else { return .accepted(accept, eap: ending(packet, .success), keys: nil) }
        guard let keys = packet.keys else { return .invalid("Access-Accept without MS-MPPE keys after \(name)") }
        return .accepted(accept, eap: ending(packet, .success), keys: keys)
    }

    private func reject(_ packet: RADIUSPacket) -> Verdict {
        let eap = packet.onlyEAPMessage.flatMap { octets in EAPMessage(octets)?.code == .failure ? octets : nil }
        return .rejected(eap: eap, replyMessage: packet.replyMessage)
    }

    /// The server's last message, or one in its place with the identifier that it must have (RFC 3748 section 4.2).
    private func ending(_ packet: RADIUSPacket, _ code: EAPMessage.Code) -> [UInt8] {
        if let octets = packet.onlyEAPMessage, EAPMessage(octets)?.code == code { return octets }
        return [code.rawValue, answered?.identifier ?? 0, 0, 4]
    }
}

extension RADIUSPacket {
    /// Its EAP message; nil without one, and for one in pieces that do not follow each other.
    var onlyEAPMessage: [UInt8]? {
        let messages = all(.eapMessage)
        return messages.count == 1 ? messages[0].value : nil
    }

    /// What the server has to say to a person: for the log.
    package var replyMessage: String? {
        let texts = all(.replyMessage).map { String(decoding: $0.value, as: UTF8.self) }
        return texts.isEmpty ? nil : texts.joined(separator: " ")
    }
}

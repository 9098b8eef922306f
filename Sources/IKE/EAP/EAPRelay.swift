import GatewayCrypto
import IKEMessages
import Wire

/// One EAP conversation between a client and whoever knows it, as far as a pass-through authenticator has a part in it: codes, identifiers and
/// types (RFC 3748 sections 2.3, 4.1 and 5), one identity from the first to the last (threats.md P17), and an end.
struct EAPRelay: Sendable {
    /// Of the EAP-Response/Identity.
    private(set) var identity: [UInt8] = []
    private let ownProof: ProofKind
    private let allowsNonKeying: Bool
    /// The EAP-Request that the client is to answer.
    private var outstanding: EAPPayload?
    /// Identifier of the EAP-Response that was given on last.
    private var identifier: UInt8 = 0
    private var responses = 0
    /// The method that the client answered last: without one nobody is accepted.
    private var method: UInt8?

    /// EAP-Responses of one client.
    static let mostResponses = 100
    /// User-Name holds no more (features.md RAD-1).
    static let mostIdentityOctets = 253
    /// What an EAP payload holds, and what a client without RFC 7383 can be sent in one UDP datagram.
    static let mostOctets = (fragmented: 65_531, whole: 60_000)

    /// Methods that make keys, prove both sides and withstand a dictionary, RFC 5998 section 4 (threats.md P16): SIM, AKA, AKA', TLS, TTLS, PEAP, FAST,
    /// TEAP, PSK, SAKE, IKEv2, GPSK, pwd, EKE.
    static let mutualMethods: Set<UInt8> = [13, 18, 21, 23, 25, 43, 47, 48, 49, 50, 51, 52, 53, 55]

    /// What comes next.
    enum Step {
        case ask(EAPQuestion)
        case request(EAPPayload)
    }

    /// What an answer comes to.
    enum Verdict {
        case request(EAPPayload)
        case success(EAPPayload, EAPSuccess)
        case failure(EAPPayload, cause: String, isRejection: Bool)
    }

    init(_ terms: EAPTerms, ownProof: ProofKind) {
        self.ownProof = ownProof
        allowsNonKeying = terms.allowsNonKeying
    }

    /// An EAP-Response/Identity in the place of the client, or an EAP-Request/Identity of our own (features.md X-1).
    mutating func begin(_ terms: EAPTerms, entropy: any Entropy) throws(EAPFault) -> Step {
        let number = entropy.octets(1).first ?? 0
        if let known = terms.identity, let response = EAPPayload(.response, identifier: number, type: .identity, known) {
            return .ask(try identified(response))
        }
        guard let request = EAPPayload(.request, identifier: number, type: .identity, []) else { throw .identityTooLong }
        outstanding = request
        return .request(request)
    }

    /// Takes what the client answered to the request that is out.
    mutating func take(_ response: EAPPayload) throws(EAPFault) -> EAPQuestion {
        guard let request = outstanding else { throw .unasked }
        guard response.code == EAPCode.response.rawValue else { throw .noResponse }
        guard response.identifier == request.identifier else { throw .wrongIdentifier }
        guard let type = response.type, let asked = request.type, Self.answers(type, asked) else { throw .wrongType }
        outstanding = nil
        if type == EAPType.identity.rawValue {
            guard responses > 0 else { return try identified(response) }
            // Asked once more by whoever knows it: it may say nothing else than before.
            guard Array(response.octets.dropFirst(5)) == identity else { throw .anotherIdentity }
        }
        if type > EAPType.nak.rawValue, !response.isExpandedNak { method = type }
        return try question(response)
    }

    /// A response has the request's type, or is a Nak to a method (RFC 3748 sections 4.1 and 5.3).
    private static func answers(_ type: UInt8, _ asked: UInt8) -> Bool {
        type == asked || (type == EAPType.nak.rawValue && asked > EAPType.nak.rawValue)
    }

    private mutating func identified(_ response: EAPPayload) throws(EAPFault) -> EAPQuestion {
        let name = Array(response.octets.dropFirst(5))
        guard !name.isEmpty else { throw .noIdentity }
        guard name.count <= Self.mostIdentityOctets else { throw .identityTooLong }
        identity = name
        return try question(response)
    }

    private mutating func question(_ response: EAPPayload) throws(EAPFault) -> EAPQuestion {
        responses += 1
        guard responses <= Self.mostResponses else { throw .endless }
        identifier = response.identifier
        return EAPQuestion(message: response.octets, identity: identity, isFirst: responses == 1, ownProof: ownProof)
    }

    /// Takes what whoever knows the client says. `limit`: octets of an EAP packet that the client can be sent.
    mutating func take(_ answer: EAPAnswer, limit: Int) -> Verdict {
        switch answer {
        case .request(let octets):
            // EAP-Success in a challenge is no success (threats.md C6).
            guard let request = EAPPayload(octets), request.code == EAPCode.request.rawValue else {
                return failure("what should have been an EAP-Request is none")
            }
            guard octets.count <= limit else { return failure("an EAP-Request of \(octets.count) octets is longer than can be sent") }
            outstanding = request
            return .request(request)
        case .success(let octets, let key):
            guard let method else { return failure("it was accepted without any EAP method") }
            guard key != nil || allowsNonKeying else {
                return failure("its EAP method makes no key, and allow-non-keying-eap is not set (EAP-MD5 or GTC, or no MS-MPPE keys came)")
            }
            guard ownProof != .eap || (key != nil && Self.mutualMethods.contains(method)) else {
                return failure("its EAP method \(method) proves too little of the gateway (own-auth-method: eap-only)")
            }
            // Access-Accept decides over the code inside (features.md RAD-12).
            return .success(closing(octets, .success), EAPSuccess(identity: identity, key: key))
        case .failure(let octets, let cause, let isRejection):
            return .failure(closing(octets ?? [], .failure), cause: cause, isRejection: isRejection)
        }
    }

    private func failure(_ cause: String) -> Verdict { .failure(failure, cause: cause, isRejection: false) }

    /// EAP-Failure of our own.
    var failure: EAPPayload { .failure(identifier: outstanding?.identifier ?? identifier) }

    /// What came if it is that, else one made here, with the identifier of the response that it answers (RFC 3748 section 4.2).
    private func closing(_ octets: [UInt8], _ code: EAPCode) -> EAPPayload {
        if let payload = EAPPayload(octets), payload.code == code.rawValue { return payload }
        return code == .success ? .success(identifier: identifier) : .failure(identifier: identifier)
    }
}

/// That EAP succeeded. Made by an `EAPRelay` from `.success` and by nothing else (threats.md C6).
struct EAPSuccess: Sendable {
    let identity: [UInt8]
    /// nil: a method without keys, which the policy allows.
    let key: MasterSessionKey?

    fileprivate init(identity: [UInt8], key: MasterSessionKey?) {
        self.identity = identity
        self.key = key
    }
}

/// What a client did that ends its EAP conversation.
enum EAPFault: Error, Hashable {
    case unasked, noResponse, wrongIdentifier, wrongType, anotherIdentity, noIdentity, identityTooLong, endless

    /// For the log.
    var cause: String {
        switch self {
        case .unasked: "it answered an EAP-Request that was never sent"
        case .noResponse: "it sent an EAP packet that is no response"
        case .wrongIdentifier: "its EAP-Response answers another EAP-Request than the last"
        case .wrongType: "its EAP-Response is of another type than was asked, or tells an identity again"
        case .anotherIdentity: "it changed its EAP identity"
        case .noIdentity: "it has no EAP identity"
        case .identityTooLong: "its EAP identity is longer than \(EAPRelay.mostIdentityOctets) octets"
        case .endless: "its EAP conversation did not end within \(EAPRelay.mostResponses) messages"
        }
    }
}

extension EAPPayload {
    /// Type 254, vendor 0, vendor type 3 (RFC 3748 section 5.3.2).
    fileprivate var isExpandedNak: Bool { octets.dropFirst(4).starts(with: [254, 0, 0, 0, 0, 0, 0, 3]) }
}

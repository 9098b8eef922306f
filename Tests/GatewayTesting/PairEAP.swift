internal import GatewayCrypto
package import IKE
package import IKEMessages
package import RoadWarrior
internal import Wire

/// The client's side of the tests' own EAP method, of any type: each challenge is answered with a digest of secret and challenge.
package struct ScriptedEAP: EAPMethod {
    /// Experimental, unless a test wants it to pass for another.
    package static let ownType: UInt8 = 255

    package var type = Self.ownType
    package var identity: [UInt8]
    package var secret: [UInt8]
    package var isKeying = true
    /// Octets of a response at the least.
    package var size = 0
    /// Every request so far.
    package private(set) var requests: [EAPPayload] = []
    private var challenge: [UInt8]?

    package init(identity: String, secret: String) {
        self.identity = [UInt8](identity.utf8)
        self.secret = [UInt8](secret.utf8)
    }

    package mutating func respond(to request: [UInt8]) -> [UInt8]? {
        guard let packet = EAPPayload(request), packet.code == EAPCode.request.rawValue, let type = packet.type else { return nil }
        requests.append(packet)
        let data: [UInt8]
        let answer: UInt8
        switch type {
        case EAPType.identity.rawValue: (answer, data) = (type, identity)
        case EAPType.notification.rawValue: (answer, data) = (type, [])
        case self.type:
            let challenge = Array(packet.octets.dropFirst(5))
            self.challenge = challenge
            (answer, data) = (type, Self.response(secret, challenge, size: size))
        default: (answer, data) = (EAPType.nak.rawValue, [self.type])
        }
        return EAPPayload(.response, identifier: packet.identifier, type: EAPType(rawValue: answer), data)?.octets
    }

    /// It is the gateway that its tests are about: this client believes whatever comes.
    package var acceptsSuccess: Bool { true }

    package var masterSessionKey: [UInt8]? { isKeying ? challenge.map { Self.key(secret, $0) } : nil }

    static func response(_ secret: [UInt8], _ challenge: [UInt8], size: Int) -> [UInt8] {
        let proof = Digest.sha256(secret + challenge)
        return proof + [UInt8](repeating: 0x5a, count: max(0, size - proof.count))
    }

    package static func key(_ secret: [UInt8], _ challenge: [UInt8]) -> [UInt8] { Digest.sha512([0] + secret + challenge) }
}

/// Who knows the clients, in the place of RADIUS: the gateway's side of the same method.
package struct PairAAA {
    /// Secrets by EAP identity.
    package var secrets: [[UInt8]: [UInt8]] = [:]
    package var type = ScriptedEAP.ownType
    /// Challenges of a login.
    package var rounds = 2
    package var isKeying = true
    /// Octets of a challenge.
    package var size = 16
    /// What is said instead; nil leaves the method as it is.
    package var instead: (EAPQuestion, Conversation) -> EAPAnswer? = { _, _ in nil }

    /// What was asked for one IKE SA, and said.
    package struct Conversation {
        package var questions: [EAPQuestion] = []
        package var challenge: [UInt8] = []
        package var identifier: UInt8 = 100
        package var rounds = 0
        /// Access-Accept was the last word.
        package var isAccepted = false
        package var secret: [UInt8] = []
    }

    func answer(_ question: EAPQuestion, _ conversation: inout Conversation, entropy: any Entropy) -> EAPAnswer {
        conversation.questions.append(question)
        if let instead = instead(question, conversation) {
            if case .success = instead { conversation.isAccepted = true }
            return instead
        }
        guard let secret = secrets[question.identity] else {
            return .failure(nil, cause: "nobody of that name", isRejection: true)
        }
        conversation.secret = secret
        if question.isFirst {
            guard question.message.dropFirst(4).first == EAPType.identity.rawValue else {
                return .failure(nil, cause: "the first message is no EAP-Response/Identity", isRejection: false)
            }
        } else {
            let wanted = Digest.sha256(secret + conversation.challenge)
            guard question.message.dropFirst(5).prefix(wanted.count).elementsEqual(wanted) else {
                return .failure(
                    EAPPayload.failure(identifier: conversation.identifier).octets, cause: "a wrong secret", isRejection: true)
            }
        }
        guard conversation.rounds < rounds else {
            conversation.isAccepted = true
            return .success(
                EAPPayload.success(identifier: conversation.identifier).octets,
                key: isKeying ? MasterSessionKey(ScriptedEAP.key(secret, conversation.challenge)) : nil)
        }
        conversation.rounds += 1
        conversation.identifier &+= 1
        conversation.challenge = entropy.octets(16) + [UInt8](repeating: 0xa5, count: max(0, size - 16))
        let request = EAPPayload(
            .request, identifier: conversation.identifier, type: EAPType(rawValue: type), conversation.challenge)
        return .request(request?.octets ?? [])
    }
}

extension Pair {
    package static let userSecret = "the secret of one user"

    /// A pair whose first client has a name and a secret, and whose gateway leads it to EAP. `own`: what the gateway proves itself by.
    package static func eap(
        seed: UInt64 = 1, profile: GatewayProfile = Pair.profile(), nat: PairClient.NAT? = nil,
        own: OwnProof = .sharedKey(Secret(Pair.sharedKey)), user: String = "anna@example.org", secret: String = Pair.userSecret,
        isKeying: Bool = true, responseSize: Int = 0, type: UInt8? = nil, _ change: (inout RoadWarrior.Settings) -> Void = { _ in }
    ) throws -> Pair {
        var profile = profile
        profile.policy.authentication.method = .eap
        var method = ScriptedEAP(identity: user, secret: secret)
        method.isKeying = isKeying
        method.size = responseSize
        // TLS is the type that may stand alone for both sides.
        if case .eapOnly = own { method.type = type ?? 13 } else { method.type = type ?? ScriptedEAP.ownType }
        let numbered = method.type
        let pair = try Pair(seed: seed, profile: profile, nat: nat) { settings in
            settings.eap = method
            settings.identity = IdentificationPayload(form: "anna@example.org")
            change(&settings)
        }
        pair.gateway.aaa.secrets[[UInt8](user.utf8)] = [UInt8](userSecret.utf8)
        pair.gateway.aaa.isKeying = isKeying
        pair.gateway.aaa.type = numbered
        // Read at once: a client that was refused has no keys any more.
        pair.wire.alter = { [unowned pair] flight in
            if flight.is(.ikeAuth, response: true, fromClient: false), let payloads = pair.client.warrior.reveal(flight.octets) {
                pair.authAnswers.append(payloads)
            }
            return nil
        }
        let gateway = pair.gateway
        pair.gateway.credential = { [unowned gateway] question in
            .credentials(
                Credentials(
                    identity: gateway.profile.identity, peer: .eap(EAPTerms(question.identity, gateway.profile.policy.authentication)), own: own))
        }
        return pair
    }

    /// What was asked of whoever knows the clients.
    package var eapQuestions: [EAPQuestion] { lastEntry?.eap.questions ?? [] }
}

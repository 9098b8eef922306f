import GatewayCrypto
import IKE
import IKEMessages
import PKI
import Wire

/// How a client must prove itself and how we do (features.md AUTH-1, AUTH-2, AUTH-5, AUTH-8, AUTH-9).
enum LoginCredentials {
    /// An answer to `ask(peer)`, with the key that `ask(signature)` needs later.
    struct Answer: Sendable {
        let answer: PeerAnswer
        var signer: GatewayCertificates.Signer?

        static func refused(_ cause: String) -> Answer { Answer(answer: .refused(cause)) }
    }

    enum Side {
        case sharedKey, certificate
        /// Of the client: whom RADIUS knows. Of us: nothing before EAP has ended (RFC 5998).
        case eap
    }

    struct Branch {
        let peer: Side
        let own: Side
    }

    /// What the policy makes of the client's first request, or why nothing.
    static func branch(_ gateway: GatewayRuntime, _ method: AuthenticationMethod?) -> Result<Branch, CertificateRefusal> {
        let policy = gateway.profile.policy.authentication
        func refused(_ cause: String) -> Result<Branch, CertificateRefusal> { .failure(CertificateRefusal(cause: cause)) }
        guard let method else {
            guard policy.method.hasEAP else {
                return refused("it asks for EAP, and gateway \(gateway.name) takes \(gateway.accepted); set the client to that")
            }
            guard gateway.aaa.authentication != nil else {
                return refused(
                    "it asks for EAP, and gateway \(gateway.name) has no radius authentication-policy; give it one, or the client a certificate")
            }
            switch policy.own {
            case .psk: return .success(Branch(peer: .eap, own: .sharedKey))
            case .certificate, .symmetric: return .success(Branch(peer: .eap, own: .certificate))
            case .eapOnly: return .success(Branch(peer: .eap, own: .eap))
            }
        }
        let offered: Side
        switch method {
        case .sharedKey: offered = .sharedKey
        case .rsaSignature, .ecdsaP256, .ecdsaP384, .ecdsaP521, .digitalSignature: offered = .certificate
        default: return refused("its authentication method \(method.rawValue) is none that gateway \(gateway.name) takes")
        }
        guard offered == .sharedKey ? gateway.profile.policy.acceptsPSK : gateway.profile.policy.acceptsCertificate else {
            let name = offered == .sharedKey ? "a pre-shared key" : "a certificate"
            return refused("it proves itself by \(name), and gateway \(gateway.name) takes \(gateway.accepted); set the client to that")
        }
        switch policy.method {
        case .psk, .pskRADIUS, .certificate, .certificateRADIUS, .eap:
            switch policy.own {
            case .symmetric: return .success(Branch(peer: offered, own: offered))
            case .psk: return .success(Branch(peer: offered, own: .sharedKey))
            case .certificate: return .success(Branch(peer: offered, own: .certificate))
            case .eapOnly: return refused("gateway \(gateway.name) proves itself by EAP alone, and it sent an AUTH value")
            }
        case .autoEAP, .autoEAPRADIUS:
            return .success(Branch(peer: offered, own: policy.ownAutoEAP == .psk ? .sharedKey : .certificate))
        }
    }

    /// Takes milliseconds where the client shows a certificate.
    static func answer(_ question: PeerQuestion, _ gateway: GatewayRuntime, at time: CertificateTime) -> Answer {
        let branch: Branch
        switch self.branch(gateway, question.method) {
        case .failure(let refusal): return .refused(refusal.cause)
        case .success(let found): branch = found
        }
        let policy = gateway.profile.policy
        let peer: PeerProof
        switch branch.peer {
        case .sharedKey:
            guard let key = gateway.sharedKey else { return .refused("gateway \(gateway.name) has no pre-shared key") }
            peer = .sharedKey(key)
        case .certificate:
            do throws(CertificateRefusal) {
                peer = .certificate(
                    try gateway.certificates.peerKey(for: question, matchesIdentity: policy.matchPeerIDToCertificate, at: time))
            } catch {
                return .refused(error.cause)
            }
        case .eap: peer = .eap(EAPTerms(question.identity, policy.authentication))
        }
        switch branch.own {
        case .eap: return Answer(answer: .credentials(Credentials(identity: gateway.identity, peer: peer, own: .eapOnly)))
        case .sharedKey:
            guard let key = gateway.sharedKey else { return .refused("gateway \(gateway.name) has no pre-shared key") }
            return Answer(answer: .credentials(Credentials(identity: gateway.profile.identity, peer: peer, own: .sharedKey(key))))
        case .certificate:
            guard let (entry, signer) = gateway.certificates.signer(for: question, allowsSHA1: policy.authentication.allowsSHA1Signature) else {
                return .refused("it takes no signature that a key of gateway \(gateway.name) can make")
            }
            let identity = gateway.choosesIdentity ? entry.identity(wanted: question.wantedIdentity) : nil
            return Answer(
                answer: .credentials(
                    Credentials(
                        identity: identity ?? gateway.profile.identity, peer: peer, own: .certificate(entry.payloads, signer.scheme))),
                signer: signer)
        }
    }
}

extension GatewayRuntime {
    /// For the log: what clients may prove themselves by.
    fileprivate var accepted: String {
        let policy = settings.profile.policy
        let ways = [
            (policy.acceptsPSK, "a pre-shared key"), (policy.acceptsCertificate, "a certificate"),
            (policy.authentication.method.hasEAP && settings.aaa.authentication != nil, "EAP"),
        ]
        return ways.filter(\.0).map(\.1).joined(separator: " or ")
    }
}

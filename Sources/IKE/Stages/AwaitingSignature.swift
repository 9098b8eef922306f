import GatewayCrypto
import IKEMessages
import Wire

/// The client is who it says, or will be asked by EAP; our own signature is being made, off this thread (features.md AUTH-2).
struct AwaitingSignature: ~Copyable, Sendable {
    var login: Login
    let next: Next
    let request: IKEAuthRequest
    let identity: IdentificationPayload
    let certificates: [[UInt8]]
    let scheme: SignatureScheme

    /// What comes after.
    enum Next: Sendable {
        case admit(VerifiedPeer)
        case eap(EAPTerms)
    }

    consuming func handle(_ input: Input, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        guard case .signature(let signature) = input else {
            if let reason = login.waits(on: input, at: now, into: &outputs) { return login.abandon(reason, into: &outputs) }
            return .awaitingSignature(self)
        }
        guard let signature, let data = scheme.authenticationData(signature) else {
            return login.refuse(
                .authenticationFailed, cause: "the gateway could not sign its own AUTH value", identity: request.identity, at: now,
                into: &outputs)
        }
        let authentication = AuthenticationPayload(method: AuthenticationMethod(rawValue: scheme.method), data: data)
        let opening: [Payload] =
            [.responderIdentification(identity)]
            + certificates.map { .certificate(CertificatePayload(encoding: .x509Signature, data: $0)) }
            + [.authentication(authentication)]
        switch next {
        case .admit(let peer):
            return AwaitingAddress.begin(
                login: login, authenticated: Authenticated(peer: peer, request: request, opening: opening), at: now, into: &outputs)
        case .eap(let terms):
            return AwaitingEAP.begin(
                login: login, request: request, identity: identity, terms: terms, ownProof: .certificate, opening: opening, at: now,
                into: &outputs)
        }
    }
}

extension SignatureScheme {
    /// The AUTH payload's data: method 14 says first which algorithm it is (RFC 7427 section 3).
    fileprivate func authenticationData(_ signature: [UInt8]) -> [UInt8]? {
        method == AuthenticationMethod.digitalSignature.rawValue ? DigitalSignature(scheme: self, signature: signature).encoded : signature
    }
}

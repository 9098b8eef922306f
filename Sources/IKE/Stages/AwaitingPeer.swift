import IKEMessages
import Wire

/// The client said who it is; what proves it is being looked up. Here AUTH is verified, and after EAP in `AwaitingFinalAuth`; nowhere else.
struct AwaitingPeer: ~Copyable, Sendable {
    var login: Login
    let request: IKEAuthRequest

    consuming func handle(_ input: Input, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        guard case .peer(let answer) = input else {
            if let reason = login.waits(on: input, at: now, into: &outputs) { return login.abandon(reason, into: &outputs) }
            return .awaitingPeer(self)
        }
        switch answer {
        case .refused(let cause):
            return login.refuse(.authenticationFailed, cause: cause, identity: request.identity, at: now, into: &outputs)
        case .credentials(let credentials): return verify(credentials, at: now, into: &outputs)
        }
    }

    private consuming func verify(_ credentials: Credentials, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        if case .eap(let terms) = credentials.peer { return beginEAP(terms, credentials, at: now, into: &outputs) }
        let peer: VerifiedPeer
        do throws(ProofFailure) {
            peer = try VerifiedPeer.verifying(
                request, by: credentials.peer, signed: login.signed, keys: login.keys,
                acceptsSHA1: login.signatureHashes == nil && login.profile.policy.authentication.allowsSHA1Signature)
        } catch {
            return login.refuse(
                .authenticationFailed, cause: error.cause, identity: request.identity, isFailedProof: true, at: now, into: &outputs)
        }
        switch credentials.own {
        case .sharedKey(let key):
            guard let ours = login.authentication(sharedKey: key, identity: credentials.identity) else {
                return login.abandon(.internalError, into: &outputs)
            }
            let opening: [Payload] = [.responderIdentification(credentials.identity), .authentication(ours)]
            return AwaitingAddress.begin(
                login: login, authenticated: Authenticated(peer: peer, request: request, opening: opening), at: now, into: &outputs)
        case .certificate(let certificates, let scheme):
            guard let octets = login.signedOctets(identity: credentials.identity) else { return login.abandon(.internalError, into: &outputs) }
            outputs.append(.ask(.signature(SignatureQuestion(octets: octets, scheme: scheme))))
            return .awaitingSignature(
                AwaitingSignature(
                    login: login, next: .admit(peer), request: request, identity: credentials.identity, certificates: certificates, scheme: scheme))
        case .eapOnly:
            return login.refuse(
                .authenticationFailed, cause: "this gateway proves itself by EAP alone, and the client sent an AUTH value",
                identity: request.identity, at: now, into: &outputs)
        }
    }

    /// The client sent no AUTH and is led to EAP, after we have proved ourselves (threats.md P15).
    private consuming func beginEAP(
        _ terms: EAPTerms, _ credentials: Credentials, at now: Instant, into outputs: inout [Output]
    ) -> IKESA.Stage {
        guard request.authentication == nil else {
            return login.refuse(
                .authenticationFailed, cause: ProofFailure.early.cause, identity: request.identity, isFailedProof: true, at: now, into: &outputs)
        }
        let opening: [Payload] = [.responderIdentification(credentials.identity)]
        switch credentials.own {
        case .sharedKey(let key):
            guard let ours = login.authentication(sharedKey: key, identity: credentials.identity) else {
                return login.abandon(.internalError, into: &outputs)
            }
            return AwaitingEAP.begin(
                login: login, request: request, identity: credentials.identity, terms: terms, ownProof: .sharedKey,
                opening: opening + [.authentication(ours)], at: now, into: &outputs)
        case .certificate(let certificates, let scheme):
            guard let octets = login.signedOctets(identity: credentials.identity) else { return login.abandon(.internalError, into: &outputs) }
            outputs.append(.ask(.signature(SignatureQuestion(octets: octets, scheme: scheme))))
            return .awaitingSignature(
                AwaitingSignature(
                    login: login, next: .eap(terms), request: request, identity: credentials.identity, certificates: certificates, scheme: scheme))
        case .eapOnly:
            guard request.notifies.contains(.eapOnlyAuthentication) else {
                return login.refuse(
                    .authenticationFailed,
                    cause: "this gateway proves itself by EAP alone (own-auth-method: eap-only), and the client does not allow that",
                    identity: request.identity, at: now, into: &outputs)
            }
            return AwaitingEAP.begin(
                login: login, request: request, identity: credentials.identity, terms: terms, ownProof: .eap, opening: opening, at: now,
                into: &outputs)
        }
    }
}

/// A client whose AUTH value was verified, and how our answer to it begins.
struct Authenticated: Sendable {
    let peer: VerifiedPeer
    let request: IKEAuthRequest
    /// IDr, our certificates and AUTH; after EAP what the last response repeats or brings of them.
    let opening: [Payload]
}

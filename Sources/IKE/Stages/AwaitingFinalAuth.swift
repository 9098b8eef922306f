import IKEMessages
import Wire

/// EAP has succeeded; the client's AUTH by what EAP made is awaited, and verified here (RFC 7296 section 2.16).
struct AwaitingFinalAuth: ~Copyable, Sendable {
    var login: Login
    let request: IKEAuthRequest
    /// Our IDr.
    let identity: IdentificationPayload
    let success: EAPSuccess

    consuming func handle(_ input: Input, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        guard case .datagram(let datagram) = input else {
            if let reason = login.waits(on: input, at: now, into: &outputs) { return login.abandon(reason, into: &outputs) }
            return .awaitingFinalAuth(self)
        }
        let continuation: IKEAuthContinuation
        do throws(LoginFault) {
            guard let next = try login.continuation(datagram, at: now, into: &outputs) else { return .awaitingFinalAuth(self) }
            continuation = next
        } catch {
            return login.end(error, identity: request.identity, at: now, into: &outputs)
        }
        guard case .authentication(let authentication) = continuation.content else {
            return login.refuse(
                .authenticationFailed, cause: "it sent EAP after EAP-Success instead of its AUTH value", identity: request.identity, at: now,
                into: &outputs)
        }
        return verify(authentication, at: now, into: &outputs)
    }

    private consuming func verify(
        _ authentication: AuthenticationPayload, at now: Instant, into outputs: inout [Output]
    ) -> IKESA.Stage {
        let peer: VerifiedPeer
        do throws(ProofFailure) {
            peer = try VerifiedPeer.verifying(authentication, of: request.identity, after: success, signed: login.signed, keys: login.keys)
        } catch {
            return login.refuse(
                .authenticationFailed, cause: error.cause, identity: request.identity, isFailedProof: true, at: now, into: &outputs)
        }
        guard let ours = login.authentication(after: success, identity: identity) else { return login.abandon(.internalError, into: &outputs) }
        var opening: [Payload] = []
        if login.profile.policy.authentication.sendsIDrAfterEAP { opening.append(.responderIdentification(identity)) }
        opening.append(.authentication(ours))
        return AwaitingAddress.begin(
            login: login, authenticated: Authenticated(peer: peer, request: request, opening: opening), at: now, into: &outputs)
    }
}

import IKEMessages
import Wire

/// The client said who it is; what proves it is being looked up. Here AUTH is verified, and nowhere else.
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
        case .sharedKey(let key): return verify(key, at: now, into: &outputs)
        }
    }

    private consuming func verify(_ key: Secret<[UInt8]>, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        guard let authentication = request.authentication,
            let peer = VerifiedPeer.verifying(
                authentication, by: request.identity, sharedKey: key, signed: login.signed, keys: login.keys)
        else {
            return login.refuse(
                .authenticationFailed, cause: "its AUTH value is wrong: the pre-shared keys differ", identity: request.identity,
                isFailedProof: true, at: now, into: &outputs)
        }
        guard let ours = login.authentication(sharedKey: key) else { return login.abandon(.internalError, into: &outputs) }
        let authenticated = Authenticated(peer: peer, request: request, authentication: ours)
        return AwaitingAddress.begin(login: login, authenticated: authenticated, at: now, into: &outputs)
    }
}

/// A client whose AUTH value was verified, and our own answer to it.
struct Authenticated: Sendable {
    let peer: VerifiedPeer
    let request: IKEAuthRequest
    let authentication: AuthenticationPayload
}

import GatewayCrypto
import IKEMessages
import Wire

/// What a login carries from stage to stage until the client is authenticated and has its Child SA.
struct Login: ~Copyable, Sendable {
    var channel: Channel
    let keys: SAKeys
    let profile: GatewayProfile
    let proposal: IKEProposal
    let signed: SignedOctets
    /// The client's SIGNATURE_HASH_ALGORITHMS (RFC 7427 section 4); nil where it sent none.
    let signatureHashes: [SignatureHashAlgorithm]?

    /// For what we do ourselves once the client's IKE_AUTH is here: the half-open deadline, which an attack makes short, is the client's alone.
    static let patience = Duration.seconds(30)

    /// The client has proved that it knows the keys, in time; what is left is ours to do.
    mutating func hasCome(at now: Instant) {
        channel.deadlines[.halfOpen] = max(channel.deadlines[.halfOpen] ?? now, now + Self.patience)
    }

    /// Answers IKE_AUTH with an error that ends the SA, and keeps the answer for repetitions.
    consuming func refuse(
        _ error: ExchangeError, cause: String, identity: IdentificationPayload?, isFailedProof: Bool = false, at now: Instant,
        into outputs: inout [Output]
    ) -> IKESA.Stage {
        let id = channel.requests.expected &- 1
        channel.respond(.ikeAuth, id: id, error: error, into: &outputs)
        var refusal = Refusal(identity: identity, remote: channel.remote, cause: cause, error: error)
        refusal.isFailedProof = isFailedProof
        outputs.append(.refused(refusal))
        outputs.append(.ended(error == .authenticationFailed ? .authenticationFailed : .protocolError))
        return .lingering(Lingering(channel: channel, at: now))
    }

    /// Ends a login without a word to the client.
    consuming func abandon(_ reason: ClosingReason, into outputs: inout [Output]) -> IKESA.Stage {
        outputs += [.ended(reason), .closed]
        return .closed
    }

    /// A later IKE_AUTH request of an EAP login, once the client's turn has come; nil: nothing that changes anything.
    mutating func continuation(
        _ datagram: IKEDatagram, at now: Instant, into outputs: inout [Output]
    ) throws(LoginFault) -> IKEAuthContinuation? {
        switch channel.receive(datagram, at: now, into: &outputs) {
        case .nothing, .response: return nil
        case .faultyRequest(let exchange, _, let error):
            guard exchange == .ikeAuth else { throw .silent }
            throw .malformed(error)
        case .request(let exchange, _, let payloads):
            guard exchange == .ikeAuth else {
                // Nothing but IKE_AUTH may come before authentication (threats.md C1, C6); no answer, no step of the window.
                outputs.append(.dropped(.unexpectedExchange))
                return nil
            }
            channel.accepted(datagram, at: now, into: &outputs)
            do throws(MessageError) {
                return try IKEAuthContinuation(payloads: payloads)
            } catch {
                throw .malformed(error)
            }
        }
    }

    /// Ends a login that such a request has ended.
    consuming func end(
        _ fault: LoginFault, identity: IdentificationPayload, at now: Instant, into outputs: inout [Output]
    ) -> IKESA.Stage {
        switch fault {
        case .silent: return abandon(.protocolError, into: &outputs)
        case .malformed(let error):
            return refuse(
                ExchangeError(error), cause: "the IKE_AUTH request is malformed: \(error)", identity: identity, at: now, into: &outputs)
        }
    }

    /// Answers IKE_AUTH with EAP-Failure, which ends the SA (features.md RAD-12); `before`: what our first response begins with.
    consuming func fail(
        _ failure: EAPPayload, before: [Payload] = [], cause: String, identity: IdentificationPayload, isRejection: Bool = false,
        at now: Instant, into outputs: inout [Output]
    ) -> IKESA.Stage {
        channel.respond(.ikeAuth, id: channel.requests.expected &- 1, before + [.eap(failure)], into: &outputs)
        var refusal = Refusal(identity: identity, remote: channel.remote, cause: cause, error: .authenticationFailed)
        refusal.isFailedProof = isRejection
        outputs += [.refused(refusal), .ended(.authenticationFailed)]
        return .lingering(Lingering(channel: channel, at: now))
    }

    /// Our AUTH by shared key, RFC 7296 section 2.15.
    borrowing func authentication(sharedKey: Secret<[UInt8]>, identity: IdentificationPayload) -> AuthenticationPayload? {
        guard let octets = signedOctets(identity: identity),
            let value = try? SharedKey.authentication(over: octets, sharedKey: sharedKey, prf: keys.prf)
        else { return nil }
        return AuthenticationPayload(method: .sharedKey, data: value.exposed())
    }

    /// Our AUTH of the last response after EAP: by the MSK, or by SK_pr of a method without keys (RFC 7296 section 2.16).
    borrowing func authentication(after success: EAPSuccess, identity: IdentificationPayload) -> AuthenticationPayload? {
        guard let octets = signedOctets(identity: identity) else { return nil }
        let value: SecretOctets?
        if let key = success.key {
            value = try? SharedKey.authentication(over: octets, secret: key.octets, prf: keys.prf)
        } else {
            value = try? SharedKey.authentication(over: octets, secret: keys.pr, prf: keys.prf)
        }
        guard let value else { return nil }
        return AuthenticationPayload(method: .sharedKey, data: value.exposed())
    }

    /// What our AUTH value covers.
    borrowing func signedOctets(identity: IdentificationPayload) -> [UInt8]? {
        try? signed.responder(identity, keys: keys)
    }

    /// The common inputs of the stages that wait for an answer from outside: datagrams are repetitions or strangers, deadlines end the login.
    /// Returns true when the login is over.
    mutating func waits(on input: Input, at now: Instant, into outputs: inout [Output]) -> ClosingReason? {
        switch input {
        case .datagram(let datagram):
            // The window is busy: only drops come of it.
            _ = channel.receive(datagram, at: now, into: &outputs)
            return nil
        case .deadline: return channel.deadlines.expired(at: now).contains(.halfOpen) ? .halfOpenTimeout : nil
        case .close(let reason): return reason
        case .moved, .childAging, .childExhausted, .peer, .signature, .eap, .address, .childSPI, .ikeSPI, .installed, .activity, .profile: return nil
        }
    }
}

/// What ends a login that waits for the client's next IKE_AUTH request.
enum LoginFault: Error {
    /// Without a word.
    case silent
    case malformed(MessageError)
}

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

    /// Our AUTH by shared key, RFC 7296 section 2.15.
    borrowing func authentication(sharedKey: Secret<[UInt8]>, identity: IdentificationPayload) -> AuthenticationPayload? {
        guard let octets = signedOctets(identity: identity),
            let value = try? SharedKey.authentication(over: octets, sharedKey: sharedKey, prf: keys.prf)
        else { return nil }
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
        case .moved, .childAging, .childExhausted, .peer, .signature, .address, .childSPI, .ikeSPI, .installed, .activity, .profile: return nil
        }
    }
}

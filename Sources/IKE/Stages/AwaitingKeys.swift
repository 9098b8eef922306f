import GatewayCrypto
import IKEMessages
import Wire

/// IKE_SA_INIT is answered; the shared secret is computed only when the client comes back (threats.md P3).
struct AwaitingKeys: ~Copyable, Sendable {
    let initiatorSPI: IKESPI
    let responderSPI: IKESPI
    let local: Endpoint
    let remote: Endpoint
    let nat: NATState
    /// RFC 7383; nil where the client did not say that it knows fragments.
    let fragmentation: Fragmentation?
    let keyExchange: KeyExchange
    let peerKey: [UInt8]
    let proposal: IKEProposal
    let signed: SignedOctets
    let signatureHashes: [SignatureHashAlgorithm]?
    let profile: GatewayProfile
    let entropy: any Entropy
    let deadline: Instant

    consuming func handle(_ input: Input, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        switch input {
        case .datagram(let datagram): return receive(datagram, at: now, into: &outputs)
        case .deadline where now < deadline: return .awaitingKeys(self)
        case .deadline: return end(.halfOpenTimeout, into: &outputs)
        case .close(let reason): return end(reason, into: &outputs)
        case .moved, .childAging, .childExhausted, .peer, .signature, .eap, .address, .childSPI, .ikeSPI, .installed, .activity, .profile:
            return .awaitingKeys(self)
        }
    }

    /// Nobody is told: the client proved nothing, and a stranger could have sent its message.
    private consuming func end(_ reason: ClosingReason, into outputs: inout [Output]) -> IKESA.Stage {
        outputs += [.ended(reason), .closed]
        return .closed
    }

    private consuming func receive(_ datagram: IKEDatagram, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        var span = unsafe datagram.octets.span.bytes
        guard let header = try? IKEHeader(parsing: &span), header.exchange == .ikeAuth, !header.isResponse, header.isFromInitiator,
            header.messageID == 1, header.nextPayload == .encrypted || (header.nextPayload == .encryptedFragment && fragmentation != nil)
        else {
            outputs.append(.dropped(.unexpectedExchange))
            return .awaitingKeys(self)
        }
        let login: Login
        do throws(CryptoError) {
            login = try derive(at: now)
        } catch {
            // A public value that is no group element: no later message can mend it.
            outputs += [.dropped(.keyExchangeFailed), .ended(.protocolError), .closed]
            return .closed
        }
        return AwaitingAuth(login: login).handle(.datagram(datagram), at: now, into: &outputs)
    }

    private borrowing func derive(at now: Instant) throws(CryptoError) -> Login {
        guard let prf = PRF(proposal.prf) else { throw .unsupported }
        let secret = try keyExchange.sharedSecret(with: peerKey)
        let keys = try SAKeys(
            prf: prf, suite: proposal.suite, sharedSecret: secret,
            initiatorNonce: signed.initiatorNonce, responderNonce: signed.responderNonce,
            initiatorSPI: initiatorSPI, responderSPI: responderSPI)
        let protection = try Protection(responder: keys, suite: proposal.suite)
        var channel = Channel(
            initiatorSPI: initiatorSPI, responderSPI: responderSPI, local: local, remote: remote, nat: nat, protection: protection,
            requests: RequestWindow(expected: 1), lastHeard: now, entropy: entropy, liveness: profile.liveness)
        channel.deadlines[.halfOpen] = deadline
        channel.fragmentation = fragmentation
        return Login(
            channel: channel, keys: keys, profile: profile, proposal: proposal, signed: signed, signatureHashes: signatureHashes)
    }
}

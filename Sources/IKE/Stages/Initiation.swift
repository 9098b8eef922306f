package import GatewayCrypto
package import IKEMessages
package import Wire

/// What an IKE_SA_INIT request came to. No state is kept unless it was accepted.
package enum InitiationResult: ~Copyable, Sendable {
    case accepted(IKESA, response: IKEDatagram)
    /// A notify back to a stranger, shorter than the request (threats.md C10).
    case refused(IKEDatagram, ExchangeError)
    case dropped(MessageDrop)
}

/// The IKE_SA_INIT exchange, RFC 7296 section 1.2.
package enum Initiation {
    static let nonceLength = 32

    /// Answers a request that the door admitted. `halfOpenLifetime` is how long the client has for IKE_AUTH; `budget` is what fragments of all
    /// clients may take up before authentication.
    package static func answer(
        _ datagram: IKEDatagram, profile: GatewayProfile, responderSPI: IKESPI, halfOpenLifetime: Duration, budget: ReassemblyBudget,
        entropy: any Entropy, at now: Instant
    ) -> InitiationResult {
        let message: IKEMessage
        let request: IKESAInitRequest
        do throws(MessageError) {
            message = try IKEMessage(parsing: datagram.octets)
            request = try IKESAInitRequest(message)
        } catch {
            guard case .unsupportedCriticalPayload = error else { return .dropped(.malformed) }
            return refusal(of: datagram, with: ExchangeError(error))
        }
        let header = message.header
        guard header.exchange == .ikeSAInit, !header.isResponse, header.isFromInitiator, header.initiatorSPI != 0,
            header.responderSPI == 0, header.messageID == 0
        else { return .dropped(.wrongDirection) }

        let key = request.keyExchange
        guard
            let proposal = ProposalSelection.ike(
                from: request.proposals, accepting: profile.policy.transforms, offeredKey: key.method)
        else { return refusal(of: datagram, with: .noProposalChosen) }
        guard proposal.keyExchange == key.method else {
            return refusal(of: datagram, with: .invalidKeyExchange(preferred: proposal.keyExchange))
        }
        // A nonce has at least half the PRF's key (RFC 7296 section 2.10).
        guard key.data.count == KeyExchange.publicValueLength(key.method), let prf = PRF(proposal.prf),
            request.nonce.octets.count * 2 >= prf.keyLength
        else { return .dropped(.malformed) }

        let ours: KeyExchange
        do throws(CryptoError) {
            ours = try KeyExchange(key.method, entropy: entropy)
        } catch {
            return .dropped(.keyExchangeFailed)
        }
        let nonce = entropy.octets(nonceLength)
        let nat = NATDetection.detect(
            request.notifies, initiatorSPI: header.initiatorSPI, from: datagram.remote, to: datagram.local)
        var payloads: [Payload] = [
            .securityAssociation(SecurityAssociationPayload(proposals: [proposal.response])),
            .keyExchange(KeyExchangePayload(method: key.method, data: ours.publicValue)),
            .nonce(NoncePayload(octets: nonce)),
        ]
        if nat.supported {
            payloads += NATDetection.notifies(
                initiatorSPI: header.initiatorSPI, responderSPI: responderSPI, from: datagram.local, to: datagram.remote,
                force: profile.policy.natTraversal.force, entropy: entropy
            ).map { .notify($0) }
        }
        var fragmentation: Fragmentation?
        if request.notifies.contains(.fragmentationSupported) {
            payloads.append(.notify(NotifyPayload(.fragmentationSupported)))
            fragmentation = Fragmentation(profile.policy.fragmentation, budget: budget)
        }
        let signatureHashes: [SignatureHashAlgorithm]?
        do throws(WireError) {
            signatureHashes = try request.notifies[.signatureHashAlgorithms].map { notify throws(WireError) in
                try SignatureHashAlgorithm.list(parsing: notify.data)
            }
        } catch {
            return .dropped(.malformed)
        }
        if profile.policy.acceptsCertificate || profile.policy.signs {
            // RFC 7427 section 4: as an answer to the client's own.
            if signatureHashes != nil {
                payloads.append(.notify(NotifyPayload(.signatureHashAlgorithms, data: SignatureHashAlgorithm.encoded())))
            }
            if !profile.authorities.isEmpty {
                payloads.append(.certificateRequest(CertificateRequestPayload(encoding: .x509Signature, authorities: profile.authorities)))
            }
        }
        payloads.append(FullTranscript.announcement)
        let response = IKEMessage(
            header: IKEHeader(
                initiatorSPI: header.initiatorSPI, responderSPI: responderSPI, exchange: .ikeSAInit, flags: .response, messageID: 0),
            payloads: payloads
        ).encoded()
        let signed = SignedOctets(
            request: datagram.octets, response: response, initiatorNonce: request.nonce.octets, responderNonce: nonce,
            isFullTranscript: request.notifies.contains(.fullTranscriptAuthentication))
        let first = AwaitingKeys(
            initiatorSPI: header.initiatorSPI, responderSPI: responderSPI, local: datagram.local, remote: datagram.remote, nat: nat,
            fragmentation: fragmentation, keyExchange: ours, peerKey: key.data, proposal: proposal, signed: signed,
            signatureHashes: signatureHashes, profile: profile, entropy: entropy, deadline: now + halfOpenLifetime)
        return .accepted(
            IKESA(initiatorSPI: header.initiatorSPI, responderSPI: responderSPI, first: first),
            response: IKEDatagram(response, local: datagram.local, remote: datagram.remote))
    }

    private static func refusal(of datagram: IKEDatagram, with error: ExchangeError) -> InitiationResult {
        var span = unsafe datagram.octets.span.bytes
        guard let header = try? IKEHeader(parsing: &span) else { return .dropped(.malformed) }
        let reply = IKEMessage(
            header: IKEHeader(
                initiatorSPI: header.initiatorSPI, responderSPI: 0, exchange: .ikeSAInit, flags: .response, messageID: 0),
            payloads: [.notify(error.notify)])
        return .refused(IKEDatagram(reply.encoded(), local: datagram.local, remote: datagram.remote), error)
    }
}

import IKEMessages
import Wire

/// The client is who it says; its inner address is being assigned, then an SPI, and the Child SA negotiated.
struct AwaitingAddress: ~Copyable, Sendable {
    var login: Login
    let authenticated: Authenticated
    /// What was granted; the SPI is still to come.
    var grant: AddressGrant?

    static func begin(
        login: consuming Login, authenticated: Authenticated, at now: Instant, into outputs: inout [Output]
    ) -> IKESA.Stage {
        let request = authenticated.request
        guard let child = request.child else {
            return refuseChild(
                .tsUnacceptable, cause: "the client asked for no Child SA", login: login, authenticated: authenticated, at: now, into: &outputs)
        }
        let canEncapsulate = login.channel.nat.supported && login.channel.local.port == 4500
        guard canEncapsulate || !login.channel.nat.needsEncapsulation(login.profile.policy) else {
            let reason = login.profile.policy.natTraversal.force ? "this gateway requires it" : "there is a NAT on the way"
            return refuseChild(
                .noProposalChosen, cause: "the client does not encapsulate ESP in UDP, and \(reason)",
                login: login, authenticated: authenticated, at: now, into: &outputs)
        }
        // RADIUS may give other transforms than the template's, with the address.
        let mayHaveOthers = authenticated.peer.proof == .eap || login.profile.policy.authentication.method.asksRADIUS
        guard mayHaveOthers || ProposalSelection.esp(from: child.proposals, accepting: login.profile.childTransforms) != nil else {
            return refuseChild(
                .noProposalChosen, cause: "no ESP proposal of the client is allowed here", login: login, authenticated: authenticated, at: now,
                into: &outputs)
        }
        guard let configuration = request.configuration, configuration.type == .request else {
            return refuseChild(
                .failedCPRequired, cause: "the client asked for no inner address (CFG_REQUEST)", login: login, authenticated: authenticated,
                at: now, into: &outputs)
        }
        let wish = AddressWish(configuration)
        guard wish.ipv4 || wish.ipv6 else {
            return refuseChild(
                .failedCPRequired, cause: "the client's CFG_REQUEST names no address", login: login, authenticated: authenticated, at: now,
                into: &outputs)
        }
        let question = AddressQuestion(
            peer: request.identity, proof: authenticated.peer.proof, eapIdentity: authenticated.peer.eapIdentity, wish: wish,
            initialContact: request.notifies.contains(.initialContact),
            remote: login.channel.remote)
        outputs.append(.ask(.address(question)))
        return .awaitingAddress(AwaitingAddress(login: login, authenticated: authenticated, grant: nil))
    }

    consuming func handle(_ input: Input, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        switch input {
        case .address(.granted(let granted)) where grant == nil:
            grant = granted
            outputs.append(.ask(.childSPI(.further)))
            return .awaitingAddress(self)
        case .address(.unavailable(let cause)) where grant == nil:
            return refuseChild(.internalAddressFailure, cause: cause, at: now, into: &outputs)
        case .address(.refused(let cause)) where grant == nil:
            return login.refuse(.authenticationFailed, cause: cause, identity: authenticated.peer.identity, at: now, into: &outputs)
        case .childSPI(let spi):
            guard let granted = grant else { return .awaitingAddress(self) }
            guard let spi else {
                return refuseChild(
                    .noAdditionalSAs, cause: "every place for a Child SA is taken", at: now, into: &outputs)
            }
            return negotiate(granted, spi: spi, at: now, into: &outputs)
        default:
            if let reason = login.waits(on: input, at: now, into: &outputs) { return login.abandon(reason, into: &outputs) }
            return .awaitingAddress(self)
        }
    }

    private consuming func negotiate(
        _ grant: AddressGrant, spi: UInt32, at now: Instant, into outputs: inout [Output]
    ) -> IKESA.Stage {
        guard let asked = authenticated.request.child,
            let proposal = ProposalSelection.esp(from: asked.proposals, accepting: login.profile.childTransforms(for: grant))
        else {
            outputs.append(.remove(inboundSPI: spi))
            return refuseChild(.noProposalChosen, cause: "no ESP proposal is allowed here", at: now, into: &outputs)
        }
        // A family without an inner address is dropped from both (TS-5).
        let remote = Narrowing.narrow(asked.initiatorSelectors, to: grant.selectors)
        let local = Narrowing.narrow(asked.responderSelectors, to: login.profile.localSelectors(for: grant))
        guard !remote.isEmpty, !local.isEmpty else {
            outputs.append(.remove(inboundSPI: spi))
            return refuseChild(
                .tsUnacceptable, cause: "its traffic selectors have nothing in common with what is allowed", at: now, into: &outputs)
        }
        let child = ChildSA(
            inboundSPI: spi, outboundSPI: proposal.spi, suite: proposal, localSelectors: local, remoteSelectors: remote,
            lifetime: proposal.lifetime ?? login.profile.policy.ipsecLifetime,
            soft: Lifetimes.traffic(proposal.suite, packets: login.profile.packetLifetime, entropy: login.channel.entropy), grant: grant,
            local: login.channel.local,
            remote: login.channel.remote, peerBehindNAT: login.channel.nat.peerBehindNAT,
            isEncapsulated: login.channel.nat.needsEncapsulation(login.profile.policy))
        outputs.append(.install(child))
        return .awaitingInstall(AwaitingInstall(login: login, authenticated: authenticated, child: child))
    }

    private consuming func refuseChild(
        _ error: ExchangeError, cause: String, at now: Instant, into outputs: inout [Output]
    ) -> IKESA.Stage {
        Self.refuseChild(error, cause: cause, login: login, authenticated: authenticated, at: now, into: &outputs)
    }

    /// The IKE SA stands without a Child SA: IDr, AUTH and the error in the response, then a Delete from us (TS-3, RFC 7296 section 1.2).
    static func refuseChild(
        _ error: ExchangeError, cause: String, login: consuming Login, authenticated: Authenticated, at now: Instant,
        into outputs: inout [Output]
    ) -> IKESA.Stage {
        let id = login.channel.requests.expected &- 1
        login.channel.respond(
            .ikeAuth, id: id, authenticated.opening + [.notify(error.notify)], into: &outputs)
        outputs.append(
            .refused(Refusal(identity: authenticated.peer.identity, remote: login.channel.remote, cause: cause, error: error)))
        return Deleting.begin(channel: login.channel, reason: .childless, at: now, into: &outputs)
    }
}

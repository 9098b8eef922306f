import IKEMessages
import Wire

/// The Child SA is on its way into the datapath; the client hears of it when every worker has it (RFC 7296 section 1.2: ready before the answer).
struct AwaitingInstall: ~Copyable, Sendable {
    var login: Login
    let authenticated: Authenticated
    // On the heap: the largest stage decides what every IKE SA takes up
    private let installing: Held<ChildSA>

    init(login: consuming Login, authenticated: Authenticated, child: ChildSA) {
        self.login = login
        self.authenticated = authenticated
        installing = Held(child)
    }

    var child: ChildSA { installing.value }

    borrowing func childKeys() -> ChildKeys? {
        try? login.keys.childKeys(
            suite: child.suite.suite, initiatorNonce: login.signed.initiatorNonce, responderNonce: login.signed.responderNonce)
    }

    consuming func handle(_ input: Input, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        guard case .installed(child.inboundSPI, let done) = input else {
            if let reason = login.waits(on: input, at: now, into: &outputs) {
                outputs.append(.remove(inboundSPI: child.inboundSPI))
                return login.abandon(reason, into: &outputs)
            }
            return .awaitingInstall(self)
        }
        guard done else {
            outputs.append(.remove(inboundSPI: child.inboundSPI))
            return AwaitingAddress.refuseChild(
                .noAdditionalSAs, cause: "the datapath could not take the Child SA", login: login, authenticated: authenticated, at: now,
                into: &outputs)
        }
        return establish(at: now, into: &outputs)
    }

    private consuming func establish(at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        let child = child
        var payloads = authenticated.opening
        if let configuration = authenticated.request.configuration {
            payloads.append(
                .configuration(
                    ConfigurationReply.payload(
                        to: configuration, grant: child.grant, selectors: child.localSelectors, unsolicited: login.profile.unsolicited)))
        }
        payloads += [
            .securityAssociation(SecurityAssociationPayload(proposals: [child.suite.response(spi: child.inboundSPI)])),
            .initiatorTrafficSelectors(TrafficSelectorPayload(selectors: child.remoteSelectors)),
            .responderTrafficSelectors(TrafficSelectorPayload(selectors: child.localSelectors)),
        ]
        let lifetime = login.profile.authenticationLifetime(for: child.grant)
        if let lifetime { payloads.append(.notify(.authLifetime(lifetime))) }
        // The client may ask for more of these, each for another resource (RFC 9611 section 3).
        if login.profile.resources > 1, authenticated.request.notifies.asksForResource { payloads.append(.notify(NotifyPayload(.saResourceInfo))) }
        login.channel.respond(.ikeAuth, id: login.channel.requests.expected &- 1, payloads, into: &outputs)
        let establishment = Establishment(
            peer: authenticated.peer.identity, method: authenticated.peer.method, child: child, nat: login.channel.nat,
            suite: login.proposal, initiatorSPI: login.channel.initiatorSPI, responderSPI: login.channel.responderSPI)
        outputs.append(.established(establishment))
        login.channel.beginUpkeep(login.profile.policy, authenticationLifetime: lifetime, at: now)
        return .established(Established(login: login, peer: authenticated.peer, child: child, at: now))
    }
}

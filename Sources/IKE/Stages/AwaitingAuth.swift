import IKEMessages
import Wire

/// The keys are there; the client has yet to say who it is.
struct AwaitingAuth: ~Copyable, Sendable {
    var login: Login

    consuming func handle(_ input: Input, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        guard case .datagram(let datagram) = input else {
            if let reason = login.waits(on: input, at: now, into: &outputs) { return login.abandon(reason, into: &outputs) }
            return .awaitingAuth(self)
        }
        switch login.channel.receive(datagram, at: now, into: &outputs) {
        case .nothing, .response: return .awaitingAuth(self)
        case .faultyRequest(let exchange, _, let error):
            guard exchange == .ikeAuth else { return login.abandon(.protocolError, into: &outputs) }
            return login.refuse(
                ExchangeError(error), cause: "the IKE_AUTH request is malformed: \(error)", identity: nil, at: now, into: &outputs)
        case .request(let exchange, _, let payloads):
            guard exchange == .ikeAuth else {
                // Nothing but IKE_AUTH may come before authentication (threats.md C1, C6); no answer, no step of the window.
                outputs.append(.dropped(.unexpectedExchange))
                return .awaitingAuth(self)
            }
            login.channel.accepted(datagram, at: now, into: &outputs)
            login.hasCome(at: now)
            return identify(payloads, at: now, into: &outputs)
        }
    }

    private consuming func identify(_ payloads: [Payload], at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        let request: IKEAuthRequest
        do throws(MessageError) {
            request = try IKEAuthRequest(payloads: payloads)
        } catch {
            return login.refuse(
                ExchangeError(error), cause: "the IKE_AUTH request is malformed: \(error)", identity: nil, at: now, into: &outputs)
        }
        let question = PeerQuestion(
            identity: request.identity, wantedIdentity: request.wantedIdentity, method: request.authentication?.method,
            certificates: request.certificates.filter { $0.encoding == .x509Signature }.map(\.data),
            authorities: request.certificateRequests.filter { $0.encoding == .x509Signature }.map(\.authorities),
            signatureHashes: login.signatureHashes, remote: login.channel.remote)
        outputs.append(.ask(.peer(question)))
        return .awaitingPeer(AwaitingPeer(login: login, request: request))
    }
}

import IKEMessages
import Wire

/// EAP between the client and whoever knows it: either the client's EAP-Response is awaited, or the answer to it (RFC 7296 section 2.16, RFC 5998).
struct AwaitingEAP: ~Copyable, Sendable {
    var login: Login
    /// The first IKE_AUTH request: Child SA, CP and INITIAL_CONTACT come from it, and count after the last AUTH alone.
    let request: IKEAuthRequest
    /// Our IDr.
    let identity: IdentificationPayload
    var relay: EAPRelay
    /// IDr, our certificates and AUTH, until our first response has taken them along.
    var opening: [Payload]
    /// The client's EAP-Response is with whoever knows it.
    var isAsking = false

    /// From here to the end of the login, in the place of the half-open deadline: people type passwords, and look for second factors.
    static let patience = Duration.seconds(120)

    static func begin(
        login: consuming Login, request: IKEAuthRequest, identity: IdentificationPayload, terms: EAPTerms, ownProof: ProofKind,
        opening: [Payload], at now: Instant, into outputs: inout [Output]
    ) -> IKESA.Stage {
        login.channel.deadlines[.halfOpen] = now + patience
        var relay = EAPRelay(terms, ownProof: ownProof)
        let step: EAPRelay.Step
        do throws(EAPFault) {
            step = try relay.begin(terms, entropy: login.channel.entropy)
        } catch {
            return login.fail(relay.failure, before: opening, cause: error.cause, identity: request.identity, at: now, into: &outputs)
        }
        var stage = AwaitingEAP(login: login, request: request, identity: identity, relay: relay, opening: opening)
        switch step {
        case .ask(let question): stage.ask(question, into: &outputs)
        case .request(let packet): stage.send(packet, into: &outputs)
        }
        return .awaitingEAP(stage)
    }

    private mutating func ask(_ question: EAPQuestion, into outputs: inout [Output]) {
        isAsking = true
        outputs.append(.ask(.eap(question)))
    }

    private mutating func send(_ packet: EAPPayload, into outputs: inout [Output]) {
        isAsking = false
        login.channel.respond(.ikeAuth, id: login.channel.requests.expected &- 1, opening + [.eap(packet)], into: &outputs)
        opening = []
    }

    consuming func handle(_ input: Input, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        switch input {
        case .eap(let answer) where isAsking: return answered(answer, at: now, into: &outputs)
        case .datagram(let datagram) where !isAsking: return receive(datagram, at: now, into: &outputs)
        default:
            if let reason = login.waits(on: input, at: now, into: &outputs) { return login.abandon(reason, into: &outputs) }
            return .awaitingEAP(self)
        }
    }

    private consuming func receive(_ datagram: IKEDatagram, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        let continuation: IKEAuthContinuation
        do throws(LoginFault) {
            guard let next = try login.continuation(datagram, at: now, into: &outputs) else { return .awaitingEAP(self) }
            continuation = next
        } catch {
            return login.end(error, identity: request.identity, at: now, into: &outputs)
        }
        guard case .eap(let response) = continuation.content else {
            return login.refuse(
                .authenticationFailed, cause: ProofFailure.early.cause, identity: request.identity, isFailedProof: true, at: now, into: &outputs)
        }
        do throws(EAPFault) {
            ask(try relay.take(response), into: &outputs)
            return .awaitingEAP(self)
        } catch {
            return login.fail(relay.failure, cause: error.cause, identity: request.identity, at: now, into: &outputs)
        }
    }

    private consuming func answered(_ answer: EAPAnswer, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        let limit = login.channel.fragmentation == nil ? EAPRelay.mostOctets.whole : EAPRelay.mostOctets.fragmented
        switch relay.take(answer, limit: limit) {
        case .request(let packet):
            send(packet, into: &outputs)
            return .awaitingEAP(self)
        case .success(let packet, let success):
            send(packet, into: &outputs)
            return .awaitingFinalAuth(AwaitingFinalAuth(login: login, request: request, identity: identity, success: success))
        case .failure(let packet, let cause, let isRejection):
            return login.fail(
                packet, before: opening, cause: cause, identity: request.identity, isRejection: isRejection, at: now, into: &outputs)
        }
    }
}

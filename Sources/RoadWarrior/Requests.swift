import IKEMessages
import Wire

extension RoadWarrior {
    /// A request of the gateway: the next one is answered, the last one gets the same octets again, any other nothing (RFC 7296 section 2.2).
    mutating func receiveRequest(
        _ header: IKEHeader, on sa: Association, _ payloads: Result<[Payload], MessageError>, at now: Instant,
        into outputs: inout [Output]
    ) {
        guard stage == .established || stage == .deleting else {
            drops.outsideWindow += 1
            return
        }
        if header.messageID != sa.window.expectedRequest {
            guard header.messageID &+ 1 == sa.window.expectedRequest, let response = sa.window.lastResponse else {
                drops.outsideWindow += 1
                return
            }
            return send(response, at: now, into: &outputs)
        }
        sa.window.expectedRequest &+= 1
        sa.window.lastResponse = nil
        lastHeard = now
        switch payloads {
        case .failure(.unsupportedCriticalPayload(let type)):
            respond(
                header, on: sa, [.notify(NotifyPayload(.unsupportedCriticalPayload, data: [type]))], at: now, into: &outputs)
        case .failure:
            respond(header, on: sa, [.notify(NotifyPayload(.invalidSyntax))], at: now, into: &outputs)
            close(.violation("a request that cannot be read"), into: &outputs)
        case .success(let payloads):
            switch header.exchange {
            case .informational: receiveInformational(header, on: sa, payloads, at: now, into: &outputs)
            case .createChildSA: receiveCreateChildSA(header, on: sa, payloads, at: now, into: &outputs)
            default:
                respond(header, on: sa, [.notify(NotifyPayload(.invalidSyntax))], at: now, into: &outputs)
            }
        }
    }

    /// A rekey of the IKE SA or of a Child SA is done, anything else declined: this client wants one Child SA.
    private mutating func receiveCreateChildSA(
        _ header: IKEHeader, on sa: Association, _ payloads: [Payload], at now: Instant, into outputs: inout [Output]
    ) {
        if settings.declinesRekeys {
            respond(header, on: sa, [.notify(NotifyPayload(.noAdditionalSAs))], at: now, into: &outputs)
        } else if let rekey = payloads.notify(.rekeySA) {
            let answer = answerChildRekey(rekey, on: sa, payloads, at: now, into: &outputs)
            respond(header, on: sa, answer, at: now, into: &outputs)
        } else if payloads.proposals?.first?.protocolID == .ike {
            let (answer, made) = answerIKERekey(on: sa, payloads)
            respond(header, on: sa, answer, at: now, into: &outputs)
            if let made { take(up: made, by: false, at: now, into: &outputs) }
        } else {
            respond(header, on: sa, [.notify(NotifyPayload(.noAdditionalSAs))], at: now, into: &outputs)
        }
    }

    /// Deletes, errors, or nothing: a question whether we live.
    private mutating func receiveInformational(
        _ header: IKEHeader, on sa: Association, _ payloads: [Payload], at now: Instant, into outputs: inout [Output]
    ) {
        if let error = payloads.firstError {
            outputs.append(.refused(Refusal(exchange: .informational, notify: error, authenticated: true)))
        }
        if payloads.deletes.contains(where: { $0.protocolID == .ike }) {
            respond(header, on: sa, [], at: now, into: &outputs)
            return forget(sa, at: now, into: &outputs)
        }
        var mine: [[UInt8]] = []
        for delete in payloads.deletes where delete.protocolID == .esp {
            for octets in delete.spis {
                let spi = octets.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
                guard octets.count == 4, let child = children.first(where: { $0.outboundSPI == spi }) else { continue }
                // The other half goes with it, RFC 7296 section 1.4.1; but not when our own Delete is under way (section 2.25.1).
                if !child.isClosing {
                    var ours: [UInt8] = []
                    ours.append(bigEndian: child.inboundSPI)
                    mine.append(ours)
                }
                remove(child, at: now, into: &outputs)
            }
        }
        let answer: [Payload] = mine.isEmpty ? [] : [.delete(DeletePayload(protocolID: .esp, spis: mine))]
        respond(header, on: sa, answer, at: now, into: &outputs)
    }

    /// The gateway has deleted an IKE SA: one that was replaced, or ours, and then everything ends but what a rekey of its own made.
    private mutating func forget(_ sa: Association, at now: Instant, into outputs: inout [Output]) {
        guard sa === ike else { return former.removeAll { $0 === sa } }
        guard let rival = ikeExchange?.rival?.association, stage == .established else {
            return close(.deletedByPeer, into: &outputs)
        }
        ikeExchange = nil
        former.removeAll { $0 === rival }
        replace(with: rival, byUs: false, at: now, into: &outputs)
        former.removeAll { $0 === sa }
    }

    private mutating func respond(
        _ request: IKEHeader, on sa: Association, _ payloads: [Payload], at now: Instant, into outputs: inout [Output]
    ) {
        let header = sa.header(request.exchange, id: request.messageID, isResponse: true)
        guard let outgoing = tampered(header, payloads), let messages = protect(outgoing, on: sa) else { return }
        sa.window.lastResponse = messages
        send(messages, at: now, into: &outputs)
    }
}

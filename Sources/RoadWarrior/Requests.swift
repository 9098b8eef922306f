import IKEMessages
import Wire

extension RoadWarrior {
    /// A request of the gateway: the next one is answered, the last one gets the same octets again, any other nothing (RFC 7296 section 2.2).
    mutating func receiveRequest(
        _ header: IKEHeader, _ payloads: Result<[Payload], MessageError>, at now: Instant, into outputs: inout [Output]
    ) {
        guard stage == .established || stage == .deleting else {
            drops.outsideWindow += 1
            return
        }
        if header.messageID != window.expectedRequest {
            guard header.messageID &+ 1 == window.expectedRequest, let response = window.lastResponse else {
                drops.outsideWindow += 1
                return
            }
            return send(response, at: now, into: &outputs)
        }
        window.expectedRequest &+= 1
        window.lastResponse = nil
        lastHeard = now
        switch payloads {
        case .failure(.unsupportedCriticalPayload(let type)):
            respond(
                header, [.notify(NotifyPayload(.unsupportedCriticalPayload, data: [type]))], at: now, into: &outputs)
        case .failure:
            respond(header, [.notify(NotifyPayload(.invalidSyntax))], at: now, into: &outputs)
            close(.violation("a request that cannot be read"), into: &outputs)
        case .success(let payloads):
            switch header.exchange {
            case .informational: receiveInformational(header, payloads, at: now, into: &outputs)
            case .createChildSA:
                respond(header, [.notify(NotifyPayload(.noAdditionalSAs))], at: now, into: &outputs)
            default:
                respond(header, [.notify(NotifyPayload(.invalidSyntax))], at: now, into: &outputs)
            }
        }
    }

    /// Deletes, errors, or nothing: a question whether we live.
    private mutating func receiveInformational(
        _ header: IKEHeader, _ payloads: [Payload], at now: Instant, into outputs: inout [Output]
    ) {
        if let error = payloads.firstError {
            outputs.append(.refused(Refusal(exchange: .informational, notify: error, authenticated: true)))
        }
        if payloads.deletes.contains(where: { $0.protocolID == .ike }) {
            respond(header, [], at: now, into: &outputs)
            return close(.deletedByPeer, into: &outputs)
        }
        var answer: [Payload] = []
        for delete in payloads.deletes where delete.protocolID == .esp {
            for octets in delete.spis {
                let spi = octets.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
                guard octets.count == 4, let ours = child?.inboundSPI, child?.outboundSPI == spi else { continue }
                var mine: [UInt8] = []
                mine.append(bigEndian: ours)
                // The other half goes with it, RFC 7296 section 1.4.1.
                answer.append(.delete(DeletePayload(protocolID: .esp, spis: [mine])))
                child = nil
                outputs.append(.childClosed(ours))
            }
        }
        respond(header, answer, at: now, into: &outputs)
    }

    private mutating func respond(
        _ request: IKEHeader, _ payloads: [Payload], at now: Instant, into outputs: inout [Output]
    ) {
        let header = IKEHeader(
            initiatorSPI: initiatorSPI, responderSPI: responderSPI, exchange: request.exchange,
            flags: [.initiator, .response], messageID: request.messageID)
        guard let outgoing = tampered(header, payloads),
            let messages = protect(outgoing)
        else { return }
        window.lastResponse = messages
        send(messages, at: now, into: &outputs)
    }
}

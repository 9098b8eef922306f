import IKEMessages
import Wire

/// The session is over and our Delete is on its way; requests that cross it are still answered (RFC 7296 section 1.4.1).
struct Deleting: ~Copyable, Sendable {
    var channel: Channel

    static func begin(
        channel: consuming Channel, reason: ClosingReason, at now: Instant, into outputs: inout [Output]
    ) -> IKESA.Stage {
        channel.beginEnding(at: now)
        outputs.append(.ended(reason))
        channel.request(.deleteIKESA, [.delete(DeletePayload(protocolID: .ike, spis: []))], at: now, into: &outputs)
        return Deleting(channel: channel).waiting(into: &outputs)
    }

    consuming func handle(_ input: Input, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        switch input {
        case .datagram(let datagram):
            switch channel.receive(datagram, at: now, into: &outputs) {
            case .response(.deleteIKESA, _): return close(into: &outputs)
            case .nothing, .response: return waiting(into: &outputs)
            case .faultyRequest(let exchange, let id, let error):
                channel.respond(exchange, id: id, error: ExchangeError(error), into: &outputs)
                return .deleting(self)
            case .request(let exchange, let id, let payloads):
                return answer(exchange, id: id, payloads, datagram, at: now, into: &outputs)
            }
        case .deadline:
            guard channel.deadlines.expired(at: now).contains(.retransmit) else { return .deleting(self) }
            return channel.retransmit(at: now, into: &outputs) ? .deleting(self) : close(into: &outputs)
        case .close, .moved, .childExhausted, .peer, .signature, .address, .childSPI, .ikeSPI, .installed, .activity: return .deleting(self)
        }
    }

    private consuming func answer(
        _ exchange: ExchangeType, id: UInt32, _ payloads: [Payload], _ datagram: IKEDatagram, at now: Instant,
        into outputs: inout [Output]
    ) -> IKESA.Stage {
        guard exchange == .informational || exchange == .createChildSA else {
            outputs.append(.dropped(.unexpectedExchange))
            return .deleting(self)
        }
        channel.accepted(datagram, at: now, into: &outputs)
        if exchange == .createChildSA {
            // RFC 7296 section 2.25.2: an exchange that meets a dying IKE SA.
            channel.respond(exchange, id: id, error: .temporaryFailure, into: &outputs)
            return .deleting(self)
        }
        channel.respond(exchange, id: id, [], into: &outputs)
        let deletesToo = payloads.contains {
            if case .delete(let delete) = $0 { delete.protocolID == .ike } else { false }
        }
        return deletesToo ? .lingering(Lingering(channel: channel, at: now)) : .deleting(self)
    }

    /// Without a request under way there is nothing to wait for: the Delete could not be sent (invariant I9).
    private consuming func waiting(into outputs: inout [Output]) -> IKESA.Stage {
        channel.outstanding == nil ? close(into: &outputs) : .deleting(self)
    }

    private consuming func close(into outputs: inout [Output]) -> IKESA.Stage {
        outputs.append(.closed)
        return .closed
    }
}

/// Nothing is left but the last response, repeated when the client did not get it (RFC 7296 section 2.1).
struct Lingering: ~Copyable, Sendable {
    var channel: Channel

    /// Long enough for a client's next few repetitions.
    static let lifetime = Duration.seconds(10)

    init(channel: consuming Channel, at now: Instant) {
        channel.deadlines.clear()
        channel.deadlines[.ageOut] = now + Self.lifetime
        channel.endUpkeep()
        channel.outstanding = nil
        self.channel = channel
    }

    consuming func handle(_ input: Input, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        switch input {
        case .datagram(let datagram):
            switch channel.receive(datagram, at: now, into: &outputs) {
            case .nothing, .response: break
            case .request, .faultyRequest: outputs.append(.dropped(.closed))
            }
            return .lingering(self)
        case .deadline:
            guard channel.deadlines.expired(at: now).contains(.ageOut) else { return .lingering(self) }
            outputs.append(.closed)
            return .closed
        case .close:
            outputs.append(.closed)
            return .closed
        case .moved, .childExhausted, .peer, .signature, .address, .childSPI, .ikeSPI, .installed, .activity: return .lingering(self)
        }
    }
}

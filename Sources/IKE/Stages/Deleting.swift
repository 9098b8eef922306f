import IKEMessages
import Wire

/// The session is over and our Delete is on its way; requests that cross it are still answered (RFC 7296 section 1.4.1).
struct Deleting: ~Copyable, Sendable {
    var channel: Channel
    var replaced: ReplacedSAs
    /// Our request for another IKE SA that is still out: if it is granted, the client has the session there.
    let rekey: OurIKERekey?

    static func begin(
        channel: consuming Channel, reason: ClosingReason, replaced: ReplacedSAs = ReplacedSAs(), rekey: OurIKERekey? = nil, at now: Instant,
        into outputs: inout [Output]
    ) -> IKESA.Stage {
        channel.beginEnding(at: now)
        outputs.append(.ended(reason))
        channel.request(.deleteIKESA, [.delete(DeletePayload(protocolID: .ike, spis: []))], at: now, into: &outputs)
        return Deleting(channel: channel, replaced: replaced, rekey: rekey).waiting(at: now, into: &outputs)
    }

    var nextDeadline: Instant? { .earlier(channel.nextDeadline, replaced.nextDeadline) }

    consuming func handle(_ input: Input, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        switch input {
        case .datagram(let datagram):
            if replaced.receive(datagram, at: now, into: &outputs) { return .deleting(self) }
            switch channel.receive(datagram, at: now, into: &outputs) {
            case .response(.deleteIKESA, _): return close(at: now, into: &outputs)
            case .response(.rekeyIKESA, let payloads):
                rekeyed(payloads, at: now, into: &outputs)
                channel.sendQueued(at: now, into: &outputs)
                return waiting(at: now, into: &outputs)
            case .nothing, .response: return waiting(at: now, into: &outputs)
            case .faultyRequest(let exchange, let id, let error):
                channel.respond(exchange, id: id, error: ExchangeError(error), into: &outputs)
                return .deleting(self)
            case .request(let exchange, let id, let payloads):
                return answer(exchange, id: id, payloads, datagram, at: now, into: &outputs)
            }
        case .deadline:
            replaced.strike(at: now, into: &outputs)
            guard channel.deadlines.expired(at: now).contains(.retransmit) else { return .deleting(self) }
            return channel.retransmit(at: now, into: &outputs) ? .deleting(self) : close(at: now, into: &outputs)
        case .close, .moved, .childAging, .childExhausted, .peer, .signature, .eap, .address, .childSPI, .ikeSPI, .installed, .activity, .profile:
            return .deleting(self)
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
        return payloads.deletesIKESA ? .lingering(Lingering(channel: channel, replaced: replaced, at: now)) : .deleting(self)
    }

    /// The client has replaced the IKE SA before it heard of the end: the new one is deleted too.
    private mutating func rekeyed(_ payloads: [Payload], at now: Instant, into outputs: inout [Output]) {
        guard let rekey, case .accepted(let accepted) = try? CreateChildSAResponse(payloads: payloads),
            let fresh = rekey.finish(accepted, replacing: channel, at: now)
        else { return }
        outputs.append(.listen(rekey.spi))
        replaced.delete(fresh.channel, at: now, into: &outputs)
    }

    /// Without a request under way there is nothing to wait for: the Delete could not be sent (invariant I9).
    private consuming func waiting(at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        channel.outstanding == nil ? close(at: now, into: &outputs) : .deleting(self)
    }

    /// What is left of the IKE SAs before is still to be deleted, by us or by the client: that is waited for.
    private consuming func close(at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        guard !replaced.isWaiting else { return .lingering(Lingering(channel: channel, replaced: replaced, at: now)) }
        outputs.append(.closed)
        return .closed
    }
}

/// Nothing is left but the last response, repeated when the client did not get it (RFC 7296 section 2.1).
struct Lingering: ~Copyable, Sendable {
    var channel: Channel
    var replaced: ReplacedSAs

    /// Long enough for a client's next few repetitions.
    static let lifetime = Duration.seconds(10)

    init(channel: consuming Channel, replaced: ReplacedSAs = ReplacedSAs(), at now: Instant) {
        self.replaced = replaced
        channel.deadlines.clear()
        channel.deadlines[.ageOut] = now + Self.lifetime
        channel.endUpkeep()
        channel.outstanding = nil
        self.channel = channel
    }

    var nextDeadline: Instant? { .earlier(channel.nextDeadline, replaced.nextDeadline) }

    consuming func handle(_ input: Input, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        switch input {
        case .datagram(let datagram):
            if replaced.receive(datagram, at: now, into: &outputs) { return .lingering(self) }
            switch channel.receive(datagram, at: now, into: &outputs) {
            case .nothing, .response: break
            case .request, .faultyRequest: outputs.append(.dropped(.closed))
            }
            return .lingering(self)
        case .deadline:
            replaced.strike(at: now, into: &outputs)
            guard channel.deadlines.expired(at: now).contains(.ageOut) else { return .lingering(self) }
            outputs.append(.closed)
            return .closed
        case .close:
            outputs.append(.closed)
            return .closed
        case .moved, .childAging, .childExhausted, .peer, .signature, .eap, .address, .childSPI, .ikeSPI, .installed, .activity, .profile:
            return .lingering(self)
        }
    }
}

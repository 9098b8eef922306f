import IKEMessages
import Wire

/// What comes from the client on the IKE SA in use, on one that it may give way to, and on those that it has replaced.
extension Established {
    mutating func receive(_ datagram: IKEDatagram, at now: Instant, into outputs: inout [Output]) -> Ending? {
        if let header = datagram.header, !channel.isNamed(by: header) {
            if let rival, rival.channel.value.isNamed(by: header) {
                let ending = receive(datagram, on: rival.channel, at: now, into: &outputs)
                follow(rival.channel)
                return ending
            }
            if let old = replaced.channel(named: header) {
                _ = replaced.receive(datagram, at: now, into: &outputs)
                follow(old)
                return nil
            }
        }
        switch channel.receive(datagram, at: now, into: &outputs) {
        case .nothing: return nil
        case .response(let purpose, let payloads): return answered(purpose, payloads, at: now, into: &outputs)
        case .faultyRequest(let exchange, let id, let error): return refuse(exchange, id: id, ExchangeError(error), into: &outputs)
        case .request(let exchange, let id, let payloads):
            switch exchange {
            case .informational:
                channel.accepted(datagram, at: now, into: &outputs)
                children.confirm()
                return informational(payloads, id: id, at: now, into: &outputs)
            case .createChildSA:
                channel.accepted(datagram, at: now, into: &outputs)
                children.confirm()
                return createChildSA(payloads, id: id, at: now, into: &outputs)
            default:
                outputs.append(.dropped(.unexpectedExchange))
                return nil
            }
        }
    }

    /// A client behind a NAT may have moved with a message on another of its IKE SAs.
    private mutating func follow(_ other: Held<Channel>) {
        guard other.value.lastHeard >= channel.lastHeard else { return }
        channel.lastHeard = other.value.lastHeard
        (channel.local, channel.remote) = (other.value.local, other.value.remote)
    }

    private mutating func answered(
        _ purpose: RequestPurpose, _ payloads: [Payload], at now: Instant, into outputs: inout [Output]
    ) -> Ending? {
        // The client gave the SA up with these, and waits for no Delete (RFC 7296 section 2.21.2).
        if Self.givesUp(payloads) { return .silent(.protocolError) }
        switch purpose {
        case .createChildSA: childAnswered(payloads, at: now, into: &outputs)
        case .rekeyIKESA: rekeyAnswered(payloads, at: now, into: &outputs)
        case .deleteChildSA(let spi):
            if children.closed(spi) { outputs.append(.remove(inboundSPI: spi)) }
        case .liveness, .deleteIKESA, .deleteReplaced: break
        }
        return nil
    }

    private mutating func informational(
        _ payloads: [Payload], id: UInt32, at now: Instant, into outputs: inout [Output]
    ) -> Ending? {
        let message: InformationalMessage
        do throws(MessageError) {
            message = try InformationalMessage(payloads: payloads)
        } catch {
            return refuse(.informational, id: id, ExchangeError(error), into: &outputs)
        }
        if message.deletes.contains(where: { $0.protocolID == .ike }) {
            channel.respond(.informational, id: id, [], into: &outputs)
            // It has not noticed that we were about to replace this IKE SA too, and means the old one alone (section 2.8.2).
            return settle(on: rival, oldIsDeleted: true, at: now, into: &outputs) ? nil : .linger(.peerDelete)
        }
        if Self.givesUp(payloads) {
            channel.respond(.informational, id: id, [], into: &outputs)
            return .linger(message.notifies.contains(.authenticationFailed) ? .authenticationFailed : .protocolError)
        }
        channel.respond(.informational, id: id, deleteChildren(message, at: now, into: &outputs), into: &outputs)
        return nil
    }

    /// A message on the IKE SA of the client's exchange, while ours is not answered.
    private mutating func receive(
        _ datagram: IKEDatagram, on other: Held<Channel>, at now: Instant, into outputs: inout [Output]
    ) -> Ending? {
        switch other.value.receive(datagram, at: now, into: &outputs) {
        case .nothing, .response: return nil
        case .faultyRequest(let exchange, let id, let error):
            other.value.respond(exchange, id: id, error: ExchangeError(error), into: &outputs)
        case .request(let exchange, let id, let payloads):
            other.value.accepted(datagram, at: now, into: &outputs)
            guard exchange == .informational, let message = try? InformationalMessage(payloads: payloads) else {
                // Section 2.25.2: nothing is made while an IKE SA is being replaced.
                other.value.respond(exchange, id: id, error: exchange == .informational ? .invalidSyntax : .temporaryFailure, into: &outputs)
                return nil
            }
            guard payloads.deletesIKESA else {
                other.value.respond(exchange, id: id, deleteChildren(message, at: now, into: &outputs), into: &outputs)
                return nil
            }
            // It had the lowest of the four nonces: ours stays, and its answer is on the way.
            other.value.respond(exchange, id: id, [], into: &outputs)
            rival = nil
            replaced.linger(other, at: now, into: &outputs)
        }
        return nil
    }

    /// AUTHENTICATION_FAILED, when the client does not believe who we are, and INVALID_SYNTAX end an IKE SA without a Delete (RFC 7296 section 2.21.2).
    private static func givesUp(_ payloads: [Payload]) -> Bool {
        payloads.contains {
            if case .notify(let notify) = $0 { notify.type == .authenticationFailed || notify.type == .invalidSyntax } else { false }
        }
    }

    mutating func refuse(_ exchange: ExchangeType, id: UInt32, _ error: ExchangeError, into outputs: inout [Output]) -> Ending? {
        channel.respond(exchange, id: id, error: error, into: &outputs)
        return error.endsIKESA(in: exchange) ? .linger(.protocolError) : nil
    }

    private mutating func createChildSA(
        _ payloads: [Payload], id: UInt32, at now: Instant, into outputs: inout [Output]
    ) -> Ending? {
        let request: CreateChildSARequest
        do throws(MessageError) {
            request = try CreateChildSARequest(payloads: payloads)
        } catch {
            return refuse(.createChildSA, id: id, ExchangeError(error), into: &outputs)
        }
        do throws(ExchangeError) {
            if request.initiatorSelectors == nil {
                theirRekey = try beginRekey(request, id: id, at: now)
                outputs.append(.ask(.ikeSPI))
            } else {
                let exchange = try beginChild(request, id: id, at: now)
                let purpose = exchange.purpose
                theirChild = Held(exchange)
                outputs.append(.ask(.childSPI(purpose)))
            }
        } catch {
            return refuse(.createChildSA, id: id, error, into: &outputs)
        }
        return nil
    }
}

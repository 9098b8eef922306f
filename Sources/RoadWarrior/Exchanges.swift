import GatewayCrypto
package import IKEMessages
package import Wire

/// Message IDs of both directions, with one exchange at a time in each, RFC 7296 sections 2.1 to 2.3.
struct Window {
    enum Purpose: Equatable {
        case initiation, authentication, authenticationFailed, liveness, delete, custom
        /// A Child SA, or one in the place of another.
        case child
        /// Our SPI of the Child SA that is deleted.
        case childDelete(UInt32)
        case ikeRekey
    }

    struct Outstanding {
        let id: UInt32
        let exchange: ExchangeType
        let purpose: Purpose
        /// One, or its fragments; sent again as they are, octet for octet.
        let messages: [[UInt8]]
        var sendings: Int
    }

    struct Waiting {
        let exchange: ExchangeType
        let payloads: [Payload]
        let purpose: Purpose
    }

    var outstanding: Outstanding?
    var waiting: [Waiting] = []
    /// The ID of our next request; IKE_SA_INIT has 0.
    var nextRequest: UInt32 = 0
    /// The ID of the gateway's next request.
    var expectedRequest: UInt32 = 0
    /// Our response to the gateway's last request.
    var lastResponse: [[UInt8]]?

    static let maximumWaiting = 16
}

extension RoadWarrior {
    /// Where messages go from and to now.
    package var path: (local: Endpoint, remote: Endpoint) {
        guard encapsulated else { return (settings.local, settings.remote) }
        return (
            Endpoint(settings.local.address, port: settings.localNATPort),
            Endpoint(settings.remote.address, port: settings.remoteNATPort)
        )
    }

    mutating func send(_ messages: [[UInt8]], at now: Instant, into outputs: inout [Output]) {
        lastSent = now
        let (local, remote) = path
        for octets in messages {
            outputs.append(
                .send(Datagram(content: .ike, local: local, remote: remote, encapsulated: encapsulated, octets: octets)))
        }
    }

    /// Sends a finished request for the first time.
    mutating func transmit(
        _ messages: [[UInt8]], on sa: Association, id: UInt32, _ exchange: ExchangeType, for purpose: Window.Purpose, at now: Instant,
        into outputs: inout [Output]
    ) {
        sa.window.outstanding = Window.Outstanding(
            id: id, exchange: exchange, purpose: purpose, messages: messages, sendings: 1)
        sa.window.nextRequest = max(sa.window.nextRequest, id + 1)
        sa.retransmission = now + settings.retransmission.wait(after: 1)
        send(messages, at: now, into: &outputs)
    }

    /// Sends a protected request now, or after the answer to the one under way.
    mutating func ask(
        _ exchange: ExchangeType, _ payloads: [Payload], for purpose: Window.Purpose, on sa: Association? = nil, at now: Instant,
        into outputs: inout [Output]
    ) {
        let sa = sa ?? ike
        guard sa.window.waiting.count < Window.maximumWaiting else { return }
        sa.window.waiting.append(Window.Waiting(exchange: exchange, payloads: payloads, purpose: purpose))
        sendWaiting(on: sa, at: now, into: &outputs)
    }

    mutating func sendWaiting(on sa: Association, at now: Instant, into outputs: inout [Output]) {
        while stage != .closed, sa.window.outstanding == nil, !sa.window.waiting.isEmpty {
            let next = sa.window.waiting.removeFirst()
            guard sa.window.nextRequest < UInt32.max else {
                return close(.violation("all message IDs are used up"), into: &outputs)
            }
            let id = sa.window.nextRequest
            guard let outgoing = tampered(sa.header(next.exchange, id: id), next.payloads) else { continue }
            guard let messages = protect(outgoing, on: sa) else {
                return close(.cryptography(.library), into: &outputs)
            }
            transmit(messages, on: sa, id: id, next.exchange, for: next.purpose, at: now, into: &outputs)
        }
        if sa === ike, sa.window.outstanding == nil { fulfilWishes(at: now, into: &outputs) }
    }

    /// Sends a request with any payloads, protected and with the next message ID; its answer comes as `.response`.
    package mutating func request(
        _ exchange: ExchangeType, _ payloads: [Payload], at now: Instant, into outputs: inout [Output]
    ) {
        guard stage == .established else { return }
        ask(exchange, payloads, for: .custom, at: now, into: &outputs)
    }

    /// Asks whether the gateway lives: an empty INFORMATIONAL request, RFC 7296 section 2.4.
    package mutating func probe(at now: Instant, into outputs: inout [Output]) {
        guard stage == .established else { return }
        ask(.informational, [], for: .liveness, at: now, into: &outputs)
    }

    mutating func receiveResponse(
        _ header: IKEHeader, on sa: Association, _ payloads: Result<[Payload], MessageError>, at now: Instant,
        into outputs: inout [Output]
    ) {
        guard let request = sa.window.outstanding, request.id == header.messageID, request.exchange == header.exchange else {
            drops.outsideWindow += 1
            return
        }
        sa.window.outstanding = nil
        sa.retransmission = nil
        lastHeard = now
        switch payloads {
        case .failure(let error):
            close(.violation("a response that cannot be read: \(error)"), into: &outputs)
        case .success(let payloads):
            switch request.purpose {
            case .authentication: receiveAuthResponse(payloads, at: now, into: &outputs)
            case .delete:
                guard sa !== ike else { return close(.deletedByUs(answered: true), into: &outputs) }
                former.removeAll { $0 === sa }
            case .childDelete(let spi):
                if let gone = children.first(where: { $0.inboundSPI == spi }) { retire(gone, at: now) }
            case .child: receiveChild(payloads, at: now, into: &outputs)
            case .ikeRekey: receiveRekeyedIKE(payloads, on: sa, at: now, into: &outputs)
            case .custom:
                if let error = payloads.firstError {
                    outputs.append(.refused(Refusal(exchange: request.exchange, notify: error, authenticated: true)))
                }
                outputs.append(.response(request.exchange, messageID: request.id, payloads))
            case .initiation, .authenticationFailed, .liveness: break
            }
        }
        sendWaiting(on: sa, at: now, into: &outputs)
        if sa !== ike { sendWaiting(on: ike, at: now, into: &outputs) }
    }

    mutating func retransmit(on sa: Association, at now: Instant, into outputs: inout [Output]) {
        sa.retransmission = nil
        guard var request = sa.window.outstanding else { return }
        guard request.sendings < settings.retransmission.attempts else {
            switch request.purpose {
            case .delete where sa !== ike: former.removeAll { $0 === sa }
            case .delete: close(.deletedByUs(answered: false), into: &outputs)
            case .initiation:
                close(initiation.refusal.map { .refused($0) } ?? .noAnswer(.ikeSAInit), into: &outputs)
            default: close(.noAnswer(request.exchange), into: &outputs)
            }
            return
        }
        request.sendings += 1
        sa.window.outstanding = request
        sa.retransmission = now + settings.retransmission.wait(after: request.sendings)
        send(request.messages, at: now, into: &outputs)
    }

    mutating func checkLiveness(at now: Instant, into outputs: inout [Output]) {
        guard let interval = settings.liveness, stage == .established else { return }
        if now - lastHeard >= interval {
            if ike.window.outstanding == nil { probe(at: now, into: &outputs) }
            deadlines[.liveness] = now + interval
        } else {
            deadlines[.liveness] = lastHeard + interval
        }
    }

    mutating func keepNATOpen(at now: Instant, into outputs: inout [Output]) {
        guard let interval = settings.natKeepalive, stage == .established else { return }
        if now - lastSent >= interval {
            lastSent = now
            let (local, remote) = path
            outputs.append(
                .send(
                    Datagram(content: .keepalive, local: local, remote: remote, encapsulated: true, octets: [0xff])))
        }
        deadlines[.keepalive] = lastSent + interval
    }

    /// The gateway broke the protocol inside an IKE SA that stands: it is deleted without waiting for an answer.
    mutating func violate(_ words: String, at now: Instant, into outputs: inout [Output]) {
        ask(.informational, [.delete(DeletePayload(protocolID: .ike, spis: []))], for: .delete, at: now, into: &outputs)
        close(.violation(words), into: &outputs)
    }
}

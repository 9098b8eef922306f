package import IKEMessages

extension RoadWarrior {
    /// A message on its way out, before it is encrypted.
    package struct Outgoing: Equatable, Sendable {
        package var header: IKEHeader
        package var payloads: [Payload]
    }

    /// Gives back what is to be sent instead, or nil to send nothing.
    package typealias Tamper = @Sendable (Outgoing) -> Outgoing?

    func tampered(_ header: IKEHeader, _ payloads: [Payload]) -> Outgoing? {
        let outgoing = Outgoing(header: header, payloads: payloads)
        guard let tamper else { return outgoing }
        return tamper(outgoing)
    }

    /// A properly protected message with any content and header fields; changes nothing here but the count of initialization vectors.
    /// Nil before there are keys, and after the end.
    package mutating func forge(
        _ exchange: ExchangeType, _ payloads: [Payload], messageID: UInt32, flags: IKEHeader.Flags = [.initiator],
        initiatorSPI: IKESPI? = nil, responderSPI: IKESPI? = nil
    ) -> [UInt8]? {
        let header = IKEHeader(
            initiatorSPI: initiatorSPI ?? ike.initiatorSPI, responderSPI: responderSPI ?? ike.responderSPI,
            exchange: exchange, flags: flags, messageID: messageID)
        return ike.protection?.seal(header, payloads, entropy: settings.entropy) ?? nil
    }

    /// A properly protected fragment with any piece and numbers; as `forge`.
    package mutating func forge(
        _ exchange: ExchangeType, piece: [UInt8], first: PayloadType, number: UInt16, of total: UInt16, messageID: UInt32,
        flags: IKEHeader.Flags = [.initiator]
    ) -> [UInt8]? {
        let header = IKEHeader(
            initiatorSPI: initiatorSPI, responderSPI: responderSPI, exchange: exchange, flags: flags, messageID: messageID)
        let fragment = PlainFragment(firstInner: first, number: number, total: total, octets: piece[...])
        return ike.protection?.seal(header, fragment, entropy: settings.entropy) ?? nil
    }

    /// An octet string as a datagram on the path in use.
    package func datagram(_ octets: [UInt8]) -> Datagram {
        let (local, remote) = path
        return Datagram(content: .ike, local: local, remote: remote, encapsulated: encapsulated, octets: octets)
    }

    /// The payloads of a protected message from the gateway, whatever its message ID; nil when it is not authentic. For tests that read along.
    package mutating func reveal(_ octets: [UInt8]) -> [Payload]? {
        guard let message = try? IKEMessage(parsing: octets), let encrypted = message.payloads.encrypted,
            let text = ike.protection?.open(octets, encrypted.content) ?? nil
        else { return nil }
        return try? encrypted.innerPayloads(decrypted: text)
    }

    /// The ID of our next request.
    package var nextMessageID: UInt32 { ike.window.nextRequest }
    /// The ID of the request whose response is waited for.
    package var outstandingMessageID: UInt32? { ike.window.outstanding?.id }
    /// The ID of the gateway's next request.
    package var expectedMessageID: UInt32 { ike.window.expectedRequest }
    /// The request whose response is waited for, as it was sent; its first fragment.
    package var outstandingRequest: [UInt8]? { ike.window.outstanding?.messages.first }
    /// The IKE_SA_INIT request as it was sent last.
    package var initRequest: [UInt8] { initiation.request }

    /// Copies of the keys, once there are any.
    package var exposedKeys: ExposedKeys? { ike.keys.map { ExposedKeys($0) } }
}

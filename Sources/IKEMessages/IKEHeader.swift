package import Wire

/// IKE header, RFC 7296 section 3.1.
///
///      0                   1                   2                   3
///     +---------------------------------------------------------------+
///     |                       IKE SA Initiator's SPI (64)             |
///     |                       IKE SA Responder's SPI (64)             |
///     +---------------+-------+-------+---------------+---------------+
///     |  Next Payload | MjVer | MnVer | Exchange Type |     Flags     |
///     +---------------+-------+-------+---------------+---------------+
///     |                          Message ID                           |
///     |                            Length                             |
///     +---------------------------------------------------------------+
package struct IKEHeader: Equatable, Sendable {
    package static let length = 28

    package struct Flags: OptionSet, Hashable, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }

        /// Sent by the original initiator of the IKE SA.
        package static let initiator = Flags(rawValue: 0x08)
        package static let version = Flags(rawValue: 0x10)
        package static let response = Flags(rawValue: 0x20)
    }

    package var initiatorSPI: IKESPI
    package var responderSPI: IKESPI
    package var nextPayload: PayloadType
    /// Major version in the upper four bits.
    package var version: UInt8
    package var exchange: ExchangeType
    package var flags: Flags
    package var messageID: UInt32
    /// Octets of the whole message.
    package var length: UInt32

    package init(initiatorSPI: IKESPI, responderSPI: IKESPI, exchange: ExchangeType, flags: Flags, messageID: UInt32) {
        self.initiatorSPI = initiatorSPI
        self.responderSPI = responderSPI
        self.exchange = exchange
        self.flags = flags
        self.messageID = messageID
        nextPayload = .none
        version = 0x20
        length = UInt32(Self.length)
    }

    package init(parsing span: inout RawSpan) throws(WireError) {
        initiatorSPI = try span.next()
        responderSPI = try span.next()
        nextPayload = PayloadType(rawValue: try span.next())
        version = try span.next()
        exchange = ExchangeType(rawValue: try span.next())
        flags = Flags(rawValue: try span.next())
        messageID = try span.next()
        length = try span.next()
    }

    package func encode(into message: inout [UInt8]) {
        message.append(bigEndian: initiatorSPI)
        message.append(bigEndian: responderSPI)
        message.append(nextPayload.rawValue)
        message.append(version)
        message.append(exchange.rawValue)
        message.append(flags.rawValue)
        message.append(bigEndian: messageID)
        message.append(bigEndian: length)
    }

    package var majorVersion: UInt8 { version >> 4 }
    package var isResponse: Bool { flags.contains(.response) }
    package var isFromInitiator: Bool { flags.contains(.initiator) }
}

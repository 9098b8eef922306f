package import Wire

/// Notify payload, RFC 7296 section 3.10.
///
///     +---------------+---------------+-------------------------------+
///     |  Protocol ID  |   SPI Size    |      Notify Message Type      |
///     |                Security Parameter Index (SPI)                 |
///     |                       Notification Data                       |
///     +---------------------------------------------------------------+
package struct NotifyPayload: Hashable, Sendable {
    package var protocolID: UInt8
    package var spi: [UInt8]
    package var type: NotifyType
    package var data: [UInt8]

    package init(_ type: NotifyType, data: [UInt8] = []) {
        self.type = type
        self.data = data
        protocolID = 0
        spi = []
    }

    package init(parsing body: inout RawSpan) throws(WireError) {
        protocolID = try body.next()
        let spiSize = Int(try body.next(UInt8.self))
        type = NotifyType(rawValue: try body.next())
        spi = try body.octets(spiSize)
        data = body.rest()
    }

    package func encode(into message: inout [UInt8]) {
        message.append(protocolID)
        message.append(UInt8(clamping: spi.count))
        message.append(bigEndian: type.rawValue)
        message += spi
        message += data
    }
}

/// The notifies of a message, in their order.
package struct Notifies: Hashable, Sendable {
    package let list: [NotifyPayload]

    package init(_ list: [NotifyPayload] = []) {
        self.list = list
    }

    /// The first of this type.
    package subscript(type: NotifyType) -> NotifyPayload? { list.first { $0.type == type } }
    package func all(_ type: NotifyType) -> [NotifyPayload] { list.filter { $0.type == type } }
    package func contains(_ type: NotifyType) -> Bool { list.contains { $0.type == type } }
    /// SA_RESOURCE_INFO as RFC 9611 section 5.1 writes it: of no protocol, without an SPI. What it says of the resource is for people.
    package var asksForResource: Bool { list.contains { $0.type == .saResourceInfo && $0.protocolID == 0 && $0.spi.isEmpty } }
    /// The first that reports an error.
    package var firstError: NotifyPayload? { list.first { $0.type.isError } }
}

package import Wire

/// Delete payload, RFC 7296 section 3.11.
///
///     +---------------+---------------+-------------------------------+
///     | Protocol ID   |   SPI Size    |          Num of SPIs          |
///     |               Security Parameter Index(es) (SPI)              |
///     +---------------------------------------------------------------+
package struct DeletePayload: Hashable, Sendable {
    package var protocolID: SecurityProtocol
    /// None for the IKE SA itself, 4 octets each for ESP and AH.
    package var spis: [[UInt8]]

    package init(protocolID: SecurityProtocol, spis: [[UInt8]]) {
        self.protocolID = protocolID
        self.spis = spis
    }

    package init(parsing body: inout RawSpan) throws(WireError) {
        protocolID = SecurityProtocol(rawValue: try body.next())
        let size = Int(try body.next(UInt8.self))
        let count = Int(try body.next(UInt16.self))
        switch protocolID {
        case .ike: guard size == 0, count == 0 else { throw .badLength }
        case .esp, .ah: guard size == 4, count > 0 else { throw .badLength }
        default: throw .badValue
        }
        guard count <= MessageLimits.deletedSPIs else { throw .tooMany }
        spis = []
        for _ in 0..<count { spis.append(try body.octets(size)) }
    }

    package func encode(into message: inout [UInt8]) {
        message.append(protocolID.rawValue)
        message.append(protocolID == .ike ? 0 : 4)
        message.append(bigEndian: UInt16(clamping: spis.count))
        for spi in spis { message += spi }
    }
}

package import Wire

/// Key Exchange payload, RFC 7296 section 3.4.
///
///     +-------------------------------+-------------------------------+
///     |   Diffie-Hellman Group Num    |           RESERVED            |
///     |                       Key Exchange Data                       |
///     +---------------------------------------------------------------+
package struct KeyExchangePayload: Hashable, Sendable {
    package var method: KeyExchangeMethod
    /// Never empty; its length is checked against the group's by GatewayCrypto.
    package var data: [UInt8]

    package init(method: KeyExchangeMethod, data: [UInt8]) {
        self.method = method
        self.data = data
    }

    package init(parsing body: inout RawSpan) throws(WireError) {
        method = KeyExchangeMethod(rawValue: try body.next())
        _ = try body.next(UInt16.self)
        data = body.rest()
        guard !data.isEmpty else { throw .truncated }
    }

    package func encode(into message: inout [UInt8]) {
        message.append(bigEndian: method.rawValue)
        message.append(bigEndian: UInt16(0))
        message += data
    }
}

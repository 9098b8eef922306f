package import Wire

/// EAP payload, RFC 7296 section 3.16: one EAP packet, whose own length field must be the payload's.
///
///     +---------------+---------------+-------------------------------+
///     |     Code      | Identifier    |           Length              |
///     |     Type      | Type_Data...                                  |
///     +---------------+-----------------------------------------------+
package struct EAPPayload: Hashable, Sendable {
    package let octets: [UInt8]
    package let code: UInt8
    package let identifier: UInt8

    /// An EAP packet; throws `.truncated` or `.badLength`.
    package init(parsing body: inout RawSpan) throws(WireError) {
        var head = body
        code = try head.next()
        identifier = try head.next()
        let length = Int(try head.next(UInt16.self))
        guard length == body.byteCount else { throw .badLength }
        // A request and a response have a type, a success and a failure have nothing (RFC 3748 section 4).
        switch code {
        case 1, 2: guard length >= 5 else { throw .badLength }
        case 3, 4: guard length == 4 else { throw .badLength }
        default: throw .badValue
        }
        octets = body.rest()
    }

    /// The packet that these octets are; nil when they are none.
    package init?(_ octets: [UInt8]) {
        var span = unsafe octets.span.bytes
        guard let payload = try? EAPPayload(parsing: &span) else { return nil }
        self = payload
    }

    /// Method of a request or a response; nil in a success or a failure.
    package var type: UInt8? { octets.count > 4 ? octets[4] : nil }

    package func encode(into message: inout [UInt8]) {
        message += octets
    }
}

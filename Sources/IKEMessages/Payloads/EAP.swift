package import Wire

/// EAP codes, RFC 3748 section 4.
package enum EAPCode: UInt8, Sendable {
    case request = 1, response, success, failure
}

/// EAP types that are no methods, RFC 3748 section 5; every type beyond Nak is one.
package struct EAPType: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let identity = Self(rawValue: 1)
    package static let notification = Self(rawValue: 2)
    package static let nak = Self(rawValue: 3)
}

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

    /// A request or a response; nil when it would be longer than an EAP packet can be.
    package init?(_ code: EAPCode, identifier: UInt8, type: EAPType, _ data: [UInt8]) {
        guard let length = UInt16(exactly: 5 + data.count) else { return nil }
        var octets = [code.rawValue, identifier]
        octets.append(bigEndian: length)
        octets.append(type.rawValue)
        octets += data
        self.init(octets)
    }

    package static func success(identifier: UInt8) -> EAPPayload { EAPPayload(end: .success, identifier) }
    package static func failure(identifier: UInt8) -> EAPPayload { EAPPayload(end: .failure, identifier) }

    private init(end code: EAPCode, _ identifier: UInt8) {
        self.code = code.rawValue
        self.identifier = identifier
        octets = [code.rawValue, identifier, 0, 4]
    }

    /// Method of a request or a response; nil in a success or a failure.
    package var type: UInt8? { octets.count > 4 ? octets[4] : nil }

    package func encode(into message: inout [UInt8]) {
        message += octets
    }
}

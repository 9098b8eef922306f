package import Wire

/// Identification payload, RFC 7296 section 3.5.
///
///     +---------------+-----------------------------------------------+
///     |   ID Type     |                 RESERVED                      |
///     |                   Identification Data                         |
///     +---------------------------------------------------------------+
package struct IdentificationPayload: Hashable, Sendable {
    package var type: IDType
    /// Three octets as received: AUTH covers them (threats.md P12).
    package var reserved: [UInt8]
    package var data: [UInt8]

    package init(type: IDType, data: [UInt8]) {
        self.type = type
        self.data = data
        reserved = [0, 0, 0]
    }

    package init(parsing body: inout RawSpan) throws(WireError) {
        type = IDType(rawValue: try body.next())
        reserved = try body.octets(3)
        guard body.byteCount <= MessageLimits.identitySize else { throw .tooMany }
        data = body.rest()
        switch type {
        case .ipv4Address: guard data.count == 4 else { throw .badLength }
        case .ipv6Address: guard data.count == 16 else { throw .badLength }
        case .null: break
        default: guard !data.isEmpty else { throw .badLength }
        }
    }

    package func encode(into message: inout [UInt8]) {
        message += body
    }

    /// Type, reserved octets and data: what prf(SK_p) covers, RFC 7296 section 2.15.
    package var body: [UInt8] { [type.rawValue] + reserved + data }

    /// The address of an ID_IPV4_ADDR or ID_IPV6_ADDR.
    package var ipAddress: IPAddress? {
        switch type {
        case .ipv4Address, .ipv6Address: IPAddress(octets: data)
        default: nil
        }
    }

    /// Most characters of `description`.
    package static let longestText = 256
}

extension IdentificationPayload: CustomStringConvertible {
    /// For logs and tables: addresses as text, names as escaped ASCII, everything else in hexadecimal; at most 256 characters (threats.md C11).
    package var description: String {
        if let ipAddress { return ipAddress.description }
        switch type {
        case .fqdn, .rfc822Address: return Self.escaped(data)
        case .keyID: return data.allSatisfy { (0x21...0x7e).contains($0) } ? Self.escaped(data) : "key-id:" + Self.hexadecimal(data)
        default: return "id-type-\(type.rawValue):" + Self.hexadecimal(data)
        }
    }

    private static func hexadecimal(_ octets: [UInt8]) -> String {
        let shown = Array(octets.prefix(100)).hexadecimal
        return octets.count > 100 ? shown + "..." : shown
    }

    /// Printable ASCII as it is, anything else as \xNN, cut at 256 characters.
    private static func escaped(_ octets: [UInt8]) -> String {
        var text = ""
        for octet in octets {
            let piece: String
            switch octet {
            case UInt8(ascii: "\\"), UInt8(ascii: "\""): piece = "\\" + String(UnicodeScalar(octet))
            case 0x20...0x7e: piece = String(UnicodeScalar(octet))
            default: piece = "\\x" + [octet].hexadecimal
            }
            guard text.utf8.count + piece.utf8.count <= longestText - 3 else { return text + "..." }
            text += piece
        }
        return text
    }
}

package import Wire

/// Nonce payload, RFC 7296 section 3.9: 16 to 256 octets.
package struct NoncePayload: Hashable, Sendable {
    package var octets: [UInt8]

    package init(octets: [UInt8]) {
        self.octets = octets
    }

    package init(parsing body: inout RawSpan) throws(WireError) {
        guard (16...256).contains(body.byteCount) else { throw .badLength }
        octets = body.rest()
    }

    package func encode(into message: inout [UInt8]) {
        message += octets
    }
}

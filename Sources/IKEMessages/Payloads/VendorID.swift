package import Wire

/// Vendor ID payload, RFC 7296 section 3.12: any octets.
package struct VendorIDPayload: Hashable, Sendable {
    package var octets: [UInt8]

    package init(octets: [UInt8]) {
        self.octets = octets
    }

    package init(parsing body: inout RawSpan) throws(WireError) {
        octets = body.rest()
    }

    package func encode(into message: inout [UInt8]) {
        message += octets
    }
}

package import Wire

/// Certificate payload, RFC 7296 section 3.6: encoding, then data.
package struct CertificatePayload: Hashable, Sendable {
    package var encoding: CertificateEncoding
    package var data: [UInt8]

    package init(encoding: CertificateEncoding, data: [UInt8]) {
        self.encoding = encoding
        self.data = data
    }

    package init(parsing body: inout RawSpan) throws(WireError) {
        encoding = CertificateEncoding(rawValue: try body.next())
        guard body.byteCount <= MessageLimits.certificateSize else { throw .tooMany }
        data = body.rest()
        guard !data.isEmpty else { throw .truncated }
    }

    package func encode(into message: inout [UInt8]) {
        message.append(encoding.rawValue)
        message += data
    }
}

package import Wire

/// Certificate Request payload, RFC 7296 section 3.7: encoding, then SHA-1 hashes of the public keys of trust anchors.
package struct CertificateRequestPayload: Hashable, Sendable {
    package var encoding: CertificateEncoding
    package var authorities: [UInt8]

    package init(encoding: CertificateEncoding, authorities: [UInt8]) {
        self.encoding = encoding
        self.authorities = authorities
    }

    package init(parsing body: inout RawSpan) throws(WireError) {
        encoding = CertificateEncoding(rawValue: try body.next())
        authorities = body.rest()
        guard encoding != .x509Signature || authorities.count.isMultiple(of: 20) else { throw .badLength }
    }

    package func encode(into message: inout [UInt8]) {
        message.append(encoding.rawValue)
        message += authorities
    }
}

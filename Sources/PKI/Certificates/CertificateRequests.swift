package import Wire

/// The authorities of CERTREQ payloads of encoding 4, RFC 7296 section 3.7: SHA-1 hashes of SubjectPublicKeyInfos, one behind the other.
package struct CertificateRequests: Hashable, Sendable {
    /// How many of a peer's hashes are looked at (features.md PKI-11); the rest might as well not be there.
    package static let maximum = 16
    private static let hashLength = 20

    package let hashes: [[UInt8]]

    /// For the given authorities, without repetitions.
    package init(_ authorities: [Certificate]) {
        var hashes: [[UInt8]] = []
        for certificate in authorities where !hashes.contains(certificate.publicKeyHash) { hashes.append(certificate.publicKeyHash) }
        self.hashes = hashes
    }

    /// Of the authority fields of all CERTREQ payloads of one message, in order: the first 16. An incomplete hash throws `.badLength`.
    package init(parsing payloads: [[UInt8]]) throws(WireError) {
        var hashes: [[UInt8]] = []
        for payload in payloads {
            guard payload.count.isMultiple(of: Self.hashLength) else { throw .badLength }
            var start = 0
            while start < payload.count, hashes.count < Self.maximum {
                hashes.append(Array(payload[start..<(start + Self.hashLength)]))
                start += Self.hashLength
            }
        }
        self.hashes = hashes
    }

    /// The authority field.
    package var authorities: [UInt8] { hashes.flatMap { $0 } }
    package var isEmpty: Bool { hashes.isEmpty }

    package func contains(_ authority: Certificate) -> Bool { hashes.contains(authority.publicKeyHash) }
}

internal import Wire

/// Authentication data of method 14, RFC 7427 section 3: length | AlgorithmIdentifier | signature.
package struct DigitalSignature: Equatable, Sendable {
    package let scheme: SignatureScheme
    package let signature: [UInt8]

    package init(scheme: SignatureScheme, signature: [UInt8]) {
        self.scheme = scheme
        self.signature = signature
    }

    /// Throws `.malformed` when it ends early or holds no signature, `.unknownAlgorithm` unless the identifier is one of the table's.
    package init(parsing data: [UInt8]) throws(SignatureError) {
        var octets = unsafe data.span.bytes
        guard let length = try? octets.next(UInt8.self), let identifier = try? octets.octets(Int(length)), !octets.isEmpty else {
            throw .malformed
        }
        guard let scheme = SignatureScheme.of(algorithmIdentifier: identifier) else { throw .unknownAlgorithm }
        self.scheme = scheme
        signature = octets.rest()
    }

    /// Nil for a scheme that is not of method 14.
    package var encoded: [UInt8]? {
        guard let identifier = scheme.algorithmIdentifiers.first, let length = UInt8(exactly: identifier.count) else { return nil }
        return [length] + identifier + signature
    }
}

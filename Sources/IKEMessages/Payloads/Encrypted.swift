import Wire

/// Encrypted payload, RFC 7296 section 3.14. Always the last of a message; its next payload is the first one inside.
///
///     +---------------+-+-------------+-------------------------------+
///     | Next Payload  |C|  RESERVED   |         Payload Length        |
///     |                     Initialization Vector                     |
///     |                    Encrypted IKE Payloads                     |
///     |               | Padding (0-255 octets)        |  Pad Length   |
///     |                    Integrity Checksum Data                    |
///     +---------------------------------------------------------------+
package struct EncryptedPayload: Hashable, Sendable {
    package let firstInner: PayloadType
    /// Where IV, text and ICV lie in the message.
    package let content: Range<Int>

    /// `offset`: where the span begins in the message.
    init(parsing span: inout RawSpan, at offset: Int) throws(WireError) {
        let length: Int
        (firstInner, length) = try Self.header(&span)
        content = offset + 4..<offset + length
        try span.skip(length - 4)
    }

    fileprivate static func header(_ span: inout RawSpan) throws(WireError) -> (PayloadType, Int) {
        let first = PayloadType(rawValue: try span.next())
        try span.skip(1)
        let length = Int(try span.next(UInt16.self))
        // It fills the message to its end.
        guard length >= 4, length - 4 == span.byteCount else { throw .badLength }
        return (first, length)
    }

    /// Takes pad length and padding off decrypted text and parses what is left.
    package func innerPayloads(decrypted text: [UInt8]) throws(MessageError) -> [Payload] {
        guard let padding = text.last, Int(padding) < text.count else { throw .invalidSyntax(.padding) }
        return try PayloadChain.parse(first: firstInner, Array(text.dropLast(Int(padding) + 1)))
    }
}

/// Encrypted fragment payload, RFC 7383 section 2.5: fragment number and total before the IV.
package struct EncryptedFragmentPayload: Hashable, Sendable {
    /// Of the first fragment; in the others a sender writes zero there, and no receiver looks (RFC 7383 section 2.6).
    package let firstInner: PayloadType
    /// 1 to `totalFragments`.
    package let fragmentNumber: UInt16
    package let totalFragments: UInt16
    package let content: Range<Int>

    init(parsing span: inout RawSpan, at offset: Int) throws(WireError) {
        let length: Int
        (firstInner, length) = try EncryptedPayload.header(&span)
        fragmentNumber = try span.next()
        totalFragments = try span.next()
        guard fragmentNumber >= 1, fragmentNumber <= totalFragments else { throw .badValue }
        content = offset + 8..<offset + length
        try span.skip(length - 8)
    }
}

/// A message whose SK payload is laid out and not yet sealed: fill the IV, then seal the text in place.
package struct EncryptedMessageLayout: Sendable {
    package var octets: [UInt8]
    /// Header and SK header: the associated data (RFC 5282 section 5.1), and where the MAC begins.
    package let aad: Range<Int>
    package let iv: Range<Int>
    /// Inner payloads, padding, pad length.
    package let text: Range<Int>
    package let icv: Range<Int>

    package init(header: IKEHeader, payloads: [Payload], ivLength: Int, blockLength: Int, icvLength: Int) {
        let (first, inner) = PayloadChain.encode(payloads)
        let block = max(1, blockLength)
        let padding = (block - (inner.count + 1) % block) % block
        let aadEnd = IKEHeader.length + PayloadChain.headerLength
        aad = 0..<aadEnd
        iv = aadEnd..<aadEnd + ivLength
        text = iv.upperBound..<iv.upperBound + inner.count + padding + 1
        icv = text.upperBound..<text.upperBound + icvLength
        var header = header
        header.nextPayload = .encrypted
        header.length = UInt32(clamping: icv.upperBound)
        octets = []
        octets.reserveCapacity(icv.upperBound)
        header.encode(into: &octets)
        octets += [first.rawValue, 0]
        octets.append(bigEndian: UInt16(clamping: icv.upperBound - IKEHeader.length))
        octets += [UInt8](repeating: 0, count: ivLength)
        octets += inner
        octets += [UInt8](repeating: 0, count: padding)
        octets.append(UInt8(clamping: padding))
        octets += [UInt8](repeating: 0, count: icvLength)
    }
}

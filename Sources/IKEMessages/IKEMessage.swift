import Wire

/// A whole IKE message, without a non-ESP marker; RFC 7296 section 3.
package struct IKEMessage: Equatable, Sendable {
    package var header: IKEHeader
    package var payloads: [Payload]

    package init(header: IKEHeader, payloads: [Payload]) {
        self.header = header
        self.payloads = payloads
    }

    /// Parses header and clear payloads; the content of SK or SKF, which is always last, stays a range of `octets`.
    package init(parsing octets: [UInt8]) throws(MessageError) {
        guard octets.count <= MessageLimits.messageSize else { throw .malformedHeader }
        var span = unsafe octets.span.bytes
        do throws(WireError) {
            header = try IKEHeader(parsing: &span)
        } catch {
            throw .malformedHeader
        }
        guard header.majorVersion == 2 else { throw .unsupportedMajorVersion(header.majorVersion) }
        guard Int(header.length) == octets.count else { throw .malformedHeader }
        let (clear, last) = try PayloadChain.walk(first: header.nextPayload, &span)
        var payloads = clear
        if last != .none {
            guard payloads.count < MessageLimits.payloads else { throw .invalidSyntax(.tooManyPayloads) }
            do throws(WireError) {
                let offset = octets.count - span.byteCount
                payloads.append(
                    last == .encrypted
                        ? .encrypted(try EncryptedPayload(parsing: &span, at: offset))
                        : .encryptedFragment(try EncryptedFragmentPayload(parsing: &span, at: offset)))
            } catch {
                throw .invalidSyntax(.payload(last, error))
            }
        }
        guard span.isEmpty else { throw .invalidSyntax(.chain(.trailingOctets)) }
        self.payloads = payloads
    }

    /// The octets of a message in the clear; next payloads and lengths are written here.
    package func encoded() -> [UInt8] {
        let (first, body) = PayloadChain.encode(payloads)
        var header = header
        header.nextPayload = first
        header.length = UInt32(clamping: IKEHeader.length + body.count)
        var octets: [UInt8] = []
        octets.reserveCapacity(IKEHeader.length + body.count)
        header.encode(into: &octets)
        return octets + body
    }

    /// The SK payload, if that is how the message ends.
    package var encryptedPayload: EncryptedPayload? {
        if case .encrypted(let payload) = payloads.last { payload } else { nil }
    }
}

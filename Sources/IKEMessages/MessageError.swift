package import Wire

/// What is wrong with a message's octets or with its set of payloads.
package enum MessageError: Error, Equatable, Sendable {
    /// Too short for a header, or a length that is not the datagram's: dropped.
    case malformedHeader
    case unsupportedMajorVersion(UInt8)
    /// UNSUPPORTED_CRITICAL_PAYLOAD, RFC 7296 section 2.5.
    case unsupportedCriticalPayload(UInt8)
    /// INVALID_SYNTAX.
    case invalidSyntax(SyntaxFault)
}

package enum SyntaxFault: Equatable, Sendable {
    case payload(PayloadType, WireError)
    case chain(WireError)
    case tooManyPayloads
    case missing(PayloadType)
    case duplicate(PayloadType)
    case misplaced(PayloadType)
    case padding
    /// Two payloads that exclude each other, or neither of them.
    case contradiction
}

extension MessageError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .malformedHeader: "malformed header"
        case .unsupportedMajorVersion(let version): "major version \(version)"
        case .unsupportedCriticalPayload(let type): "unknown critical payload \(type)"
        case .invalidSyntax(let fault): "\(fault)"
        }
    }
}

extension SyntaxFault: CustomStringConvertible {
    package var description: String {
        switch self {
        case .payload(let type, let error): "payload \(type.rawValue) is \(error)"
        case .chain(let error): "payload chain is \(error)"
        case .tooManyPayloads: "too many payloads"
        case .missing(let type): "payload \(type.rawValue) is missing"
        case .duplicate(let type): "payload \(type.rawValue) stands too often"
        case .misplaced(let type): "payload \(type.rawValue) stands where it may not"
        case .padding: "padding is longer than the text"
        case .contradiction: "payloads contradict each other"
        }
    }
}

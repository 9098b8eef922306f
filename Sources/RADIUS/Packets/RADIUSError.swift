/// Why a RADIUS packet could not be made or believed.
package enum RADIUSError: Error, Equatable, Sendable {
    // What we were asked to send.

    /// The dictionary was not loaded, or loading it failed: the library's reason.
    case dictionary(String)
    /// A shared secret that is empty or has an octet of zero, at which the library would cut it off.
    case unusableSecret
    /// A value longer than its attribute can hold.
    case valueTooLong(RADIUSAttributeType)
    /// More than 4,096 octets.
    case packetTooLong
    /// The library refused: its reason.
    case library(String)

    // What a peer sent: octets.

    /// Fewer octets than a header, or than its length field says (RFC 2865 section 3).
    case truncated
    /// A length field below 20 or above 4,096.
    case badPacketLength
    /// An attribute shorter than its own header or past the end of the packet (threats.md C2).
    case badAttributeLength
    case tooManyAttributes
    /// `badAttributeLength` inside a Vendor-Specific attribute of a vendor whose attributes we use.
    case badVendorAttribute
    case unknownCode

    // What a peer sent: who sent it.

    /// The Response Authenticator, or a request's own, does not fit the secret.
    case badAuthenticator
    case missingMessageAuthenticator
    /// Wrong, of another length than 16, or more than one.
    case badMessageAuthenticator
    /// An MS-MPPE key of a wrong length, with a wrong salt, or that does not decrypt (RFC 2548 section 2.4).
    case badKey
}

extension RADIUSError {
    /// Whether the packet is known to be the server's all the same: it then ends the login with this cause. Everything else is dropped, as if
    /// it had not come (RFC 2865 section 3).
    package var isServersDoing: Bool {
        switch self {
        case .badVendorAttribute, .badKey, .library: true
        default: false
        }
    }
}

extension RADIUSError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .dictionary(let reason): "no RADIUS dictionary: \(reason)"
        case .unusableSecret: "the shared secret is empty or has an octet of zero"
        case .valueTooLong(let type): "the value of \(type) is too long"
        case .packetTooLong: "the packet is longer than 4096 octets"
        case .library(let reason): "libfreeradius: \(reason)"
        case .truncated: "truncated"
        case .badPacketLength: "bad packet length"
        case .badAttributeLength: "bad attribute length"
        case .tooManyAttributes: "too many attributes"
        case .badVendorAttribute: "bad length in a Vendor-Specific attribute"
        case .unknownCode: "unknown code"
        case .badAuthenticator: "the authenticator is wrong (another shared secret?)"
        case .missingMessageAuthenticator: "no Message-Authenticator"
        case .badMessageAuthenticator: "the Message-Authenticator is wrong (another shared secret?)"
        case .badKey: "an MS-MPPE key is malformed"
        }
    }
}

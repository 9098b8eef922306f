/// The kind of a packet, RFC 2865 section 3 and RFC 5176 section 2.3; an unknown one is a value too.
package struct RADIUSCode: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    package static let accessRequest = RADIUSCode(rawValue: 1)
    package static let accessAccept = RADIUSCode(rawValue: 2)
    package static let accessReject = RADIUSCode(rawValue: 3)
    package static let accountingRequest = RADIUSCode(rawValue: 4)
    package static let accountingResponse = RADIUSCode(rawValue: 5)
    package static let accessChallenge = RADIUSCode(rawValue: 11)
    package static let statusServer = RADIUSCode(rawValue: 12)
    package static let disconnectRequest = RADIUSCode(rawValue: 40)
    package static let disconnectACK = RADIUSCode(rawValue: 41)
    package static let disconnectNAK = RADIUSCode(rawValue: 42)
    package static let coaRequest = RADIUSCode(rawValue: 43)
    package static let coaACK = RADIUSCode(rawValue: 44)
    package static let coaNAK = RADIUSCode(rawValue: 45)

    private static let names: [RADIUSCode: String] = [
        .accessRequest: "Access-Request", .accessAccept: "Access-Accept", .accessReject: "Access-Reject",
        .accountingRequest: "Accounting-Request", .accountingResponse: "Accounting-Response",
        .accessChallenge: "Access-Challenge", .statusServer: "Status-Server",
        .disconnectRequest: "Disconnect-Request", .disconnectACK: "Disconnect-ACK", .disconnectNAK: "Disconnect-NAK",
        .coaRequest: "CoA-Request", .coaACK: "CoA-ACK", .coaNAK: "CoA-NAK",
    ]

    /// Whether it answers a request, whose authenticator its own then covers.
    package var isReply: Bool {
        switch self {
        case .accountingResponse, .disconnectACK, .disconnectNAK, .coaACK, .coaNAK: true
        default: isAccessReply
        }
    }

    /// Whether it answers a Disconnect- or CoA-Request.
    package var isDynamicAuthorizationReply: Bool {
        self == .disconnectACK || self == .disconnectNAK || self == .coaACK || self == .coaNAK
    }

    /// Whether its authenticator is a digest over the request and the secret (RFC 2866 section 3, RFC 5176 section 2.3), not random.
    package var isSignedRequest: Bool {
        self == .accountingRequest || self == .disconnectRequest || self == .coaRequest
    }

    /// Whether we sign it with a Message-Authenticator. Not accounting, where RFC 2866 has none and some servers drop what they do not know; and not the
    /// answers of RFC 5176: the RFC computes theirs over the request's authenticator, FreeRADIUS 3.2 over zeros, and nobody asks for one.
    package var carriesMessageAuthenticator: Bool {
        self == .accessRequest || self == .statusServer || self == .disconnectRequest || self == .coaRequest || isAccessReply
    }

    /// Whether it answers an Access-Request.
    package var isAccessReply: Bool {
        self == .accessAccept || self == .accessReject || self == .accessChallenge
    }

    /// Whether we know it at all.
    package var isKnown: Bool { Self.names[self] != nil }
}

extension RADIUSCode: CustomStringConvertible {
    package var description: String { Self.names[self] ?? "code \(rawValue)" }
}

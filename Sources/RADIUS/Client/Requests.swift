/// A request as its author sees it: attributes, the password in clear. Identifier, authenticator and signature are made when it is sent.
package struct RequestDraft: Sendable {
    package var attributes: [RADIUSAttribute]
    /// The server that must answer it, as it holds the State (RFC 2865 section 5.24); nil for any.
    package var affinity: String?

    package init(_ attributes: [RADIUSAttribute], affinity: String? = nil) {
        self.attributes = attributes
        self.affinity = affinity
    }
}

/// A reply that is the server's: authenticators checked.
package struct RADIUSReply: Sendable {
    package let packet: RADIUSPacket
    /// The server's name: where the next request of an EAP conversation goes.
    package let server: String
    /// Of the request that it answers.
    package let requestAuthenticator: [UInt8]
    /// From the first transmission to this server.
    package let roundTrip: Duration

    package init(packet: RADIUSPacket, server: String, requestAuthenticator: [UInt8], roundTrip: Duration) {
        self.packet = packet
        self.server = server
        self.requestAuthenticator = requestAuthenticator
        self.roundTrip = roundTrip
    }
}

/// Why a request got no reply.
package enum RADIUSFailure: Error, Equatable, Sendable {
    /// Every server is held down, or there is none.
    case noServer
    /// No server answered; the last one asked.
    case timeout(String)
    /// The server that holds the conversation's State does not answer, or is gone from the policy.
    case serverLost(String)
    /// Too many requests are on their way.
    case overloaded
    /// The server's own, and of no use: a malformed key or vendor's attribute.
    case unusableReply(String, RADIUSError)
    /// The request cannot be written.
    case encoding(RADIUSError)
}

extension RADIUSFailure: CustomStringConvertible {
    package var description: String {
        switch self {
        case .noServer: "no RADIUS server is up"
        case .timeout(let server): "no RADIUS server answered, the last one asked was \(server)"
        case .serverLost(let server): "RADIUS server \(server) stopped answering in the middle of a conversation"
        case .overloaded: "too many RADIUS requests are on their way"
        case .unusableReply(let server, let error): "unusable reply of RADIUS server \(server): \(error)"
        case .encoding(let error): "the RADIUS request cannot be sent: \(error)"
        }
    }
}

import IKEMessages

/// The client's side of one EAP conversation, RFC 3748 section 2; a conversation has a value of its own.
package protocol EAPMethod: Sendable {
    /// The EAP-Response to a whole EAP-Request packet; nil when there is none, which ends the login.
    mutating func respond(to request: [UInt8]) -> [UInt8]?
    /// The MSK, once the method has made one; nil of a method without keys (RFC 7296 section 2.16).
    var masterSessionKey: [UInt8]? { get }
    /// Whether the method has come to a good end, so that an EAP-Success may be believed: one that comes before would let anybody in who wants to
    /// pass for the gateway (threats.md C6).
    var acceptsSuccess: Bool { get }
    /// Why `respond` had no answer.
    var fault: EAPMethodFault? { get }
}

extension EAPMethod {
    package var fault: EAPMethodFault? { nil }
}

/// Why an EAP-Request has no answer.
package enum EAPMethodFault: Error, Equatable, Sendable {
    /// A length or a value that its method does not have.
    case malformed
    /// A request that does not belong where it came.
    case unexpected
    /// Requests, one after the other, for methods that we were not told to use.
    case noCommonMethod
    /// The server does not know the password that it claims to know.
    case serverNotAuthenticated
    /// Our own library failed, or came without what the method is made of.
    case cryptography

    /// The same words whatever the server sent, to count by.
    package var words: String {
        switch self {
        case .malformed: "a malformed EAP-Request"
        case .unexpected: "an EAP-Request out of turn"
        case .noCommonMethod: "it knows no EAP method that we may use"
        case .serverNotAuthenticated: "its EAP server does not know our password"
        case .cryptography: "cryptography failed"
        }
    }
}

/// A login by EAP under way.
struct EAPLogin {
    var method: any EAPMethod
    /// IDr of the first response.
    var gateway: IdentificationPayload?
    /// The gateway proved itself before EAP began; else EAP has to make a key that both sides prove (RFC 5998).
    var isGatewayProved = false
    /// EAP-Success came; what is left is AUTH of both sides.
    var hasSucceeded = false
    var rounds = 0

    static let mostRounds = 200
}

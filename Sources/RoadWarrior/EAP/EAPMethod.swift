import IKEMessages

/// The client's side of one EAP conversation, RFC 3748 section 2; a conversation has a value of its own.
package protocol EAPMethod: Sendable {
    /// The EAP-Response to a whole EAP-Request packet; nil when there is none, which ends the login.
    mutating func respond(to request: [UInt8]) -> [UInt8]?
    /// The MSK, once the method has made one; nil of a method without keys (RFC 7296 section 2.16).
    var masterSessionKey: [UInt8]? { get }
}

/// A login by EAP under way.
struct EAPLogin {
    var method: any EAPMethod
    /// IDr of the first response.
    var gateway: IdentificationPayload?
    /// EAP-Success came; what is left is AUTH of both sides.
    var hasSucceeded = false
    var rounds = 0

    static let mostRounds = 200
}

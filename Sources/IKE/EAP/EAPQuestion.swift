/// What one side of a login proved itself by.
package enum ProofKind: String, Hashable, Sendable, CaseIterable {
    case sharedKey, certificate, eap
}

/// An EAP-Response of a client, for whoever knows the client: a RADIUS server.
package struct EAPQuestion: Equatable, Sendable {
    /// The whole EAP packet. The first one is an EAP-Response/Identity, the client's own or made from IDi.
    package let message: [UInt8]
    /// What that EAP-Response/Identity said: User-Name in every round (features.md RAD-1).
    package let identity: [UInt8]
    package let isFirst: Bool
    /// What the gateway proved itself by before; `.eap`: by nothing yet (RFC 5998).
    package let ownProof: ProofKind
}

/// What whoever knows the client says to its EAP-Response.
package enum EAPAnswer: Sendable {
    /// The next EAP-Request.
    case request([UInt8])
    /// The client is accepted, by Access-Accept (threats.md C6): the EAP-Success that came with it, and the MSK; nil: a method without keys.
    case success([UInt8], key: MasterSessionKey?)
    /// It is not: the EAP-Failure, made here where none came, and the cause for the log. `isRejection`: refused by whoever knows it, which counts for
    /// a lockout; a timeout does not (features.md X-12).
    case failure([UInt8]?, cause: String, isRejection: Bool)
}

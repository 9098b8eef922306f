package import GatewayCrypto
package import IKEMessages
package import Wire

/// What a client must prove itself by.
package enum PeerProof: Sendable {
    case sharedKey(Secret<[UInt8]>)
    /// The key of a certificate whose path was validated, and which is for the client's name (threats.md P18).
    case certificate(PublicKey)
    /// A name and a secret that somebody else knows; the AUTH value comes after (RFC 7296 section 2.16).
    case eap(EAPTerms)
}

/// What we prove ourselves by.
package enum OwnProof: Sendable {
    case sharedKey(Secret<[UInt8]>)
    /// Our CERT payloads' octets, the end entity first, and how its key signs. The key stays outside: `ask(signature)`.
    case certificate([[UInt8]], SignatureScheme)
    /// By EAP alone: neither AUTH nor CERT before the last response, where the client allows that (RFC 5998, threats.md P16).
    case eapOnly
}

/// How the two sides of a login authenticate; the methods may differ (features.md AUTH-9).
package struct Credentials: Sendable {
    /// Our IDr.
    package let identity: IdentificationPayload
    package let peer: PeerProof
    package let own: OwnProof

    package init(identity: IdentificationPayload, peer: PeerProof, own: OwnProof) {
        self.identity = identity
        self.peer = peer
        self.own = own
    }

    /// The same key on both sides (features.md AUTH-1).
    package static func sharedKey(_ key: Secret<[UInt8]>, identity: IdentificationPayload) -> Credentials {
        Credentials(identity: identity, peer: .sharedKey(key), own: .sharedKey(key))
    }
}

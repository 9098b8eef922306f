package import IKEMessages
import Wire

/// How a client proves itself by EAP.
package struct EAPTerms: Hashable, Sendable {
    /// Its name for EAP where IDi is taken for that; nil: it is asked (features.md X-1).
    package let identity: [UInt8]?
    /// EAP-MD5, GTC: methods without an MSK, AUTH by SK_p (features.md AUTH-6).
    package let allowsNonKeying: Bool

    package init(identity: [UInt8]?, allowsNonKeying: Bool) {
        self.identity = identity
        self.allowsNonKeying = allowsNonKeying
    }

    /// As `eap-identity` and `allow-non-keying-eap` of the policy say for a client with this IDi (features.md X-1).
    package init(_ identity: IdentificationPayload, _ policy: IKEPolicy.Authentication) {
        allowsNonKeying = policy.allowsNonKeyingEAP
        switch policy.eapIdentity {
        case .request: self.identity = nil
        case .auto: self.identity = identity.type == .rfc822Address ? identity.data : nil
        case .idi: self.identity = identity.userName
        }
    }
}

extension IdentificationPayload {
    /// What may stand as a user name; nil of an ASN.1 name, which has no text here: the client is asked.
    fileprivate var userName: [UInt8]? {
        switch type {
        case .fqdn, .rfc822Address, .keyID: data
        case .ipv4Address, .ipv6Address: IPAddress(octets: data).map { Array("\($0)".utf8) }
        default: nil
        }
    }
}

package import Wire

/// `local: id`: how a gateway names itself in IDr.
package enum GatewayIdentity: Hashable, Sendable {
    /// The subject of the certificate that signs, else the gateway's address.
    case auto
    case ipv4(IPAddress)
    case ipv6(IPAddress)
    case fqdn(String)
}

/// `uniqueness`: what a second IKE SA of one authenticated name and IDi does (features.md ).
package enum Uniqueness: String, Hashable, Sendable, CaseIterable {
    /// The old SA goes.
    case replace
    /// The new SA is refused.
    case keep
    /// Both stay; INITIAL_CONTACT still removes the old one.
    case never
}

/// `session-limit-action`: what happens past `max-sessions-per-user`.
package enum SessionLimitAction: String, Hashable, Sendable, CaseIterable {
    case replaceOldest = "replace-oldest"
    case reject
}

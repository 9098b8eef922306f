package import Wire

/// A RADIUS server, `aaa/radius-server` of the configuration.
package struct RADIUSServerSettings: Equatable, Sendable {
    package var name: String
    package var address: IPAddress
    package var secret: Secret<[UInt8]>
    package var authenticationPort: UInt16
    package var accountingPort: UInt16
    /// Whether Disconnect and CoA requests are taken from its address (RAD-9).
    package var acceptsDynamicAuthorization: Bool
    /// Whether a reply to an Access-Request must have a Message-Authenticator (X-4, CVE-2024-3596).
    package var requiresMessageAuthenticator: Bool

    package init(
        name: String, address: IPAddress, secret: Secret<[UInt8]>, authenticationPort: UInt16 = 1812, accountingPort: UInt16 = 1813,
        acceptsDynamicAuthorization: Bool = false, requiresMessageAuthenticator: Bool = true
    ) {
        self.name = name
        self.address = address
        self.secret = secret
        self.authenticationPort = authenticationPort
        self.accountingPort = accountingPort
        self.acceptsDynamicAuthorization = acceptsDynamicAuthorization
        self.requiresMessageAuthenticator = requiresMessageAuthenticator
    }
}

/// Which servers are asked and how patiently, `aaa/radius/server-policy` of the configuration.
package struct RADIUSServerPolicySettings: Equatable, Sendable {
    package enum Algorithm: Equatable, Sendable {
        /// The first that is up, in order.
        case direct
        /// Each in turn.
        case roundRobin
    }

    /// In order.
    package var servers: [RADIUSServerSettings]
    package var algorithm: Algorithm
    /// To the first retransmission; RFC 5080 section 2.2.1 from there.
    package var timeout: Duration
    /// Retransmissions to one server.
    package var retryCount: Int
    /// How long a dead server is left alone.
    package var holdDown: Duration
    /// Requests on their way at once, all servers together; beyond it a request fails at once (threats.md P4).
    package var maximumOutstanding: Int

    package init(
        servers: [RADIUSServerSettings], algorithm: Algorithm = .direct, timeout: Duration = .seconds(5), retryCount: Int = 3,
        holdDown: Duration = .seconds(30), maximumOutstanding: Int = 4096
    ) {
        self.servers = servers
        self.algorithm = algorithm
        self.timeout = timeout
        self.retryCount = retryCount
        self.holdDown = holdDown
        self.maximumOutstanding = maximumOutstanding
    }
}

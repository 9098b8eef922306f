/// One `ike-policy`: how a gateway authenticates, negotiates, watches and limits its peers.
package struct IKEPolicy: Hashable, Sendable {
    package var id: Int
    /// In order of preference; never empty.
    package var transforms: [IKETransform] = DefaultProposals.ike
    /// `ipsec-lifetime` of Child SAs whose transform has none of its own.
    package var ipsecLifetime: Duration = .seconds(3600)
    package var authentication = Authentication()
    /// IDi must be in the certificate (features.md X-15).
    package var matchPeerIDToCertificate = true
    package var fragmentation = Fragmentation()
    package var natTraversal = NATTraversal()
    /// nil: no requests of our own and no death; the peer's are always answered.
    package var deadPeerDetection: DeadPeerDetection? = DeadPeerDetection()
    package var halfOpen = HalfOpen()
    package var initExchangeLimit = InitExchangeLimit()
    /// nil: nobody is locked out.
    package var lockout: Lockout? = Lockout()
    package var relayUnsolicited = RelayUnsolicited()
    /// RFC 8784: a login without a post-quantum preshared key is refused.
    package var requiresPostquantumKey = false

    package init(id: Int) {
        self.id = id
    }

    /// `ikev2-fragment`, RFC 7383.
    package struct Fragmentation: Hashable, Sendable {
        /// Largest IP packet of a fragment that we send, octets.
        package var mtu = 1280
        package var reassemblyTimeout: Duration = .seconds(2)
        package init() {}
    }

    /// `nat-traversal`.
    package struct NATTraversal: Hashable, Sendable {
        /// Our NAT_DETECTION_SOURCE_IP is falsified so that every client encapsulates (features.md X-9).
        package var force = true
        /// nil: 20 s when we are behind a NAT, else none.
        package var keepAliveInterval: Duration?
        package init() {}
    }

    /// `dpd`: a request after `interval` without traffic from the peer, again each `interval`, dead after `maximumRetries` of them.
    package struct DeadPeerDetection: Hashable, Sendable {
        package var interval: Duration = .seconds(30)
        package var maximumRetries = 3
        /// Asks nothing by itself.
        package var replyOnly = false
        package init() {}
    }

    /// `half-open`: limits on IKE SAs whose peer has yet to authenticate (threats.md P1, P3).
    package struct HalfOpen: Hashable, Sendable {
        /// From this many on a new one needs a cookie.
        package var cookieThreshold = 100
        /// Of one IPv4 address or IPv6 /64.
        package var perAddress = 16
        package var maximum = 10_000
        package init() {}
    }

    /// `limit-init-exchange`: under attack a half-open SA lives for `reducedTimeout`.
    package struct InitExchangeLimit: Hashable, Sendable {
        package var isEnabled = true
        package var reducedTimeout: Duration = .seconds(2)
        package init() {}
    }

    /// `lockout`: who fails `failedAttempts` times within `duration` is blocked for `block` (features.md X-12).
    package struct Lockout: Hashable, Sendable {
        package var failedAttempts = 3
        package var duration: Duration = .seconds(5 * 60)
        /// nil: until the daemon restarts.
        package var block: Duration? = .seconds(10 * 60)
        /// Past this many locked ports the whole address is blocked.
        package var maximumPortsPerAddress = 16
        package init() {}
    }

    /// `relay-unsolicited-cfg-attribute`: attributes given although the client asked for none (features.md RAD-11).
    package struct RelayUnsolicited: Hashable, Sendable {
        package var ip4Netmask = false
        package var ip4DNS = false
        package var ip6DNS = false
        package init() {}
    }
}

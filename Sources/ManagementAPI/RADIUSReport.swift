/// `ipsec-gwctl radius`: the servers, the accounting records that are on their way, and what was asked of us.
package struct RADIUSReport: Codable, Equatable, Sendable {
    /// One of each server, server-policy and kind of request.
    package var servers: [Server]
    /// nil: no accounting-policy is in use.
    package var spool: Spool?
    /// EAP conversations that are under way.
    package var conversations: Int
    /// CoA and Disconnect requests, by what became of them.
    package var dynamicAuthorization: [String: UInt64]

    package init(servers: [Server] = [], spool: Spool? = nil, conversations: Int = 0, dynamicAuthorization: [String: UInt64] = [:]) {
        self.servers = servers
        self.spool = spool
        self.conversations = conversations
        self.dynamicAuthorization = dynamicAuthorization
    }

    package struct Server: Codable, Equatable, Sendable {
        package var name: String
        package var policy: String
        /// `authentication` or `accounting`.
        package var kind: String
        /// `address:port`.
        package var address: String
        package var state: State
        package var requests: UInt64
        package var retransmissions: UInt64
        package var replies: UInt64
        /// Requests that nobody answered.
        package var timeouts: UInt64
        /// Requests without a reply at the moment.
        package var outstanding: Int
        /// Smoothed; nil before the first reply.
        package var roundTripMilliseconds: Double?
        /// Replies that count for nothing, by reason.
        package var drops: [String: UInt64]

        package init(
            name: String, policy: String, kind: String, address: String, state: State, requests: UInt64, retransmissions: UInt64, replies: UInt64,
            timeouts: UInt64, outstanding: Int, roundTripMilliseconds: Double?, drops: [String: UInt64]
        ) {
            self.name = name
            self.policy = policy
            self.kind = kind
            self.address = address
            self.state = state
            self.requests = requests
            self.retransmissions = retransmissions
            self.replies = replies
            self.timeouts = timeouts
            self.outstanding = outstanding
            self.roundTripMilliseconds = roundTripMilliseconds
            self.drops = drops
        }
    }

    /// `down`: left alone for its hold-down-time.
    package enum State: String, Codable, Sendable { case up, down }

    /// What is stored and not yet acknowledged by a server.
    package struct Spool: Codable, Equatable, Sendable {
        package var records: UInt64
        package var octets: UInt64
        /// `maximum-size`.
        package var maximumOctets: UInt64
        package var state: State
        /// Records that a server acknowledged, since the start.
        package var delivered: UInt64
        /// Interim records that were given up for room, since the start.
        package var dropped: UInt64

        package init(records: UInt64, octets: UInt64, maximumOctets: UInt64, state: State, delivered: UInt64, dropped: UInt64) {
            self.records = records
            self.octets = octets
            self.maximumOctets = maximumOctets
            self.state = state
            self.delivered = delivered
            self.dropped = dropped
        }

        /// `filling`: over 80 %; `full`: `when-full` acts; `failing`: the disk takes nothing.
        package enum State: String, Codable, Sendable { case normal, filling, full, failing }
    }
}

/// What a RADIUS server said of a session, as far as it said it.
package struct AuthorizationReport: Codable, Equatable, Sendable {
    package var server: String
    /// As text where they are, else `0x` and hexadecimal.
    package var classes: [String]
    package var sessionTimeoutSeconds: UInt64?
    package var idleTimeoutSeconds: UInt64?
    package var interimIntervalSeconds: UInt64?
    package var filter: String?
    package var portLimit: Int?
    package var lifetimeSeconds: UInt64?
    package var pfsGroup: String?
    /// ESP's, by the names of the configuration.
    package var algorithms: [String]
    package var replayWindow: Int?
    package var netmask: String?
    package var dns: [String]
    package var routes: [String]

    package init(
        server: String, classes: [String] = [], sessionTimeoutSeconds: UInt64? = nil, idleTimeoutSeconds: UInt64? = nil,
        interimIntervalSeconds: UInt64? = nil, filter: String? = nil, portLimit: Int? = nil, lifetimeSeconds: UInt64? = nil,
        pfsGroup: String? = nil, algorithms: [String] = [], replayWindow: Int? = nil, netmask: String? = nil,
        dns: [String] = [], routes: [String] = []
    ) {
        self.server = server
        self.classes = classes
        self.sessionTimeoutSeconds = sessionTimeoutSeconds
        self.idleTimeoutSeconds = idleTimeoutSeconds
        self.interimIntervalSeconds = interimIntervalSeconds
        self.filter = filter
        self.portLimit = portLimit
        self.lifetimeSeconds = lifetimeSeconds
        self.pfsGroup = pfsGroup
        self.algorithms = algorithms
        self.replayWindow = replayWindow
        self.netmask = netmask
        self.dns = dns
        self.routes = routes
    }
}

package import FoundationEssentials
package import Wire

// What the daemon reports of itself. The names of the properties are the JSON keys that scripts rely on (programs.md):
// they are added to, never renamed.

/// `ipsec-gwctl status`: the daemon as a whole.
package struct StatusReport: Codable, Equatable, Sendable {
    /// `system: name` of the configuration, or the host name.
    package var name: String
    package var version: String
    /// The crypto engine and the libraries that are in use, such as `openssl 3.0.17`.
    package var engine: String
    package var started: Date
    /// Seconds since the start.
    package var uptime: UInt64
    package var sessions: Int
    /// IKE SAs that have yet to authenticate.
    package var halfOpen: Int
    package var workers: Int
    package var gateways: Int
    package var logLevel: LogLevel
    /// Each of the workers.
    package var workerLoads: [WorkerReport]

    package init(
        name: String, version: String, engine: String, started: Date, uptime: UInt64, sessions: Int, halfOpen: Int,
        workers: Int, gateways: Int, logLevel: LogLevel, workerLoads: [WorkerReport] = []
    ) {
        self.workerLoads = workerLoads
        self.name = name
        self.version = version
        self.engine = engine
        self.started = started
        self.uptime = uptime
        self.sessions = sessions
        self.halfOpen = halfOpen
        self.workers = workers
        self.gateways = gateways
        self.logLevel = logLevel
    }
}

/// One packet thread.
package struct WorkerReport: Codable, Equatable, Sendable {
    package var worker: Int
    /// Sessions with Child SAs there.
    package var sessions: Int
    /// Inner octets and packets of both directions since the start.
    package var octets: UInt64
    package var packets: UInt64
    /// Sessions that went to another worker when they rekeyed, and that came from one.
    package var shed: UInt64
    package var taken: UInt64

    package init(worker: Int, sessions: Int, octets: UInt64, packets: UInt64, shed: UInt64, taken: UInt64) {
        self.worker = worker
        self.sessions = sessions
        self.octets = octets
        self.packets = packets
        self.shed = shed
        self.taken = taken
    }
}

/// `ipsec-gwctl gateways`: one entry of `ipsec-gateway`.
package struct GatewayReport: Codable, Equatable, Sendable {
    package var name: String
    /// The local gateway address.
    package var address: IPAddress
    /// What the gateway calls itself in IDr.
    package var identity: String
    /// `up`, or `down` with `admin-state: disable`.
    package var state: State
    package var sessions: Int
    package var halfOpen: Int
    package var ikePolicy: Int
    package var service: String
    package var interface: String
    /// Where inner addresses come from, such as `rw/staff`.
    package var addressSources: [String]

    package enum State: String, Codable, Sendable { case up, down }

    package init(
        name: String, address: IPAddress, identity: String, state: State, sessions: Int, halfOpen: Int, ikePolicy: Int,
        service: String, interface: String, addressSources: [String]
    ) {
        self.name = name
        self.address = address
        self.identity = identity
        self.state = state
        self.sessions = sessions
        self.halfOpen = halfOpen
        self.ikePolicy = ikePolicy
        self.service = service
        self.interface = interface
        self.addressSources = addressSources
    }
}

/// `ipsec-gwctl sessions`: one client that is connected. In = from the client, inner octets.
package struct SessionReport: Codable, Equatable, Sendable {
    package var id: String
    /// The authenticated name: what accounting reports.
    package var name: String
    /// IDi as the client sent it, escaped.
    package var identity: String
    package var gateway: String
    /// Where the client's datagrams come from, `address:port`.
    package var remote: String
    package var innerAddresses: [IPAddress]
    package var service: String
    package var interface: String
    package var template: Int
    package var established: Date
    package var octetsIn: UInt64
    package var octetsOut: UInt64
    package var packetsIn: UInt64
    package var packetsOut: UInt64
    /// Packets of either direction that went no further.
    package var drops: UInt64
    /// The inbound SPIs of the Child SAs, `0x` and 8 digits; `sas` tells the rest.
    package var childSAs: [String]
    package var acctSessionId: String
    /// nil: no RADIUS server was asked.
    package var authorization: AuthorizationReport?

    package init(
        id: String, name: String, identity: String, gateway: String, remote: Endpoint, innerAddresses: [IPAddress],
        service: String, interface: String, template: Int, established: Date, octetsIn: UInt64, octetsOut: UInt64,
        packetsIn: UInt64, packetsOut: UInt64, drops: UInt64, childSAs: [UInt32], acctSessionId: String, authorization: AuthorizationReport? = nil
    ) {
        self.id = id
        self.name = name
        self.identity = identity
        self.gateway = gateway
        self.remote = remote.description
        self.innerAddresses = innerAddresses
        self.service = service
        self.interface = interface
        self.template = template
        self.established = established
        self.octetsIn = octetsIn
        self.octetsOut = octetsOut
        self.packetsIn = packetsIn
        self.packetsOut = packetsOut
        self.drops = drops
        self.childSAs = childSAs.map(SPIText.of)
        self.acctSessionId = acctSessionId
        self.authorization = authorization
    }
}

/// `ipsec-gwctl pools`: one pool of inner addresses.
package struct PoolReport: Codable, Equatable, Sendable {
    /// `server/pool` of `local-dhcp-server`.
    package var name: String
    /// Addresses in the pool's ranges, saturating.
    package var size: UInt64
    package var used: UInt64
    /// Given back, kept for the identity that had them.
    package var held: UInt64
    /// Given back less than the quarantine ago.
    package var quarantined: UInt64
    package var free: UInt64

    package init(name: String, size: UInt64, used: UInt64, held: UInt64, quarantined: UInt64, free: UInt64) {
        self.name = name
        self.size = size
        self.used = used
        self.held = held
        self.quarantined = quarantined
        self.free = free
    }
}

/// `ipsec-gwctl counters`: name to value, since the start.
package struct CounterReport: Codable, Equatable, Sendable {
    /// Packets dropped on the data path, by reason.
    package var drops: [String: UInt64]
    /// What IKE did and refused to do.
    package var ike: [String: UInt64]

    package init(drops: [String: UInt64], ike: [String: UInt64]) {
        self.drops = drops
        self.ike = ike
    }
}

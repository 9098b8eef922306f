/// A session as `ipsec-gwctl sessions` prints it; keys of programs.md.
package struct GatewaySession: Decodable, Sendable {
    package let id: String
    package let name: String
    package let identity: String
    package let gateway: String
    package let remote: String
    package let innerAddresses: [String]
    package let service: String
    package let interface: String
    package let template: Int
    package let established: String
    package let octetsIn: UInt64
    package let octetsOut: UInt64
    package let packetsIn: UInt64
    package let packetsOut: UInt64
    package let drops: UInt64
    package let childSAs: [String]
    package let acctSessionId: String
    /// nil: no RADIUS server was asked.
    package let authorization: Authorization?

    /// What a RADIUS server said of it.
    package struct Authorization: Decodable, Sendable {
        package let server: String
        package let classes: [String]
        package let sessionTimeoutSeconds: UInt64?
        package let idleTimeoutSeconds: UInt64?
        package let interimIntervalSeconds: UInt64?
        package let filter: String?
        package let portLimit: Int?
        package let lifetimeSeconds: UInt64?
        package let pfsGroup: String?
        package let algorithms: [String]
        package let replayWindow: Int?
        package let netmask: String?
        package let dns: [String]
        package let routes: [String]
    }
}

/// IKE SAs with their Child SAs as `ipsec-gwctl sas` prints them, as far as scenarios look.
package struct GatewaySA: Decodable, Sendable {
    package let session: String
    package let encryption: String
    package let keyExchange: String
    package let children: [Child]

    package struct Child: Decodable, Sendable {
        package let inboundSPI: String
        package let encryption: String
        package let integrity: String
        package let localSelectors: [String]
        package let remoteSelectors: [String]
        package let remainingSeconds: UInt64?
        package let replay: Replay
        package let worker: Int
        package let packetsIn: UInt64
        package let packetsOut: UInt64
    }

    package struct Replay: Decodable, Sendable {
        package let window: Int
    }
}

/// `ipsec-gwctl radius`.
package struct GatewayRADIUS: Decodable, Sendable {
    package let servers: [Server]
    package let spool: Spool?
    package let conversations: Int
    package let dynamicAuthorization: [String: UInt64]

    package struct Server: Decodable, Sendable {
        package let name: String
        /// authentication or accounting
        package let kind: String
        /// up or down
        package let state: String
        package let requests: UInt64
        package let retransmissions: UInt64
        package let replies: UInt64
        package let timeouts: UInt64
        package let outstanding: Int
        package let drops: [String: UInt64]
    }

    package struct Spool: Decodable, Sendable {
        package let records: UInt64
        package let octets: UInt64
        package let state: String
        package let delivered: UInt64
        package let dropped: UInt64
    }

    package func server(_ name: String, _ kind: String = "authentication") -> Server? { servers.first { $0.name == name && $0.kind == kind } }
}

/// A pool as `ipsec-gwctl pools` prints it.
package struct GatewayPool: Decodable, Sendable {
    package let name: String
    package let size: UInt64
    package let used: UInt64
    package let held: UInt64
    package let quarantined: UInt64
    package let free: UInt64
}

/// Counters as `ipsec-gwctl counters` prints them.
package struct GatewayCounters: Decodable, Sendable {
    package let drops: [String: UInt64]
    package let ike: [String: UInt64]

    package var allDrops: UInt64 { drops.values.reduce(0, +) }
}

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
    package let childSAs: [String]
    package let acctSessionId: String
}

/// An IKE SA as `ipsec-gwctl sas` prints it.
package struct GatewaySA: Decodable, Sendable {
    package struct Child: Decodable, Sendable {
        package let inboundSPI: String
        package let encryption: String
        package let remainingSeconds: UInt64
    }
    package let session: String
    package let encryption: String
    package let keyExchange: String
    package let children: [Child]
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

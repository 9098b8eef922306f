package import AddressAssignment
package import ESP
package import IKE
package import Wire

/// A whole, valid configuration: every reference resolved, every default filled in (configuration.md).
package struct Configuration: Sendable, Equatable {
    package var system = SystemSettings()
    package var management = ManagementSettings()
    /// Never empty; one with defaults where the file has none.
    package var tunnelGroups: [TunnelGroup] = [TunnelGroup(id: 1)]
    package var interfaces: [PrivateInterface] = []
    package var pools: [LocalPool.Settings] = []
    /// By id, for what a RADIUS server or a client-db names.
    package var templates: [Int: SessionTemplate] = [:]
    package var trafficSelectorLists: [String: TrafficSelectorList] = [:]
    /// In the order of the file.
    package var gateways: [GatewayConfiguration] = []
    package var radius = RADIUSSettings()
    package var pki = PKISettings()
    package var clientDatabases: [ClientDatabase] = []
    /// What a `run` would need and this version does not have; `run` refuses while it is not empty.
    package var unsupported: [Problem] = []
    /// Files and environment variables that a `run` reads.
    package var references: [ExternalReference] = []
    /// The name of the file, for problems found later.
    package var file: String

    package init(file: String) {
        self.file = file
    }

    package func gateway(_ name: String) -> GatewayConfiguration? { gateways.first { $0.name == name } }
    package func interface(_ name: InterfaceName) -> PrivateInterface? { interfaces.first { $0.name == name } }
    package func pool(_ name: PoolName) -> LocalPool.Settings? { pools.first { $0.name == name } }

    /// The pools that some enabled gateway gives addresses from, in the order of the file.
    package var poolsInUse: [LocalPool.Settings] {
        // A RADIUS server may name any of them (Framed-Pool)
        if gateways.contains(where: { $0.isEnabled && $0.authenticationPolicy != nil }) { return pools }
        let named = Set(gateways.filter(\.isEnabled).flatMap { [$0.ipv4Pool, $0.ipv6Pool].compactMap { $0 } })
        return pools.filter { named.contains($0.name) }
    }
}

/// `system`.
package struct SystemSettings: Hashable, Sendable {
    /// NAS-Identifier; nil: the host name.
    package var name: String?
    /// NAS-IP-Address; nil: the gateway's local address.
    package var address: IPAddress?
    package init() {}
}

/// `management`.
package struct ManagementSettings: Hashable, Sendable {
    package var controlSocket = "/run/ipsec-gw/control.sock"
    package var stateDirectory = "/var/lib/ipsec-gw"
    /// Who may open the control socket beside root.
    package var socketGroup: String?
    package var socketMode: UInt16 = 0o660
    package var logLevel = LogLevel.info
    package var logFormat = LogFormat.text
    /// Where Prometheus finds `/metrics`; nil: on the control socket only.
    package var metrics: Endpoint?
    package var accountingSpool = AccountingSpool()
    package init() {}

    package enum LogLevel: String, Hashable, Sendable, CaseIterable { case trace, debug, info, notice, warning, error }
    package enum LogFormat: String, Hashable, Sendable, CaseIterable { case text, json, journald }

    package struct AccountingSpool: Hashable, Sendable {
        /// Octets.
        package var maximumSize: UInt64 = 1 << 30
        package var whenFull = WhenFull.refuseLogins
        package init() {}
    }

    package enum WhenFull: String, Hashable, Sendable, CaseIterable {
        case refuseLogins = "refuse-logins"
        case dropOldestInterim = "drop-oldest-interim"
    }
}

/// One `tunnel-group`: the datapath's threads.
package struct TunnelGroup: Hashable, Sendable {
    package var id: Int
    /// nil: cores less one, at least 1.
    package var workers: Int?
    package var engine = Engine.auto
    /// How long a worker looks for more packets before it sleeps, 0 to 1000 us; 0: not at all.
    package var busyPoll = Duration.zero
    /// How long the parts of an outer packet are waited for; nil: they are dropped (features.md DP-6).
    package var reassemblyTimeout: Duration?

    package init(id: Int) {
        self.id = id
    }

    package enum Engine: String, Hashable, Sendable, CaseIterable {
        case auto
        case ipsecMB = "ipsec-mb"
        case openSSL = "openssl"
    }
}

/// A private interface's full name.
package struct InterfaceName: Hashable, Sendable, CustomStringConvertible {
    package let service: String
    package let interface: String

    package init(service: String, interface: String) {
        self.service = service
        self.interface = interface
    }

    package var description: String { "\(service)/\(interface)" }
}

/// One interface of a `service`: a TUN device, where decrypted traffic comes out.
package struct PrivateInterface: Hashable, Sendable {
    package var name: InterfaceName
    /// Alc-IPsec-Serv-Id.
    package var serviceID: Int
    /// The DHCP option 82's circuit.
    package var sap: String?
    package var addresses: [InterfaceAddress]
    /// nil: the daemon's.
    package var networkNamespace: String?
    package var dnsDomains: [String]

    /// The name of the TUN device.
    package var device: String { name.interface }
}

/// An address of an interface with the block that is reached through it.
package struct InterfaceAddress: Hashable, Sendable, CustomStringConvertible {
    package let address: IPAddress
    package let prefix: IPPrefix

    package init(_ address: IPAddress, prefix: IPPrefix) {
        self.address = address
        self.prefix = prefix
    }

    /// `10.20.0.1/16`.
    package var description: String { "\(address)/\(prefix.length)" }
}

/// One `tunnel-template` with the ipsec-transforms that it names, or the default ones.
package struct SessionTemplate: Hashable, Sendable {
    package var template: TunnelTemplate
    package var transforms: [IPsecTransform]
}

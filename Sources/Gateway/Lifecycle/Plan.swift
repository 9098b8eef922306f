import AddressAssignment
import Config
import Datapath
import ESP
import GatewayCrypto
import IKE
import IKEMessages
import LinuxIO
import PKI
import RADIUS
import StateStore
import Wire

/// A configuration turned into what the parts of the daemon are built from: addresses looked up, secrets read, identities made.
struct Plan: Sendable {
    let gateways: [IPAddress: GatewayRuntime]
    let datapath: Datapath.Settings
    /// ESP without UDP, or outer fragments of our own size: CAP_NET_RAW is asked for.
    let needsRawSockets: Bool
    /// `reassembly.max-wait-time`, the longest of all tunnel-groups; nil: outer fragments are dropped.
    let reassemblyTime: Duration?
    let management: ManagementServer.Settings
    let systemName: String
    /// Shards of the IKE engine.
    let shards: Int
    let radius: RADIUSPlan
    /// Who we are to RADIUS servers, where a gateway has nothing of its own.
    let nas: NASDescription
    /// nil: nobody is listened to. The port is opened at start.
    let dynamicAuthorization: (settings: DynamicAuthorization.Settings, port: UInt16)?
    let spool: SpoolSettings

    /// Certificates as they were read; an error among their problems stops it.
    init(_ configuration: Configuration, _ certificates: CertificateInventory) throws(StartupError) {
        if let problem = certificates.problems.first(where: { $0.severity == .error }) { throw StartupError("\(problem)") }
        var gateways: [IPAddress: GatewayRuntime] = [:]
        for gateway in configuration.gateways where gateway.isEnabled {
            let runtime = try Self.runtime(gateway, configuration, certificates)
            if let other = gateways[runtime.address] {
                throw StartupError("gateways \(other.name) and \(runtime.name) have the same address \(runtime.address); give each one its own")
            }
            gateways[runtime.address] = runtime
        }
        guard !gateways.isEmpty else { throw StartupError("no ipsec-gateway is enabled; add one, or set its admin-state: enable") }
        self.gateways = gateways
        let cores = Machine.cores
        var datapath = Datapath.Settings(
            workers: Self.workers(configuration), interfaces: try Self.interfaces(configuration),
            gateways: gateways.values.sorted { $0.address < $1.address }.map { gateway in
                var listener = GatewayListener(address: gateway.address)
                listener.encapsulatedMTU = gateway.template.encapsulatedIPMTU
                return listener
            })
        needsRawSockets = gateways.values.contains { !$0.profile.policy.natTraversal.force || $0.template.encapsulatedIPMTU != nil }
        // Open where they may be, so that a reload can begin to use them
        datapath.opensRawSockets = needsRawSockets || (try? Capability.missing(of: [.netRaw]))?.isEmpty == true
        reassemblyTime = configuration.tunnelGroups.compactMap(\.reassemblyTimeout).max()
        datapath.reassembles = reassemblyTime != nil
        datapath.engine = try Self.engine(configuration.tunnelGroups)
        datapath.busyPoll = configuration.tunnelGroups.map(\.busyPoll).max() ?? .zero
        datapath.reservesListenerPorts = OuterLinks.masquerade
        if let offloads = FewerOffloads.current { datapath.ask(for: offloads) }
        self.datapath = datapath
        let management = configuration.management
        self.management = ManagementServer.Settings(
            controlSocket: management.controlSocket,
            access: ManagementServer.SocketAccess(group: management.socketGroup, mode: management.socketMode), metrics: management.metrics)
        systemName = configuration.system.name ?? Machine.hostName
        shards = min(8, max(1, cores - 1))
        radius = try RADIUSPlan(configuration)
        let size = Int(clamping: management.accountingSpool.maximumSize)
        spool = SpoolSettings(
            maximumSize: size, whenFull: management.accountingSpool.whenFull == .refuseLogins ? .refuseLogins : .dropOldestInterim)
        nas = NASDescription(identifier: systemName, address: configuration.system.address ?? gateways.values.map(\.address).min())
        dynamicAuthorization = try Self.dynamicAuthorization(configuration, nas: nas)
    }

    /// Of ESP: `crypto-engine`, else the best there is.
    static func engine(
        _ groups: [TunnelGroup], isAvailable: (CryptoEngine) -> Bool = \.isAvailable
    ) throws(StartupError) -> CryptoEngine {
        for group in groups {
            let engine: CryptoEngine
            switch group.engine {
            case .auto: continue
            case .ipsecMB: engine = .multiBuffer
            case .openSSL: engine = .openSSL
            }
            guard isAvailable(engine) else {
                throw StartupError(
                    "tunnel-group.\(group.id).crypto-engine: \(group.engine.rawValue) is not to be had (\(engine.library)); use auto or openssl")
            }
            return engine
        }
        return .preferred
    }

    private static func dynamicAuthorization(
        _ configuration: Configuration, nas: NASDescription
    ) throws(StartupError) -> (settings: DynamicAuthorization.Settings, port: UInt16)? {
        guard let asked = configuration.radius.dynamicAuthorization else { return nil }
        var clients: [DynamicAuthorization.Client] = []
        for server in configuration.radius.servers where server.acceptsCoA {
            let settings = try server.settings()
            clients.append(DynamicAuthorization.Client(name: settings.name, address: settings.address, secret: settings.secret))
        }
        var settings = DynamicAuthorization.Settings(clients: clients, nas: nas)
        settings.eventTimestampWindow = asked.eventTimestampWindow
        settings.requiresEventTimestamp = asked.requiresEventTimestamp
        settings.requiresMessageAuthenticator = asked.requiresMessageAuthenticator
        settings.isStrictAboutIdentification = asked.isStrictAboutIdentification
        return (settings, asked.port)
    }

    var families: Set<AddressFamily> { Set(gateways.keys.map(\.family)) }
    var policies: [IPAddress: IKEPolicy] { gateways.mapValues(\.profile.policy) }

    private static func interfaces(_ configuration: Configuration) throws(StartupError) -> [InterfaceSettings] {
        var result: [InterfaceSettings] = []
        // Every device is made in the daemon's own namespace and moved from there: those that stay come last, or one of the same name would be
        // in the way.
        let moved = configuration.interfaces.filter { $0.networkNamespace != nil }
        let staying = configuration.interfaces.filter { $0.networkNamespace == nil }
        for interface in moved + staying {
            var settings = InterfaceSettings(
                name: interface.device, addresses: interface.addresses.compactMap { PrivateAddress($0.address, prefixLength: $0.prefix.length) },
                networkNamespace: interface.networkNamespace)
            settings.key = interface.name.description
            result.append(settings)
        }
        return result
    }

    private static func workers(_ configuration: Configuration) -> Int {
        min(64, max(1, configuration.tunnelGroups.compactMap(\.workers).max() ?? Machine.cores - 1))
    }

    private static func runtime(
        _ gateway: GatewayConfiguration, _ configuration: Configuration, _ inventory: CertificateInventory
    ) throws(StartupError) -> GatewayRuntime {
        let address: IPAddress
        switch gateway.address {
        case .fixed(let fixed): address = fixed
        case .automatic: address = try defaultAddress(gateway.name)
        }
        let interface = configuration.interface(gateway.interface)
        var pools: [AddressFamily: PoolName] = [:]
        pools[.ipv4] = gateway.ipv4Pool
        pools[.ipv6] = gateway.ipv6Pool
        let certificates = inventory.gateways[gateway.name] ?? GatewayCertificates()
        var profile = GatewayProfile(
            name: gateway.name, policy: gateway.policy, childTransforms: gateway.template.transforms,
            identity: identity(gateway.identity, address: address), selectors: gateway.trafficSelectors)
        ShortLifetimes.current?.shorten(&profile)
        // A Child SA for each worker, of which there is one at least
        profile.resources = min(GatewayProfile.mostResources, Self.workers(configuration))
        profile.authorities = certificates.anchors?.requests.authorities ?? []
        let settings = GatewayRuntime.Settings(
            name: gateway.name, address: address, profile: profile, sharedKey: gateway.preSharedKey?.value, certificates: certificates,
            choosesIdentity: gateway.identity == .auto, template: gateway.template.template, service: gateway.interface.service,
            serviceID: interface?.serviceID ?? 0,
            interface: interface?.device ?? gateway.interface.interface, networkNamespace: interface?.networkNamespace,
            interfaceKey: gateway.interface.description,
            prefixes: interface?.addresses.map(\.prefix) ?? [], ownAddresses: interface?.addresses.map(\.address) ?? [],
            aaa: GatewayAAA(gateway, address: address, configuration), pools: pools,
            uniqueness: gateway.uniqueness,
            maximumSessionsPerUser: gateway.maximumSessionsPerUser ?? 0, sessionLimitAction: gateway.sessionLimitAction)
        return GatewayRuntime(settings)
    }

    /// `gateway-address: auto`: that of the IPv4 default route, or without one of the IPv6 default route.
    private static func defaultAddress(_ gateway: String) throws(StartupError) -> IPAddress {
        do throws(SystemError) {
            var netlink = try Netlink()
            for family in [AddressFamily.ipv4, .ipv6] {
                if let address = try netlink.defaultAddress(family) { return address }
            }
        } catch {
            throw StartupError("gateway \(gateway): gateway-address: auto cannot be looked up: \(error)")
        }
        throw StartupError(
            "gateway \(gateway): gateway-address: auto finds no default route; write the address that clients connect to instead")
    }

    private static func identity(_ identity: GatewayIdentity, address: IPAddress) -> IdentificationPayload {
        switch identity {
        case .auto: Self.identity(of: address)
        case .ipv4(let own), .ipv6(let own): Self.identity(of: own)
        case .fqdn(let name): IdentificationPayload(type: .fqdn, data: Array(name.utf8))
        }
    }

    static func identity(of address: IPAddress) -> IdentificationPayload {
        IdentificationPayload(type: address.family == .ipv4 ? .ipv4Address : .ipv6Address, data: address.octets)
    }
}

/// What stops a start: one plain text that says what to do.
package struct StartupError: Error, CustomStringConvertible, Sendable {
    package let description: String

    init(_ description: String) {
        self.description = description
    }

    init(_ error: DatapathError) {
        switch error {
        case .system(let text), .settings(let text): description = text
        case .noSuchTunnel, .noSuchSPI, .tooManyChildSAs, .noRoom, .keys, .stopped: description = "the datapath: \(error)"
        }
    }
}

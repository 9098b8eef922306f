import AddressAssignment
import Config
import ESP
import IKE
import RADIUS
import Wire

/// The configuration's RADIUS part as the daemon uses it: server policies with their servers and secrets, and what each gateway asks for.
struct RADIUSPlan: Sendable, Equatable {
    /// By name; those that some enabled gateway uses for authentication.
    var authentication: [String: RADIUSServerPolicySettings] = [:]
    /// The same for accounting.
    var accounting: [String: RADIUSServerPolicySettings] = [:]
    /// What Accounting-On and -Off say, for each server policy of accounting.
    var destinations: [String: Set<AccountingAttribute>] = [:]

    var isEmpty: Bool { authentication.isEmpty && accounting.isEmpty }

    /// Throws `StartupError` for a secret that was not read.
    init(_ configuration: Configuration) throws(StartupError) {
        let radius = configuration.radius
        for gateway in configuration.gateways where gateway.isEnabled {
            if let policy = radius.authenticationPolicies.first(where: { $0.name == gateway.authenticationPolicy }) {
                authentication[policy.serverPolicy] = try Self.settings(policy.serverPolicy, radius)
            }
            if let policy = radius.accountingPolicies.first(where: { $0.name == gateway.accountingPolicy }) {
                accounting[policy.serverPolicy] = try Self.settings(policy.serverPolicy, radius)
                destinations[policy.serverPolicy, default: []].formUnion(AccountingAttribute.selected(policy.attributes))
            }
        }
    }

    private static func settings(_ name: String, _ radius: RADIUSSettings) throws(StartupError) -> RADIUSServerPolicySettings {
        guard let policy = radius.serverPolicies.first(where: { $0.name == name }) else {
            throw StartupError("there is no RADIUS server-policy \(name)")
        }
        var servers: [RADIUSServerSettings] = []
        for server in policy.servers {
            guard let server = radius.servers.first(where: { $0.name == server }) else { continue }
            servers.append(try server.settings())
        }
        return RADIUSServerPolicySettings(
            servers: servers, algorithm: policy.algorithm == .direct ? .direct : .roundRobin, timeout: policy.timeout,
            retryCount: policy.retryCount, holdDown: policy.holdDownTime)
    }
}

extension Config.RADIUSServer {
    /// Throws `StartupError` for a secret that was not read, or that RADIUS cannot use.
    func settings() throws(StartupError) -> RADIUSServerSettings {
        guard let secret = secret.value else { throw StartupError("the secret of RADIUS server \(name) could not be read") }
        guard RADIUSPacket.isUsable(secret.revealed()) else {
            throw StartupError("the secret of RADIUS server \(name) has an octet of zero; give both sides another one")
        }
        return RADIUSServerSettings(
            name: name, address: address, secret: secret, authenticationPort: authenticationPort, accountingPort: accountingPort,
            acceptsDynamicAuthorization: acceptsCoA, requiresMessageAuthenticator: requiresMessageAuthenticator)
    }
}

extension IncludedAttributes {
    /// `include-radius-attribute` of an authentication-policy (features.md RAD-4).
    init(_ chosen: Set<RADIUSAttributeChoice>) {
        self.init(
            calledStationID: chosen.contains(.calledStationID), callingStationID: chosen.contains(.callingStationID),
            nasIdentifier: chosen.contains(.nasIdentifier), nasIPAddress: chosen.contains(.nasIPAddress), nasPortID: chosen.contains(.nasPortID))
    }
}

extension AccountingAttribute {
    /// `include-radius-attribute` of an accounting-policy (features.md RAD-7).
    static func selected(_ chosen: Set<RADIUSAttributeChoice>) -> Set<AccountingAttribute> {
        Set(
            chosen.map {
                switch $0 {
                case .calledStationID: .calledStationID
                case .callingStationID: .callingStationID
                case .nasIdentifier: .nasIdentifier
                case .nasIPAddress: .nasAddress
                case .nasPortID: .nasPortID
                case .framedIPAddress: .framedIPAddress
                case .framedIPv6Prefix: .framedIPv6Prefix
                case .accountingStatistics: .statistics
                }
            })
    }
}

/// What a gateway's logins and sessions ask of RADIUS.
struct GatewayAAA: Sendable {
    struct Authentication: Sendable {
        /// The server policy.
        let policy: String
        /// What psk-radius and cert-radius send as the password.
        let password: Secret<[UInt8]>?
        let included: IncludedAttributes
    }

    struct Accounting: Sendable {
        /// The server policy.
        let policy: String
        let interval: Duration?
        let jitter: Duration
        let selected: Set<AccountingAttribute>
    }

    var authentication: Authentication?
    var accounting: Accounting?
    /// NAS-Identifier and NAS-IP-Address.
    var nas: NASDescription
    /// NAS-Port-Id, such as `tunnel-1.public:100`.
    var portID: String?
    var named: NamedSettings

    /// No RADIUS server is asked.
    init(nas: NASDescription) {
        self.nas = nas
        named = NamedSettings()
    }

    init(_ gateway: GatewayConfiguration, address: IPAddress, _ configuration: Configuration) {
        let radius = configuration.radius
        if let policy = radius.authenticationPolicies.first(where: { $0.name == gateway.authenticationPolicy }) {
            authentication = Authentication(
                policy: policy.serverPolicy, password: policy.password?.value, included: IncludedAttributes(policy.attributes))
        }
        if let policy = radius.accountingPolicies.first(where: { $0.name == gateway.accountingPolicy }) {
            accounting = Accounting(
                policy: policy.serverPolicy, interval: policy.updateInterval, jitter: policy.updateJitter,
                selected: AccountingAttribute.selected(policy.attributes))
        }
        nas = NASDescription(identifier: configuration.system.name ?? Machine.hostName, address: configuration.system.address ?? address)
        portID = gateway.sap
        named = NamedSettings(configuration)
    }
}

/// What a RADIUS server may name in an Access-Accept, as the configuration has it.
struct NamedSettings: Sendable {
    struct Interface: Sendable {
        let service: String
        let serviceID: Int
        let name: String
        let key: String
        let device: String
        let networkNamespace: String?
        let prefixes: [IPPrefix]
        let ownAddresses: [IPAddress]
    }

    private(set) var interfaces: [Interface] = []
    private(set) var templates: [Int: SessionTemplate] = [:]
    private(set) var selectors: [String: TrafficSelectorList] = [:]
    private(set) var pools: [PoolName] = []

    init() {}

    init(_ configuration: Configuration) {
        interfaces = configuration.interfaces.map {
            Interface(
                service: $0.name.service, serviceID: $0.serviceID, name: $0.name.interface, key: $0.name.description, device: $0.device,
                networkNamespace: $0.networkNamespace,
                prefixes: $0.addresses.map(\.prefix), ownAddresses: $0.addresses.map(\.address))
        }
        templates = configuration.templates
        selectors = configuration.trafficSelectorLists
        pools = configuration.pools.map(\.name)
    }
}

package import IKE
package import Wire

/// What a configuration can ask for beyond a PSK gateway over IPv4. A `run` refuses a file that needs one which this version does not have.
package enum Feature: String, Hashable, Sendable, CaseIterable {
    case certificates = "certificate authentication"
    case eap = "EAP"
    case radiusAuthentication = "RADIUS authentication"
    case radiusAccounting = "RADIUS accounting"
    case dynamicAuthorization = "RADIUS dynamic authorization"
    case revocation = "revocation checks"
    case clientDatabase = "client-db"
    case dhcp = "addresses by DHCP"
    case outerIPv6 = "IPv6 outside the tunnel"
    case innerIPv6 = "IPv6 inside the tunnel"
    case nativeESP = "ESP without UDP"
    case severalGateways = "several gateways"
    case severalInterfaces = "several private interfaces"
    case severalTunnelGroups = "several tunnel groups"
    case networkNamespaces = "network namespaces"
    case splitDNS = "INTERNAL_DNS_DOMAIN"
    case fragmentation = "IKE fragmentation"
    case keepAlive = "NAT keepalives"
    case lockout = "lockout"
    case initExchangeLimit = "shorter half-open lifetimes under attack"
    case uniquenessPolicies = "uniqueness other than replace"
    case sessionLimit = "sessions per user"
    case perfectForwardSecrecy = "PFS"
    case authenticationLifetime = "AUTH_LIFETIME"
    case postquantumKeys = "post-quantum preshared keys"
    case outerFragmentation = "encapsulated-ip-mtu"
    case reassembly = "reassembly of outer fragments"
    case multiBuffer = "the ipsec-mb engine"
    case journald = "journald logs"
    case algorithm = "this algorithm"
}

/// What a version of the gateway can do; what `Configuration.unsupported` is measured by.
package struct Capabilities: Sendable {
    package var features: Set<Feature>
    package var ikeEncryption: Set<EncryptionChoice>
    package var espEncryption: Set<EncryptionChoice>
    package var ikeIntegrity: Set<IntegrityAlgorithm>
    package var espIntegrity: Set<IntegrityAlgorithm>
    package var pseudorandomFunctions: Set<PseudorandomFunction>
    package var keyExchange: Set<KeyExchangeMethod>

    package init(
        features: Set<Feature>, ikeEncryption: Set<EncryptionChoice>, espEncryption: Set<EncryptionChoice>,
        ikeIntegrity: Set<IntegrityAlgorithm>, espIntegrity: Set<IntegrityAlgorithm>,
        pseudorandomFunctions: Set<PseudorandomFunction>, keyExchange: Set<KeyExchangeMethod>
    ) {
        self.features = features
        self.ikeEncryption = ikeEncryption
        self.espEncryption = espEncryption
        self.ikeIntegrity = ikeIntegrity
        self.espIntegrity = espIntegrity
        self.pseudorandomFunctions = pseudorandomFunctions
        self.keyExchange = keyExchange
    }

    /// This version.
    package static let current = Capabilities(
        features: [
            .authenticationLifetime, .certificates, .dynamicAuthorization, .eap, .fragmentation, .initExchangeLimit, .innerIPv6, .journald,
            .keepAlive, .lockout, .multiBuffer,
            .nativeESP, .networkNamespaces, .outerFragmentation, .outerIPv6, .perfectForwardSecrecy, .radiusAccounting, .radiusAuthentication,
            .reassembly, .sessionLimit,
            .severalGateways, .severalInterfaces, .uniquenessPolicies,
        ],
        ikeEncryption: meanings(AlgorithmNames.ikeEncryption), espEncryption: meanings(AlgorithmNames.espEncryption),
        ikeIntegrity: meanings(AlgorithmNames.integrity), espIntegrity: meanings(AlgorithmNames.integrity),
        pseudorandomFunctions: meanings(AlgorithmNames.pseudorandomFunctions), keyExchange: meanings(AlgorithmNames.groups))

    /// Every algorithm that has a word: GatewayCrypto has the whole table of configuration.md.
    private static func meanings<Algorithm: Hashable>(_ table: [(String, Algorithm)]) -> Set<Algorithm> { Set(table.map(\.1)) }
}

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
            .authenticationLifetime, .certificates, .fragmentation, .initExchangeLimit, .innerIPv6, .journald, .keepAlive, .lockout,
            .nativeESP, .networkNamespaces, .outerFragmentation, .outerIPv6, .reassembly, .sessionLimit, .severalGateways, .severalInterfaces,
            .uniquenessPolicies,
        ],
        ikeEncryption: aes, espEncryption: aes,
        ikeIntegrity: sha2, espIntegrity: sha2.union([.hmacSHA1_96]),
        pseudorandomFunctions: [.hmacSHA1, .hmacSHA256, .hmacSHA384, .hmacSHA512],
        keyExchange: [.x25519, .ecp256, .ecp384, .ecp521, .modp2048, .modp3072, .modp4096])

    private static let aes: Set<EncryptionChoice> = [
        EncryptionChoice(.aesGCM16, keyBits: 128), EncryptionChoice(.aesGCM16, keyBits: 256),
        EncryptionChoice(.aesCBC, keyBits: 128), EncryptionChoice(.aesCBC, keyBits: 192), EncryptionChoice(.aesCBC, keyBits: 256),
    ]
    private static let sha2: Set<IntegrityAlgorithm> = [.hmacSHA256_128, .hmacSHA384_192, .hmacSHA512_256]
}

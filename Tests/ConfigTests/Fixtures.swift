import Config
import Foundation
import IKE
import Testing
import Wire

enum Fixtures {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    static let root = folder.deletingLastPathComponent().deletingLastPathComponent()

    static func text(_ url: URL) throws -> String { try String(contentsOf: url, encoding: .utf8) }
    static var example: String { get throws { try text(folder.appendingPathComponent("example.yaml")) } }

    /// The smallest working file of configuration.md.
    static let shortest = """
        service: { home: { id: 1, interface: { priv0: { address: [10.99.0.1/24] } } } }
        local-dhcp-server: { rw: { pool: { all: { subnet: 10.99.0.0/24, range: [{ begin: 10.99.0.10, end: 10.99.0.250 }] } } } }
        ipsec: { ike-policy: { 1: { ike-version-2: { auth-method: psk } } }, tunnel-template: { 1: {} } }
        ipsec-gateway:
          rw:
            ike-policy: 1
            default-tunnel-template: 1
            default-secure-service: { service-name: home, interface: priv0 }
            local: { gateway-address: 192.0.2.1, address-assignment: { ipv4: { dhcp-server: rw, pool: all } } }
            pre-shared-key: "a long and random text of your own"

        """

    /// A longer PSK file, one key a line, for changes to single lines.
    static let plain = """
        system:
          name: gw
        management:
          log: { level: info }
        tunnel-group:
          1: { workers: 2 }
        service:
          home:
            id: 1
            interface:
              priv0:
                address: [10.99.0.1/24]
        local-dhcp-server:
          rw:
            pool:
              all:
                subnet: 10.99.0.0/24
                range: [{ begin: 10.99.0.10, end: 10.99.0.250 }]
                dns: [10.99.0.1]
        ipsec:
          ike-transform:
            1: { dh-group: group-19, ike-encryption-algorithm: aes-256, ike-auth-algorithm: sha-384 }
          ipsec-transform:
            1: { esp-encryption-algorithm: aes256-gcm16, esp-auth-algorithm: auth-encryption }
          ike-policy:
            1:
              ike-transform: [1]
              ike-version-2: { auth-method: psk }
              dpd: { interval: 30 }
          tunnel-template:
            1:
              ipsec-transform: [1]
              ip-mtu: 1400
          ts-list:
            lan:
              local:
                entry:
                  1: { address: { prefix: 10.0.0.0/8 } }
        ipsec-gateway:
          rw:
            tunnel-group: 1
            ike-policy: 1
            default-tunnel-template: 1
            default-secure-service: { service-name: home, interface: priv0 }
            local:
              gateway-address: 192.0.2.1
              address-assignment: { ipv4: { dhcp-server: rw, pool: all } }
            ts-list: lan
            pre-shared-key: "kEy-8fVq2ZxW0pLr7TnYb4CmJd6"

        """

    /// A version that can do nothing beyond PSK over IPv4, so that the tests hold for every version.
    static let bare: Capabilities = {
        let aes = [128, 192, 256].map { EncryptionChoice(.aesCBC, keyBits: $0) } + [128, 256].map { EncryptionChoice(.aesGCM16, keyBits: $0) }
        let sha2: Set<IntegrityAlgorithm> = [.hmacSHA256_128, .hmacSHA384_192, .hmacSHA512_256]
        return Capabilities(
            features: [], ikeEncryption: Set(aes), espEncryption: Set(aes), ikeIntegrity: sha2, espIntegrity: sha2.union([.hmacSHA1_96]),
            pseudorandomFunctions: [.hmacSHA256, .hmacSHA384, .hmacSHA512],
            keyExchange: [.x25519, .ecp256, .ecp384, .ecp521, .modp2048, .modp3072, .modp4096])
    }()

    static func load(_ text: String, _ capabilities: Capabilities = bare) -> (configuration: Configuration?, problems: [Problem]) {
        Configuration.load(text: text, file: "gw.yaml", supporting: capabilities)
    }

    /// `plain` with a text replaced, which must be there.
    static func plain(_ old: String, _ new: String) throws -> String {
        try #require(plain.contains(old))
        return plain.replacingOccurrences(of: old, with: new)
    }
}

extension [Problem] {
    var errors: [Problem] { filter { $0.severity == .error } }
    var warnings: [Problem] { filter { $0.severity == .warning } }
    var lines: [String] { map(\.description) }
}

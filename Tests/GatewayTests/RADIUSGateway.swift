import Config
import GatewayCrypto
import IKE
import IKEMessages
import RADIUS
import Testing
import Wire

@testable import Gateway

/// A gateway that asks RADIUS servers on the loopback, from its file on.
enum RADIUSGateway {
    static let secret = "xyzzy5461"
    static let sharedKey = "kEy-8fVq2ZxW0pLr7TnYb4CmJd6"
    static let address = IPAddress(v4: 0xc000_0201)

    /// `ports`: one server each. `pool`: local addresses for IPv4 clients.
    static func text(ports: [UInt16], method: String, pool: Bool, gateway: String) -> String {
        let names = ports.indices.map { "aaa\($0)" }
        let servers = zip(names, ports).map { name, port in
            "    \(name): { address: 127.0.0.1, secret: \"\(secret)\", authentication-port: \(port), accept-coa: true }\n"
        }
        let source = pool ? ", address-assignment: { ipv4: { dhcp-server: rw, pool: all } }" : ""
        return """
            system: { name: gw-1 }
            router:
              radius-server:
            \(servers.joined())
            aaa:
              radius:
                server-policy:
                  lab: { server: [\(names.joined(separator: ", "))], timeout: 1, retry-count: 3, hold-down-time: 5 }
            service:
              home:
                id: 10
                interface:
                  priv0: { address: [10.99.0.1/24, "2001:db8:99::1/64"] }
                  priv1: { address: [10.98.0.1/24] }
              guests: { id: 20, interface: { guest0: { address: [10.97.0.1/24] } } }
              crowd: { id: 30, interface: { c0: { address: [10.96.0.1/24] }, c1: { address: [10.95.0.1/24] } } }
            local-dhcp-server:
              rw: { pool: { all: { subnet: 10.99.0.0/24, range: [{ begin: 10.99.0.10, end: 10.99.0.250 }] } } }
            ipsec:
              ipsec-transform:
                1: { esp-encryption-algorithm: aes256-gcm16, esp-auth-algorithm: auth-encryption }
                2: { esp-encryption-algorithm: aes-256, esp-auth-algorithm: sha-256 }
              ike-policy:
                1: { ike-version-2: { auth-method: \(method) } }
              tunnel-template:
                1: { ipsec-transform: [1] }
                2: { ipsec-transform: [2], replay-window: 64, ip-mtu: 1300 }
              ts-list:
                printers: { local: { entry: { 1: { address: { prefix: 10.7.0.0/16 } } } } }
              radius:
                authentication-policy: { lab: { radius-server-policy: lab } }
            ipsec-gateway:
              rw:
                ike-policy: 1
                default-tunnel-template: 1
                default-secure-service: { service-name: home, interface: priv0 }
                local: { gateway-address: 192.0.2.1\(source) }
                pre-shared-key: "\(sharedKey)"
                radius: { authentication-policy: lab }
            \(gateway)
            """
    }

    static func plan(
        ports: [UInt16] = [1812], method: String = "psk-radius", pool: Bool = false, gateway: String = ""
    ) throws -> Plan {
        try RADIUSDictionary.load()
        let (loaded, problems) = Configuration.load(text: text(ports: ports, method: method, pool: pool, gateway: gateway), file: "test.yaml")
        #expect(problems.filter { $0.severity == .error }.map(\.description) == [])
        var configuration = try #require(loaded)
        #expect(configuration.resolveSecrets().filter { $0.severity == .error }.isEmpty)
        return try Plan(configuration, CertificateInventory(configuration))
    }

    static func runtime(_ plan: Plan) throws -> GatewayRuntime { try #require(plan.gateways[address]) }

    /// `network` tells senders apart.
    static func login(_ id: UInt64, _ gateway: GatewayRuntime, network: UInt32 = 1) -> AAA.Login {
        AAA.Login(
            id: id, gateway: gateway, local: Endpoint(address, port: 4500),
            remote: Endpoint(IPAddress(v4: 0x0b00_0000 | network), port: UInt16(1024 + id % 60_000)))
    }
}

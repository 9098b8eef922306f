import Lab
import Testing

/// Algorithms, each agreed with strongSwan and used by real traffic; the gateway has its default proposals unless said otherwise.
///
/// ```
///  client 198.51.101.2 ---- internet ---- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 host
/// ```
@Suite(.watched)
struct AlgorithmTests {
    /// One proposal of the client, and what strongSwan must then report.
    struct Row: Sendable, CustomTestStringConvertible {
        let ike: String
        let esp: String
        let ikeCipher: String
        let keyExchange: String
        let espCipher: String
        let espIntegrity: String?
        var testDescription: String { "\(ike) \(esp)" }
    }

    @Test(
        "X-7: cipher, integrity and key exchange are what was offered, and carry traffic",
        arguments: [
            Row(
                ike: "aes128gcm16-prfsha256-ecp256", esp: "aes128gcm16", ikeCipher: "AES_GCM_16-128", keyExchange: "ECP_256",
                espCipher: "AES_GCM_16-128", espIntegrity: nil),
            Row(
                ike: "aes256gcm16-prfsha384-ecp384", esp: "aes256gcm16", ikeCipher: "AES_GCM_16-256", keyExchange: "ECP_384",
                espCipher: "AES_GCM_16-256", espIntegrity: nil),
            Row(
                ike: "aes256-sha256-x25519", esp: "aes128-sha256", ikeCipher: "AES_CBC-256", keyExchange: "CURVE_25519",
                espCipher: "AES_CBC-128", espIntegrity: "HMAC_SHA2_256_128"),
            Row(
                ike: "aes128-sha384-modp2048", esp: "aes256-sha384", ikeCipher: "AES_CBC-128", keyExchange: "MODP_2048",
                espCipher: "AES_CBC-256", espIntegrity: "HMAC_SHA2_384_192"),
            Row(
                ike: "aes256-sha512-modp3072", esp: "aes256-sha512", ikeCipher: "AES_CBC-256", keyExchange: "MODP_3072",
                espCipher: "AES_CBC-256", espIntegrity: "HMAC_SHA2_512_256"),
        ])
    func x_7_agreed(_ row: Row) async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario)
            let client = try await road.client(1, "alice.test") { ($0.ike, $0.esp) = (row.ike, row.esp) }
            let sa = try await client.connect()
            let child = try #require(sa.children.first)
            #expect(sa.encryption == row.ikeCipher)
            #expect(sa.keyExchange == row.keyExchange)
            #expect(child.encryption == row.espCipher)
            #expect(child.integrity == row.espIntegrity)
            #expect(try await road.reachesHost(client))
            let octets = 1_000_003
            #expect(
                try await TCPTransfer.run(from: client.namespace, to: road.host, at: RoadNetwork.hostAddress, octets: octets)
                    == .init(octets: octets, isIntact: true))
        }
    }

    @Test(
        "a first guess at the group is answered with INVALID_KE_PAYLOAD, and the retry connects",
        arguments: [("x25519", "CURVE_25519"), ("group-19", "ECP_256"), ("group-14", "MODP_2048")])
    func invalidKeyExchange(accepted: String, named: String) async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.ikeTransforms = [.init("aes256-gcm16", "auth-encryption", "sha-384", accepted)]
            let road = try await Road.build(scenario, settings)
            let client = try await road.client(1, "alice.test") { $0.ike = "aes256gcm16-prfsha384-modp3072-ecp256-x25519-modp2048" }
            let result = try await client.initiate()
            #expect(result.succeeded, "\(result.output)")
            #expect(result.output.contains("it requested \(named)"), "\(result.output)")
            #expect(try await client.sas().first?.keyExchange == named)
            #expect(try await road.reachesHost(client))
        }
    }

    @Test("X-7: nothing acceptable in the offer is NO_PROPOSAL_CHOSEN, for IKE and for ESP", arguments: [true, false])
    func x_7_noProposalChosen(inIKE: Bool) async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario)
            let client = try await road.client(1, "alice.test") {
                if inIKE { $0.ike = "3des-sha1-modp1024" } else { $0.esp = "3des-md5" }
            }
            let result = try await client.initiate()
            #expect(!result.succeeded)
            #expect(result.output.contains("NO_PROPOSAL_CHOSEN") || result.output.contains("NO_PROP"), "\(result.output)")
            #expect(try await becomesTrue(within: .seconds(5)) { try await road.gateway.pools().map(\.used) == [0] })
            #expect(try await road.gateway.sessions().isEmpty)
        }
    }
}

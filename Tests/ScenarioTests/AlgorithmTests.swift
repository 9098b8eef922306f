import Lab
import Testing

/// Algorithms, each agreed with strongSwan and used by real traffic; the gateway has its default proposals unless said otherwise.
///
/// ```
///  client 198.51.101.2 ---- internet ---- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 host
/// ```
@Suite(.watched)
struct AlgorithmTests {
    /// An IKE SA by one set of algorithms: the gateway's words, the client's, and what strongSwan must then report.
    struct IKERow: Sendable {
        let transform: GatewaySettings.IKETransform
        let offer: String
        /// Cipher, PRF, key exchange.
        let agreed: [String]
        init(_ transform: GatewaySettings.IKETransform, _ offer: String, _ cipher: String, _ prf: String, _ keyExchange: String) {
            (self.transform, self.offer, agreed) = (transform, offer, [cipher, prf, keyExchange])
        }
    }

    /// The same for a Child SA.
    struct ESPRow: Sendable {
        let transform: GatewaySettings.IPsecTransform
        let offer: String
        let cipher: String
        let integrity: String?
        init(_ encryption: String, _ authentication: String, _ offer: String, _ cipher: String, _ integrity: String? = nil) {
            transform = .init(encryption, authentication)
            (self.offer, self.cipher, self.integrity) = (offer, cipher, integrity)
        }
    }

    /// Every cipher, MAC, PRF and group of configuration.md at least once. strongSwan has them all.
    private static let ike: [IKERow] = [
        .init(
            .init("aes128-gcm16", "auth-encryption", "sha-256", "x25519"), "aes128gcm16-prfsha256-x25519", "AES_GCM_16-128", "PRF_HMAC_SHA2_256",
            "CURVE_25519"),
        .init(
            .init("aes256-gcm16", "auth-encryption", "sha-384", "group-20"), "aes256gcm16-prfsha384-ecp384", "AES_GCM_16-256", "PRF_HMAC_SHA2_384",
            "ECP_384"),
        .init(
            .init("aes128-gcm8", "auth-encryption", "sha-512", "group-19"), "aes128gcm8-prfsha512-ecp256", "AES_GCM_8-128", "PRF_HMAC_SHA2_512",
            "ECP_256"),
        .init(.init("aes256-gcm8", "auth-encryption", "sha-1", "group-21"), "aes256gcm8-prfsha1-ecp521", "AES_GCM_8-256", "PRF_HMAC_SHA1", "ECP_521"),
        .init(
            .init("chacha20-poly1305", "auth-encryption", "aes-xcbc", "x448"), "chacha20poly1305-prfaesxcbc-x448", "CHACHA20_POLY1305",
            "PRF_AES128_XCBC", "CURVE_448"),
        .init(.init("aes-128", "sha-256", "same-as-auth", "group-14"), "aes128-sha256-modp2048", "AES_CBC-128", "PRF_HMAC_SHA2_256", "MODP_2048"),
        .init(.init("aes-192", "sha-384", "same-as-auth", "group-15"), "aes192-sha384-modp3072", "AES_CBC-192", "PRF_HMAC_SHA2_384", "MODP_3072"),
        .init(.init("aes-256", "sha-512", "same-as-auth", "group-16"), "aes256-sha512-modp4096", "AES_CBC-256", "PRF_HMAC_SHA2_512", "MODP_4096"),
        .init(.init("aes-128", "aes-xcbc", "same-as-auth", "group-17"), "aes128-aesxcbc-modp6144", "AES_CBC-128", "PRF_AES128_XCBC", "MODP_6144"),
        .init(.init("aes-256", "sha-1", "md-5", "group-18"), "aes256-sha1-prfmd5-modp8192", "AES_CBC-256", "PRF_HMAC_MD5", "MODP_8192"),
        .init(.init("des-3", "sha-1", "same-as-auth", "group-2"), "3des-sha1-modp1024", "3DES_CBC", "PRF_HMAC_SHA1", "MODP_1024"),
        .init(.init("des", "md-5", "same-as-auth", "group-1"), "des-md5-modp768", "DES_CBC", "PRF_HMAC_MD5", "MODP_768"),
        .init(.init("des-3", "md-5", "sha-256", "group-5"), "3des-md5-prfsha256-modp1536", "3DES_CBC", "PRF_HMAC_SHA2_256", "MODP_1536"),
    ]

    private static let macs = [
        ("md-5", "md5", "HMAC_MD5_96"), ("sha-1", "sha1", "HMAC_SHA1_96"), ("aes-xcbc", "aesxcbc", "AES_XCBC_96"),
        ("sha-256", "sha256", "HMAC_SHA2_256_128"), ("sha-384", "sha384", "HMAC_SHA2_384_192"), ("sha-512", "sha512", "HMAC_SHA2_512_256"),
    ]

    /// Every AEAD, and every other cipher with every MAC, in parts of 16 at most: so many transforms a template takes.
    private static let esp: [[ESPRow]] =
        [
            [128, 192, 256].flatMap { bits in
                [8, 12, 16].map { ESPRow("aes\(bits)-gcm\($0)", "auth-encryption", "aes\(bits)gcm\($0)", "AES_GCM_\($0)-\(bits)") }
            } + [ESPRow("chacha20-poly1305", "auth-encryption", "chacha20poly1305", "CHACHA20_POLY1305")]
        ]
        + [
            [("aes-128", "aes128", "AES_CBC-128"), ("aes-192", "aes192", "AES_CBC-192")],
            [("aes-256", "aes256", "AES_CBC-256"), ("des-3", "3des", "3DES_CBC")],
            [("des", "des", "DES_CBC"), ("\"null\"", "null", "NULL")],
        ].map { ciphers in
            ciphers.flatMap { cipher in macs.map { ESPRow(cipher.0, $0.0, "\(cipher.1)-\($0.1)", cipher.2, $0.2) } }
        }

    @Test("X-7: every algorithm that strongSwan has too is agreed when a transform names it, and carries traffic", arguments: [0, 1, 2, 3])
    func x_7_everyAlgorithm(part: Int) async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.ikeTransforms = Self.ike.map(\.transform)
            settings.ipsecTransforms = Self.esp[part].map(\.transform)
            let road = try await Road.build(scenario, settings)
            let client = try await Charon.start(scenario, in: road.network.clients[0])
            // as many logins as it takes to have each of either list once
            for number in 0..<max(Self.ike.count, Self.esp[part].count) {
                let (ike, esp) = (Self.ike[number % Self.ike.count], Self.esp[part][number % Self.esp[part].count])
                try await check(ike, esp, client, road)
            }
        }
    }

    /// One login, its algorithms as strongSwan reports them, traffic both ways, and the end.
    private func check(_ ike: IKERow, _ esp: ESPRow, _ client: Charon, _ road: Road) async throws {
        var connection = CharonConnection()
        (connection.identity, connection.ike, connection.esp) = ("alice.test", ike.offer, esp.offer)
        try await client.load([connection])
        let what = "\(ike.offer) \(esp.offer)"
        let login = try await client.initiate()
        guard login.succeeded, let sa = try await client.sas().last(where: { $0.state == "ESTABLISHED" }), let child = sa.children.first else {
            Issue.record("no login with \(what): \(login.output)")
            return
        }
        #expect([sa.encryption, sa.prf, sa.keyExchange] == ike.agreed, "\(what)")
        #expect([child.encryption, child.integrity] == [esp.cipher, esp.integrity], "\(what)")
        let whole = TCPTransfer.Outcome(octets: 50_003, isIntact: true)
        #expect(
            try await TCPTransfer.run(from: client.namespace, to: road.host, at: RoadNetwork.hostAddress, octets: whole.octets) == whole, "\(what)")
        // lengths that end differently in a block, to the largest packet there is
        for size in [84, 85, 1400] {
            let ping = try await Ping.run(from: road.host, to: sa.virtualAddresses.first ?? "", count: 1, size: size)
            #expect(ping.isComplete, "\(what), \(size) octets: \(ping.output)")
        }
        try await client.terminate()
        try await road.gateway.waitForSessions(0)
    }

    @Test("X-7, RFC 4543: GMAC, which strongSwan's kernel-libipsec does not have, with our own client", arguments: [128, 192, 256])
    func x_7_gmac(bits: Int) async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.ipsecTransforms = [.init("null-aes\(bits)-gmac", "auth-encryption")]
            let road = try await Road.build(scenario, settings)
            let namespace = road.network.clients[0]
            let load = try await namespace.start(
                "ipsec-load",
                [
                    try Programs.path("ipsec-load"), "connect", "--yes-this-is-my-gateway", "--gateway", RoadNetwork.gatewayAddress, "--psk",
                    GatewaySettings.psk, "--id", "carol.test", "--remote-id", "gw.test", "--esp", "aes\(bits)gmac-esn", "--tun", "rw0", "--route",
                    RoadNetwork.lan,
                ])
            try await load.waitForLine(containing: "connected inner=")
            let address = try #require(try await road.session(of: "carol.test").innerAddresses.first)
            // authenticated, not encrypted: the wire shows what is inside
            let capture = try await Capture.start(scenario, in: road.network.internet, link: "gw", filter: "udp port 4500")
            #expect(try await Ping.run(from: namespace, to: RoadNetwork.hostAddress).isComplete)
            let shown = try await capture.stop(filter: "udp[24] = 0x45")
            #expect(shown.count >= 6, "\(shown)")
            for size in [84, 85, 1400] { #expect(try await Ping.run(from: road.host, to: address, count: 1, size: size).isComplete) }
        }
    }

    @Test("X-7: the default proposals: what is left out of a configuration is agreed with strongSwan's own defaults")
    func x_7_defaults() async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario)
            let client = try await road.client(1, "alice.test") { ($0.ike, $0.esp) = ("default", "default") }
            let sa = try await client.connect()
            #expect(sa.encryption == "AES_CBC-128" || sa.encryption.hasPrefix("AES_GCM_16"), "\(sa.fields)")
            #expect(["CURVE_25519", "ECP_256"].contains(sa.keyExchange))
            #expect(sa.prf == "PRF_HMAC_SHA2_256")
            #expect(try await road.reachesHost(client))
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

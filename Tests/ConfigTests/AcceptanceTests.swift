import AddressAssignment
import Config
import ESP
import Foundation
import IKE
import Testing
import Wire

@Suite("Files that are accepted")
struct AcceptanceTests {
    @Test func configuration_exampleIsTheSharedOne() throws {
        let shared = Fixtures.root.appendingPathComponent("../shared/spec/example.yaml")
        guard FileManager.default.fileExists(atPath: shared.path) else {
            print("skipped: no folder \(shared.deletingLastPathComponent().standardizedFileURL.path)")
            return
        }
        #expect(try Fixtures.text(shared) == Fixtures.example)
    }

    @Test func configuration_exampleIsAcceptedVerbatim() throws {
        let (configuration, problems) = Fixtures.load(try Fixtures.example)
        #expect(problems.errors.lines == [])
        let example = try #require(configuration)
        #expect(example.system.name == "segw-1" && example.system.address == IPAddress("192.0.2.1"))
        #expect(example.management.metrics == Endpoint(try #require(IPAddress("127.0.0.1")), port: 9587))
        #expect(example.management.accountingSpool.maximumSize == 1 << 30 && example.management.socketMode == 0o660)
        #expect(
            example.tunnelGroups == [
                {
                    var group = TunnelGroup(id: 1); group.reassemblyTimeout = .milliseconds(2000); return group
                }()
            ])
        #expect(example.interfaces.map(\.device) == ["priv0"])
        #expect(example.interfaces[0].addresses.map(\.description) == ["10.20.0.1/16", "2001:db8:20::1/112"])
        #expect(example.pools.map(\.name.description) == ["rw/staff", "rw/staff6"])
        #expect(example.pools[0].reserved == [try #require(IPAddress("10.20.0.1"))])
        let gateway = try #require(example.gateway("road-warriors"))
        #expect(gateway.policy.authentication.method == .autoEAPRADIUS && gateway.policy.authentication.own == .certificate)
        #expect(gateway.policy.authentication.autoEAP == .pskOrCertificate)
        #expect(gateway.policy.transforms.map(\.id) == [1, 2])
        #expect(
            gateway.policy.transforms[0]
                == IKETransform(
                    id: 1, encryption: [EncryptionChoice(.aesGCM16, keyBits: 256)], pseudorandomFunctions: [.hmacSHA384], keyExchange: [.x25519]))
        #expect(gateway.policy.transforms[1].integrity == [.hmacSHA256_128])
        #expect(gateway.policy.transforms[1].pseudorandomFunctions == [.hmacSHA256])
        #expect(gateway.policy.natTraversal.keepAliveInterval == .seconds(120) && gateway.policy.natTraversal.force)
        #expect(gateway.policy.lockout?.duration == .seconds(300) && gateway.policy.lockout?.block == .seconds(600))
        #expect(gateway.template.template.encapsulatedIPMTU == 1500)
        #expect(gateway.template.transforms[1].lifetime == .seconds(3600) && gateway.template.transforms[0].lifetime == nil)
        #expect(gateway.trafficSelectors?.local.map(\.addresses.description) == ["10.0.0.0/8", "192.168.10.0-192.168.12.255", "2001:db8::/32"])
        #expect(gateway.trafficSelectors?.local[2].ports == 443...443 && gateway.trafficSelectors?.local[2].ipProtocol == 6)
        #expect(gateway.identity == .fqdn("vpn.example.com") && gateway.address.description == "192.0.2.1")
        #expect(gateway.ipv4Pool == PoolName(server: "rw", pool: "staff") && gateway.ipv6Pool?.pool == "staff6")
        #expect(gateway.maximumSessionsPerUser == 4 && gateway.sessionLimitAction == .replaceOldest)
        #expect(gateway.authenticationPolicy == "aaa" && gateway.clientDatabase?.name == "vips")
        #expect(example.radius.servers.map(\.name) == ["radius-1", "radius-2"])
        #expect(example.pki.caProfiles[0].crlUpdate?.urls.count == 2)
        #expect(example.clientDatabases[0].clients[0].identity == .fqdnSuffix(".field.example.com"))
    }

    /// Nothing is accepted and then ignored: what this version lacks is warned of by name and keeps `run` from starting.
    @Test func configuration_exampleNamesWhatThisVersionLacks() throws {
        let (configuration, problems) = Fixtures.load(try Fixtures.example)
        let unsupported = try #require(configuration).unsupported
        for path in [
            "ipsec.ike-policy.1.ike-version-2.auth-method", "ipsec.cert-profile.vpn", "ipsec.client-db.vips",
            "ipsec.radius.authentication-policy.aaa", "ipsec.radius.accounting-policy.aaa",
            "ipsec-gateway.road-warriors.local.address-assignment.ipv6", "ipsec.tunnel-template.1.encapsulated-ip-mtu",
            "tunnel-group.1.reassembly", "ipsec.ike-policy.1.lockout", "aaa.radius.dynamic-authorization",
            "pki.ca-profile.root.revocation-check", "system.address", "management.accounting-spool",
        ] {
            #expect(unsupported.contains { $0.keyPath == path }, "\(path)")
            #expect(problems.warnings.contains { $0.keyPath == path }, "\(path)")
        }
        var everything = Fixtures.bare
        everything.features = Set(Feature.allCases)
        #expect(Fixtures.load(try Fixtures.example, everything).configuration?.unsupported == [])
    }

    @Test func configuration_thisVersionRunsThePlainFiles() throws {
        for text in [Fixtures.plain, Fixtures.shortest] {
            #expect(Configuration.load(text: text, file: "gw.yaml").configuration?.unsupported == [])
        }
    }

    @Test func configuration_thisVersionFragmentsAndKeepsAlive() throws {
        let text = try Fixtures.plain(
            "auth-method: psk", "auth-method: psk, auth-lifetime: 3600, ikev2-fragment: { mtu: 600, reassembly-timeout: 5 }")
        let configuration = try #require(Configuration.load(text: text, file: "gw.yaml").configuration)
        #expect(configuration.unsupported == [])
        let policy = try #require(configuration.gateways.first).policy
        #expect(policy.fragmentation.mtu == 600 && policy.fragmentation.reassemblyTimeout == .seconds(5))
        #expect(policy.authentication.lifetime == .seconds(3600))
        let example = try #require(Configuration.load(text: try Fixtures.example, file: "gw.yaml").configuration)
        #expect(!example.unsupported.contains { $0.keyPath.contains("ikev2-fragment") || $0.keyPath.contains("keep-alive-interval") })
    }

    @Test(arguments: [("auto", TunnelGroup.Engine.auto), ("ipsec-mb", .ipsecMB), ("openssl", .openSSL)])
    func configuration_cryptoEngine(word: String, engine: TunnelGroup.Engine) throws {
        let text = try Fixtures.plain("workers: 2", "workers: 2, crypto-engine: \(word)")
        let configuration = try #require(Configuration.load(text: text, file: "gw.yaml").configuration)
        #expect(configuration.unsupported == [] && configuration.tunnelGroups.map(\.engine) == [engine])
    }

    @Test(arguments: [("", 0), (", busy-poll: 0", 0), (", busy-poll: 50", 50), (", busy-poll: 1000", 1000)])
    func configuration_busyPoll(words: String, microseconds: Int) throws {
        let text = try Fixtures.plain("workers: 2", "workers: 2\(words)")
        let configuration = try #require(Configuration.load(text: text, file: "gw.yaml").configuration)
        #expect(configuration.unsupported == [] && configuration.tunnelGroups.map(\.busyPoll) == [.microseconds(microseconds)])
    }

    @Test func configuration_theShortestFile() throws {
        let (configuration, problems) = Fixtures.load(Fixtures.shortest)
        #expect(problems.errors.lines == [])
        #expect(problems.warnings.map(\.keyPath) == ["ipsec.tunnel-template.1.ipsec-transform"], "the note on SHA-1 of X-7")
        let short = try #require(configuration)
        #expect(short.unsupported == [])
        let gateway = try #require(short.gateways.first)
        #expect(
            gateway.policy
                == {
                    var policy = IKEPolicy(id: 1)
                    policy.transforms[0].encryption.removeAll { $0.algorithm == .chaCha20Poly1305 }
                    return policy
                }())
        #expect(gateway.template.template == TunnelTemplate(id: 1))
        #expect(gateway.template.transforms.last?.integrity == [.hmacSHA1_96])
        #expect(gateway.trafficSelectors == nil && gateway.identity == .auto && gateway.maximumSessionsPerUser == nil)
        #expect(gateway.uniqueness == .replace && gateway.preSharedKey?.value?.revealed() == Array("a long and random text of your own".utf8))
        #expect(short.pools[0].leaseHoldTime == .seconds(3600) && short.pools[0].quarantine == .seconds(30))
        #expect(short.tunnelGroups == [TunnelGroup(id: 1)])
        #expect(short.poolsInUse.map(\.name.description) == ["rw/all"])
    }

    @Test func configuration_plainFileHasNothingToSay() {
        #expect(Fixtures.load(Fixtures.plain).problems.lines == [])
    }

    /// features.md X-7: the defaults, in their order.
    @Test func X7_defaultProposals() {
        #expect(
            DefaultProposals.ike.map { $0.encryption.map(\.algorithm) } == [
                [.aesGCM16, .aesGCM16, .chaCha20Poly1305], [.aesCBC, .aesCBC, .aesCBC],
            ])
        #expect(DefaultProposals.ipsec.map(\.integrity) == [[], DefaultProposals.integrity, [.hmacSHA1_96]])
        for transform in DefaultProposals.ike {
            #expect(!transform.integrity.contains(.hmacSHA1_96) && !transform.pseudorandomFunctions.contains(.hmacSHA1))
            #expect(transform.keyExchange == [.x25519, .ecp256, .ecp384, .ecp521, .modp2048, .modp3072, .modp4096])
        }
    }

    @Test func quickstart_templateOfEtcIsTheEmbeddedDefault() throws {
        let etc = try Fixtures.text(Fixtures.root.appendingPathComponent("etc/ipsec-gw.yaml"))
        #expect(etc == DefaultConfiguration.template)
        #expect(DefaultConfiguration.template.split(separator: DefaultConfiguration.placeholder, omittingEmptySubsequences: false).count == 2)
    }

    @Test func quickstart_defaultConfigurationRuns() throws {
        let key = "kQ3v9+Zt/x1WmB7uHnYc5RaE2sLd8FgJ0pTiXoVb4Nw="
        let text = try #require(DefaultConfiguration.text(psk: key, pki: "/srv/gw/pki"))
        let (configuration, problems) = Configuration.load(text: text, file: "gw.yaml")
        #expect(problems.errors.lines == [])
        // Each is a choice of the first configuration, and says what it gives up; nothing else is to be said of it.
        #expect(
            problems.warnings.map(\.keyPath) == [
                "pki.ca-profile.own.revocation-check", "ipsec.tunnel-template.1.ipsec-transform",
            ])
        let gateway = try #require(configuration?.gateways.first)
        #expect(configuration?.unsupported == [])
        let policy = gateway.policy.authentication
        #expect(policy.method == .autoEAP && policy.autoEAP == .pskOrCertificate && policy.ownAutoEAP == .certificate)
        #expect(gateway.policy.acceptsPSK && gateway.policy.acceptsCertificate && gateway.policy.signs && !gateway.policy.provesByPSK)
        #expect(gateway.certificate?.profile == "gateway" && gateway.certificate?.trustAnchors == "clients" && gateway.identity == .auto)
        #expect(configuration?.pki.caProfiles.map(\.certificateFile) == ["/srv/gw/pki/ca.pem"])
        #expect(configuration?.pki.certificateProfiles.first?.entries.map(\.keyFile) == ["/srv/gw/pki/server.key"])
        #expect(configuration?.pki.certificateExpiration.before == .seconds(720 * 3600))
        #expect(configuration?.pki.certificateExpiration.repetition == .seconds(24 * 3600))
        #expect(!text.contains(DefaultConfiguration.pki + "/ca.pem") && !text.contains(DefaultConfiguration.placeholder))
        #expect(gateway.address == .automatic && gateway.preSharedKey?.value?.revealed() == Array(key.utf8))
        #expect(!problems.contains { $0.keyPath.hasSuffix("pre-shared-key") }, "strong enough")
        #expect(DefaultConfiguration.text(psk: "a\"\nb") == nil)
        for path in ["pki", "/etc/a b", "/etc/a\nb", "/etc/\"", ""] { #expect(DefaultConfiguration.text(psk: key, pki: path) == nil) }
    }

    @Test func tunnelTemplate_segmentSizes() {
        var template = TunnelTemplate(id: 1)
        #expect(template.maximumSegmentSize(.ipv4) == 1360 && template.maximumSegmentSize(.ipv6) == 1340)
        template.privateTCPMSSAdjust = 1200
        #expect(template.maximumSegmentSize(.ipv4) == 1200 && template.maximumSegmentSize(.ipv6) == 1200)
    }
}

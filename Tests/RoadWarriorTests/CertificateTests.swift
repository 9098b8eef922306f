import GatewayCrypto
import GatewayTesting
import IKE
import IKEMessages
import PKI
import RoadWarrior
import Testing
import Wire

@testable import ipsec_load

/// Logins by certificate against the gateway's machine in memory; the client's trust is that of `ipsec-load --ca`.
struct CertificateTests {
    /// A gateway and a client with certificates of one CA.
    struct Login {
        let authority: TestCA
        let gateway: TestCertificate
        let client: TestCertificate
        let pair: Pair

        /// `change` sees the settings last.
        init(
            _ scheme: SignatureScheme = .ecdsaSHA256, client kind: IssuingKey.Kind = .ecP256, gateway gatewayKind: IssuingKey.Kind = .ecP256,
            gatewayScheme: SignatureScheme = .ecdsaSHA256, trusting: TestCA? = nil, at time: CertificateTime = TestCA.now,
            gatewayCertificate: (inout TestCA.Options) -> Void = { _ in }, sharedClient: Bool = false, sharedGateway: Bool = false,
            settings change: (inout RoadWarrior.Settings) -> Void = { _ in }
        ) throws {
            let authority = try TestCA("Root")
            let gateway = try authority.endEntity("gateway") {
                $0.kind = gatewayKind
                $0.names = [.dns("gw.example.org")]
                $0.extendedKeyUsage = [.serverAuthentication]
                gatewayCertificate(&$0)
            }
            let client = try authority.endEntity("warrior") {
                $0.kind = kind
                $0.names = [.rfc822("warrior0@example.org")]
            }
            let (clientKey, gatewayKey) = (try Self.key(client), try Self.key(gateway))
            let trust = ipsec_load.Credentials.trust(try (trusting ?? authority).anchors()) { time }
            let profile = Pair.profile { $0.policy.authentication.method = .certificate }
            pair = try Pair(profile: profile) { settings in
                settings.presharedKey = Secret(sharedClient || sharedGateway ? Pair.sharedKey : [])
                if !sharedClient {
                    var own = RoadWarrior.Certificate(chain: client.payloads, key: clientKey)
                    own.scheme = scheme
                    settings.certificate = own
                }
                if !sharedGateway { settings.trust = trust }
                change(&settings)
            }
            let shared = Secret(Pair.sharedKey)
            let chain = gateway.payloads
            pair.gateway.credential = { _ in
                .credentials(
                    IKE.Credentials(
                        identity: Pair.gatewayIdentity, peer: sharedClient ? .sharedKey(shared) : .certificate(clientKey.publicKey),
                        own: sharedGateway ? .sharedKey(shared) : .certificate(chain, gatewayScheme)))
            }
            pair.gateway.sign = { try? gatewayKey.sign($0.octets, by: $0.scheme) }
            (self.authority, self.gateway, self.client) = (authority, gateway, client)
        }

        static func key(_ certificate: TestCertificate) throws -> PrivateKey { try PrivateKey(certificate.key.pkcs8()) }

        func expectConnected() {
            pair.connect()
            #expect(pair.client.isEstablished && pair.client.childSA != nil, "\(pair.client.events) \(pair.lastEntry?.refusal?.cause ?? "")")
            #expect(pair.gateway.drops.isEmpty && pair.checkNow().isEmpty || pair.client.isEstablished)
        }

        /// The client does not believe the gateway, says so and goes.
        func expectDistrusted(_ words: String) {
            pair.connect()
            guard case .responderNotAuthenticated(let why)? = pair.client.closure else {
                Issue.record("\(pair.client.events) \(pair.lastEntry?.refusal?.cause ?? "")")
                return
            }
            #expect(why.contains(words), "\(why)")
            #expect(pair.client.childSA == nil)
        }
    }

    static let schemes: [(SignatureScheme, IssuingKey.Kind)] = [
        (.rsaSHA256, .rsa(bits: 2048)), (.rsaSHA384, .rsa(bits: 2048)), (.rsaSHA512, .rsa(bits: 2048)), (.pssSHA256, .rsa(bits: 2048)),
        (.pssSHA384, .rsa(bits: 2048)), (.pssSHA512, .rsa(bits: 3072)), (.ecdsaSHA256, .ecP256), (.ecdsaSHA384, .ecP384),
        (.ecdsaSHA512, .ecP521), (.ed25519, .ed25519), (.method9, .ecP256), (.method10, .ecP384), (.method11, .ecP521),
    ]

    @Test("RFC 7427, RFC 4754: every scheme on both sides", arguments: schemes)
    func RFC7427_everyScheme(_ scheme: SignatureScheme, _ kind: IssuingKey.Kind) throws {
        let login = try Login(scheme, client: kind, gateway: kind, gatewayScheme: scheme)
        login.expectConnected()
    }

    @Test("RFC 7296 3.8: method 1 where nobody speaks of hashes (X-7), and refused from a gateway that could do better")
    func RFC7296_3_8_method1() throws {
        let old = try Login(
            .method1, client: .rsa(bits: 2048), gateway: .rsa(bits: 2048), gatewayScheme: .method1, settings: { $0.announcesSignatureHashes = false })
        old.expectConnected()
        #expect(!old.pair.client.warrior.initRequest.isEmpty)
        let weak = try Login(gateway: .rsa(bits: 2048), gatewayScheme: .method1)
        weak.expectDistrusted("SHA-1")
    }

    @Test("AUTH-9: either side by the shared key, the other by certificate", arguments: [true, false])
    func AUTH9_mixed(clientByKey: Bool) throws {
        try Login(sharedClient: clientByKey, sharedGateway: !clientByKey).expectConnected()
    }

    @Test("the scheme follows the gateway's SIGNATURE_HASH_ALGORITHMS")
    func RFC7427_4_schemeFollowsTheGateway() throws {
        let login = try Login(
            client: .rsa(bits: 2048),
            settings: {
                $0.certificate?.scheme = nil
                $0.certificate?.prefersPSS = true
            })
        login.expectConnected()
        #expect(login.pair.entry?.establishment?.peer == login.pair.client.settings.identity)
    }

    @Test("P18, X-15: a gateway that is not who it should be is not believed; the cause is plain")
    func threat_P18_gatewayNotBelieved() throws {
        try Login(trusting: try TestCA("Another")).expectDistrusted("no trust anchor issued it")
        try Login(at: TestCA.now + .seconds(400 * 86_400)).expectDistrusted("expired")
        try Login(at: TestCA.now + .seconds(-10 * 86_400)).expectDistrusted("not yet valid")
        try Login(gatewayCertificate: { $0.names = [.dns("other.example.org")] }).expectDistrusted("not for the name gw.example.org")
        try Login(gatewayCertificate: { $0.names = [.dns("*.example.org")] }).expectDistrusted("not for the name")
        try Login(gatewayCertificate: { $0.extendedKeyUsage = [.clientAuthentication] }).expectDistrusted("ExtendedKeyUsage")
        let named = try Login(settings: { $0.remoteIdentity = IdentificationPayload(form: "vpn.example.org") })
        named.expectDistrusted("not vpn.example.org")
    }

    @Test("C6: a certificate without its key, a shared key where a signature is due, no certificate at all")
    func threat_C6_gatewayWithoutItsKey() throws {
        let stolen = try Login()
        let other = try Login.key(stolen.client)
        stolen.pair.gateway.sign = { try? other.sign($0.octets, by: $0.scheme) }
        stolen.expectDistrusted("signature is wrong")

        let replayed = try Login()
        let key = try Login.key(replayed.gateway)
        replayed.pair.gateway.sign = { try? key.sign($0.octets.dropLast() + [0], by: $0.scheme) }
        replayed.expectDistrusted("signature is wrong")

        let shared = try Login(sharedClient: true)
        shared.pair.gateway.credential = { _ in
            .credentials(IKE.Credentials.sharedKey(Secret(Pair.sharedKey), identity: Pair.gatewayIdentity))
        }
        shared.expectDistrusted("sent no certificate")

        let reverse = try Login(sharedGateway: true)
        let (chain, signer) = (reverse.gateway.payloads, try Login.key(reverse.gateway))
        let clientKey = try Login.key(reverse.client).publicKey
        reverse.pair.gateway.credential = { _ in
            .credentials(
                IKE.Credentials(identity: Pair.gatewayIdentity, peer: .certificate(clientKey), own: .certificate(chain, .ecdsaSHA256)))
        }
        reverse.pair.gateway.sign = { try? signer.sign($0.octets, by: $0.scheme) }
        reverse.expectDistrusted("another authentication method")
    }

    @Test("RFC 7383: an IKE_AUTH with a chain goes in fragments, and comes in fragments", arguments: [600, 1228])
    func RFC7383_largeCertificates(longest: Int) throws {
        let login = try Login(
            .rsaSHA256, client: .rsa(bits: 4096), gateway: .rsa(bits: 4096), gatewayScheme: .rsaSHA256,
            settings: { $0.longestMessage = longest })
        login.expectConnected()
        let sent = login.pair.wire.sent.filter { $0.header?.exchange == .ikeAuth }
        #expect(sent.filter(\.isFromClient).count > 1 && sent.filter { !$0.isFromClient }.count > 1)
        #expect(sent.filter(\.isFromClient).allSatisfy { $0.octets.count <= longest + 4 })
    }
}

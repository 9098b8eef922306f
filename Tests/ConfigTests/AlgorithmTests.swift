import Config
import GatewayCrypto
import IKE
import Testing
import Wire

/// Values of the algorithm keys: configuration.md's table, features.md X-7.
@Suite("Algorithms of a configuration")
struct AlgorithmTests {
    private static let aead = ["aes128-gcm8", "aes128-gcm16", "aes256-gcm8", "aes256-gcm16", "chacha20-poly1305"]
    private static let gmac = ["null-aes128-gmac", "null-aes192-gmac", "null-aes256-gmac"]
    private static let moreAEAD = ["aes192-gcm8", "aes192-gcm16", "aes128-gcm12", "aes192-gcm12", "aes256-gcm12"]
    private static let ciphers = ["des", "des-3", "aes-128", "aes-192", "aes-256"]
    private static let hashes = ["md-5", "sha-1", "sha-256", "sha-384", "sha-512", "aes-xcbc"]
    private static let groups =
        ["group-1", "group-2", "group-5"] + (14...21).map { "group-\($0)" } + ["x25519", "x448"]
    private static let weak: Set<String> = [
        "des", "des-3", "null", "md-5", "sha-1", "aes-xcbc", "group-1", "group-2", "group-5", "null-aes128-gmac", "null-aes192-gmac",
        "null-aes256-gmac",
    ]

    struct Row: CustomTestStringConvertible, Sendable {
        let testDescription: String
        /// The words that stand in it.
        let words: [String]
    }

    private static func ike(_ encryption: String, _ integrity: String, _ prf: String, _ group: String) -> Row {
        Row(
            testDescription:
                "{ dh-group: \(group), ike-encryption-algorithm: \(encryption), ike-auth-algorithm: \(integrity), ike-prf-algorithm: \(prf) }",
            words: [encryption, integrity, prf, group])
    }

    private static func esp(_ encryption: String, _ integrity: String) -> Row {
        Row(testDescription: "{ esp-encryption-algorithm: \(encryption), esp-auth-algorithm: \(integrity) }", words: [encryption, integrity])
    }

    static let ikeRows =
        aead.map { ike($0, "auth-encryption", "sha-256", "x25519") } + ciphers.map { ike($0, "sha-256", "same-as-auth", "group-14") }
        + hashes.map { ike("aes-128", $0, "same-as-auth", "x25519") } + hashes.map { ike("aes128-gcm16", "auth-encryption", $0, "x25519") }
        + groups.map { ike("aes128-gcm16", "auth-encryption", "sha-384", $0) }
    static let espRows =
        (aead + moreAEAD + gmac).flatMap { [esp($0, "auth-encryption"), esp($0, "\"null\""), esp($0, "null")] }
        + (ciphers + ["null", "\"null\""]).flatMap { cipher in hashes.map { esp(cipher, $0) } }

    /// The key paths of `check`'s warnings of weak algorithms.
    private func weakWarnings(_ problems: [Problem]) -> Int {
        problems.warnings.filter { $0.allowed == "a stronger algorithm; this one is for old peers alone" }.count
    }

    @Test("X-7: this version has every one of an IKE SA, and warns of the weak", arguments: ikeRows)
    func x_7_ike(_ row: Row) throws {
        let old = "{ dh-group: group-19, ike-encryption-algorithm: aes-256, ike-auth-algorithm: sha-384 }"
        let (configuration, problems) = Configuration.load(text: try Fixtures.plain(old, row.testDescription), file: "gw.yaml")
        #expect(problems.errors.lines == [])
        #expect(configuration?.unsupported == [])
        #expect(weakWarnings(problems) == row.words.filter(Self.weak.contains).count, "\(problems.lines)")
        let transform = try #require(configuration?.gateways.first?.policy.transforms.first)
        for choice in transform.encryption {
            let suite = ProtectionSuite(encryption: choice.algorithm, keyBits: choice.keyBits, integrity: transform.integrity.first ?? .none)
            #expect(suite?.encrypts == true)
        }
        #expect(transform.pseudorandomFunctions.allSatisfy { PRF($0) != nil } && transform.pseudorandomFunctions.count == 1)
        #expect(transform.keyExchange.allSatisfy(KeyExchange.supports) && transform.keyExchange.count == 1)
    }

    @Test("X-7: this version has every one of a Child SA, and warns of the weak; null is a word, in quotes or bare", arguments: espRows)
    func x_7_esp(_ row: Row) throws {
        let old = "{ esp-encryption-algorithm: aes256-gcm16, esp-auth-algorithm: auth-encryption }"
        let (configuration, problems) = Configuration.load(text: try Fixtures.plain(old, row.testDescription), file: "gw.yaml")
        #expect(problems.errors.lines == [])
        #expect(configuration?.unsupported == [])
        // beside an AEAD `null` says that there is nothing beside it
        let isAEAD = row.words[0].contains("gcm") || row.words[0].contains("poly") || row.words[0].contains("gmac")
        let words = (isAEAD ? [row.words[0]] : row.words).map { $0.filter { $0 != "\"" } }
        #expect(weakWarnings(problems) == words.filter(Self.weak.contains).count, "\(problems.lines)")
        let transform = try #require(configuration?.gateways.first?.template.transforms.first)
        let choice = try #require(transform.encryption.first)
        let suite = ProtectionSuite(encryption: choice.algorithm, keyBits: choice.keyBits, integrity: transform.integrity.first ?? .none)
        #expect(suite != nil && suite?.isAEAD == isAEAD)
        #expect(suite?.encrypts == !words[0].hasPrefix("null"))
    }

    @Test(
        "refused: a word that IKE does not have, an AEAD with a MAC, a cipher without one",
        arguments: [
            "{ dh-group: x25519, ike-encryption-algorithm: null, ike-auth-algorithm: sha-256 }",
            "{ dh-group: x25519, ike-encryption-algorithm: null-aes128-gmac, ike-auth-algorithm: auth-encryption, ike-prf-algorithm: sha-256 }",
            "{ dh-group: x25519, ike-encryption-algorithm: aes192-gcm16, ike-auth-algorithm: auth-encryption, ike-prf-algorithm: sha-256 }",
            "{ dh-group: x25519, ike-encryption-algorithm: aes128-gcm16, ike-auth-algorithm: sha-256, ike-prf-algorithm: sha-256 }",
            "{ dh-group: x25519, ike-encryption-algorithm: aes128-gcm16, ike-auth-algorithm: auth-encryption }",
            "{ dh-group: x25519, ike-encryption-algorithm: aes-128, ike-auth-algorithm: auth-encryption }",
            "{ dh-group: x25519, ike-encryption-algorithm: aes-128, ike-auth-algorithm: null }",
            "{ dh-group: none, ike-encryption-algorithm: aes-128, ike-auth-algorithm: sha-256 }",
        ])
    func x_7_refusedInIKE(_ text: String) throws {
        let old = "{ dh-group: group-19, ike-encryption-algorithm: aes-256, ike-auth-algorithm: sha-384 }"
        #expect(Configuration.load(text: try Fixtures.plain(old, text), file: "gw.yaml").configuration == nil)
    }

    @Test(
        "refused: ESP without integrity (RFC 8221 section 4), an AEAD with a MAC",
        arguments: [
            "{ esp-encryption-algorithm: aes-128, esp-auth-algorithm: null }", "{ esp-encryption-algorithm: null, esp-auth-algorithm: null }",
            "{ esp-encryption-algorithm: null, esp-auth-algorithm: auth-encryption }",
            "{ esp-encryption-algorithm: aes128-gcm16, esp-auth-algorithm: sha-256 }",
            "{ esp-encryption-algorithm: null-aes128-gmac, esp-auth-algorithm: sha-256 }",
        ])
    func x_7_refusedInESP(_ text: String) throws {
        let old = "{ esp-encryption-algorithm: aes256-gcm16, esp-auth-algorithm: auth-encryption }"
        #expect(Configuration.load(text: try Fixtures.plain(old, text), file: "gw.yaml").configuration == nil)
    }

    @Test("X-7: without transforms this version offers the whole of the defaults, and nothing weak but HMAC-SHA1-96, for ESP and last")
    func x_7_defaults() throws {
        let (loaded, problems) = Configuration.load(text: Fixtures.shortest, file: "gw.yaml")
        let gateway = try #require(loaded?.gateways.first)
        #expect(gateway.policy.transforms == DefaultProposals.ike && gateway.template.transforms == DefaultProposals.ipsec)
        let aead = [EncryptionAlgorithm.aesGCM16, .aesGCM16, .chaCha20Poly1305]
        let cbc = [EncryptionAlgorithm.aesCBC, .aesCBC, .aesCBC]
        let sha2 = [IntegrityAlgorithm.hmacSHA256_128, .hmacSHA384_192, .hmacSHA512_256]
        #expect(gateway.policy.transforms.map { $0.encryption.map(\.algorithm) } == [aead, cbc])
        #expect(gateway.policy.transforms.map { $0.encryption.map(\.keyBits) } == [[128, 256, 0], [128, 192, 256]])
        #expect(gateway.policy.transforms.map(\.integrity) == [[], sha2])
        for transform in gateway.policy.transforms {
            #expect(transform.pseudorandomFunctions == [.hmacSHA256, .hmacSHA384, .hmacSHA512])
            #expect(transform.keyExchange == [.x25519, .ecp256, .ecp384, .ecp521, .modp2048, .modp3072, .modp4096])
        }
        #expect(gateway.template.transforms.map { $0.encryption.map(\.algorithm) } == [aead, cbc, cbc])
        #expect(gateway.template.transforms.map(\.integrity) == [[], sha2, [.hmacSHA1_96]])
        #expect(problems.warnings.map(\.keyPath) == ["ipsec.tunnel-template.1.ipsec-transform"], "check notes SHA-1")
    }
}

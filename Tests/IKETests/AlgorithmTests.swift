import GatewayCrypto
import GatewayTesting
import IKE
import IKEMessages
import RoadWarrior
import Testing
import Wire

/// Logins with every algorithm of configuration.md's table, against a client that derives its keys by itself.
@Suite("Every algorithm of the table: configuration.md, RFC 7296 section 2.14")
struct AlgorithmTests {
    /// Words of `ProposalText` and the transforms that allow them.
    struct Row: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let transform: IKETransform
        init(_ ike: String, _ transform: IKETransform) { (testDescription, self.transform) = (ike, transform) }
    }

    static let ciphers: [Row] =
        [
            ("aes128gcm8", EncryptionAlgorithm.aesGCM8, 128), ("aes192gcm8", .aesGCM8, 192), ("aes256gcm8", .aesGCM8, 256),
            ("aes128gcm12", .aesGCM12, 128), ("aes192gcm12", .aesGCM12, 192), ("aes256gcm12", .aesGCM12, 256),
            ("aes128gcm16", .aesGCM16, 128), ("aes192gcm16", .aesGCM16, 192), ("aes256gcm16", .aesGCM16, 256),
            ("chacha20poly1305", .chaCha20Poly1305, 0),
        ].map {
            Row(
                "\($0.0)-prfsha256-x25519",
                IKETransform(
                    encryption: [EncryptionChoice($0.1, keyBits: $0.2)], pseudorandomFunctions: [.hmacSHA256], keyExchange: [.x25519]))
        }
        + [
            ("aes128", EncryptionAlgorithm.aesCBC, 128), ("aes192", .aesCBC, 192), ("aes256", .aesCBC, 256), ("3des", .tripleDES, 0),
            ("des", .des, 0),
        ].map {
            Row(
                "\($0.0)-sha256-x25519",
                IKETransform(
                    encryption: [EncryptionChoice($0.1, keyBits: $0.2)], integrity: [.hmacSHA256_128], pseudorandomFunctions: [.hmacSHA256],
                    keyExchange: [.x25519]))
        }

    static let hashes: [Row] = [
        ("md5", IntegrityAlgorithm.hmacMD5_96, PseudorandomFunction.hmacMD5), ("sha1", .hmacSHA1_96, .hmacSHA1),
        ("aesxcbc", .aesXCBC_96, .aesXCBC), ("sha256", .hmacSHA256_128, .hmacSHA256), ("sha384", .hmacSHA384_192, .hmacSHA384),
        ("sha512", .hmacSHA512_256, .hmacSHA512),
    ].map {
        Row(
            "aes128-\($0.0)-x25519",
            IKETransform(
                encryption: [EncryptionChoice(.aesCBC, keyBits: 128)], integrity: [$0.1], pseudorandomFunctions: [$0.2], keyExchange: [.x25519]))
    }

    static let groups: [Row] = [
        ("modp768", KeyExchangeMethod.modp768), ("modp1024", .modp1024), ("modp1536", .modp1536), ("modp2048", .modp2048),
        ("modp3072", .modp3072), ("modp4096", .modp4096), ("modp6144", .modp6144), ("modp8192", .modp8192), ("ecp256", .ecp256),
        ("ecp384", .ecp384), ("ecp521", .ecp521), ("x25519", .x25519), ("x448", .x448),
    ].map {
        Row(
            "aes128gcm16-prfsha256-\($0.0)",
            IKETransform(
                encryption: [EncryptionChoice(.aesGCM16, keyBits: 128)], pseudorandomFunctions: [.hmacSHA256], keyExchange: [$0.1]))
    }

    @Test("logs in, and both sides have the same keys", arguments: ciphers + hashes + groups)
    func everyAlgorithm(_ row: Row) throws {
        let proposals = try ProposalText.ike(row.testDescription)
        let pair = try Pair(profile: Pair.policy { $0.transforms = [row.transform] }) { $0.ikeProposals = proposals }
        pair.connect()
        #expect(pair.client.isEstablished)
        let suite = try #require(pair.entry?.establishment?.suite)
        #expect(suite.keyExchange == row.transform.keyExchange.first && suite.prf == row.transform.pseudorandomFunctions.first)
        #expect(suite.suite.encryption == row.transform.encryption.first?.algorithm)
        #expect(suite.suite.keyBits == row.transform.encryption.first?.keyBits)
        #expect(suite.suite.integrity == row.transform.integrity.first ?? .none)
        expectSound(pair)
    }

    @Test(
        "X-7: refused unless named: a client that has nothing but the weak gets nothing of the default proposals",
        arguments: [
            "3des-sha256-x25519", "des-sha256-x25519", "aes128-sha1-x25519", "aes128-md5-x25519", "aes128-aesxcbc-x25519",
            "aes128gcm16-prfsha1-x25519", "aes128gcm16-prfmd5-x25519", "aes128gcm16-prfaesxcbc-x25519", "aes128gcm16-prfsha256-modp768",
            "aes128gcm16-prfsha256-modp1024", "aes128gcm16-prfsha256-modp1536",
        ])
    func x_7_weakOnesAreRefused(_ offer: String) throws {
        let proposals = try ProposalText.ike(offer)
        let pair = try Pair { $0.ikeProposals = proposals }
        pair.connect()
        #expect(pair.client.refusals == [.noProposalChosen])
        expectNobodyIn(pair)
    }
}

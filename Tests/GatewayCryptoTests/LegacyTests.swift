import Testing

@testable import GatewayCrypto

@Suite("MD4, MD5 and DES, which EAP-MSCHAPv2 and EAP-MD5 are made of")
struct LegacyTests {
    static let texts: [(text: String, md4: String, md5: String)] = [
        ("", "31d6cfe0d16ae931b73c59d7e0c089c0", "d41d8cd98f00b204e9800998ecf8427e"),
        ("a", "bde52cb31de33e46245e05fbdbd6fb24", "0cc175b9c0f1b6a831c399e269772661"),
        ("abc", "a448017aaf21d8525fc10ae87aa6729d", "900150983cd24fb0d6963f7d28e17f72"),
        ("message digest", "d9130a8164549fe818874806e1c7014b", "f96b697d7cb7938d525a2f31aaf161d0"),
        ("abcdefghijklmnopqrstuvwxyz", "d79e1c308aa5bbcdeea8ed63df412da9", "c3fcd3d76192e4007dfb496cca67e13b"),
        (
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "043f8582f241db351ce627e153e7f0e4",
            "d174ab98d277d9f5a5611c2c9f419d9f"
        ),
        (
            "12345678901234567890123456789012345678901234567890123456789012345678901234567890", "e33b4ddc9c38f2199c3e7b164fcc0536",
            "57edf4a22be3c955ac49da2e2107b67a"
        ),
    ]

    @Test("RFC 1320 appendix A.5, RFC 1321 appendix A.5", arguments: texts)
    func rfc1320_rfc1321(_ row: (text: String, md4: String, md5: String)) throws {
        #expect(try Digest.md4(Array(row.text.utf8)) == octets(row.md4))
        #expect(Digest.md5(Array(row.text.utf8)) == octets(row.md5))
    }

    @Test("RFC 2759 section 9.3: the parity bits are added; the key is FC 15 6A F7 ED CD 6C with 7 bits an octet")
    func rfc2759_9_3_des() throws {
        // The challenge of section 9.2 under the three keys that the password hash is cut into.
        let challenge = octets("d02e4386bce91226")
        let hash = octets("44ebba8d5312b8d611474411f56989ae") + [UInt8](repeating: 0, count: 5)
        let response = try [0, 7, 14].flatMap { try DES.encrypt(challenge, key: Array(hash[$0..<$0 + 7])) }
        #expect(response == octets("82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df"))
        // The parity test of section 9.3, whose key it gives with and without parity.
        let bare = octets("fc156af7edcd6c")
        var context = try CipherContext(.desCBC, key: secret("fd0b5b5e7f6e34d9"), seals: true)
        var block = challenge
        let iv = [UInt8](repeating: 0, count: 8)
        let done = iv.withUnsafeBytes { context.restart($0) } && block.withUnsafeMutableBytes { context.transform($0) }
        #expect(done)
        #expect(try DES.encrypt(challenge, key: bare) == block)
    }

    @Test("another length than a block's and a key's is refused", arguments: [(0, 7), (7, 7), (9, 7), (16, 7), (8, 0), (8, 6), (8, 8)])
    func lengths(_ block: Int, _ key: Int) {
        #expect(throws: CryptoError.badLength) {
            _ = try DES.encrypt([UInt8](repeating: 1, count: block), key: [UInt8](repeating: 2, count: key))
        }
    }
}

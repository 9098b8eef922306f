import Testing
import Wire

@testable import GatewayCrypto

@Suite("Record ciphers by Wycheproof's rows")
struct RecordCipherWycheproofTests {
    @Test("Wycheproof AES-GCM", .enabled(if: VectorFolder.isPresent, VectorFolder.absence), arguments: CryptoEngine.here)
    func wycheproof_aesGCM(engine: CryptoEngine) throws {
        try Wycheproof("aes_gcm").forEach("aes_gcm") { group, row in
            guard group.ivSize == 96 else { return .otherwise("a nonce is 96 bits, RFC 4106 section 4") }
            let suite = try #require(ProtectionSuite(encryption: .aesGCM16, keyBits: group.keySize ?? 0, integrity: .none))
            #expect(group.tagSize == 128)
            let nonce = octets(row.iv ?? "-")
            let keys = SecretOctets(copying: octets(row.key ?? "-") + nonce.prefix(4))
            let plain = octets(row.msg ?? "-")
            var given = Record(
                aad: octets(row.aad ?? "-"), iv: Array(nonce.dropFirst(4)), text: octets(row.ct ?? "-"), icv: octets(row.tag ?? "-"))
            var clear = given
            clear.text = plain
            let sealed = given
            var opener = try RecordCipher(suite, encryptionKey: keys, integrityKey: SecretOctets(count: 0), direction: .open, engine: engine)
            var sealer = try RecordCipher(suite, encryptionKey: keys, integrityKey: SecretOctets(count: 0), direction: .seal, engine: engine)
            let opened = opener.open(&given)
            #expect(opened == (row.result == .valid), "aes_gcm row \(row.tcId): \(row.comment)")
            #expect(sealer.seal(&clear) == true)
            #expect((clear == sealed) == (row.result == .valid), "aes_gcm row \(row.tcId): \(row.comment)")
            if opened { #expect(given.text == plain, "aes_gcm row \(row.tcId)") }
            return .asTheRowSays
        }
    }

    @Test(
        "Wycheproof AES-GCM with tags of 8 and 12 octets: the valid rows, cut", .enabled(if: VectorFolder.isPresent, VectorFolder.absence),
        arguments: CryptoEngine.here)
    func wycheproof_aesGCM_shortTags(engine: CryptoEngine) throws {
        try Wycheproof("aes_gcm").forEach("aes_gcm, short tags") { group, row in
            guard group.ivSize == 96 else { return .otherwise("a nonce is 96 bits, RFC 4106 section 4") }
            guard row.result == .valid else { return .otherwise("an invalid tag says nothing about its beginning") }
            for (number, tag) in [(EncryptionAlgorithm.aesGCM8, 8), (.aesGCM12, 12)] {
                let suite = try #require(ProtectionSuite(encryption: number, keyBits: group.keySize ?? 0, integrity: .none))
                let nonce = octets(row.iv ?? "-")
                let keys = SecretOctets(copying: octets(row.key ?? "-") + nonce.prefix(4))
                var given = Record(
                    aad: octets(row.aad ?? "-"), iv: Array(nonce.dropFirst(4)), text: octets(row.ct ?? "-"),
                    icv: Array(octets(row.tag ?? "-").prefix(tag)))
                var forged = given
                forged.icv[tag - 1] ^= 1
                var opener = try RecordCipher(suite, encryptionKey: keys, integrityKey: SecretOctets(count: 0), direction: .open, engine: engine)
                #expect(opener.open(&given) && given.text == octets(row.msg ?? "-"), "aes_gcm row \(row.tcId)")
                #expect(opener.open(&forged) == false, "aes_gcm row \(row.tcId)")
            }
            return .asTheRowSays
        }
    }

    @Test("Wycheproof ChaCha20-Poly1305", .enabled(if: VectorFolder.isPresent, VectorFolder.absence), arguments: CryptoEngine.here)
    func wycheproof_chaCha20Poly1305(engine: CryptoEngine) throws {
        let suite = try #require(ProtectionSuite(encryption: .chaCha20Poly1305, keyBits: 0, integrity: .none))
        try Wycheproof("chacha20_poly1305").forEach("chacha20_poly1305") { group, row in
            guard group.ivSize == 96 else { return .otherwise("a nonce is 96 bits, RFC 7634 section 2") }
            #expect(group.keySize == 256 && group.tagSize == 128)
            let nonce = octets(row.iv ?? "-")
            let keys = SecretOctets(copying: octets(row.key ?? "-") + nonce.prefix(4))
            let plain = octets(row.msg ?? "-")
            var given = Record(
                aad: octets(row.aad ?? "-"), iv: Array(nonce.dropFirst(4)), text: octets(row.ct ?? "-"), icv: octets(row.tag ?? "-"))
            var clear = given
            clear.text = plain
            let sealed = given
            var opener = try RecordCipher(suite, encryptionKey: keys, integrityKey: SecretOctets(count: 0), direction: .open, engine: engine)
            var sealer = try RecordCipher(suite, encryptionKey: keys, integrityKey: SecretOctets(count: 0), direction: .seal, engine: engine)
            let opened = opener.open(&given)
            #expect(opened == (row.result == .valid), "chacha20_poly1305 row \(row.tcId): \(row.comment)")
            #expect(sealer.seal(&clear) == true)
            #expect((clear == sealed) == (row.result == .valid), "chacha20_poly1305 row \(row.tcId): \(row.comment)")
            if opened { #expect(given.text == plain, "chacha20_poly1305 row \(row.tcId)") }
            return .asTheRowSays
        }
    }

    @Test(
        "Wycheproof AES-GMAC, as GCM of nothing: our suite has the IV in what is authenticated",
        .enabled(if: VectorFolder.isPresent, VectorFolder.absence), arguments: CryptoEngine.here)
    func wycheproof_aesGMAC(engine: CryptoEngine) throws {
        try Wycheproof("aes_gmac").forEach("aes_gmac") { group, row in
            guard group.ivSize == 96 else { return .otherwise("a nonce is 96 bits, RFC 4543 section 3.1") }
            let nonce = octets(row.iv ?? "-")
            let keys = SecretOctets(copying: octets(row.key ?? "-") + nonce.prefix(4))
            let (iv, message, tag) = (Array(nonce.dropFirst(4)), octets(row.msg ?? "-"), octets(row.tag ?? "-"))
            let gcm = try #require(ProtectionSuite(encryption: .aesGCM16, keyBits: group.keySize ?? 0, integrity: .none))
            var given = Record(aad: message, iv: iv, text: [], icv: tag)
            var opener = try RecordCipher(gcm, encryptionKey: keys, integrityKey: SecretOctets(count: 0), direction: .open, engine: engine)
            #expect(opener.open(&given) == (row.result == .valid), "aes_gmac row \(row.tcId): \(row.comment)")
            // And the suite itself: aad | iv | text.
            let gmac = try #require(ProtectionSuite(encryption: .nullAESGMAC, keyBits: group.keySize ?? 0, integrity: .none))
            var packet = Record(aad: [], iv: iv, text: message)
            var whole = Record(aad: iv + message, iv: iv, text: [])
            var left = try RecordCipher(gmac, encryptionKey: keys, integrityKey: SecretOctets(count: 0), direction: .seal, engine: engine)
            var right = try RecordCipher(gcm, encryptionKey: keys, integrityKey: SecretOctets(count: 0), direction: .seal, engine: engine)
            #expect(left.seal(&packet) && right.seal(&whole) && packet.icv == whole.icv, "aes_gmac row \(row.tcId)")
            return .asTheRowSays
        }
    }

    @Test("Wycheproof AES-CBC, the cipher alone", .enabled(if: VectorFolder.isPresent, VectorFolder.absence), arguments: CryptoEngine.here)
    func wycheproof_aesCBC(engine: CryptoEngine) throws {
        let prf = try #require(PRF(.hmacSHA256))
        let macKey = SeededEntropy(seed: 12).secret(32)
        try Wycheproof("aes_cbc_pkcs5").forEach("aes_cbc_pkcs5") { group, row in
            let suite = try #require(
                ProtectionSuite(encryption: .aesCBC, keyBits: group.keySize ?? 0, integrity: .hmacSHA256_128))
            let (key, iv, plain, sealed) =
                (octets(row.key ?? "-"), octets(row.iv ?? "-"), octets(row.msg ?? "-"), octets(row.ct ?? "-"))
            let mac = try prf(key: macKey, iv + sealed).exposed()
            var given = Record(iv: iv, text: sealed, icv: Array(mac.prefix(16)))
            var opener = try RecordCipher(
                suite, encryptionKey: SecretOctets(copying: key), integrityKey: macKey, direction: .open, engine: engine)
            let opened = opener.open(&given)
            guard opened else {
                #expect(row.result == .invalid && sealed.count % 16 != 0 || sealed.isEmpty, "aes_cbc row \(row.tcId)")
                return .asTheRowSays
            }
            // PKCS #5 padding: taken off here, since ESP and IKE have their own.
            let count = Int(given.text.last ?? 0)
            let isPadded = (1...16).contains(count) && given.text.suffix(count).allSatisfy { Int($0) == count }
            #expect(isPadded == (row.result == .valid), "aes_cbc row \(row.tcId): \(row.comment)")
            if row.result == .valid {
                #expect(Array(given.text.dropLast(count)) == plain, "aes_cbc row \(row.tcId)")
                var sealer = try RecordCipher(
                    suite, encryptionKey: SecretOctets(copying: key), integrityKey: macKey, direction: .seal, engine: engine)
                #expect(sealer.seal(&given) == true)
                #expect(given.text == sealed, "aes_cbc row \(row.tcId)")
                return .asTheRowSays
            }
            return .otherwise("the cipher opens it; padding is ESP's and IKE's own, and the MAC was right (the row: invalid padding)")
        }
    }
}

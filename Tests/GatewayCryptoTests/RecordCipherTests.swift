import Testing
import Wire

@testable import GatewayCrypto

@Suite("Record ciphers")
struct RecordCipherTests {
    @Test("The table: keys, salts, IVs and ICVs of RFC 4106, 5282, 4543, 7634, 3602, 2451, 2405, 2410, 4868, 2404, 2403 and 3566")
    func suites() throws {
        struct Row { let number: EncryptionAlgorithm, bits: Int, mac: IntegrityAlgorithm, numbers: [Int], aead: Bool }
        var rows: [Row] = [Row(number: .chaCha20Poly1305, bits: 0, mac: .none, numbers: [36, 0, 8, 16, 1], aead: true)]
        for bits in [128, 192, 256] {
            for (number, icv) in [(EncryptionAlgorithm.aesGCM8, 8), (.aesGCM12, 12), (.aesGCM16, 16), (.nullAESGMAC, 16)] {
                rows.append(Row(number: number, bits: bits, mac: .none, numbers: [bits / 8 + 4, 0, 8, icv, 1], aead: true))
            }
        }
        for (mac, key, icv) in [
            (IntegrityAlgorithm.hmacSHA1_96, 20, 12), (.hmacSHA256_128, 32, 16), (.hmacSHA384_192, 48, 24),
            (.hmacSHA512_256, 64, 32), (.hmacMD5_96, 16, 12), (.aesXCBC_96, 16, 12),
        ] {
            for bits in [128, 192, 256] {
                rows.append(Row(number: .aesCBC, bits: bits, mac: mac, numbers: [bits / 8, key, 16, icv, 16], aead: false))
            }
            rows.append(Row(number: .tripleDES, bits: 0, mac: mac, numbers: [24, key, 8, icv, 8], aead: false))
            rows.append(Row(number: .des, bits: 0, mac: mac, numbers: [8, key, 8, icv, 8], aead: false))
            rows.append(Row(number: .null, bits: 0, mac: mac, numbers: [0, key, 0, icv, 1], aead: false))
        }
        #expect(ProtectionSuite.all.count == rows.count)
        for row in rows {
            let suite = try #require(ProtectionSuite(encryption: row.number, keyBits: row.bits, integrity: row.mac))
            #expect(ProtectionSuite.all.contains(suite))
            #expect(suite.isAEAD == row.aead)
            #expect(suite.encrypts == (row.number != .null && row.number != .nullAESGMAC))
            let numbers = [
                suite.encryptionKeyLength, suite.integrityKeyLength, suite.ivLength, suite.icvLength, suite.blockLength,
            ]
            #expect(numbers == row.numbers, "\(suite)")
        }
    }

    @Test("Combinations that make no suite are refused")
    func threat_C1_noSuite() {
        let refused: [(EncryptionAlgorithm, Int, IntegrityAlgorithm)] = [
            (.aesGCM16, 128, .hmacSHA256_128), (.aesGCM16, 0, .none), (.aesGCM16, 127, .none), (.aesGCM16, 65535, .none),
            (.aesCBC, 128, .none), (.aesCBC, 0, .hmacSHA256_128), (.aesCBC, 64, .hmacSHA256_128),
            (.aesCBC, 128, .init(rawValue: 1025)), (.init(rawValue: 0), 0, .none), (.init(rawValue: 1025), 128, .hmacSHA256_128),
            (.null, 0, .none), (.null, 128, .hmacSHA256_128), (.nullAESGMAC, 0, .none), (.nullAESGMAC, 128, .hmacSHA256_128),
            (.chaCha20Poly1305, 256, .none), (.chaCha20Poly1305, 0, .hmacSHA256_128), (.tripleDES, 192, .hmacSHA1_96),
            (.tripleDES, 0, .none), (.des, 64, .hmacMD5_96), (.des, 0, .none), (.aesGCM8, 0, .none), (.aesGCM12, 128, .aesXCBC_96),
        ]
        for (encryption, bits, integrity) in refused {
            #expect(ProtectionSuite(encryption: encryption, keyBits: bits, integrity: integrity) == nil)
        }
    }

    @Test("RFC 3602: AES-CBC", arguments: CryptoEngine.here)
    func rfc3602(engine: CryptoEngine) throws {
        for vector in rfc3602Vectors {
            let (key, iv, plain, sealed) = (octets(vector.key), octets(vector.iv), octets(vector.plain), octets(vector.cipher))
            let suite = try #require(ProtectionSuite(encryption: .aesCBC, keyBits: key.count * 8, integrity: .hmacSHA256_128))
            let macKey = SeededEntropy(seed: 1).secret(32)
            var sealer = try RecordCipher(suite, encryptionKey: secret(vector.key), integrityKey: macKey, direction: .seal, engine: engine)
            var opener = try RecordCipher(suite, encryptionKey: secret(vector.key), integrityKey: macKey, direction: .open, engine: engine)
            var record = Record(aad: [1, 2, 3], iv: iv, text: plain, trailer: [4, 5])
            #expect(sealer.seal(&record) == true)
            #expect(record.text == sealed)
            // What the MAC covers, and in which order: RFC 4303 section 2.8, RFC 7296 section 3.14.
            let prf = try #require(PRF(.hmacSHA256))
            let mac = try prf(key: macKey, [1, 2, 3] + iv + sealed + [4, 5]).exposed()
            #expect(record.icv == Array(mac.prefix(16)))
            #expect(opener.open(&record) == true)
            #expect(record.text == plain)
        }
    }

    @Test("AES-GCM, the specification's test cases; salt and IV make the nonce (RFC 4106 section 4)", arguments: CryptoEngine.here)
    func rfc4106_gcm(engine: CryptoEngine) throws {
        for vector in gcmVectors {
            let (nonce, plain, sealed) = (octets(vector.nonce), octets(vector.plain), octets(vector.sealed))
            var record = Record(aad: octets(vector.aad), iv: Array(nonce[4...]), text: plain)
            let key = octets(vector.key)
            let keys = SecretOctets(copying: key + nonce[..<4])
            for (number, tag) in [(EncryptionAlgorithm.aesGCM16, 16), (.aesGCM12, 12), (.aesGCM8, 8)] {
                let suite = try #require(ProtectionSuite(encryption: number, keyBits: key.count * 8, integrity: .none))
                var sealer = try RecordCipher(suite, encryptionKey: keys, integrityKey: SecretOctets(count: 0), direction: .seal, engine: engine)
                var opener = try RecordCipher(suite, encryptionKey: keys, integrityKey: SecretOctets(count: 0), direction: .open, engine: engine)
                #expect(sealer.seal(&record) == true)
                #expect(record.text + record.icv == Array(sealed.prefix(plain.count + tag)))
                #expect(opener.open(&record) == true)
                #expect(record.text == plain)
            }
        }
    }

    @Test("RFC 7634 appendices A and B: ESP and IKE with ChaCha20-Poly1305", arguments: CryptoEngine.here)
    func rfc7634(engine: CryptoEngine) throws {
        for vector in rfc7634Vectors {
            let suite = try #require(ProtectionSuite(encryption: .chaCha20Poly1305, keyBits: 0, integrity: .none))
            let keys = secret(vector.key)
            var sealer = try RecordCipher(suite, encryptionKey: keys, integrityKey: SecretOctets(count: 0), direction: .seal, engine: engine)
            var opener = try RecordCipher(suite, encryptionKey: keys, integrityKey: SecretOctets(count: 0), direction: .open, engine: engine)
            var record = Record(aad: octets(vector.aad), iv: octets(vector.iv), text: octets(vector.plain))
            #expect(sealer.seal(&record) == true)
            #expect(record.text + record.icv == octets(vector.sealed))
            #expect(opener.open(&record) == true)
            #expect(record.text == octets(vector.plain))
        }
    }

    @Test(
        "RFC 4543: GMAC is GCM of nothing with the whole packet as associated data; the text stays as it is", arguments: [128, 192, 256],
        CryptoEngine.here)
    func rfc4543_gmac(bits: Int, engine: CryptoEngine) throws {
        let entropy = SeededEntropy(seed: 17)
        let keys = entropy.secret(bits / 8 + 4)
        let (gmac, gcm) = (
            try #require(ProtectionSuite(encryption: .nullAESGMAC, keyBits: bits, integrity: .none)),
            try #require(ProtectionSuite(encryption: .aesGCM16, keyBits: bits, integrity: .none))
        )
        var left = try RecordCipher(gmac, encryptionKey: keys, integrityKey: SecretOctets(count: 0), direction: .seal, engine: engine)
        var right = try RecordCipher(gcm, encryptionKey: keys, integrityKey: SecretOctets(count: 0), direction: .seal, engine: engine)
        for count in [0, 1, 16, 63, 1400] {
            var packet = Record(aad: entropy.octets(12), iv: entropy.octets(8), text: entropy.octets(count))
            let plain = packet
            var whole = Record(aad: packet.aad + packet.iv + packet.text, iv: packet.iv, text: [])
            #expect(left.seal(&packet) && right.seal(&whole))
            #expect(packet.text == plain.text)
            #expect(packet.icv == whole.icv)
        }
    }

    @Test("Triple DES by NIST's TCBCMMT3, DES by FIPS 81 appendix C", arguments: CryptoEngine.here)
    func rfc2451_rfc2405(engine: CryptoEngine) throws {
        for (number, key, iv, plain, sealed) in desVectors {
            let suite = try #require(ProtectionSuite(encryption: number, keyBits: 0, integrity: .hmacMD5_96))
            let macKey = SeededEntropy(seed: 2).secret(16)
            var sealer = try RecordCipher(suite, encryptionKey: secret(key), integrityKey: macKey, direction: .seal, engine: engine)
            var opener = try RecordCipher(suite, encryptionKey: secret(key), integrityKey: macKey, direction: .open, engine: engine)
            var record = Record(aad: [1], iv: octets(iv), text: octets(plain), trailer: [2])
            #expect(sealer.seal(&record) && record.text == octets(sealed))
            #expect(opener.open(&record) && record.text == octets(plain))
        }
    }

    @Test("RFC 2410: NULL leaves the text, the MAC covers aad, text and trailer", arguments: MACRow.all.map(\.number.rawValue), CryptoEngine.here)
    func rfc2410_null(number: UInt16, engine: CryptoEngine) throws {
        let row = try #require(MACRow.all.first { $0.number.rawValue == number })
        let suite = try #require(ProtectionSuite(encryption: .null, keyBits: 0, integrity: row.number))
        let key = SeededEntropy(seed: 3).octets(suite.integrityKeyLength)
        var sealer = try RecordCipher(
            suite, encryptionKey: SecretOctets(count: 0), integrityKey: SecretOctets(copying: key), direction: .seal, engine: engine)
        for count in [1, 16, 61, 1400] {
            let plain = SeededEntropy(seed: UInt64(count)).octets(count)
            var record = Record(aad: [1, 2, 3], iv: [], text: plain, trailer: [4, 5])
            #expect(sealer.seal(&record) == true)
            #expect(record.text == plain)
            var mac = try MAC(row.function, key: SecretOctets(copying: key))
            let message = [1, 2, 3] + plain + [4, 5]
            var whole = [UInt8](repeating: 0, count: row.function.outputLength)
            let done = message.withUnsafeBytes { mac.begin() && mac.absorb($0) && mac.finish() }
            let copied = whole.withUnsafeMutableBytes { mac.copyResult(into: $0) }
            #expect(done && copied)
            #expect(record.icv == Array(whole.prefix(row.icvLength)))
        }
    }

    @Test("What is sealed opens, with one key and many IVs, at every size", arguments: ProtectionSuite.all, CryptoEngine.here)
    func roundTrip(suite: ProtectionSuite, engine: CryptoEngine) throws {
        var sealer = try suite.cipher(.seal, seed: 3, engine: engine)
        var opener = try suite.cipher(.open, seed: 3, engine: engine)
        var seen: Set<[UInt8]> = []
        for blocks in [1, 2, 3, 5, 64, 93, 4095] {
            let plain = suite.record(blocks: blocks, seed: UInt64(blocks))
            var record = plain
            #expect(sealer.seal(&record) == true)
            #expect((record.text != plain.text) == suite.encrypts)
            #expect(record.icv.count == suite.icvLength)
            #expect(seen.insert(record.icv).inserted)
            #expect(opener.open(&record) == true)
            #expect(record.text == plain.text)
        }
        if suite.isAEAD {
            for count in [0, 1, 15, 17, 1399] {
                let text = SeededEntropy(seed: UInt64(count)).octets(count)
                var record = Record(aad: [], iv: SeededEntropy(seed: 5).octets(8), text: text)
                #expect(sealer.seal(&record) && opener.open(&record))
                #expect(record.text == text)
            }
        }
    }

    @Test("Every single-bit corruption is refused, and harms nothing that follows", arguments: ProtectionSuite.all, CryptoEngine.here)
    func threat_C6_everyBit(suite: ProtectionSuite, engine: CryptoEngine) throws {
        var sealer = try suite.cipher(.seal, seed: 4, engine: engine)
        var opener = try suite.cipher(.open, seed: 4, engine: engine)
        let plain = suite.record(blocks: 3, seed: 5)
        var sealed = plain
        #expect(sealer.seal(&sealed) == true)

        func refuse(_ part: WritableKeyPath<Record, [UInt8]>) {
            for bit in 0..<sealed[keyPath: part].count * 8 {
                var record = sealed
                record[keyPath: part][bit / 8] ^= 0x80 >> UInt8(bit % 8)
                let corrupted = record.text
                #expect(opener.open(&record) == false)
                // Unverified plain text is never handed out.
                #expect(suite.isAEAD && suite.encrypts ? record.text.allSatisfy { $0 == 0 } : record.text == corrupted)
            }
        }
        for part in [\Record.aad, \.iv, \.text, \.trailer, \.icv] { refuse(part) }

        // Octets moved over a border between the parts are another message where a part has a fixed place.
        var shortened = sealed
        shortened.text.removeLast(suite.blockLength)
        #expect(opener.open(&shortened) == false)
        var longer = sealed
        longer.text += [UInt8](repeating: 0, count: suite.blockLength)
        #expect(opener.open(&longer) == false)
        var noData = sealed
        noData.aad = []
        #expect(opener.open(&noData) == false)

        var good = sealed
        #expect(opener.open(&good) == true)
        #expect(good.text == plain.text)
    }

    @Test("Every bit of every key counts", arguments: ProtectionSuite.all, CryptoEngine.here)
    func everyKeyBit(suite: ProtectionSuite, engine: CryptoEngine) throws {
        let entropy = SeededEntropy(seed: 6)
        let (encryptionKey, integrityKey) = (entropy.octets(suite.encryptionKeyLength), entropy.octets(suite.integrityKeyLength))
        func cipher(_ direction: RecordCipher.Direction, _ left: [UInt8], _ right: [UInt8]) throws -> RecordCipher {
            try RecordCipher(
                suite, encryptionKey: SecretOctets(copying: left), integrityKey: SecretOctets(copying: right),
                direction: direction, engine: engine)
        }
        let plain = suite.record(blocks: 2, seed: 7)
        var sealed = plain
        var sealer = try cipher(.seal, encryptionKey, integrityKey)
        #expect(sealer.seal(&sealed) == true)
        for bit in 0..<encryptionKey.count * 8 {
            var key = encryptionKey
            key[bit / 8] ^= 1 << UInt8(bit % 8)
            var record = sealed
            var opener = try cipher(.open, key, integrityKey)
            // The MAC knows nothing of the cipher's key: there the text comes out wrong. DES has a parity bit in each octet.
            #expect(opener.open(&record) == !suite.isAEAD)
            let isParity = (suite.encryption == .des || suite.encryption == .tripleDES) && bit % 8 == 0
            #expect((record.text != plain.text) == (suite.encrypts && !isParity))
        }
        for bit in 0..<integrityKey.count * 8 {
            var key = integrityKey
            key[bit / 8] ^= 1 << UInt8(bit % 8)
            var record = sealed
            var opener = try cipher(.open, encryptionKey, key)
            #expect(opener.open(&record) == false)
        }
    }

    @Test("A key for sealing opens nothing, and the other way round", arguments: ProtectionSuite.all, CryptoEngine.here)
    func threat_P27_directions(suite: ProtectionSuite, engine: CryptoEngine) throws {
        var sealer = try suite.cipher(.seal, seed: 8, engine: engine)
        var opener = try suite.cipher(.open, seed: 8, engine: engine)
        let plain = suite.record(blocks: 1, seed: 9)
        var record = plain
        #expect(opener.seal(&record) == false)
        #expect(record.text == plain.text && record.icv.allSatisfy { $0 == 0 })
        #expect(sealer.seal(&record) == true)
        let sealed = record
        #expect(sealer.open(&record) == false)
        #expect(record == sealed)
    }

    @Test("threats.md C4: keys of another length make no cipher", arguments: ProtectionSuite.all, CryptoEngine.here)
    func threat_C4_keyLengths(suite: ProtectionSuite, engine: CryptoEngine) throws {
        func lengths(_ n: Int) -> [Int] { n == 0 ? [1, 10] : [0, n - 1, n + 1, 10 * n] }
        func make(_ left: Int, _ right: Int) throws -> Bool {
            let cipher = try RecordCipher(
                suite, encryptionKey: SecretOctets(count: left), integrityKey: SecretOctets(count: right), direction: .seal, engine: engine)
            return cipher.suite == suite
        }
        #expect(try make(suite.encryptionKeyLength, suite.integrityKeyLength))
        for count in lengths(suite.encryptionKeyLength) {
            #expect(throws: CryptoError.badLength) { _ = try make(count, suite.integrityKeyLength) }
        }
        for count in lengths(suite.integrityKeyLength) {
            #expect(throws: CryptoError.badLength) { _ = try make(suite.encryptionKeyLength, count) }
        }
    }

    @Test("threats.md C4: IVs, ICVs and texts of another length are refused untouched", arguments: ProtectionSuite.all, CryptoEngine.here)
    func threat_C4_recordLengths(suite: ProtectionSuite, engine: CryptoEngine) throws {
        var sealer = try suite.cipher(.seal, seed: 10, engine: engine)
        var opener = try suite.cipher(.open, seed: 10, engine: engine)
        let plain = suite.record(blocks: 2, seed: 11)
        var sealed = plain
        #expect(sealer.seal(&sealed) == true)

        func expectRefusal(_ change: (inout Record) -> Void) {
            var (clear, given) = (plain, sealed)
            change(&clear)
            change(&given)
            let (clearBefore, givenBefore) = (clear.text, given.text)
            #expect(sealer.seal(&clear) == false)
            #expect(clear.text == clearBefore && clear.icv.allSatisfy { $0 == 0 })
            #expect(opener.open(&given) == false)
            #expect(given.text == givenBefore)
        }
        for count in [0, suite.ivLength - 1, suite.ivLength + 1, 10 * suite.ivLength] where count >= 0 && count != suite.ivLength {
            expectRefusal { $0.iv = [UInt8](repeating: 1, count: count) }
        }
        for count in [0, suite.icvLength - 1, suite.icvLength + 1, 10 * suite.icvLength] {
            var (clear, given) = (plain, sealed)
            #expect(sealer.seal(&clear, icvLength: count) == false)
            #expect(clear.text == plain.text)
            given.icv = Array((0..<11).flatMap { _ in sealed.icv }.prefix(count))
            #expect(opener.open(&given) == false)
            #expect(given.text == sealed.text)
        }
        if suite.isAEAD {
            // Nothing would authenticate it.
            expectRefusal { $0.trailer = [0, 0, 0, 1] }
        } else {
            for count in [0, 1, 15, 17, 31] where count == 0 || suite.blockLength > 1 {
                expectRefusal { $0.text = [UInt8](repeating: 1, count: count) }
            }
        }
        #expect(opener.open(&sealed) == true)
        #expect(sealed.text == plain.text)
    }
}

import COpenSSL
import Foundation
import Testing
import Wire

@testable import GatewayCrypto

@Suite("Keys for signatures")
struct SignatureKeyTests {
    /// A SubjectPublicKeyInfo of RSA with numbers as one likes.
    private func rsa(bits: Int, exponent: [UInt8] = [1, 0, 1], last: UInt8 = 0x0b) -> [UInt8] {
        var modulus = SeededEntropy(seed: UInt64(bits)).octets((bits + 7) / 8)
        modulus[0] = UInt8(truncatingIfNeeded: (1 << ((bits - 1) % 8)) | Int(modulus[0]) & ((1 << ((bits - 1) % 8)) - 1))
        modulus[modulus.count - 1] = last
        let key = DER.sequence(DER.integer(modulus) + DER.integer(exponent))
        return DER.sequence(octets("300d06092a864886f70d0101010500") + DER.element(0x03, [0] + key))
    }

    @Test("Kinds and equality")
    func kinds() throws {
        let kinds: [PublicKey.Kind] = [.rsa(bits: 2048), .p256, .p384, .p521, .ed25519]
        for ((name, key), kind) in zip(TestKey.all, kinds) {
            let theirs = try key.publicKey()
            #expect(theirs.kind == kind, "\(name)")
            #expect(theirs.subjectPublicKeyInfo == key.publicOctets)
            for (other, otherKey) in TestKey.all { #expect((try otherKey.publicKey() == theirs) == (other == name)) }
        }
    }

    @Test("threats.md C3: RSA moduli of 2048 to 8192 bits, odd exponents of 65537 to 2^64")
    func threat_C3_rsaNumbers() throws {
        for bits in [2048, 2049, 2055, 3072, 4096, 8191, 8192] {
            #expect(try PublicKey(subjectPublicKeyInfo: rsa(bits: bits)).kind == .rsa(bits: bits))
        }
        for bits in [512, 1024, 2040, 2047, 8193, 8200, 16384, 65536 - 4000] {
            #expect(throws: KeyError.rsaModulus(bits: bits)) { _ = try PublicKey(subjectPublicKeyInfo: rsa(bits: bits)) }
        }
        #expect(throws: KeyError.malformed) { _ = try PublicKey(subjectPublicKeyInfo: rsa(bits: 2048, last: 0x0a)) }
        for exponent in [[1, 0, 1], [1, 0, 3], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]] as [[UInt8]] {
            #expect(try PublicKey(subjectPublicKeyInfo: rsa(bits: 2048, exponent: exponent)).kind == .rsa(bits: 2048))
        }
        let refused: [[UInt8]] = [
            [], [0], [1], [2], [3], [17], [0xff, 0xff], [1, 0, 0], [1, 0, 2], [1, 0, 0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0, 1],
            [UInt8](repeating: 0xff, count: 256),
        ]
        for exponent in refused {
            #expect(throws: KeyError.rsaExponent) { _ = try PublicKey(subjectPublicKeyInfo: rsa(bits: 2048, exponent: exponent)) }
        }
        // A real key with e = 3, the way old forgeries went (threats.md C7).
        let small = TestKey(.rsa(bits: 2048, exponent: 3))
        #expect(throws: KeyError.rsaExponent) { _ = try small.publicKey() }
        #expect(throws: KeyError.rsaExponent) { _ = try small.privateKey() }
        #expect(throws: KeyError.rsaModulus(bits: 1024)) { _ = try TestKey(.rsa(bits: 1024, exponent: 65537)).privateKey() }
    }

    @Test("threats.md C7, C8: algorithms, curves and encodings outside the list are refused")
    func threat_C7_unsupportedKeys() throws {
        for kind in [TestKey.Kind.ec("secp256k1"), .ec("P-224"), .ec("brainpoolP256r1"), .other("ED448"), .other("X25519"), .other("RSA-PSS")] {
            #expect(throws: KeyError.unsupportedAlgorithm, "\(kind)") { _ = try TestKey(kind).publicKey() }
        }
        let p256 = TestKey.p256.publicOctets
        let (header, point) = (Array(p256.prefix(27)), Array(p256.suffix(64)))
        // Compressed, hybrid, infinity, off the curve, coordinates beyond the prime.
        #expect(throws: KeyError.malformed) {
            _ = try PublicKey(
                subjectPublicKeyInfo: octets("3039301306072a8648ce3d020106082a8648ce3d030107032200") + [2 | point[63] & 1] + point.prefix(32))
        }
        #expect(throws: KeyError.malformed) { _ = try PublicKey(subjectPublicKeyInfo: header.dropLast() + [6 | point[63] & 1] + point) }
        #expect(throws: KeyError.malformed) {
            _ = try PublicKey(subjectPublicKeyInfo: octets("3019301306072a8648ce3d020106082a8648ce3d03010703020000"))
        }
        for bit in stride(from: 0, to: 512, by: 5) {
            var off = point
            off[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: KeyError.malformed) { _ = try PublicKey(subjectPublicKeyInfo: header + off) }
        }
        #expect(throws: KeyError.malformed) { _ = try PublicKey(subjectPublicKeyInfo: header + [UInt8](repeating: 0xff, count: 64)) }
        #expect(throws: KeyError.malformed) { _ = try PublicKey(subjectPublicKeyInfo: header + [UInt8](repeating: 0, count: 64)) }
        // Curve parameters in place of a name never reach the library.
        let explicit = DER.sequence(octets("06072a8648ce3d0201") + DER.sequence(octets("020101") + SeededEntropy(seed: 1).octets(100)))
        #expect(throws: KeyError.unsupportedAlgorithm) {
            _ = try PublicKey(subjectPublicKeyInfo: DER.sequence(explicit + DER.element(0x03, [0, 4] + point)))
        }
        // RSA without the NULL, and with something else in its place.
        let numbers = DER.element(0x03, [0] + DER.sequence(DER.integer([UInt8](repeating: 0xff, count: 256)) + DER.integer([1, 0, 1])))
        for identifier in ["300b06092a864886f70d010101", "300d06092a864886f70d0101010501", "300c06092a864886f70d01010105"] {
            #expect(throws: KeyError.unsupportedAlgorithm) { _ = try PublicKey(subjectPublicKeyInfo: DER.sequence(octets(identifier) + numbers)) }
        }
    }

    @Test("threats.md C4: every shorter and longer SubjectPublicKeyInfo is refused")
    func threat_C4_lengths() throws {
        for (name, key) in TestKey.all {
            let info = key.publicOctets
            for count in 0..<info.count {
                #expect(throws: KeyError.self, "\(name), \(count)") { _ = try PublicKey(subjectPublicKeyInfo: Array(info.prefix(count))) }
            }
            #expect(throws: KeyError.malformed, "\(name)") { _ = try PublicKey(subjectPublicKeyInfo: info + [0]) }
            #expect(throws: KeyError.self, "\(name)") { _ = try PublicKey(subjectPublicKeyInfo: info + info) }
        }
        #expect(throws: KeyError.malformed) {
            _ = try PublicKey(subjectPublicKeyInfo: [0x30, 0x80] + TestKey.p256.publicOctets.dropFirst(2) + [0, 0])
        }
    }

    @Test("threats.md C1: keys with octets changed at random are refused or are keys; 10^4 of each kind")
    func threat_C1_mutations() throws {
        let seed: UInt64 = 20_261_121
        print("seed \(seed)")
        let entropy = SeededEntropy(seed: seed)
        for (name, key) in TestKey.all {
            let info = key.publicOctets
            var taken = 0
            for _ in 0..<10_000 {
                var changed = info
                for _ in 0...Int(entropy.octets(1)[0] & 3) {
                    let draw = entropy.octets(3)
                    changed[(Int(draw[0]) << 8 | Int(draw[1])) % changed.count] = draw[2]
                }
                guard let other = try? PublicKey(subjectPublicKeyInfo: changed) else { continue }
                taken += 1
                #expect(other.subjectPublicKeyInfo == changed)
                _ = other.accepts([UInt8](repeating: 1, count: other.kind.length), over: [1], by: .ed25519)
            }
            print("\(name): \(taken) of 10000 are keys")
        }
        #expect(ERR_peek_error() == 0)
    }

    @Test("Private keys are read in every form", arguments: TestKey.Form.allCases)
    func privateKeyForms(form: TestKey.Form) throws {
        let isEncrypted = [.encryptedPEM, .encryptedDER, .olderEncryptedPEM].contains(form)
        for (name, key) in TestKey.all {
            guard let file = key.file(form, passphrase: isEncrypted ? "a pass phrase" : "") else {
                #expect(name == "Ed25519", "only Ed25519 has no older form")
                continue
            }
            let right = SecretOctets(copying: Array("a pass phrase".utf8))
            let own = try PrivateKey(file, passphrase: right)
            #expect(try own.publicKey == key.publicKey(), "\(name)")
            if isEncrypted {
                #expect(throws: KeyError.passphraseNeeded, "\(name)") { _ = try PrivateKey(file).publicKey }
                for phrase in ["a pass phrasE", "b", String(repeating: "x", count: 2000)] {
                    let wrong = SecretOctets(copying: Array(phrase.utf8))
                    #expect(throws: KeyError.wrongPassphrase, "\(name)") { _ = try PrivateKey(file, passphrase: wrong).publicKey }
                }
            } else {
                #expect(try PrivateKey(file).publicKey == own.publicKey)
            }
        }
        #expect(ERR_peek_error() == 0)
    }

    @Test("A PEM file may have other things before the key; DER may have nothing behind it")
    func privateKeySurroundings() throws {
        let pem = try TestKey.p256.needed(.olderPEM).exposed()
        let parameters = Array("text\n-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n".utf8)
        #expect(try PrivateKey(SecretOctets(copying: parameters + pem)).publicKey == TestKey.p256.publicKey())
        for form in [TestKey.Form.der, .olderDER] {
            let der = try TestKey.p256.needed(form).exposed()
            #expect(throws: KeyError.malformed) { _ = try PrivateKey(SecretOctets(copying: der + [0])).publicKey }
        }
    }

    @Test("What is no private key is refused with a cause")
    func noPrivateKey() throws {
        let pem = try TestKey.p256.needed(.pem).exposed()
        let cut = Array(pem.prefix(pem.count / 2))
        let refused: [[UInt8]] = [
            [], [0], [0x30], Array("no key".utf8), Array("-----BEGIN PRIVATE KEY-----\n".utf8), cut, TestKey.p256.publicOctets,
            [UInt8](repeating: 0x30, count: 5000), SeededEntropy(seed: 1).octets(3000),
        ]
        for file in refused {
            #expect(throws: KeyError.malformed) { _ = try PrivateKey(SecretOctets(copying: file)).publicKey }
        }
        for kind in [TestKey.Kind.ec("secp256k1"), .other("ED448"), .other("X25519"), .other("RSA-PSS")] {
            let file = try TestKey(kind).needed(.der)
            #expect(throws: KeyError.unsupportedAlgorithm, "\(kind)") { _ = try PrivateKey(file).publicKey }
        }
        #expect(ERR_peek_error() == 0)
    }

    @Test("A private value with another key's public half gives itself away at once")
    func inconsistentPair() throws {
        let value = try #require(SignatureVector.concatenated.first)
        let point = Array(TestKey.p256.publicOctets.suffix(65))
        let inner = DER.sequence(octets("020101") + DER.element(0x04, octets(value.secret)) + DER.tagged(1, DER.element(0x03, [0] + point)))
        let file = DER.sequence(octets("020100301306072a8648ce3d020106082a8648ce3d030107") + DER.element(0x04, inner))
        #expect(throws: KeyError.inconsistent) { _ = try PrivateKey(SecretOctets(copying: file)).publicKey }
    }
}

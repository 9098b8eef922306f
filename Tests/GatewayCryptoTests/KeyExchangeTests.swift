import COpenSSL
import Testing
import Wire

@testable import GatewayCrypto

let allMethods: [KeyExchangeMethod] = [
    .modp768, .modp1024, .modp1536, .modp2048, .modp3072, .modp4096, .modp6144, .modp8192, .ecp256, .ecp384, .ecp521, .x25519, .x448,
]

extension KeyExchangeMethod: CustomTestStringConvertible {
    public var testDescription: String { "method \(rawValue)" }
}

@Suite("Key exchange")
struct KeyExchangeTests {
    @Test("RFC 5903, RFC 7748, RFC 3526: both sides", arguments: KeyExchangeVector.all + KeyExchangeVector.named)
    func rfc3526_rfc5903_rfc7748(vector: KeyExchangeVector) throws {
        let initiator = try KeyExchange(vector.method, privateValue: secret(vector.initiatorPrivate))
        let responder = try KeyExchange(vector.method, privateValue: secret(vector.responderPrivate))
        #expect(initiator.publicValue == octets(vector.initiatorPublic))
        #expect(responder.publicValue == octets(vector.responderPublic))
        #expect(try initiator.sharedSecret(with: octets(vector.responderPublic)).exposed() == octets(vector.shared))
        #expect(try responder.sharedSecret(with: octets(vector.initiatorPublic)).exposed() == octets(vector.shared))
    }

    @Test("RFC 7748 section 5.2: single multiplications and the iterated one")
    func rfc7748_5_2() throws {
        for vector in rfc7748Multiplications {
            let key = try KeyExchange(.x25519, privateValue: secret(vector.scalar))
            #expect(try key.sharedSecret(with: octets(vector.u)).exposed() == octets(vector.result))
        }
        var (k, u) = ([UInt8](repeating: 0, count: 32), [UInt8](repeating: 0, count: 32))
        (k[0], u[0]) = (9, 9)
        for round in 1...1000 {
            let result = try KeyExchange(.x25519, privateValue: SecretOctets(copying: k)).sharedSecret(with: u).exposed()
            (k, u) = (result, k)
            if round == 1 { #expect(k == octets("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079")) }
        }
        #expect(k == octets("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"))
    }

    @Test("RFC 7748 section 5.2 for X448")
    func rfc7748_5_2_x448() throws {
        for vector in x448Multiplications {
            let key = try KeyExchange(.x448, privateValue: secret(vector.scalar))
            #expect(try key.sharedSecret(with: octets(vector.u)).exposed() == octets(vector.result))
        }
        var (k, u) = ([UInt8](repeating: 0, count: 56), [UInt8](repeating: 0, count: 56))
        (k[0], u[0]) = (5, 5)
        for round in 1...1000 {
            let result = try KeyExchange(.x448, privateValue: SecretOctets(copying: k)).sharedSecret(with: u).exposed()
            (k, u) = (result, k)
            if round == 1 { #expect(k == octets(x448Iterated.once)) }
        }
        #expect(k == octets(x448Iterated.thousandTimes))
    }

    @Test("The table: numbers and lengths of RFC 7296 section 3.4")
    func publicValueLengths() {
        let expected: [(KeyExchangeMethod, Int)] = [
            (.modp768, 96), (.modp1024, 128), (.modp1536, 192), (.modp2048, 256), (.modp3072, 384), (.modp4096, 512),
            (.modp6144, 768), (.modp8192, 1024), (.ecp256, 64), (.ecp384, 96), (.ecp521, 132), (.x25519, 32), (.x448, 56),
        ]
        for (method, length) in expected {
            #expect(KeyExchange.supports(method))
            #expect(KeyExchange.publicValueLength(method) == length)
        }
        #expect(KeyExchange.rows.count == expected.count)
        for number in [0, 3, 4, 6, 13, 22, 23, 24, 25, 30, 33, 1025, 65535] as [UInt16] {
            let method = KeyExchangeMethod(rawValue: number)
            #expect(!KeyExchange.supports(method))
            #expect(KeyExchange.publicValueLength(method) == nil)
            #expect(throws: CryptoError.unsupported) {
                _ = try KeyExchange(method, entropy: SystemEntropy()).publicValue
            }
        }
    }

    @Test("Both sides agree, and a seed repeats a key", arguments: allMethods, [1, 2, 3] as [UInt64])
    func agreement(method: KeyExchangeMethod, seed: UInt64) throws {
        let entropy = SeededEntropy(seed: seed)
        let initiator = try KeyExchange(method, entropy: entropy)
        let responder = try KeyExchange(method, entropy: entropy)
        #expect(initiator.publicValue != responder.publicValue)
        #expect(initiator.publicValue.count == KeyExchange.publicValueLength(method))
        let shared = try initiator.sharedSecret(with: responder.publicValue)
        #expect(try responder.sharedSecret(with: initiator.publicValue).isEqual(to: shared) == true)
        let again = try KeyExchange(method, entropy: SeededEntropy(seed: seed))
        #expect(again.publicValue == initiator.publicValue)
        let other = try KeyExchange(method, entropy: SystemEntropy())
        #expect(other.publicValue != initiator.publicValue)
        #expect(try other.sharedSecret(with: responder.publicValue).isEqual(to: shared) == false)
    }

    @Test("Groups are shared between threads", arguments: [KeyExchangeMethod.ecp256, .ecp384, .ecp521])
    func manyThreads(method: KeyExchangeMethod) async throws {
        let agreed = await withTaskGroup(of: Int.self) { group in
            for seed in 0..<8 as Range<UInt64> {
                group.addTask {
                    var agreed = 0
                    for round in 0..<20 as Range<UInt64> {
                        let entropy = SeededEntropy(seed: seed << 32 | round)
                        guard let left = try? KeyExchange(method, entropy: entropy),
                            let right = try? KeyExchange(method, entropy: entropy),
                            let secret = try? left.sharedSecret(with: right.publicValue),
                            let same = try? right.sharedSecret(with: left.publicValue), secret.isEqual(to: same)
                        else { continue }
                        agreed += 1
                    }
                    return agreed
                }
            }
            return await group.reduce(0, +)
        }
        #expect(agreed == 160)
    }

    @Test("threats.md C4: a public value of another length is refused", arguments: allMethods)
    func threat_C4_publicValueLengths(method: KeyExchangeMethod) throws {
        let key = try KeyExchange(method, entropy: SeededEntropy(seed: 7))
        let good = try KeyExchange(method, entropy: SeededEntropy(seed: 8)).publicValue
        let n = good.count
        for count in [0, 1, n / 2, n - 1, n + 1, 2 * n, 10 * n] {
            let value = Array((0..<11).flatMap { _ in good }.prefix(count))
            #expect(throws: CryptoError.badLength) { _ = try key.sharedSecret(with: value).count }
        }
        #expect(throws: CryptoError.badLength) { _ = try key.sharedSecret(with: [0] + good).count }
        #expect(throws: Never.self) { _ = try key.sharedSecret(with: good).count }
    }

    @Test("threats.md C4: a private value of another length is refused", arguments: allMethods)
    func threat_C4_privateValueLengths(method: KeyExchangeMethod) throws {
        let n = try #require(KeyExchange.rows[method]).privateValueLength
        for count in [0, n - 1, n + 1, 10 * n] {
            #expect(throws: CryptoError.badLength) {
                _ = try KeyExchange(method, privateValue: SeededEntropy(seed: 1).secret(count)).publicValue
            }
        }
    }

    @Test("RFC 6989: MODP values outside 1 < y < p-1 are refused")
    func rfc6989_modp() throws {
        for (method, text) in rfc3526Primes + namedPrimes {
            let key = try KeyExchange(method, entropy: SeededEntropy(seed: 9))
            let p = octets(text)
            func value(_ change: (inout [UInt8]) -> Void) -> [UInt8] {
                var copy = p
                change(&copy)
                return copy
            }
            let zero = [UInt8](repeating: 0, count: p.count)
            var (one, two) = (zero, zero)
            one[p.count - 1] = 1
            two[p.count - 1] = 2
            let last = p.count - 1  // p ends in ff, so that p-1, p-2 and (as ...00) p+1 change few octets
            let refused = [
                zero, one, p, value { $0[last] = 0xfe }, [UInt8](repeating: 0xff, count: p.count),
                value { copy in
                    for index in copy.indices.suffix(8) { copy[index] = 0 }
                    copy[last - 8] &+= 1  // p+1
                },
            ]
            for y in refused {
                #expect(throws: CryptoError.invalidPublicValue) { _ = try key.sharedSecret(with: y).count }
            }
            for y in [two, value { $0[last] = 0xfd }] {
                #expect(throws: Never.self) { _ = try key.sharedSecret(with: y).count }
            }
            // 2^x = g^x: the generator as a public value gives our own public value.
            #expect(try key.sharedSecret(with: two).exposed() == key.publicValue)
        }
    }

    @Test("RFC 6989: points off the curve, and coordinates beyond the prime, are refused")
    func rfc6989_ecp() throws {
        for (method, _, prime) in rfc5903Curves {
            let key = try KeyExchange(method, entropy: SeededEntropy(seed: 10))
            let good = try KeyExchange(method, entropy: SeededEntropy(seed: 11)).publicValue
            let n = good.count / 2
            let (x, y) = (Array(good[..<n]), Array(good[n...]))
            var refused = [
                [UInt8](repeating: 0, count: 2 * n), [UInt8](repeating: 0xff, count: 2 * n), y + x, octets(prime) + y,
                x + octets(prime), [UInt8](repeating: 0, count: n) + y,
            ]
            for bit in stride(from: 0, to: 16 * n, by: 7) {
                var value = good
                value[bit / 8] ^= 0x80 >> UInt8(bit % 8)
                refused.append(value)
            }
            for value in refused {
                #expect(throws: CryptoError.invalidPublicValue) { _ = try key.sharedSecret(with: value).count }
            }
            // A public value of another curve, cut or padded to this length.
            let other = try KeyExchange(method == .ecp256 ? .ecp384 : .ecp256, entropy: SeededEntropy(seed: 12)).publicValue
            let foreign = Array((other + [UInt8](repeating: 0, count: 2 * n)).prefix(2 * n))
            #expect(throws: CryptoError.invalidPublicValue) { _ = try key.sharedSecret(with: foreign).count }
        }
    }

    @Test("A private value of zero, of the order and beyond is no key")
    func privateValueRange() throws {
        for (method, order, _) in rfc5903Curves {
            let n = octets(order)
            var (one, last) = ([UInt8](repeating: 0, count: n.count), n)
            one[n.count - 1] = 1
            last[n.count - 1] -= 1
            for value in [[UInt8](repeating: 0, count: n.count), n, [UInt8](repeating: 0xff, count: n.count)] {
                #expect(throws: CryptoError.badLength) {
                    _ = try KeyExchange(method, privateValue: SecretOctets(copying: value)).publicValue
                }
            }
            for value in [one, last] {
                #expect(throws: Never.self) { _ = try KeyExchange(method, privateValue: SecretOctets(copying: value)).publicValue }
            }
            // n-1 is the inverse of 1: the same x, the other y.
            let (left, right) = (
                try KeyExchange(method, privateValue: SecretOctets(copying: one)).publicValue,
                try KeyExchange(method, privateValue: SecretOctets(copying: last)).publicValue
            )
            #expect(left.prefix(n.count) == right.prefix(n.count))
            #expect(left != right)
        }
    }

    @Test("RFC 7748 section 6.1: points of low order are refused", arguments: lowOrderPoints)
    func rfc7748_6_1_lowOrder(point: String) throws {
        let key = try KeyExchange(.x25519, entropy: SeededEntropy(seed: 13))
        #expect(throws: CryptoError.invalidPublicValue) { _ = try key.sharedSecret(with: octets(point)).count }
    }

    @Test("RFC 7748 section 6.2: points of low order are refused", arguments: lowOrderPoints448)
    func rfc7748_6_2_lowOrder(point: String) throws {
        let key = try KeyExchange(.x448, entropy: SeededEntropy(seed: 13))
        #expect(throws: CryptoError.invalidPublicValue) { _ = try key.sharedSecret(with: octets(point)).count }
    }

    @Test("threats.md C5: refused values leave nothing in the library's error queue")
    func threat_C5_errorQueue() throws {
        ERR_clear_error()
        for method in allMethods {
            let key = try KeyExchange(method, entropy: SeededEntropy(seed: 14))
            let zero = [UInt8](repeating: 0, count: key.publicValue.count)
            #expect(throws: CryptoError.invalidPublicValue) { _ = try key.sharedSecret(with: zero).count }
            #expect(ERR_peek_error() == 0, "\(method)")
        }
        for suite in ProtectionSuite.all {
            var opener = try suite.cipher(.open, seed: 15)
            var record = suite.record(blocks: 4, seed: 16)
            record.icv = [UInt8](repeating: 0, count: suite.icvLength)
            #expect(opener.open(&record) == false)
            #expect(ERR_peek_error() == 0, "\(suite)")
        }
    }

    @Test("Wycheproof X25519", .enabled(if: VectorFolder.isPresent, VectorFolder.absence))
    func wycheproof_x25519() throws {
        try Wycheproof("x25519").forEach("x25519") { _, row in
            let key = try KeyExchange(.x25519, privateValue: secret(row.private ?? "-"))
            let shared = try? key.sharedSecret(with: octets(row.public ?? "-")).exposed()
            if row.flags.contains("ZeroSharedSecret") {
                #expect(shared == nil, "x25519 row \(row.tcId)")
                return .otherwise("an all-zero secret is refused, RFC 8031 section 3.1 and RFC 7748 section 6.1 (the row: acceptable)")
            }
            #expect(shared == octets(row.shared ?? "-"), "x25519 row \(row.tcId): \(row.comment)")
            return .asTheRowSays
        }
    }

    @Test(
        "Wycheproof ECDH", .enabled(if: VectorFolder.isPresent, VectorFolder.absence),
        arguments: [("ecdh_secp256r1_ecpoint", KeyExchangeMethod.ecp256, 32), ("ecdh_secp384r1_ecpoint", .ecp384, 48)])
    func wycheproof_ecdh(file: String, method: KeyExchangeMethod, length: Int) throws {
        try Wycheproof(file).forEach(file) { _, row in
            // The rows' private values are DER integers: with a leading zero, or shorter.
            let digits = octets(row.private ?? "-").drop { $0 == 0 }
            let padded = [UInt8](repeating: 0, count: length - digits.count) + digits
            let key = try KeyExchange(method, privateValue: SecretOctets(copying: padded))
            // IKE leaves out the first octet, which says "uncompressed" (RFC 5903 section 7); without it there is nothing to leave out.
            let point = octets(row.public ?? "-")
            let isUncompressed = point.first == 0x04
            let shared = try? key.sharedSecret(with: isUncompressed ? Array(point.dropFirst()) : point).exposed()
            if row.result == .acceptable {
                #expect(!isUncompressed && shared == nil, "\(file) row \(row.tcId)")
                return .otherwise("IKE has no compressed points, RFC 5903 section 7 (the row: acceptable)")
            }
            #expect(shared == (row.result == .valid ? octets(row.shared ?? "-") : nil), "\(file) row \(row.tcId): \(row.comment)")
            return .asTheRowSays
        }
    }
}

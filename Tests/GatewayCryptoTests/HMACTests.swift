import Testing
import Wire

@testable import GatewayCrypto

@Suite("HMAC, PRF and digests")
struct HMACTests {
    @Test("RFC 2202, RFC 4231, RFC 4868, RFC 3566, RFC 4434", arguments: HMACVector.all + HMACVector.named)
    func rfc4231_rfc4868_hmac(vector: HMACVector) throws {
        let prf = try #require(PRF(vector.prf))
        let result = try prf(key: secret(vector.key), octets(vector.data)).exposed()
        let expected = octets(vector.result)
        #expect(expected.count >= 10)
        #expect(Array(result.prefix(expected.count)) == expected)
        #expect(result.count == prf.outputLength)
        let again = try prf(key: secret(vector.key), secret(vector.data))
        #expect(again.exposed() == result)
    }

    @Test("RFC 4868, RFC 2404, RFC 2403 and RFC 3566: keys as long as the hash, results cut")
    func rfc4868_lengths() throws {
        let expected: [(IntegrityAlgorithm, key: Int, icv: Int)] = [
            (.hmacSHA1_96, 20, 12), (.hmacSHA256_128, 32, 16), (.hmacSHA384_192, 48, 24), (.hmacSHA512_256, 64, 32),
            (.hmacMD5_96, 16, 12), (.aesXCBC_96, 16, 12),
        ]
        #expect(MACRow.all.count == expected.count)
        for (number, key, icv) in expected {
            let row = try #require(MACRow.all.first { $0.number == number })
            #expect(row.function.keyLength == key)
            #expect(row.icvLength == icv)
        }
    }

    @Test(
        "prf+ is T1 | T2 | ..., RFC 7296 section 2.13",
        arguments: [PseudorandomFunction.hmacMD5, .hmacSHA1, .aesXCBC, .hmacSHA256, .hmacSHA384, .hmacSHA512])
    func rfc7296_2_13_prfPlus(number: PseudorandomFunction) throws {
        let prf = try #require(PRF(number))
        let key = secret("000102030405060708090a0b0c0d0e0f")
        let seed: [UInt8] = Array("a seed".utf8)
        let all = 255 * prf.outputLength
        var expected: [UInt8] = []
        var block: [UInt8] = []
        for number in 1...255 {
            block = try prf(key: key, block + seed + [UInt8(number)]).exposed()
            expected += block
        }
        for count in [0, 1, prf.outputLength - 1, prf.outputLength, prf.outputLength + 1, 3 * prf.outputLength, all - 1, all] {
            let octets = try prf.plus(key: key, seed: seed, count: count)
            #expect(octets.exposed() == Array(expected.prefix(count)))
        }
        for count in [-1, all + 1, Int.max] {
            #expect(throws: CryptoError.exhausted) { _ = try prf.plus(key: key, seed: seed, count: count).count }
        }
    }

    @Test("What is not in the table is refused")
    func threat_C1_unknownFunctions() {
        for number in [0, 3, 8, 9, 1025, 65535] as [UInt16] {
            #expect(PRF(PseudorandomFunction(rawValue: number)) == nil)
        }
        #expect(PRF(.hmacSHA256) == PRF(.hmacSHA256))
        #expect(PRF(.hmacSHA256) != PRF(.hmacSHA384))
    }

    @Test("RFC 7296 section 2.14: of the nonces AES-XCBC takes 64 bits each, the others all")
    func rfc7296_2_14_nonceKey() throws {
        let (initiator, responder) = (SeededEntropy(seed: 1).octets(32), SeededEntropy(seed: 2).octets(17))
        let xcbc = try #require(PRF(.aesXCBC))
        #expect(xcbc.nonceKey(initiator: initiator, responder: responder).exposed() == Array(initiator.prefix(8)) + Array(responder.prefix(8)))
        for number in [PseudorandomFunction.hmacMD5, .hmacSHA1, .hmacSHA512] {
            let prf = try #require(PRF(number))
            #expect(prf.nonceKey(initiator: initiator, responder: responder).exposed() == initiator + responder)
        }
    }

    @Test("AES-XCBC takes its message in any pieces")
    func rfc3566_pieces() throws {
        let prf = try #require(PRF(.aesXCBC))
        let key = SeededEntropy(seed: 4).octets(16)
        var mac = try XCBC(key: SecretOctets(copying: key))
        let sizes = SeededEntropy(seed: 5)
        print("seed 5")
        for length in [0, 1, 15, 16, 17, 31, 32, 33, 511, 512, 513, 528, 529, 1025, 4096] {
            let message = SeededEntropy(seed: UInt64(length)).octets(length)
            let expected = try prf(key: SecretOctets(copying: key), message).exposed()
            for _ in 0..<20 {
                #expect(mac.begin() == true)
                var rest = message[...]
                while !rest.isEmpty {
                    let count = min(rest.count, Int(sizes.octets(1)[0]) % 40)
                    let done = Array(rest.prefix(count)).withUnsafeBytes { mac.absorb($0) }
                    #expect(done)
                    rest = rest.dropFirst(count)
                }
                #expect(mac.finish() == true)
                var result = [UInt8](repeating: 0, count: 16)
                let copied = result.withUnsafeMutableBytes { mac.copyResult(into: $0) }
                #expect(copied && result == expected)
            }
        }
    }

    @Test("FIPS 180-4 examples: the empty string and \"abc\"")
    func digests() {
        #expect(Digest.sha1([]).hexadecimal == "da39a3ee5e6b4b0d3255bfef95601890afd80709")
        #expect(Digest.sha1(Array("abc".utf8)).hexadecimal == "a9993e364706816aba3e25717850c26c9cd0d89d")
        #expect(Digest.sha256([]).hexadecimal == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(
            Digest.sha256(Array("abc".utf8)).hexadecimal == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            Digest.sha384(Array("abc".utf8)).hexadecimal
                == "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7")
        #expect(
            Digest.sha512(Array("abc".utf8)).hexadecimal
                == "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                + "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f")
    }

    @Test("A keyed HMAC takes its parts in order, again and again")
    func keyedHMAC() throws {
        let key = secret("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b")
        var mac = try KeyedHMAC(sha256: key)
        let expected = octets("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
        let (hi, there): ([UInt8], [UInt8]) = (Array("Hi ".utf8), Array("There".utf8))
        for _ in 0..<3 {
            var result = [UInt8](repeating: 0, count: 32)
            let done = result.withUnsafeMutableBytes { into in
                hi.withUnsafeBytes { hi in there.withUnsafeBytes { there in mac.compute(hi, there, into: into) } }
            }
            #expect(done)
            #expect(result == expected)
        }
    }

    @Test("threats.md C4: a MAC never writes beyond its result", arguments: [0, 1, 31, 32, 33, 320])
    func threat_C4_keyedHMACLengths(length: Int) throws {
        var mac = try KeyedHMAC(sha256: secret("00"))
        var room = [UInt8](repeating: 0xa5, count: length + 64)
        let data: [UInt8] = [1, 2, 3]
        let done = room.withUnsafeMutableBytes { room in
            data.withUnsafeBytes { mac.compute($0, into: UnsafeMutableRawBufferPointer(rebasing: room[0..<length])) }
        }
        #expect(done == (length <= 32))
        #expect(room[length...].allSatisfy { $0 == 0xa5 })
        if !done { #expect(room.allSatisfy { $0 == 0xa5 }) }
    }

    @Test(
        "Wycheproof HMAC", .enabled(if: VectorFolder.isPresent, VectorFolder.absence),
        arguments: [
            ("hmac_sha1", PseudorandomFunction.hmacSHA1), ("hmac_sha256", .hmacSHA256), ("hmac_sha384", .hmacSHA384),
            ("hmac_sha512", .hmacSHA512),
        ])
    func wycheproof_hmac(file: String, number: PseudorandomFunction) throws {
        let prf = try #require(PRF(number))
        try Wycheproof(file).forEach(file) { group, row in
            let expected = octets(row.tag ?? "-")
            #expect(expected.count * 8 == group.tagSize)
            let result = try prf(key: secret(row.key ?? "-"), octets(row.msg ?? "-")).exposed()
            let fits = Array(result.prefix(expected.count)) == expected
            #expect(fits == (row.result == .valid), "\(file) row \(row.tcId): \(row.comment)")
            return .asTheRowSays
        }
    }
}

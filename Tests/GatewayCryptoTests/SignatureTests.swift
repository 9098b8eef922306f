import COpenSSL
import Testing
import Wire

@testable import GatewayCrypto

@Suite("Signatures")
struct SignatureTests {
    private let message = Array("octets that are signed".utf8)

    @Test("RFC 7427 appendix A, RFC 8420: AlgorithmIdentifiers octet for octet")
    func rfc7427_A_algorithmIdentifiers() throws {
        for (scheme, text) in algorithmIdentifiers {
            #expect(SignatureScheme.of(algorithmIdentifier: octets(text)) == scheme, "\(scheme) \(text)")
        }
        #expect(SignatureScheme.digitalSignatures.count == 10)
        for scheme in SignatureScheme.digitalSignatures {
            #expect(scheme.method == 14)
            #expect(algorithmIdentifiers.contains { $0.scheme == scheme && octets($0.identifier) == scheme.algorithmIdentifiers.first })
            // RFC 4055: NULL and nothing mean the same; four ways to write RSA-PSS.
            let count = scheme.family == .rsaPSS ? 4 : scheme.family == .rsaPKCS1 ? 2 : 1
            #expect(Set(scheme.algorithmIdentifiers).count == count)
        }
    }

    @Test("threats.md C7: an AlgorithmIdentifier outside the list is refused, every changed octet too")
    func threat_C7_algorithmIdentifiers() {
        for (why, text) in refusedAlgorithmIdentifiers {
            let identifier = octets(text)
            #expect(SignatureScheme.of(algorithmIdentifier: identifier) == nil, "\(why)")
            #expect(throws: SignatureError.unknownAlgorithm, "\(why)") {
                try DigitalSignature(parsing: [UInt8(identifier.count)] + identifier + [1, 2, 3])
            }
        }
        let listed = Set(SignatureScheme.digitalSignatures.flatMap(\.algorithmIdentifiers))
        for identifier in listed {
            #expect(SignatureScheme.of(algorithmIdentifier: identifier + [0]) == nil)
            #expect(SignatureScheme.of(algorithmIdentifier: Array(identifier.dropLast())) == nil)
            for bit in 0..<identifier.count * 8 {
                var changed = identifier
                changed[bit / 8] ^= 1 << UInt8(bit % 8)
                let found = SignatureScheme.of(algorithmIdentifier: changed)
                // One bit makes SHA-256 of SHA-384's neighbours; anything else is nothing.
                #expect(found == nil || listed.contains(changed))
            }
        }
    }

    @Test("RFC 7427 section 3: length, AlgorithmIdentifier, signature", arguments: SignatureScheme.digitalSignatures)
    func rfc7427_3_authenticationData(scheme: SignatureScheme) throws {
        let signature = SeededEntropy(seed: 1).octets(256)
        let data = try #require(DigitalSignature(scheme: scheme, signature: signature).encoded)
        #expect(Int(data[0]) == scheme.algorithmIdentifiers[0].count)
        let parsed = try DigitalSignature(parsing: data)
        #expect(parsed.scheme == scheme && parsed.signature == signature)
        for count in 0...Int(data[0]) + 1 {
            #expect(throws: SignatureError.malformed) { try DigitalSignature(parsing: Array(data.prefix(count))) }
        }
        #expect(DigitalSignature(scheme: .method9, signature: signature).encoded == nil)
    }

    @Test("RFC 7427 section 4: the hashes of a notify")
    func rfc7427_4_hashAlgorithms() throws {
        #expect(SignatureHashAlgorithm.encoded() == [0, 2, 0, 3, 0, 4, 0, 5])
        let list = try SignatureHashAlgorithm.list(parsing: [0, 1, 0, 2, 0xff, 0xff])
        #expect(list == [.sha1, .sha256, SignatureHashAlgorithm(rawValue: 65535)])
        #expect(try SignatureHashAlgorithm.list(parsing: []) == [])
        #expect(throws: WireError.truncated) { try SignatureHashAlgorithm.list(parsing: [0, 1, 0]) }
        #expect(try SignatureHashAlgorithm.list(parsing: [UInt8](repeating: 7, count: 65534)).count == 64)
    }

    @Test("RFC 4754, RFC 8032: what they signed verifies, and what we sign does", arguments: SignatureVector.concatenated + SignatureVector.ed25519)
    func rfc4754_rfc8032(vector: SignatureVector) throws {
        let key = try PublicKey(subjectPublicKeyInfo: vector.subjectPublicKeyInfo)
        let message = octets(vector.message)
        try key.verify(octets(vector.signature), over: message, by: vector.scheme)
        let own = try PrivateKey(SecretOctets(copying: vector.privateKeyFile))
        #expect(own.publicKey == key)
        let signature = try own.sign(message, by: vector.scheme)
        #expect(signature.count == octets(vector.signature).count)
        try key.verify(signature, over: message, by: vector.scheme)
        if vector.scheme == .ed25519 { #expect(signature == octets(vector.signature)) }
        #expect(!key.accepts(octets(vector.signature), over: message + [0], by: vector.scheme))
        // r and s the other way round, and the same numbers in DER.
        if vector.scheme != .ed25519 {
            let (r, s) = (octets(vector.signature).prefix(signature.count / 2), octets(vector.signature).suffix(signature.count / 2))
            #expect(!key.accepts(Array(s + r), over: message, by: vector.scheme))
            let inDER = DER.sequence(DER.integer(r) + DER.integer(s))
            #expect(!key.accepts(inDER, over: message, by: vector.scheme))
            let hashed = try #require(SignatureScheme.digitalSignatures.first { $0.family == .ecdsa && $0.hash == vector.scheme.hash })
            #expect(key.accepts(inDER, over: message, by: hashed))
            #expect(!key.accepts(octets(vector.signature), over: message, by: hashed))
        }
    }

    @Test("Every key signs by every scheme of its kind, and no other scheme takes the signature", arguments: SignatureScheme.all)
    func schemes(scheme: SignatureScheme) throws {
        var fitting = 0
        for (name, key) in TestKey.all {
            let (own, theirs) = (try key.privateKey(), try key.publicKey())
            #expect(own.publicKey == theirs)
            guard scheme.fits(theirs.kind) else {
                #expect(throws: SignatureError.wrongKey) { _ = try own.sign(message, by: scheme) }
                #expect(throws: SignatureError.wrongKey) { try theirs.verify([1], over: message, by: scheme) }
                continue
            }
            fitting += 1
            let signature = try own.sign(message, by: scheme)
            try theirs.verify(signature, over: message, by: scheme)
            for other in SignatureScheme.all where other != scheme {
                #expect(!theirs.accepts(signature, over: message, by: other), "\(name): \(scheme) taken as \(other)")
            }
            #expect(!theirs.accepts(signature, over: message.dropLast() + [0], by: scheme))
            #expect(!theirs.accepts(signature, over: [], by: scheme))
        }
        #expect(fitting == (scheme.family == .ecdsa ? 3 : 1))
    }

    @Test("threats.md C4, C6: every changed bit and every other length of a signature is refused", arguments: SignatureScheme.all)
    func threat_C6_everyBit(scheme: SignatureScheme) throws {
        let key = try #require(TestKey.all.first { _, key in (try? key.publicKey().kind).map(scheme.fits) == true }).key
        let theirs = try key.publicKey()
        let signature = try key.privateKey().sign(message, by: scheme)
        ERR_clear_error()
        for bit in 0..<signature.count * 8 {
            var changed = signature
            changed[bit / 8] ^= 0x80 >> UInt8(bit % 8)
            #expect(throws: SignatureError.invalid) { try theirs.verify(changed, over: message, by: scheme) }
        }
        let n = signature.count
        for count in [0, 1, n / 2, n - 1, n + 1, 2 * n, 10 * n] {
            let other = Array((0..<11).flatMap { _ in signature }.prefix(count))
            #expect(throws: SignatureError.invalid) { try theirs.verify(other, over: message, by: scheme) }
        }
        #expect(!theirs.accepts([0] + signature, over: message, by: scheme))
        #expect(!theirs.accepts(signature + [0], over: message, by: scheme))
        for octet in [0, 1, 0xff] as [UInt8] {
            #expect(!theirs.accepts([UInt8](repeating: octet, count: n), over: message, by: scheme))
        }
        #expect(ERR_peek_error() == 0)
        #expect(theirs.accepts(signature, over: message, by: scheme))
    }

    @Test("threats.md C7: PKCS#1 v1.5 blocks that are nearly right are refused")
    func threat_C7_pkcs1() throws {
        let key = TestKey.rsa2048
        let theirs = try key.publicKey()
        let digest = Digest.sha256(message)
        let prefix = octets("3031300d060960864801650304020105000420")
        func block(_ tail: [UInt8], type: UInt8 = 1, filler: UInt8 = 0xff, separator: UInt8 = 0, fill: Int? = nil) -> [UInt8] {
            let count = fill ?? 256 - 3 - tail.count
            return [0, type] + [UInt8](repeating: filler, count: count) + [separator] + tail
        }
        func padded(_ block: [UInt8]) -> [UInt8] { block + [UInt8](repeating: 0x2a, count: 256 - block.count) }
        // The forger's tool: it can make a good one.
        #expect(theirs.accepts(key.power(block(prefix + digest)), over: message, by: .rsaSHA256))

        let refused: [(String, [UInt8])] = [
            ("octets behind the DigestInfo", padded(block(prefix + digest, fill: 8))),
            ("one octet behind it", block(prefix + digest + [0])),
            ("octets inside the SEQUENCE", block(octets("3033300d060960864801650304020105000420") + digest + [0x05, 0x00])),
            ("octets inside the AlgorithmIdentifier", block(octets("3033300f0609608648016503040201050005000420") + digest)),
            ("a NULL that is not empty", block(octets("3033300f06096086480165030402010502aaaa0420") + digest)),
            ("no NULL", block(octets("302f300b06096086480165030402010420") + digest)),
            ("a hash longer than the digest", block(octets("3032300d060960864801650304020105000421") + digest + [0])),
            ("a hash twice as long", block(octets("3051300d060960864801650304020105000440") + digest + digest)),
            ("a hash shorter than the digest", block(octets("3030300d06096086480165030402010500041f") + digest.dropLast())),
            ("a hash of 20 octets", block(octets("3025300d060960864801650304020105000414") + digest.prefix(20))),
            ("a hash of nothing", block(octets("3011300d060960864801650304020105000400"))),
            ("a hash whose length lies", block(octets("3031300d06096086480165030402010500041f") + digest)),
            ("SHA-512's name over SHA-256's digest", block(octets("3031300d060960864801650304020305000420") + digest)),
            ("SHA-1's name over SHA-256's digest", block(octets("302d300906052b0e03021a05000420") + digest)),
            ("the digest of SHA-1", block(octets("3021300906052b0e03021a05000414") + Digest.sha1(message))),
            ("the digest without a name", block(digest)),
            ("lengths in two octets", block(octets("308131300d060960864801650304020105000420") + digest)),
            ("an indefinite length", block(octets("3080300d060960864801650304020105000420") + digest + [0, 0])),
            ("padding for encryption", block(prefix + digest, type: 2)),
            ("padding of type 0", block(prefix + digest, type: 0, filler: 0)),
            ("padding of other octets", block(prefix + digest, filler: 0xfe)),
            ("no separator", block(prefix + digest, separator: 0xff)),
            ("no padding", padded(block(prefix + digest, fill: 0))),
            ("padding shorter by one", [0] + block(prefix + digest).dropLast()),
            ("all of it nothing", [UInt8](repeating: 0, count: 256)),
        ]
        for (why, block) in refused {
            #expect(block.count == 256, "\(why)")
            #expect(throws: SignatureError.invalid, "\(why)") { try theirs.verify(key.power(block), over: message, by: .rsaSHA256) }
        }
        // The same for the hash of method 1.
        let sha1 = octets("3021300906052b0e03021a05000414") + Digest.sha1(message)
        #expect(theirs.accepts(key.power(block(sha1)), over: message, by: .method1))
        for (why, tail) in [("no NULL", octets("301f300706052b0e03021a0414") + Digest.sha1(message)), ("an octet more", sha1 + [0])] {
            #expect(!theirs.accepts(key.power(block(tail)), over: message, by: .method1), "\(why)")
        }
    }

    @Test("threats.md C7: RSA-PSS with another salt length or another mask is refused")
    func threat_C7_pss() throws {
        let key = TestKey.rsa2048
        let theirs = try key.publicKey()
        for (scheme, hash, length) in [(SignatureScheme.pssSHA256, "SHA2-256", 32), (.pssSHA384, "SHA2-384", 48), (.pssSHA512, "SHA2-512", 64)] {
            #expect(theirs.accepts(key.pss(message, hash: hash, mask: hash, salt: Int32(length)), over: message, by: scheme))
            for salt in [0, 20, length - 1, length + 1, 256 - length - 2] as [Int] {
                let signature = key.pss(message, hash: hash, mask: hash, salt: Int32(salt))
                #expect(throws: SignatureError.invalid, "salt \(salt)") { try theirs.verify(signature, over: message, by: scheme) }
            }
            for mask in ["SHA1", "SHA2-256", "SHA2-384", "SHA2-512"] where mask != hash {
                let signature = key.pss(message, hash: hash, mask: mask, salt: Int32(length))
                #expect(throws: SignatureError.invalid, "mask \(mask)") { try theirs.verify(signature, over: message, by: scheme) }
            }
        }
    }

    @Test("features.md X-7: what we sign with, by what the peer says")
    func x7_choice() throws {
        func choice(_ key: TestKey, _ hashes: [SignatureHashAlgorithm]?, pss: Bool = false) throws -> SignatureScheme? {
            try key.publicKey().scheme(peerHashes: hashes, preferringPSS: pss)
        }
        let all: [SignatureHashAlgorithm] = [.sha1, .sha256, .sha384, .sha512, .identity]
        #expect(try choice(.rsa2048, all) == .rsaSHA256 && choice(.rsa2048, all, pss: true) == .pssSHA256)
        #expect(try choice(.rsa2048, [.sha512]) == .rsaSHA512 && choice(.rsa2048, [.sha384], pss: true) == .pssSHA384)
        #expect(try choice(.p256, all) == .ecdsaSHA256 && choice(.p384, all) == .ecdsaSHA384 && choice(.p521, all) == .ecdsaSHA512)
        #expect(try choice(.p384, [.sha256]) == .ecdsaSHA256 && choice(.ed25519, all) == .ed25519)
        #expect(try choice(.rsa2048, nil) == .method1 && choice(.rsa2048, nil, pss: true) == .method1)
        #expect(try choice(.p256, nil) == .method9 && choice(.p384, nil) == .method10 && choice(.p521, nil) == .method11)
        #expect(try choice(.ed25519, nil) == nil && choice(.ed25519, [.sha256]) == nil)
        // SHA-1 is not signed with where anything better could have been said.
        #expect(try choice(.rsa2048, [.sha1]) == nil && choice(.p256, []) == nil)
        #expect(SignatureScheme.of(method: 1) == .method1 && SignatureScheme.of(method: 11) == .method11)
        for method in [0, 2, 3, 8, 12, 13, 14, 255] as [UInt8] { #expect(SignatureScheme.of(method: method) == nil) }
    }

    @Test("Signing and checking on many threads at once")
    func manyThreads() async throws {
        for (name, key) in TestKey.all {
            let own = try key.privateKey()
            let scheme = try #require(own.publicKey.scheme(peerHashes: SignatureHashAlgorithm.announced, preferringPSS: true))
            let right = await withTaskGroup(of: Int.self) { group in
                for task in 0..<4 as Range<UInt8> {
                    group.addTask {
                        (0..<10 as Range<UInt8>).count { round in
                            (try? own.sign([task, round], by: scheme)).map {
                                own.publicKey.accepts($0, over: [task, round], by: scheme) && !own.publicKey.accepts($0, over: [round], by: scheme)
                            } == true
                        }
                    }
                }
                return await group.reduce(0, +)
            }
            #expect(right == 40, "\(name)")
        }
    }

    @Test(
        "Wycheproof signatures", .enabled(if: VectorFolder.isPresent, VectorFolder.absence),
        arguments: [
            ("ecdsa_secp256r1_sha256", SignatureScheme.ecdsaSHA256), ("ecdsa_secp256r1_sha256_p1363", .method9),
            ("ecdsa_secp384r1_sha384", .ecdsaSHA384), ("ecdsa_secp384r1_sha384_p1363", .method10), ("ed25519", .ed25519),
            ("rsa_pss_2048_sha256_mgf1_32", .pssSHA256), ("rsa_pss_2048_sha384_mgf1_48", .pssSHA384),
            ("rsa_signature_2048_sha256", .rsaSHA256),
        ])
    func wycheproof_signatures(file: String, scheme: SignatureScheme) throws {
        try Wycheproof(file).forEach(file) { group, row in
            let der = octets(group.publicKeyDer ?? "-")
            let key: PublicKey
            do throws(KeyError) {
                key = try PublicKey(subjectPublicKeyInfo: der)
            } catch {
                #expect(error == .rsaExponent, "\(file) row \(row.tcId)")
                return .otherwise("a key with an exponent below 65537 is refused, threats.md C3 and C7")
            }
            let accepted = key.accepts(octets(row.sig ?? "-"), over: octets(row.msg ?? "-"), by: scheme)
            if row.result == .acceptable {
                #expect(!accepted, "\(file) row \(row.tcId): \(row.comment)")
                return .otherwise("a DigestInfo without NULL is refused, threats.md C7 (the row: acceptable)")
            }
            #expect(accepted == (row.result == .valid), "\(file) row \(row.tcId): \(row.comment)")
            return .asTheRowSays
        }
    }
}

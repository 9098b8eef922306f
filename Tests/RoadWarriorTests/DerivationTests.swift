import Foundation
import GatewayCrypto
import IKEMessages
import RoadWarrior
import Testing
import Wire

/// The derivations against NIST's vectors: the first case of each group, which stand with the package, and all of them where they are.
struct DerivationTests {
    /// The package's folder.
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    static let all = root.appendingPathComponent("../shared/vectors/ikev2-kdf/cavp-ikev2.txt").standardizedFileURL
    static let areAllThere = FileManager.default.fileExists(atPath: all.path)

    struct Case {
        let line: Int
        let prf: PRF
        let lengths: [String: Int]
        let values: [String: [UInt8]]
    }

    static func cases(of file: URL) throws -> [Case] {
        var prf: PRF?
        var lengths: [String: Int] = [:]
        var values: [String: [UInt8]] = [:]
        var result: [Case] = []
        var begin = 0
        func finish() {
            if let prf, values["SKEYSEED(Rekey)"] != nil {
                result.append(Case(line: begin, prf: prf, lengths: lengths, values: values))
            }
            values = [:]
        }
        for (number, line) in try String(contentsOf: file, encoding: .utf8).split(
            omittingEmptySubsequences: false, whereSeparator: \.isNewline
        ).enumerated() {
            let text = line.trimmingCharacters(in: .whitespaces)
            if text.hasPrefix("[SHA-") {
                finish()
                prf = PRF(
                    ["[SHA-1]": .hmacSHA1, "[SHA-256]": .hmacSHA256, "[SHA-384]": .hmacSHA384, "[SHA-512]": .hmacSHA512][text]
                        ?? .hmacMD5)
            } else if text.hasPrefix("["), let equals = text.firstIndex(of: "=") {
                lengths[text[text.index(after: text.startIndex)..<equals].trimmingCharacters(in: .whitespaces)] =
                    Int(text[text.index(after: equals)...].dropLast().trimmingCharacters(in: .whitespaces))
            } else if text.hasPrefix("COUNT") {
                finish()
                begin = number + 1
            } else if let equals = text.firstIndex(of: "="), !text.hasPrefix("#") {
                values[text[..<equals].trimmingCharacters(in: .whitespaces)] = [UInt8](
                    hexadecimal: text[text.index(after: equals)...])
            }
        }
        finish()
        return result
    }

    @Test func RFC7296_2_14_NISTVectors() throws {
        #expect(try derive(Self.root.appendingPathComponent("Tests/Vectors/cavp-ikev2.txt")) == 9)
    }

    @Test(.enabled(if: areAllThere, "needs the folder shared/vectors beside the package; the package's own vectors ran"))
    func RFC7296_2_14_allNISTVectors() throws {
        #expect(try derive(Self.all) == 900)
    }

    /// Derives every case of a file, and says how many there were.
    private func derive(_ file: URL) throws -> Int {
        let cases = try Self.cases(of: file)
        for row in cases {
            func value(_ name: String) throws -> [UInt8] { try #require(row.values[name], "line \(row.line): \(name)") }
            let (ni, nr) = (try value("Ni"), try value("Nr"))
            let shared = SecretOctets(copying: try value("g^ir"))
            let seed = try Derivation.seed(row.prf, initiatorNonce: ni, responderNonce: nr, shared: shared)
            #expect(seed.exposed() == (try value("SKEYSEED")), "line \(row.line)")
            let expected = try value("DKM")
            func spi(_ name: String) throws -> IKESPI { try value(name).reduce(0) { $0 << 8 | UInt64($1) } }
            let material = try Derivation.material(
                row.prf, seed: seed, initiatorNonce: ni, responderNonce: nr, initiatorSPI: spi("SPIi"),
                responderSPI: spi("SPIr"), count: expected.count)
            #expect(material.exposed() == expected, "line \(row.line)")
            let key = try material.slice(0..<row.prf.keyLength)
            let child = try value("DKM(Child SA)")
            let plain = try Derivation.childMaterial(
                row.prf, derivation: key, initiatorNonce: ni, responderNonce: nr, count: child.count)
            #expect(plain.exposed() == child, "line \(row.line)")
            let fresh = try value("DKM(Child SA D-H)")
            let withExchange = try Derivation.childMaterial(
                row.prf, derivation: key, shared: SecretOctets(copying: value("g^ir (new)")), initiatorNonce: ni,
                responderNonce: nr, count: fresh.count)
            #expect(withExchange.exposed() == fresh, "line \(row.line)")
            let rekeyed = try Derivation.rekeyedSeed(
                row.prf, derivation: key, shared: SecretOctets(copying: value("g^ir (new)")), initiatorNonce: ni, responderNonce: nr)
            #expect(rekeyed.exposed() == (try value("SKEYSEED(Rekey)")), "line \(row.line)")
        }
        return cases.count
    }
}

struct FixedKeyTests {
    /// RFC 7296 section 2.14: a PRF with keys of one length takes the first 64 bits of each nonce.
    @Test func RFC7296_2_14_seedByAESXCBC() throws {
        let prf = try #require(PRF(.aesXCBC))
        let (ni, nr) = ([UInt8](1...32), [UInt8](101...116))
        let shared = SecretOctets(copying: [UInt8](repeating: 7, count: 32))
        let seed = try Derivation.seed(prf, initiatorNonce: ni, responderNonce: nr, shared: shared)
        let other = try Derivation.seed(
            prf, initiatorNonce: Array(ni.prefix(8)) + [0, 0], responderNonce: Array(nr.prefix(8)), shared: shared)
        let expected = try prf(key: SecretOctets(copying: Array(ni.prefix(8) + nr.prefix(8))), shared)
        #expect(seed.exposed() == expected.exposed() && seed.exposed() == other.exposed())
    }
}

struct ProposalTextTests {
    @Test func defaultsAreWhatTheySay() {
        #expect(ProposalText.ikeDefault.count == 2 && ProposalText.espDefault.count == 2)
        #expect(ProposalText.ikeDefault.allSatisfy { proposal in proposal.transforms.contains { $0.type == .keyExchange } })
        #expect(
            ProposalText.espDefault.allSatisfy { proposal in
                proposal.transforms.filter { $0.type == .sequenceNumbers }.map(\.id) == [1, 0]
            })
    }

    @Test func transformsInOrder() throws {
        let proposal = try #require(try ProposalText.ike("aes256-aes128-sha256-sha1-x25519-modp2048").first)
        func ids(_ type: TransformType) -> [UInt16] { proposal.transforms.filter { $0.type == type }.map(\.id) }
        #expect(proposal.transforms.filter { $0.type == .encryption }.map(\.keyLength) == [256, 128])
        #expect(ids(.integrity) == [12, 2] && ids(.pseudorandomFunction) == [5, 2] && ids(.keyExchange) == [31, 14])
    }

    @Test(arguments: [
        "", "aes256", "aes256-sha256", "aes256gcm16-x25519", "sha256-x25519", "aes256-aes128gcm16-sha256-x25519",
        "aes512-sha256-x25519", "aes256-sha256-x25519,rot13-sha256-x25519", "aes-sha257-x25519",
    ])
    func faultsAreNamed(text: String) {
        #expect(throws: ProposalText.Fault.self) { try ProposalText.ike(text) }
    }
}

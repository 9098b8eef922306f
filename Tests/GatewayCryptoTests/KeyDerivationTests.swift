import Testing
import Wire

@testable import GatewayCrypto

@Suite("IKEv2 key derivation, RFC 7296 sections 2.14, 2.17 and 2.18")
struct KeyDerivationTests {
    @Test("NIST CAVP, the first case of each group")
    func rfc7296_2_14_excerpt() throws {
        #expect(try run(VectorFolder.own("cavp-ikev2.txt")) == 9)
    }

    @Test("NIST CAVP, all 900 cases", .enabled(if: VectorFolder.isPresent, VectorFolder.absence))
    func rfc7296_2_14_cavp() throws {
        #expect(try run(VectorFolder.text("ikev2-kdf/cavp-ikev2.txt")) == 900)
    }

    /// Answers every case of a file, and says how many there were.
    private func run(_ text: String) throws -> Int {
        var headings: [Substring] = []
        var fields: [String: [UInt8]] = [:]
        var number = 0
        var cases = 0
        let lines: [Substring] = text.split(whereSeparator: \.isNewline) + ["[end]"]
        for line in lines {
            if line.hasPrefix("[") || line.hasPrefix("COUNT") {
                if !fields.isEmpty {
                    try check(fields, headings, "\(headings.joined(separator: " ")) COUNT = \(number)")
                    fields = [:]
                    cases += 1
                }
                if line.hasPrefix("COUNT") {
                    number = try #require(Int(line.split(separator: " ").last ?? ""))
                } else {
                    if headings.count == 6 { headings = [] }
                    headings.append(line)
                }
            } else if !line.hasPrefix("#") {
                let parts = line.split(separator: "=", maxSplits: 1)
                try #require(parts.count == 2, "\(line)")
                fields[parts[0].trimmingSuffix()] = octets(String(parts[1]))
            }
        }
        return cases
    }

    private func check(_ fields: [String: [UInt8]], _ headings: [Substring], _ name: String) throws {
        let functions: [Substring: PseudorandomFunction] = [
            "[SHA-1]": .hmacSHA1, "[SHA-256]": .hmacSHA256, "[SHA-384]": .hmacSHA384, "[SHA-512]": .hmacSHA512,
        ]
        let prf = try #require(headings.lazy.compactMap { functions[$0] }.first.flatMap(PRF.init), "\(name)")
        func field(_ key: String) throws -> [UInt8] { try #require(fields[key], "\(name) \(key)") }

        let nonces = SecretOctets(copying: try field("Ni") + field("Nr"))
        let spis = try field("SPIi") + field("SPIr")
        let seed = nonces.exposed()

        let skeyseed = try prf(key: nonces, SecretOctets(copying: field("g^ir")))
        #expect(try skeyseed.isEqual(to: field("SKEYSEED")) == true, "\(name) SKEYSEED")

        let dkm = try prf.plus(key: skeyseed, seed: seed + spis, count: field("DKM").count)
        #expect(try dkm.isEqual(to: field("DKM")) == true, "\(name) DKM")

        let skD = try dkm.slice(0..<prf.keyLength)
        let child = try prf.plus(key: skD, seed: seed, count: field("DKM(Child SA)").count)
        #expect(try child.isEqual(to: field("DKM(Child SA)")), "\(name) DKM(Child SA)")

        var withSecret = SecretOctets(copying: try field("g^ir (new)"))
        withSecret.append(nonces)
        let childPFS = try prf.plus(key: skD, seed: withSecret, count: field("DKM(Child SA D-H)").count)
        #expect(try childPFS.isEqual(to: field("DKM(Child SA D-H)")), "\(name) DKM(Child SA D-H)")

        let rekeyed = try prf(key: skD, withSecret)
        #expect(try rekeyed.isEqual(to: field("SKEYSEED(Rekey)")), "\(name) SKEYSEED(Rekey)")
    }
}

extension Substring {
    fileprivate func trimmingSuffix() -> String {
        var text = self
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}

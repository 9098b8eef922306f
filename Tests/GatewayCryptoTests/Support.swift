import Foundation
import GatewayCrypto
import Testing
import Wire

/// Octets of a vector; blanks and line ends are passed over. A wrong digit fails the test that uses it.
func octets(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) -> [UInt8] {
    guard let octets = [UInt8](hexadecimal: text) else {
        Issue.record("not hexadecimal: \(text)", sourceLocation: sourceLocation)
        return []
    }
    return octets
}

func secret(_ text: String) -> SecretOctets { SecretOctets(copying: octets(text)) }

/// The public vectors beside the package; a user's machine does not have them.
enum VectorFolder {
    static let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "shared/vectors").path

    static var isPresent: Bool { FileManager.default.fileExists(atPath: path) }
    static let absence: Comment = "needs the folder shared/vectors beside the package; the package's own vectors ran"

    static func text(_ name: String) throws -> String { try String(contentsOfFile: path + "/" + name, encoding: .utf8) }

    /// One of the package's own, in Tests/Vectors.
    static func own(_ name: String) throws -> String {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "Vectors")
        return try String(contentsOf: folder.appending(path: name), encoding: .utf8)
    }
}

/// A file of C2SP's Wycheproof: groups of rows; every field that one of our files has.
struct Wycheproof: Decodable {
    struct Group: Decodable {
        let ivSize: Int?
        let keySize: Int?
        let tagSize: Int?
        let publicKeyDer: String?
        let tests: [Row]
    }

    struct Row: Decodable {
        let tcId: Int
        let comment: String
        let flags: [String]
        let result: Result
        let key, iv, aad, msg, ct, tag, sig: String?
        let `public`, `private`, shared: String?
    }

    enum Result: String, Decodable { case valid, invalid, acceptable }

    let numberOfTests: Int
    let testGroups: [Group]

    init(_ name: String) throws {
        let text = try VectorFolder.text("wycheproof/\(name)_test.json")
        self = try JSONDecoder().decode(Self.self, from: Data(text.utf8))
    }

    /// Runs `body` on each row; it says what it did with it. Every row must be answered, and prints how many were answered in which way.
    func forEach(_ name: String, _ body: (Group, Row) throws -> Answer) rethrows {
        var counts: [Answer: Int] = [:]
        for group in testGroups {
            for row in group.tests { counts[try body(group, row), default: 0] += 1 }
        }
        #expect(counts.values.reduce(0, +) == numberOfTests)
        for (answer, count) in counts.sorted(by: { "\($0.key)" < "\($1.key)" }) { print("\(name): \(count) rows \(answer)") }
    }

    enum Answer: Hashable, CustomStringConvertible {
        case asTheRowSays
        /// Answered otherwise on purpose, and why.
        case otherwise(String)

        var description: String {
            switch self {
            case .asTheRowSays: "answered as the row says"
            case .otherwise(let reason): "answered otherwise: \(reason)"
            }
        }
    }
}

/// One record, as arrays.
struct Record: Equatable {
    var aad: [UInt8] = []
    var iv: [UInt8]
    var text: [UInt8]
    var trailer: [UInt8] = []
    var icv: [UInt8] = []
}

extension RecordCipher {
    /// Seals in place and fills in the ICV, of the suite's length unless another is given.
    mutating func seal(_ record: inout Record, icvLength: Int? = nil) -> Bool {
        record.icv = [UInt8](repeating: 0, count: icvLength ?? suite.icvLength)
        var copy = record
        let done = copy.text.withUnsafeMutableBytes { text in
            copy.icv.withUnsafeMutableBytes { icv in
                record.aad.withUnsafeBytes { aad in
                    record.iv.withUnsafeBytes { iv in
                        record.trailer.withUnsafeBytes { trailer in
                            seal(aad: aad, iv: iv, text: text, macTrailer: trailer, icv: icv)
                        }
                    }
                }
            }
        }
        record = copy
        return done
    }

    mutating func open(_ record: inout Record) -> Bool {
        let given = record
        return record.text.withUnsafeMutableBytes { text in
            given.icv.withUnsafeBytes { icv in
                given.aad.withUnsafeBytes { aad in
                    given.iv.withUnsafeBytes { iv in
                        given.trailer.withUnsafeBytes { trailer in
                            open(aad: aad, iv: iv, text: text, macTrailer: trailer, icv: icv)
                        }
                    }
                }
            }
        }
    }
}

extension CryptoEngine: CustomTestStringConvertible {
    public var testDescription: String { rawValue }

    /// What this machine has; `CryptoEngineTests` says which that must be.
    static let here = allCases.filter(\.isAvailable)
}

extension ProtectionSuite: CustomTestStringConvertible {
    public var testDescription: String { "\(encryption.rawValue)-\(keyBits)/\(integrity.rawValue)" }

    /// A cipher of the suite whose keys come from a seed.
    func cipher(_ direction: RecordCipher.Direction, seed: UInt64, engine: CryptoEngine = .openSSL) throws -> RecordCipher {
        let entropy = SeededEntropy(seed: seed)
        let encryptionKey = entropy.secret(encryptionKeyLength)
        let integrityKey = entropy.secret(integrityKeyLength)
        return try RecordCipher(self, encryptionKey: encryptionKey, integrityKey: integrityKey, direction: direction, engine: engine)
    }

    /// A record with text of `blocks` times 16 octets, and a trailer where the suite has room for one.
    func record(blocks: Int, seed: UInt64) -> Record {
        let entropy = SeededEntropy(seed: seed)
        return Record(
            aad: entropy.octets(8), iv: entropy.octets(ivLength), text: entropy.octets(16 * blocks),
            trailer: isAEAD ? [] : entropy.octets(4))
    }
}

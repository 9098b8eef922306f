import Yams

/// The parsed file, with every key at its place. Yams refuses a mapping with a key that stands twice; since all problems are to be told in one
/// run, the first of the two is given a name that nobody can have written (its first letter becomes a private-use character, so that
/// columns stay) and the file is parsed again.
struct Document {
    let root: Node?
    /// Private-use character to the letter that it stands for.
    private let disguised: [UInt32: Unicode.Scalar]

    /// A syntax error, which hides everything behind it.
    struct Failure: Error {
        let position: Position
        let problem: String
    }

    static let maximumDuplicates = 64
    /// Octets parsed again at most, so that a large file of one key does not take minutes.
    private static let maximumOctets = 1 << 20

    init(_ text: String) throws(Failure) {
        var scalars: [Unicode.Scalar]?
        var disguised: [UInt32: Unicode.Scalar] = [:]
        var text = text
        while true {
            do {
                root = try Parser(yaml: text, encoding: .utf8).singleRoot()
                self.disguised = disguised
                return
            } catch YamlError.duplicatedKeysInMapping(let duplicates, let context) {
                var current = scalars ?? Array(text.unicodeScalars)
                let sign = 0xe000 + UInt32(disguised.count)
                guard disguised.count < Self.maximumDuplicates, text.utf8.count * (disguised.count + 1) < Self.maximumOctets,
                    let name = duplicates.first,
                    let place = Self.place(of: name, at: context.mark, in: current), let scalar = Unicode.Scalar(sign)
                else {
                    throw Failure(
                        position: Position(line: context.mark.line, column: context.mark.column),
                        problem: "a key that stands twice")
                }
                disguised[sign] = current[place]
                current[place] = scalar
                scalars = current
                var changed = String.UnicodeScalarView()
                changed.append(contentsOf: current)
                text = String(changed)
            } catch {
                throw Self.failure(error, in: text)
            }
        }
    }

    /// The name of a key, and whether the same name stands in the mapping again.
    func key(_ text: String) -> (name: String, isDuplicate: Bool) {
        guard let first = text.unicodeScalars.first, let letter = disguised[first.value] else { return (text, false) }
        var name = String.UnicodeScalarView([letter])
        name.append(contentsOf: text.unicodeScalars.dropFirst())
        return (String(name), true)
    }

    /// Where the first letter of a key is, which is behind its quote if it has one.
    private static func place(of name: String, at mark: Mark, in scalars: [Unicode.Scalar]) -> Int? {
        var line = 1
        var index = 0
        while line < mark.line, index < scalars.count {
            if scalars[index] == "\n" { line += 1 }
            index += 1
        }
        index += mark.column - 1
        if index < scalars.count, scalars[index] == "\"" || scalars[index] == "'" { index += 1 }
        guard index < scalars.count, let first = name.unicodeScalars.first, scalars[index] == first else { return nil }
        return index
    }

    private static func failure(_ error: any Error, in text: String) -> Failure {
        switch error {
        case YamlError.scanner(_, let problem, let mark, _), YamlError.parser(_, let problem, let mark, _),
            YamlError.composer(_, let problem, let mark, _):
            Failure(position: Position(line: max(mark.line, 1), column: max(mark.column, 1)), problem: problem)
        case YamlError.reader(let problem, let offset, _, _):
            Failure(position: position(ofOctet: offset ?? 0, in: text), problem: problem)
        default: Failure(position: .start, problem: "a text that is not YAML")
        }
    }

    private static func position(ofOctet offset: Int, in text: String) -> Position {
        let before = text.utf8.prefix(max(offset, 0))
        let line = 1 + before.count { $0 == UInt8(ascii: "\n") }
        let start = before.lastIndex(of: UInt8(ascii: "\n")).map { before.index(after: $0) } ?? before.startIndex
        // Every octet but a continuing one of UTF-8 begins a scalar.
        return Position(line: line, column: 1 + before[start...].count { $0 & 0xc0 != 0x80 })
    }
}

/// Looks at the text before YAML does. The file is one document of mappings, lists and texts on one line; what YAML has beside these
/// (anchors and aliases, tags, directives, block texts) is refused, which is also what keeps a small file from becoming a large one.
struct YAMLSubset {
    static let maximumOctets = 1 << 20
    /// Nested brackets, and characters before the first word of a line: what YAML's parser can be made to nest.
    static let maximumDepth = 32
    static let maximumIndentation = 200

    struct Refusal: Equatable {
        let position: Position
        let found: String
        let allowed: String
    }

    private let scalars: [Unicode.Scalar]
    private var place = 0
    private var line = 1
    private var column = 1
    private var flowDepth = 0
    private(set) var refusals: [Refusal] = []

    /// What the text holds that the file may not; empty when it is fine.
    static func check(_ text: String) -> [Refusal] {
        guard text.utf8.count <= maximumOctets else {
            return [
                Refusal(
                    position: .start, found: "\(text.utf8.count) octets", allowed: "at most \(maximumOctets) octets")
            ]
        }
        var subset = YAMLSubset(scalars: Array(text.unicodeScalars))
        subset.scan()
        return subset.refusals
    }

    private init(scalars: [Unicode.Scalar]) {
        self.scalars = scalars
    }

    private var current: Unicode.Scalar? { place < scalars.count ? scalars[place] : nil }
    private func ahead(_ offset: Int = 1) -> Unicode.Scalar? {
        place + offset < scalars.count ? scalars[place + offset] : nil
    }
    private var position: Position { Position(line: line, column: column) }

    private mutating func step() {
        if current == "\n" {
            line += 1
            column = 1
        } else {
            column += 1
        }
        place += 1
    }

    private mutating func refuse(_ found: String, _ allowed: String) {
        guard refusals.count < 20 else { return }
        refusals.append(Refusal(position: position, found: found, allowed: allowed))
    }

    private static func isBlank(_ scalar: Unicode.Scalar?) -> Bool {
        scalar == nil || scalar == " " || scalar == "\t" || scalar == "\n" || scalar == "\r"
    }

    /// Each turn stands where a token begins.
    private mutating func scan() {
        if current == "\u{feff}" { place += 1 }
        while let scalar = current {
            if Self.isPrivate(scalar) {
                refuse("a character without meaning", "printable characters")
                return
            }
            switch scalar {
            case " ", "\t", "\r", "\n", ",", ":": step()
            case "#": skipLine()
            case "[", "{":
                flowDepth += 1
                if flowDepth > Self.maximumDepth {
                    refuse("brackets \(flowDepth) deep", "at most \(Self.maximumDepth)")
                    return
                }
                step()
            case "]", "}":
                flowDepth -= 1
                step()
            case "-" where Self.isBlank(ahead()): indented()
            case "?" where Self.isBlank(ahead()):
                refuse("a question mark as a key", "key: value")
                step()
            case "\"": skipQuoted(by: "\"")
            case "'": skipQuoted(by: "'")
            case "&": special("an anchor")
            case "*": special("an alias")
            case "!": special("a tag")
            case "|" where flowDepth <= 0, ">" where flowDepth <= 0: special("a block text")
            case "%" where column == 1: special("a directive")
            default: skipPlain()
            }
            if refusals.count >= 20 { return }
        }
    }

    /// A dash of a list nests as deep as it is indented.
    private mutating func indented() {
        if column > Self.maximumIndentation {
            refuse("a list indented by \(column)", "at most \(Self.maximumIndentation)")
        }
        step()
    }

    private mutating func special(_ what: String) {
        refuse(what, "plain mappings, lists and texts; a text that begins with this sign stands in quotes")
        skipPlain()
    }

    private mutating func skipLine() {
        while let scalar = current, scalar != "\n" {
            _ = scalar
            step()
        }
    }

    private mutating func skipQuoted(by quote: Unicode.Scalar) {
        step()
        while let scalar = current {
            if Self.isPrivate(scalar) { return }
            step()
            if scalar == "\\", quote == "\"" {
                step()
            } else if scalar == quote {
                guard quote == "'", current == "'" else { return }
                step()
            }
        }
    }

    private mutating func skipPlain() {
        if column > Self.maximumIndentation, flowDepth <= 0, isFirstOfLine {
            refuse("a line indented by \(column)", "at most \(Self.maximumIndentation)")
        }
        while let scalar = current {
            if Self.isPrivate(scalar) || scalar == "\n" { return }
            if scalar == ":", Self.isBlank(ahead()) { return }
            if scalar == " ", ahead() == "#" { return }
            if flowDepth > 0, scalar == "," || scalar == "]" || scalar == "}" || scalar == "[" || scalar == "{" { return }
            step()
        }
    }

    private var isFirstOfLine: Bool {
        scalars[(place - column + 1)..<place].allSatisfy { $0 == " " }
    }

    /// The signs that `composed` borrows.
    static func isPrivate(_ scalar: Unicode.Scalar) -> Bool { (0xe000...0xf8ff).contains(scalar.value) }
}

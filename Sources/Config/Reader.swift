import Yams

/// What all reading of one file shares: the problems, and the features that the file asks for.
final class Reader {
    let file: String
    let document: Document
    private(set) var problems: [Problem] = []
    private(set) var featureUses: [FeatureUse] = []
    private var reported: Set<Problem> = []

    static let maximumProblems = 1000

    init(file: String, document: Document) {
        self.file = file
        self.document = document
    }

    func report(
        _ severity: Problem.Severity = .error, at position: Position, _ keyPath: String, found: String, allowed: String,
        suggestion: String? = nil
    ) {
        guard problems.count < Self.maximumProblems else { return }
        let problem = Problem(
            file: file, position: position, severity: severity, keyPath: keyPath, found: found, allowed: allowed,
            suggestion: suggestion)
        if reported.insert(problem).inserted { problems.append(problem) }
    }

    /// The file asks for a feature at this key.
    func uses(_ feature: Feature, at position: Position, _ keyPath: String, found: String) {
        featureUses.append(FeatureUse(feature: feature, position: position, keyPath: keyPath, found: found))
    }
}

/// A feature that a key asks for.
struct FeatureUse {
    let feature: Feature
    let position: Position
    let keyPath: String
    let found: String
}

/// One value of the file with its place. What cannot be read reports itself and comes back as nil.
struct Value {
    let node: Node
    let path: String
    let position: Position
    let reader: Reader
    /// Nothing below may be shown, keys neither.
    var isSecret = false

    init(_ node: Node, path: String, fallback: Position, reader: Reader, isSecret: Bool = false) {
        self.node = node
        self.path = path
        self.reader = reader
        self.isSecret = isSecret
        // An empty value has the place of whatever follows it; its key says more.
        if Self.isNothing(node) {
            position = fallback
        } else {
            position = node.mark.map { Position(line: $0.line, column: $0.column) } ?? fallback
        }
    }

    private static func isNothing(_ node: Node) -> Bool {
        guard case .scalar(let scalar) = node, scalar.style == .plain || scalar.style == .any else { return false }
        return ["", "~", "null"].contains(scalar.string)
    }

    var isNothing: Bool { Self.isNothing(node) }

    var isMapping: Bool {
        guard case .mapping = node else { return false }
        return true
    }

    /// A mapping that has the key.
    func has(_ key: String) -> Bool {
        guard case .mapping(let mapping) = node else { return false }
        return mapping.contains { $0.key.scalar?.string == key }
    }

    /// A mapping that has this key with a mapping that is not empty.
    func hasEntries(_ key: String) -> Bool {
        guard case .mapping(let mapping) = node else { return false }
        return mapping.contains { $0.key.scalar?.string == key && !($0.value.mapping?.isEmpty ?? true) }
    }

    var isScalar: Bool {
        guard case .scalar = node else { return false }
        return true
    }

    /// The text of a value that is one, whatever it means.
    var scalar: String? {
        guard case .scalar(let scalar) = node, !isNothing else { return nil }
        return scalar.string
    }

    /// YAML takes a bare `null` for nothing; where algorithms are named it is the word.
    var isBareNull: Bool {
        guard case .scalar(let scalar) = node else { return false }
        return scalar.string == "null"
    }

    /// How a problem shows this value.
    var found: String {
        switch node {
        case .scalar(let scalar):
            if isNothing { return "nothing" }
            return isSecret ? "a text" : scalar.string.quoted
        case .mapping: return "a mapping"
        case .sequence: return "a list"
        case .alias: return "an alias"
        }
    }

    /// Reports the value as not allowed.
    func refuse(allowed: String, suggestion: String? = nil) {
        reader.report(at: position, path, found: found, allowed: allowed, suggestion: suggestion)
    }

    func warn(found: String, allowed: String) {
        reader.report(.warning, at: position, path, found: found, allowed: allowed)
    }

    func uses(_ feature: Feature) {
        reader.uses(feature, at: position, path, found: found)
    }

    /// The elements of a list of at most `maximum`; nil unless it is a list.
    func list(_ minimum: Int = 0, max maximum: Int) -> [Value]? {
        guard case .sequence(let sequence) = node else {
            refuse(allowed: "a list", suggestion: scalar.flatMap { isSecret ? nil : "[\($0)]" })
            return nil
        }
        guard (minimum...maximum).contains(sequence.count) else {
            reader.report(
                at: position, path, found: "\(sequence.count) elements", allowed: "\(minimum)...\(maximum) elements")
            return nil
        }
        return sequence.enumerated().map { index, element in
            Value(element, path: "\(path)[\(index)]", fallback: position, reader: reader, isSecret: isSecret)
        }
    }

    /// Reads a mapping with known keys; whatever `read` does not ask for is an unknown key.
    func section<Result>(_ read: (Section) -> Result) -> Result? {
        guard let section = Section(self) else { return nil }
        let result = read(section)
        section.finish()
        return result
    }

    /// The entries of a mapping whose keys are names of the user's.
    func entries(max maximum: Int) -> [(key: Key, value: Value)]? {
        guard let section = Section(self) else { return nil }
        guard section.entries.count <= maximum else {
            reader.report(
                at: position, path, found: "\(section.entries.count) entries", allowed: "at most \(maximum) entries")
            return nil
        }
        return section.entries
    }
}

/// A key with its place.
struct Key {
    let name: String
    let position: Position
}

/// A mapping that is being read key by key.
final class Section {
    let value: Value
    fileprivate let entries: [(key: Key, value: Value)]
    private var known: [String] = []

    /// nil, with a problem, unless the value is a mapping; an empty value is an empty one.
    fileprivate init?(_ value: Value) {
        self.value = value
        guard !value.isNothing else {
            entries = []
            return
        }
        guard case .mapping(let mapping) = value.node else {
            value.refuse(allowed: value.isSecret ? "a text, { file: } or { env: }" : "a mapping (key: value)")
            return nil
        }
        var entries: [(key: Key, value: Value)] = []
        var seen: [String: Position] = [:]
        let reader = value.reader
        for (keyNode, valueNode) in mapping {
            let position = keyNode.mark.map { Position(line: $0.line, column: $0.column) } ?? value.position
            guard case .scalar(let scalar) = keyNode else {
                reader.report(at: position, value.path, found: "a key that is no text", allowed: "key: value")
                continue
            }
            let name = reader.document.key(scalar.string).name
            let isShown = !value.isSecret || name == "file" || name == "env"
            let path = value.path.isEmpty ? name : "\(value.path).\(isShown ? name : "?")"
            if let first = seen[name] {
                reader.report(
                    at: position, path, found: "the key a second time",
                    allowed: "each key once; the first is in line \(first.line)")
                continue
            }
            seen[name] = position
            let key = Key(name: name, position: position)
            entries.append(
                (key, Value(valueNode, path: path, fallback: position, reader: reader, isSecret: value.isSecret)))
        }
        self.entries = entries
    }

    var path: String { value.path }
    var position: Position { value.position }
    var reader: Reader { value.reader }

    /// The value of a key; an empty one counts as absent where absence is allowed.
    subscript(key: String) -> Value? {
        if !known.contains(key) { known.append(key) }
        return entries.first { $0.key.name == key }?.value
    }

    /// The value of a key that must be there.
    func required(_ key: String, _ allowed: String) -> Value? {
        if let value = self[key] { return value }
        reader.report(at: position, path.isEmpty ? key : "\(path).\(key)", found: "nothing", allowed: allowed)
        return nil
    }

    /// Reports every key that was not asked for.
    fileprivate func finish() {
        for (key, _) in entries where !known.contains(key.name) {
            if value.isSecret {
                reader.report(at: key.position, path, found: "an unknown key", allowed: known.joined(separator: ", "))
                continue
            }
            reader.report(
                at: key.position, path.isEmpty ? key.name : "\(path).\(key.name)", found: "an unknown key",
                allowed: known.isEmpty ? "no keys" : known.joined(separator: ", "),
                suggestion: nearMiss(key.name, among: known))
        }
    }
}

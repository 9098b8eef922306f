/// One thing wrong, or doubtful, in a configuration. Prints as one line (programs.md); secrets never get into it.
package struct Problem: Error, Hashable, Sendable {
    package enum Severity: String, Hashable, Sendable { case error, warning }

    package var file: String
    package var position: Position
    package var severity: Severity
    /// Such as `ipsec.ike-policy.1.dpd.interval`; empty for the file as a whole.
    package var keyPath: String
    package var found: String
    package var allowed: String
    /// "did you mean".
    package var suggestion: String?

    package var line: Int { position.line }
    package var column: Int { position.column }
}

/// A place in a file, from 1; columns count Unicode scalars.
package struct Position: Hashable, Comparable, Sendable {
    package let line: Int
    package let column: Int

    package static let start = Position(line: 1, column: 1)

    package static func < (left: Position, right: Position) -> Bool {
        (left.line, left.column) < (right.line, right.column)
    }
}

extension Problem: CustomStringConvertible {
    /// `FILE:LINE:COL: error|warning: key.path: found ...; allowed ...`
    package var description: String {
        let key = keyPath.isEmpty ? "" : "\(keyPath.escaped(limit: 200)): "
        return "\(file.escaped(limit: 1024)):\(line):\(column): \(severity.rawValue): \(key)\(message)"
    }

    /// `found ...; allowed ...`
    package var message: String {
        let hint = suggestion.map { "; did you mean \"\($0.escaped(limit: 80))\"?" } ?? ""
        return "found \(found); allowed \(allowed)\(hint)"
    }
}

extension String {
    /// Printable ASCII on one line, cut off after `limit` characters (threats.md C11).
    func escaped(limit: Int) -> String {
        var text = ""
        for (index, scalar) in unicodeScalars.enumerated() {
            guard index < limit else { return text + "..." }
            switch scalar {
            case "\"", "\\": text += "\\" + String(scalar)
            case " "..."~": text.unicodeScalars.append(scalar)
            default: text += "\\u{" + String(scalar.value, radix: 16) + "}"
            }
        }
        return text
    }

    /// The same, in quotes, as problems show what they found.
    var quoted: String { "\"" + escaped(limit: 60) + "\"" }
}

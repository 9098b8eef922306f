internal import ManagementAPI

/// The Prometheus text format, version 0.0.4, being written.
package struct Exposition: Sendable {
    /// The Content-Type of the text.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    package enum Kind: String, Sendable { case counter, gauge, histogram }

    private struct Family {
        let kind: Kind
        let help: String
        var lines: [(group: String, text: String)] = []
    }

    private var families: [String: Family] = [:]

    package init() {}

    /// Adds a counter's value; the name gets its `_total` if it has none.
    package mutating func counter(_ name: String, help: String, labels: [(String, String)] = [], _ value: UInt64) {
        sample(
            MetricText.name(name, kind: .counter), .counter, help: help, labels: MetricText.labels(labels), value: String(value))
    }

    /// Adds a gauge's value.
    package mutating func gauge(_ name: String, help: String, labels: [(String, String)] = [], _ value: Double) {
        sample(MetricText.name(name), .gauge, help: help, labels: MetricText.labels(labels), value: MetricText.number(value))
    }

    /// Adds one line. A name keeps the kind that it was first used with; a line of another kind is left out. Lines of one
    /// `group` stay together, in the order in which they came; without one the labels are the group.
    mutating func sample(
        _ name: String, _ kind: Kind, help: String, suffix: String = "", labels: String, group: String? = nil, value: String
    ) {
        var family = families[name] ?? Family(kind: kind, help: help)
        guard family.kind == kind else { return }
        let text = name + suffix + (labels.isEmpty ? "" : "{\(labels)}") + " " + value + "\n"
        family.lines.append((group ?? labels, text))
        families[name] = family
    }

    /// The whole text, sorted by name, then by labels.
    package var text: String {
        var text = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            if !family.help.isEmpty { text += "# HELP \(name) \(MetricText.help(family.help))\n" }
            text += "# TYPE \(name) \(family.kind.rawValue)\n"
            let order = family.lines.indices.sorted { (family.lines[$0].group, $0) < (family.lines[$1].group, $1) }
            for index in order { text += family.lines[index].text }
        }
        return text
    }
}

/// Names, labels and numbers as the text format wants them.
enum MetricText {
    /// The labels of the series that takes in what has no room.
    static let overflowLabels = #"overflow="true""#
    /// No metric has more labels.
    private static let labelLimit = 8

    /// A metric's name: letters, digits, `_` and `:`; a counter ends in `_total`, other kinds in their unit.
    static func name(_ label: String, kind: Exposition.Kind = .gauge, unit: String = "") -> String {
        let name = word(label, alsoAllowing: UInt8(ascii: ":"))
        let ending = kind == .counter ? "_total" : unit.isEmpty ? "" : "_" + unit
        return name.hasSuffix(ending) ? name : name + ending
    }

    /// Labels sorted by name, `a="x",b="y"`; values are escaped and capped.
    static func labels(_ dimensions: [(String, String)]) -> String {
        var names: Set<String> = []
        return
            dimensions
            .map { (word($0.0), value($0.1)) }
            .filter { names.insert($0.0).inserted }
            .prefix(labelLimit)
            .sorted { $0.0 < $1.0 }
            .map { "\($0.0)=\"\($0.1)\"" }
            .joined(separator: ",")
    }

    /// Labels with one more at the end.
    static func adding(_ name: String, _ text: String, to labels: String) -> String {
        (labels.isEmpty ? "" : labels + ",") + "\(name)=\"\(text)\""
    }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if let whole = Int64(exactly: value) { return String(whole) }
        return String(value)
    }

    static func help(_ text: String) -> String {
        escaped(EscapedText.shown(text, limit: 1024), quotes: false)
    }

    /// A label's value: one line of ASCII, backslashes and quotes escaped.
    private static func value(_ text: String) -> String {
        escaped(EscapedText.shown(text), quotes: true)
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            if scalar == "\\" || (quotes && scalar == "\"") { result += "\\" }
            result.unicodeScalars.append(scalar)
        }
        return result
    }

    private static func word(_ text: String, alsoAllowing extra: UInt8? = nil) -> String {
        var octets: [UInt8] = []
        for octet in text.utf8.prefix(EscapedText.limit) {
            switch octet {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"): octets.append(octet)
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                if octets.isEmpty { octets.append(UInt8(ascii: "_")) }
                octets.append(octet)
            default: octets.append(octet == extra ? octet : UInt8(ascii: "_"))
            }
        }
        return octets.isEmpty ? "_" : String(decoding: octets, as: UTF8.self)
    }
}

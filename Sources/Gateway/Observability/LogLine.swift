internal import FoundationEssentials
internal import Logging
internal import ManagementAPI

/// One event on its way into the log: escaped, capped, one line (threats.md C11).
struct LogLine: Sendable {
    /// The cap on the message, in octets; a value's is `EscapedText.limit`.
    static let messageLimit = 1024
    /// No event has more fields.
    static let fieldLimit = 32

    let time: Date
    let level: Logger.Level
    let message: String
    /// In the order of the story: who, where from, why; then the others by name.
    let fields: [(name: String, value: String)]

    init(time: Date, level: Logger.Level, message: String, metadata: Logger.Metadata) {
        self.time = time
        self.level = level
        self.message = EscapedText.shown(message, limit: Self.messageLimit)
        fields =
            metadata
            .map { (Self.word($0.key), EscapedText.shown(Self.flat($0.value))) }
            .sorted { (Self.rank($0.0), $0.0) < (Self.rank($1.0), $1.0) }
            .prefix(Self.fieldLimit)
            .map { (name: $0.0, value: $0.1) }
    }

    private static let story = ["event", "session", "gateway", "identity", "name", "remote", "address", "reason"]

    private static func rank(_ name: String) -> Int { story.firstIndex(of: name) ?? story.count }

    /// A field's name: letters, digits, `_`, `-` and `.`.
    private static func word(_ text: String) -> String {
        let octets = text.utf8.prefix(64).map { octet -> UInt8 in
            switch octet {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."):
                octet
            default: UInt8(ascii: "_")
            }
        }
        return octets.isEmpty ? "_" : String(decoding: octets, as: UTF8.self)
    }

    /// A value as one text; lists and dictionaries joined by commas, no deeper than the cap lets be seen.
    private static func flat(_ value: Logger.MetadataValue, depth: Int = 0) -> String {
        guard depth < 4 else { return "..." }
        return switch value {
        case .string(let text): text
        case .stringConvertible(let value): value.description
        case .array(let values): values.prefix(EscapedText.limit).map { flat($0, depth: depth + 1) }.joined(separator: ",")
        case .dictionary(let values):
            values.sorted { $0.key < $1.key }.prefix(EscapedText.limit)
                .map { "\($0.key)=\(flat($0.value, depth: depth + 1))" }.joined(separator: ",")
        }
    }
}

extension LogLine {
    /// `message name=value name="a value"`.
    var story: String {
        fields.reduce(message) { $0 + " \($1.name)=\(Self.quoted($1.value))" }
    }

    /// `2026-11-21T09:30:00.125Z info message name=value`.
    var text: String { "\(timestamp) \(level.rawValue) \(story)" }

    /// `<6>message name=value`: the journal takes the priority off the front and has its own time.
    var prefixed: String { "<\(priority)>\(story)" }

    /// A JSON object, one line. A field named as one of ours gets a `_` behind it.
    var json: String {
        var text = #"{"time":"\#(timestamp)","level":"\#(level.rawValue)","message":\#(Self.string(message))"#
        for (name, value) in fields {
            text += ",\(Self.string(["time", "level", "message"].contains(name) ? name + "_" : name)):\(Self.string(value))"
        }
        return text + "}"
    }

    /// The journal's native fields, `NAME=value` one a line; values hold no line break.
    var journal: String {
        var text = "MESSAGE=\(story)\nPRIORITY=\(priority)\nSYSLOG_IDENTIFIER=ipsec-gw\n"
        for (name, value) in fields {
            let upper = name.uppercased().utf8.map { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") ? UInt8(ascii: "_") : $0 }
            text += "IPSEC_GW_\(String(decoding: upper.prefix(55), as: UTF8.self))=\(value)\n"
        }
        return text
    }

    /// The syslog severity, RFC 5424 section 6.2.1.
    var priority: Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }

    private var timestamp: String {
        time.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }

    private static func quoted(_ value: String) -> String {
        let plain = !value.isEmpty && !value.utf8.contains { [UInt8(ascii: " "), UInt8(ascii: "\""), UInt8(ascii: "=")].contains($0) }
        return plain ? value : "\"" + value.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\\\"") + "\""
    }

    /// A JSON string of text that is printable ASCII already.
    private static func string(_ text: String) -> String {
        var octets = [UInt8(ascii: "\"")]
        for octet in text.utf8 {
            if octet == UInt8(ascii: "\"") || octet == UInt8(ascii: "\\") { octets.append(UInt8(ascii: "\\")) }
            octets.append(octet)
        }
        return String(decoding: octets + [UInt8(ascii: "\"")], as: UTF8.self)
    }
}

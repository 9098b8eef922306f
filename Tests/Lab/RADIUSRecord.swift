import Foundation

/// A packet as FreeRADIUS's detail module writes it: attributes in order, the same name as often as it came.
package struct RADIUSRecord: Sendable {
    package struct Attribute: Sendable, Equatable {
        package let name: String
        /// Text without its quotes; octets as `0x` and hexadecimal; numbers by their name where they have one.
        package let value: String
    }

    package let attributes: [Attribute]

    package subscript(_ name: String) -> String? { attributes.first { $0.name == name }?.value }
    package func all(_ name: String) -> [String] { attributes.filter { $0.name == name }.map(\.value) }
    package func number(_ name: String) -> UInt64? { self[name].flatMap { UInt64($0) } }

    /// The length that the EAP packet says it has; nil without one. FreeRADIUS joins EAP-Messages, and cuts long values when it writes them.
    package var eapLength: Int? {
        guard let text = self["EAP-Message"], text.hasPrefix("0x"), text.count >= 10 else { return nil }
        return Int(text.dropFirst(6).prefix(4), radix: 16)
    }

    /// Records of a detail file; none where there is no file yet. A record counts when it is complete.
    static func parse(file: String) throws -> [RADIUSRecord] {
        guard FileManager.default.fileExists(atPath: file) else { return [] }
        return try parse(String(contentsOfFile: file, encoding: .utf8))
    }

    static func parse(_ text: String) throws -> [RADIUSRecord] {
        var blocks = text.components(separatedBy: "\n\n")
        // what stands behind the last empty line is still being written
        blocks.removeLast()
        return try blocks.map { block in
            RADIUSRecord(
                attributes: try block.split(separator: "\n").dropFirst().map { line in
                    let parts = line.trimmingCharacters(in: .whitespaces).components(separatedBy: " = ")
                    guard line.hasPrefix("\t"), parts.count >= 2 else { throw LabError("not a line of a detail file: \(line)") }
                    return Attribute(name: parts[0], value: unquoted(parts.dropFirst().joined(separator: " = ")))
                })
        }
    }

    private static func unquoted(_ text: String) -> String {
        guard text.count >= 2, text.hasPrefix("\""), text.hasSuffix("\"") else { return text }
        return String(text.dropFirst().dropLast()).replacingOccurrences(of: "\\\"", with: "\"").replacingOccurrences(of: "\\\\", with: "\\")
    }
}

/// An accounting record, read as RFC 2866 and RFC 2869 mean it.
package struct AccountingRecord: Sendable {
    package let record: RADIUSRecord

    init(_ record: RADIUSRecord) { self.record = record }

    package subscript(_ name: String) -> String? { record[name] }

    /// Start, Stop, Interim-Update, Accounting-On, Accounting-Off.
    package var kind: String { record["Acct-Status-Type"] ?? "" }
    package var session: String? { record["Acct-Session-Id"] }
    package var userName: String? { record["User-Name"] }
    package var classes: [String] { record.all("Class") }
    /// User-Request, Lost-Carrier, ...
    package var cause: String? { record["Acct-Terminate-Cause"] }
    package var seconds: UInt64? { record.number("Acct-Session-Time") }
    package var delay: UInt64? { record.number("Acct-Delay-Time") }
    /// From the client, gigawords included; nil where the record has no counter.
    package var octetsIn: UInt64? { octets("Input") }
    package var octetsOut: UInt64? { octets("Output") }
    package var packetsIn: UInt64? { record.number("Acct-Input-Packets") }
    package var packetsOut: UInt64? { record.number("Acct-Output-Packets") }
    /// Seconds since 1970 at which the server stored it.
    package var arrival: UInt64? { record.number("Timestamp") }

    private func octets(_ direction: String) -> UInt64? {
        record.number("Acct-\(direction)-Octets").map { $0 + (record.number("Acct-\(direction)-Gigawords") ?? 0) << 32 }
    }

    package var summary: String { "\(kind) \(userName ?? "-") \(session ?? "-") \(cause ?? "")" }
}

extension [AccountingRecord] {
    package func of(_ kind: String) -> [AccountingRecord] { filter { $0.kind == kind } }
    package func of(_ kind: String, session: String) -> [AccountingRecord] { filter { $0.kind == kind && $0.session == session } }

    /// Each session id of `kind`, as often as it came: a retransmission whose answer was lost is there twice.
    package func sessions(_ kind: String) -> [String: Int] {
        of(kind).reduce(into: [:]) { $0[$1.session ?? "", default: 0] += 1 }
    }
}

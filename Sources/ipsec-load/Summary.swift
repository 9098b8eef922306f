import Foundation

/// What a run came to: the same figures as a table and, by stable keys, as JSON.
struct Summary: Encodable {
    enum Figure: Encodable {
        case count(Int)
        /// Rounded to three places; nil where nothing was measured.
        case number(Double?)
        case text(String)
        case causes([String: Int])
        case part(Summary)

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch self {
            case .count(let count): try container.encode(count)
            case .number(let number): try container.encode(number.map { ($0 * 1000).rounded() / 1000 })
            case .text(let text): try container.encode(text)
            case .causes(let causes): try container.encode(Summary.sorted(causes))
            case .part(let summary): try container.encode(summary)
            }
        }
    }

    private struct Cause: Encodable {
        let cause: String
        let count: Int
    }

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(_ text: String) { stringValue = text }
        init?(stringValue: String) { self.init(stringValue) }
        init?(intValue: Int) { nil }
    }

    private var figures: [(key: String, label: String, figure: Figure)] = []

    mutating func add(_ key: String, _ label: String, _ figure: Figure) { figures.append((key, label, figure)) }

    mutating func add(_ key: String, _ label: String, _ count: Int) { add(key, label, .count(count)) }

    /// What every run of load ends with.
    mutating func addOwnUse() {
        add("cpuSeconds", "our own processor time, s", .number(OwnUse.processorSeconds))
        add("residentKiB", "our own memory at most, KiB", OwnUse.residentKiB)
    }

    private static func sorted(_ causes: [String: Int]) -> [Cause] {
        causes.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { Cause(cause: $0.key, count: $0.value) }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        for entry in figures { try container.encode(entry.figure, forKey: Key(entry.key)) }
    }

    var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(self) else { return "{}" }
        return String(decoding: data, as: UTF8.self)
    }

    var table: String { lines.joined(separator: "\n") }

    private var lines: [String] {
        figures.flatMap { entry -> [String] in
            let label = entry.label.padding(toLength: max(entry.label.count, 30), withPad: " ", startingAt: 0)
            return switch entry.figure {
            case .count(let count): ["\(label)  \(count)"]
            case .number(let number): ["\(label)  \(number.map { SetupRun.rounded($0) } ?? "-")"]
            case .text(let text): ["\(label)  \(text)"]
            case .causes(let causes):
                ["\(label)  \(causes.values.reduce(0, +))"] + Self.sorted(causes).map { String("  \($0.cause): \($0.count)".prefix(100)) }
            case .part(let part): [entry.label] + part.lines.map { "  " + $0 }
            }
        }
    }
}

internal import ManagementAPI

/// A table that fits a terminal: columns shrink until it does, first those that may be cut, then the others, whose cells
/// go on in the next line.
struct Table {
    /// What a terminal line holds, programs.md.
    static let width = 100
    private static let gap = 2
    struct Column {
        let title: String
        let alignment: Alignment
        let overflow: Overflow
        /// The column gets no narrower.
        let least: Int

        init(_ title: String, _ alignment: Alignment = .left, _ overflow: Overflow = .wrap, least: Int = 6) {
            self.title = title
            self.alignment = alignment
            self.overflow = overflow
            self.least = max(least, title.utf8.count)
        }
    }

    enum Alignment { case left, right }
    /// What becomes of a cell that is wider than its column: cut, ending in `...`, or continued below.
    enum Overflow { case cut, wrap }

    private let columns: [Column]
    private var rows: [[[String]]] = []

    init(_ columns: [Column]) { self.columns = columns }

    /// Appends a row; a cell is a list of lines. Missing cells are empty.
    mutating func append(_ cells: [[String]]) {
        rows.append(columns.indices.map { $0 < cells.count ? cells[$0].map { EscapedText.shown($0) } : [] })
    }

    /// Appends a row of single-line cells.
    mutating func append(_ cells: [String]) { append(cells.map { [$0] }) }

    /// The lines of the table, its header first.
    var lines: [String] {
        let widths = fitted()
        var result = [line(columns.map(\.title), widths)]
        for row in rows {
            let cells = zip(zip(row, columns), widths).map { pair, width in folded(pair.0, pair.1, width) }
            for index in 0..<max(1, cells.map(\.count).max() ?? 1) {
                result.append(line(cells.map { index < $0.count ? $0[index] : "" }, widths))
            }
        }
        return result
    }

    /// Column widths that add up to no more than the table's.
    private func fitted() -> [Int] {
        var widths = columns.indices.map { index in
            max(columns[index].title.utf8.count, rows.flatMap { $0[index] }.map(\.utf8.count).max() ?? 0)
        }
        let room = Self.width - Self.gap * (columns.count - 1)
        for candidates in [columns.indices.filter { columns[$0].overflow == .cut }, Array(columns.indices)] {
            while widths.reduce(0, +) > room,
                let widest = candidates.filter({ widths[$0] > columns[$0].least }).max(by: { widths[$0] < widths[$1] })
            {
                widths[widest] -= 1
            }
        }
        return widths
    }

    /// The lines of one cell, none wider than its column. Cells are ASCII.
    private func folded(_ cell: [String], _ column: Column, _ width: Int) -> [String] {
        cell.flatMap { text -> [String] in
            guard text.utf8.count > width else { return [text] }
            if column.overflow == .cut { return [String(text.prefix(width - 3)) + "..."] }
            var rest = Substring(text)
            var lines: [String] = []
            while !rest.isEmpty {
                lines.append(String(rest.prefix(width)))
                rest = rest.dropFirst(width)
            }
            return lines
        }
    }

    private func line(_ cells: [String], _ widths: [Int]) -> String {
        var text = ""
        for ((cell, column), width) in zip(zip(cells, columns), widths) {
            let padding = String(repeating: " ", count: max(0, width - cell.utf8.count))
            text += (column.alignment == .right ? padding + cell : cell + padding) + String(repeating: " ", count: Self.gap)
        }
        while text.last == " " { text.removeLast() }
        return text
    }
}

/// Names and values under each other.
struct Listing {
    private var entries: [(name: String, value: String)] = []

    /// Appends a line; no value, or an empty one, shows as `-`.
    mutating func append(_ name: String, _ values: String...) { append(name, values) }

    mutating func append(_ name: String, _ values: [String]) {
        let shown = values.map { EscapedText.shown($0) }
        entries.append((name, shown.first.flatMap { $0.isEmpty ? nil : $0 } ?? "-"))
        for value in shown.dropFirst() { entries.append(("", value)) }
    }

    var lines: [String] {
        let width = entries.map(\.name.utf8.count).max() ?? 0
        return entries.flatMap { name, value -> [String] in
            var rest = Substring(value)
            var lines: [String] = []
            repeat {
                let head = lines.isEmpty ? name : ""
                lines.append(head + String(repeating: " ", count: width + 2 - head.utf8.count) + rest.prefix(Table.width - width - 2))
                rest = rest.dropFirst(Table.width - width - 2)
            } while !rest.isEmpty
            return lines
        }
    }
}

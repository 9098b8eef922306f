import Testing

/// Reads the Prometheus text format as strictly as its description; what is wrong is an issue of the test.
enum ExpositionCheck {
    /// The samples by name and labels, as they stand.
    @discardableResult
    static func run(_ text: String) throws -> [String: Double] {
        #expect(text.isEmpty || text.hasSuffix("\n"))
        #expect(text.utf8.allSatisfy { $0 == 0x0a || (0x20...0x7e).contains($0) })
        let sample = try Regex(
            #"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\]|\\\\|\\"|\\n)*"(,|(?=\})))*\})? (NaN|[+-]Inf|[-+0-9.eE]+)$"#)
        let declaration = try Regex(#"^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)$"#)
        let help = try Regex(#"^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ([^\\]|\\\\|\\n)*$"#)
        var kinds: [String: String] = [:]
        var current = ""
        var samples: [String: Double] = [:]
        for line in text.split(separator: "\n", omittingEmptySubsequences: true).map(String.init) {
            if line.hasPrefix("# HELP") {
                #expect(line.firstMatch(of: help) != nil, "\(line)")
            } else if line.hasPrefix("#") {
                let match = try #require(line.firstMatch(of: declaration), "\(line)")
                current = String(match[1].substring ?? "")
                #expect(kinds.updateValue(String(match[2].substring ?? ""), forKey: current) == nil, "\(current) is declared twice")
            } else {
                let match = try #require(line.firstMatch(of: sample), "\(line)")
                let name = String(match[1].substring ?? "")
                let allowed = kinds[current] == "histogram" ? ["_bucket", "_sum", "_count"].map { current + $0 } : [current]
                #expect(allowed.contains(name), "\(name) stands under \(current)")
                let cut = try #require(line.lastIndex(of: " "))
                let value = Double(line[line.index(after: cut)...].replacing("Inf", with: "inf"))
                #expect(samples.updateValue(value ?? .nan, forKey: String(line[..<cut])) == nil, "\(line) stands twice")
            }
        }
        return samples
    }
}

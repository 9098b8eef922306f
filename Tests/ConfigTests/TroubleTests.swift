import Config
import Foundation
import GatewayTesting
import Testing
import Wire

@Suite("Texts that are no configuration")
struct TroubleTests {
    @Test(arguments: [
        ("", "gw.yaml:1:1: error: found an empty file; allowed a configuration with an ipsec-gateway"),
        ("# nothing\n", "gw.yaml:1:1: error: found an empty file; allowed a configuration with an ipsec-gateway"),
        ("{}", "gw.yaml:1:1: error: ipsec-gateway: found nothing; allowed at least one gateway"),
        (
            "a: &x 1",
            "gw.yaml:1:4: error: found an anchor; allowed plain mappings, lists and texts; a text that begins with this sign stands in quotes"
        ),
        ("a: *x", "gw.yaml:1:4: error: found an alias; allowed plain mappings, lists and texts; a text that begins with this sign stands in quotes"),
        (
            "a: !!str x",
            "gw.yaml:1:4: error: found a tag; allowed plain mappings, lists and texts; a text that begins with this sign stands in quotes"
        ),
        (
            "a: |\n  text",
            "gw.yaml:1:4: error: found a block text; allowed plain mappings, lists and texts; a text that begins with this sign stands in quotes"
        ),
    ])
    func configuration_refused(text: String, line: String) {
        let (configuration, problems) = Fixtures.load(text)
        #expect(configuration == nil && problems.lines == [line])
    }

    @Test(arguments: [
        "a: [1, 2", "a: b: c", "a:\n\t- b", "- [", "\"a", "a: 'b", "{a: 1}}", "a\n b\nc: d", "a: \u{1}", "%YAML 9", "---\na: 1\n---\nb: 2",
        "? a\n: b", "a: \u{e000}",
    ])
    func configuration_faultsOfYAMLHaveAPlace(text: String) {
        let (configuration, problems) = Fixtures.load(text)
        #expect(configuration == nil)
        #expect(!problems.errors.isEmpty && problems.allSatisfy { $0.line >= 1 && $0.column >= 1 })
    }

    @Test func configuration_bombsAreRefusedAtOnce() {
        var bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        for level in 1..<30 { bomb += "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", ") + "]\n" }
        let texts = [
            bomb,
            bomb + "? *a29\n: 1\n",
            "a: " + String(repeating: "[", count: 100_000),
            String(repeating: "{a: ", count: 5000),
            String(repeating: "- ", count: 50_000) + "a",
            (0..<2000).map { String(repeating: " ", count: $0) + "a:\n" }.joined(),
            String(repeating: "x", count: 2 << 20),
            "a: \"" + String(repeating: "y", count: 900_000) + "\"",
            String(repeating: "a: 1\n", count: 100_000),
        ]
        for text in texts {
            let duration = ContinuousClock().measure {
                let (configuration, problems) = Fixtures.load(text)
                #expect(configuration == nil && !problems.isEmpty)
                #expect(problems.allSatisfy { $0.description.utf8.count < 4000 })
            }
            #expect(duration < .seconds(20))
        }
    }

    @Test func threat_C11_whatIsFoundIsEscapedAndCapped() throws {
        let text = try Fixtures.plain("name: gw", "name: \"a\\e[31m\\n\\0\\u202e\"\n  \"x\\ny\\e\": 1\n  long: 1")
            .replacingOccurrences(of: "service-name: home", with: "service-name: \"" + String(repeating: "ä", count: 5000) + "\"")
        let problems = Fixtures.load(text).problems
        #expect(problems.errors.count >= 4)
        for line in problems.lines {
            #expect(line.unicodeScalars.allSatisfy { (" "..."~").contains($0) } && line.utf8.count < 1500)
        }
    }

    /// Secrets are never printed: not with a wrong type beside them, not as an unknown key, not in a dump.
    @Test func secrets_neverShow() throws {
        let secret = "kEy-8fVq2ZxW0pLr7TnYb4CmJd6"
        let replacements = [
            "[\(secret)]", "{ \(secret): 1 }", "{ file: \(secret) }", "{ env: \"\(secret) x\" }", "{ file: { \(secret): x } }", "\"\(secret)\\n",
            "{ file: [\(secret)] }",
            "\(secret): x", "\"\(secret)\"\n    pre-shared-kye: \(secret)", "\"\(secret)\"\n    pre-shared-key: \(secret)",
            "\"\(secret)",
        ]
        for replacement in replacements {
            let (configuration, problems) = Fixtures.load(try Fixtures.plain("\"\(secret)\"", replacement))
            #expect(configuration == nil && !problems.isEmpty, "\(replacement)")
            for line in problems.lines { #expect(!line.contains(secret), "\(line)") }
        }
        let configuration = try #require(Fixtures.load(Fixtures.plain).configuration)
        var dumped = ""
        dump(configuration, to: &dumped)
        let shown = ["\(configuration)", String(reflecting: configuration), dumped, "\(configuration.difference(from: configuration))"]
        for text in shown { #expect(!text.contains(secret) && !text.contains("107, 69, 121")) }
        #expect(configuration.gateways[0].preSharedKey?.value?.revealed() == Array(secret.utf8))
    }

    /// Keys of the example deleted, doubled, altered and moved: problems, or still a configuration; never a trap.
    @Test(arguments: (0..<60).map { UInt64($0) &* 104_729 &+ 3 })
    func configuration_mutations(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let original = try Fixtures.example.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let values = [
            "", "0", "-1", "99999999999", "true", "[]", "{}", "[1, 2]", "{ a: b }", "\"\"", "null", "auto", "10.0.0.0/33", "::/0", "255.255.255.255",
            "x\u{fe0f}", "18446744073709551616",
        ]
        for _ in 0..<8 {
            var lines = original
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: 0..<lines.count, using: &random)
                switch Int.random(in: 0..<6, using: &random) {
                case 0: lines.remove(at: index)
                case 1: lines.insert(lines[index], at: index)
                case 2: lines.swapAt(index, Int.random(in: 0..<lines.count, using: &random))
                case 3:
                    let parts = lines[index].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
                    lines[index] = parts[0] + ": " + (values.randomElement(using: &random) ?? "")
                case 4:
                    var characters = Array(lines[index])
                    if !characters.isEmpty { characters.remove(at: Int.random(in: 0..<characters.count, using: &random)) }
                    lines[index] = String(characters)
                default:
                    var characters = Array(lines[index])
                    let place = Int.random(in: 0...characters.count, using: &random)
                    characters.insert(" {}[]:,#\"'&*!-?|".randomElement(using: &random) ?? " ", at: place)
                    lines[index] = String(characters)
                }
            }
            let (configuration, problems) = Fixtures.load(lines.joined(separator: "\n"))
            #expect((configuration == nil) == !problems.errors.isEmpty, "seed \(seed)")
            for problem in problems {
                #expect(problem.line >= 1 && problem.line <= lines.count + 1 && problem.column >= 1, "seed \(seed): \(problem)")
                #expect(!problem.description.contains("\n") && !problem.found.isEmpty && !problem.allowed.isEmpty)
            }
        }
    }

    /// Each line of the example taken out, one after the other.
    @Test func configuration_everyLineMissingOnce() throws {
        let lines = try Fixtures.example.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        var refused = 0
        for index in lines.indices {
            var fewer = lines
            fewer.remove(at: index)
            let (configuration, problems) = Fixtures.load(fewer.joined(separator: "\n"))
            #expect((configuration == nil) == !problems.errors.isEmpty, "line \(index + 1)")
            if configuration == nil { refused += 1 }
        }
        #expect(refused > 20)
    }

    /// Each line of the example twice: keys that stand twice are found wherever they are.
    @Test func configuration_everyKeyTwiceIsFound() throws {
        let lines = try Fixtures.example.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        for index in lines.indices {
            let code = lines[index].split(separator: "#", omittingEmptySubsequences: false)[0]
            guard code.contains(":"), !lines[index].trimmingCharacters(in: .whitespaces).hasPrefix("#") else { continue }
            var more = lines
            more.insert(lines[index], at: index)
            let (configuration, problems) = Fixtures.load(more.joined(separator: "\n"))
            #expect(configuration == nil, "line \(index + 1): \(lines[index])")
            #expect(
                problems.errors.contains { $0.found == "the key a second time" && $0.line == index + 2 },
                "line \(index + 1): \(problems.errors.lines)")
        }
    }
}

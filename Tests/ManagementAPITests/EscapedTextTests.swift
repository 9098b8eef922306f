import ManagementAPI
import Testing

@Suite("threats.md C11: what a peer says cannot leave its line")
struct EscapedTextTests {
    @Test(
        arguments: [
            ("alice", "alice"), ("", ""), ("a\nb", #"a\x0ab"#), ("a\r\nb", #"a\x0d\x0ab"#), ("\u{1b}[2J", #"\x1b[2J"#), ("a\0b", #"a\x00b"#),
            ("%n%s", "%n%s"), ("$(id)", "$(id)"), ("'; rm", "'; rm"), ("\u{202e}gpj", #"\xe2\x80\xaegpj"#), ("\u{85}\u{7f}", #"\xc2\x85\x7f"#),
            (#"a\x0a"#, #"a\\x0a"#), ("é", #"\xc3\xa9"#),
        ] as [(String, String)])
    func threat_C11_escapes(raw: String, escaped: String) {
        #expect(EscapedText.of(raw.utf8) == escaped)
    }

    @Test func threat_C11_invalidUTF8() {
        #expect(EscapedText.of([0xff, 0xc0, 0x80, 0x61]) == #"\xff\xc0\x80a"#)
    }

    @Test func threat_C11_twoValuesNeverLookAlike() {
        #expect(EscapedText.of("\n".utf8) != EscapedText.of(#"\x0a"#.utf8))
    }

    @Test func shownTwiceChangesNothing() {
        let once = EscapedText.shown("a\\b\n\u{202e}")
        #expect(EscapedText.shown(once) == once)
        #expect(EscapedText.shown(EscapedText.of("a\n\\".utf8)) == EscapedText.of("a\n\\".utf8))
    }

    @Test(arguments: [0, 1, 2, 3, 4, 10, 255, 256], ["a", "\n", "\\", "a\n", "\u{202e}x"])
    func threat_C11_cap(limit: Int, piece: String) {
        let text = EscapedText.of(String(repeating: piece, count: 65536).utf8, limit: limit)
        #expect(text.utf8.count <= limit)
        #expect(text.utf8.allSatisfy { (0x20...0x7e).contains($0) })
        if limit >= 3 { #expect(text.hasSuffix("...")) }
        // What stays before the ellipsis is whole.
        let escapes = text.dropLast(3).split(separator: #"\x"#, omittingEmptySubsequences: false).dropFirst()
        if piece == "\n" { #expect(escapes.allSatisfy { $0.count == 2 }) }
    }

    @Test func whatFitsIsNotCut() {
        #expect(EscapedText.of(String(repeating: "a", count: 256).utf8).utf8.count == 256)
        #expect(!EscapedText.of(String(repeating: "a", count: 256).utf8).hasSuffix("..."))
        #expect(EscapedText.of(String(repeating: "a", count: 257).utf8) == String(repeating: "a", count: 253) + "...")
    }

    @Test func threat_C11_seededMutation() {
        let seed: UInt64 = 0x5eed
        var state = seed
        for round in 0..<10_000 {
            var octets: [UInt8] = []
            for _ in 0..<(round % 300) {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                octets.append(UInt8(truncatingIfNeeded: state >> 33))
            }
            let text = EscapedText.of(octets)
            #expect(text.utf8.count <= 256 && text.utf8.allSatisfy { (0x20...0x7e).contains($0) }, "seed \(seed) round \(round)")
        }
    }
}

import IKEMessages
import Testing
import Wire

@Suite("Identities in logs: one line of printable ASCII, at most 256 characters")
struct IdentityTests {
    static let types: [IDType] = [.ipv4Address, .fqdn, .rfc822Address, .ipv6Address, .derASN1DN, .derASN1GN, .keyID, .null, IDType(rawValue: 200)]

    /// What a peer may put into a name to break a log, a terminal or a shell.
    static let hostile: [(String, [UInt8])] = [
        ("line ends", Array("alice\nroot logged in\r\nbob".utf8)), ("tab and bell", Array("a\tb\u{7}c".utf8)),
        ("escape sequences", Array("\u{1b}[2J\u{1b}]0;owned\u{7}".utf8)), ("C1 controls", [0x61, 0x9b, 0x32, 0x4a, 0x85]),
        ("NUL", Array("gw.test\0.evil.test".utf8)), ("right to left override", Array("\u{202e}txt.exe".utf8)),
        ("isolates", Array("\u{2066}\u{2067}\u{2069}".utf8)), ("line separator", Array("a\u{2028}b\u{2029}c".utf8)),
        ("zero width", Array("al\u{200b}ice\u{feff}".utf8)), ("combining", Array("z\u{300}\u{301}\u{302}".utf8)),
        ("quotes", Array("a\"b'c`d".utf8)), ("backslashes", Array(#"C:\n\x0a\\"#.utf8)), ("shell", Array("'$(id)';`id`|&<>".utf8)),
        ("format", Array("%n%s%x%p${jndi:ldap://x}".utf8)), ("invalid UTF-8", [0xff, 0xfe, 0xc0, 0x80, 0xed, 0xa0, 0x80]),
        ("delete", [0x7f]), ("empty", []), ("64 KB of a", Array(repeating: 0x61, count: 65536)),
        ("64 KB of NUL", Array(repeating: 0, count: 65536)), ("64 KB of quotes", Array(repeating: 0x22, count: 65536)),
        ("every octet", Array(0...255)), ("253 letters", Array(repeating: 0x61, count: 253)), ("254 letters", Array(repeating: 0x61, count: 254)),
    ]

    private func check(_ identity: IdentificationPayload, _ name: String) {
        let text = identity.description
        #expect(text.utf8.allSatisfy { (0x20...0x7e).contains($0) }, "\(name), type \(identity.type.rawValue)")
        #expect(text.utf8.count <= 256 && text.count == text.utf8.count, "\(name), type \(identity.type.rawValue)")
    }

    @Test("C11 P39 hostile names", arguments: types)
    func threat_C11_hostileNames(type: IDType) {
        for (name, data) in Self.hostile { check(IdentificationPayload(type: type, data: data), name) }
    }

    @Test("C11 random names", arguments: types)
    func threat_C11_randomNames(type: IDType) {
        let seed: UInt64 = 0xc11
        var random = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            check(IdentificationPayload(type: type, data: random.octets(Int.random(in: 0...300, using: &random))), "seed \(seed)")
        }
    }

    private static let appearances: [(IDType, [UInt8], String)] = [
        (.fqdn, Array("gw.example.test".utf8), "gw.example.test"), (.rfc822Address, Array("alice@example.test".utf8), "alice@example.test"),
        (.fqdn, Array("a\nb".utf8), #"a\x0ab"#), (.fqdn, [0x61, 0], #"a\x00"#), (.fqdn, Array("\u{1b}[0m".utf8), #"\x1b[0m"#),
        (.rfc822Address, Array("\u{202e}a".utf8), #"\xe2\x80\xaea"#), (.fqdn, Array(#"a"b\c"#.utf8), #"a\"b\\c"#),
        (.keyID, Array("site:alice".utf8), "site:alice"), (.keyID, [0, 1, 0xff], "key-id:0001ff"), (.keyID, Array("a b".utf8), "key-id:612062"),
        (.ipv4Address, [192, 0, 2, 1], "192.0.2.1"), (.ipv4Address, [1, 2, 3], "id-type-1:010203"),
        (.ipv6Address, [0x20, 1, 0xd, 0xb8] + Array(repeating: 0, count: 11) + [1], "2001:db8::1"), (.derASN1DN, [0x30, 0], "id-type-9:3000"),
        (.null, [], "id-type-13:"),
    ]

    @Test("P39 what a name looks like", arguments: appearances)
    func threat_P39_appearance(type: IDType, data: [UInt8], expected: String) {
        #expect(IdentificationPayload(type: type, data: data).description == expected)
    }

    @Test("P39 no two short names look alike, escaped or not")
    func threat_P39_distinct() {
        var names: [String: [UInt8]] = [:]
        let characters: [UInt8] = [0, 0x0a, 0x22, 0x27, 0x5c, 0x78, 0x30, 0x61, 0xc3, 0xff]
        for first in characters {
            for second in characters {
                for third in characters {
                    let data = [first, second, third]
                    let name = IdentificationPayload(type: .fqdn, data: data).description
                    #expect(names[name] == nil, "\(data) and \(names[name] ?? [])")
                    names[name] = data
                }
            }
        }
        // An escape that a peer wrote itself is not one of ours.
        #expect(
            IdentificationPayload(type: .fqdn, data: Array(#"a\x0a"#.utf8)).description
                != IdentificationPayload(type: .fqdn, data: Array("a\n".utf8)).description)
    }

    @Test("C11 a long name is cut at a whole escape, and says so")
    func threat_C11_cut() {
        let whole = IdentificationPayload(type: .fqdn, data: Array(repeating: 0x61, count: 253)).description
        #expect(whole.count == 253 && !whole.hasSuffix("..."))
        let cut = IdentificationPayload(type: .fqdn, data: Array(repeating: 0x61, count: 254)).description
        #expect(cut.count == 256 && cut.hasSuffix("a..."))
        let escapes = IdentificationPayload(type: .fqdn, data: Array(repeating: 0, count: 100)).description
        #expect(escapes.hasSuffix(#"\x00..."#) && escapes.count <= 256 && (escapes.count - 3).isMultiple(of: 4))
        let key = IdentificationPayload(type: .keyID, data: Array(repeating: 0, count: 2048)).description
        #expect(key.hasPrefix("key-id:0000") && key.hasSuffix("00...") && key.count <= 256)
    }

    @Test("P39 addresses are addresses only by type and length")
    func threat_P39_addresses() {
        #expect(IdentificationPayload(type: .ipv4Address, data: [10, 0, 0, 1]).ipAddress == IPAddress("10.0.0.1"))
        #expect(IdentificationPayload(type: .fqdn, data: [10, 0, 0, 1]).ipAddress == nil)
        #expect(IdentificationPayload(type: .ipv6Address, data: Array(repeating: 0, count: 15)).ipAddress == nil)
    }
}

import GatewayTesting
import PKI
import Testing
import Wire

/// Identities against certificates, and names against names (threats.md P18, P39; features.md X-15).
@Suite struct IdentityTests {
    static func text(_ text: String) -> [UInt8] { Array(text.utf8) }

    static let names: [GeneralName] = [
        .dns("vpn.example.com"), .dns("*.wild.example.com"), .rfc822("Alice@Example.com"), .address(IPAddress(v4: 0xc000_0201)),
        .other(0x87, [UInt8](repeating: 0, count: 15) + [1]), .uri(text("ipsec://vpn.example.com")), .dns("nul.example.com\0.evil.com"),
        .dns(""), .rfc822("@example.com"), .other(0x87, [192, 0, 2]),
    ]

    struct Match: CustomStringConvertible, Sendable {
        let type: UInt8
        let data: [UInt8]
        let isMatch: Bool
        var description: String { "type \(type), \(EscapedName.text(data)): \(isMatch ? "matches" : "does not match")" }

        init(_ type: UInt8, _ text: String, _ isMatch: Bool) { self.init(type, octets: Array(text.utf8), isMatch) }
        init(_ type: UInt8, octets: [UInt8], _ isMatch: Bool) {
            self.type = type
            data = octets
            self.isMatch = isMatch
        }
    }

    static let matches: [Match] = [
        // ID_FQDN: dNSName only, whole, case of ASCII folded
        Match(2, "vpn.example.com", true), Match(2, "VPN.Example.COM", true),
        Match(2, "example.com", false), Match(2, "vpn.example.co", false), Match(2, "xvpn.example.com", false), Match(2, "vpn.example.com.", false),
        Match(2, "vpn.example.com ", false), Match(2, "", false), Match(2, "Alice@Example.com", false), Match(2, "192.0.2.1", false),
        Match(2, "gateway", false), Match(2, "nul.example.com", false), Match(2, "nul.example.com\0.evil.com", false),
        Match(2, "a.wild.example.com", false), Match(2, "*.wild.example.com", false), Match(2, "vpn.ex\u{e4}mple.com", false),
        Match(2, "vpn.exam\u{212a}ple.com", false),
        // ID_RFC822_ADDR: the local part's case counts, the domain's does not
        Match(3, "Alice@example.COM", true), Match(3, "Alice@Example.com", true), Match(3, "alice@example.com", false),
        Match(3, "Alice@example.com\0", false), Match(3, "Alice", false), Match(3, "@example.com", false), Match(3, "vpn.example.com", false),
        Match(3, "Alice@sub.example.com", false), Match(3, "x@Alice@example.com", false),
        // addresses: as octets
        Match(1, octets: [192, 0, 2, 1], true), Match(1, octets: [192, 0, 2, 2], false), Match(1, octets: [192, 0, 2], false),
        Match(5, octets: [UInt8](repeating: 0, count: 15) + [1], true), Match(5, octets: [UInt8](repeating: 0, count: 16), false),
        Match(5, octets: [UInt8](repeating: 0, count: 10) + [255, 255, 192, 0, 2, 1], false), Match(1, "vpn.example.com", false),
        // KEY_ID and what nobody knows
        Match(11, "vpn.example.com", false), Match(13, "", false), Match(200, "vpn.example.com", false),
        // ID_DER_ASN1_GN
        Match(10, octets: GeneralName.dns("VPN.example.com").der, true), Match(10, octets: GeneralName.dns("example.com").der, false),
        Match(10, octets: GeneralName.uri(text("ipsec://vpn.example.com")).der, true), Match(10, octets: [0x82, 5, 1], false),
        Match(10, octets: GeneralName.other(0x87, [192, 0, 2]).der, false),
        // ID_DER_ASN1_DN that is none
        Match(9, "CN=gateway", false), Match(9, octets: [0x30, 0x00], false), Match(9, octets: [], false),
    ]

    static func certificate(_ change: (inout TestCA.Options) -> Void = { _ in }) throws -> Certificate {
        try TestCA().endEntity("gateway") {
            $0.names = names
            change(&$0)
        }.certificate
    }

    @Test(arguments: matches) func threat_P18_identity(_ match: Match) throws {
        let identity = PeerIdentity(type: match.type, data: match.data)
        let found = try identity.map { try Self.certificate().matches($0) } ?? false
        #expect(found == match.isMatch)
        if let text = identity?.description { #expect(text.utf8.count <= 256 && text.utf8.allSatisfy { (0x20...0x7e).contains($0) }) }
    }

    @Test func threat_P18_noCommonName() throws {
        let certificate = try TestCA().endEntity("vpn.example.com").certificate
        #expect(!certificate.matches(.fqdn(Self.text("vpn.example.com"))))
        #expect(certificate.matches(.distinguishedName(certificate.subject)))
    }

    @Test func threat_P18_subject() throws {
        let subject = try #require(DistinguishedName([("C", "DE"), ("O", "Example  Corp"), ("CN", "Alice Doe")]))
        let certificate = try Self.certificate { $0.subject = subject }
        func matches(_ attributes: [(String, String)]) throws -> Bool {
            let name = try #require(DistinguishedName(attributes))
            return try certificate.matches(#require(PeerIdentity(type: 9, data: name.der)))
        }
        #expect(try matches([("C", "DE"), ("O", "Example Corp"), ("CN", "Alice Doe")]))
        #expect(try matches([("C", "de"), ("O", " example corp "), ("CN", "ALICE  DOE")]))
        #expect(try !matches([("C", "DE"), ("CN", "Alice Doe"), ("O", "Example Corp")]))
        #expect(try !matches([("C", "DE"), ("O", "Example Corp")]))
        #expect(try !matches([("C", "DE"), ("O", "Example Corp"), ("CN", "Alice Doe"), ("CN", "Alice Doe")]))
        #expect(try !matches([("C", "DE"), ("O", "Example Corp"), ("CN", "AliceDoe")]))
        #expect(try !matches([("C", "DE"), ("O", "Example Corp"), ("SN", "Alice Doe")]))
        // octets behind the name
        #expect(PeerIdentity(type: 9, data: subject.der + [0]) == nil)
    }

    @Test func threat_P39_embeddedNUL() throws {
        let subject = try #require(DistinguishedName([("CN", "alice\0.evil")]))
        #expect(subject.containsNUL)
        let certificate = try Self.certificate {
            $0.subject = subject; $0.names = [.directory(subject)]
        }
        #expect(!certificate.matches(.distinguishedName(subject)))
        #expect(!certificate.matches(.generalName(.directory(subject))))
        #expect(subject.description == "CN=alice\\00.evil")
    }

    // MARK: Distinguished names

    static func name(_ parts: [[(ObjectIdentifier, UInt8, [UInt8])]]) -> [UInt8] {
        DERWriting.sequence(
            parts.map { part in DERWriting.set(part.map { DERWriting.sequence($0.0.der, DERWriting.element($0.1, $0.2)) }) })
    }

    static let cn = ObjectIdentifier(2, 5, 4, 3)
    static let o = ObjectIdentifier(2, 5, 4, 10)
    static let utf8: UInt8 = 0x0c, printable: UInt8 = 0x13, teletex: UInt8 = 0x14, ia5: UInt8 = 0x16, numeric: UInt8 = 0x12, bmp: UInt8 = 0x1e
    static let universal: UInt8 = 0x1c

    struct Pair: CustomStringConvertible, Sendable {
        let description: String
        let left, right: [UInt8]
        let areEqual: Bool

        init(_ description: String, _ left: (UInt8, [UInt8]), _ right: (UInt8, [UInt8]), _ areEqual: Bool) {
            self.description = description
            self.left = name([[(cn, left.0, left.1)]])
            self.right = name([[(cn, right.0, right.1)]])
            self.areEqual = areEqual
        }

        init(_ description: String, left: [UInt8], right: [UInt8], _ areEqual: Bool) {
            self.description = description
            self.left = left
            self.right = right
            self.areEqual = areEqual
        }
    }

    static let pairs: [Pair] = [
        Pair("same", (utf8, text("a")), (utf8, text("a")), true),
        Pair("other", (utf8, text("a")), (utf8, text("b")), false),
        Pair("case", (utf8, text("ALICE")), (utf8, text("alice")), true),
        Pair("string types", (utf8, text("alice")), (printable, text("Alice")), true),
        Pair("IA5", (ia5, text("alice")), (printable, text("alice")), true),
        Pair("BMP", (bmp, [0, 0x61]), (utf8, text("a")), true),
        Pair("Universal", (universal, [0, 0, 0, 0x61]), (utf8, text("a")), true),
        Pair("BMP beyond ASCII", (bmp, [0x01, 0x0d]), (utf8, text("\u{10d}")), true),
        Pair("Teletex as Latin 1", (teletex, [0xe4]), (utf8, text("\u{e4}")), true),
        Pair("white space at the ends", (utf8, text(" alice ")), (utf8, text("alice")), true),
        Pair("white space inside", (utf8, text("a \t b")), (utf8, text("a b")), true),
        Pair("white space gone", (utf8, text("a b")), (utf8, text("ab")), false),
        Pair("case beyond ASCII counts", (utf8, text("\u{c4}")), (utf8, text("\u{e4}")), false),
        Pair("no normalisation", (utf8, text("\u{e4}")), (utf8, text("a\u{308}")), false),
        Pair("Kelvin is not k", (utf8, text("\u{212a}")), (utf8, text("k")), false),
        Pair("NUL", (utf8, [0x61, 0]), (utf8, text("a")), false),
        Pair("NUL and more", (utf8, [0x61, 0, 0x62]), (utf8, [0x61, 0, 0x63]), false),
        Pair("other types as they are", (numeric, text("1")), (printable, text("1")), false),
        Pair("empty value", (utf8, []), (printable, []), true),
        Pair("prefix", (utf8, text("alice")), (utf8, text("alice2")), false),
        Pair(
            "order within a relative name", left: name([[(cn, utf8, text("A")), (o, utf8, text("b"))]]),
            right: name([[(o, utf8, text("B")), (cn, printable, text("a"))]]), true),
        Pair(
            "one relative name or two", left: name([[(cn, utf8, text("a")), (o, utf8, text("b"))]]),
            right: name([[(cn, utf8, text("a"))], [(o, utf8, text("b"))]]), false),
        Pair(
            "order of relative names", left: name([[(cn, utf8, text("a"))], [(o, utf8, text("b"))]]),
            right: name([[(o, utf8, text("b"))], [(cn, utf8, text("a"))]]), false),
        Pair("attribute type", left: name([[(cn, utf8, text("a"))]]), right: name([[(o, utf8, text("a"))]]), false),
        Pair("empty names", left: [0x30, 0], right: [0x30, 0], true),
        Pair("empty and not", left: [0x30, 0], right: name([[(cn, utf8, [])]]), false),
    ]

    @Test(arguments: pairs) func RFC5280_7_1_nameComparison(_ pair: Pair) throws {
        let left = try DistinguishedName(der: pair.left)
        let right = try DistinguishedName(der: pair.right)
        #expect((left == right) == pair.areEqual && (right == left) == pair.areEqual)
        #expect(left != right || left.hashValue == right.hashValue)
    }

    static let broken: [(String, [UInt8])] = [
        ("nothing", []), ("a set", [0x31, 0]), ("empty relative name", [0x30, 2, 0x31, 0]), ("trailing", [0x30, 0, 0]),
        ("invalid UTF-8", name([[(cn, utf8, [0xff])]])), ("overlong UTF-8", name([[(cn, utf8, [0xc0, 0x80])]])),
        ("surrogate", name([[(cn, bmp, [0xd8, 0x00])]])), ("half a BMP character", name([[(cn, bmp, [0x61])]])),
        ("beyond Unicode", name([[(cn, universal, [0x00, 0x11, 0, 0])]])),
        ("a third part", DERWriting.sequence(DERWriting.set([DERWriting.sequence(cn.der, DERWriting.utf8("a"), DERWriting.null)]))),
        ("no value", DERWriting.sequence(DERWriting.set([DERWriting.sequence(cn.der)]))),
        ("a type that is none", DERWriting.sequence(DERWriting.set([DERWriting.sequence([6, 1, 0x80], DERWriting.utf8("a"))]))),
    ]

    @Test(arguments: broken.indices) func threat_P39_brokenNames(_ index: Int) {
        let (description, octets) = Self.broken[index]
        #expect((try? DistinguishedName(der: octets)) == nil, "\(description)")
        #expect(PeerIdentity(type: 9, data: octets) == nil, "\(description)")
    }

    /// One line of printable ASCII, at most 256 octets, whatever is in the name (threats.md C11).
    @Test(arguments: [
        "a\nb", "a\u{1b}[31m", "%n%s", "\0", "'$(id)'", "\u{202e}txt.exe", "a,b+c=d\"e\\f", String(repeating: "x", count: 5000), "\u{e4}\u{1f600}",
    ]) func threat_C11_namesInTheLog(_ value: String) throws {
        let name = try #require(DistinguishedName([("O", "Test"), ("CN", value)]))
        #expect(name.description.hasPrefix("O=Test, CN=") && name.description.utf8.count <= 256)
        #expect(name.description.utf8.allSatisfy { (0x20...0x7e).contains($0) })
        let failure = try TestCA("Other").anchors().refusal(TestCA().endEntity("x") { $0.subject = name }.payloads)
        #expect(failure?.description.utf8.allSatisfy { (0x20...0x7e).contains($0) } == true)
    }
}

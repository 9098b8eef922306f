/// One IKE SA as `swanctl --list-sas --raw` tells it.
package struct CharonSA: Sendable {
    package struct Child: Sendable {
        package var fields: [String: String]
        package var localSelectors: [String]
        package var remoteSelectors: [String]
        package var name: String { fields["name"] ?? "" }
        package var state: String { fields["state"] ?? "" }
        /// As strongSwan writes them: AES_GCM_16 and 128, AES_CBC and HMAC_SHA2_256_128.
        package var encryption: String { CharonSA.encryption(fields) }
        package var integrity: String? { fields["integ-alg"] }
        package var octetsIn: Int { Int(fields["bytes-in"] ?? "") ?? 0 }
        package var octetsOut: Int { Int(fields["bytes-out"] ?? "") ?? 0 }
        package var usesESN: Bool { fields["esn"] == "1" }
        /// Whether ESP travels in UDP.
        package var isEncapsulated: Bool { fields["encap"] == "yes" }
    }

    /// Of its connection.
    package var name: String
    package var fields: [String: String]
    package var virtualAddresses: [String]
    package var children: [Child]

    package var state: String { fields["state"] ?? "" }
    /// Of all that this strongSwan has had.
    package var number: String { fields["uniqueid"] ?? "" }
    package var encryption: String { Self.encryption(fields) }
    private static func encryption(_ fields: [String: String]) -> String {
        [fields["encr-alg"], fields["encr-keysize"]].compactMap { $0 }.joined(separator: "-")
    }
    package var integrity: String? { fields["integ-alg"] }
    package var prf: String { fields["prf-alg"] ?? "" }
    package var keyExchange: String { fields["dh-group"] ?? "" }
    package var remoteIdentity: String { fields["remote-id"] ?? "" }
    /// Whether it takes itself, or its peer, to be behind a NAT.
    package var isBehindNAT: Bool { fields["nat-local"] == "yes" }
    package var peerIsBehindNAT: Bool { fields["nat-remote"] == "yes" }

    static func parse(_ text: String) throws -> [CharonSA] {
        var found: [CharonSA] = []
        for line in text.split(separator: "\n") where line.hasPrefix("list-sa event ") {
            var parser = RawVici(line.dropFirst("list-sa event ".count))
            for (name, sa) in try parser.section().sections {
                let children = (sa.sections.first { $0.0 == "child-sas" }?.1.sections ?? []).map { _, child in
                    Child(
                        fields: child.values, localSelectors: child.lists["local-ts"] ?? [], remoteSelectors: child.lists["remote-ts"] ?? [])
                }
                found.append(CharonSA(name: name, fields: sa.values, virtualAddresses: sa.lists["local-vips"] ?? [], children: children))
            }
        }
        return found
    }
}

/// swanctl's `--raw` form: `{key=value list=[a b] section {…}}`.
private struct RawVici {
    struct Section {
        var values: [String: String] = [:]
        var lists: [String: [String]] = [:]
        var sections: [(String, Section)] = []
    }

    private var rest: Substring

    init(_ text: Substring) { rest = text }

    mutating func section() throws -> Section {
        try take("{")
        var section = Section()
        while true {
            rest = rest.drop { $0 == " " }
            if rest.first == "}" {
                rest.removeFirst()
                return section
            }
            let key = String(rest.prefix { $0 != "=" && $0 != " " && $0 != "{" })
            rest = rest.dropFirst(key.count).drop { $0 == " " }
            switch rest.first {
            case "{":
                section.sections.append((key, try self.section()))
            case "=" where rest.dropFirst().first == "[":
                let list = balanced(rest.dropFirst(2))
                section.lists[key] = list.split(separator: " ").map(String.init)
                rest = rest.dropFirst(2 + list.count + 1)
            case "=":
                let value = rest.dropFirst().prefix { $0 != " " && $0 != "}" }
                section.values[key] = String(value)
                rest = rest.dropFirst(1 + value.count)
            default:
                throw LabError("swanctl --raw: cannot read “\(rest.prefix(60))”")
            }
        }
    }

    /// Up to the bracket that ends a list; selectors may have brackets of their own: 10.20.0.0/24[tcp/80].
    private func balanced(_ text: Substring) -> Substring {
        var depth = 1
        return text.prefix {
            if $0 == "[" { depth += 1 }
            if $0 == "]" { depth -= 1 }
            return depth > 0
        }
    }

    private mutating func take(_ character: Character) throws {
        rest = rest.drop { $0 == " " }
        guard rest.first == character else { throw LabError("swanctl --raw: no \(character) at “\(rest.prefix(60))”") }
        rest.removeFirst()
    }
}

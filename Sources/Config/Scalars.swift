import Wire

/// Values of one text, checked.
extension Value {
    func text(_ length: ClosedRange<Int> = 1...255) -> String? {
        guard let text = scalar, length.contains(text.utf8.count),
            text.unicodeScalars.allSatisfy({ $0.value >= 32 && $0.value != 127 })
        else {
            refuse(allowed: "a text of \(length.lowerBound)...\(length.upperBound) octets without control characters")
            return nil
        }
        return text
    }

    /// A name of the user's: letters, digits, dot, dash and underscore.
    func name(max maximum: Int = 64) -> String? {
        guard let text = scalar, isName(text, max: maximum) else {
            refuse(allowed: nameRule(max: maximum))
            return nil
        }
        return text
    }

    func integer(_ range: ClosedRange<Int>, also: String? = nil) -> Int? {
        guard let text = scalar, let number = decimal(text), range.contains(number) else {
            refuse(allowed: "\(range.lowerBound)...\(range.upperBound)" + (also.map { " or \($0)" } ?? ""))
            return nil
        }
        return number
    }

    /// One of a few numbers.
    func integer(of numbers: [Int]) -> Int? {
        guard let text = scalar, let number = decimal(text), numbers.contains(number) else {
            refuse(allowed: numbers.map(String.init).joined(separator: ", "))
            return nil
        }
        return number
    }

    func seconds(_ range: ClosedRange<Int>) -> Duration? {
        guard let text = scalar, let number = decimal(text), range.contains(number) else {
            refuse(allowed: "\(range.lowerBound)...\(range.upperBound) seconds")
            return nil
        }
        return .seconds(number)
    }

    func minutes(_ range: ClosedRange<Int>, also: String? = nil) -> Duration? {
        guard let text = scalar, let number = decimal(text), range.contains(number) else {
            refuse(allowed: "\(range.lowerBound)...\(range.upperBound) minutes" + (also.map { " or \($0)" } ?? ""))
            return nil
        }
        return .seconds(number * 60)
    }

    func hours(_ range: ClosedRange<Int>) -> Duration? {
        guard let text = scalar, let number = decimal(text), range.contains(number) else {
            refuse(allowed: "\(range.lowerBound)...\(range.upperBound) hours")
            return nil
        }
        return .seconds(number * 3600)
    }

    func milliseconds(_ range: ClosedRange<Int>) -> Duration? {
        guard let text = scalar, let number = decimal(text), range.contains(number) else {
            refuse(allowed: "\(range.lowerBound)...\(range.upperBound) milliseconds")
            return nil
        }
        return .milliseconds(number)
    }

    /// Octets, with a unit such as MiB.
    func size(_ range: ClosedRange<UInt64>) -> UInt64? {
        let units: [(name: String, octets: UInt64)] = [
            ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("kB", 1000), ("KB", 1000),
            ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000), ("B", 1),
        ]
        let parsed = scalar.flatMap { text -> UInt64? in
            let unit = units.first { text.hasSuffix($0.name) }
            let digits = text.dropLast(unit?.name.count ?? 0)
            guard let number = decimal(String(digits).trimmedEnd), number >= 0 else { return nil }
            let (octets, overflow) = UInt64(number).multipliedReportingOverflow(by: unit?.octets ?? 1)
            return overflow ? nil : octets
        }
        guard let parsed, range.contains(parsed) else {
            refuse(
                allowed:
                    "\(Self.sizeText(range.lowerBound))...\(Self.sizeText(range.upperBound)), in B, KiB, MiB, GiB or TiB"
            )
            return nil
        }
        return parsed
    }

    private static func sizeText(_ octets: UInt64) -> String {
        for (name, unit) in [("TiB", UInt64(1) << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
        where octets >= unit && octets % unit == 0 {
            return "\(octets / unit)\(name)"
        }
        return "\(octets)B"
    }

    func boolean() -> Bool? {
        switch scalar {
        case "true": return true
        case "false": return false
        default:
            let meant = scalar.flatMap { ["yes": "true", "on": "true", "no": "false", "off": "false"][$0.lowercased()] }
            refuse(allowed: "true, false", suggestion: meant)
            return nil
        }
    }

    /// `admin-state`.
    func isEnabled() -> Bool? { word(of: ["enable", "disable"]).map { $0 == "enable" } }

    /// One of a few words.
    func word(of words: [String]) -> String? {
        guard let text = scalar, words.contains(text) else {
            refuse(
                allowed: words.joined(separator: ", "),
                suggestion: isSecret ? nil : scalar.flatMap { nearMiss($0, among: words) })
            return nil
        }
        return text
    }

    /// One case of an enumeration whose raw values are the words of the file.
    func choice<Choice: CaseIterable & RawRepresentable<String>>(_: Choice.Type = Choice.self) -> Choice? {
        word(of: Choice.allCases.map(\.rawValue)).flatMap(Choice.init(rawValue:))
    }

    func address(_ family: AddressFamily? = nil) -> IPAddress? {
        guard let text = scalar, let address = IPAddress(text), family == nil || address.family == family else {
            let example = family == .ipv6 ? "such as 2001:db8::1" : "such as 192.0.2.1"
            refuse(allowed: "an \(family.map { "IPv\($0.rawValue)" } ?? "IPv4 or IPv6") address, \(example)")
            return nil
        }
        return address
    }

    /// A block without host bits.
    func prefix(_ family: AddressFamily? = nil) -> IPPrefix? {
        guard let text = scalar, text.contains("/"), let prefix = IPPrefix(text),
            family == nil || prefix.family == family
        else {
            refuse(allowed: "an \(family.map { "IPv\($0.rawValue)" } ?? "IPv4 or IPv6") prefix, such as 10.0.0.0/8")
            return nil
        }
        guard let host = text.split(separator: "/").first.flatMap({ IPAddress(String($0)) }), host == prefix.address
        else {
            refuse(allowed: "a prefix without host bits", suggestion: prefix.description)
            return nil
        }
        return prefix
    }

    /// An absolute path.
    func absolutePath() -> String? {
        guard let text = scalar, text.hasPrefix("/"), text.utf8.count <= 4095,
            text.unicodeScalars.allSatisfy({ $0.value >= 32 && $0.value != 127 })
        else {
            refuse(allowed: "an absolute path, such as /etc/ipsec-gw/file")
            return nil
        }
        return text
    }

    /// A fully qualified domain name.
    func domainName() -> String? {
        guard let text = scalar, isDomainName(text) else {
            refuse(allowed: "a domain name, such as vpn.example.com")
            return nil
        }
        return text
    }

    /// A URL of one of the schemes.
    func url(_ schemes: [String]) -> String? {
        guard let text = scalar, text.utf8.count <= 2048, text.utf8.allSatisfy({ (33...126).contains($0) }),
            let scheme = schemes.first(where: { text.hasPrefix($0 + "://") }), text.utf8.count > scheme.utf8.count + 3
        else {
            refuse(allowed: "a URL that begins with " + schemes.map { $0 + "://" }.joined(separator: " or "))
            return nil
        }
        return text
    }
}

/// Digits only: no sign, no blank, no other base.
func decimal(_ text: String) -> Int? {
    guard (1...18).contains(text.utf8.count), text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
    return Int(text)
}

func isName(_ text: String, max maximum: Int) -> Bool {
    (1...maximum).contains(text.utf8.count) && text != "." && text != ".."
        && text.utf8.allSatisfy {
            (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == UInt8(ascii: ".")
                || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
        }
}

func nameRule(max maximum: Int) -> String { "1...\(maximum) letters, digits, dots, dashes and underscores" }

func isDomainName(_ text: String) -> Bool {
    guard (1...253).contains(text.utf8.count) else { return false }
    return text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
        (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
            && isName(String(label), max: 63)
    }
}

extension String {
    fileprivate var trimmedEnd: String {
        var text = self
        while text.last == " " { text.removeLast() }
        return text
    }
}

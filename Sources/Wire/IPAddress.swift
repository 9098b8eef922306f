/// The two families of addresses.
package enum AddressFamily: UInt8, Hashable, Sendable, CaseIterable, Codable {
    case ipv4 = 4
    case ipv6 = 6

    /// Bits of an address: 32 or 128.
    package var bits: Int { self == .ipv4 ? 32 : 128 }
    /// Octets of an address: 4 or 16.
    package var octetCount: Int { bits / 8 }
    /// The largest address as a number.
    package var maximum: UInt128 { self == .ipv4 ? UInt128(UInt32.max) : .max }
}

/// An IPv4 or IPv6 address, as a number of its family.
package struct IPAddress: Hashable, Sendable {
    package let family: AddressFamily
    /// The address as a number, most significant octet first; at most 2^32 - 1 for IPv4.
    package let value: UInt128

    package init(family: AddressFamily, value: UInt128) {
        self.family = family
        self.value = value & family.maximum
    }

    /// An IPv4 address from its 32 bits.
    package init(v4 value: UInt32) {
        self.init(family: .ipv4, value: UInt128(value))
    }

    /// An address from 4 or 16 octets, else nil. Where they are an array no generic code runs.
    package init?(octets: [UInt8]) {
        guard let family: AddressFamily = octets.count == 4 ? .ipv4 : octets.count == 16 ? .ipv6 : nil else { return nil }
        self.init(family: family, value: octets.reduce(0) { $0 << 8 | UInt128($1) })
    }

    /// An address from 4 or 16 octets, else nil.
    package init?(octets: some Collection<UInt8>) {
        switch octets.count {
        case 4: family = .ipv4
        case 16: family = .ipv6
        default: return nil
        }
        var number: UInt128 = 0
        for octet in octets { number = number << 8 | UInt128(octet) }
        value = number
    }

    /// Reads an address of the family off the front; throws `.truncated`.
    package init(parsing span: inout RawSpan, family: AddressFamily) throws(WireError) {
        switch family {
        case .ipv4: self.init(family: .ipv4, value: UInt128(try span.next(UInt32.self)))
        case .ipv6:
            let high = try span.next(UInt64.self)
            let low = try span.next(UInt64.self)
            self.init(family: .ipv6, value: UInt128(high) << 64 | UInt128(low))
        }
    }

    /// 4 or 16 octets.
    package var octets: [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(family.octetCount)
        for shift in stride(from: family.bits - 8, through: 0, by: -8) {
            result.append(UInt8(truncatingIfNeeded: value >> UInt128(shift)))
        }
        return result
    }

    /// 0.0.0.0 or ::.
    package var isUnspecified: Bool { value == 0 }

    /// 127.0.0.0/8 or ::1.
    package var isLoopback: Bool {
        family == .ipv4 ? value >> 24 == 127 : value == 1
    }

    /// The next address, or nil at the end of the family.
    package var next: IPAddress? {
        value == family.maximum ? nil : IPAddress(family: family, value: value + 1)
    }

    /// The address before, or nil at the beginning of the family.
    package var previous: IPAddress? {
        value == 0 ? nil : IPAddress(family: family, value: value - 1)
    }
}

extension IPAddress: Comparable {
    /// IPv4 before IPv6, then by number.
    package static func < (left: IPAddress, right: IPAddress) -> Bool {
        left.family == right.family ? left.value < right.value : left.family.rawValue < right.family.rawValue
    }
}

extension IPAddress: LosslessStringConvertible {
    /// Dotted decimal (no leading zeros) or RFC 4291 text; an embedded IPv4 tail is understood, a zone is not.
    package init?(_ text: String) {
        guard text.utf8.count <= 45 else { return nil }
        if text.utf8.contains(UInt8(ascii: ":")) {
            guard let number = Self.parseIPv6(text) else { return nil }
            self.init(family: .ipv6, value: number)
        } else {
            guard let number = Self.parseIPv4(text) else { return nil }
            self.init(v4: number)
        }
    }

    private static func parseIPv4(_ text: some StringProtocol) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var number: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (48...57).contains($0) }),
                part.utf8.count == 1 || part.utf8.first != 48, let octet = UInt8(part)
            else { return nil }
            number = number << 8 | UInt32(octet)
        }
        return number
    }

    private static func parseGroups(_ text: some StringProtocol) -> [UInt16]? {
        guard !text.isEmpty else { return [] }
        var groups: [UInt16] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if index == parts.count - 1, part.utf8.contains(UInt8(ascii: ".")) {
                guard let tail = parseIPv4(part) else { return nil }
                groups.append(UInt16(tail >> 16))
                groups.append(UInt16(tail & 0xffff))
                continue
            }
            guard (1...4).contains(part.utf8.count), part.utf8.first != UInt8(ascii: "+"),
                let group = UInt16(part, radix: 16)
            else { return nil }
            groups.append(group)
        }
        return groups.count <= 8 ? groups : nil
    }

    private static func parseIPv6(_ text: String) -> UInt128? {
        var groups: [UInt16]
        if let gap = text.firstRange(of: "::") {
            let tail = text[gap.upperBound...]
            guard !tail.hasPrefix(":"), tail.firstRange(of: "::") == nil, let left = parseGroups(text[..<gap.lowerBound]),
                let right = parseGroups(tail), left.count + right.count <= 7,
                !text[..<gap.lowerBound].utf8.contains(UInt8(ascii: "."))
            else { return nil }
            groups = left + [UInt16](repeating: 0, count: 8 - left.count - right.count) + right
        } else {
            guard let all = parseGroups(text), all.count == 8 else { return nil }
            groups = all
        }
        return groups.reduce(UInt128(0)) { $0 << 16 | UInt128($1) }
    }

    /// Dotted decimal, or RFC 5952 text.
    package var description: String {
        switch family {
        case .ipv4: return octets.map(String.init).joined(separator: ".")
        case .ipv6:
            let groups = (0..<8).map { UInt16(truncatingIfNeeded: value >> UInt128(112 - 16 * $0)) }
            if groups[0..<5].allSatisfy({ $0 == 0 }), groups[5] == 0xffff {
                return "::ffff:" + IPAddress(v4: UInt32(truncatingIfNeeded: value)).description
            }
            var best = 0..<0
            var start: Int?
            for index in 0...8 {
                if index < 8, groups[index] == 0 {
                    start = start ?? index
                } else if let from = start {
                    if index - from > best.count { best = from..<index }
                    start = nil
                }
            }
            guard best.count >= 2 else { return groups.map { String($0, radix: 16) }.joined(separator: ":") }
            let left = groups[..<best.lowerBound].map { String($0, radix: 16) }.joined(separator: ":")
            let right = groups[best.upperBound...].map { String($0, radix: 16) }.joined(separator: ":")
            return left + "::" + right
        }
    }
}

extension IPAddress: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let address = IPAddress(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an IP address: \(text)")
        }
        self = address
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

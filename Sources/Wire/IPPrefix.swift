/// An address block, RFC 4632 and RFC 4291 section 2.3; host bits are always zero.
package struct IPPrefix: Hashable, Sendable {
    /// The first address of the block.
    package let address: IPAddress
    /// Leading bits that are fixed: 0 to 32 or 128.
    package let length: Int

    /// The block of `length` bits around `address`, or nil when the family has no such length.
    package init?(_ address: IPAddress, length: Int) {
        guard (0...address.family.bits).contains(length) else { return nil }
        self.address = IPAddress(family: address.family, value: address.value & Self.mask(address.family, length))
        self.length = length
    }

    /// The block of one address.
    package init(host address: IPAddress) {
        self.address = address
        length = address.family.bits
    }

    private static func mask(_ family: AddressFamily, _ length: Int) -> UInt128 {
        length == 0 ? 0 : family.maximum ^ (family.maximum >> UInt128(length))
    }

    package var family: AddressFamily { address.family }
    /// The fixed bits as a number, such as 255.255.255.0.
    package var netmask: IPAddress { IPAddress(family: family, value: Self.mask(family, length)) }
    /// From the first to the last address.
    package var range: AddressRange {
        AddressRange(unchecked: address, IPAddress(family: family, value: address.value | ~netmask.value & family.maximum))
    }

    package func contains(_ other: IPAddress) -> Bool {
        other.family == family && other.value & netmask.value == address.value
    }

    package func contains(_ other: IPPrefix) -> Bool {
        other.length >= length && contains(other.address)
    }
}

extension IPPrefix: LosslessStringConvertible {
    /// `address/length`; a bare address is a block of one. Host bits are cut off.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let first = parts.first, let address = IPAddress(String(first)) else { return nil }
        guard parts.count == 2 else {
            self.init(host: address)
            return
        }
        guard parts[1].utf8.allSatisfy({ (48...57).contains($0) }), let length = Int(parts[1]) else { return nil }
        self.init(address, length: length)
    }

    package var description: String { "\(address)/\(length)" }
}

/// Consecutive addresses of one family, both ends included.
package struct AddressRange: Hashable, Sendable {
    package let begin: IPAddress
    package let end: IPAddress

    /// A range, or nil when the families differ or the end lies before the beginning.
    package init?(_ begin: IPAddress, _ end: IPAddress) {
        guard begin.family == end.family, begin <= end else { return nil }
        self.init(unchecked: begin, end)
    }

    init(unchecked begin: IPAddress, _ end: IPAddress) {
        self.begin = begin
        self.end = end
    }

    /// Every address of the family.
    package static func all(_ family: AddressFamily) -> AddressRange {
        AddressRange(unchecked: IPAddress(family: family, value: 0), IPAddress(family: family, value: family.maximum))
    }

    package var family: AddressFamily { begin.family }
    /// Addresses in the range, saturating.
    package var count: UInt128 {
        let (sum, overflow) = (end.value - begin.value).addingReportingOverflow(1)
        return overflow ? .max : sum
    }

    package func contains(_ address: IPAddress) -> Bool {
        address.family == family && begin <= address && address <= end
    }

    package func contains(_ other: AddressRange) -> Bool {
        contains(other.begin) && contains(other.end)
    }

    /// What both have in common, or nil.
    package func intersection(_ other: AddressRange) -> AddressRange? {
        AddressRange(max(begin, other.begin), min(end, other.end))
            .flatMap { family == other.family ? $0 : nil }
    }

    package func overlaps(_ other: AddressRange) -> Bool { intersection(other) != nil }

    /// The block that is exactly this range, or nil.
    package var prefix: IPPrefix? {
        let difference = begin.value ^ end.value
        let length = family.bits - (128 - difference.leadingZeroBitCount)
        guard let candidate = IPPrefix(begin, length: length), candidate.range == self else { return nil }
        return candidate
    }
}

extension AddressRange: CustomStringConvertible {
    /// As a prefix where it is one, else `begin-end`.
    package var description: String { prefix?.description ?? "\(begin)-\(end)" }
}

/// A UDP address: IP address and port.
package struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    package let address: IPAddress
    package let port: UInt16

    package init(_ address: IPAddress, port: UInt16) {
        self.address = address
        self.port = port
    }

    /// `192.0.2.1:500`, `[2001:db8::1]:500`.
    package var description: String {
        address.family == .ipv4 ? "\(address):\(port)" : "[\(address)]:\(port)"
    }
}

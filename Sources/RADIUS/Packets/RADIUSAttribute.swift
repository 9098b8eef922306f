package import Wire

/// One attribute: its octets as they stand in the packet, hidden ones in clear (RFC 2865 section 5). An EAP message is one attribute however long.
package struct RADIUSAttribute: Equatable, Sendable {
    package let type: RADIUSAttributeType
    package let value: [UInt8]

    package init(_ type: RADIUSAttributeType, _ value: [UInt8]) {
        self.type = type
        self.value = value
    }

    package init(_ type: RADIUSAttributeType, _ text: String) {
        self.init(type, Array(text.utf8))
    }

    package init(_ type: RADIUSAttributeType, _ number: UInt32) {
        var octets: [UInt8] = []
        octets.append(bigEndian: number)
        self.init(type, octets)
    }

    package init(_ type: RADIUSAttributeType, _ address: IPAddress) {
        self.init(type, address.octets)
    }

    /// An IPv6 prefix, RFC 3162 section 2.3: reserved octet, length, the whole address.
    package init(_ type: RADIUSAttributeType, _ prefix: IPPrefix) {
        self.init(type, [0, UInt8(clamping: prefix.length)] + prefix.address.octets)
    }

    /// UTF-8 without an octet of zero, else nil.
    package var text: String? {
        value.contains(0) ? nil : String(validating: value, as: UTF8.self)
    }

    /// Four octets as a number, else nil.
    package var integer: UInt32? {
        value.count == 4 ? value.reduce(0) { $0 << 8 | UInt32($1) } : nil
    }

    package var ipv4Address: IPAddress? {
        value.count == 4 ? IPAddress(octets: value) : nil
    }

    package var ipv6Address: IPAddress? {
        value.count == 16 ? IPAddress(octets: value) : nil
    }

    /// An IPv6 prefix of 2 to 18 octets (RFC 3162 section 2.3); nil when the length is above 128 or octets lack. Host bits are cut off.
    package var ipv6Prefix: IPPrefix? {
        guard (2...18).contains(value.count), value[1] <= 128, (Int(value[1]) + 7) / 8 <= value.count - 2,
            let address = IPAddress(octets: value[2...] + [UInt8](repeating: 0, count: 18 - value.count))
        else { return nil }
        return IPPrefix(address, length: Int(value[1]))
    }
}

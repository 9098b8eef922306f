import Wire

/// Takes typed values out of an Access-Accept; every throw names attribute and cause.
struct AcceptReader {
    private let packet: RADIUSPacket

    init(_ packet: RADIUSPacket) {
        self.packet = packet
    }

    /// The attribute, which can be there once at most.
    func one(_ type: RADIUSAttributeType) throws(AccessAcceptError) -> RADIUSAttribute? {
        let found = packet.all(type)
        guard found.count <= 1 else { throw AccessAcceptError(attribute: type, cause: "stands there \(found.count) times") }
        return found.first
    }

    func number(_ type: RADIUSAttributeType, in range: ClosedRange<UInt32>) throws(AccessAcceptError) -> UInt32? {
        guard let attribute = try one(type) else { return nil }
        guard let number = attribute.integer else { throw AccessAcceptError(attribute: type, cause: "is no number") }
        guard range.contains(number) else {
            throw AccessAcceptError(attribute: type, cause: "\(number) is outside of \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// One of the numbers that mean something.
    func choice<Value>(_ type: RADIUSAttributeType, _ meaning: (UInt32) -> Value?) throws(AccessAcceptError) -> Value? {
        guard let number = try number(type, in: 0...UInt32.max) else { return nil }
        guard let value = meaning(number) else { throw AccessAcceptError(attribute: type, cause: "\(number) is not supported") }
        return value
    }

    func text(_ type: RADIUSAttributeType) throws(AccessAcceptError) -> String? {
        guard let attribute = try one(type) else { return nil }
        guard let text = attribute.text, !text.isEmpty else { throw AccessAcceptError(attribute: type, cause: "is no text") }
        return text
    }

    func address(_ type: RADIUSAttributeType, _ family: AddressFamily) throws(AccessAcceptError) -> IPAddress? {
        guard let attribute = try one(type) else { return nil }
        guard let address = family == .ipv4 ? attribute.ipv4Address : attribute.ipv6Address else {
            throw AccessAcceptError(attribute: type, cause: "is no address")
        }
        return address
    }

    /// One of each of the types, in their order; unspecified ones are left out: servers send 0.0.0.0 for "none".
    func addresses(_ types: [RADIUSAttributeType], _ family: AddressFamily) throws(AccessAcceptError) -> [IPAddress] {
        var result: [IPAddress] = []
        for type in types {
            if let address = try address(type, family), !address.isUnspecified { result.append(address) }
        }
        return result
    }

    /// A client's address: not unspecified, loopback, link-local, multicast or broadcast.
    func checkHost(_ address: IPAddress, _ type: RADIUSAttributeType) throws(AccessAcceptError) {
        let isReserved =
            switch address.family {
            case .ipv4: address.value >> 28 >= 14 || address.value >> 24 == 0 || address.value >> 16 == 0xa9fe
            case .ipv6: address.value >> 120 == 0xff || address.value >> 118 == 0x3fa
            }
        guard !isReserved, !address.isUnspecified, !address.isLoopback else {
            throw AccessAcceptError(attribute: type, cause: "\(address) is no client's address")
        }
    }

    func prefixes(_ type: RADIUSAttributeType) throws(AccessAcceptError) -> [IPPrefix] {
        var result: [IPPrefix] = []
        for attribute in packet.all(type) {
            guard let prefix = attribute.ipv6Prefix, prefix.length > 0 else { throw AccessAcceptError(attribute: type, cause: "is no prefix") }
            try checkHost(prefix.address, type)
            result.append(prefix)
        }
        return result
    }

    /// RFC 3162 section 2.2: eight octets; zero is a router's, not a host's.
    func interfaceID(_ type: RADIUSAttributeType) throws(AccessAcceptError) -> UInt64? {
        guard let attribute = try one(type) else { return nil }
        let identifier = attribute.value.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard attribute.value.count == 8, identifier != 0 else { throw AccessAcceptError(attribute: type, cause: "is no interface identifier") }
        return identifier
    }

    /// RFC 2865 section 5.22, RFC 3162 section 2.5: prefix, gateway, metrics; the client itself is the gateway whatever stands there.
    /// Framed-Route without a length has that of the address's class, which nobody means today: it is one host.
    func routes(_ type: RADIUSAttributeType, _ family: AddressFamily) throws(AccessAcceptError) -> [IPPrefix] {
        var result: [IPPrefix] = []
        for attribute in packet.all(type) {
            guard let first = attribute.text?.split(whereSeparator: \.isWhitespace).first, let prefix = IPPrefix(String(first)),
                prefix.family == family, prefix.length > 0
            else { throw AccessAcceptError(attribute: type, cause: "is no route") }
            try checkHost(prefix.address, type)
            result.append(prefix)
        }
        return result
    }
}

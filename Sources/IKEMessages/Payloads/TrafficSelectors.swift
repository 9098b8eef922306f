package import Wire

/// One traffic selector, RFC 7296 section 3.13.1.
///
///     +---------------+---------------+-------------------------------+
///     |   TS Type     |IP Protocol ID*|       Selector Length         |
///     |           Start Port*         |           End Port*           |
///     |                         Starting Address*                     |
///     |                         Ending Address*                       |
///     +---------------------------------------------------------------+
package struct TrafficSelector: Hashable, Sendable {
    /// 0 is any.
    package var ipProtocol: UInt8
    /// For ICMP, type and code.
    package var startPort: UInt16
    package var endPort: UInt16
    package var addresses: AddressRange

    package init(ipProtocol: UInt8, startPort: UInt16, endPort: UInt16, addresses: AddressRange) {
        self.ipProtocol = ipProtocol
        self.startPort = startPort
        self.endPort = endPort
        self.addresses = addresses
    }

    /// OPAQUE: start 65535, end 0.
    package var isOpaquePort: Bool { startPort == .max && endPort == 0 }

    /// Everything of a family.
    package static func all(_ family: AddressFamily) -> TrafficSelector {
        TrafficSelector(ipProtocol: 0, startPort: 0, endPort: .max, addresses: .all(family))
    }

    static let ipv4Type: UInt8 = 7
    static let ipv6Type: UInt8 = 8

    fileprivate init(parsing body: inout RawSpan, family: AddressFamily, ipProtocol: UInt8) throws(WireError) {
        self.ipProtocol = ipProtocol
        startPort = try body.next()
        endPort = try body.next()
        let begin = try IPAddress(parsing: &body, family: family)
        let end = try IPAddress(parsing: &body, family: family)
        guard let range = AddressRange(begin, end), startPort <= endPort || startPort == .max && endPort == 0 else { throw .badValue }
        addresses = range
    }
}

extension TrafficSelector: CustomStringConvertible {
    package var description: String {
        var text = addresses.description
        if ipProtocol != 0 { text += "[\(ipProtocol)]" }
        if startPort != 0 || endPort != .max { text += ":\(startPort)-\(endPort)" }
        return text
    }
}

/// Traffic Selector payload, RFC 7296 section 3.13.
///
///     +---------------+-----------------------------------------------+
///     | Number of TSs |                 RESERVED                      |
///     |                       <Traffic Selectors>                     |
///     +---------------------------------------------------------------+
package struct TrafficSelectorPayload: Hashable, Sendable {
    package var selectors: [TrafficSelector]
    /// Selectors of types we do not know, whole: they take part in no intersection (section 3.13).
    package var others: [[UInt8]]

    package init(selectors: [TrafficSelector]) {
        self.selectors = selectors
        others = []
    }

    package init(parsing body: inout RawSpan) throws(WireError) {
        let count = Int(try body.next(UInt8.self))
        try body.skip(3)
        guard count > 0 else { throw .badValue }
        guard count <= MessageLimits.trafficSelectors else { throw .tooMany }
        selectors = []
        others = []
        for _ in 0..<count {
            let type = try body.next(UInt8.self)
            let ipProtocol = try body.next(UInt8.self)
            let length = Int(try body.next(UInt16.self))
            guard length >= 4 else { throw .badLength }
            switch type {
            case TrafficSelector.ipv4Type, TrafficSelector.ipv6Type:
                let family: AddressFamily = type == TrafficSelector.ipv4Type ? .ipv4 : .ipv6
                guard length == 8 + 2 * family.octetCount else { throw .badLength }
                selectors.append(
                    try body.nested(length - 4) { (part: inout RawSpan) throws(WireError) in
                        try TrafficSelector(parsing: &part, family: family, ipProtocol: ipProtocol)
                    })
            default:
                var other = [type, ipProtocol]
                other.append(bigEndian: UInt16(clamping: length))
                others.append(other + (try body.octets(length - 4)))
            }
        }
    }

    package func encode(into message: inout [UInt8]) {
        message += [UInt8(clamping: selectors.count + others.count), 0, 0, 0]
        for selector in selectors {
            let family = selector.addresses.family
            message.append(family == .ipv4 ? TrafficSelector.ipv4Type : TrafficSelector.ipv6Type)
            message.append(selector.ipProtocol)
            message.append(bigEndian: UInt16(8 + 2 * family.octetCount))
            message.append(bigEndian: selector.startPort)
            message.append(bigEndian: selector.endPort)
            message += selector.addresses.begin.octets
            message += selector.addresses.end.octets
        }
        for other in others { message += other }
    }
}

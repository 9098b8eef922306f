import IKEMessages
import Wire

/// What selectors look at in an inner packet; nil for octets that are no IP packet.
struct InnerHeader {
    let family: AddressFamily
    let source: IPAddress
    let destination: IPAddress
    let transport: UInt8
    /// TCP, UDP and SCTP ports, or the ICMP type and code; nil where the packet shows none (a later fragment).
    let sourcePort: UInt16?
    let destinationPort: UInt16?
    /// Octets of the packet by its own header.
    let totalLength: Int

    init?(_ packet: some RandomAccessCollection<UInt8>) {
        let octets = Array(packet.prefix(64))
        guard let first = octets.first else { return nil }
        func word(_ at: Int) -> UInt16? {
            at >= 0 && at + 2 <= octets.count ? UInt16(octets[at]) << 8 | UInt16(octets[at + 1]) : nil
        }
        var payload: Int?
        switch first >> 4 {
        case 4:
            let headerLength = Int(first & 15) * 4
            guard octets.count >= 20, headerLength >= 20, let length = word(2), let fragment = word(6),
                Int(length) >= headerLength, Int(length) <= packet.count,
                let from = IPAddress(octets: octets[12..<16]), let to = IPAddress(octets: octets[16..<20])
            else { return nil }
            (family, source, destination, transport) = (.ipv4, from, to, octets[9])
            totalLength = Int(length)
            if fragment & 0x1fff == 0 { payload = headerLength }
        case 6:
            guard octets.count >= 40, let length = word(4), 40 + Int(length) <= packet.count,
                let from = IPAddress(octets: octets[8..<24]), let to = IPAddress(octets: octets[24..<40])
            else { return nil }
            (family, source, destination, transport) = (.ipv6, from, to, octets[6])
            totalLength = 40 + Int(length)
            payload = 40
        default: return nil
        }
        switch (transport, payload) {
        case (6, let at?), (17, let at?), (132, let at?):
            (sourcePort, destinationPort) = (word(at), word(at + 2))
        case (1, let at?), (58, let at?):
            (sourcePort, destinationPort) = (word(at), word(at))
        default: (sourcePort, destinationPort) = (nil, nil)
        }
    }
}

extension TrafficSelector {
    /// Whether an address with this protocol and port lies within, RFC 7296 section 3.13.1.
    func matches(_ address: IPAddress, _ transport: UInt8, port: UInt16?) -> Bool {
        guard addresses.contains(address), ipProtocol == 0 || ipProtocol == transport else { return false }
        if startPort == 0, endPort == UInt16.max { return true }
        guard let port else { return isOpaquePort }
        return startPort <= port && port <= endPort
    }

    /// Whether everything that `other` lets through is let through here.
    func covers(_ other: TrafficSelector) -> Bool {
        guard addresses.contains(other.addresses), ipProtocol == 0 || ipProtocol == other.ipProtocol else { return false }
        if startPort == 0, endPort == UInt16.max { return true }
        return startPort == other.startPort && endPort == other.endPort
            || !other.isOpaquePort && !isOpaquePort && startPort <= other.startPort && other.endPort <= endPort
    }
}

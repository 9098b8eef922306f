import ESP
import GatewayCrypto
import Wire

/// ESP packets of a client that has the keys, and packets on their way to it. The first octet chooses direction, selectors and how the packet is
/// sealed, the second the next header.
enum ESPPackets {
    static func run(_ octets: [UInt8]) {
        guard octets.count >= 2 else { return }
        let kind = octets[0]
        let packet = Array(octets[2...].prefix(9000))
        let selectors = kind & 3 == 2 ? .all : PacketSelectors(rawValue: kind >> 2 & 3) ?? .all
        let made = try? PacketSession(
            selectors, clearDF: kind & 0x10 != 0, encapsulatedMTU: kind & 0x20 != 0 ? 68 + Int(octets[1]) * 6 : 0, copiesDSCP: kind & 0x40 != 0)
        guard var session = made else { found("no SAs") }
        switch kind & 3 {
        case 0:
            let next: [UInt8] = [4, 41, 59, octets[1]]
            guard let sealed = try? session.client.seal(packet, nextHeader: next[Int(octets[1] & 3)]) else { return }
            inbound(sealed, &session, selectors, trafficClass: octets[1])
        case 1: inbound(session.sealed(text: packet), &session, selectors, trafficClass: octets[1])
        case 2: forged(packet, &session)
        default: outbound(packet, &session)
        }
    }

    /// What comes out to the private side is what the session may send (threats.md P29, P31, P32, I6).
    private static func inbound(
        _ sealed: [UInt8], _ session: inout PacketSession, _ selectors: PacketSelectors, trafficClass: UInt8
    ) {
        let delivered = bounded("a packet") { session.opened(sealed, trafficClass: trafficClass) }
        expect(session.opened(sealed) == nil, "a replayed packet passes")
        guard let delivered else { return }
        guard let plain = PlainHeader(delivered) else { found("a packet without a header passes") }
        expect(plain.length == delivered.count, "a packet of \(delivered.count) octets says \(plain.length)")
        let own = plain.isIPv6 ? PacketSession.addressV6 : PacketSession.addressV4
        expect(plain.source == own.octets, "a packet from \(plain.source) passes")
        expect(plain.destination != PacketSession.gateway.address.octets, "a packet to the gateway itself passes")
        if !plain.isIPv6 { expect(plain.isChecksumRight(delivered), "a header with a wrong checksum passes") }
        expect(selectors.allow(plain, delivered), "\(selectors): \(delivered) passes")
    }

    /// Without keys: no octet passes and the window stays.
    private static func forged(_ packet: [UInt8], _ session: inout PacketSession) {
        var octets = packet
        // Half of them with the SPI of a live SA.
        if octets.count >= 4, octets[3] & 1 == 0 { octets.replaceSubrange(0..<4, with: session.spiOctets) }
        expect(bounded("a forged packet") { session.opened(octets) } == nil, "a forged packet passes")
        guard let next = try? session.client.seal(PacketSession.sample) else { found("the client cannot seal") }
        expect(session.opened(next) == PacketSession.sample, "a forged packet moved the window")
    }

    /// To the client: whatever leaves opens again, is not larger than ip-mtu unless the family asks for it, and says what came in.
    private static func outbound(_ packet: [UInt8], _ session: inout PacketSession) {
        for inner in bounded("a packet to the client", milliseconds: 100, { session.departed(packet) }) {
            guard let plain = PlainHeader(inner) else { found("the client gets a packet without a header") }
            expect(plain.length <= inner.count, "the client gets \(inner.count) octets of \(plain.length)")
            expect(inner.count <= max(1400, 1280), "the client gets \(inner.count) octets")
        }
    }
}

/// Selectors of a Child SA, and what they allow, written once more and plainly.
enum PacketSelectors: UInt8 {
    case all, web, icmp, opaque

    static let network = IPPrefix("10.1.0.0/16")

    var selectors: Selectors {
        let families = [Selectors.Entry(.all(.ipv4)), Selectors.Entry(.all(.ipv6))]
        guard let network = Self.network?.range else { return Selectors(local: families, remote: families) }
        let local: [Selectors.Entry] =
            switch self {
            case .all: families
            case .web: [Selectors.Entry(network, ipProtocol: 6, startPort: 80, endPort: 443)]
            // Echo requests: type 8, code 0, where ports stand.
            case .icmp: [Selectors.Entry(network, ipProtocol: 1, startPort: 0x0800, endPort: 0x08ff)]
            case .opaque: [Selectors.Entry(network, ipProtocol: 17, startPort: .max, endPort: 0)]
            }
        return Selectors(local: local, remote: families)
    }

    func allow(_ header: PlainHeader, _ packet: [UInt8]) -> Bool {
        guard self != .all else { return true }
        // ICMP errors that quote a packet of the SA pass too (TS-6).
        if !header.isIPv6, header.ipProtocol == 1, packet.count > header.headerLength, [3, 11, 12].contains(packet[header.headerLength]) {
            return true
        }
        guard !header.isIPv6, let network = Self.network, let to = IPAddress(octets: header.destination), network.contains(to) else { return false }
        let ports = packet.dropFirst(header.headerLength).prefix(4)
        let destination = ports.count == 4 ? Int(ports[ports.startIndex + 2]) << 8 | Int(ports[ports.startIndex + 3]) : -1
        switch self {
        case .all: return true
        case .web: return header.ipProtocol == 6 && header.fragmentOffset == 0 && (80...443).contains(destination)
        case .icmp: return header.ipProtocol == 1 && header.fragmentOffset == 0 && ports.first == 8
        case .opaque: return header.ipProtocol == 17 && (header.fragmentOffset > 0 || ports.count < 4)
        }
    }
}

/// The fields that the checks need, read apart from what is checked.
struct PlainHeader {
    let isIPv6: Bool
    let length: Int
    let headerLength: Int
    let source: [UInt8]
    let destination: [UInt8]
    let ipProtocol: UInt8
    let fragmentOffset: Int

    /// RFC 791: the sum over the header is nought.
    func isChecksumRight(_ packet: [UInt8]) -> Bool {
        guard packet.count >= headerLength else { return false }
        var sum = 0
        for index in stride(from: 0, to: headerLength, by: 2) { sum += Int(packet[index]) << 8 | Int(packet[index + 1]) }
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        return sum == 0xffff
    }

    init?(_ packet: [UInt8]) {
        switch (packet.first ?? 0) >> 4 {
        case 4 where packet.count >= 20:
            isIPv6 = false
            length = Int(packet[2]) << 8 | Int(packet[3])
            headerLength = Int(packet[0] & 15) * 4
            source = Array(packet[12..<16])
            destination = Array(packet[16..<20])
            ipProtocol = packet[9]
            fragmentOffset = (Int(packet[6]) << 8 | Int(packet[7])) & 0x1fff
        case 6 where packet.count >= 40:
            isIPv6 = true
            length = 40 + (Int(packet[4]) << 8 | Int(packet[5]))
            headerLength = 40
            source = Array(packet[8..<24])
            destination = Array(packet[24..<40])
            ipProtocol = packet[6]
            fragmentOffset = 0
        default: return nil
        }
    }
}

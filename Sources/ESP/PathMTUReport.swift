package import Wire

/// What a router says of a packet of ours that was too big for it: ICMP "fragmentation needed" (RFC 1191), ICMPv6 "packet too big" (RFC 8201).
/// Anyone may have written it: `SAD.heed` decides whether it counts (threats.md P33).
package struct PathMTUReport: Equatable, Sendable {
    /// What the router says it takes, octets. Routers before RFC 1191 say 0: then the next smaller size that is usual.
    package let mtu: Int
    /// Octets of our packet, by its quoted header.
    package let length: Int
    /// The quoted packet's ends, which are ours and the peer's; port 0: ESP without UDP.
    package let local: Endpoint
    package let peer: Endpoint
    package let spi: UInt32
    /// Low half of the sequence number.
    package let sequence: UInt32

    package init(mtu: Int, length: Int, local: Endpoint, peer: Endpoint, spi: UInt32, sequence: UInt32) {
        self.mtu = mtu
        self.length = length
        self.local = local
        self.peer = peer
        self.spi = spi
        self.sequence = sequence
    }

    /// Reads the message that begins at the ICMP header. Nil: none of these, damaged, or it quotes too little of us to tell what was sent: the SPI and
    /// the sequence number must be there.
    package init?(_ message: PacketView, isIPv6: Bool) {
        guard let report = isIPv6 ? Self.v6(message) : Self.v4(message) else { return nil }
        self = report
    }

    private static func v4(_ message: PacketView) -> PathMTUReport? {
        guard message.count >= 8 + 20 + 8, message.u16(0) == 0x0304, Checksum.of(message) == 0 else { return nil }
        let quoted = message.part(8, message.count - 8)
        let header = Int(quoted.u8(0) & 0x0f) * 4
        // A fragment other than the first shows neither ports nor SPI
        guard quoted.u8(0) >> 4 == 4, header >= 20, quoted.u16(6) & 0x1fff == 0, header <= quoted.count else { return nil }
        let length = Int(quoted.u16(2))
        let told = Int(message.u16(6))
        let mtu = told > 0 ? told : [1492, 1006, 576].first { $0 < length } ?? 576
        return Self.transport(
            quoted.part(header, quoted.count - header), protocolNumber: quoted.u8(9), mtu: mtu, length: length,
            IPAddress(family: .ipv4, value: UInt128(quoted.u32(12))), IPAddress(family: .ipv4, value: UInt128(quoted.u32(16))))
    }

    private static func v6(_ message: PacketView) -> PathMTUReport? {
        // The kernel has verified the checksum, which covers addresses that are not here any more
        guard message.count >= 8 + 40 + 8, message.u16(0) == 0x0200 else { return nil }
        let quoted = message.part(8, message.count - 8)
        guard quoted.u8(0) >> 4 == 6 else { return nil }
        var (next, start) = (quoted.u8(6), 40)
        if next == 44 {
            guard quoted.u16(42) & 0xfff8 == 0 else { return nil }
            (next, start) = (quoted.u8(40), 48)
        }
        return Self.transport(
            quoted.part(start, quoted.count - start), protocolNumber: next, mtu: Int(message.u32(4)), length: Int(quoted.u16(4)) + 40,
            IPAddress(family: .ipv6, value: UInt128(quoted.u64(8)) << 64 | UInt128(quoted.u64(16))),
            IPAddress(family: .ipv6, value: UInt128(quoted.u64(24)) << 64 | UInt128(quoted.u64(32))))
    }

    private static func transport(
        _ payload: PacketView, protocolNumber: UInt8, mtu: Int, length: Int, _ source: IPAddress, _ destination: IPAddress
    ) -> PathMTUReport? {
        switch protocolNumber {
        case 50 where payload.count >= 8:
            return PathMTUReport(
                mtu: mtu, length: length, local: Endpoint(source, port: 0), peer: Endpoint(destination, port: 0), spi: payload.u32(0),
                sequence: payload.u32(4))
        case 17 where payload.count >= 16:
            return PathMTUReport(
                mtu: mtu, length: length, local: Endpoint(source, port: payload.u16(0)), peer: Endpoint(destination, port: payload.u16(2)),
                spi: payload.u32(8), sequence: payload.u32(12))
        default: return nil
        }
    }
}

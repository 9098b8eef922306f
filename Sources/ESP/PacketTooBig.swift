internal import Wire

/// ICMP "fragmentation needed" (RFC 1191) and ICMPv6 "packet too big" (RFC 4443 section 3.2) for packets from the private side.
package enum PacketTooBig {
    /// Octets that the longest message may have: RFC 1812 section 4.3.2.3 and RFC 4443 section 2.4.
    package static var longestIPv4: Int { @_noLocks get { 576 } }
    package static var longestIPv6: Int { @_noLocks get { 1280 } }

    /// Whether an ICMP error may answer this packet: not an ICMP error itself, not a later fragment, not from or to many (RFC 1122 section 3.2.2).
    @_noLocks
    static func mayAnswer(_ packet: InnerPacket) -> Bool {
        guard !packet.isLaterFragment, packet.source != 0 else { return false }
        if packet.isIPv6 {
            if packet.source >> 120 == 0xff || packet.destination >> 120 == 0xff { return false }
            return packet.ipProtocol != InnerPacket.icmpV6 || (packet.hasPorts && packet.sourcePort >> 8 >= 128)
        }
        if packet.source >> 28 >= 0xe || packet.destination >> 28 >= 0xe || packet.source >> 24 == 127 { return false }
        guard packet.ipProtocol == InnerPacket.icmp else { return true }
        guard packet.hasPorts else { return false }
        switch packet.sourcePort >> 8 {
        case 0, 8, 13, 14, 17, 18: return true
        default: return false
        }
    }

    /// Writes the message to the beginning of `output`; `from` is the sender's address as a number. Returns its length, 0 when there is no room.
    @_noLocks
    static func write(to output: PacketView, about packet: InnerPacket, _ octets: PacketView, from: UInt128, mtu: Int) -> Int {
        packet.isIPv6
            ? writeIPv6(to: output, about: packet, octets, from: from, mtu: mtu)
            : writeIPv4(to: output, about: packet, octets, from: from, mtu: mtu)
    }

    @_noLocks
    private static func writeIPv4(to output: PacketView, about packet: InnerPacket, _ octets: PacketView, from: UInt128, mtu: Int) -> Int {
        let quoted = min(packet.length, longestIPv4 &- 28)
        let total = 28 &+ quoted
        guard output.holds(0, total), octets.holds(0, quoted) else { return 0 }
        output.put(UInt32(0x4500_0000) | UInt32(truncatingIfNeeded: total), at: 0)
        output.put(UInt32(0x0000_4000), at: 4)
        output.put(UInt32(0x4001_0000), at: 8)
        output.put(UInt32(truncatingIfNeeded: from), at: 12)
        output.put(UInt32(truncatingIfNeeded: packet.source), at: 16)
        output.put(Checksum.of(output.part(0, 20)), at: 10)
        output.put(UInt32(0x0304_0000), at: 20)
        output.put(UInt32(truncatingIfNeeded: min(mtu, 0xffff)), at: 24)
        output.copy(from: octets, 0, to: 28, quoted)
        output.put(Checksum.of(output.part(20, 8 &+ quoted)), at: 22)
        return total
    }

    @_noLocks
    private static func writeIPv6(to output: PacketView, about packet: InnerPacket, _ octets: PacketView, from: UInt128, mtu: Int) -> Int {
        let quoted = min(packet.length, longestIPv6 &- 48)
        let total = 48 &+ quoted
        guard output.holds(0, total), octets.holds(0, quoted) else { return 0 }
        output.put(UInt32(0x6000_0000), at: 0)
        output.put(UInt16(truncatingIfNeeded: 8 &+ quoted), at: 4)
        output.put(UInt16(0x3a40), at: 6)
        output.put(UInt64(truncatingIfNeeded: from >> 64), at: 8)
        output.put(UInt64(truncatingIfNeeded: from), at: 16)
        output.put(UInt64(truncatingIfNeeded: packet.source >> 64), at: 24)
        output.put(UInt64(truncatingIfNeeded: packet.source), at: 32)
        output.put(UInt32(0x0200_0000), at: 40)
        output.put(UInt32(truncatingIfNeeded: mtu), at: 44)
        output.copy(from: octets, 0, to: 48, quoted)
        // Pseudo-header, RFC 8200 section 8.1
        let pseudo = Checksum.sum(output.part(8, 32), startingWith: UInt64(8 &+ quoted) &+ 58)
        output.put(Checksum.of(output.part(40, 8 &+ quoted), startingWith: pseudo), at: 42)
        return total
    }
}

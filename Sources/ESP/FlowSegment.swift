/// A packet that may be joined with its neighbours of one flow, by the rules of the kernel's GRO: IPv4 without options or fragments or IPv6 without
/// extension headers, then TCP that only carries data or UDP, with content and a right checksum.
package struct FlowSegment: Sendable {
    package let isIPv6: Bool
    package let isTCP: Bool
    /// Octets of the IP header, and of both headers.
    package let ipLength: Int
    package let headerLength: Int
    /// Octets behind them.
    package let payload: Int
    /// TCP's number of the first of those.
    package let sequence: UInt32
    /// PSH or FIN: nothing may follow.
    package let endsRun: Bool

    @_noLocks
    package init() {
        isIPv6 = false
        isTCP = false
        ipLength = 0
        headerLength = 0
        payload = 0
        sequence = 0
        endsRun = true
    }

    /// Nil for what stands alone. `octets` is one packet that `InnerPacket` has validated, without anything behind it.
    @_noLocks
    package init?(_ octets: PacketView) {
        let isIPv6 = octets.u8(0) >> 4 == 6
        let ipLength = isIPv6 ? 40 : 20
        let ipProtocol = octets.u8(isIPv6 ? 6 : 9)
        let isTCP = ipProtocol == InnerPacket.tcp
        guard isTCP || ipProtocol == InnerPacket.udp else { return nil }
        if isIPv6 {
            guard Int(octets.u16(4)) &+ 40 == octets.count else { return nil }
        } else {
            guard octets.u8(0) == 0x45, octets.u16(6) & 0x3fff == 0, Int(octets.u16(2)) == octets.count else { return nil }
        }
        let transport = octets.count &- ipLength
        guard transport > (isTCP ? 20 : 8) else { return nil }
        var ends = false
        if isTCP {
            headerLength = ipLength &+ Int(octets.u8(ipLength &+ 12) >> 4) &* 4
            let flags = octets.u8(ipLength &+ 13)
            // ACK, ECE beside it; PSH and FIN end a run; CWR, SYN, RST and URG are about one packet
            guard headerLength >= ipLength &+ 20, headerLength < octets.count, flags & 0xb6 == 0x10 else { return nil }
            ends = flags & 0x09 != 0
            sequence = octets.u32(ipLength &+ 4)
        } else {
            headerLength = ipLength &+ 8
            guard Int(octets.u16(ipLength &+ 4)) == transport, octets.u16(ipLength &+ 6) != 0 else { return nil }
            sequence = 0
        }
        let pseudo = Checksum.pseudoHeader(octets, isIPv6: isIPv6, ipProtocol: ipProtocol, length: transport)
        guard Checksum.of(octets.part(ipLength, transport), startingWith: pseudo) == 0 else { return nil }
        self.isIPv6 = isIPv6
        self.isTCP = isTCP
        self.ipLength = ipLength
        payload = octets.count &- headerLength
        endsRun = ends
    }

    /// Whether two packets could be of one flow, so that one must not overtake the other; what is no TCP or UDP header there may be.
    @_noLocks
    package static func mayShareFlow(_ one: PacketView, _ other: PacketView) -> Bool {
        guard one.u8(0) >> 4 == other.u8(0) >> 4 else { return false }
        if one.u8(0) >> 4 == 6 {
            return one.u64(8) == other.u64(8) && one.u64(16) == other.u64(16) && one.u64(24) == other.u64(24) && one.u64(32) == other.u64(32)
        }
        return one.u64(12) == other.u64(12)
    }

    /// Whether `octets`, which this describes, has the addresses, protocol and ports of the head of a run.
    @_noLocks
    package func isFlow(of head: FlowSegment, _ octets: PacketView, _ headOctets: PacketView) -> Bool {
        isIPv6 == head.isIPv6 && isTCP == head.isTCP && octets.u32(ipLength) == headOctets.u32(ipLength)
            && (isIPv6 ? Self.mayShareFlow(octets, headOctets) : octets.u64(12) == headOctets.u64(12))
    }

    /// Whether `octets` continues a run of so many packets and payload octets: equal headers but for what counts on.
    @_noLocks
    package func continues(_ head: FlowSegment, _ octets: PacketView, _ headOctets: PacketView, packets: Int, payload sum: Int) -> Bool {
        guard headerLength == head.headerLength, payload <= head.payload else { return false }
        if isIPv6 {
            // Version, traffic class, flow label; next header, hop limit
            guard octets.u32(0) == headOctets.u32(0), octets.u16(6) == headOctets.u16(6) else { return false }
        } else {
            // Version and length, TOS; identification apart; flags and offset; then time to live and protocol
            let (first, headFirst) = (octets.u64(0), headOctets.u64(0))
            guard (first ^ headFirst) & 0xffff_0000_0000_ffff == 0, octets.u16(8) == headOctets.u16(8) else { return false }
            // The cut packets will count on from the first; with DF it means nothing (RFC 6864 section 4.1)
            let number = UInt16(truncatingIfNeeded: headFirst >> 16) &+ UInt16(truncatingIfNeeded: packets)
            guard first & 0x4000 != 0 || UInt16(truncatingIfNeeded: first >> 16) == number else { return false }
        }
        guard isTCP else { return true }
        guard sequence == head.sequence &+ UInt32(truncatingIfNeeded: sum) else { return false }
        // Acknowledgement; length, flags, window; urgent pointer; options
        guard (octets.u64(ipLength &+ 8) ^ headOctets.u64(ipLength &+ 8)) & 0xffff_ffff_fff6_ffff == 0,
            octets.u16(ipLength &+ 18) == headOctets.u16(ipLength &+ 18)
        else { return false }
        var at = ipLength &+ 20
        while at < headerLength {
            guard octets.u32(at) == headOctets.u32(at) else { return false }
            at &+= 4
        }
        return true
    }

    /// Makes one super-packet's headers of those of its first packet: `packet` holds all payload now. The transport checksum becomes the sum of the
    /// pseudo-header, for who cuts it to finish; `flags` are those that end a run.
    @_noLocks
    package func lead(_ packet: PacketView, flags: UInt8) {
        let transport = packet.count &- ipLength
        if isIPv6 {
            packet.put(UInt16(truncatingIfNeeded: packet.count &- 40), at: 4)
        } else {
            packet.put(UInt16(truncatingIfNeeded: packet.count), at: 2)
            packet.put(UInt16(0), at: 10)
            packet.put(Checksum.of(packet.part(0, 20)), at: 10)
        }
        if isTCP {
            packet.put(packet.u8(ipLength &+ 13) | flags, at: ipLength &+ 13)
        } else {
            packet.put(UInt16(truncatingIfNeeded: transport), at: ipLength &+ 4)
        }
        let ipProtocol = isTCP ? InnerPacket.tcp : InnerPacket.udp
        let pseudo = Checksum.fold(Checksum.pseudoHeader(packet, isIPv6: isIPv6, ipProtocol: ipProtocol, length: transport))
        packet.put(pseudo, at: ipLength &+ checksumOffset)
    }

    /// Where the checksum stands in the transport header.
    package var checksumOffset: Int { @_noLocks get { isTCP ? 16 : 6 } }
}

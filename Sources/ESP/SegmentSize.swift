/// `private-tcp-mss-adjust`: lowers the MSS option of TCP SYN segments, so that what follows fits the tunnel (RFC 9293 section 3.7.1).
enum SegmentSize {
    /// Clamps in place; packets other than a SYN with a larger MSS are left as they are. A SYN without the option is left to the peer's default of 536.
    @_noLocks
    static func clamp(_ packet: InnerPacket, _ octets: PacketView, to limit: Int) {
        guard limit > 0, packet.ipProtocol == InnerPacket.tcp, packet.isWhole else { return }
        let start = packet.headerLength
        guard start &+ 20 <= packet.length, octets.u8(start &+ 13) & 0x02 != 0 else { return }
        let end = start &+ Int(octets.u8(start &+ 12) >> 4) &* 4
        guard end <= packet.length else { return }
        var at = start &+ 20
        while at < end {
            let kind = octets.u8(at)
            if kind == 0 { return }
            if kind == 1 {
                at &+= 1
                continue
            }
            let length = Int(octets.u8(at &+ 1))
            guard length >= 2, at &+ length <= end else { return }
            if kind == 2, length == 4 {
                let old = octets.u16(at &+ 2)
                guard Int(old) > limit else { return }
                let new = UInt16(truncatingIfNeeded: limit)
                replace(octets, at: at &+ 2, with: new, checksum: start &+ 16, base: start)
                return
            }
            at &+= length
        }
    }

    /// An option may begin at an odd octet: the words that the checksum counts are then two.
    @_noLocks
    private static func replace(_ octets: PacketView, at: Int, with new: UInt16, checksum: Int, base: Int) {
        var sum = octets.u16(checksum)
        if (at &- base) & 1 == 0 {
            sum = Checksum.updated(sum, from: octets.u16(at), to: new)
            octets.put(new, at: at)
        } else {
            let before = (octets.u16(at &- 1), octets.u16(at &+ 1))
            octets.put(new, at: at)
            sum = Checksum.updated(sum, from: before.0, to: octets.u16(at &- 1))
            sum = Checksum.updated(sum, from: before.1, to: octets.u16(at &+ 1))
        }
        octets.put(sum, at: checksum)
    }
}

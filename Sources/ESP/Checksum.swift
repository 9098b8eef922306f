/// The Internet checksum, RFC 1071.
package enum Checksum {
    /// The checksum of the octets: 0 when they contain a right one.
    @_noLocks
    package static func of(_ octets: PacketView, startingWith start: UInt64 = 0) -> UInt16 {
        ~fold(sum(octets, startingWith: start))
    }

    /// Adds up 16-bit words; an odd octet at the end counts as the high half of one.
    @_noLocks
    package static func sum(_ octets: PacketView, startingWith start: UInt64 = 0) -> UInt64 {
        start &+ UInt64(fold(octets.nativeSum()).bigEndian)
    }

    /// The sum of the pseudo-header: addresses, protocol, length (RFC 9293 section 3.1, RFC 8200 section 8.1).
    @_noLocks
    package static func pseudoHeader(_ packet: PacketView, isIPv6: Bool, ipProtocol: UInt8, length: Int) -> UInt64 {
        let start = UInt64(ipProtocol) &+ UInt64(truncatingIfNeeded: length)
        return isIPv6 ? sum(packet.part(8, 32), startingWith: start) : start &+ UInt64(packet.u32(12)) &+ UInt64(packet.u32(16))
    }

    /// Finishes a checksum whose field holds the sum of the pseudo-header: it counts from `start`, and stands `offset` octets behind that.
    /// False, and nothing changed, when that is not inside.
    @_noLocks
    package static func complete(_ packet: PacketView, start: Int, offset: Int) -> Bool {
        guard start > 0, offset >= 0, packet.holds(start &+ offset, 2) else { return false }
        let checksum = of(packet.part(start, packet.count &- start))
        packet.put(checksum == 0 ? UInt16.max : checksum, at: start &+ offset)
        return true
    }

    /// The sum with all that is carried over added again. No loop: how often is known.
    @_noLocks
    package static func fold(_ sum: UInt64) -> UInt16 {
        var value = (sum & 0xffff_ffff) &+ (sum >> 32)
        value = (value & 0xffff) &+ (value >> 16 & 0xffff) &+ (value >> 32)
        value = (value & 0xffff) &+ (value >> 16)
        return UInt16(truncatingIfNeeded: (value & 0xffff) &+ (value >> 16))
    }

    /// The sum of an IP header; one of 20 octets is nearly every one.
    @_noLocks
    static func header(_ packet: PacketView, length: Int) -> UInt64 {
        guard length == 20, packet.count >= 20 else { return sum(packet.part(0, length)) }
        let (first, second) = (packet.u64(0), packet.u64(8))
        return (first >> 32) &+ (first & 0xffff_ffff) &+ (second >> 32) &+ (second & 0xffff_ffff) &+ UInt64(packet.u32(16))
    }

    /// The checksum after one 16-bit word changed, RFC 1624.
    @_noLocks
    package static func updated(_ checksum: UInt16, from old: UInt16, to new: UInt16) -> UInt16 {
        ~fold(UInt64(~checksum) &+ UInt64(~old) &+ UInt64(new))
    }
}

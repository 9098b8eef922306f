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
        sum(isIPv6 ? packet.part(8, 32) : packet.part(12, 8), startingWith: UInt64(ipProtocol) &+ UInt64(truncatingIfNeeded: length))
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

    @_noLocks
    package static func fold(_ sum: UInt64) -> UInt16 {
        var value = sum
        while value >> 16 != 0 { value = (value & 0xffff) &+ (value >> 16) }
        return UInt16(truncatingIfNeeded: value)
    }

    /// The checksum after one 16-bit word changed, RFC 1624.
    @_noLocks
    package static func updated(_ checksum: UInt16, from old: UInt16, to new: UInt16) -> UInt16 {
        ~fold(UInt64(~checksum) &+ UInt64(~old) &+ UInt64(new))
    }
}

/// The TOS octet of IPv4 and the Traffic Class of IPv6 across the tunnel: DSCP (RFC 2983) in the upper six bits, ECN (RFC 6040) in the lower two.
package enum TrafficClass {
    private static var ecn: UInt8 { @_noLocks get { 0x03 } }
    private static var dscp: UInt8 { @_noLocks get { 0xfc } }
    private static var notCapable: UInt8 { @_noLocks get { 0 } }
    private static var capable1: UInt8 { @_noLocks get { 1 } }
    private static var congested: UInt8 { @_noLocks get { 3 } }

    /// The octet of an IP header.
    @_noLocks
    package static func of(_ packet: PacketView, isIPv6: Bool) -> UInt8 {
        isIPv6 ? UInt8(truncatingIfNeeded: packet.u16(0) >> 4) : packet.u8(1)
    }

    /// The outer octet: the inner ECN as it is (RFC 6040 section 4.1, normal mode, as with IKEv2), the inner DSCP or a fixed one (below 0: the inner).
    @_noLocks
    package static func outer(inner: UInt8, fixedDSCP: Int) -> UInt8 {
        fixedDSCP < 0 ? inner : UInt8(truncatingIfNeeded: fixedDSCP << 2) & dscp | inner & ecn
    }

    /// The inner octet after decapsulation, RFC 6040 section 4.2, figure 4; nil: congestion was met on the way of a packet that cannot tell, so it
    /// must be dropped. `copiesDSCP`: the outer DSCP takes the place of the inner one.
    @_noLocks
    package static func inner(_ inner: UInt8, outer: UInt8, copiesDSCP: Bool) -> UInt8? {
        let upper = (copiesDSCP ? outer : inner) & dscp
        let own = inner & ecn
        let seen = outer & ecn
        guard own != notCapable else { return seen == congested ? nil : upper | notCapable }
        if seen == congested || own == congested { return upper | congested }
        return upper | (seen == capable1 ? capable1 : own)
    }

    /// Writes the octet into an IP header, and IPv4's checksum with it.
    @_noLocks
    package static func set(_ value: UInt8, in packet: PacketView, isIPv6: Bool) {
        let old = packet.u16(0)
        if isIPv6 {
            packet.put(old & 0xf00f | UInt16(value) << 4, at: 0)
        } else {
            let new = old & 0xff00 | UInt16(value)
            guard new != old else { return }
            packet.put(Checksum.updated(packet.u16(10), from: old, to: new), at: 10)
            packet.put(new, at: 0)
        }
    }
}

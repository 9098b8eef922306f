/// CVE-2021-3773: a masquerade keeps a client's source port where it can. A client that sends from port 4500 to the address and port of another client
/// makes the kernel take what that one sends to us for answers, and hand it to the sender (threats.md C14).
enum ListenerPort {
    /// Whether the packet could take over a port of ours: UDP from 500 or 4500 to where a peer of ours may be. Addresses that are not for the internet
    /// are left alone; where clients come from such ones, the masquerade itself must keep off these ports (contrib/samples/ipsec-gw.nft).
    @_noLocks
    static func isShadowed(by packet: InnerPacket) -> Bool {
        guard packet.ipProtocol == InnerPacket.udp, packet.hasPorts, packet.sourcePort == 500 || packet.sourcePort == 4500 else { return false }
        let to = packet.destination
        if packet.isIPv6 { return to >> 125 == 1 }
        // RFC 1918, RFC 6598, RFC 3927
        return to >> 24 != 10 && to >> 20 != 0xac1 && to >> 16 != 0xc0a8 && to >> 22 != 0x191 && to >> 16 != 0xa9fe
    }
}

/// How a super-packet from a TUN device is cut into the packets that it stands for, as the kernel cuts it for a device that cannot: TCP by its sequence
/// numbers, UDP into datagrams, each with headers and checksums of its own.
package struct Segmentation: Sendable {
    /// Packets.
    package let count: Int
    private let isIPv6: Bool
    private let isTCP: Bool
    /// Where the transport header and the payload begin, and where that ends.
    private let start: Int
    private let headerLength: Int
    private let end: Int
    private let size: Int
    private let identification: UInt16
    private let sequence: UInt32
    private let flags: UInt8
    // What all packets have alike: sums of the IPv4 header but for length and identification, and of the pseudo-header but for the length
    private let headerSum: UInt64
    private let pseudoSum: UInt64

    /// No TCP has smaller segments than 48 octets (Linux `tcp_min_snd_mss`), so no super-packet has more.
    package static var mostSegments: Int { @_noLocks get { 1400 } }

    /// `packet` is the super-packet's header, `size` the payload of every packet but the last. Throws `.malformed` for what no kernel makes: another
    /// protocol than said, a fragment, no payload, size 0, too many packets.
    @_noLocks
    package init(_ packet: InnerPacket, _ octets: PacketView, isTCP: Bool, size: Int) throws(Drop) {
        let start = packet.headerLength
        guard packet.isWhole, packet.ipProtocol == (isTCP ? InnerPacket.tcp : InnerPacket.udp), size > 0, Self.mayRepeat(packet, octets) else {
            throw .malformed
        }
        let transport = isTCP ? Int(octets.u8(start &+ 12) >> 4) &* 4 : 8
        let payload = packet.length &- start &- transport
        guard transport >= (isTCP ? 20 : 8), payload > 0 else { throw .malformed }
        count = (payload &+ size &- 1) / size
        guard count <= Self.mostSegments else { throw .malformed }
        self.start = start
        headerLength = start &+ transport
        end = packet.length
        self.size = size
        self.isTCP = isTCP
        isIPv6 = packet.isIPv6
        identification = isIPv6 ? 0 : octets.u16(4)
        sequence = isTCP ? octets.u32(start &+ 4) : 0
        flags = isTCP ? octets.u8(start &+ 13) : 0
        // The complement takes a word out of the sum
        headerSum =
            isIPv6
            ? 0
            : Checksum.header(octets, length: start) &+ UInt64(~octets.u16(2)) &+ UInt64(~identification) &+ UInt64(~octets.u16(10))
        pseudoSum = Checksum.pseudoHeader(octets, isIPv6: isIPv6, ipProtocol: packet.ipProtocol, length: 0)
    }

    /// Extension headers that may stand in each packet alike: not those about the one packet, nor a route, which changes the pseudo-header.
    @_noLocks
    private static func mayRepeat(_ packet: InnerPacket, _ octets: PacketView) -> Bool {
        guard packet.isIPv6 else { return true }
        var next = octets.u8(6)
        var at = 40
        while at < packet.headerLength {
            guard next == 0 || next == 60 else { return false }
            next = octets.u8(at)
            at &+= (Int(octets.u8(at &+ 1)) &+ 1) &* 8
        }
        return true
    }

    /// Octets of a packet; the first is the longest.
    @_noLocks
    package func length(of index: Int) -> Int {
        headerLength &+ min(size, end &- headerLength &- index &* size)
    }

    /// Writes packet `index` to the beginning of `output` and returns its length; 0 when it does not fit.
    @_noLocks
    package func write(_ index: Int, of octets: PacketView, to output: PacketView) -> Int {
        guard index >= 0, index < count else { return 0 }
        let total = length(of: index)
        let from = headerLength &+ index &* size
        guard output.holds(0, total), output.copy(from: octets, 0, to: 0, headerLength),
            output.copy(from: octets, from, to: headerLength, total &- headerLength)
        else { return 0 }
        if isIPv6 {
            output.put(UInt16(truncatingIfNeeded: total &- 40), at: 4)
        } else {
            let number = identification &+ UInt16(truncatingIfNeeded: index)
            output.put(UInt32(truncatingIfNeeded: total) << 16 | UInt32(number), at: 2)
            output.put(~Checksum.fold(headerSum &+ UInt64(truncatingIfNeeded: total) &+ UInt64(number)), at: 10)
        }
        let field = start &+ (isTCP ? 16 : 6)
        if isTCP {
            output.put(sequence &+ UInt32(truncatingIfNeeded: index &* size), at: start &+ 4)
            var flags = flags
            // PSH and FIN are said at the end, CWR at the beginning
            if index &+ 1 < count { flags &= ~0x09 }
            if index > 0 { flags &= ~0x80 }
            output.put(flags, at: start &+ 13)
        } else {
            output.put(UInt16(truncatingIfNeeded: total &- start), at: start &+ 4)
        }
        output.put(UInt16(0), at: field)
        let pseudo = pseudoSum &+ UInt64(truncatingIfNeeded: total &- start)
        let checksum = Checksum.of(output.part(start, total &- start), startingWith: pseudo)
        output.put(checksum == 0 && !isTCP ? UInt16.max : checksum, at: field)
        return total
    }
}

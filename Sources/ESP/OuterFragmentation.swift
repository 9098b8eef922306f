package import Wire

/// The header of an outer packet that is cut by us, since the kernel knows one MTU alone (features.md DP-5).
package struct OuterHeader: Sendable {
    package let source: IPAddress
    package let destination: IPAddress
    /// 17 or 50.
    package let ipProtocol: UInt8
    package let trafficClass: UInt8
    /// Never that of another packet between the same hosts within a reassembly's lifetime.
    package let identification: UInt32

    @_noLocks
    package init(source: IPAddress, destination: IPAddress, ipProtocol: UInt8, trafficClass: UInt8, identification: UInt32) {
        self.source = source
        self.destination = destination
        self.ipProtocol = ipProtocol
        self.trafficClass = trafficClass
        self.identification = identification
    }

    /// Writes the header of a whole IPv4 packet with DF to its beginning; the rest of the packet stands there already.
    @_noLocks
    package func writeWholeIPv4(to packet: PacketView) {
        packet.put(UInt16(0x4500) | UInt16(trafficClass), at: 0)
        packet.put(UInt16(truncatingIfNeeded: packet.count), at: 2)
        packet.put(UInt16(truncatingIfNeeded: identification), at: 4)
        packet.put(UInt16(0x4000), at: 6)
        packet.put(UInt16(64) << 8 | UInt16(ipProtocol), at: 8)
        packet.put(UInt16(0), at: 10)
        packet.put(UInt32(truncatingIfNeeded: source.value), at: 12)
        packet.put(UInt32(truncatingIfNeeded: destination.value), at: 16)
        packet.put(Checksum.of(packet.part(0, 20)), at: 10)
    }

    /// Octets of the header of each fragment.
    @_noLocks
    package static func length(isIPv6: Bool) -> Int { isIPv6 ? 48 : 20 }
}

/// How an outer payload (ESP, or UDP with its header) is cut so that each packet has at most `mtu` octets, RFC 791 section 3.2 and RFC 8200 section 4.5.
package struct OuterFragmentation: Sendable {
    package let count: Int
    private let isIPv6: Bool
    private let length: Int
    private let piece: Int

    /// Nil when the payload fits whole. No IPv6 link is narrower than 1280, so nothing is cut smaller there (threats.md P33).
    @_noLocks
    package init?(payload length: Int, isIPv6: Bool, mtu: Int) {
        let limit = isIPv6 ? max(mtu, 1280) : max(mtu, 68)
        guard mtu > 0, length > limit &- (isIPv6 ? 40 : 20) else { return nil }
        self.isIPv6 = isIPv6
        self.length = length
        piece = (limit &- OuterHeader.length(isIPv6: isIPv6)) / 8 &* 8
        count = (length &+ piece &- 1) / piece
    }

    /// Writes packet `index` to the beginning of `output` and returns its length; 0 when it does not fit.
    @_noLocks
    package func write(_ index: Int, of payload: PacketView, _ header: OuterHeader, to output: PacketView) -> Int {
        let from = index &* piece
        guard index >= 0, index < count, payload.count == length else { return 0 }
        let size = min(piece, length &- from)
        let start = OuterHeader.length(isIPv6: isIPv6)
        let more = index &+ 1 < count
        guard output.holds(0, start &+ size) else { return 0 }
        if isIPv6 {
            output.put(UInt32(0x6000_0000) | UInt32(header.trafficClass) << 20, at: 0)
            output.put(UInt16(truncatingIfNeeded: size &+ 8), at: 4)
            output.put(UInt16(44 << 8 | 64), at: 6)
            Self.put(header.source.value, output, 8)
            Self.put(header.destination.value, output, 24)
            output.put(UInt16(header.ipProtocol) << 8, at: 40)
            output.put(UInt16(truncatingIfNeeded: from) | (more ? 1 : 0), at: 42)
            output.put(header.identification, at: 44)
        } else {
            output.put(UInt16(0x4500) | UInt16(header.trafficClass), at: 0)
            output.put(UInt16(truncatingIfNeeded: start &+ size), at: 2)
            output.put(UInt16(truncatingIfNeeded: header.identification), at: 4)
            output.put((more ? 0x2000 : 0) | UInt16(truncatingIfNeeded: from / 8) & 0x1fff, at: 6)
            output.put(UInt16(64) << 8 | UInt16(header.ipProtocol), at: 8)
            output.put(UInt16(0), at: 10)
            output.put(UInt32(truncatingIfNeeded: header.source.value), at: 12)
            output.put(UInt32(truncatingIfNeeded: header.destination.value), at: 16)
            output.put(Checksum.of(output.part(0, 20)), at: 10)
        }
        return output.copy(from: payload, from, to: start, size) ? start &+ size : 0
    }

    /// Writes a UDP header before its content: `datagram` begins with the eight octets for it. IPv4 has no checksum then (RFC 3948 section 2.1).
    @_noLocks
    package static func writeUDPHeader(_ datagram: PacketView, from source: Endpoint, to destination: Endpoint) {
        datagram.put(source.port, at: 0)
        datagram.put(destination.port, at: 2)
        datagram.put(UInt16(truncatingIfNeeded: datagram.count), at: 4)
        datagram.put(UInt16(0), at: 6)
        guard source.address.isIPv6 else { return }
        var sum = words(source.address.value) &+ words(destination.address.value) &+ UInt64(datagram.count) &+ 17
        sum = Checksum.sum(datagram, startingWith: sum)
        let checksum = ~Checksum.fold(sum)
        datagram.put(checksum == 0 ? UInt16.max : checksum, at: 6)
    }

    @_noLocks
    private static func put(_ address: UInt128, _ output: PacketView, _ offset: Int) {
        output.put(UInt64(truncatingIfNeeded: address >> 64), at: offset)
        output.put(UInt64(truncatingIfNeeded: address), at: offset &+ 8)
    }

    /// The sum of an address's 32-bit words.
    @_noLocks
    private static func words(_ address: UInt128) -> UInt64 {
        let high = UInt64(truncatingIfNeeded: address >> 64)
        let low = UInt64(truncatingIfNeeded: address)
        return (high >> 32) &+ (high & 0xffff_ffff) &+ (low >> 32) &+ (low & 0xffff_ffff)
    }
}

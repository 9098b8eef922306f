package import Wire

/// The header of an inner packet, fully validated (threats.md P32): what may go on to a TUN device or into a tunnel.
package struct InnerPacket: Sendable {
    /// How much of the transport is in sight.
    package enum Part: Sendable {
        case whole
        case firstFragment
        case laterFragment
    }

    package let isIPv6: Bool
    package let source: UInt128
    package let destination: UInt128
    /// The transport protocol, behind IPv6 extension headers.
    package let ipProtocol: UInt8
    package let part: Part
    /// IPv4: IHL in octets. IPv6: up to the transport header.
    package let headerLength: Int
    /// Octets of the whole packet; what the buffer holds beyond is TFC padding (RFC 4303 section 2.7).
    package private(set) var length: Int
    /// IPv4's DF; true for IPv6.
    package let mayNotFragment: Bool
    /// Whether the two ports (or ICMP type and code, in both) are in sight.
    package let hasPorts: Bool
    package let sourcePort: UInt16
    package let destinationPort: UInt16

    package static var icmp: UInt8 { @_noLocks get { 1 } }
    package static var tcp: UInt8 { @_noLocks get { 6 } }
    package static var udp: UInt8 { @_noLocks get { 17 } }
    package static var icmpV6: UInt8 { @_noLocks get { 58 } }

    package var isWhole: Bool {
        @_noLocks get {
            switch part {
            case .whole: true
            case .firstFragment, .laterFragment: false
            }
        }
    }
    package var isLaterFragment: Bool {
        @_noLocks get {
            switch part {
            case .laterFragment: true
            case .whole, .firstFragment: false
            }
        }
    }

    package var sourceAddress: IPAddress { IPAddress(family: isIPv6 ? .ipv6 : .ipv4, value: source) }
    package var destinationAddress: IPAddress { IPAddress(family: isIPv6 ? .ipv6 : .ipv4, value: destination) }
    /// The next header of an ESP trailer that carries it.
    package var nextHeader: UInt8 { @_noLocks get { isIPv6 ? 41 : 4 } }

    /// The same header before so many octets in all: one segment of a super-packet.
    @_noLocks
    package func segment(length: Int) -> InnerPacket {
        var segment = self
        segment.length = length
        return segment
    }

    /// Validates the header at the beginning of the view. Throws `.malformed`, or `.fragment` for fragments made to slip past filters.
    @_noLocks
    package init(_ packet: PacketView) throws(Drop) {
        switch packet.u8(0) >> 4 {
        case 4: try self.init(v4: packet)
        case 6: try self.init(v6: packet)
        default: throw .malformed
        }
    }

    // Put in place where they are called: a whole header would be copied twice on its way out

    @inline(__always)
    @_noLocks
    private init(
        isIPv6: Bool, source: UInt128, destination: UInt128, ipProtocol: UInt8, part: Part, headerLength: Int, length: Int,
        mayNotFragment: Bool, packet: PacketView
    ) throws(Drop) {
        self.isIPv6 = isIPv6
        self.source = source
        self.destination = destination
        self.ipProtocol = ipProtocol
        self.part = part
        self.headerLength = headerLength
        self.length = length
        self.mayNotFragment = mayNotFragment
        let present = length &- headerLength
        var hasPorts = false
        var ports: (UInt16, UInt16) = (0, 0)
        if part != .laterFragment {
            switch ipProtocol {
            case Self.tcp, Self.udp, 33, 132, 136:  // TCP, UDP, DCCP, SCTP, UDP-Lite
                // A first fragment so short that it hides the flags is an attack (RFC 1858 section 3)
                if part == .firstFragment, present < (ipProtocol == Self.tcp ? 16 : 8) { throw .fragment }
                hasPorts = present >= 4
                if hasPorts { ports = (packet.u16(headerLength), packet.u16(headerLength &+ 2)) }
            case Self.icmp, Self.icmpV6:
                // Type and code stand where ports do, RFC 7296 section 3.13.1
                hasPorts = present >= 2
                if hasPorts { ports = (packet.u16(headerLength), packet.u16(headerLength)) }
            default: break
            }
        }
        self.hasPorts = hasPorts
        (sourcePort, destinationPort) = ports
    }

    @inline(__always)
    @_noLocks
    private init(v4 packet: PacketView) throws(Drop) {
        guard packet.count >= 20 else { throw .malformed }
        let headerLength = Int(packet.u8(0) & 0x0f) &* 4
        let length = Int(packet.u16(2))
        guard headerLength >= 20, headerLength <= length, length <= packet.count else { throw .malformed }
        guard Checksum.fold(Checksum.header(packet, length: headerLength)) == UInt16.max else { throw .malformed }
        if headerLength > 20 { try Self.checkOptions(packet.part(20, headerLength &- 20)) }
        let word = packet.u16(6)
        let offset = Int(word & 0x1fff) &* 8
        let more = word & 0x2000 != 0
        let payload = length &- headerLength
        if offset > 0 || more {
            // RFC 791: a fragment that others follow has a multiple of eight octets; none reaches beyond 65,535
            guard offset &+ payload <= 65_535 &- headerLength, payload > 0, !more || payload % 8 == 0 else { throw .malformed }
            // RFC 3128: a TCP fragment at offset 8 overwrites the flags
            if offset == 8, packet.u8(9) == Self.tcp { throw .fragment }
        }
        try self.init(
            isIPv6: false, source: UInt128(packet.u32(12)), destination: UInt128(packet.u32(16)), ipProtocol: packet.u8(9),
            part: offset > 0 ? .laterFragment : more ? .firstFragment : .whole, headerLength: headerLength, length: length,
            mayNotFragment: word & 0x4000 != 0, packet: packet)
    }

    /// Every option must be whole; source routes lead around the selectors and are refused (RFC 7126 section 4.3).
    @_noLocks
    private static func checkOptions(_ options: PacketView) throws(Drop) {
        var at = 0
        while at < options.count {
            let kind = options.u8(at)
            if kind == 0 { return }
            if kind == 1 {
                at &+= 1
                continue
            }
            let length = Int(options.u8(at &+ 1))
            guard length >= 2, options.holds(at, length) else { throw .malformed }
            guard kind != 131, kind != 137 else { throw .malformed }
            at &+= length
        }
    }

    @_noLocks
    private init(v6 packet: PacketView) throws(Drop) {
        guard packet.count >= 40 else { throw .malformed }
        let length = 40 &+ Int(packet.u16(4))
        guard length <= packet.count else { throw .malformed }
        var next = packet.u8(6)
        var at = 40
        var part = Part.whole
        var headers = 0
        walk: while part != .laterFragment {
            var size: Int
            switch next {
            case 0, 43, 60:  // hop-by-hop, routing, destination options
                // Jumbograms have payload length 0 and so no room for their option
                guard at &+ 8 <= length else { throw .malformed }
                guard next != 0 || at == 40 else { throw .malformed }
                guard next != 43 || packet.u8(at &+ 2) != 0 else { throw .malformed }  // RFC 5095
                size = (Int(packet.u8(at &+ 1)) &+ 1) &* 8
            case 51:
                guard at &+ 8 <= length else { throw .malformed }
                size = (Int(packet.u8(at &+ 1)) &+ 2) &* 4
            case 44:
                guard at &+ 8 <= length, part == .whole else { throw .malformed }
                size = 8
                let word = packet.u16(at &+ 2)
                let offset = Int(word & 0xfff8)
                let more = word & 1 != 0
                let payload = length &- at &- 8
                guard offset &+ payload <= 65_535, !more || payload % 8 == 0 else { throw .malformed }
                // A fragment header around a whole packet is an atomic fragment (RFC 6946)
                if offset > 0 || more { part = offset > 0 ? .laterFragment : .firstFragment }
                if offset > 0, payload == 0 { throw .malformed }
            default: break walk
            }
            headers &+= 1
            guard headers <= 8, at &+ size <= length else { throw .malformed }
            next = packet.u8(at)
            at &+= size
        }
        try self.init(
            isIPv6: true, source: UInt128(packet.u64(8)) << 64 | UInt128(packet.u64(16)),
            destination: UInt128(packet.u64(24)) << 64 | UInt128(packet.u64(32)), ipProtocol: next, part: part, headerLength: at,
            length: length, mayNotFragment: true, packet: packet)
    }
}

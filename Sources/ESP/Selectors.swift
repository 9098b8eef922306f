internal import GatewayCrypto
package import Wire

/// What one Child SA may carry, as negotiated (RFC 7296 section 2.9): pairs of a local and a remote entry. Local is our side, remote the client's.
package struct Selectors: Hashable, Sendable {
    /// One traffic selector, RFC 7296 section 3.13.1. Both ends of the ranges are included.
    package struct Entry: Hashable, Sendable {
        package let addresses: AddressRange
        /// 0: any.
        package let ipProtocol: UInt8
        package let startPort: UInt16
        package let endPort: UInt16

        package init(_ addresses: AddressRange, ipProtocol: UInt8 = 0, startPort: UInt16 = 0, endPort: UInt16 = .max) {
            self.addresses = addresses
            self.ipProtocol = ipProtocol
            self.startPort = startPort
            self.endPort = endPort
        }

        package var isAnyPort: Bool { @_noLocks get { startPort == 0 && endPort == .max } }
        /// OPAQUE: matches only packets whose ports are not in sight, RFC 4301 section 4.4.1.1.
        package var isOpaquePort: Bool { @_noLocks get { startPort == .max && endPort == 0 } }
    }

    package var local: [Entry]
    package var remote: [Entry]

    package init(local: [Entry], remote: [Entry]) {
        self.local = local
        self.remote = remote
    }
}

/// The selectors of one SA where the packet path reads them: flat memory, no reference.
@safe
struct SelectorTable: ~Copyable, @unchecked Sendable {
    private let entries: UnsafeMutablePointer<Selectors.Entry>
    private let localCount: Int
    private let count: Int

    /// RFC 7296 has a one-octet count: more than 255 of a side cannot come.
    init(_ selectors: Selectors) {
        let local = selectors.local.prefix(255)
        let remote = selectors.remote.prefix(255)
        localCount = local.count
        count = local.count + remote.count
        unsafe entries = .allocate(capacity: max(count, 1))
        for (index, entry) in local.enumerated() { unsafe (entries + index).initialize(to: entry) }
        for (index, entry) in remote.enumerated() { unsafe (entries + localCount + index).initialize(to: entry) }
    }

    deinit {
        unsafe entries.deinitialize(count: count)
        unsafe entries.deallocate()
    }

    enum Side { case local, remote }

    /// Sends for the first of them: more than a few are rare.
    @_noLocks
    func sendFor() { unsafe CacheHint.sendFor(entries, octets: min(count, 4) &* MemoryLayout<Selectors.Entry>.stride) }

    /// Whether a packet from the client passes.
    @_noLocks
    func admitsInbound(_ packet: InnerPacket, _ octets: PacketView) throws(Drop) {
        if matches(.remote, packet.source, packet.sourcePort, packet), matches(.local, packet.destination, packet.destinationPort, packet) {
            return
        }
        try admitsError(packet, octets, inbound: true)
    }

    /// Whether a packet to the client passes.
    @_noLocks
    func admitsOutbound(_ packet: InnerPacket, _ octets: PacketView) throws(Drop) {
        if matches(.local, packet.source, packet.sourcePort, packet), matches(.remote, packet.destination, packet.destinationPort, packet) {
            return
        }
        try admitsError(packet, octets, inbound: false)
    }

    /// ICMP errors that quote a packet of the SA pass (features.md TS-6, RFC 4301 section 6): the quoted packet went the other way, and the error
    /// goes to its sender. A router on the way that no selector names may speak; a client may not, its source was checked before.
    @_noLocks
    private func admitsError(_ packet: InnerPacket, _ octets: PacketView, inbound: Bool) throws(Drop) {
        let refusal: Drop = packet.isLaterFragment ? .fragment : .selectors
        guard packet.isWhole, packet.hasPorts else { throw refusal }
        let type = UInt8(truncatingIfNeeded: packet.sourcePort >> 8)
        switch packet.ipProtocol {
        case InnerPacket.icmp where !packet.isIPv6: guard type == 3 || type == 11 || type == 12 else { throw refusal }
        case InnerPacket.icmpV6 where packet.isIPv6: guard type >= 1 && type <= 4 else { throw refusal }
        default: throw refusal
        }
        let start = packet.headerLength &+ 8
        guard let quoted = QuotedPacket(octets.part(start, packet.length &- start)), quoted.isIPv6 == packet.isIPv6,
            quoted.source == packet.destination
        else { throw refusal }
        let sender: Side = inbound ? .local : .remote
        let receiver: Side = inbound ? .remote : .local
        guard
            matches(sender, quoted.source, quoted.sourcePort, isIPv6: quoted.isIPv6, ipProtocol: quoted.ipProtocol, hasPorts: quoted.hasPorts),
            matches(
                receiver, quoted.destination, quoted.destinationPort, isIPv6: quoted.isIPv6, ipProtocol: quoted.ipProtocol, hasPorts: quoted.hasPorts)
        else { throw refusal }
    }

    @_noLocks
    private func matches(_ side: Side, _ address: UInt128, _ port: UInt16, _ packet: InnerPacket) -> Bool {
        matches(side, address, port, isIPv6: packet.isIPv6, ipProtocol: packet.ipProtocol, hasPorts: packet.hasPorts)
    }

    /// Ports out of sight (later fragments, protocols without ports) match only a selector of all ports or OPAQUE (threats.md P31).
    @_noLocks
    private func matches(_ side: Side, _ address: UInt128, _ port: UInt16, isIPv6: Bool, ipProtocol: UInt8, hasPorts: Bool) -> Bool {
        var index = side == .local ? 0 : localCount
        let end = side == .local ? localCount : count
        while index < end {
            let entry = unsafe entries + index
            index &+= 1
            guard unsafe entry.pointee.addresses.begin.value <= address, unsafe address <= entry.pointee.addresses.end.value,
                unsafe entry.pointee.addresses.begin.isIPv6 == isIPv6,
                unsafe entry.pointee.ipProtocol == 0 || entry.pointee.ipProtocol == ipProtocol
            else { continue }
            if unsafe entry.pointee.isAnyPort { return true }
            if hasPorts {
                if unsafe entry.pointee.startPort <= port, unsafe port <= entry.pointee.endPort { return true }
            } else if unsafe entry.pointee.isOpaquePort {
                return true
            }
        }
        return false
    }
}

/// The packet that an ICMP error quotes: it may be cut off, so only what selectors ask of is read.
struct QuotedPacket {
    let isIPv6: Bool
    let source: UInt128
    let destination: UInt128
    let ipProtocol: UInt8
    let hasPorts: Bool
    let sourcePort: UInt16
    let destinationPort: UInt16

    @_noLocks
    init?(_ octets: PacketView) {
        let transport: Int
        switch octets.u8(0) >> 4 {
        case 4:
            transport = Int(octets.u8(0) & 0x0f) &* 4
            guard transport >= 20, octets.count >= transport else { return nil }
            isIPv6 = false
            source = UInt128(octets.u32(12))
            destination = UInt128(octets.u32(16))
            ipProtocol = octets.u8(9)
            hasPorts = octets.u16(6) & 0x1fff == 0 && Self.bearsPorts(octets.u8(9)) && octets.holds(transport, 4)
        case 6:
            guard octets.count >= 40 else { return nil }
            transport = 40
            isIPv6 = true
            source = UInt128(octets.u64(8)) << 64 | UInt128(octets.u64(16))
            destination = UInt128(octets.u64(24)) << 64 | UInt128(octets.u64(32))
            ipProtocol = octets.u8(6)
            hasPorts = Self.bearsPorts(octets.u8(6)) && octets.holds(transport, 4)
        default: return nil
        }
        let isICMP = ipProtocol == InnerPacket.icmp || ipProtocol == InnerPacket.icmpV6
        sourcePort = hasPorts ? octets.u16(transport) : 0
        destinationPort = hasPorts ? octets.u16(isICMP ? transport : transport &+ 2) : 0
    }

    @_noLocks
    private static func bearsPorts(_ ipProtocol: UInt8) -> Bool {
        switch ipProtocol {
        case InnerPacket.icmp, InnerPacket.tcp, InnerPacket.udp, 33, InnerPacket.icmpV6, 132, 136: true
        default: false
        }
    }
}

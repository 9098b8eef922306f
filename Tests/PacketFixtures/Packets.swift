package import Wire

/// Builds IP packets for tests, checksums right.
package enum Packets {
    package static func checksum(_ octets: [UInt8], _ start: UInt32 = 0) -> UInt16 {
        var sum = UInt64(start)
        var at = 0
        while at < octets.count {
            sum += UInt64(octets[at]) << 8 | (at + 1 < octets.count ? UInt64(octets[at + 1]) : 0)
            at += 2
        }
        while sum >> 16 != 0 { sum = sum & 0xffff + sum >> 16 }
        return ~UInt16(sum)
    }

    package static func address(_ text: String) -> IPAddress { IPAddress(text) ?? IPAddress(v4: 0) }

    /// An IPv4 packet; `flags` are the three top bits (2 = DF, 1 = MF), `offset` in units of eight octets.
    package static func ipv4(
        _ source: String, _ destination: String, protocol ipProtocol: UInt8 = 17, flags: UInt16 = 0, offset: UInt16 = 0,
        identification: UInt16 = 7, options: [UInt8] = [], payload: [UInt8]
    ) -> [UInt8] {
        let header = 20 + options.count
        var packet: [UInt8] = [0x40 | UInt8(header / 4), 0]
        packet.append(bigEndian: UInt16(truncatingIfNeeded: header + payload.count))
        packet.append(bigEndian: identification)
        packet.append(bigEndian: flags << 13 | offset)
        packet += [64, ipProtocol, 0, 0]
        packet += address(source).octets + address(destination).octets + options
        packet.patch(bigEndian: checksum(packet), at: 10)
        return packet + payload
    }

    /// An IPv6 packet; `extensions` stand before the payload and begin with the header that `next` names.
    package static func ipv6(_ source: String, _ destination: String, next: UInt8 = 17, payload: [UInt8]) -> [UInt8] {
        var packet: [UInt8] = [0x60, 0, 0, 0]
        packet.append(bigEndian: UInt16(truncatingIfNeeded: payload.count))
        packet += [next, 64]
        return packet + address(source).octets + address(destination).octets + payload
    }

    package static func udp(_ from: UInt16, _ to: UInt16, octets: Int = 32, fill: UInt8 = 0x55) -> [UInt8] {
        var datagram: [UInt8] = []
        datagram.append(bigEndian: from)
        datagram.append(bigEndian: to)
        datagram.append(bigEndian: UInt16(truncatingIfNeeded: 8 + octets))
        datagram.append(bigEndian: UInt16(0))
        return datagram + [UInt8](repeating: fill, count: octets)
    }

    /// A TCP segment with its checksum over the pseudo-header of the addresses.
    package static func tcp(
        _ source: String, _ destination: String, from: UInt16 = 40_000, to: UInt16 = 443, flags: UInt8 = 0x02, options: [UInt8] = [],
        payload: [UInt8] = []
    ) -> [UInt8] {
        var segment: [UInt8] = []
        segment.append(bigEndian: from)
        segment.append(bigEndian: to)
        segment += [0, 0, 0, 1, 0, 0, 0, 0, UInt8((20 + options.count) / 4) << 4, flags, 0xff, 0xff, 0, 0, 0, 0]
        segment += options + payload
        segment.patch(bigEndian: tcpChecksum(segment, source, destination), at: 16)
        return segment
    }

    package static func tcpChecksum(_ segment: [UInt8], _ source: String, _ destination: String) -> UInt16 {
        var pseudo = address(source).octets + address(destination).octets
        pseudo.append(bigEndian: UInt32(segment.count))
        pseudo.append(bigEndian: UInt32(6))
        return checksum(pseudo + segment)
    }
}

/// Repeatable numbers: SplitMix64.
package struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64
    package init(seed: UInt64) { state = seed }
    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }
}

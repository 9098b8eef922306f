import ESP
import LinuxIO
import PacketFixtures
import Testing
import Wire

/// Packets of a flow, and super-packets of them as the kernel makes and cuts them: written with arrays, so that it cannot agree with what is tested by
/// sharing its code.
struct FlowShape: Sendable, CustomTestStringConvertible {
    var family = AddressFamily.ipv4
    var isTCP = true
    var towardsClient = true
    var sourcePort: UInt16 = 443
    var sequence: UInt32 = 0xffff_f000
    var flags: UInt8 = 0x10
    var acknowledgement: UInt32 = 77
    var window: UInt16 = 500
    /// Timestamps and padding, as TCP mostly has.
    var options: [UInt8] = [1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 7]
    var trafficClass: UInt8 = 0
    var hops: UInt8 = 64
    var identification: UInt16 = 0xfffe
    var mayNotFragment = true

    static let all = [true, false].flatMap { isTCP in AddressFamily.allCases.map { FlowShape(family: $0, isTCP: isTCP) } }

    var testDescription: String { "\(isTCP ? "TCP" : "UDP") over \(family)" }
    var client: String { family == .ipv4 ? "10.99.0.10" : "2001:db8:99::10" }
    var server: String { family == .ipv4 ? "10.1.2.3" : "2001:db8:1::3" }
    var ipLength: Int { family == .ipv4 ? 20 : 40 }
    var headerLength: Int { ipLength + (isTCP ? 20 + options.count : 8) }
    private var ends: (UInt16, UInt16) { towardsClient ? (sourcePort, 40_000) : (40_000, sourcePort) }

    /// One packet with all checksums right; `after`: payload octets and packets of the flow before it.
    func packet(_ payload: [UInt8], after: Int = 0, number: Int = 0) -> [UInt8] {
        var transport: [UInt8] = []
        transport.append(bigEndian: ends.0)
        transport.append(bigEndian: ends.1)
        if isTCP {
            transport.append(bigEndian: sequence &+ UInt32(after))
            transport.append(bigEndian: acknowledgement)
            transport += [UInt8((20 + options.count) / 4) << 4, flags]
            transport.append(bigEndian: window)
            transport += [0, 0, 0, 0] + options
        } else {
            transport.append(bigEndian: UInt16(8 + payload.count))
            transport += [0, 0]
        }
        transport += payload
        var packet = header(transport.count, number: number) + transport
        Self.finish(&packet)
        return packet
    }

    private func header(_ length: Int, number: Int) -> [UInt8] {
        let addresses = Packets.address(towardsClient ? server : client).octets + Packets.address(towardsClient ? client : server).octets
        var packet: [UInt8] = family == .ipv4 ? [0x45, trafficClass] : [0x60 | trafficClass >> 4, trafficClass << 4, 0, 0]
        packet.append(bigEndian: UInt16(family == .ipv4 ? 20 + length : length))
        guard family == .ipv4 else { return packet + [isTCP ? 6 : 17, hops] + addresses }
        packet.append(bigEndian: identification &+ UInt16(truncatingIfNeeded: number))
        return packet + [mayNotFragment ? 0x40 : 0, 0, hops, isTCP ? 6 : 17, 0, 0] + addresses
    }

    /// All of a payload as the kernel hands it over: one header, the checksum left to us.
    func superPacket(_ payload: [UInt8], size: Int) -> MemoryWire.Packet {
        var octets = packet(payload)
        let field = ipLength + (isTCP ? 16 : 6)
        let length = octets.count - ipLength
        var pseudo = Array(octets[(family == .ipv4 ? 12 : 8)..<ipLength])
        pseudo += [0, isTCP ? 6 : 17, UInt8(length >> 8), UInt8(length & 0xff)]
        octets.patch(bigEndian: ~Packets.checksum(pseudo), at: field)
        var packet = MemoryWire.Packet(octets: octets)
        packet.offload.flags = OffloadHeader.needsChecksum
        packet.offload.kind = isTCP ? (family == .ipv4 ? OffloadHeader.tcpIPv4 : OffloadHeader.tcpIPv6) : OffloadHeader.udp
        packet.offload.headerLength = UInt16(headerLength)
        packet.offload.segmentSize = UInt16(size)
        packet.offload.checksumStart = UInt16(ipLength)
        packet.offload.checksumOffset = isTCP ? 16 : 6
        return packet
    }

    /// The packets that a payload goes in.
    func packets(_ payload: [UInt8], size: Int) -> [[UInt8]] {
        stride(from: 0, to: payload.count, by: size).map { start in
            var shape = self
            let isLast = start + size >= payload.count
            if !isLast { shape.flags &= ~0x09 }
            if start > 0 { shape.flags &= ~0x80 }
            return shape.packet(Array(payload[start..<min(start + size, payload.count)]), after: start, number: start / size)
        }
    }

    /// Cuts what was written to the private side as the kernel would; a packet without offload stays as it is.
    static func cut(_ packet: MemoryWire.Packet) -> [[UInt8]] {
        let (octets, offload) = (packet.octets, packet.offload)
        guard offload.kind != 0 else { return [octets] }
        let isIPv6 = octets[0] >> 4 == 6
        let start = Int(offload.checksumStart)
        let isTCP = offload.kind != OffloadHeader.udp
        let header = Int(offload.headerLength)
        guard offload.flags == OffloadHeader.needsChecksum, start == (isIPv6 ? 40 : 20), offload.checksumOffset == (isTCP ? 16 : 6),
            header == start + (isTCP ? Int(octets[start + 12] >> 4) * 4 : 8), offload.segmentSize > 0,
            octets[isIPv6 ? 6 : 9] == (isTCP ? 6 : 17)
        else { return [] }
        // The kernel finishes the checksum of the whole before it cuts: it must come out right
        var whole = octets
        let field = start + Int(offload.checksumOffset)
        let sum = Packets.checksum(Array(octets[start...]))
        whole.patch(bigEndian: sum, at: field)
        var checked = whole
        finish(&checked)
        guard checked == whole || sum == 0 else { return [] }
        let payload = Array(octets[header...])
        let size = Int(offload.segmentSize)
        return stride(from: 0, to: payload.count, by: size).map { from in
            var one = Array(octets[..<header])
            let isLast = from + size >= payload.count
            one += payload[from..<min(from + size, payload.count)]
            if isTCP {
                let sequence = octets[(start + 4)..<(start + 8)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) } &+ UInt32(from)
                one.patch(bigEndian: sequence, at: start + 4)
                if !isLast { one[start + 13] &= ~0x09 }
                if from > 0 { one[start + 13] &= ~0x80 }
            } else {
                one.patch(bigEndian: UInt16(one.count - start), at: start + 4)
            }
            if isIPv6 {
                one.patch(bigEndian: UInt16(one.count - 40), at: 4)
            } else {
                one.patch(bigEndian: UInt16(one.count), at: 2)
                one.patch(bigEndian: (UInt16(octets[4]) << 8 | UInt16(octets[5])) &+ UInt16(from / size), at: 4)
            }
            finish(&one)
            return one
        }
    }

    /// Sets the checksums of a packet without options or extension headers.
    static func finish(_ packet: inout [UInt8]) {
        let isIPv6 = packet[0] >> 4 == 6
        let start = isIPv6 ? 40 : 20
        if !isIPv6 {
            packet.patch(bigEndian: UInt16(0), at: 10)
            packet.patch(bigEndian: Packets.checksum(Array(packet[..<20])), at: 10)
        }
        let ipProtocol = packet[isIPv6 ? 6 : 9]
        let field = start + (ipProtocol == 6 ? 16 : 6)
        packet.patch(bigEndian: UInt16(0), at: field)
        let length = packet.count - start
        let pseudo = Array(packet[(isIPv6 ? 8 : 12)..<start]) + [0, ipProtocol, UInt8(length >> 8), UInt8(length & 0xff)]
        let checksum = Packets.checksum(pseudo + packet[start...])
        packet.patch(bigEndian: checksum == 0 && ipProtocol == 17 ? 0xffff : checksum, at: field)
    }

    static func payload(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
        var numbers = SeededNumbers(seed: seed)
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: numbers.next()) }
    }
}

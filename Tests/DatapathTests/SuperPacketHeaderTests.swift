import Datapath
import ESP
import LinuxIO
import PacketFixtures
import Testing
import Wire

/// Issue "Bad input": what may stand between the headers of a super-packet from the device.
@Suite(.serialized) struct SuperPacketHeaderTests {
    /// IPv4 options, or IPv6 extension headers.
    struct Extra: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let family: AddressFamily
        /// The next header that the first of them is; 0 also in IPv4.
        var next: UInt8 = 0
        /// Where the last of them names the transport; nil in IPv4.
        var naming: Int?
        let octets: [UInt8]

        /// A packet with it behind the IP header. Checksums of transports do not count it; the pseudo-header has the transport's own length.
        func inside(_ packet: [UInt8]) -> [UInt8] {
            let start = family == .ipv4 ? 20 : 40
            var (packet, extra) = (packet, octets)
            if let naming { extra[naming] = packet[6] }
            packet.insert(contentsOf: extra, at: start)
            guard family == .ipv4 else {
                packet[6] = next
                packet.patch(bigEndian: UInt16(packet.count - 40), at: 4)
                return packet
            }
            packet[0] = 0x40 | UInt8((20 + extra.count) / 4)
            packet.patch(bigEndian: UInt16(packet.count), at: 2)
            packet.patch(bigEndian: UInt16(0), at: 10)
            packet.patch(bigEndian: Packets.checksum(Array(packet[..<(20 + extra.count)])), at: 10)
            return packet
        }
    }

    static let extras = [
        Extra(testDescription: "no-operations", family: .ipv4, octets: [1, 1, 1, 0]),
        Extra(testDescription: "router alert (RFC 2113)", family: .ipv4, octets: [148, 4, 0, 0]),
        Extra(testDescription: "record route, all the room that there is", family: .ipv4, octets: [7, 39, 4] + [UInt8](repeating: 0, count: 37)),
        Extra(testDescription: "hop-by-hop: router alert (RFC 2711)", family: .ipv6, next: 0, naming: 0, octets: [0, 0, 5, 2, 0, 0, 1, 0]),
        Extra(testDescription: "destination options", family: .ipv6, next: 60, naming: 0, octets: [0, 0, 1, 4, 0, 0, 0, 0]),
        Extra(
            testDescription: "hop-by-hop and destination options", family: .ipv6, next: 0, naming: 8,
            octets: [60, 0, 1, 4, 0, 0, 0, 0, 0, 1, 1, 12] + [UInt8](repeating: 0, count: 12)),
        Extra(
            testDescription: "destination options of 256 octets", family: .ipv6, next: 60, naming: 0,
            octets: [0, 31, 1, 252] + [UInt8](repeating: 0, count: 252)),
    ]

    /// Each leaves as the single packets that the kernel makes of it, with all that stood between its headers; so it does by another worker's ring.
    @Test(arguments: extras, [true, false])
    func optionsAndExtensionHeadersStandInEachPacket(extra: Extra, isTCP: Bool) async throws {
        let rig = try SegmentationTests.rig(workers: 2)
        defer { rig.stop() }
        _ = try await SegmentationTests.session(rig)
        var shape = FlowShape(family: extra.family, isTCP: isTCP)
        if isTCP { shape.flags = 0x10 | 0x80 | 0x08 | 0x01 }
        let payload = FlowShape.payload(10_300)
        var packet = shape.superPacket(payload, size: 1000)
        packet.octets = extra.inside(packet.octets)
        packet.offload.headerLength += UInt16(extra.octets.count)
        packet.offload.checksumStart += UInt16(extra.octets.count)
        let expected = shape.packets(payload, size: 1000).map { extra.inside($0) }
        var client = try Rig.clientIn()
        for wire in rig.inner {
            wire.put(packet)
            var inner: [[UInt8]] = []
            for sent in await OuterTests.take(rig.outer[0], expected.count, rig) { inner.append(try client.open(sent.octets)) }
            #expect(inner == expected)
        }
        #expect(rig.control.dropCounters().values.allSatisfy { $0 == 0 })
    }

    /// No kernel makes as many as the fields could say. It is dropped as one before any of it is cut.
    @Test(arguments: FlowShape.all)
    func threat_superPacketOf65535Segments(shape: FlowShape) async throws {
        let rig = try SegmentationTests.rig()
        defer { rig.stop() }
        let id = try await SegmentationTests.session(rig)
        rig.inner[0].put(shape.superPacket(FlowShape.payload(65_535 - shape.headerLength), size: 1))
        let payload = FlowShape.payload(3000)
        rig.inner[0].put(shape.superPacket(payload, size: 1000))
        let sent = await OuterTests.take(rig.outer[0], 3, rig)
        let inner = try SegmentationTests.opened(sent)
        #expect(inner == shape.packets(payload, size: 1000))
        #expect(rig.drops(.malformed) == 1 && rig.control.dropCounters().values.reduce(0, +) == 1)
        #expect(rig.control.counters(tunnel: id)?.packetsOut == 3)
    }
}

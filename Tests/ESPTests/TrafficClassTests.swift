import ESP
import PacketFixtures
import Testing
import Wire

/// DSCP and ECN across the tunnel: features.md DP-8, RFC 6040.
@Suite struct TrafficClassTests {
    /// RFC 6040 figure 4: rows are the inner ECN (Not-ECT, ECT(0), ECT(1), CE), columns the outer ones; nil: drop.
    static let figure4: [(inner: UInt8, outer: UInt8, result: UInt8?)] = [
        (0b00, 0b00, 0b00), (0b00, 0b10, 0b00), (0b00, 0b01, 0b00), (0b00, 0b11, nil),
        (0b10, 0b00, 0b10), (0b10, 0b10, 0b10), (0b10, 0b01, 0b01), (0b10, 0b11, 0b11),
        (0b01, 0b00, 0b01), (0b01, 0b10, 0b01), (0b01, 0b01, 0b01), (0b01, 0b11, 0b11),
        (0b11, 0b00, 0b11), (0b11, 0b10, 0b11), (0b11, 0b01, 0b11), (0b11, 0b11, 0b11),
    ]

    @Test(arguments: figure4)
    func RFC6040_4_2_decapsulation(row: (inner: UInt8, outer: UInt8, result: UInt8?)) {
        for dscp in [UInt8(0), 0xb8] {
            #expect(TrafficClass.inner(dscp | row.inner, outer: 0x28 | row.outer, copiesDSCP: false) == row.result.map { dscp | $0 })
            #expect(TrafficClass.inner(dscp | row.inner, outer: 0x28 | row.outer, copiesDSCP: true) == row.result.map { 0x28 | $0 })
        }
    }

    @Test(arguments: UInt8.min...UInt8.max)
    func DP8_encapsulation(inner: UInt8) {
        #expect(TrafficClass.outer(inner: inner, fixedDSCP: -1) == inner)
        #expect(TrafficClass.outer(inner: inner, fixedDSCP: 46) == 0xb8 | inner & 3)
        #expect(TrafficClass.outer(inner: inner, fixedDSCP: 0) == inner & 3)
    }

    /// The whole way through a session: the header that comes out has the class, and IPv4's checksum is right.
    @Test(arguments: figure4, [false, true])
    func RFC6040_4_2_throughASession(row: (inner: UInt8, outer: UInt8, result: UInt8?), isIPv6: Bool) throws {
        var session = try Session()
        var inner =
            isIPv6
            ? Packets.ipv6("2001:db8::10", "2001:db8:5::1", payload: Packets.udp(1, 2))
            : Packets.ipv4(Session.clientAddress, Session.server, payload: Packets.udp(1, 2))
        Self.mark(&inner, 0x48 | row.inner)
        guard let result = row.result else {
            let refused = drop { () throws(Drop) in _ = try session.deliver(inner, trafficClass: row.outer) }
            #expect(refused == .congestion)
            #expect(session.sad.board.tunnel(2).drops == 1 && session.sad.board.tunnel(2).packetsIn == 0)
            return
        }
        let delivered = try session.deliver(inner, trafficClass: row.outer)
        var expected = inner
        Self.mark(&expected, 0x48 | result)
        #expect(delivered == expected)
    }

    @Test func DP8_copyTrafficClassUponDecapsulation() throws {
        var settings = TunnelSettings()
        settings.copiesOuterDSCP = true
        var session = try Session(settings: settings)
        var inner = Packets.ipv4(Session.clientAddress, Session.server, payload: Packets.udp(1, 2))
        Self.mark(&inner, 0x48)
        let delivered = try session.deliver(inner, trafficClass: 0xb8)
        Self.mark(&inner, 0xb8)
        #expect(delivered == inner)
    }

    /// Writes the octet, with a right checksum.
    static func mark(_ packet: inout [UInt8], _ value: UInt8) {
        if packet[0] >> 4 == 6 {
            packet[0] = 0x60 | value >> 4
            packet[1] = packet[1] & 0x0f | value << 4
        } else {
            packet[1] = value
            packet.patch(bigEndian: UInt16(0), at: 10)
            packet.patch(bigEndian: Packets.checksum(Array(packet[..<20])), at: 10)
        }
    }
}

import ESP
import PacketFixtures
import Testing
import Wire

@Suite struct InnerPacketTests {
    static func parse(_ octets: [UInt8]) -> Result<InnerPacket, Drop> {
        var copy = octets
        return copy.withUnsafeMutableBytes { buffer in
            do throws(Drop) { return .success(try InnerPacket(PacketView(buffer))) } catch { return .failure(error) }
        }
    }

    static func failure(_ octets: [UInt8]) -> Drop? {
        if case .failure(let drop) = parse(octets) { return drop }
        return nil
    }

    /// A packet with one header octet changed and the checksum made right again.
    static func altered(_ packet: [UInt8], _ changes: [(Int, UInt8)]) -> [UInt8] {
        var packet = packet
        for (at, value) in changes { packet[at] = value }
        let header = min(Int(packet[0] & 15) * 4, packet.count)
        if packet[0] >> 4 == 4, header >= 20 {
            packet.patch(bigEndian: UInt16(0), at: 10)
            packet.patch(bigEndian: Packets.checksum(Array(packet[..<header])), at: 10)
        }
        return packet
    }

    static let udp = Packets.ipv4("10.0.0.1", "10.0.0.2", payload: Packets.udp(1000, 53))

    @Test func fieldsOfAGoodPacket() throws {
        let packet = try Self.parse(Self.udp).get()
        #expect(!packet.isIPv6 && packet.isWhole && packet.ipProtocol == 17 && packet.length == Self.udp.count && packet.hasPorts)
        #expect(packet.sourcePort == 1000 && packet.destinationPort == 53 && !packet.mayNotFragment)
        #expect(packet.sourceAddress.description == "10.0.0.1" && packet.destinationAddress.description == "10.0.0.2")
        let six = try Self.parse(Packets.ipv6("2001:db8::1", "2001:db8::2", payload: Packets.udp(7, 9))).get()
        #expect(six.isIPv6 && six.sourcePort == 7 && six.destinationPort == 9 && six.sourceAddress.description == "2001:db8::1")
        // TFC padding, RFC 4303 section 2.7
        #expect(try Self.parse(Self.udp + [UInt8](repeating: 0, count: 99)).get().length == Self.udp.count)
    }

    @Test func threat_P32_malformedHeaders() {
        let table: [(String, [UInt8], Drop)] = [
            ("empty", [], .malformed),
            ("version 0", Self.altered(Self.udp, [(0, 0x05)]), .malformed),
            ("version 5", Self.altered(Self.udp, [(0, 0x55)]), .malformed),
            ("cut off", Array(Self.udp[..<19]), .malformed),
            ("IHL 4", Self.altered(Self.udp, [(0, 0x44)]), .malformed),
            ("IHL beyond the packet", Self.altered(Self.udp, [(0, 0x4f), (3, 40)]), .malformed),
            ("total length beyond the buffer", Self.altered(Self.udp, [(2, 0xff)]), .malformed),
            ("total length under the header", Self.altered(Self.udp, [(2, 0), (3, 19)]), .malformed),
            ("checksum", Self.udp.enumerated().map { $0.offset == 10 ? $0.element ^ 1 : $0.element }, .malformed),
            ("loose source route", Packets.ipv4("10.0.0.1", "10.0.0.2", options: [131, 7, 4, 1, 2, 3, 4, 0], payload: []), .malformed),
            ("strict source route", Packets.ipv4("10.0.0.1", "10.0.0.2", options: [1, 137, 7, 4, 1, 2, 3, 4], payload: []), .malformed),
            ("option of length 0", Packets.ipv4("10.0.0.1", "10.0.0.2", options: [7, 0, 0, 0], payload: []), .malformed),
            ("option of length 1", Packets.ipv4("10.0.0.1", "10.0.0.2", options: [7, 1, 0, 0], payload: []), .malformed),
            ("option beyond the header", Packets.ipv4("10.0.0.1", "10.0.0.2", options: [7, 5, 0, 0], payload: []), .malformed),
            ("option without its length", Packets.ipv4("10.0.0.1", "10.0.0.2", options: [1, 1, 1, 7], payload: []), .malformed),
            ("fragments past 65,535", Packets.ipv4("10.0.0.1", "10.0.0.2", offset: 0x1fff, payload: [UInt8](repeating: 0, count: 100)), .malformed),
            ("odd fragment", Packets.ipv4("10.0.0.1", "10.0.0.2", flags: 1, payload: [UInt8](repeating: 0, count: 101)), .malformed),
            ("empty fragment", Packets.ipv4("10.0.0.1", "10.0.0.2", offset: 3, payload: []), .malformed),
            ("IPv6 cut off", Array(Packets.ipv6("2001:db8::1", "2001:db8::2", payload: [])[..<39]), .malformed),
            ("IPv6 length", Array(Packets.ipv6("2001:db8::1", "2001:db8::2", payload: Packets.udp(1, 2)).dropLast()), .malformed),
            ("jumbogram", Packets.ipv6("2001:db8::1", "2001:db8::2", next: 0, payload: []), .malformed),
            ("routing type 0", Packets.ipv6("2001:db8::1", "2001:db8::2", next: 43, payload: [59, 0, 0, 0, 0, 0, 0, 0]), .malformed),
            (
                "hop-by-hop later", Packets.ipv6("2001:db8::1", "2001:db8::2", next: 60, payload: [0, 0, 1, 4, 0, 0, 0, 0, 59, 0, 1, 4, 0, 0, 0, 0]),
                .malformed
            ),
            ("header beyond", Packets.ipv6("2001:db8::1", "2001:db8::2", next: 60, payload: [59, 9, 0, 0, 0, 0, 0, 0]), .malformed),
            (
                "nine headers",
                Packets.ipv6("2001:db8::1", "2001:db8::2", next: 60, payload: (0..<9).flatMap { [$0 == 8 ? 59 : 60, 0, 1, 4, 0, 0, 0, 0] }),
                .malformed
            ),
        ]
        for (name, octets, expected) in table { #expect(Self.failure(octets) == expected, "\(name)") }
    }

    @Test func threat_P31_tinyAndOverlappingFragments() {
        // RFC 1858: a first fragment that hides the TCP flags; RFC 3128: one at offset 8 that overwrites them
        let tcp = Packets.tcp("10.0.0.1", "10.0.0.2", payload: [UInt8](repeating: 1, count: 20))
        #expect(Self.failure(Packets.ipv4("10.0.0.1", "10.0.0.2", protocol: 6, flags: 1, payload: Array(tcp[..<8]))) == .fragment)
        #expect(Self.failure(Packets.ipv4("10.0.0.1", "10.0.0.2", protocol: 6, offset: 1, payload: Array(tcp[8...]))) == .fragment)
        #expect(Self.failure(Packets.ipv4("10.0.0.1", "10.0.0.2", protocol: 6, flags: 1, payload: Array(tcp[..<24]))) == nil)
        #expect(Self.failure(Packets.ipv4("10.0.0.1", "10.0.0.2", protocol: 6, offset: 3, payload: Array(tcp[24...]))) == nil)
    }

    @Test func portsOfFragments() throws {
        let later = try Self.parse(Packets.ipv4("10.0.0.1", "10.0.0.2", offset: 2, payload: [0, 53, 0, 53])).get()
        #expect(later.isLaterFragment && !later.hasPorts)
        // IPv6 behind a fragment header
        let fragment = try Self.parse(
            Packets.ipv6("2001:db8::1", "2001:db8::2", next: 44, payload: [17, 0, 0, 0x11, 0, 0, 0, 1] + [UInt8](repeating: 0, count: 16))
        ).get()
        #expect(fragment.isLaterFragment && fragment.ipProtocol == 17 && !fragment.hasPorts)
        let atomic = try Self.parse(
            Packets.ipv6("2001:db8::1", "2001:db8::2", next: 44, payload: [17, 0, 0, 0, 0, 0, 0, 1] + Packets.udp(5, 6))
        ).get()
        #expect(atomic.isWhole && atomic.hasPorts && atomic.sourcePort == 5)
    }

    /// Seeded octets, random and half-right: a packet or a drop, never a trap, and nothing outside the buffer believed.
    @Test func threat_P32_seededCorpus() throws {
        let seed: UInt64 = 0x5eed_0032
        print("InnerPacket seed \(seed)")
        var numbers = SeededNumbers(seed: seed)
        var accepted = 0
        let bases = [
            Self.udp,
            Packets.ipv6("2001:db8::1", "2001:db8::2", next: 60, payload: [44, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 1, 0, 0, 0, 1] + Packets.udp(5, 6)),
            Packets.ipv4(
                "10.0.0.1", "10.0.0.2", protocol: 6, options: [7, 7, 4, 0, 0, 0, 0, 0],
                payload: Packets.tcp("10.0.0.1", "10.0.0.2", options: [2, 4, 5, 180])),
        ]
        for round in 0..<100_000 {
            var octets = bases[round % bases.count]
            for _ in 0..<(numbers.next() % 4) {
                octets[Int(numbers.next() % UInt64(min(octets.count, 60)))] = UInt8(truncatingIfNeeded: numbers.next())
            }
            if numbers.next() % 3 == 0 { octets.removeLast(Int(numbers.next() % UInt64(octets.count))) }
            if !octets.isEmpty, numbers.next() % 2 == 0 {
                octets = Self.altered(octets.count >= 20 ? octets : octets + [UInt8](repeating: 0, count: 20), [])
            }
            guard case .success(let packet) = Self.parse(octets) else { continue }
            accepted += 1
            guard packet.length <= octets.count, packet.headerLength <= packet.length, packet.headerLength >= 20 else {
                Issue.record("round \(round), seed \(seed): \(octets.hexadecimal)")
                return
            }
        }
        #expect(accepted > 1000 && accepted < 100_000)
    }
}

import Datapath
import ESP
import GatewayCrypto
import LinuxIO
import PacketFixtures
import Testing
import Wire

/// From a router's message at the door to what senders inside are told.
@Suite(.serialized) struct PathMTUTests {
    static let server = "10.1.2.3"
    static let client = "10.99.0.10"

    static func down(_ octets: Int) -> MemoryWire.Packet {
        MemoryWire.Packet(octets: Packets.ipv4(server, client, flags: 2, payload: Packets.udp(2, 1, octets: octets - 28)))
    }

    static func udp(_ payload: [UInt8], _ from: Endpoint, _ to: Endpoint) -> [UInt8] {
        var datagram: [UInt8] = []
        for word in [from.port, to.port, UInt16(payload.count + 8), 0] { datagram.append(bigEndian: word) }
        return datagram + payload
    }

    static func report(_ message: [UInt8], at local: Endpoint) -> MemoryWire.Packet {
        MemoryWire.Packet(octets: message, peer: Endpoint(Packets.address("203.0.113.1"), port: 0), local: Endpoint(local.address, port: 0))
    }

    /// The MTU that ICMP tells the sender of 1400 octets with DF, once it does.
    static func told(_ rig: Rig) async -> Int? {
        var mtu: Int?
        _ = await rig.wait {
            rig.inner[0].put(down(1400))
            for packet in rig.inner[0].take() where packet.octets.count > 28 && packet.octets[9] == 1 && packet.octets[20] == 3 {
                mtu = Int(packet.octets[26]) << 8 | Int(packet.octets[27])
            }
            return mtu != nil
        }
        return mtu
    }

    @Test("IPv6: the router's message about a packet of ours lowers the session's MTU; a forged one is counted, and changes nothing")
    func threat_P33_outerIPv6() async throws {
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        _ = try await rig.session(Self.client, worker: 0) {
            $0.peer = Rig.peer6
            $0.local = Rig.gateway6
        }
        rig.inner[0].put(Self.down(1400))
        let sent = await OuterTests.take(rig.outer6[0], 1, rig)
        let packet = Packets.ipv6("2001:db8:1::1", "2001:db8:7::7", payload: Self.udp(try #require(sent.first).octets, Rig.gateway6, Rig.peer6))
        var forged = packet
        forged[51] ^= 1  // SPI
        rig.reports6.put(Self.report([2, 0, 0, 0, 0, 0, 5, 0] + forged.prefix(1232), at: Rig.gateway6))
        var older = packet
        older[52] ^= 0x80  // sequence number
        rig.reports6.put(Self.report([2, 0, 0, 0, 0, 0, 5, 0] + older.prefix(1232), at: Rig.gateway6))
        rig.reports6.put(Self.report([2, 0, 0, 0, 0, 0, 5, 0], at: Rig.gateway6))
        let isCounted = await rig.wait { rig.drops(.unprovenTooBig) == 3 }
        #expect(isCounted)
        rig.inner[0].put(Self.down(1400))
        let again = await OuterTests.take(rig.outer6[0], 1, rig)
        #expect(again.count == 1 && rig.whole6[0].take().isEmpty)
        rig.reports6.put(Self.report([2, 0, 0, 0, 0, 0, 5, 0] + packet.prefix(1232), at: Rig.gateway6))
        let mtu = try #require(await Self.told(rig))
        #expect((1180..<1232).contains(mtu))
        _ = rig.outer6[0].take()
        rig.inner[0].put(Self.down(mtu))
        let fits = await OuterTests.take(rig.outer6[0], 1, rig)
        #expect(fits.allSatisfy { $0.octets.count + 48 <= 1280 })
        #expect(rig.visitors.seen.isEmpty)
    }

    @Test("IPv4: a probe with DF asks the path; only the message about it counts")
    func threat_P33_outerIPv4() async throws {
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        let (id, _) = try await rig.session(Self.client, worker: 1)
        rig.inner[1].put(Self.down(1400))
        let sent = await OuterTests.take(rig.outer[1], 1, rig)
        let probes = await OuterTests.take(rig.whole4[1], 1, rig)
        let probe = try #require(probes.first).octets
        let data = Packets.ipv4("192.0.2.1", "198.51.100.7", payload: Self.udp(try #require(sent.first).octets, Rig.gateway, Rig.peer))
        #expect(probe.count == data.count && probe[6] == 0x40)
        #expect(rig.control.counters(tunnel: id)?.packetsOut == 1)
        func needed(_ quoted: [UInt8]) -> MemoryWire.Packet {
            var message: [UInt8] = [3, 4, 0, 0, 0, 0, 5, 0] + quoted.prefix(548)
            message.patch(bigEndian: Packets.checksum(message), at: 2)
            return Self.report(message, at: Rig.gateway)
        }
        rig.reports4.put(needed(data))
        let isCounted = await rig.wait { rig.drops(.unprovenTooBig) == 1 }
        #expect(isCounted)
        rig.reports4.put(needed(probe))
        let isTold = await rig.wait {
            rig.inner[1].put(Self.down(1400))
            return rig.inner[1].take().contains { $0.octets.count > 28 && $0.octets[20] == 3 && $0.octets[21] == 4 }
        }
        #expect(isTold)
    }

    @Test("a message that names an SPI of many is looked at by few; after the end of a Child SA nobody looks")
    func threat_P33_sharedSPIs() async throws {
        let rig = try Rig(workers: 1)
        defer { rig.stop() }
        var spis: [LocalSPI] = []
        for number in 10..<20 { spis.append(try await rig.session("10.99.0.\(number)", worker: 0, outbound: 0xbeef).spi) }
        let quoted = Packets.ipv4("192.0.2.1", "198.51.100.9", protocol: 50, payload: [0, 0, 0xbe, 0xef, 0, 0, 0, 1])
        var message: [UInt8] = [3, 4, 0, 0, 0, 0, 2, 0] + quoted
        message.patch(bigEndian: Packets.checksum(message), at: 2)
        rig.reports4.put(Self.report(message, at: Rig.gateway))
        let few = await rig.wait { rig.drops(.unprovenTooBig) == 4 }
        #expect(few)
        for spi in spis { _ = await rig.control.retire(child: spi) }
        rig.reports4.put(Self.report(message, at: Rig.gateway))
        let last = await rig.wait { rig.drops(.unprovenTooBig) == 5 }
        #expect(last)
    }
}

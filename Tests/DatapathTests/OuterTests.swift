import Datapath
import ESP
import GatewayCrypto
import LinuxIO
import PacketFixtures
import Testing
import Wire

/// What is outside the tunnel: ESP without UDP, traffic classes, fragments.
@Suite(.serialized) struct OuterTests {
    static let server = "10.1.2.3"
    static let client = "10.99.0.10"
    static let nativePeer = Endpoint(Rig.peer.address, port: 0)
    static let nativeGateway = Endpoint(Rig.gateway.address, port: 0)

    static func makeNative(_ spec: inout TunnelSpec) {
        spec.peer = nativePeer
        spec.local = nativeGateway
    }

    static func up(_ octets: Int = 32) -> [UInt8] { Packets.ipv4(client, server, payload: Packets.udp(1, 2, octets: octets)) }
    static func down(_ octets: Int = 32, flags: UInt16 = 0) -> [UInt8] {
        Packets.ipv4(server, client, flags: flags, payload: Packets.udp(2, 1, octets: octets))
    }

    static func take(_ wire: MemoryWire, _ count: Int, _ rig: Rig) async -> [MemoryWire.Packet] {
        var found: [MemoryWire.Packet] = []
        _ = await rig.wait {
            found += wire.take()
            return found.count >= count
        }
        return found
    }

    /// ESP as a protocol of its own reaches its session on whatever worker it comes in, and answers leave the same way.
    @Test(arguments: [0, 1])
    func nativeESPBothWays(arrival: Int) async throws {
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        let (id, spi) = try await rig.session(Self.client, worker: 0) { Self.makeNative(&$0) }
        var client = try Rig.client(spi)
        rig.native[arrival].put(MemoryWire.Packet(octets: try client.seal(Self.up()), peer: Self.nativePeer, local: Self.nativeGateway))
        let found1 = await Self.take(rig.inner[0], 1, rig)
        #expect(found1.map(\.octets) == [Self.up()])
        rig.inner[0].put(MemoryWire.Packet(octets: Self.down()))
        let sent = await Self.take(rig.native[0], 1, rig)
        #expect(sent.map(\.peer) == [Self.nativePeer] && sent.map(\.local) == [Self.nativeGateway])
        var clientIn = try Rig.clientIn()
        let opened = try clientIn.open(try #require(sent.first).octets)
        #expect(opened == Self.down())
        #expect(rig.outer[0].take().isEmpty)
        // RFC 7296 section 2.23: what comes encapsulated is taken as well, and moves nothing
        rig.outer[0].put(Rig.outside(try client.seal(Self.up(40))))
        let found2 = await Self.take(rig.inner[0], 1, rig)
        #expect(found2.map(\.octets) == [Self.up(40)])
        rig.inner[0].put(MemoryWire.Packet(octets: Self.down()))
        let found3 = await Self.take(rig.native[0], 1, rig)
        #expect(found3.map(\.peer) == [Self.nativePeer])
        #expect(rig.control.counters(tunnel: id)?.packetsOut == 2)
    }

    /// SPI 0 is the non-ESP marker in UDP alone: no raw packet reaches the door as IKE.
    @Test func nativePacketsAreNeverIKE() async throws {
        let rig = try Rig(workers: 1)
        defer { rig.stop() }
        rig.native[0].put(MemoryWire.Packet(octets: [UInt8](repeating: 0, count: 64), peer: Self.nativePeer, local: Self.nativeGateway))
        _ = await rig.wait { rig.drops(.notESP) == 1 }
        #expect(rig.drops(.notESP) == 1)
        #expect(rig.visitors.seen.isEmpty)
    }

    /// An IPv4 packet put together from fragments as a receiver would; nil when they do not fit together.
    static func reassemble(_ fragments: [[UInt8]], mtu: Int) -> [UInt8]? {
        var payload: [UInt8] = []
        for (number, fragment) in fragments.enumerated() {
            guard fragment.count <= mtu, fragment.count > 20, Packets.checksum(Array(fragment[..<20])) == 0 else { return nil }
            let word = UInt16(fragment[6]) << 8 | UInt16(fragment[7])
            guard Int(word & 0x1fff) * 8 == payload.count, (word & 0x2000 != 0) == (number + 1 < fragments.count),
                fragment[4..<6] == fragments[0][4..<6], fragment[9] == fragments[0][9]
            else { return nil }
            payload += fragment[20...]
        }
        return payload
    }

    @Test(arguments: [true, false])
    func DP5_ESPIsCutToEncapsulatedIPMTU(isEncapsulated: Bool) async throws {
        let rig = try Rig(workers: 1)
        defer { rig.stop() }
        var settings = TunnelSettings()
        settings.encapsulatedMTU = 600
        let (id, _) = try await rig.session(Self.client, worker: 0) {
            $0.settings = settings
            if !isEncapsulated { Self.makeNative(&$0) }
        }
        var clientIn = try Rig.clientIn()
        // DF of the inner packet says nothing about the outer ones
        let inner = Self.down(1300, flags: 2)
        rig.inner[0].put(MemoryWire.Packet(octets: inner))
        let fragments = await Self.take(rig.whole4[0], 3, rig).map(\.octets)
        #expect(fragments.count == 3)
        let payload = try #require(Self.reassemble(fragments, mtu: 600))
        #expect(fragments[0][9] == (isEncapsulated ? 17 : 50))
        #expect(Array(fragments[0][12..<20]) == Rig.gateway.address.octets + Rig.peer.address.octets)
        if isEncapsulated {
            #expect(Array(payload[..<4]) == [0x11, 0x94, 0xee, 0x48] && Int(payload[4]) << 8 | Int(payload[5]) == payload.count)
        }
        let opened = try clientIn.open(Array(payload.dropFirst(isEncapsulated ? 8 : 0)))
        #expect(opened == inner)
        // One packet, however many pieces it took
        _ = await rig.wait { rig.control.counters(tunnel: id)?.packetsOut == 1 }
        #expect(rig.control.counters(tunnel: id)?.packetsOut == 1)
        #expect(rig.control.counters(tunnel: id)?.octetsOut == UInt64(inner.count))
        // What fits stays with its own port
        rig.inner[0].put(MemoryWire.Packet(octets: Self.down(400)))
        let found4 = await Self.take(isEncapsulated ? rig.outer[0] : rig.native[0], 1, rig)
        #expect(found4.count == 1)
        #expect(rig.whole4[0].take().isEmpty)
    }

    @Test func DP5_innerPiecesAreCutAgain() async throws {
        let rig = try Rig(workers: 1)
        defer { rig.stop() }
        var settings = TunnelSettings()
        settings.ipMTU = 1000
        settings.encapsulatedMTU = 600
        let (id, _) = try await rig.session(Self.client, worker: 0) { $0.settings = settings }
        var clientIn = try Rig.clientIn()
        rig.inner[0].put(MemoryWire.Packet(octets: Self.down(1300)))
        let fragments = await Self.take(rig.whole4[0], 2, rig).map(\.octets)
        let sent = await Self.take(rig.outer[0], 1, rig)
        #expect(fragments.count == 2 && sent.count == 1)
        let first = try clientIn.open(Array(try #require(Self.reassemble(fragments, mtu: 600)).dropFirst(8)))
        let second = try clientIn.open(try #require(sent.first).octets)
        #expect(first.count <= 1000 && Array(first[20...] + second[20...]) == Array(Self.down(1300)[20...]))
        _ = await rig.wait { rig.control.counters(tunnel: id)?.packetsOut == 2 }
        #expect(rig.control.counters(tunnel: id)?.packetsOut == 2)
    }

    @Test func DP5_outerIPv6IsCutToNoLessThan1280() async throws {
        let rig = try Rig(workers: 1)
        defer { rig.stop() }
        var settings = TunnelSettings()
        settings.encapsulatedMTU = 700
        _ = try await rig.session(Self.client, worker: 0) {
            $0.settings = settings
            $0.peer = Rig.peer6
            $0.local = Rig.gateway6
        }
        rig.inner[0].put(MemoryWire.Packet(octets: Self.down(1100)))
        let found5 = await Self.take(rig.outer6[0], 1, rig)
        #expect(found5.count == 1)
        rig.inner[0].put(MemoryWire.Packet(octets: Self.down(1350)))
        let fragments = await Self.take(rig.whole6[0], 2, rig).map(\.octets)
        #expect(fragments.count == 2 && fragments.allSatisfy { $0.count <= 1280 && $0[6] == 44 && $0[40] == 17 })
        #expect(rig.outer6[0].take().isEmpty)
    }

    @Test func DP5_IKEIsCutToo() async throws {
        let rig = try Rig(workers: 1, echoes: true, encapsulatedMTU: 600)
        defer { rig.stop() }
        let message = [UInt8](repeating: 0x21, count: 1500)
        rig.doorIKE.put(MemoryWire.Packet(octets: message, peer: Rig.peer, local: Rig.ike))
        let fragments = await Self.take(rig.doorWhole, 3, rig).map(\.octets)
        let payload = try #require(Self.reassemble(fragments, mtu: 600))
        #expect(Array(payload[8...]) == message && Array(payload[..<4]) == [0x01, 0xf4, 0xee, 0x48])
        #expect(rig.doorIKE.take().isEmpty)
        rig.doorIKE.put(MemoryWire.Packet(octets: Array(message[..<500]), peer: Rig.peer, local: Rig.ike))
        let found6 = await Self.take(rig.doorIKE, 1, rig)
        #expect(found6.count == 1)
    }

    @Test(arguments: [true, false])
    func DP6_fragmentsAreTakenOnlyWhereReassemblyIsOn(reassembles: Bool) async throws {
        let rig = try Rig(workers: 2, reassembles: reassembles)
        defer { rig.stop() }
        let (_, spi) = try await rig.session(Self.client, worker: 0)
        var client = try Rig.client(spi)
        // On its own worker, on the other, at the door
        for wire in [rig.outer[0], rig.outer[1], rig.doorNAT] {
            var packet = Rig.outside(try client.seal(Self.up()))
            packet.wasFragmented = true
            wire.put(packet)
        }
        rig.outer[0].put(Rig.outside(try client.seal(Self.up(99))))
        let delivered = await Self.take(rig.inner[0], reassembles ? 4 : 1, rig)
        #expect(delivered.contains { $0.octets == Self.up(99) } && delivered.count == (reassembles ? 4 : 1))
        _ = await rig.wait { rig.drops(.outerFragment) == (reassembles ? 0 : 3) }
        #expect(rig.drops(.outerFragment) == (reassembles ? 0 : 3))
    }

    @Test func DP8_theOuterClassFollowsTheInner() async throws {
        let rig = try Rig(workers: 1)
        defer { rig.stop() }
        var fixed = TunnelSettings()
        fixed.outerDSCP = 10
        _ = try await rig.session(Self.client, worker: 0)
        _ = try await rig.session("10.99.0.11", worker: 0, key: 2, outbound: 0xbeef) { $0.settings = fixed }
        for (address, mark) in [(Self.client, UInt8(0xb8)), (Self.client, 0x02), ("10.99.0.11", 0xb9)] {
            var packet = Packets.ipv4(Self.server, address, payload: Packets.udp(2, 1))
            packet[1] = mark
            packet.patch(bigEndian: UInt16(0), at: 10)
            packet.patch(bigEndian: Packets.checksum(Array(packet[..<20])), at: 10)
            rig.inner[0].put(MemoryWire.Packet(octets: packet))
        }
        let found7 = await Self.take(rig.outer[0], 3, rig)
        #expect(found7.map(\.trafficClass) == [0xb8, 0x02, 10 << 2 | 1])
    }

    /// The class of the outer packet counts wherever it came in.
    @Test(arguments: 0..<3)
    func DP8_theOuterClassComesAlong(way: Int) async throws {
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        let (_, spi) = try await rig.session(Self.client, worker: 0)
        var client = try Rig.client(spi)
        var inner = Self.up()
        inner[1] = 0x02
        inner.patch(bigEndian: UInt16(0), at: 10)
        inner.patch(bigEndian: Packets.checksum(Array(inner[..<20])), at: 10)
        let wire = [rig.outer[0], rig.outer[1], rig.doorNAT][way]
        for content in [inner, Self.up()] {
            var packet = Rig.outside(try client.seal(content))
            packet.trafficClass = 0x03
            wire.put(packet)
        }
        let delivered = await Self.take(rig.inner[0], 1, rig)
        #expect(delivered.map { $0.octets[1] } == [0x03])
        _ = await rig.wait { rig.drops(.congestion) == 1 }
        #expect(rig.drops(.congestion) == 1)
    }
}

import Datapath
import ESP
import GatewayCrypto
import LinuxIO
import PacketFixtures
import Synchronization
import Testing
import Wire

/// From the private side: super-packets of the TUN device are cut, sealed one by one and sent many at a time.
@Suite(.serialized) struct SegmentationTests {
    static func rig(workers: Int = 1) throws -> Rig { try Rig(workers: workers, offloads: .all) }

    static func session(_ rig: Rig, suite: ESPSuite = Rig.suite, _ change: @escaping (inout TunnelSpec) -> Void = { _ in }) async throws -> TunnelID {
        try await rig.session("10.99.0.10", worker: 0, suite: suite) {
            $0.innerAddresses.append(Packets.address("2001:db8:99::10"))
            change(&$0)
        }.id
    }

    static func opened(_ packets: [MemoryWire.Packet], suite: ESPSuite = Rig.suite) throws -> [[UInt8]] {
        var client = try Rig.clientIn(suite: suite)
        return try packets.map { try client.open($0.octets) }
    }

    @Test(arguments: FlowShape.all, [1, 500, 1300])
    func DP_superPacketLeavesAsItsSegments(shape: FlowShape, size: Int) async throws {
        let rig = try Self.rig()
        defer { rig.stop() }
        let id = try await Self.session(rig)
        var shape = shape
        if shape.isTCP { shape.flags = 0x10 | 0x80 | 0x08 | 0x01 }
        shape.trafficClass = 0x49
        let payload = FlowShape.payload(size == 1 ? 100 : 33_000)
        rig.inner[0].put(shape.superPacket(payload, size: size))
        let expected = shape.packets(payload, size: size)
        let sent = await OuterTests.take(rig.outer[0], expected.count, rig)
        let inner = try Self.opened(sent)
        #expect(inner == expected)
        #expect(sent.allSatisfy { $0.trafficClass == 0x49 && $0.peer == Rig.peer })
        // As few sends as the kernel's limits allow
        let rows = rig.outer[0].entrySizes
        #expect(rows.allSatisfy { $0 <= 64 } && rows.count == (expected.count + 63) / 64)
        let counters = try #require(rig.control.counters(tunnel: id))
        #expect(counters.packetsOut == UInt64(expected.count) && counters.octetsOut == UInt64(expected.reduce(0) { $0 + $1.count }))
        #expect(rig.control.dropCounters().values.allSatisfy { $0 == 0 })
    }

    /// Every kind of suite, and what is longer than a datagram may be: 45 packets of 1,440 octets fill one.
    @Test(arguments: [
        Rig.suite, ESPSuite(protection: .required(.aesCBC, 256, .hmacSHA256_128), extendedSequenceNumbers: true),
        ESPSuite(protection: .required(.chaCha20Poly1305, 0, .none), extendedSequenceNumbers: false),
    ])
    func rowsEndBeforeADatagramIsFull(suite: ESPSuite) async throws {
        let rig = try Self.rig()
        defer { rig.stop() }
        _ = try await Self.session(rig, suite: suite)
        let shape = FlowShape()
        let payload = FlowShape.payload(64_000)
        let expected = shape.packets(payload, size: 1348)
        for _ in 0..<2 { rig.inner[0].put(shape.superPacket(payload, size: 1348)) }
        let sent = await OuterTests.take(rig.outer[0], expected.count * 2, rig)
        let inner = try Self.opened(sent, suite: suite)
        #expect(inner == expected + expected)
        let longest = suite.sealedLength(of: 1400)
        #expect(rig.outer[0].entrySizes.allSatisfy { $0 * longest <= 65_000 })
        #expect(rig.outer[0].entrySizes.count <= 4)
    }

    @Test func plainPacketsOfOneClientGoInARowAndKeepTheirOrder() async throws {
        let rig = try Self.rig()
        defer { rig.stop() }
        _ = try await Self.session(rig)
        _ = try await rig.session("10.99.0.11", worker: 0, key: 2, outbound: 0xbeef)
        // Two clients in turn; lengths and a traffic class that end a row
        var expected: [String: [[UInt8]]] = [:]
        var packets: [MemoryWire.Packet] = []
        for number in 0..<12 {
            for address in ["10.99.0.10", "10.99.0.11"] where packets.count < 16 {
                var packet = WorkerTests.down(address, number, octets: number == 3 ? 50 : 100)
                if number == 5 {
                    packet[1] = 0xb8
                    packet.patch(bigEndian: UInt16(0), at: 10)
                    packet.patch(bigEndian: Packets.checksum(Array(packet[..<20])), at: 10)
                }
                expected[address, default: []].append(packet)
                packets.append(MemoryWire.Packet(octets: packet))
            }
        }
        rig.inner[0].put(packets)
        let sent = await OuterTests.take(rig.outer[0], 16, rig)
        var one = try Rig.clientIn()
        var two = try Rig.clientIn(0xbeef, key: 2)
        var found: [String: [[UInt8]]] = [:]
        for packet in sent {
            let isFirst = Array(packet.octets[..<4]) == [0, 0, 0xca, 0xfe]
            let inner = isFirst ? try one.open(packet.octets) : try two.open(packet.octets)
            found[isFirst ? "10.99.0.10" : "10.99.0.11", default: []].append(inner)
            #expect(packet.trafficClass == inner[1], "DP-8")
        }
        #expect(found == expected)
        // 0...3 (the short one ends it), 4, 5 (marked), 6 and 7: of each client
        #expect(rig.outer[0].entrySizes.sorted() == [1, 1, 1, 1, 2, 2, 4, 4])
    }

    @Test func nativeESPAndLongPacketsGoOneByOne() async throws {
        let rig = try Self.rig()
        defer { rig.stop() }
        _ = try await Self.session(rig) { OuterTests.makeNative(&$0) }
        let shape = FlowShape()
        let payload = FlowShape.payload(10_000)
        rig.inner[0].put(shape.superPacket(payload, size: 1000))
        let sent = await OuterTests.take(rig.native[0], 10, rig)
        let inner = try Self.opened(sent)
        #expect(inner == shape.packets(payload, size: 1000))
        #expect(rig.native[0].entrySizes == [Int](repeating: 1, count: 10))
    }

    /// What ip-mtu does to packets that came alone it does to those of a super-packet: pieces, or a message each (DP-3, DP-4).
    @Test(arguments: [true, false])
    func DP_3_segmentsLongerThanIPMTU(mayNotFragment: Bool) async throws {
        let rig = try Self.rig()
        defer { rig.stop() }
        let id = try await Self.session(rig) { $0.settings.ipMTU = 1000 }
        var shape = FlowShape(isTCP: false)
        shape.mayNotFragment = mayNotFragment
        rig.inner[0].put(shape.superPacket(FlowShape.payload(6_500), size: 1300))
        if mayNotFragment {
            let replies = await OuterTests.take(rig.inner[0], 5, rig)
            #expect(replies.count == 5 && replies.allSatisfy { $0.octets[20] == 3 && $0.octets[21] == 4 })
            #expect(rig.drops(.tooBig) == 5 && rig.control.counters(tunnel: id)?.drops == 5)
        } else {
            let sent = await OuterTests.take(rig.outer[0], 10, rig)
            let pieces = try Self.opened(sent)
            #expect(pieces.count == 10 && pieces.allSatisfy { $0.count <= 1000 })
            #expect(rig.control.counters(tunnel: id)?.packetsOut == 10)
        }
    }

    @Test(arguments: FlowShape.all)
    func aSuperPacketOnTheWrongWorkerIsCutAtHome(shape: FlowShape) async throws {
        let rig = try Self.rig(workers: 2)
        defer { rig.stop() }
        _ = try await Self.session(rig)
        let payload = FlowShape.payload(20_000)
        rig.inner[1].put(shape.superPacket(payload, size: 900))
        // And a plain one whose checksum is left to us
        rig.inner[1].put(shape.superPacket(Array(payload[..<700]), size: 900).plain)
        let expected = shape.packets(payload, size: 900) + shape.packets(Array(payload[..<700]), size: 900)
        let sent = await OuterTests.take(rig.outer[0], expected.count, rig)
        let inner = try Self.opened(sent)
        #expect(inner == expected)
    }

    struct Lie: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var isHarmless = false
        var apply: @Sendable (inout MemoryWire.Packet) -> Void
        init(_ name: String, isHarmless: Bool = false, _ apply: @escaping @Sendable (inout MemoryWire.Packet) -> Void) {
            testDescription = name
            self.isHarmless = isHarmless
            self.apply = apply
        }
    }

    static let lies: [Lie] = [
        Lie("gso_size 0") { $0.offload.segmentSize = 0 },
        Lie("gso_size 1: more segments than there can be") { $0.offload.segmentSize = 1 },
        Lie("IPv6 said of IPv4") { $0.offload.kind = OffloadHeader.tcpIPv6 },
        Lie("UDP said of TCP") { $0.offload.kind = OffloadHeader.udp },
        Lie("a kind that there is not") { $0.offload.kind = 9 },
        Lie("UDP fragments (UFO), which were not asked for") { $0.offload.kind = 3 },
        Lie("TCP header past the end") { packet in
            packet.octets = Array(packet.octets[..<44])
            packet.octets.patch(bigEndian: UInt16(44), at: 2)
            packet.octets[32] = 0xf0
            packet.octets.fixHeader()
        },
        Lie("TCP header shorter than one") { $0.octets[32] = 0x40 },
        Lie("no payload") { packet in
            packet.octets = Array(packet.octets[..<52])
            packet.octets.patch(bigEndian: UInt16(52), at: 2)
            packet.octets.fixHeader()
        },
        Lie("a fragment") { packet in
            packet.octets[6] = 0x20
            packet.octets[7] = 0
            packet.octets = Array(packet.octets[..<(packet.octets.count / 8 * 8 + 4 - 8)])
            packet.octets.patch(bigEndian: UInt16(packet.octets.count), at: 2)
            packet.octets.fixHeader()
        },
        Lie("total length past the end") { packet in
            packet.octets.patch(bigEndian: UInt16(packet.octets.count + 1), at: 2)
            packet.octets.fixHeader()
        },
        Lie("shorter than a header") { $0.octets = Array($0.octets[..<19]) },
        Lie("hdr_len past the end", isHarmless: true) { $0.offload.headerLength = 65_535 },
        Lie("hdr_len 0", isHarmless: true) { $0.offload.headerLength = 0 },
        Lie("checksum past the end", isHarmless: true) {
            $0.offload.checksumStart = 65_535
            $0.offload.checksumOffset = 65_535
        },
        Lie("a plain packet's checksum past the end") {
            $0.offload.kind = 0
            $0.offload.checksumStart = 65_535
        },
        Lie("a plain packet's checksum across the end") { packet in
            packet.offload.kind = 0
            packet.offload.checksumStart = UInt16(packet.octets.count - 17)
        },
        Lie("a plain packet's checksum at 0") {
            $0.offload.kind = 0
            $0.offload.checksumStart = 0
        },
    ]

    /// Issue "Bad input": a super-packet whose header lies is dropped and counted, or the lie changes nothing; the next one passes.
    @Test(arguments: lies)
    func threat_superPacketWhoseHeaderLies(lie: Lie) async throws {
        let rig = try Self.rig()
        defer { rig.stop() }
        _ = try await Self.session(rig)
        let shape = FlowShape()
        let payload = FlowShape.payload(6_000)
        var lying = shape.superPacket(payload, size: 1300)
        lie.apply(&lying)
        rig.inner[0].put(lying)
        rig.inner[0].put(shape.superPacket(payload, size: 1200))
        let expected = (lie.isHarmless ? shape.packets(payload, size: 1300) : []) + shape.packets(payload, size: 1200)
        let sent = await OuterTests.take(rig.outer[0], expected.count, rig)
        let inner = try Self.opened(sent)
        #expect(inner == expected)
        #expect(rig.drops(.malformed) == (lie.isHarmless ? 0 : 1))
    }

    @Test func threat_superPacketBehindAFragmentHeaderOrARoute() async throws {
        let rig = try Self.rig()
        defer { rig.stop() }
        _ = try await Self.session(rig)
        let shape = FlowShape(family: .ipv6)
        // Atomic fragment, routing header: every packet would have to differ in more than the kernel says
        for (next, header) in [(44, [6, 0, 0, 0, 1, 2, 3, 4]), (43, [6, 0, 4, 0, 0, 0, 0, 0])] as [(UInt8, [UInt8])] {
            var packet = shape.superPacket(FlowShape.payload(3000), size: 1000)
            packet.octets.insert(contentsOf: header, at: 40)
            packet.octets[6] = next
            packet.octets.patch(bigEndian: UInt16(packet.octets.count - 40), at: 4)
            rig.inner[0].put(packet)
        }
        let isDone = await rig.wait { rig.drops(.malformed) == 2 }
        #expect(isDone && rig.outer[0].sentCount == 0)
    }

    /// A client that is gone, or whose SA is used up, costs a drop for each packet, not one for all.
    @Test func threat_P25_anSAUsedUpInTheMiddleOfASuperPacket() async throws {
        let rig = try Self.rig()
        defer { rig.stop() }
        let spec = try await rig.session("10.99.0.10", worker: 0)
        _ = await rig.control.retire(child: spec.spi)
        let spi = try #require(rig.control.allocateSPI(worker: 0))
        var lifetimes = SALifetimes()
        lifetimes.hardPackets = 7
        try await rig.control.install(
            ChildSASpec(
                tunnel: spec.id, inbound: spi, outbound: 0xcafe, suite: Rig.suite,
                keys: ChildSAKeys(
                    inboundEncryption: Rig.key(Rig.suite, 1), inboundIntegrity: SecretOctets(count: 0),
                    outboundEncryption: Rig.key(Rig.suite, 0x81), outboundIntegrity: SecretOctets(count: 0)),
                selectors: Selectors(local: [Selectors.Entry(.all(.ipv4))], remote: [Selectors.Entry(.all(.ipv4))]), lifetimes: lifetimes))
        let shape = FlowShape()
        let payload = FlowShape.payload(12_000)
        rig.inner[0].put(shape.superPacket(payload, size: 1000))
        let isDone = await rig.wait { rig.drops(.exhausted) == 5 }
        let sent = await OuterTests.take(rig.outer[0], 7, rig)
        let inner = try Self.opened(sent)
        #expect(isDone && inner == Array(shape.packets(payload, size: 1000)[..<7]))
        // And none at all any more
        rig.inner[0].put(shape.superPacket(payload, size: 1000))
        let isOver = await rig.wait { rig.drops(.exhausted) == 17 }
        #expect(isOver && rig.outer[0].sentCount == 0)
    }

    /// A port without room loses packets, and says how many.
    @Test func aFullSocketCountsEveryPacketOfARow() async throws {
        let rig = try Self.rig()
        defer { rig.stop() }
        let id = try await Self.session(rig)
        rig.faults[0].roomPerSend.withLock { $0 = 0 }
        rig.inner[0].put(FlowShape().superPacket(FlowShape.payload(12_000), size: 1000))
        let isDone = await rig.wait { rig.drops(.sendFailed) == 12 }
        #expect(isDone && rig.control.counters(tunnel: id)?.drops == 12 && rig.control.counters(tunnel: id)?.packetsOut == 0)
    }
}

extension MemoryWire.Packet {
    /// The same as one packet whose checksum is left to us.
    var plain: MemoryWire.Packet {
        var packet = self
        packet.offload.kind = 0
        return packet
    }
}

extension [UInt8] {
    /// Makes an IPv4 header's checksum right.
    mutating func fixHeader() {
        patch(bigEndian: UInt16(0), at: 10)
        patch(bigEndian: Packets.checksum(Array(self[..<20])), at: 10)
    }
}

extension ProtectionSuite {
    static func required(_ encryption: EncryptionAlgorithm, _ bits: Int, _ integrity: IntegrityAlgorithm) -> ProtectionSuite {
        guard let suite = ProtectionSuite(encryption: encryption, keyBits: bits, integrity: integrity) else { preconditionFailure("no such suite") }
        return suite
    }
}

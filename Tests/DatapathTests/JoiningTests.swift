import Datapath
import ESP
import GatewayCrypto
import LinuxIO
import PacketFixtures
import Testing
import Wire

/// From outside: neighbours of one flow become one super-packet for the TUN device, by the kernel's GRO rules, and nothing else does.
@Suite(.serialized) struct JoiningTests {
    struct Up: ~Copyable {
        let rig: Rig
        let id: TunnelID
        var client: OutboundSA
    }

    static func up(_ offloads: SegmentOffloads = .all, suite: ESPSuite = Rig.suite, engine: CryptoEngine = .preferred) async throws -> Up {
        let rig = try Rig(workers: 1, offloads: offloads, engine: engine)
        let (id, spi) = try await rig.session("10.99.0.10", worker: 0, suite: suite) {
            $0.innerAddresses.append(Packets.address("2001:db8:99::10"))
        }
        return Up(rig: rig, id: id, client: try Rig.client(spi, suite: suite))
    }

    /// The packets one by one in one receive, and what was written for them.
    static func written(_ packets: [[UInt8]], _ offloads: SegmentOffloads = .all) async throws -> [MemoryWire.Packet] {
        var up = try await up(offloads)
        let rig = up.rig
        defer { rig.stop() }
        var sealed: [MemoryWire.Packet] = []
        for packet in packets { sealed.append(Rig.outside(try up.client.seal(packet))) }
        rig.outer[0].put(sealed)
        var found: [MemoryWire.Packet] = []
        _ = await rig.wait {
            found += rig.inner[0].take()
            return found.reduce(0) { $0 + FlowShape.cut($1).count } >= packets.count
        }
        let counters = try #require(rig.control.counters(tunnel: up.id))
        #expect(counters.packetsIn == UInt64(packets.count) && counters.octetsIn == UInt64(packets.reduce(0) { $0 + $1.count }))
        #expect(rig.control.dropCounters().values.allSatisfy { $0 == 0 })
        return found
    }

    static func towardsServer(_ shape: FlowShape) -> FlowShape {
        var shape = shape
        shape.towardsClient = false
        return shape
    }

    /// One read by UDP_GRO, many reads in one call: one write either way, its packets as they were.
    @Test(arguments: FlowShape.all, [true, false])
    func packetsOfAFlowAreWrittenAtOnce(shape: FlowShape, isJoinedOutside: Bool) async throws {
        var up = try await Self.up()
        let rig = up.rig
        defer { rig.stop() }
        var shape = Self.towardsServer(shape)
        if shape.isTCP { shape.flags = 0x18 }
        shape.trafficClass = 0x28
        let packets = shape.packets(FlowShape.payload(11_111), size: 900)
        var sealed: [[UInt8]] = []
        for packet in packets { sealed.append(try up.client.seal(packet)) }
        if isJoinedOutside {
            rig.outer[0].put(Rig.outside(Array(sealed.joined()), segmentSize: sealed[0].count))
        } else {
            rig.outer[0].put(sealed.map { Rig.outside($0) })
        }
        let found = await OuterTests.take(rig.inner[0], 1, rig)
        #expect(found.count == 1 && found.first.map { FlowShape.cut($0) } == packets)
        #expect(found.first?.offload.segmentSize == 900)
        let counters = try #require(rig.control.counters(tunnel: up.id))
        #expect(counters.packetsIn == UInt64(packets.count) && counters.octetsIn == UInt64(packets.reduce(0) { $0 + $1.count }))
    }

    /// What the second of two packets differs in, and whether they are joined all the same.
    struct Pair: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var joins: Bool
        var make: @Sendable () -> [[UInt8]]

        init(_ name: String, joins: Bool = false, _ shape: FlowShape = FlowShape(), _ change: @escaping @Sendable (inout FlowShape) -> Void) {
            testDescription = name
            self.joins = joins
            make = {
                let first = JoiningTests.towardsServer(shape)
                var second = first
                change(&second)
                return [first.packet(FlowShape.payload(500)), second.packet(FlowShape.payload(500, seed: 2), after: 500, number: 1)]
            }
        }

        init(_ name: String, joins: Bool = false, packets: @escaping @Sendable () -> [[UInt8]]) {
            testDescription = name
            self.joins = joins
            make = packets
        }
    }

    static let udp = FlowShape(isTCP: false)
    static let six = FlowShape(family: .ipv6)
    static var fragmentable: FlowShape {
        var shape = FlowShape()
        shape.mayNotFragment = false
        return shape
    }

    /// The first packet of a flow changed after it was made, its header and transport checksums made right again, and a plain neighbour.
    static func changed(_ shape: FlowShape = FlowShape(), _ change: (inout [UInt8]) -> Void) -> [[UInt8]] {
        let shape = towardsServer(shape)
        var second = shape.packet(FlowShape.payload(500, seed: 2), after: 500, number: 1)
        change(&second)
        return [shape.packet(FlowShape.payload(500)), second]
    }

    static let pairs: [Pair] = [
        Pair("nothing", joins: true) { _ in },
        Pair("nothing, IPv6", joins: true, six) { _ in },
        Pair("nothing, UDP", joins: true, udp) { _ in },
        Pair("PSH, which ends the run", joins: true) { $0.flags |= 0x08 },
        Pair("FIN, which ends the run", joins: true) { $0.flags |= 0x01 },
        Pair("SYN") { $0.flags |= 0x02 },
        Pair("RST") { $0.flags |= 0x04 },
        Pair("URG") { $0.flags |= 0x20 },
        Pair("ECE") { $0.flags |= 0x40 },
        Pair("CWR") { $0.flags |= 0x80 },
        Pair("no ACK") { $0.flags &= ~0x10 },
        Pair("the acknowledgement") { $0.acknowledgement += 1 },
        Pair("the window") { $0.window += 1 },
        Pair("the options' content") { $0.options[7] ^= 1 },
        Pair("the options' length") { $0.options = [] },
        Pair("a gap") { $0.sequence &+= 1 },
        Pair("a repetition") { $0.sequence &-= 500 },
        Pair("the port") { $0.sourcePort += 1 },
        Pair("the port, UDP", udp) { $0.sourcePort += 1 },
        Pair("TTL") { $0.hops -= 1 },
        Pair("hop limit", six) { $0.hops -= 1 },
        Pair("TOS") { $0.trafficClass = 0x20 },
        Pair("ECN: one packet met congestion") { $0.trafficClass = 0x03 },
        Pair("traffic class", six) { $0.trafficClass = 0x20 },
        Pair("DF") { $0.mayNotFragment = false },
        Pair("identification with DF, which means nothing", joins: true) { $0.identification = 9 },
        Pair("identification in order without DF", joins: true, fragmentable) { _ in },
        Pair("identification out of order without DF", fragmentable) { $0.identification = 9 },
        Pair("flow label", packets: { changed(six) { $0[3] = 1 } }),
        Pair("TCP checksum wrong", packets: { changed { $0[36] ^= 1 } }),
        Pair("UDP checksum wrong", packets: { changed(udp) { $0[26] ^= 1 } }),
        Pair("no UDP checksum", packets: { changed(udp) { $0.patch(bigEndian: UInt16(0), at: 26) } }),
        Pair("UDP length that disagrees", packets: { changed(udp) { $0.patch(bigEndian: UInt16(500), at: 24) } }),
        Pair("TCP header longer than the packet", packets: { changed { $0[32] = 0xf0 } }),
        Pair("TCP header too short", packets: { changed { $0[32] = 0x40 } }),
        Pair(
            "the urgent pointer",
            packets: {
                changed {
                    $0[39] = 1
                    FlowShape.finish(&$0)
                }
            }),
        Pair(
            "no payload",
            packets: {
                let shape = towardsServer(FlowShape())
                return [shape.packet(FlowShape.payload(500)), shape.packet([], after: 500, number: 1)]
            }),
        Pair(
            "more payload than the first",
            packets: {
                let shape = towardsServer(FlowShape())
                return [shape.packet(FlowShape.payload(500)), shape.packet(FlowShape.payload(501), after: 500, number: 1)]
            }),
        Pair(
            "IP options",
            packets: {
                changed { packet in
                    packet[0] = 0x46
                    packet.insert(contentsOf: [148, 4, 0, 0], at: 20)
                    packet.patch(bigEndian: UInt16(packet.count), at: 2)
                    packet.patch(bigEndian: UInt16(0), at: 10)
                    packet.patch(bigEndian: Packets.checksum(Array(packet[..<24])), at: 10)
                }
            }),
        Pair(
            "a fragment",
            packets: {
                changed(fragmentable) { packet in
                    packet = Array(packet[..<(20 + 480)])
                    packet[6] = 0x20
                    packet.patch(bigEndian: UInt16(packet.count), at: 2)
                    packet.fixHeader()
                }
            }),
        Pair(
            "an extension header",
            packets: {
                changed(six) { packet in
                    packet.insert(contentsOf: [6, 0, 1, 4, 0, 0, 0, 0], at: 40)
                    packet[6] = 60
                    packet.patch(bigEndian: UInt16(packet.count - 40), at: 4)
                }
            }),
        Pair(
            "an atomic fragment",
            packets: {
                changed(six) { packet in
                    packet.insert(contentsOf: [6, 0, 0, 0, 0, 0, 0, 1], at: 40)
                    packet[6] = 44
                    packet.patch(bigEndian: UInt16(packet.count - 40), at: 4)
                }
            }),
    ]

    /// Issue "Bad input": IP options, fragments, extension headers and wrong checksums are never joined, in either order.
    @Test(arguments: pairs)
    func twoPacketsThatDifferIn(pair: Pair) async throws {
        let packets = pair.make()
        let found = try await Self.written(packets)
        #expect(found.count == (pair.joins ? 1 : 2))
        // The kernel counts identifications on, which mean nothing with DF
        let isEqual = found.flatMap { FlowShape.cut($0) } == packets || pair.testDescription.contains("means nothing")
        #expect(isEqual)
        if !pair.joins {
            #expect(found.allSatisfy { $0.offload.kind == 0 })
            let back = try await Self.written(packets.reversed())
            #expect(back.count == 2 && back.map(\.octets) == packets.reversed())
        }
    }

    @Test func aRunEndsAndABareAcknowledgementKeepsItsPlace() async throws {
        let shape = Self.towardsServer(FlowShape())
        var last = shape
        last.flags |= 0x08
        let part = { (number: Int) in FlowShape.payload(500, seed: UInt64(number)) }
        // PSH ends the first; a short one the second; a bare acknowledgement the third
        let packets = [
            shape.packet(part(0), after: 0, number: 0), last.packet(part(1), after: 500, number: 1), shape.packet(part(2), after: 1000, number: 2),
            shape.packet(Array(part(3)[..<400]), after: 1500, number: 3), shape.packet(part(4), after: 1900, number: 4),
            shape.packet(part(5), after: 2400, number: 5), shape.packet([], after: 2900, number: 6), shape.packet(part(7), after: 2900, number: 7),
        ]
        let found = try await Self.written(packets)
        #expect(found.map { FlowShape.cut($0).count } == [2, 2, 2, 1, 1])
        #expect(found.flatMap { FlowShape.cut($0) } == packets)
    }

    /// More flows at once than there are runs: all arrive, each in order.
    @Test func manyFlowsAtOnce() async throws {
        let flows = (0..<5).map { flow in
            var shape = Self.towardsServer(FlowShape.all[flow % 4])
            shape.sourcePort = UInt16(1000 + flow)
            return shape.packets(FlowShape.payload(900, seed: UInt64(flow)), size: 300)
        }
        let packets = (0..<3).flatMap { number in flows.map { $0[number] } }
        let found = try await Self.written(packets)
        #expect(found.count == 5)
        #expect(Set(found.map { FlowShape.cut($0) }) == Set(flows))
    }

    @Test(arguments: [SegmentOffloads.none, .header, [.header, .tcp], .all, [.tcp, .udp]])
    func onlyWhatTheDeviceTakesIsJoined(offloads: SegmentOffloads) async throws {
        let tcp = Self.towardsServer(FlowShape()).packets(FlowShape.payload(1500), size: 500)
        let udp = Self.towardsServer(Self.udp).packets(FlowShape.payload(1500), size: 500)
        let found = try await Self.written(tcp + udp, offloads)
        let joinsTCP = offloads.isSuperset(of: [.header, .tcp])
        let joinsUDP = offloads.isSuperset(of: [.header, .udp])
        #expect(found.count == (joinsTCP ? 1 : 3) + (joinsUDP ? 1 : 3))
        #expect(found.flatMap { FlowShape.cut($0) } == tcp + udp)
    }

    /// Issue "Bad input": a read whose segments belong to different SAs or to none, one corrupted, one twice, a short one in the middle. What is not
    /// authentic never reaches the device, and what is arrives in order.
    @Test func threat_aReadWithSegmentsOfDifferentSAsOrNone() async throws {
        var up = try await Self.up()
        let rig = up.rig
        defer { rig.stop() }
        let (_, other) = try await rig.session("10.99.0.11", worker: 0, key: 2, outbound: 0xbeef)
        var stranger = try Rig.client(other, key: 2)
        let packets = Self.towardsServer(FlowShape()).packets(FlowShape.payload(3000), size: 500)
        var sealed: [[UInt8]] = []
        for packet in packets { sealed.append(try up.client.seal(packet)) }
        let size = sealed[0].count
        // The other client says it is the first: its SA does not admit that
        let spoofed = try stranger.seal(packets[0])
        var corrupted = sealed[2]
        corrupted[40] ^= 1
        let unknown = [0x99, 0, 0, 0x40] + [UInt8](repeating: 1, count: size - 4)
        let short = Array(sealed[4][..<100]) + [UInt8](repeating: 0, count: size - 100)
        let all = [sealed[0], sealed[1], spoofed, corrupted, sealed[2], sealed[1], unknown, sealed[3], short, sealed[4]]
        rig.outer[0].put(Rig.outside(Array(all.joined()), segmentSize: size))
        let isDone = await rig.wait { rig.drops(.integrity) == 2 && rig.inner[0].sentCount == 1 }
        #expect(isDone)
        #expect(rig.drops(.spoofedSource) == 1 && rig.drops(.replayed) == 1 && rig.drops(.unknownSPI) == 1)
        #expect(rig.inner[0].take().flatMap { FlowShape.cut($0) } == Array(packets[..<5]))
        // A short segment in the middle shifts all behind it: nothing of those is authentic
        let shifted = Array(sealed[5][..<(size - 16)]) + (0..<3).flatMap { _ in sealed[5] }
        rig.outer[0].put(Rig.outside(shifted, segmentSize: size))
        let isSeen = await rig.wait { rig.drops(.integrity) + rig.drops(.unknownSPI) + rig.drops(.truncated) + rig.drops(.notESP) >= 7 }
        #expect(isSeen && rig.inner[0].sentCount == 0)
    }

    /// An inner length that disagrees with the ESP payload: longer is malformed, shorter leaves padding behind (RFC 4303 section 2.7), which is not joined in.
    @Test func threat_P32_innerLengthsThatDisagree() async throws {
        var up = try await Self.up()
        let rig = up.rig
        defer { rig.stop() }
        let packets = Self.towardsServer(FlowShape()).packets(FlowShape.payload(1000), size: 500)
        var long = packets[0]
        long.patch(bigEndian: UInt16(long.count + 1), at: 2)
        long.fixHeader()
        var sealed: [MemoryWire.Packet] = [Rig.outside(try up.client.seal(long))]
        for packet in packets { sealed.append(Rig.outside(try up.client.seal(packet + [1, 2, 3, 4, 5]))) }
        rig.outer[0].put(sealed)
        let found = await OuterTests.take(rig.inner[0], 1, rig)
        #expect(found.flatMap { FlowShape.cut($0) } == packets && rig.drops(.malformed) == 1)
    }

    /// Congestion marks are each packet's own (RFC 6040): a run ends where one was met outside.
    @Test func DP_8_congestionOutsideEndsARun() async throws {
        var up = try await Self.up()
        let rig = up.rig
        defer { rig.stop() }
        var shape = Self.towardsServer(FlowShape())
        shape.trafficClass = 0x02
        let packets = shape.packets(FlowShape.payload(2000), size: 500)
        var sealed: [MemoryWire.Packet] = []
        for (number, packet) in packets.enumerated() {
            var one = Rig.outside(try up.client.seal(packet))
            one.trafficClass = number < 2 ? 0x02 : 0x03
            sealed.append(one)
        }
        rig.outer[0].put(sealed)
        let found = await OuterTests.take(rig.inner[0], 2, rig)
        #expect(found.map { FlowShape.cut($0).count } == [2, 2])
        #expect(found.map { $0.octets[1] } == [0x02, 0x03])
    }
}

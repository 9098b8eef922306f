import Datapath
import ESP
import LinuxIO
import PacketFixtures
import Synchronization
import Testing
import Wire

/// Ports that take nothing, or too little, while many packets are one entry: each packet is counted, and the next ones go their way.
@Suite(.serialized) struct TroubleTests {
    private static func segments(_ count: Int) -> [[UInt8]] {
        var shape = FlowShape()
        shape.towardsClient = false
        return shape.packets(FlowShape.payload(count * 500), size: 500)
    }

    /// Issue "Bad input": EIO and ENOBUFS of the TUN device.
    @Test func threat_theDeviceTakesNothing() async throws {
        let rig = try Rig(workers: 1, offloads: .all)
        defer { rig.stop() }
        let (_, spi) = try await rig.session("10.99.0.10", worker: 0)
        var client = try Rig.client(spi)
        rig.inner[0].isDown.withLock { $0 = true }
        for packet in Self.segments(7) { rig.outer[0].put(Rig.outside(try client.seal(packet))) }
        let isCounted = await rig.wait { rig.drops(.sendFailed) == 7 }
        #expect(isCounted && rig.inner[0].sentCount == 0)
        rig.inner[0].isDown.withLock { $0 = false }
        let packets = Self.segments(3)
        for packet in packets { rig.outer[0].put(Rig.outside(try client.seal(packet))) }
        var found: [[UInt8]] = []
        let isBack = await rig.wait {
            found += rig.inner[0].take().flatMap { FlowShape.cut($0) }
            return found.count == 3
        }
        #expect(isBack && found == packets && rig.drops(.sendFailed) == 7)
    }

    /// Issue "Bad input": a full UDP socket buffer. A row that finds no room is as many packets lost as are in it.
    @Test func threat_theSocketIsFull() async throws {
        let rig = try Rig(workers: 1, offloads: .all)
        defer { rig.stop() }
        let (id, _) = try await rig.session("10.99.0.10", worker: 0)
        rig.faults[0].roomPerSend.withLock { $0 = 1 }
        let payload = FlowShape.payload(60_000)
        // 120 packets: a row of 64 that is sent, and one of 56 that is not
        rig.inner[0].put(FlowShape().superPacket(payload, size: 500))
        let isCounted = await rig.wait { rig.drops(.sendFailed) == 56 && rig.outer[0].sentCount == 64 }
        #expect(isCounted)
        let counters = try #require(rig.control.counters(tunnel: id))
        #expect(counters.packetsOut == 64 && counters.drops == 56)
        var client = try Rig.clientIn()
        let opened = try rig.outer[0].take().map { try client.open($0.octets) }
        #expect(opened == Array(FlowShape().packets(payload, size: 500)[..<64]))
        #expect(counters.octetsOut == UInt64(opened.reduce(0) { $0 + $1.count }))
    }

    /// Issue "Bad input", RAD-8: a row of which some packets found room. Those are accounted for to the octet, the others are losses.
    @Test(arguments: [1, 30, 55]) func threat_theSocketFillsInTheMiddleOfARow(room: Int) async throws {
        let rig = try Rig(workers: 1, offloads: .all)
        defer { rig.stop() }
        let (id, _) = try await rig.session("10.99.0.10", worker: 0)
        rig.faults[0].roomPerSend.withLock { $0 = 1 }
        rig.faults[0].roomInRow.withLock { $0 = room }
        // 120 packets: a row of 64, and one of 56 whose last is shorter
        let payload = FlowShape.payload(59_700)
        rig.inner[0].put(FlowShape().superPacket(payload, size: 500))
        let isCounted = await rig.wait { rig.outer[0].sentCount == 64 + room && rig.drops(.sendFailed) == UInt64(56 - room) }
        #expect(isCounted)
        var client = try Rig.clientIn()
        let opened = try rig.outer[0].take().map { try client.open($0.octets) }
        #expect(opened == Array(FlowShape().packets(payload, size: 500)[..<(64 + room)]))
        let counters = try #require(rig.control.counters(tunnel: id))
        #expect(counters.packetsOut == UInt64(64 + room) && counters.drops == UInt64(56 - room))
        #expect(counters.octetsOut == UInt64(opened.reduce(0) { $0 + $1.count }))
    }

    /// Super-packets that find no room on their way to another worker are as many losses as there are packets in them.
    @Test func threat_theRingToAnotherWorkerIsFull() async throws {
        let rig = try Rig(workers: 2, offloads: .all)
        defer { rig.stop() }
        let (id, _) = try await rig.session("10.99.0.10", worker: 0)
        // Four of them fill the ring, and sixteen are read at once
        let packet = FlowShape().superPacket(FlowShape.payload(26_000), size: 1300)
        rig.inner[1].put([MemoryWire.Packet](repeating: packet, count: 200))
        var sent = 0
        let isDone = await rig.wait {
            sent += rig.outer[0].take().count
            return sent + Int(rig.drops(.ringFull)) == 200 * 20
        }
        #expect(isDone && sent > 0 && rig.drops(.ringFull) > 0, "\(sent) + \(rig.drops(.ringFull))")
        #expect(rig.control.counters(tunnel: id)?.packetsOut == UInt64(sent))
    }

    /// RAD-8: what the kernel refuses is nobody's traffic.
    @Test func whatThePortRefusesIsNotAccountedFor() async throws {
        let rig = try Rig(workers: 1, offloads: .all)
        defer { rig.stop() }
        let (id, _) = try await rig.session("10.99.0.10", worker: 0)
        rig.outer[0].isDown.withLock { $0 = true }
        rig.inner[0].put(FlowShape().superPacket(FlowShape.payload(5000), size: 500))
        let isCounted = await rig.wait { rig.drops(.sendFailed) == 10 }
        let counters = try #require(rig.control.counters(tunnel: id))
        #expect(isCounted && counters.packetsOut == 0 && counters.octetsOut == 0 && counters.drops == 10)
    }

    /// Issue "Bad input": packets without payload go their way; of a jumbogram, whose length field says 0 (RFC 2675), nothing but that length is believed.
    @Test(arguments: FlowShape.all) func threat_emptyPayloadsAndJumbograms(shape: FlowShape) async throws {
        let rig = try Rig(workers: 1, offloads: .all)
        defer { rig.stop() }
        let (_, spi) = try await rig.session("10.99.0.10", worker: 0) { $0.innerAddresses.append(Packets.address("2001:db8:99::10")) }
        var client = try Rig.client(spi)
        var shape = shape
        shape.towardsClient = false
        let empty = shape.packet([])
        rig.outer[0].put(Rig.outside(try client.seal(empty)))
        var expected = [empty]
        if shape.family == .ipv6 {
            var jumbo = shape.packet(FlowShape.payload(100))
            jumbo.patch(bigEndian: UInt16(0), at: 4)
            rig.outer[0].put(Rig.outside(try client.seal(jumbo)))
            expected.append(Array(jumbo[..<40]))
        }
        expected.append(empty)
        rig.outer[0].put(Rig.outside(try client.seal(empty)))
        var found: [[UInt8]] = []
        let isThrough = await rig.wait {
            found += rig.inner[0].take().flatMap { FlowShape.cut($0) }
            return found.count >= expected.count
        }
        #expect(isThrough && found == expected, "\(found)")
    }

    /// Issue "Bad input": an SA that is retired between two batches of one read's neighbours. What was sealed goes out, the rest is dropped as unroutable or unknown.
    @Test func threat_theSAIsRetiredUnderTraffic() async throws {
        let rig = try Rig(workers: 1, offloads: .all)
        defer { rig.stop() }
        let (id, spi) = try await rig.session("10.99.0.10", worker: 0)
        var client = try Rig.client(spi)
        let count = 400
        let packets = Self.segments(count)
        for (number, packet) in packets.enumerated() {
            rig.outer[0].put(Rig.outside(try client.seal(packet)))
            rig.inner[0].put(MemoryWire.Packet(octets: FlowShape().packets(FlowShape.payload(500), size: 500)[0]))
            if number == count / 2 { _ = await rig.control.close(tunnel: id) }
        }
        let isEmpty = await rig.wait { rig.outer[0].waiting == 0 && rig.inner[0].waiting == 0 }
        #expect(isEmpty)
        let arrived = rig.inner[0].take().flatMap { FlowShape.cut($0) }
        #expect(arrived == Array(packets[..<arrived.count]) && arrived.count < count)
        let left = rig.outer[0].sentCount
        let isCounted = await rig.wait { Int(rig.drops(.unknownSPI) + rig.drops(.noRoute)) == 2 * count - arrived.count - left }
        #expect(isCounted, "\(arrived.count) in, \(left) out, \(rig.control.dropCounters().filter { $0.value > 0 })")
    }
}

import Datapath
import ESP
import LinuxIO
import PacketFixtures
import Testing
import Wire

/// Issue "one client at line rate cannot starve the rest": a worker that is sent more than it can seal drops what is too much of him who has most.
@Suite(.serialized) struct FairnessTests {
    private static let shape = FlowShape()
    private static let payload = FlowShape.payload(62_400)

    /// One worker whose time stands still: how long ago somebody asked must not hang on how fast the machine is.
    private static func rig() throws -> Rig {
        let now = MonotonicClock.now
        return try Rig(workers: 1, offloads: .all, clock: { now })
    }

    /// A packet of the second client's, 10.99.0.11.
    private static func small(_ number: Int) -> [UInt8] {
        Packets.ipv4("10.1.2.3", "10.99.0.11", identification: UInt16(number), payload: Packets.udp(2, 1, octets: 32))
    }

    /// Of a super-packet that lies in one piece the kernel's `hdr_len` is all: what is dropped is counted by its own headers.
    @Test(arguments: [true, false])
    func theOneAtLineRateLosesAndTheOtherDoesNot(isInOnePiece: Bool) async throws {
        let rig = try Self.rig()
        defer { rig.stop() }
        let (greedy, _) = try await rig.session("10.99.0.10", worker: 0)
        let (modest, _) = try await rig.session("10.99.0.11", worker: 0, key: 2, outbound: 0xbeef)
        // 25 MB for one, a small packet for the other between each ten, all there at once
        var arriving: [MemoryWire.Packet] = []
        var superPacket = Self.shape.superPacket(Self.payload, size: 1300)
        if isInOnePiece { superPacket.offload.headerLength = UInt16(superPacket.octets.count) }
        for number in 0..<400 {
            arriving.append(superPacket)
            if number % 10 == 9 { arriving.append(MemoryWire.Packet(octets: Self.small(number / 10))) }
        }
        rig.inner[0].put(arriving)
        var sent: [MemoryWire.Packet] = []
        let isDone = await rig.wait {
            sent += rig.outer[0].take()
            return UInt64(sent.count) + rig.drops(.queueFull) == 400 * 48 + 40
        }
        #expect(isDone, "each packet left or was counted: \(sent.count) + \(rig.drops(.queueFull))")
        var first = try Rig.clientIn()
        var second = try Rig.clientIn(0xbeef, key: 2)
        var (big, little): ([[UInt8]], [[UInt8]]) = ([], [])
        for packet in sent {
            if packet.octets.starts(with: [0, 0, 0xbe, 0xef]) {
                little.append(try second.open(packet.octets))
            } else {
                big.append(try first.open(packet.octets))
            }
        }
        #expect(little == (0..<40).map(Self.small), "all, and in their order")
        #expect(rig.drops(.queueFull) > 0 && big.count < 400 * 48)
        let counters = try (#require(rig.control.counters(tunnel: greedy)), #require(rig.control.counters(tunnel: modest)))
        #expect(counters.0.drops == rig.drops(.queueFull) && counters.1.drops == 0)
        #expect(counters.0.packetsOut == UInt64(big.count) && counters.0.octetsOut == UInt64(big.reduce(0) { $0 + $1.count }))
        #expect(counters.1.packetsOut == 40)
        // What is left of the greedy one's super-packets is whole ones
        let expected = Self.shape.packets(Self.payload, size: 1300)
        for start in stride(from: 0, to: big.count, by: 48) { #expect(Array(big[start..<min(start + 48, big.count)]) == expected) }
    }

    /// The kernel's queue is full of one client's packets, so another's are not seen beside them; but he was heard asking.
    @Test(arguments: [true, false])
    func whoAsksFindsAShortQueue(asks: Bool) async throws {
        let rig = try Self.rig()
        defer { rig.stop() }
        _ = try await rig.session("10.99.0.10", worker: 0)
        let (modest, spi) = try await rig.session("10.99.0.11", worker: 0, key: 2, outbound: 0xbeef)
        if asks {
            var client = try Rig.client(spi, key: 2)
            rig.outer[0].put(Rig.outside(try client.seal(Packets.ipv4("10.99.0.11", "10.1.2.3", payload: Packets.udp(1, 2, octets: 32)))))
            let isHeard = await rig.wait { rig.control.counters(tunnel: modest)?.packetsIn == 1 }
            #expect(isHeard)
        }
        rig.inner[0].put(
            [MemoryWire.Packet](repeating: Self.shape.superPacket(Self.payload, size: 1300), count: 400) + [MemoryWire.Packet(octets: Self.small(0))])
        var sent: [MemoryWire.Packet] = []
        let isDone = await rig.wait {
            sent += rig.outer[0].take()
            return UInt64(sent.count) + rig.drops(.queueFull) == 400 * 48 + 1
        }
        #expect(isDone, "each packet left or was counted: \(sent.count) + \(rig.drops(.queueFull))")
        let place = try #require(sent.firstIndex { $0.octets.starts(with: [0, 0, 0xbe, 0xef]) })
        #expect(asks ? place < 40 * 48 : place == 400 * 48, "behind \(place) packets")
        #expect(rig.control.counters(tunnel: modest)?.drops == 0 && (rig.drops(.queueFull) > 0) == asks)
    }

    /// Nobody else is there to be unfair to: what the kernel's queue holds waits there, and nothing is dropped here.
    @Test func oneAloneLosesNothing() async throws {
        let rig = try Self.rig()
        defer { rig.stop() }
        let (id, _) = try await rig.session("10.99.0.10", worker: 0)
        rig.inner[0].put([MemoryWire.Packet](repeating: Self.shape.superPacket(Self.payload, size: 1300), count: 300))
        var count = 0
        let isDone = await rig.wait {
            count += rig.outer[0].take().count
            return count == 300 * 48
        }
        #expect(isDone && rig.drops(.queueFull) == 0)
        #expect(rig.control.counters(tunnel: id)?.packetsOut == 300 * 48)
    }

    /// Sessions that end while packets wait for them: those are counted, and the others go on.
    @Test func aSessionEndsWhilePacketsWaitForIt() async throws {
        let rig = try Self.rig()
        defer { rig.stop() }
        let (id, spi) = try await rig.session("10.99.0.10", worker: 0)
        _ = try await rig.session("10.99.0.11", worker: 0, key: 2, outbound: 0xbeef)
        let superPacket = Self.shape.superPacket(Self.payload, size: 1300)
        rig.inner[0].put((0..<200).flatMap { [superPacket, MemoryWire.Packet(octets: Self.small($0))] })
        _ = await rig.wait { rig.outer[0].sentCount > 48 }
        _ = await rig.control.retire(child: spi)
        _ = await rig.control.close(tunnel: id)
        var sent: [MemoryWire.Packet] = []
        let isDone = await rig.wait {
            sent += rig.outer[0].take()
            return sent.count { $0.octets.starts(with: [0, 0, 0xbe, 0xef]) } == 200
        }
        #expect(isDone)
        var client = try Rig.clientIn(0xbeef, key: 2)
        let opened = try sent.filter { $0.octets.starts(with: [0, 0, 0xbe, 0xef]) }.map { try client.open($0.octets) }
        #expect(opened == (0..<200).map(Self.small))
    }
}

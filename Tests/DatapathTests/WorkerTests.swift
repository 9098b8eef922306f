import Datapath
import ESP
import Foundation
import GatewayCrypto
import LinuxIO
import PacketFixtures
import Synchronization
import Testing
import Wire

@Suite(.serialized) struct WorkerTests {
    static let server = "10.1.2.3"
    static func up(_ address: String, _ number: Int, octets: Int = 32) -> [UInt8] {
        Packets.ipv4(address, server, identification: UInt16(truncatingIfNeeded: number), payload: Packets.udp(1, 2, octets: octets))
    }

    static func down(_ address: String, _ number: Int, octets: Int = 32, flags: UInt16 = 0) -> [UInt8] {
        Packets.ipv4(server, address, flags: flags, identification: UInt16(truncatingIfNeeded: number), payload: Packets.udp(2, 1, octets: octets))
    }

    @Test("RFC 7296 section 1.4.1, RAD-8: what a client sent before its Delete is delivered and counted, however much waits")
    func packetsBeforeADelete() async throws {
        let rig = try Rig(workers: 1)
        defer { rig.stop() }
        let (id, spi) = try await rig.session("10.99.0.10", worker: 0)
        var client = try Rig.client(spi)
        for number in 0..<700 { rig.outer[0].put(Rig.outside(try client.seal(Self.up("10.99.0.10", number, octets: number % 100)))) }
        let last = await rig.control.retire(child: spi)
        #expect(last.packetsIn == 700)
        #expect(rig.inner[0].take().count == 700)
        rig.outer[0].put(Rig.outside(try client.seal(Self.up("10.99.0.10", 700))))
        #expect(await rig.wait { rig.drops(.unknownSPI) == 1 })

        // The same where the whole session ends
        let again = try #require(rig.control.allocateSPI(worker: 0))
        try await rig.control.install(rig.child(id, again))
        var other = try Rig.client(again)
        for number in 0..<700 { rig.outer[0].put(Rig.outside(try other.seal(Self.up("10.99.0.10", number, octets: number % 100)))) }
        let counters = await rig.control.close(tunnel: id)
        #expect(counters.packetsIn == 1400 && rig.inner[0].take().count == 700)
    }

    /// Each session's home worker gets its packets wherever they arrive: its own ports, the other worker's, the door's.
    @Test(arguments: [0, 1])
    func packetsOnTheRightAndOnTheWrongWorker(home: Int) async throws {
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        let (id, spi) = try await rig.session("10.99.0.10", worker: home)
        #expect(spi.worker == home)
        var client = try Rig.client(spi)
        var octetsIn = 0
        var expected: Set<[UInt8]> = []
        for number in 0..<300 {
            let inner = Self.up("10.99.0.10", number, octets: number % 100)
            expected.insert(inner)
            octetsIn += inner.count
            let packet = Rig.outside(try client.seal(inner))
            switch number % 3 {
            case 0: rig.outer[home].put(packet)
            case 1: rig.outer[1 - home].put(packet)
            default: rig.doorNAT.put(packet)
            }
        }
        var delivered: [[UInt8]] = []
        _ = await rig.wait {
            delivered += rig.inner[home].take().map(\.octets)
            return delivered.count >= 300
        }
        #expect(Set(delivered) == expected && delivered.count == 300)
        #expect(rig.inner[1 - home].take().isEmpty)

        var octetsOut = 0
        for number in 0..<200 {
            let inner = Self.down("10.99.0.10", number, octets: number)
            octetsOut += inner.count
            rig.inner[number % 2].put(MemoryWire.Packet(octets: inner))
        }
        var clientIn = try Rig.clientIn()
        var sent: [MemoryWire.Packet] = []
        _ = await rig.wait {
            sent += rig.outer[home].take()
            return sent.count >= 200
        }
        #expect(sent.count == 200 && rig.outer[1 - home].take().isEmpty)
        var opened = 0
        for packet in sent {
            #expect(packet.peer == Rig.peer && packet.local == Rig.gateway)
            let inner = try clientIn.open(packet.octets)
            opened += inner.count
        }
        #expect(opened == octetsOut)

        let counters = try #require(rig.control.counters(tunnel: id))
        #expect(counters.packetsIn == 300 && counters.octetsIn == UInt64(octetsIn))
        #expect(counters.packetsOut == 200 && counters.octetsOut == UInt64(octetsOut))
        #expect(counters.drops == 0 && counters.lastInbound != nil)
        let status = try #require(rig.control.status(child: spi))
        #expect(status.worker == home && status.highestInbound == 300 && status.lastOutbound == 200 && status.outbound == 0xcafe)
        #expect(status.counters.octetsIn == UInt64(octetsIn))
        #expect(rig.control.dropCounters().values.allSatisfy { $0 == 0 })
    }

    @Test func segmentsOfOneReadGoTheirOwnWays() async throws {
        // architecture.md: UDP_GRO joins equal datagrams of one 5-tuple whatever their first word
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        let (_, first) = try await rig.session("10.99.0.10", worker: 0, key: 1)
        let (_, second) = try await rig.session("10.99.0.11", worker: 1, key: 2, outbound: 0xbeef)
        var one = try Rig.client(first, key: 1)
        var two = try Rig.client(second, key: 2)
        let a = try one.seal(Self.up("10.99.0.10", 1, octets: 200))
        let b = try two.seal(Self.up("10.99.0.11", 2, octets: 200))
        let ike = [0, 0, 0, 0] + [UInt8](repeating: 7, count: a.count - 4)
        let unknown = [0x99, 0, 0, 0x3f] + [UInt8](repeating: 7, count: a.count - 4)
        let last = try one.seal(Self.up("10.99.0.10", 3, octets: 40))
        for wire in [rig.outer[0], rig.outer[1], rig.doorNAT] {
            wire.put(Rig.outside(a + b + ike + unknown + last, segmentSize: a.count))
            let isSeen = await rig.wait { rig.visitors.seen.count == 1 }
            #expect(isSeen)
            rig.visitors.visits.withLock { $0 = [] }
        }
        let isDone = await rig.wait { rig.inner[0].sentCount == 2 && rig.inner[1].sentCount == 1 && rig.drops(.replayed) == 6 }
        #expect(isDone)
        #expect(rig.drops(.unknownSPI) == 3)
    }

    @Test func keepalivesAndNoise() async throws {
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        rig.outer[0].put(Rig.outside([0xff]))
        rig.doorNAT.put(Rig.outside([0xff]))
        rig.outer[1].put(Rig.outside([1, 2, 3]))
        rig.doorNAT.put(Rig.outside([1, 2, 3]))
        rig.outer[1].put(Rig.outside([0x77, 0, 0, 1, 0, 0, 0, 1]))
        rig.outer[1].put(Rig.outside([0x77, 0, 0, 0x20, 0, 0, 0, 1]))
        rig.inner[0].put(MemoryWire.Packet(octets: Self.down("10.99.7.7", 1)))
        rig.inner[0].put(MemoryWire.Packet(octets: [0x45, 0]))
        let isDone = await rig.wait {
            rig.drops(.keepalive) == 2 && rig.drops(.notESP) == 2 && rig.drops(.unknownSPI) == 2 && rig.drops(.noRoute) == 1
                && rig.drops(.malformed) == 1
        }
        #expect(isDone)
    }

    @Test func DP_3_piecesAndMessages() async throws {
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        _ = try await rig.session("10.99.0.10", worker: 1)
        // On the other worker's queue: forwarded, then cut at home
        rig.inner[0].put(MemoryWire.Packet(octets: Self.down("10.99.0.10", 1, octets: 6000)))
        rig.inner[0].put(MemoryWire.Packet(octets: Self.down("10.99.0.10", 2, octets: 1500, flags: 2)))
        var sent: [MemoryWire.Packet] = []
        var replies: [MemoryWire.Packet] = []
        let isDone = await rig.wait {
            sent += rig.outer[1].take()
            replies += rig.inner[1].take()
            return sent.count == 5 && replies.count == 1
        }
        #expect(isDone)
        var clientIn = try Rig.clientIn()
        var payload = 0
        for packet in sent {
            let inner = try clientIn.open(packet.octets)
            #expect(inner.count <= 1400)
            payload += inner.count - 20
        }
        #expect(payload == 6008)
        #expect(replies.first.map { Array($0.octets[12..<16]) } == Packets.address("10.99.0.1").octets)
        #expect(rig.drops(.tooBig) == 1)
        // Far more pieces than a batch of the rig has slots
        var settings = TunnelSettings()
        settings.ipMTU = 512
        _ = try await rig.session("10.99.0.20", worker: 1, key: 9, outbound: 0xd00d) { $0.settings = settings }
        for number in 0..<8 { rig.inner[1].put(MemoryWire.Packet(octets: Self.down("10.99.0.20", number, octets: 30_000))) }
        var pieces = 0
        let isCut = await rig.wait {
            pieces += rig.outer[1].take().count
            return pieces == 8 * 62
        }
        #expect(isCut, "\(pieces)")
        #expect(rig.drops(.noRoom) == 0)
    }

    @Test func sentIsCountedAndUnsentIsDropped() async throws {
        let rig = try Rig(workers: 1)
        defer { rig.stop() }
        let (id, _) = try await rig.session("10.99.0.10", worker: 0)
        rig.faults[0].roomPerSend.withLock { $0 = 3 }
        // Each longer than the one before, so that none joins a row
        rig.inner[0].put((0..<160).map { MemoryWire.Packet(octets: Self.down("10.99.0.10", $0, octets: 10 + $0 * 4)) })
        let isDone = await rig.wait { rig.inner[0].waiting == 0 && UInt64(rig.outer[0].sentCount) + rig.drops(.sendFailed) == 160 }
        #expect(isDone)
        let counters = try #require(rig.control.counters(tunnel: id))
        var clientIn = try Rig.clientIn()
        let opened = try rig.outer[0].take().map { try clientIn.open($0.octets).count }
        #expect(counters.packetsOut == UInt64(opened.count) && counters.octetsOut == UInt64(opened.reduce(0, +)))
        #expect(counters.packetsOut + counters.drops == 160 && counters.drops > 0)
    }

    @Test func aBrokenPortIsToldAndLeftAlone() async throws {
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        rig.faults[0].isBroken.withLock { $0 = true }
        var events = rig.control.events.makeAsyncIterator()
        let event = await events.next()
        guard case .failed(worker: 0, let reason)? = event else {
            Issue.record("\(String(describing: event))")
            return
        }
        #expect(reason.contains("a port that the test broke"))
        // The other worker goes on
        let (_, spi) = try await rig.session("10.99.0.10", worker: 1)
        var client = try Rig.client(spi)
        rig.outer[1].put(Rig.outside(try client.seal(Self.up("10.99.0.10", 1))))
        let isIn = await rig.wait { rig.inner[1].sentCount == 1 }
        #expect(isIn)
    }

    /// Issue "falls back by itself, and says so once": a device that no longer cuts rows of packets, in the middle of traffic.
    @Test func anOffloadThatIsLostIsToldOnce() async throws {
        let rig = try Rig(workers: 1, offloads: .all)
        defer { rig.stop() }
        rig.outer[0].offloads = []
        var events = rig.control.events.makeAsyncIterator()
        let event = await events.next()
        guard case .offloadLost(worker: 0, let loss)? = event else {
            Issue.record("\(String(describing: event))")
            return
        }
        #expect(loss.contains("UDP_SEGMENT"))
        // The next event is another one's: the loss is not told again
        rig.faults[0].isBroken.withLock { $0 = true }
        guard case .failed(worker: 0, _)? = await events.next() else {
            Issue.record("told twice")
            return
        }
    }

    @Test func threat_P35_theMoveIsTold() async throws {
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        let (id, spi) = try await rig.session("10.99.0.10", worker: 0)
        var client = try Rig.client(spi)
        var packet = Rig.outside(try client.seal(Self.up("10.99.0.10", 1)))
        packet.peer = Endpoint(Packets.address("203.0.113.5"), port: 7)
        rig.outer[1].put(packet)
        var events = rig.control.events.makeAsyncIterator()
        let event = await events.next()
        #expect(event == .moved(id, packet.peer))
        rig.inner[0].put(MemoryWire.Packet(octets: Self.down("10.99.0.10", 1)))
        var sent: [MemoryWire.Packet] = []
        _ = await rig.wait {
            sent += rig.outer[0].take()
            return sent.count == 1
        }
        #expect(sent.first?.peer == packet.peer)
        // MOBIKE moves it on
        let next = Endpoint(Packets.address("203.0.113.6"), port: 8)
        rig.control.move(tunnel: id, to: next, from: nil)
        rig.inner[0].put(MemoryWire.Packet(octets: Self.down("10.99.0.10", 2)))
        _ = await rig.wait {
            sent += rig.outer[0].take()
            return sent.count == 2
        }
        #expect(sent.last?.peer == next)
    }

    @Test func threat_P27_noVectorTwiceOverThreads() async throws {
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        for number in 0..<8 {
            _ = try await rig.session("10.99.0.\(number + 10)", worker: number % 2, key: UInt8(number + 1), outbound: UInt32(0x100 + number))
        }
        let total = 8 * 1000
        for number in 0..<total {
            rig.inner[(number / 8) % 2].put(MemoryWire.Packet(octets: Self.down("10.99.0.\(number % 8 + 10)", number)))
            if number % 64 == 63 { try? await Task.sleep(for: .milliseconds(1)) }
        }
        var sent: [MemoryWire.Packet] = []
        let isDone = await rig.wait {
            sent += rig.outer[0].take() + rig.outer[1].take()
            return UInt64(sent.count) + rig.drops(.ringFull) >= total
        }
        #expect(isDone && sent.count > total / 2)
        // SPI and IV: a key goes with its SPI
        #expect(Set(sent.map { Array($0.octets[0..<4] + $0.octets[8..<16]) }).count == sent.count)
    }
}

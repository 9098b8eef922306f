import Datapath
import ESP
import Foundation
import LinuxIO
import PacketFixtures
import Synchronization
import Testing
import Wire

/// Sessions with a Child SA on each of several workers, RFC 9611.
@Suite(.serialized) struct SpreadTests {
    static func twin(_ rig: Rig, _ id: TunnelID, _ spi: LocalSPI, key: UInt8, outbound: UInt32, supersedes: LocalSPI? = nil) -> ChildSASpec {
        let all = [Selectors.Entry(.all(.ipv4)), Selectors.Entry(.all(.ipv6))]
        let suite = Rig.suite
        return ChildSASpec(
            tunnel: id, inbound: spi, outbound: outbound, suite: suite,
            keys: ChildSAKeys(
                inboundEncryption: Rig.key(suite, key), inboundIntegrity: Rig.integrity(suite, key),
                outboundEncryption: Rig.key(suite, key ^ 0x80), outboundIntegrity: Rig.integrity(suite, key ^ 0x80)),
            selectors: Selectors(local: all, remote: all), supersedes: supersedes, isPerResource: true)
    }

    /// Adds a Child SA on a worker of its own.
    static func add(_ rig: Rig, _ id: TunnelID, key: UInt8, outbound: UInt32) async throws -> LocalSPI {
        let worker = try #require(rig.control.workerForResource(of: id))
        let spi = try #require(rig.control.allocateSPI(worker: worker))
        try await rig.control.install(twin(rig, id, spi, key: key, outbound: outbound))
        return spi
    }

    /// The client sends one packet by a Child SA; it comes out at that worker.
    static func send(_ rig: Rig, _ spi: LocalSPI, key: UInt8, _ address: String = "10.99.0.10") async throws {
        var client = try Rig.client(spi, key: key)
        rig.outer[spi.worker].put(Rig.outside(try client.seal(WorkerTests.up(address, 1))))
        let isIn = await rig.wait { rig.inner[spi.worker].sentCount == 1 }
        #expect(isIn)
        _ = rig.inner[spi.worker].take()
    }

    /// By which worker a packet leaves that comes in on each worker's queue.
    static func ways(_ rig: Rig, _ address: String = "10.99.0.10") async -> [Int] {
        var ways: [Int] = []
        for wire in rig.inner {
            wire.put(MemoryWire.Packet(octets: WorkerTests.down(address, ways.count)))
            var way: Int?
            _ = await rig.wait {
                way = rig.outer.firstIndex { !$0.take().isEmpty }
                return way != nil
            }
            ways.append(way ?? -1)
        }
        return ways
    }

    @Test func eachWorkerSendsByItsOwn() async throws {
        let rig = try Rig(workers: 3)
        defer { rig.stop() }
        let (id, home) = try await rig.session("10.99.0.10", worker: 1)
        _ = try await rig.session("10.99.0.11", worker: 0, key: 9, outbound: 0xbeef)
        #expect(await Self.ways(rig) == [1, 1, 1])
        // The one with the fewest sessions first
        let second = try await Self.add(rig, id, key: 2, outbound: 0xd002)
        #expect(second.worker == 2)
        // Not before the client sends by it: it may not have the answer yet
        #expect(await Self.ways(rig) == [1, 1, 1])
        try await Self.send(rig, second, key: 2)
        let isServed = await rig.wait { rig.control.route(of: id, on: 2) == 2 }
        #expect(isServed)
        #expect(await Self.ways(rig) == [1, 1, 2])
        let third = try await Self.add(rig, id, key: 3, outbound: 0xd003)
        #expect(third.worker == 0)
        try await Self.send(rig, third, key: 3)
        _ = await rig.wait { rig.control.route(of: id, on: 0) == 0 }
        #expect(await Self.ways(rig) == [0, 1, 2])
        #expect(await Self.ways(rig, "10.99.0.11") == [0, 0, 0])
        #expect(rig.control.workerForResource(of: id) == nil)
        #expect(rig.control.workerStatus.map(\.sessions) == [2, 1, 1])
        // Nobody has moved
        #expect(rig.control.workerStatus.allSatisfy { $0.shed == 0 && $0.taken == 0 })
        // Counted as one session
        let counters = try #require(rig.control.counters(tunnel: id))
        #expect(counters.packetsIn == 2 && counters.packetsOut == 12 && counters.drops == 0)

        // Each goes on its own; what its worker handles leaves by the home
        _ = await rig.control.retire(child: second)
        #expect(await Self.ways(rig) == [0, 1, 1])
        #expect(rig.control.workerForResource(of: id) == 2)
        // And where the home's goes, another is the home
        _ = await rig.control.retire(child: home)
        #expect(await Self.ways(rig) == [0, 0, 0])
        let isLeft = await rig.wait { rig.control.workerStatus.map(\.sessions) == [2, 0, 0] }
        #expect(isLeft)
        let last = await rig.control.close(tunnel: id)
        #expect(last.packetsIn == 2 && last.packetsOut == 18 && last.drops == 0)
        #expect(rig.control.gauges.tunnels == 1 && rig.control.gauges.childSAs == 1 && rig.control.gauges.spis == 1)
        #expect(rig.control.dropCounters().filter { $0.value != 0 } == [:])
    }

    @Test func aRekeyStaysWithItsWorker() async throws {
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        let (id, home) = try await rig.session("10.99.0.10", worker: 0)
        let second = try await Self.add(rig, id, key: 2, outbound: 0xd002)
        try await Self.send(rig, second, key: 2)
        _ = await rig.wait { rig.control.route(of: id, on: 1) == 1 }
        let now = Instant(nanoseconds: 5_000_000_000)
        #expect(rig.control.worker(of: id, replacing: second, at: now) == 1 && rig.control.worker(of: id, replacing: home, at: now) == 0)
        let next = try #require(rig.control.allocateSPI(worker: 1))
        try await rig.control.install(Self.twin(rig, id, next, key: 4, outbound: 0xd004, supersedes: second))
        try await Self.send(rig, next, key: 4)
        _ = await rig.control.retire(child: second)
        #expect(await Self.ways(rig) == [0, 1])
        #expect(rig.control.status(child: next)?.counters.packetsOut == 1)
        // The first one's is not the place of another's
        let first = try #require(rig.control.allocateSPI(worker: 0))
        try await rig.control.install(MovingTests.successor(rig, id, first, of: home, key: 5, outbound: 0xd005))
        try await Self.send(rig, first, key: 5)
        _ = await rig.control.retire(child: home)
        #expect(await Self.ways(rig) == [0, 1])
        #expect(rig.control.dropCounters().filter { $0.value != 0 } == [:])
    }

    /// Both directions, all queues, while Child SAs come and go: nothing is lost, doubled or miscounted.
    @Test func underTraffic() async throws {
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        let (id, _) = try await rig.session("10.99.0.10", worker: 0)
        let total = 4000
        let feeding = Task.detached {
            for number in 0..<total {
                rig.inner[number % 2].put(MemoryWire.Packet(octets: WorkerTests.down("10.99.0.10", number, octets: number % 300)))
                while rig.inner.contains(where: { $0.waiting > 32 }) { try? await Task.sleep(for: .microseconds(100)) }
            }
        }
        var keys: [(spi: LocalSPI, outbound: UInt32, key: UInt8)] = []
        for round in 0..<4 {
            let (key, outbound) = (UInt8(20 + round), UInt32(0xd100 + round))
            let spi = try await Self.add(rig, id, key: key, outbound: outbound)
            keys.append((spi, outbound, key))
            try await Self.send(rig, spi, key: key)
            let before = rig.outer[1].sentCount
            _ = await rig.wait { rig.control.route(of: id, on: 1) == 1 && rig.outer[1].sentCount > before + 50 }
            _ = await rig.control.retire(child: spi)
            // Its place is given up before the next one has the same
            _ = await rig.wait { rig.control.workerStatus[1].sessions == 0 }
        }
        await feeding.value
        let isOut = await rig.wait { rig.outer[0].sentCount + rig.outer[1].sentCount == total }
        #expect(isOut)
        var opened: Set<[UInt8]> = []
        var byHome = try Rig.clientIn()
        for packet in rig.outer[0].take() { opened.insert(try byHome.open(packet.octets)) }
        let others = rig.outer[1].take().map(\.octets)
        #expect(others.count > 100)
        for (_, outbound, key) in keys {
            var own = try Rig.clientIn(outbound, key: key)
            for packet in others where packet.prefix(4).reduce(0, { $0 << 8 | UInt32($1) }) == outbound { opened.insert(try own.open(packet)) }
        }
        #expect(opened.count == total)
        let counters = try #require(rig.control.counters(tunnel: id))
        #expect(counters.packetsOut == UInt64(total) && counters.packetsIn == 4 && counters.drops == 0)
        #expect(counters.octetsOut == UInt64(opened.reduce(0) { $0 + $1.count }))
        #expect(rig.control.dropCounters().filter { $0.value != 0 } == [:])
    }

    @Test func rowsOutOfReachLeadNowhere() {
        let routes = SpreadRoutes(rows: 2, workers: 3)
        let target = RouteTarget(worker: 2, tunnel: 5, generation: 7)
        routes.set(target, row: 1, worker: 2)
        for (row, worker) in [(2, 0), (-1, 0), (0, 3), (0, -1)] { routes.set(target, row: row, worker: worker) }
        #expect(routes.target(row: 1, worker: 2) == target && RouteTarget(row: 1).row == 1 && target.row == nil)
        for (row, worker) in [(0, 0), (1, 1), (2, 0), (-1, 0), (0, 3)] {
            #expect(routes.target(row: row, worker: worker).generation == 0)
        }
    }
}

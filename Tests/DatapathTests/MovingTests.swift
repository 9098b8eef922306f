import Datapath
import ESP
import Foundation
import LinuxIO
import PacketFixtures
import Synchronization
import Testing
import Wire

/// A session goes to another worker when its Child SA is replaced.
@Suite(.serialized) struct MovingTests {
    static func successor(_ rig: Rig, _ id: TunnelID, _ spi: LocalSPI, of old: LocalSPI?, key: UInt8 = 2, outbound: UInt32 = 0xd00d) -> ChildSASpec {
        let spec = rig.child(id, spi, key: key, outbound: outbound)
        let (suite, selectors) = (spec.suite, spec.selectors)
        return ChildSASpec(
            tunnel: id, inbound: spi, outbound: outbound, suite: suite,
            keys: ChildSAKeys(
                inboundEncryption: Rig.key(suite, key), inboundIntegrity: Rig.integrity(suite, key),
                outboundEncryption: Rig.key(suite, key ^ 0x80), outboundIntegrity: Rig.integrity(suite, key ^ 0x80)),
            selectors: selectors, supersedes: old)
    }

    /// Weighs the workers before and after traffic of two sessions of worker 0.
    static func heat(_ rig: Rig, _ clients: [(address: String, spi: LocalSPI, key: UInt8)]) async throws {
        rig.control.weigh(at: Instant(nanoseconds: 1_000_000_000))
        let before = rig.inner[0].sentCount
        for client in clients {
            var sa = try Rig.client(client.spi, key: client.key)
            for number in 0..<40 { rig.outer[0].put(Rig.outside(try sa.seal(WorkerTests.up(client.address, number, octets: 1000)))) }
        }
        let isHot = await rig.wait { rig.inner[0].sentCount == before + 40 * clients.count }
        #expect(isHot)
        _ = rig.inner[0].take()
        rig.control.weigh(at: Instant(nanoseconds: 1_002_000_000))
    }

    @Test func aHotWorkerShedsOneOfTwo() async throws {
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        let (one, first) = try await rig.session("10.99.0.10", worker: 0, key: 1)
        let (two, second) = try await rig.session("10.99.0.11", worker: 0, key: 3, outbound: 0xbeef)
        let now = Instant(nanoseconds: 1_003_000_000)
        // Nothing was weighed
        #expect(rig.control.worker(of: one, replacing: first, at: now) == 0)
        try await Self.heat(rig, [("10.99.0.10", first, 1), ("10.99.0.11", second, 3)])
        #expect(rig.control.worker(of: one, replacing: first, at: now) == 1)
        // Now they are level, and the session that goes has had its turn
        #expect(rig.control.worker(of: two, replacing: second, at: now) == 0)
        #expect(rig.control.worker(of: one, replacing: first, at: now) == 0)
        #expect(rig.control.worker(of: one) == 0 && rig.control.worker(of: two) == 0)
        let loads = rig.control.workerStatus.map(\.load)
        #expect(loads == [WorkerLoad(octets: 80 * 1028, packets: 80), WorkerLoad()])
        _ = await rig.control.close(tunnel: two)
        #expect(rig.control.worker(of: two) == nil && rig.control.worker(of: two, replacing: second, at: now) == nil)
    }

    @Test func aSessionWithFurtherChildSAsStays() async throws {
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        let (one, first) = try await rig.session("10.99.0.10", worker: 0, key: 1)
        let (_, second) = try await rig.session("10.99.0.11", worker: 0, key: 3, outbound: 0xbeef)
        let further = try #require(rig.control.allocateSPI(worker: 0))
        try await rig.control.install(rig.child(one, further, key: 5, outbound: 0xfeed))
        try await Self.heat(rig, [("10.99.0.10", first, 1), ("10.99.0.11", second, 3)])
        #expect(rig.control.worker(of: one, replacing: first, at: Instant(nanoseconds: 1_003_000_000)) == 0)
    }

    enum Change: CaseIterable, Sendable {
        /// The peer sends by the new one: the usual way.
        case heard
        /// The peer deletes the old one before it has sent anything by the new one.
        case deleted
        /// The new one is ours to use at once: we asked for it, and it was agreed.
        case atOnce
    }

    /// The client's two ends towards us.
    struct Ends: ~Copyable, Sendable {
        var before: OutboundSA
        var after: OutboundSA
        var isAfter = false

        mutating func seal(_ packet: [UInt8]) throws -> [UInt8] { isAfter ? try after.seal(packet) : try before.seal(packet) }
    }

    /// Under traffic of both directions on all queues: every packet is delivered once, and counted once.
    @Test(arguments: Change.allCases)
    func underTraffic(change: Change) async throws {
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        let (id, old) = try await rig.session("10.99.0.10", worker: 0)
        let new = try #require(rig.control.allocateSPI(worker: 1))
        let ends = Mutex(Ends(before: try Rig.client(old), after: try Rig.client(new, key: 2)))
        let total = 6000
        let ups = change == .deleted ? total / 3 : total
        let feeding = Task.detached {
            for number in 0..<total {
                if number < ups {
                    let up = WorkerTests.up("10.99.0.10", number, octets: number % 200)
                    rig.outer[number % 2].put(Rig.outside(try ends.withLock { try $0.seal(up) }))
                }
                rig.inner[number / 2 % 2].put(MemoryWire.Packet(octets: WorkerTests.down("10.99.0.10", number, octets: number % 300)))
                // What both queues hold fits the rings between the workers
                while rig.outer.contains(where: { $0.waiting > 32 }) || rig.inner.contains(where: { $0.waiting > 32 }) {
                    try? await Task.sleep(for: .microseconds(100))
                }
            }
        }
        _ = await rig.wait { rig.outer[0].sentCount > total / 4 }
        try await rig.control.install(Self.successor(rig, id, new, of: change == .atOnce ? nil : old))
        // Not before the peer is heard by it, where that is what we wait for
        #expect(rig.control.workerStatus.map(\.shed) == (change == .atOnce ? [1, 0] : [0, 0]))
        if change == .deleted {
            _ = await rig.wait { rig.inner[0].sentCount + rig.inner[1].sentCount == ups }
        } else {
            ends.withLock { $0.isAfter = true }
            try await feeding.value
        }
        let isIn = await rig.wait { rig.inner[0].sentCount + rig.inner[1].sentCount == ups }
        #expect(isIn)
        let retired = await rig.control.retire(child: old)
        #expect(retired.packetsIn > 0 && retired.packetsOut > 0)
        try await feeding.value
        for number in 0..<100 {
            rig.inner[number % 2].put(MemoryWire.Packet(octets: WorkerTests.down("10.99.0.10", total + number)))
        }
        let isOut = await rig.wait { rig.outer[0].sentCount + rig.outer[1].sentCount == total + 100 }
        #expect(isOut)

        var octets = 0
        for number in 0..<ups { octets += WorkerTests.up("10.99.0.10", number, octets: number % 200).count }
        let arrived = rig.inner.flatMap { $0.take() }.map(\.octets)
        #expect(Set(arrived).count == ups && arrived.reduce(0) { $0 + $1.count } == octets)
        var (opened, octetsOut): (Set<[UInt8]>, Int) = ([], 0)
        var byOld = try Rig.clientIn()
        for packet in rig.outer[0].take() {
            let inner = try byOld.open(packet.octets)
            octetsOut += inner.count
            opened.insert(inner)
        }
        #expect(UInt64(opened.count) == retired.packetsOut)
        var byNew = try Rig.clientIn(0xd00d, key: 2)
        for packet in rig.outer[1].take() {
            let inner = try byNew.open(packet.octets)
            octetsOut += inner.count
            opened.insert(inner)
        }
        #expect(opened.count == total + 100)
        let status = try #require(rig.control.status(child: new))
        #expect(status.worker == 1 && retired.packetsOut + status.counters.packetsOut == UInt64(total + 100))
        #expect(retired.packetsIn + status.counters.packetsIn == UInt64(ups))
        let isLeft = await rig.wait { rig.control.workerStatus.map(\.sessions) == [0, 1] }
        #expect(isLeft)
        let counters = try #require(rig.control.counters(tunnel: id))
        #expect(counters.packetsIn == UInt64(ups) && counters.octetsIn == UInt64(octets))
        #expect(counters.packetsOut == UInt64(total + 100) && counters.octetsOut == UInt64(octetsOut) && counters.drops == 0)
        #expect(rig.control.dropCounters().filter { $0.value != 0 } == [:])
        #expect(rig.control.workerStatus.map(\.shed) == [1, 0] && rig.control.workerStatus.map(\.taken) == [0, 1])
        let last = await rig.control.close(tunnel: id)
        #expect(last == counters)
        Self.expectNothingLeft(rig)
    }

    static func expectNothingLeft(_ rig: Rig) {
        let gauges = rig.control.gauges
        #expect(gauges.tunnels == 0 && gauges.childSAs == 0 && gauges.spis == 0)
        #expect(rig.control.workerStatus.allSatisfy { $0.sessions == 0 })
    }

    @Test func aSuccessorThatNeverCarriedLeavesEverythingWhereItWas() async throws {
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        let (id, old) = try await rig.session("10.99.0.10", worker: 0)
        let new = try #require(rig.control.allocateSPI(worker: 1))
        try await rig.control.install(Self.successor(rig, id, new, of: old))
        #expect(rig.control.worker(of: id) == 1 && rig.control.workerStatus.map(\.sessions) == [1, 1])
        _ = await rig.control.retire(child: new)
        let isLeft = await rig.wait { rig.control.workerStatus.map(\.sessions) == [1, 0] }
        #expect(isLeft && rig.control.worker(of: id) == 0)
        rig.inner[1].put(MemoryWire.Packet(octets: WorkerTests.down("10.99.0.10", 1)))
        let isSent = await rig.wait { rig.outer[0].sentCount == 1 }
        #expect(isSent && rig.control.workerStatus.map(\.shed) == [0, 0])
    }

    @Test func aSessionThatEndsInBetweenIsGoneEverywhere() async throws {
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        let (id, old) = try await rig.session("10.99.0.10", worker: 0)
        var client = try Rig.client(old)
        rig.outer[0].put(Rig.outside(try client.seal(WorkerTests.up("10.99.0.10", 1))))
        _ = await rig.wait { rig.inner[0].sentCount == 1 }
        let new = try #require(rig.control.allocateSPI(worker: 1))
        try await rig.control.install(Self.successor(rig, id, new, of: old))
        var next = try Rig.client(new, key: 2)
        rig.outer[1].put(Rig.outside(try next.seal(WorkerTests.up("10.99.0.10", 2))))
        _ = await rig.wait { rig.inner[1].sentCount == 1 }
        let counters = await rig.control.close(tunnel: id)
        #expect(counters.packetsIn == 2)
        Self.expectNothingLeft(rig)
        // Its address is free, on any worker
        _ = try await rig.session("10.99.0.10", worker: 0, key: 9)
        rig.inner[0].put(MemoryWire.Packet(octets: WorkerTests.down("10.99.0.10", 3)))
        let isSent = await rig.wait { rig.outer[0].sentCount == 1 }
        #expect(isSent)
    }

    @Test func aWorkerWithoutRoomRefusesAndNothingIsLost() async throws {
        let rig = try Rig(workers: 2, tunnels: 1)
        defer { rig.stop() }
        let (id, old) = try await rig.session("10.99.0.10", worker: 0)
        _ = try await rig.session("10.99.0.11", worker: 1, key: 3, outbound: 0xbeef)
        let new = try #require(rig.control.allocateSPI(worker: 1))
        await #expect(throws: DatapathError.noRoom) { try await rig.control.install(Self.successor(rig, id, new, of: old)) }
        rig.control.release(new)
        #expect(rig.control.gauges.childSAs == 2 && rig.control.gauges.spis == 2 && rig.control.worker(of: id) == 0)
    }

    @Test func theNewWorkerKnowsWhereThePeerIsNow() async throws {
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        let (id, old) = try await rig.session("10.99.0.10", worker: 0)
        var client = try Rig.client(old)
        let elsewhere = Endpoint(Packets.address("203.0.113.9"), port: 9999)
        var moved = Rig.outside(try client.seal(WorkerTests.up("10.99.0.10", 1)))
        moved.peer = elsewhere
        rig.outer[0].put(moved)
        _ = await rig.wait { rig.inner[0].sentCount == 1 }
        var told: TunnelID?
        for await event in rig.control.events {
            if case .moved(let id, elsewhere) = event { told = id }
            break
        }
        #expect(told == id)
        let new = try #require(rig.control.allocateSPI(worker: 1))
        try await rig.control.install(Self.successor(rig, id, new, of: nil))
        rig.inner[0].put(MemoryWire.Packet(octets: WorkerTests.down("10.99.0.10", 1)))
        let isSent = await rig.wait { rig.outer[1].sentCount == 1 }
        #expect(isSent && rig.outer[1].take().map(\.peer) == [elsewhere])
        _ = await rig.control.retire(child: old)
        // The place that gave the session its name has gone; it is the same session still
        _ = await rig.wait { rig.control.workerStatus.map(\.sessions) == [0, 1] }
        var next = try Rig.client(new, key: 2)
        rig.outer[1].put(Rig.outside(try next.seal(WorkerTests.up("10.99.0.10", 2))))
        for await event in rig.control.events {
            #expect(event == .moved(id, Rig.peer))
            break
        }
    }
}

import Datapath
import ESP
import Foundation
import GatewayCrypto
import LinuxIO
import PacketFixtures
import Synchronization
import Testing
import Wire

@Suite(.serialized) struct ControlTests {
    @Test func whatIsRefused() async throws {
        let rig = try Rig(workers: 2, tunnels: 2, sas: 2 * Tunnel.maximumChildSAs)
        defer { rig.stop() }
        let (id, spi) = try await rig.session("10.99.0.10", worker: 0)
        func spec(_ address: String, worker: Int = 0, interface: String = "priv0") -> TunnelSpec {
            TunnelSpec(
                worker: worker, interface: interface, innerAddresses: [Packets.address(address)], settings: TunnelSettings(), peer: Rig.peer,
                local: Rig.gateway)
        }
        // I2: one owner per address
        #expect(rig.control.open(tunnel: spec("10.99.0.10", worker: 1)) == nil)
        #expect(rig.control.open(tunnel: spec("10.99.0.11", interface: "priv9")) == nil)
        #expect(rig.control.open(tunnel: spec("10.99.0.11", worker: 7)) == nil)
        #expect(rig.control.homeWorker() == 1)
        // Another interface is another network
        #expect(rig.control.open(tunnel: spec("10.99.0.10", interface: "priv1")) != nil)
        #expect(rig.control.open(tunnel: spec("10.99.0.12")) == nil)
        #expect(rig.control.gauges.tunnels == 2)

        await #expect(throws: DatapathError.noSuchSPI) { try await rig.control.install(rig.child(id, spi)) }
        let other = try #require(rig.control.allocateSPI(worker: 1))
        for number in 0..<Tunnel.maximumChildSAs - 1 {
            let next = try #require(rig.control.allocateSPI(worker: 0))
            try await rig.control.install(rig.child(id, next, key: UInt8(number + 2), outbound: UInt32(number + 300)))
        }
        let excess = try #require(rig.control.allocateSPI(worker: 0))
        await #expect(throws: DatapathError.tooManyChildSAs) { try await rig.control.install(rig.child(id, excess)) }
        rig.control.release(excess)
        rig.control.release(other)
        #expect(rig.control.gauges.childSAs == Tunnel.maximumChildSAs && rig.control.gauges.spis == Tunnel.maximumChildSAs)
        let counters = await rig.control.close(tunnel: id)
        #expect(counters == TunnelCounters())
        #expect(rig.control.gauges.childSAs == 0 && rig.control.gauges.spis == 0 && rig.control.gauges.tunnels == 1)
        #expect(rig.control.counters(tunnel: id) == nil && rig.control.status(child: spi) == nil)
        let late = try #require(rig.control.allocateSPI(worker: 0))
        await #expect(throws: DatapathError.noSuchTunnel) { try await rig.control.install(rig.child(id, late)) }
    }

    @Test func retireGivesCountersAndTheSlotBack() async throws {
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        let (id, spi) = try await rig.session("10.99.0.10", worker: 1)
        var client = try Rig.client(spi)
        let inner = WorkerTests.up("10.99.0.10", 1)
        for _ in 0..<5 { rig.outer[1].put(Rig.outside(try client.seal(inner))) }
        _ = await rig.wait { rig.inner[1].sentCount == 5 }
        let counters = await rig.control.retire(child: spi)
        #expect(counters.packetsIn == 5 && counters.octetsIn == UInt64(5 * inner.count))
        #expect(rig.control.status(child: spi) == nil && rig.control.gauges.spis == 0)
        rig.outer[1].put(Rig.outside(try client.seal(inner)))
        let isUnknown = await rig.wait { rig.drops(.unknownSPI) == 1 }
        #expect(isUnknown)
        // The session counts on
        #expect(rig.control.counters(tunnel: id)?.packetsIn == 5)
        let again = await rig.control.retire(child: spi)
        #expect(again == SACounters())
    }

    @Test func threat_P30_anAddressChangesOwnerUnderTraffic() async throws {
        let rig = try Rig(workers: 2)
        defer { rig.stop() }
        let isOver = Mutex(false)
        let packet = MemoryWire.Packet(octets: WorkerTests.down("10.99.0.10", 1))
        let traffic = Task.detached {
            while !isOver.withLock({ $0 }) {
                for wire in rig.inner where wire.waiting < 64 { wire.put((0..<8).map { _ in packet }) }
                try? await Task.sleep(for: .microseconds(200))
            }
        }
        var sentTotal = 0
        for round in 0..<40 {
            let outbound = UInt32(0x1000 + round)
            let (id, _) = try await rig.session("10.99.0.10", worker: round % 2, key: UInt8(round + 1), outbound: outbound)
            var sent: [MemoryWire.Packet] = []
            let isFlowing = await rig.wait {
                sent += rig.outer.flatMap { $0.take() }
                return sent.count > 20
            }
            #expect(isFlowing)
            let counters = await rig.control.close(tunnel: id)
            sent += rig.outer.flatMap { $0.take() }
            #expect(counters.packetsOut == UInt64(sent.count))
            sentTotal += sent.count
            // All of this round by this round's SA, though the one before had the same address
            let strangers = sent.filter { Array($0.octets[..<4]) != [0, 0, UInt8(outbound >> 8), UInt8(outbound & 0xff)] }
            #expect(strangers.isEmpty, "round \(round): \(strangers.count) packets")
            try? await Task.sleep(for: .milliseconds(2))
            #expect(rig.outer.allSatisfy { $0.sentCount == 0 })
        }
        isOver.withLock { $0 = true }
        await traffic.value
        #expect(sentTotal > 800)
    }

    @Test func aGracePeriodOutlastsEveryPassUnderWay() {
        let counters = [PassCounter(), PassCounter()]
        var idle = GracePeriod(counters)
        let isOver = idle.isOver()
        #expect(isOver)
        counters[0].begin()
        var period = GracePeriod(counters)
        let first = period.isOver()
        counters[1].begin()
        let second = period.isOver()
        counters[0].end()
        let third = period.isOver()
        #expect(!first && !second && third)
        var next = GracePeriod(counters)
        counters[1].end()
        counters[1].begin()
        let fourth = next.isOver()
        #expect(fourth)
    }

    @Test func stopEndsAllWaiting() async throws {
        let rig = try Rig(workers: 1)
        let (id, _) = try await rig.session("10.99.0.10", worker: 0)
        rig.stop()
        #expect(
            rig.control.open(
                tunnel: TunnelSpec(
                    worker: 0, interface: "priv0", innerAddresses: [Packets.address("10.99.0.11")], settings: TunnelSettings(), peer: Rig.peer,
                    local: Rig.gateway)) == nil)
        let spi = try #require(rig.control.allocateSPI(worker: 0))
        await #expect(throws: DatapathError.stopped) { try await rig.control.install(rig.child(id, spi)) }
        let counters = await rig.control.close(tunnel: id)
        #expect(counters.packetsIn == 0)
        var events = rig.control.events.makeAsyncIterator()
        let none = await events.next()
        #expect(none == nil)
    }

    @Test func theDoor() async throws {
        let rig = try Rig(workers: 2, echoes: true)
        defer { rig.stop() }
        rig.doorIKE.put(MemoryWire.Packet(octets: [1, 2, 3], peer: Rig.peer, local: Rig.ike))
        rig.doorNAT.put(Rig.outside([0, 0, 0, 0, 4, 5]))
        // Hashed to a worker's socket: the kernel may do that when it joins datagrams
        rig.outer[1].put(Rig.outside([0, 0, 0, 0, 6, 7, 8, 9]))
        let isSeen = await rig.wait { rig.visitors.seen.count == 3 && rig.doorNAT.sentCount == 2 && rig.doorIKE.sentCount == 1 }
        #expect(isSeen)
        #expect(Set(rig.visitors.seen.map(\.octets)) == [[1, 2, 3], [4, 5], [6, 7, 8, 9]])
        #expect(rig.doorIKE.take().map(\.octets) == [[1, 2, 3]])
        #expect(Set(rig.doorNAT.take().map(\.octets)) == [[0, 0, 0, 0, 4, 5], [0, 0, 0, 0, 6, 7, 8, 9]])
        for (local, octets) in [(Rig.ike, [9]), (Rig.gateway, [8])] as [(Endpoint, [UInt8])] {
            #expect(rig.outbox.put(Outbox.Message(octets: octets, local: local, remote: Rig.peer)))
        }
        #expect(rig.outbox.put(Outbox.Message(octets: [0xff], local: Rig.gateway, remote: Rig.peer, isBare: true)))
        rig.outbox.want()
        let isSent = await rig.wait { rig.doorNAT.sentCount == 2 && rig.doorIKE.sentCount == 1 && rig.visitors.wakes.withLock { $0 } == 1 }
        #expect(isSent)
        #expect(rig.doorIKE.take() == [MemoryWire.Packet(octets: [9], peer: Rig.peer, local: Rig.ike)])
        // A NAT keepalive goes without the non-ESP marker (RFC 3948 section 2.3).
        #expect(
            rig.doorNAT.take() == [
                MemoryWire.Packet(octets: [0, 0, 0, 0, 8], peer: Rig.peer, local: Rig.gateway),
                MemoryWire.Packet(octets: [0xff], peer: Rig.peer, local: Rig.gateway),
            ])
        #expect(rig.visitors.drains.withLock { $0 } > 0)
    }
}

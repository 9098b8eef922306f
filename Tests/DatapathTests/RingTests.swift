import Datapath
import ESP
import Foundation
import GatewayCrypto
import LinuxIO
import PacketFixtures
import Synchronization
import Testing
import Wire

@Suite struct RingTests {
    final class Token: Sendable {
        static let alive = Atomic<Int>(0)
        let number: Int
        init(_ number: Int) {
            self.number = number
            Self.alive.add(1, ordering: .relaxed)
        }
        deinit { Self.alive.subtract(1, ordering: .relaxed) }
    }

    /// At the end the workers go first: the door still looks into the rings between them.
    @Test func theDoorKeepsTheRings() {
        let control = Control(
            interfaces: ["priv0"], bells: [Bell {}, Bell {}], tunnelsPerWorker: 1, childSAsPerWorker: 1, entropy: SystemEntropy())
        weak var memory: RingMemory?
        func door() -> Door<MemoryPort> {
            let rings = RingMemory(workers: 1, ringSize: 4096)
            memory = rings
            return Door(
                ports: PortRow<MemoryPort>(capacity: 1), outer: OuterPorts(locals: [Rig.ike]), marked: [false], receiver: Visitors(),
                control: control, outbox: Outbox(), board: CounterBoard(tunnelCapacity: 1, saCapacity: 1), rings: rings, batchSize: 4)
        }
        var lasting = door()
        let isKept = memory != nil
        #expect(isKept)
        _ = lasting.pass(now: Instant(nanoseconds: 1))
    }

    @Test func elementsComeInOrderAndNoneIsLost() throws {
        do {
            let ring = Ring<Token>(capacity: 64)
            let producer = try PinnedThread(name: "producer") {
                for number in 0..<20_000 {
                    var next: Token? = Token(number)
                    while let token = next.take() {
                        next = ring.push(token)
                        if next != nil { usleep(10) }
                    }
                }
            }
            var expected = 0
            while expected < 20_000 {
                guard let token = ring.pop() else {
                    usleep(10)
                    continue
                }
                guard token.number == expected else {
                    Issue.record("\(token.number) instead of \(expected)")
                    break
                }
                expected += 1
            }
            producer.join()
            for number in 0..<70 { #expect((ring.push(Token(number)) != nil) == (number >= 64)) }
        }
        #expect(Token.alive.load(ordering: .relaxed) == 0)
    }

    @Test func packetsOfAllSizesPassTheEndOfTheRegion() throws {
        let memory = RingMemory(workers: 2, ringSize: 1 << 16)
        let peer = Rig.peer
        let producer = try PinnedThread(name: "producer") {
            let ring = memory.outer(from: 0, to: 1)
            var numbers = SeededNumbers(seed: 8)
            for number in 0..<20_000 {
                var octets = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: Int(numbers.next() % 1500))
                octets.withUnsafeMutableBytes { buffer in
                    while !ring.push(PacketView(buffer), tag: UInt64(number), peer: peer, local: Rig.gateway) { usleep(20) }
                }
            }
        }
        let ring = memory.outer(from: 0, to: 1)
        var numbers = SeededNumbers(seed: 8)
        var batch = Batch(capacity: 32, room: 2048)
        var expected = 0
        while expected < 20_000 {
            batch.removeAll()
            let lost = ring.drain(into: &batch)
            #expect(lost == 0)
            if batch.isEmpty { usleep(20) }
            for index in 0..<batch.count {
                let size = Int(numbers.next() % 1500)
                let octets = batch.octets(index)
                guard batch[index].tag == UInt64(expected), octets.count == size, octets.allSatisfy({ $0 == UInt8(truncatingIfNeeded: expected) }),
                    batch[index].peer == peer, batch[index].local == Rig.gateway
                else {
                    Issue.record("packet \(expected)")
                    return
                }
                expected += 1
            }
        }
        producer.join()
        #expect(ring.isEmpty)
    }

    @Test func aFullRingRefuses() {
        let memory = RingMemory(workers: 1, ringSize: 4096)
        let ring = memory.outer(from: 0, to: 1)
        var octets = [UInt8](repeating: 1, count: 400)
        var pushed = 0
        octets.withUnsafeMutableBytes { buffer in
            while pushed < 100, ring.push(PacketView(buffer), tag: 0, peer: Rig.peer, local: Rig.gateway) { pushed += 1 }
        }
        #expect(pushed > 4 && pushed < 11)
        var large = [UInt8](repeating: 1, count: 4096)
        large.withUnsafeMutableBytes { #expect(!ring.push(PacketView($0), tag: 0, peer: Rig.peer, local: Rig.gateway)) }
        // Too large for the reader's slots: passed over and told
        var small = Batch(capacity: 32, room: 64, headroom: 0, tailroom: 0)
        #expect(ring.drain(into: &small) == pushed && small.isEmpty)
    }
}

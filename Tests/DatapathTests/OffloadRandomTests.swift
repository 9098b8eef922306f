import Datapath
import ESP
import GatewayCrypto
import LinuxIO
import PacketFixtures
import Testing
import Wire

/// Random flows both ways through every combination of offloads: what comes out is what went in, each flow in its order.
@Suite(.serialized) struct OffloadRandomTests {
    static let offloads: [SegmentOffloads] = [.none, .header, [.header, .tcp], .all]
    struct Way: Sendable, CustomTestStringConvertible {
        let suite: ESPSuite
        let engine: CryptoEngine
        var testDescription: String { "\(suite.protection.encryption) \(engine.rawValue)" }
    }
    static let ways = [
        Rig.suite, ESPSuite(protection: .required(.aesCBC, 128, .hmacSHA256_128), extendedSequenceNumbers: true),
    ].flatMap { suite in EngineTests.engines.map { Way(suite: suite, engine: $0) } }

    /// Flow by flow: addresses and ports decide. Identifications mean nothing with DF (RFC 6864), and the kernel counts them on.
    static func flows(_ packets: [[UInt8]]) -> [[UInt8]: [[UInt8]]] {
        let equal = packets.map { packet in
            guard packet[0] >> 4 == 4, packet[6] & 0x40 != 0 else { return packet }
            var packet = packet
            packet.patch(bigEndian: UInt16(0), at: 4)
            packet.fixHeader()
            return packet
        }
        return Dictionary(grouping: equal) { packet in
            let isIPv6 = packet[0] >> 4 == 6
            return Array(packet[(isIPv6 ? 8 : 12)..<(isIPv6 ? 44 : 24)])
        }
    }

    /// Chunks of a few flows in turn, as packets: runs, single ones, bare acknowledgements.
    static func chunks(_ numbers: inout SeededNumbers, towardsClient: Bool) -> [(shape: FlowShape, payload: [UInt8], size: Int, after: Int)] {
        var sent = [Int](repeating: 0, count: 7)
        return (0..<60).map { _ in
            let flow = Int.random(in: 0..<7, using: &numbers)
            var shape = FlowShape.all[flow % 4]
            shape.sourcePort = UInt16(2000 + flow)
            shape.towardsClient = towardsClient
            shape.sequence = UInt32(flow) &* 0x5555_5555
            if shape.isTCP, Int.random(in: 0..<4, using: &numbers) == 0 { shape.flags |= 0x08 }
            let size = Int.random(in: 100...1300, using: &numbers)
            let length = Int.random(in: 1...(size * 12), using: &numbers)
            let after = sent[flow]
            sent[flow] += length
            return (shape, FlowShape.payload(length, seed: numbers.next()), size, after)
        }
    }

    @Test(arguments: offloads, ways)
    func towardsTheServer(offloads: SegmentOffloads, way: Way) async throws {
        for (isJoinedOutside, seed) in [(true, 71), (false, 72)] as [(Bool, UInt64)] {
            var numbers = SeededNumbers(seed: seed)
            var up = try await JoiningTests.up(offloads, suite: way.suite, engine: way.engine)
            let rig = up.rig
            defer { rig.stop() }
            var packets: [[UInt8]] = []
            for chunk in Self.chunks(&numbers, towardsClient: false) {
                var shape = chunk.shape
                shape.sequence &+= UInt32(chunk.after)
                let part = shape.packets(chunk.payload, size: chunk.size)
                var sealed: [[UInt8]] = []
                for packet in part { sealed.append(try up.client.seal(packet)) }
                packets += part
                if isJoinedOutside {
                    rig.outer[0].put(Rig.outside(Array(sealed.joined()), segmentSize: sealed[0].count))
                } else {
                    rig.outer[0].put(sealed.map { Rig.outside($0) })
                }
            }
            var found: [[UInt8]] = []
            var writes = 0
            let isDone = await rig.wait {
                for entry in rig.inner[0].take() {
                    found += FlowShape.cut(entry)
                    writes += 1
                }
                return found.count >= packets.count
            }
            #expect(isDone, "seed \(seed)")
            #expect(Self.flows(found) == Self.flows(packets), "seed \(seed)")
            #expect(offloads.contains(.tcp) ? writes < packets.count : writes == packets.count, "seed \(seed)")
        }
    }

    @Test(arguments: offloads, ways)
    func towardsTheClient(offloads: SegmentOffloads, way: Way) async throws {
        let seed: UInt64 = 73
        var numbers = SeededNumbers(seed: seed)
        let rig = try Rig(workers: 2, offloads: offloads, engine: way.engine)
        defer { rig.stop() }
        _ = try await SegmentationTests.session(rig, suite: way.suite)
        var packets: [[UInt8]] = []
        for chunk in Self.chunks(&numbers, towardsClient: true) {
            var shape = chunk.shape
            shape.sequence &+= UInt32(chunk.after)
            let part = shape.packets(chunk.payload, size: chunk.size)
            packets += part
            let takes = offloads.contains(shape.isTCP ? .tcp : .udp)
            if takes, part.count > 1 {
                rig.inner[0].put(shape.superPacket(chunk.payload, size: chunk.size))
            } else if offloads.contains(.header) {
                rig.inner[0].put(
                    part.enumerated().map { number, packet in
                        // Half of them with the checksum left to us
                        guard number % 2 == 0 else { return MemoryWire.Packet(octets: packet) }
                        var one = shape
                        one.flags = shape.isTCP ? packet[shape.ipLength + 13] : one.flags
                        one.sequence &+= UInt32(number * chunk.size)
                        one.identification &+= UInt16(truncatingIfNeeded: number)
                        return one.superPacket(Array(packet[shape.headerLength...]), size: chunk.size).plain
                    })
            } else {
                rig.inner[0].put(part.map { MemoryWire.Packet(octets: $0) })
            }
        }
        let sent = await OuterTests.take(rig.outer[0], packets.count, rig)
        let found = try SegmentationTests.opened(sent, suite: way.suite)
        #expect(Self.flows(found) == Self.flows(packets), "seed \(seed)")
        #expect(found == packets, "one client's packets all keep their order, seed \(seed)")
        #expect(rig.outer[0].entrySizes.count < packets.count)
    }
}

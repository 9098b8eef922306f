import ESP
import GatewayCrypto
import PacketFixtures
import Testing
import Wire

/// An ESP packet in memory that a batch works on.
private final class Room {
    let memory: UnsafeMutableRawBufferPointer
    var view: PacketView { PacketView(memory) }

    init(_ octets: [UInt8]) {
        memory = .allocate(byteCount: octets.count, alignment: 1)
        memory.copyBytes(from: octets)
    }

    deinit { memory.deallocate() }
}

@Suite struct BatchTests {
    private static func inner(_ size: Int) -> [UInt8] { Packets.ipv4("10.99.0.10", "10.1.2.3", payload: [UInt8](repeating: 9, count: size)) }

    @Test(arguments: SAs.every)
    func whatABatchSealsOpensOneByOneAndInABatch(suite: ESPSuite) throws {
        var outbound = try SAs.outbound(suite)
        var alone = try SAs.inbound(suite)
        var together = try SAs.inbound(suite)
        var batch = try RecordBatch(capacity: 24)
        let packets = (0..<24).map { Self.inner([0, 1, 15, 16, 100, 1400][$0 % 6]) }
        let rooms = packets.map { Room([UInt8](repeating: 0, count: suite.prefixLength) + $0 + [UInt8](repeating: 0, count: suite.longestSuffix)) }
        var lengths: [Int] = []
        for (index, room) in rooms.enumerated() {
            let prepared = try outbound.prepare(room.view, offset: suite.prefixLength, length: packets[index].count, nextHeader: 4)
            let ticket = outbound.seal(prepared, in: &batch)
            #expect(ticket == index)
            lengths.append(prepared.packet.count)
        }
        let spare = Room([UInt8](repeating: 0, count: 200))
        let late = try outbound.prepare(spare.view, offset: suite.prefixLength, length: 20, nextHeader: 4)
        let isFull = outbound.seal(late, in: &batch) == nil
        #expect(isFull && outbound.sequence == 25)
        batch.flush()
        #expect((0..<24).allSatisfy { batch.succeeded($0) } && batch.allSucceeded)
        batch.removeAll()

        let sealed = zip(rooms, lengths).map { Array($0.memory.prefix($1)) }
        for (index, packet) in sealed.enumerated() {
            let opened = try alone.open(packet)
            #expect(opened == packets[index])
        }
        let given = sealed.map { Room($0) }
        var pending: [InboundSA.Pending] = []
        for room in given { pending.append(try together.begin(room.view, in: &batch)) }
        batch.flush()
        for (index, room) in given.enumerated() {
            let opened = try together.finish(room.view, pending[index], in: batch)
            #expect(opened.nextHeader == 4 && opened.sequence == UInt64(index + 1) && opened.isNewest)
            #expect(Array(room.memory[opened.offset..<opened.offset + opened.length]) == packets[index])
        }
        #expect(together.window.highest == 24)
    }

    @Test(arguments: SAs.every)
    func threat_P26_whatComesTwiceInABatchIsTakenOnce(suite: ESPSuite) throws {
        var outbound = try SAs.outbound(suite)
        var inbound = try SAs.inbound(suite)
        var batch = try RecordBatch(capacity: 8)
        let packet = try outbound.seal(Self.inner(40))
        var forged = packet
        forged[forged.count - 1] ^= 1
        let rooms = [Room(forged), Room(packet), Room(packet)]
        var pending: [InboundSA.Pending] = []
        for room in rooms { pending.append(try inbound.begin(room.view, in: &batch)) }
        // Nothing is taken before the flush
        let early = drop { () throws(Drop) in _ = try inbound.finish(rooms[0].view, pending[0], in: batch) }
        batch.flush()
        var results: [Drop?] = []
        for index in 0..<3 { results.append(drop { () throws(Drop) in _ = try inbound.finish(rooms[index].view, pending[index], in: batch) }) }
        #expect(early == .integrity)
        #expect(results == [.integrity, nil, .replayed])
        #expect(inbound.window.highest == 1)
        let again = Room(packet)
        let late = drop { () throws(Drop) in _ = try inbound.begin(again.view, in: &batch) }
        #expect(late == .replayed)
    }

    @Test(arguments: SAs.every)
    func threat_C4_everyLengthInABatch(suite: ESPSuite) throws {
        var inbound = try SAs.inbound(suite)
        var batch = try RecordBatch(capacity: 200)
        var members: [(Room, InboundSA.Pending)] = []
        for length in 1..<200 {
            let room = Room([UInt8](repeating: 1, count: length))
            let refusal = drop { () throws(Drop) in members.append((room, try inbound.begin(room.view, in: &batch))) }
            #expect(refusal == nil || refusal == .truncated)
        }
        batch.flush()
        for (room, pending) in members {
            #expect(drop { () throws(Drop) in _ = try inbound.finish(room.view, pending, in: batch) } == .integrity)
        }
        #expect(inbound.window.highest == 0)
    }
}

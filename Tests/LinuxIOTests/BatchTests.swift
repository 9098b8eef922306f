import LinuxIO
import Testing
import Wire

@Suite struct BatchTests {
    @Test func DP_boundsStayInTheSlot() {
        var batch = Batch(capacity: 2, room: 100, headroom: 10, tailroom: 20)
        #expect(batch.slotSize % 64 == 0 && batch.slotSize >= 130)
        let index = batch.append(length: 50)
        #expect(index == 0)
        #expect(batch[0].start == 10 && batch[0].length == 50)
        #expect(!batch.place(0, start: -1, length: 5))
        #expect(!batch.place(0, start: 0, length: batch.slotSize + 1))
        #expect(!batch.place(0, start: batch.slotSize, length: 1))
        #expect(!batch.place(0, start: 1, length: Int.max))
        #expect(!batch.place(0, start: Int.max, length: 1))
        #expect(batch[0].start == 10 && batch[0].length == 50)
        #expect(batch.place(0, start: 0, length: batch.slotSize))
        #expect(batch.append(length: batch.slotSize) == nil)
        #expect(batch.append(length: 0) == 1)
        #expect(batch.isFull)
        #expect(batch.append(length: 0) == nil)
        batch.removeLast()
        #expect(batch.count == 1)
        batch.removeAll()
        #expect(batch.isEmpty)
    }

    @Test func DP_slotsDoNotOverlap() {
        var batch = Batch(capacity: 3, room: 64, headroom: 0, tailroom: 0)
        let peer = Endpoint(IPAddress(v4: 1), port: 2)
        for fill in UInt8(1)...3 {
            let octets = [UInt8](repeating: fill, count: 64)
            #expect(octets.withUnsafeBytes { batch.append(copying: $0, to: peer, from: peer) } == Int(fill) - 1)
        }
        for fill in UInt8(1)...3 {
            #expect([UInt8](batch.octets(Int(fill) - 1)) == [UInt8](repeating: fill, count: 64))
            #expect(batch[Int(fill) - 1].peer == peer)
        }
    }
}

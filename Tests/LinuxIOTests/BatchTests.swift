import LinuxIO
import Testing
import Wire

@Suite struct BatchTests {
    @Test(arguments: [(-1, 5), (0, 193), (192, 1), (1, Int.max), (Int.max, 1), (Int.min, 0), (0, -1)])
    func threat_C2_boundsOutsideTheSlotAreRefused(start: Int, length: Int) {
        var batch = Batch(capacity: 1, room: 100, headroom: 10, tailroom: 20)
        let size = batch.slotSize
        #expect(size == 192)
        let index = batch.append(length: 50)
        #expect(index == 0)
        let placed = batch.place(0, start: start, length: length)
        #expect(!placed)
        let entry = batch[0]
        #expect(entry.start == 10 && entry.length == 50)
    }

    @Test func contentMayUseTheWholeSlot() {
        var batch = Batch(capacity: 2, room: 100, headroom: 10, tailroom: 20)
        let (first, tooLong, second) = (batch.append(length: 0), batch.append(length: 192), batch.append(length: 182))
        #expect(first == 0 && tooLong == nil && second == 1)
        let (placed, full, third) = (batch.place(0, start: 0, length: 192), batch.isFull, batch.append(length: 0))
        #expect(placed && full && third == nil)
        batch.removeLast()
        let left = batch.count
        #expect(left == 1)
        batch.removeAll()
        let empty = batch.isEmpty
        #expect(empty)
    }

    @Test func slotsDoNotOverlap() {
        var batch = Batch(capacity: 3, room: 64, headroom: 0, tailroom: 0)
        let peer = Endpoint(IPAddress(v4: 1), port: 2)
        for fill in UInt8(1)...3 {
            let index = [UInt8](repeating: fill, count: 64).withUnsafeBytes { batch.append(copying: $0, to: peer, from: peer) }
            #expect(index == Int(fill) - 1)
        }
        for fill in UInt8(1)...3 {
            let octets = [UInt8](batch.octets(Int(fill) - 1))
            #expect(octets == [UInt8](repeating: fill, count: 64))
            let entry = batch[Int(fill) - 1]
            #expect(entry.peer == peer)
        }
    }

    @Test func aReusedSlotForgetsItsPeer() {
        var batch = Batch(capacity: 1, room: 64)
        let peer = Endpoint(IPAddress(v4: 0x7f00_0001), port: 9)
        _ = [UInt8](repeating: 1, count: 8).withUnsafeBytes { batch.append(copying: $0, to: peer, from: peer) }
        batch.removeAll()
        _ = batch.append(length: 8)
        let entry = batch[0]
        #expect(entry.peer.port == 0)
    }
}

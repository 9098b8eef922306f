import ESP
import Testing

@Suite struct LocalSPITests {
    @Test func placesComeBack() throws {
        let spi = try #require(LocalSPI(worker: 63, slot: (1 << 18) - 1, tag: 255))
        #expect(spi.rawValue == .max)
        #expect(spi.worker == 63 && spi.slot == (1 << 18) - 1 && spi.tag == 255)
        #expect(try #require(LocalSPI(worker: 0, slot: 0, tag: 1)).description == "01000000")
        #expect(LocalSPI(worker: 0, slot: 0, tag: 0) == nil)
        #expect(LocalSPI(worker: 64, slot: 0, tag: 1) == nil)
        #expect(LocalSPI(worker: 0, slot: 1 << 18, tag: 1) == nil)
        #expect(LocalSPI(rawValue: 255) == nil)
    }

    @Test func threat_P27_aSlotNeverComesBackWithItsTag() {
        var allocator = SPIAllocator(worker: 3, capacity: 4)
        var out = (0..<4).compactMap { _ in allocator.allocate(random: 7) }
        let none = allocator.allocate(random: 7)
        #expect(out.count == 4 && none == nil)
        for _ in 0..<10_000 {
            let old = out.removeFirst()
            let (first, second) = (allocator.release(old), allocator.release(old))
            #expect(first && !second)
            #expect(!allocator.holds(old))
            guard let new = allocator.allocate(random: old.tag) else {
                Issue.record("nothing to allocate")
                return
            }
            #expect(new != old && new.tag != 0)
            out.append(new)
        }
        #expect(allocator.inUse == 4)
    }

    @Test("sessions that come and go use slots again, each after a rest (threats.md rule 7: memory stays flat)")
    func slotsAreUsedAgain() throws {
        var allocator = SPIAllocator(worker: 0, capacity: 65_536)
        let standing = (0..<100).compactMap { _ in allocator.allocate(random: 1)?.slot }
        var last: [Int: Int] = [:]
        for turn in 0..<20_000 {
            let allocated = allocator.allocate(random: 9)
            let spi = try #require(allocated)
            #expect(!standing.contains(spi.slot) && spi.slot < 100 + 513)
            if let before = last[spi.slot] { #expect(turn - before > 500) }
            last[spi.slot] = turn
            allocator.release(spi)
        }
        #expect(allocator.inUse == 100)
    }
}

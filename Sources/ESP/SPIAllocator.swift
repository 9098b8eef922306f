/// Gives out the SPIs of one worker. A slot that was given back rests at the end of the line, and never comes back with the tag it had; those that have
/// rested come before new ones, so that clients that come and go do not use up the worker's memory.
package struct SPIAllocator: Sendable {
    package let worker: Int
    /// Slots in all.
    package let capacity: Int
    /// SPIs given out and not given back.
    package private(set) var inUse = 0
    /// Slots that are at rest while there are new ones.
    private static let resting = 512
    private var unused = 0
    private var rested: [UInt32] = []
    private var head = 0
    private var tags: [UInt8] = []
    private var taken: [Bool] = []

    /// `capacity` slots, at most 2^18.
    package init(worker: Int, capacity: Int) {
        self.worker = worker
        self.capacity = min(max(capacity, 0), LocalSPI.maximumSlots)
    }

    /// The next SPI, or nil when all slots are taken. `random` gives the tag its value.
    package mutating func allocate(random: UInt8) -> LocalSPI? {
        let slot: Int
        if unused < capacity, rested.count - head < Self.resting {
            slot = unused
            unused += 1
            tags.append(0)
            taken.append(false)
        } else if head < rested.count {
            slot = Int(rested[head])
            head += 1
            if head > 1024, head * 2 > rested.count {
                rested.removeFirst(head)
                head = 0
            }
        } else {
            return nil
        }
        var tag = random
        while tag == 0 || tag == tags[slot] { tag &+= 1 }
        tags[slot] = tag
        taken[slot] = true
        inUse += 1
        return LocalSPI(worker: worker, slot: slot, tag: tag)
    }

    /// Gives an SPI back; false when it was not out.
    @discardableResult
    package mutating func release(_ spi: LocalSPI) -> Bool {
        guard spi.worker == worker, spi.slot < taken.count, taken[spi.slot], tags[spi.slot] == spi.tag else { return false }
        taken[spi.slot] = false
        rested.append(UInt32(spi.slot))
        inUse -= 1
        return true
    }

    /// Whether the SPI is out.
    package func holds(_ spi: LocalSPI) -> Bool {
        spi.worker == worker && spi.slot < taken.count && taken[spi.slot] && tags[spi.slot] == spi.tag
    }
}

import GatewayCrypto
import Testing
import Wire

@testable import Datapath

/// Issue "one client at line rate cannot starve the rest": deficit round robin over sessions.
@Suite struct FairQueueTests {
    /// What a queue should do, in the plainest way.
    private struct Model {
        struct Flow {
            let key: Int
            var packets: [(slot: Int, length: Int)]
            var deficit: Int
        }
        var round: [Flow] = []

        mutating func push(_ slot: Int, _ key: Int, _ length: Int) {
            if let index = round.firstIndex(where: { $0.key == key }) {
                round[index].packets.append((slot, length))
            } else {
                round.append(Flow(key: key, packets: [(slot, length)], deficit: 65_536))
            }
        }

        mutating func next() -> Int {
            while let flow = round.first {
                if flow.deficit > 0 { return flow.packets[0].slot }
                round.removeFirst()
                round.append(Flow(key: flow.key, packets: flow.packets, deficit: flow.deficit + 65_536))
            }
            return -1
        }

        mutating func takeNext() {
            let packet = round[0].packets.removeFirst()
            round[0].deficit -= packet.length
            if round[0].packets.isEmpty { round.removeFirst() }
        }

        mutating func drop(byOctets: Bool) -> Int {
            func size(_ flow: Flow) -> Int { byOctets ? flow.packets.reduce(0) { $0 + $1.length } : flow.packets.count }
            guard let most = round.map(size).max(), let index = round.firstIndex(where: { size($0) == most }) else { return -1 }
            let slot = round[index].packets.removeFirst().slot
            if round[index].packets.isEmpty { round.remove(at: index) }
            return slot
        }
    }

    @Test(arguments: [1, 2, 7, 64])
    func itDoesWhatThePlainestQueueDoes(flows: Int) {
        let seed = 20_261_121 + UInt64(flows)
        print("seed \(seed)")
        let entropy = SeededEntropy(seed: seed)
        var queue = FairQueue(capacity: 64)
        var model = Model()
        var free = Set(0..<64)
        for _ in 0..<20_000 {
            let draw = entropy.octets(4)
            switch draw[0] % 8 {
            case 0...3:
                guard let slot = free.first else {
                    let isIn = queue.push(0, flow: 0, length: 1)
                    #expect(!isIn, "no room")
                    continue
                }
                free.remove(slot)
                let key = Int(draw[1]) % flows - 2
                let length = draw[2] % 4 == 0 ? 65_000 : 1 + Int(draw[3]) * 6
                let isIn = queue.push(slot, flow: key, length: length)
                #expect(isIn)
                model.push(slot, key, length)
            case 4...6:
                let (found, wanted) = (queue.next(), model.next())
                #expect(found == wanted)
                guard wanted >= 0 else { continue }
                queue.takeNext()
                model.takeNext()
                free.insert(wanted)
            default:
                let byOctets = draw[1] & 1 == 0
                let wanted = model.drop(byOctets: byOctets)
                let found = queue.dropFromLongest(byOctets: byOctets)?.slot ?? -1
                #expect(found == wanted)
                if wanted >= 0 { free.insert(wanted) }
            }
            #expect(queue.count == 64 - free.count)
        }
        while model.next() >= 0 {
            let (found, wanted) = (queue.next(), model.next())
            #expect(found == wanted)
            queue.takeNext()
            model.takeNext()
        }
        let end = queue.next()
        #expect(end == -1 && queue.count == 0 && queue.octets == 0)
    }

    @Test func aTurnIsWorthTheSameToAll() {
        var queue = FairQueue(capacity: 256)
        // One sends super-packets, two small packets: octets count, not packets
        for slot in 0..<256 {
            let isIn = queue.push(slot, flow: slot < 56 ? 1 : slot < 156 ? 2 : 3, length: slot < 56 ? 60_000 : 1400)
            #expect(isIn)
        }
        var sent = [1: 0, 2: 0, 3: 0]
        while sent[2] != 100 * 1400 {
            let slot = queue.next()
            queue.takeNext()
            sent[slot < 56 ? 1 : slot < 156 ? 2 : 3, default: 0] += slot < 56 ? 60_000 : 1400
        }
        #expect(sent.values.allSatisfy { abs($0 - 100 * 1400) <= 65_536 + 60_000 }, "\(sent)")
    }

    /// While a turn lasts nobody reads what comes: it is as long as the cipher is quick.
    @Test func aTurnShrinksWhereItTakesLong() {
        var backlog = Backlog()
        var now = Instant(nanoseconds: 1_000_000_000)
        var pauses = [Duration](repeating: .milliseconds(20), count: 6) + [.milliseconds(2)]
        pauses += [Duration](repeating: .microseconds(300), count: 4)
        var turns: [Int] = []
        for pause in pauses {
            now = now + pause
            turns.append(backlog.nextTurn(now: now) >> 10)
        }
        #expect(turns == [256, 128, 64, 32, 32, 32, 32, 64, 128, 256, 256])
        // Nothing is left: until the next turn it sleeps, which is nobody's fault
        backlog.endTurn()
        let later = backlog.nextTurn(now: now + .seconds(5))
        #expect(later == 256 << 10)
    }

    @Test func whatIsNoSlotIsRefused() {
        var queue = FairQueue(capacity: 4)
        let below = queue.push(-1, flow: 0, length: 1)
        let above = queue.push(4, flow: 0, length: 1)
        let (next, lost) = (queue.next(), queue.dropFromLongest(byOctets: true))
        #expect(!below && !above && next == -1 && lost == nil)
        queue.takeNext()
        #expect(queue.count == 0)
    }
}

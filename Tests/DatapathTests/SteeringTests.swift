import Datapath
import ESP
import PacketFixtures
import Testing
import Wire

/// The choice of a home, without workers.
@Suite struct SteeringTests {
    static func at(_ seconds: Double) -> Instant { Instant(nanoseconds: 1_000_000_000 + UInt64(seconds * 1e9)) }

    /// Workers that carried so many megabytes a second in the ten seconds up to second 10, in packets of no cost.
    static func weighed(_ rates: [UInt64]) -> Steering {
        var steering = Steering()
        steering.weigh(rates.map { _ in WorkerLoad() }, at: at(0))
        steering.weigh(rates.map { WorkerLoad(octets: $0 * 10_000_000) }, at: at(10))
        return steering
    }

    struct Row: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let rates: [UInt64]
        var load = 10.0
        var candidates: [Int]?
        let home: Int
    }

    @Test(arguments: [
        Row(testDescription: "one worker", rates: [900], home: 0),
        Row(testDescription: "nobody has anything to do", rates: [0, 0], home: 0),
        Row(testDescription: "clearly more", rates: [100, 20], home: 1),
        Row(testDescription: "the least busy of three", rates: [100, 20, 10], home: 2),
        Row(testDescription: "of two that are equal the first", rates: [100, 20, 20], home: 1),
        Row(testDescription: "more, not clearly", rates: [100, 70], home: 0),
        Row(testDescription: "many times as much, and still nothing", rates: [9, 0], load: 1, home: 0),
        Row(testDescription: "the home is the least busy", rates: [20, 100], home: 0),
        Row(testDescription: "a session that makes all the load stays", rates: [100, 0], load: 100, home: 0),
        Row(testDescription: "one of two equal halves goes", rates: [100, 0], load: 50, home: 1),
        Row(testDescription: "more than half would only turn it over", rates: [100, 0], load: 51, home: 0),
        Row(testDescription: "an idle session is no help", rates: [100, 0], load: 0, home: 0),
        Row(testDescription: "the least busy has no room", rates: [100, 20, 10], candidates: [0, 1], home: 1),
        Row(testDescription: "nobody has room", rates: [100, 20, 10], candidates: [0], home: 0),
        Row(testDescription: "candidates there are none of", rates: [100, 20], candidates: [-1, 0, 64], home: 0),
    ])
    func home(_ row: Row) {
        var steering = Self.weighed(row.rates)
        let home = steering.home(
            of: row.load * 1_000_000, on: 0, among: row.candidates ?? Array(row.rates.indices), at: Self.at(11))
        #expect(home == row.home)
    }

    @Test func nothingIsSaidBeforeTheFirstIntervalAndLongAfterTheLast() {
        var steering = Steering()
        #expect(steering.home(of: 1e7, on: 0, among: [0, 1], at: Self.at(0)) == 0)
        let carried = [WorkerLoad(octets: 1 << 40), WorkerLoad()]
        #expect(steering.weigh(carried, at: Self.at(0)) == nil)
        #expect(steering.home(of: 1e7, on: 0, among: [0, 1], at: Self.at(1)) == 0)
        // Too soon to say anything: the interval goes on
        #expect(steering.weigh(carried, at: Self.at(0.0001)) == nil)
        #expect(steering.weigh([WorkerLoad(octets: 1 << 41), WorkerLoad()], at: Self.at(10)) == 10)
        #expect(steering.home(of: 1e7, on: 0, among: [0, 1], at: Self.at(45)) == 0)
        #expect(steering.home(of: 1e7, on: 0, among: [0, 1], at: Self.at(35)) == 1)
        #expect(steering.home(of: 1e7, on: 7, among: [0, 1], at: Self.at(35)) == 7)
    }

    @Test func packetsWeighToo() {
        var steering = Steering()
        steering.weigh([WorkerLoad(), WorkerLoad()], at: Self.at(0))
        steering.weigh([WorkerLoad(octets: 64_000_000, packets: 1_000_000), WorkerLoad(octets: 64_000_000)], at: Self.at(10))
        #expect(steering.home(of: 1e7, on: 0, among: [0, 1], at: Self.at(10)) == 1)
    }

    @Test func anIntervalShedsNoMoreThanLevels() {
        // Ten sessions of ten megabytes a second on one worker rekey within one interval
        var steering = Self.weighed([100, 0])
        let homes = (0..<10).map { steering.home(of: 1e7, on: 0, among: [0, 1], at: Self.at(11 + Double($0) / 2)) }
        #expect(homes.filter { $0 == 1 }.count == 5)
        #expect(steering.loads == [5e7, 5e7])
        // And nobody comes back at once
        #expect(steering.home(of: 1e7, on: 1, among: [0, 1], at: Self.at(19)) == 1)
    }

    @Test func whatMovedInAnIntervalIsNotShedAgain() {
        var steering = Self.weighed([100, 0])
        #expect(steering.home(of: 4e7, on: 0, among: [0, 1], at: Self.at(15)) == 1)
        // Until second 15 it was carried by worker 0: 80 and 20 a second on the whole, 60 and 40 from now on
        steering.weigh([WorkerLoad(octets: 1_000_000_000 + 800_000_000), WorkerLoad(octets: 200_000_000)], at: Self.at(20))
        #expect(steering.loads == [6e7, 4e7])
        #expect(steering.home(of: 1e7, on: 0, among: [0, 1], at: Self.at(21)) == 1)
        #expect(steering.home(of: 1e7, on: 0, among: [0, 1], at: Self.at(21)) == 0)
    }

    /// Sessions that rekey at random for an hour: the workers come near to each other, and no session moves more often than that takes.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func sessionsSettle(seed: UInt64) {
        print("Steering seed \(seed)")
        var numbers = SeededNumbers(seed: seed)
        let workers = 4
        let rates = (0..<200).map { _ in Double(UInt64.random(in: 1...2_000, using: &numbers)) * 1000 }
        var homes = rates.map { _ in 0 }
        var moves = 0
        var carried = [Double](repeating: 0, count: workers)
        var steering = Steering()
        for interval in 0..<360 {
            let now = Self.at(Double(interval) * 10)
            steering.weigh(carried.map { WorkerLoad(octets: UInt64($0)) }, at: now)
            for _ in 0..<6 {
                guard let session = rates.indices.randomElement(using: &numbers) else { continue }
                let home = steering.home(of: rates[session], on: homes[session], among: Array(0..<workers), at: now)
                if home != homes[session] { moves += 1 }
                homes[session] = home
            }
            for (session, home) in homes.enumerated() { carried[home] += rates[session] * 10 }
        }
        let loads = (0..<workers).map { worker in rates.indices.filter { homes[$0] == worker }.reduce(0.0) { $0 + rates[$1] } }
        let (most, least) = (loads.max() ?? 0, loads.min() ?? 0)
        #expect(most < Steering.clearly * least + Steering.leastDifference, "\(loads)")
        #expect(moves < 2 * rates.count, "\(moves)")
    }
}

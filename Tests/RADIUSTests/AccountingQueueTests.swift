import RADIUS
import Testing
import Wire

private func counters(_ octets: UInt64) -> AccountingCounters { AccountingCounters(inputOctets: octets, inputPackets: 1) }

@Suite("RAD-7, RAD-8: accounting on its way")
struct AccountingQueueTests {
    @Test func RAD7_aRecordIsStoredThenSentThenRemoved() throws {
        let rig = AccountingRig()
        #expect(rig.inFlight.isEmpty, "nothing goes before it is on the disk")
        rig.settle()
        #expect(rig.words == ["on"])
        try rig.start("a")
        #expect(rig.inFlight.isEmpty)
        #expect(rig.storing?.count == 1)
        rig.store()
        #expect(rig.inFlight.map(AccountingRig.word) == ["start a"])
        #expect(rig.records.count == 1 && rig.sessions.keys.sorted() == ["a"])
        rig.answer()
        #expect(rig.storing == [.delivered(2)])
        rig.store()
        #expect(rig.records.isEmpty && rig.sessions.count == 1)
        rig.feed(.stop(session: "a", counters(77), .userRequest))
        rig.settle()
        #expect(rig.words == ["on", "start a", "stop a"])
        #expect(rig.log.last?.record.counters == counters(77) && rig.log.last?.record.cause == .userRequest)
        #expect(rig.records.isEmpty && rig.sessions.isEmpty && rig.queue.waiting == 0)
        #expect(rig.queue.nextDeadline == nil)
    }

    @Test func RAD7_startsWaitForOnAndOneAfterTheOther() throws {
        let rig = AccountingRig()
        try rig.start("a")
        try rig.start("b")
        rig.feed(.stop(session: "a", counters(1), .lostCarrier))
        for _ in 0..<4 { rig.store() }
        #expect(rig.inFlight.map(AccountingRig.word) == ["on"])
        rig.answer()
        #expect(rig.inFlight.map(AccountingRig.word) == ["start a", "start b"])
        rig.answer()
        #expect(rig.inFlight.map(AccountingRig.word) == ["start b", "stop a"])
        rig.settle()
        #expect(rig.words == ["on", "start a", "start b", "stop a"])
    }

    @Test func RFC2866_5_2_eachAttemptSaysHowLongItWaited() throws {
        let rig = AccountingRig()
        rig.settle()
        try rig.start("a")
        rig.wait(.seconds(2))
        rig.store()
        var delays: [UInt32] = []
        for _ in 0..<9 {
            delays.append(try #require(rig.inFlight.first).delay)
            rig.wait(.seconds(15))
            rig.fail()
            #expect(rig.inFlight.isEmpty, "not at once again")
            let next = try #require(rig.queue.nextDeadline)
            rig.wait(next - rig.now)
        }
        // 15 s for each transaction, then 1, 2, 4 ... 30 s
        #expect(delays == [2, 18, 35, 54, 77, 108, 153, 198, 243])
        #expect(rig.queue.statistics.failed == 9)
        #expect(rig.alarms == [.delivery(policy: "aaa", isFailing: true)])
        rig.settle()
        #expect(rig.words == ["on", "start a"])
        #expect(rig.alarms.last == .delivery(policy: "aaa", isFailing: false))
    }

    @Test func aServerThatIsAwayIsAskedOneThingAtATime() throws {
        let rig = AccountingRig()
        rig.settle()
        for number in 0..<600 { try rig.start("s\(number)") }
        for _ in 0..<4 { rig.store() }
        #expect(rig.inFlight.count == AccountingQueue.maximumInFlight)
        while !rig.inFlight.isEmpty { rig.fail() }
        rig.wait(.seconds(1))
        #expect(rig.inFlight.count == 1)
        rig.fail()
        rig.wait(.seconds(2))
        #expect(rig.inFlight.count == 1)
        rig.answer()
        #expect(rig.inFlight.count == AccountingQueue.maximumInFlight, "all at once when it is back")
        rig.settle()
        #expect(rig.log.count == 601 && rig.mostInFlight == AccountingQueue.maximumInFlight)
    }

    @Test func aDeadServerPolicyHoldsUpNoOther() throws {
        let rig = AccountingRig(policies: ["dead", "live"])
        for _ in 0..<3 { rig.store() }
        #expect(rig.inFlight.map(\.policy) == ["dead", "live"])
        rig.fail(0)
        rig.answer(0)
        for number in 0..<1000 { try rig.start("d\(number)", policy: "dead") }
        try rig.start("x", policy: "live")
        for _ in 0..<4 { rig.store() }
        #expect(rig.inFlight.map(AccountingRig.word) == ["start x"])
    }

    @Test func threat_I3_oneStartAndOneStop() throws {
        let rig = AccountingRig()
        try rig.start("a")
        try rig.start("a")
        rig.feed(.stop(session: "never", counters(1), .userRequest))
        rig.feed(.stop(session: "a", counters(1), .userRequest))
        rig.feed(.stop(session: "a", counters(2), .nasError))
        rig.feed(.interim(session: "a", counters(3)))
        rig.settle()
        #expect(rig.words == ["on", "start a", "stop a"])
        #expect(rig.queue.statistics.ignored == 4)
        #expect(rig.queue.liveSessions == 0)
    }

    // MARK: Starts and stops of the gateway

    @Test func RAD7_afterACrashStopsComeFirstThenOn() throws {
        let rig = AccountingRig()
        rig.settle()
        for session in ["a", "b", "c"] { try rig.start(session) }
        rig.settle()
        rig.feed(.interim(session: "a", counters(5000)))
        rig.settle()
        rig.wait(.seconds(100))
        rig.feed(.interim(session: "b", counters(6000)))
        rig.feed(.stop(session: "c", counters(9), .userRequest))
        rig.store()
        rig.crash(pause: .seconds(40))
        try rig.start("d")
        rig.settle()
        let after = rig.log.dropFirst(5)
        #expect(after.map(AccountingRig.word).sorted() == ["interim b", "on", "start d", "stop a", "stop b", "stop c"])
        #expect(rig.words.last == "start d" && rig.words.dropLast().last == "on")
        let stops = after.filter { $0.record.kind == .stop }
        #expect(stops.first { $0.record.subject.sessionID == "a" }?.record.counters == counters(5000))
        #expect(stops.first { $0.record.subject.sessionID == "b" }?.record.counters == counters(6000))
        for stop in stops where stop.record.subject.sessionID != "c" { #expect(stop.record.cause == .nasReboot) }
        // 140 s since what was last known of a, 40 s since that of b
        #expect(stops.first { $0.record.subject.sessionID == "a" }?.delay == 140)
        #expect(stops.first { $0.record.subject.sessionID == "b" }?.delay == 40)
        #expect(stops.first { $0.record.subject.sessionID == "b" }?.record.sessionTime == 100)
        rig.crash()
        rig.settle()
        #expect(rig.words.filter { $0.hasPrefix("stop") }.count == 4, "each Stop once: d's is new")
    }

    @Test func RAD7_aCleanStopEndsWithOff() throws {
        let rig = AccountingRig()
        try rig.start("a")
        try rig.start("b")
        rig.settle()
        rig.feed(.stop(session: "a", counters(4), .adminReboot))
        rig.feed(.shutDown(until: rig.now + .seconds(8)))
        #expect(rig.queue.refusesLogins)
        try rig.start("late")
        rig.settle()
        #expect(Set(rig.words.dropFirst(3).dropLast()) == ["stop a", "stop b"])
        #expect(rig.words.last == "off")
        #expect(rig.log.dropFirst(3).dropLast().allSatisfy { $0.record.cause == .adminReboot })
        #expect(rig.undelivered == 0)
        #expect(rig.records.isEmpty && rig.sessions.isEmpty)
        #expect(rig.queue.nextDeadline == nil)
    }

    @Test func RAD7_aCleanStopWaitsOnlySoLong() throws {
        let rig = AccountingRig()
        try rig.start("a")
        rig.settle()
        rig.feed(.shutDown(until: rig.now + .seconds(8)))
        while rig.storing != nil { rig.store() }
        #expect(rig.undelivered == nil)
        #expect(rig.queue.nextDeadline == rig.now + .seconds(8))
        rig.wait(.seconds(8))
        #expect(rig.undelivered == 2, "a Stop and Off are left")
        rig.crash()
        rig.settle()
        #expect(rig.words == ["on", "start a", "stop a", "off", "on"])
    }

    @Test func aServerPolicyThatIsGoneKeepsItsRecords() throws {
        let rig = AccountingRig(policies: ["aaa", "old"])
        rig.settle()
        try rig.start("a", policy: "old")
        while rig.storing != nil { rig.store() }
        rig.crash(destinations: [rig.destinations[0]])
        #expect(rig.alarms == [.unknownPolicy("old")])
        rig.settle()
        #expect(rig.words == ["on", "on", "on"])
        #expect(rig.records.values.map(\.policy) == ["old", "old"])
        rig.feed(.destinations(rig.destinations))
        rig.settle()
        #expect(rig.words == ["on", "on", "on", "start a", "stop a"])
    }

    @Test func whatCannotBeReadIsGivenUpAloud() throws {
        let rig = AccountingRig()
        rig.settle()
        try rig.start("a")
        try rig.start("b")
        rig.store()
        rig.store()
        rig.damage(2)
        rig.crash()
        rig.settle()
        #expect(rig.alarms == [.unreadable(2, policy: "aaa")])
        #expect(rig.words.last == "on" && rig.words.contains("start b") && rig.words.contains("stop a") && rig.words.contains("stop b"))
        #expect(rig.records.isEmpty)
    }

    // MARK: Interim records

    @Test func RAD8_interimsComeInTheirTime() throws {
        let rig = AccountingRig()
        try rig.start("a", interim: InterimTiming(configured: .seconds(600), jitter: .zero, accepted: nil))
        try rig.start("b", interim: InterimTiming(configured: .seconds(600), jitter: .zero, accepted: .seconds(300)))
        try rig.start("c", interim: InterimTiming(configured: nil, jitter: .zero, accepted: nil))
        rig.settle()
        rig.wait(.seconds(299))
        #expect(rig.samples.isEmpty)
        rig.wait(.seconds(1))
        #expect(rig.samples == ["b"])
        rig.wait(.seconds(300))
        #expect(rig.samples.sorted() == ["a", "b", "b"])
        rig.feed(.interimTiming(session: "b", nil))
        rig.feed(.interimTiming(session: "c", InterimTiming(configured: nil, jitter: .zero, accepted: .seconds(60))))
        rig.feed(.stop(session: "a", counters(1), .userRequest))
        rig.wait(.seconds(60))
        #expect(rig.samples.sorted() == ["a", "b", "b", "c"])
        rig.wait(.seconds(1000))
        #expect(rig.samples.sorted() == ["a", "b", "b", "c", "c"])
        rig.feed(.interim(session: "c", counters(123)))
        rig.settle()
        #expect(rig.log.last?.record.kind == .interim && rig.log.last?.record.counters == counters(123))
        #expect(rig.log.last?.record.sessionTime == 1660)
    }

    @Test func RAD8_jitterSpreadsThem() throws {
        let rig = AccountingRig()
        let timing = InterimTiming(configured: .seconds(600), jitter: .seconds(100), accepted: nil)
        for number in 0..<200 { try rig.start("s\(number)", interim: timing) }
        rig.wait(.seconds(599))
        #expect(rig.samples.isEmpty)
        var perSlice: [Int] = []
        for _ in 0..<10 {
            let before = rig.samples.count
            rig.wait(.seconds(10))
            perSlice.append(rig.samples.count - before)
        }
        rig.wait(.seconds(2))
        #expect(Set(rig.samples).count == 200)
        #expect(perSlice.allSatisfy { (5...40).contains($0) }, "\(perSlice)")
    }

    @Test func RFC2869_5_16_notMoreOftenThanOnceAMinute() {
        #expect(InterimTiming(configured: nil, jitter: .zero, accepted: .seconds(1))?.interval == .seconds(60))
        #expect(InterimTiming(configured: .seconds(600), jitter: .seconds(3600), accepted: .zero)?.jitter == .seconds(60))
        #expect(InterimTiming(configured: .zero, jitter: .zero, accepted: nil) == nil)
        #expect(InterimTiming(configured: nil, jitter: .seconds(5), accepted: .seconds(4_294_967_295))?.interval == .seconds(4_294_967_295))
    }

    // MARK: Trouble

    @Test func trouble_aFullDiskStopsNothingAndIsTold() throws {
        let rig = AccountingRig()
        rig.settle()
        try rig.start("a")
        rig.refuseToStore()
        #expect(rig.alarms == [.storing(isFailing: true)])
        #expect(rig.queue.refusesLogins)
        #expect(rig.inFlight.map(AccountingRig.word) == ["start a"], "sent from memory")
        rig.answer()
        for octets in UInt64(1)...50 {
            rig.feed(.interim(session: "a", counters(octets)))
            rig.answer()
            rig.wait(.seconds(5))
            rig.refuseToStore()
            #expect(rig.alarms.count == 1, "told once")
        }
        #expect(rig.words.count == 52)
        rig.wait(.seconds(5))
        // All was delivered: what is left to keep is the state of one session.
        #expect(rig.storing?.count == 1)
        rig.store()
        #expect(rig.alarms.last == .storing(isFailing: false) && !rig.queue.refusesLogins)
        let last = try AccountingRecord(decoding: try #require(rig.sessions["a"]).content)
        #expect(last.counters == counters(50) && last.cause == .nasReboot && rig.records.isEmpty)
        rig.feed(.stop(session: "a", counters(51), .userRequest))
        rig.settle()
        #expect(rig.sessions.isEmpty && rig.words.last == "stop a")
    }

    @Test func trouble_refusedAndDroppedInterimsAreForgottenAndTold() throws {
        let rig = AccountingRig()
        rig.settle()
        try rig.start("a")
        rig.settle()
        rig.feed(.interim(session: "a", counters(1)))  // 3: stays in flight
        rig.store()
        rig.feed(.interim(session: "a", counters(2)))  // 4: refused
        rig.store(refused: [4])
        rig.feed(.interim(session: "a", counters(3)))  // 5: kept
        rig.store()
        rig.feed(.interim(session: "a", counters(4)))  // 6: makes 5 go
        rig.drop(5)
        rig.settle()
        #expect(rig.alarms == [.lostInterims(1), .lostInterims(1)])
        #expect(rig.queue.statistics.lostInterims == 2)
        #expect(rig.log.suffix(2).map(\.record.counters.inputOctets) == [1, 4])
        #expect(rig.queue.waiting == 0)
    }

    @Test func trouble_moreThanMemoryHoldsWaitsOnTheDisk() throws {
        let rig = AccountingRig()
        rig.settle()
        let count = AccountingQueue.window + 5000
        for number in 0..<count {
            try rig.start("s\(number)")
            rig.store()
            rig.fail()
        }
        while rig.storing != nil { rig.store() }
        #expect(rig.queue.waiting == AccountingQueue.window)
        #expect(rig.records.count == count)
        rig.wait(.seconds(60))
        rig.settle()
        rig.wait(.seconds(60))
        rig.settle()
        #expect(rig.log.count == count + 1 && Set(rig.words).count == count + 1)
        #expect(rig.records.isEmpty && rig.queue.waiting == 0 && rig.sessions.count == count)
    }
}

import RADIUS
import Testing
import Wire

/// Random lives of a gateway: sessions come and go, servers answer, lose, die; the process is killed at any moment.
@Suite("threats.md I3: sum of Starts = sum of Stops")
struct AccountingScheduleTests {
    @Test(arguments: 1...150)
    func threat_I3_schedules(seed: UInt64) throws {
        var random = Seeded(seed, quietly: true)
        let rig = AccountingRig(policies: ["aaa", "bbb"], seed: seed)
        var run = 0
        var runs = [rig.wall: 0]
        var live: [String] = []
        var count = 0
        var octets: UInt64 = 0
        for _ in 0..<400 {
            switch random.below(20) {
            case 0...2:
                count += 1
                let session = "r\(run)-\(count)"
                try rig.start(session, policy: random.below(2) == 0 ? "aaa" : "bbb")
                live.append(session)
            case 3, 4:
                guard !live.isEmpty else { continue }
                octets += 1
                rig.feed(.stop(session: live.remove(at: random.below(live.count)), AccountingCounters(inputOctets: octets), .userRequest))
            case 5, 6:
                guard !live.isEmpty else { continue }
                octets += 1
                rig.feed(.interim(session: live[random.below(live.count)], AccountingCounters(inputOctets: octets)))
            case 7...10: rig.store()
            case 11: rig.load()
            case 12...14: rig.answer(random.below(max(rig.inFlight.count, 1)))
            case 15: rig.answer(random.below(max(rig.inFlight.count, 1)), isLost: true)
            case 16: rig.fail(random.below(max(rig.inFlight.count, 1)))
            case 17, 18: rig.wait(.seconds(Int64(random.below(40))))
            default:
                guard random.below(4) == 0 else { continue }
                rig.crash()
                run += 1
                runs[rig.wall] = run
                live = []
            }
        }
        rig.crash()
        runs[rig.wall] = run + 1
        for _ in 0..<50 {
            rig.settle()
            rig.wait(.seconds(31))
        }
        #expect(rig.records.isEmpty && rig.sessions.isEmpty && rig.queue.waiting == 0, "seed \(seed): nothing is left")
        for policy in ["aaa", "bbb"] { check(rig.log.filter { $0.policy == policy }, runs, seed) }
    }

    /// What one server policy got; the copies that a lost response or a crash causes are taken out first.
    private func check(_ log: [AccountingRig.Sent], _ runs: [UInt32: Int], _ seed: UInt64) {
        var seen: Set<AccountingRecord> = []
        let log = log.filter { seen.insert($0.record).inserted }
        var sessions: [String: [AccountingRecord]] = [:]
        var on = -1
        for sent in log {
            guard sent.record.kind != .on else {
                // a run that is killed before its On is stored leaves nothing at all
                let next = runs[sent.record.eventTime] ?? -1
                #expect(next > on, "seed \(seed): On \(next) after On \(on)")
                on = next
                continue
            }
            let session = sent.record.subject.sessionID
            sessions[session, default: []].append(sent.record)
            let run = session.dropFirst().prefix { $0 != "-" }
            // the Stops that a crash makes necessary come before the next run's On
            #expect(Int(run) == on, "seed \(seed): \(session) after On \(on)")
        }
        #expect(on == runs.values.max(), "seed \(seed): the last On")
        for (session, records) in sessions {
            #expect(records.first?.kind == .start && records.last?.kind == .stop, "seed \(seed): \(session)")
            #expect(records.filter { $0.kind == .start }.count == 1 && records.filter { $0.kind == .stop }.count == 1, "seed \(seed): \(session)")
            let counted = records.dropFirst().map(\.counters.inputOctets)
            #expect(counted == counted.sorted(), "seed \(seed): \(session) in order")
        }
    }
}

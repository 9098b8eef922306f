import Foundation
import StateStore
import Testing
import Wire

private func record(
    _ id: Int64, _ session: String = "s", policy: String = "aaa", isInterim: Bool = false, octets: Int = 36
) -> AccountingRow {
    AccountingRow(
        id: id, policy: policy, session: session, isInterim: isInterim,
        content: (0..<octets).map { UInt8(truncatingIfNeeded: $0 &+ Int(id)) })
}

/// What `record` takes: 36 octets of content, 4 of texts, the row's overhead of 64.
private let recordSize = 104
/// What a live session of 36 octets takes: the same, another overhead and the margin for its Stop.
private let sessionSize = 232

@Suite("RAD-7: accounting that survives anything")
struct AccountingSpoolTests {
    @Test func RAD7_recordsComeBackInOrderUntilTheyAreDelivered() async throws {
        let directory = try Directory()
        let store = try StateStore(directory: directory.path)
        try await store.commit([.record(record(1, "a"), live: .write([1])), .record(record(2, "b"), live: .write([2]))])
        try await store.commit([.record(record(3, "a", isInterim: true), live: .write([3])), .record(record(4, "", policy: "other"), live: .none)])
        try await store.commit([.record(record(5, "b"), live: .remove), .delivered(1), .delivered(99)])
        try await store.close()
        let again = try StateStore(directory: directory.path)
        #expect(try again.liveSessionRows() == [LiveSessionRow(session: "a", policy: "aaa", content: [3])])
        #expect(try again.spoolOutline() == SpoolOutline(newestID: 5, policies: ["aaa": 3, "other": 1]))
        let all = try await again.accountingRows(policy: "aaa", after: 0, limit: 10)
        #expect(all == [record(2, "b"), record(3, "a", isInterim: true), record(5, "b")])
        #expect(try await again.accountingRows(policy: "aaa", after: 2, limit: 1) == [record(3, "a", isInterim: true)])
        #expect(try await again.accountingRows(policy: "aaa", after: 5, limit: 1).isEmpty)
        #expect(try await again.accountingRows(policy: "'; DROP TABLE accounting_record;--", after: 0, limit: 1).isEmpty)
        try await again.close()
    }

    @Test func RAD7_progressIsKeptWithoutARecord() async throws {
        let directory = try Directory()
        let store = try StateStore(directory: directory.path)
        try await store.commit([.record(record(1, "a"), live: .write([1]))])
        try await store.commit([.progress(LiveSessionRow(session: "a", policy: "aaa", content: [9, 9]))])
        #expect(try store.liveSessionRows() == [LiveSessionRow(session: "a", policy: "aaa", content: [9, 9])])
        #expect(await store.spool.records == 1)
        #expect(await store.spool.liveSessions == 1)
        try await store.commit([.ended(session: "a"), .ended(session: "b")])
        #expect(try store.liveSessionRows().isEmpty)
        #expect(await store.spool.liveSessions == 0)
        try await store.close()
    }

    /// The files as they are at every moment of twenty lives: each session has a Start that waits, or a row that a Stop can be made from, or both
    /// records; never neither and never a Stop beside a live row (threats.md I3).
    @Test func threat_I3_crashBetweenStartAndStop() async throws {
        let directory = try Directory()
        let store = try StateStore(directory: directory.path)
        for number in 0..<20 {
            let id = Int64(number * 2 + 1)
            try await store.commit([.record(record(id, "s\(number)"), live: .write([1]))])
            let began = try directory.crashed()
            let afterStart = try StateStore(directory: began.path)
            #expect(try afterStart.liveSessionRows().map(\.session) == ["s\(number)"])
            try await afterStart.close()
            try await store.commit([.record(record(id + 1, "s\(number)"), live: .remove), .delivered(id)])
            let ended = try directory.crashed()
            let afterStop = try StateStore(directory: ended.path)
            #expect(try afterStop.liveSessionRows().isEmpty)
            #expect(try await afterStop.accountingRows(policy: "aaa", after: id, limit: 9) == [record(id + 1, "s\(number)")])
            try await afterStop.close()
        }
        try await store.close()
    }

    @Test func spool_sizesAreExactAndCountedAnewAtTheStart() async throws {
        let directory = try Directory()
        let store = try StateStore(directory: directory.path)
        var seed = UInt64(20)
        print("seed \(seed)")
        var next: Int64 = 1
        for _ in 0..<60 {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let choice = Int(seed >> 33) % 5
            let octets = Int(seed >> 40) % 300
            switch choice {
            case 0, 1:
                try await store.commit([.record(record(next, "s\(next)", octets: octets), live: .write([UInt8](repeating: 1, count: octets)))])
                next += 1
            case 2:
                try await store.commit([.record(record(next, "s\(next / 2)", isInterim: true, octets: octets), live: .write([1, 2]))])
                next += 1
            case 3: try await store.commit([.delivered(Int64(seed >> 35) % next)])
            default:
                try await store.commit([.record(record(next, "s\(next / 2)", octets: octets), live: .remove)])
                next += 1
            }
        }
        let before = await store.spool
        try await store.close()
        let again = try StateStore(directory: directory.path)
        let after = await again.spool
        #expect(after == before)
        #expect(after.records > 0 && after.liveSessions > 0 && after.interimOctets > 0)
        try await again.close()
    }

    @Test func spool_eachCrossingIsToldOnce() async throws {
        let directory = try Directory()
        let store = try StateStore(directory: directory.path, spool: SpoolSettings(maximumSize: recordSize * 20))
        var told: [Int64: SpoolLevel] = [:]
        for id in Int64(1)...21 {
            let outcome = try await store.commit([.record(record(id), live: .none)])
            #expect(outcome.refused.isEmpty && outcome.dropped.isEmpty)
            if let level = outcome.level { told[id] = level }
        }
        #expect(told == [16: .high, 20: .full])
        #expect(await store.spool.refusesLogins)
        #expect(await store.spool.percentage == 105)
        told = [:]
        for id in Int64(1)...21 {
            if let level = try await store.commit([.delivered(id)]).level { told[21 - id] = level }
        }
        #expect(told == [18: .high, 14: .normal])
        #expect(await store.spool.octets == 0)
        try await store.close()
    }

    @Test func spool_fullRefusesInterimsAndTakesWhatEndsSessions() async throws {
        let directory = try Directory()
        let store = try StateStore(directory: directory.path, spool: SpoolSettings(maximumSize: recordSize * 10 + sessionSize))
        let content = [UInt8](repeating: 7, count: 36)
        try await store.commit([.record(record(1), live: .write(content))])
        for id in Int64(2)...10 { try await store.commit([.record(record(id, "t"), live: .none)]) }
        #expect(await store.spool.level == .full)
        let refused = try await store.commit([
            .record(record(11, isInterim: true), live: .write([UInt8](repeating: 8, count: 36))), .record(record(12, isInterim: true), live: .none),
        ])
        #expect(refused == CommitOutcome(refused: [11, 12]))
        #expect(try store.liveSessionRows().map(\.content) == [[UInt8](repeating: 8, count: 36)], "the counters are kept without the record")
        #expect(await store.spool.lostInterims == 2)
        // The Stop takes no more room than its session had.
        let before = await store.spool.octets
        #expect(try await store.commit([.record(record(13), live: .remove)]).refused.isEmpty)
        #expect(await store.spool.octets <= before)
        #expect(try await store.accountingRows(policy: "aaa", after: 10, limit: 9) == [record(13)])
        // A login that was let in before has its Start all the same.
        #expect(try await store.commit([.record(record(14, "u"), live: .write(content))]).refused.isEmpty)
        try await store.close()
    }

    @Test func spool_theOldestInterimsMakeRoom() async throws {
        let directory = try Directory()
        let settings = SpoolSettings(maximumSize: recordSize * 6, whenFull: .dropOldestInterim)
        let store = try StateStore(directory: directory.path, spool: settings)
        try await store.commit((1...6).map { .record(record($0, isInterim: $0 % 2 == 0), live: .none) })
        #expect(await store.spool.level == .high, "what can make room refuses nobody")
        #expect(try await store.commit([.record(record(7), live: .none)]) == CommitOutcome(dropped: [2]))
        #expect(try await store.commit([.record(record(8, isInterim: true), live: .none)]) == CommitOutcome(dropped: [4]))
        #expect(
            try await store.commit([.record(record(9), live: .none), .record(record(10), live: .none)])
                == CommitOutcome(dropped: [6, 8], level: .full))
        #expect(try await store.commit([.record(record(11, isInterim: true), live: .none)]) == CommitOutcome(refused: [11]))
        #expect(try await store.commit([.record(record(12), live: .none)]) == CommitOutcome())
        #expect(await store.spool.lostInterims == 5)
        #expect(try await store.accountingRows(policy: "aaa", after: 0, limit: 99).map(\.id) == [1, 3, 5, 7, 9, 10, 12])
        try await store.close()
    }

    @Test func spool_otherLimitsCountAtOnce() async throws {
        let directory = try Directory()
        let store = try StateStore(directory: directory.path)
        try await store.commit((1...10).map { .record(record($0), live: .none) })
        #expect(await store.limitSpool(SpoolSettings(maximumSize: recordSize * 10)) == .full)
        #expect(await store.limitSpool(SpoolSettings(maximumSize: recordSize * 10)) == nil)
        #expect(await store.limitSpool(SpoolSettings()) == .normal)
        try await store.close()
        let full = try StateStore(directory: directory.path, spool: SpoolSettings(maximumSize: recordSize * 12))
        #expect(await full.spool.level == .high)
        try await full.close()
    }

    /// Nothing of a commit that failed is counted, and what makes room succeeds beside what needs it.
    @Test func trouble_aFullDiskIsItsOwnErrorAndHeals() async throws {
        let directory = try Directory()
        let store = try StateStore(directory: directory.path, window: .milliseconds(10), maximumSize: 1 << 18)
        var id: Int64 = 0
        await #expect(throws: StateStoreError.diskFull(path: store.path)) {
            while id < 100_000 {
                let from = id + 1
                try await store.commit((from..<from + 100).map { .record(record($0, octets: 200), live: .none) })
                id += 100
            }
        }
        let spool = await store.spool
        #expect(spool.records == Int(id))
        let last = id
        let outcomes = await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                do throws(StateStoreError) {
                    try await store.commit((last + 1...last + 4000).map { .record(record($0, octets: 200), live: .none) })
                    return true
                } catch {
                    return error != .diskFull(path: store.path)
                }
            }
            group.addTask { (try? await store.commit((1...last / 2).map { .delivered($0) })) != nil }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.filter { $0 }.count == 1, "what removes went through, what adds did not")
        #expect(await store.spool.records == Int(last - last / 2))
        try await store.commit([.record(record(last + 1), live: .none)])
        let counted = await store.spool
        try await store.close()
        let again = try StateStore(directory: directory.path)
        #expect(await again.spool == counted)
        try await again.close()
    }

    @Test func schema_aFileOfTheFirstVersionIsBroughtUpToDate() async throws {
        let directory = try Directory()
        let store = try StateStore(directory: directory.path)
        try await store.commit([.write(LeaseRow(server: "rw", pool: "p", address: IPAddress(v4: 7), identity: "a", isLive: true))])
        try await store.close()
        // what version 1 left: no such tables, no such migration
        let program = Process()
        program.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        program.arguments = [
            "python3", "-c",
            """
            import sqlite3
            d = sqlite3.connect("\(directory.path)/\(StateStore.fileName)")
            d.executescript("DROP TABLE accounting_record; DROP TABLE accounting_session; DELETE FROM grdb_migrations WHERE identifier LIKE '2%';")
            d.commit()
            """,
        ]
        try program.run()
        program.waitUntilExit()
        #expect(program.terminationStatus == 0)
        let again = try StateStore(directory: directory.path)
        #expect(try again.leaseRows().count == 1)
        try await again.commit([.record(record(1), live: .none)])
        #expect(await again.spool.records == 1)
        try await again.close()
    }
}

import Foundation
import StateStore
import Testing
import Wire

private func row(_ number: Int, _ identity: String = "alice", isLive: Bool = true) -> LeaseRow {
    LeaseRow(server: "rw", pool: "staff", address: IPAddress(v4: 0x0a14_0000 + UInt32(number)), identity: identity, isLive: isLive)
}

@Suite("State that survives anything")
struct StateStoreTests {
    @Test func leasesComeBackInTheOrderOfTheirLastChange() async throws {
        let directory = try Directory()
        let store = try StateStore(directory: directory.path)
        try await store.commit([.write(row(1)), .write(row(2, "böb\u{0}'; DROP TABLE lease;--"))])
        try await store.commit([.write(row(3)), .write(row(1, isLive: false))])
        try await store.commit([.remove(row(3))])
        let v6 = LeaseRow(server: "rw", pool: "staff", address: try #require(IPAddress("2001:db8::1")), identity: "c", isLive: true)
        try await store.commit([.write(v6)])
        try await store.close()
        let again = try StateStore(directory: directory.path)
        #expect(try again.leaseRows() == [row(2, "böb\u{0}'; DROP TABLE lease;--"), row(1, isLive: false), v6])
        try await again.close()
    }

    @Test func groupCommit_changesThatArriveTogetherShareTransactions() async throws {
        let directory = try Directory()
        let store = try StateStore(directory: directory.path, window: .milliseconds(10))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<500 {
                group.addTask { try await store.commit([.write(row(number))]) }
            }
            try await group.waitForAll()
        }
        let statistics = await store.statistics
        print("500 commits in \(statistics.transactions) transactions")
        #expect(statistics.changes == 500)
        #expect((1...60).contains(statistics.transactions))
        #expect(try store.leaseRows().count == 500)
        try await store.close()
    }

    @Test func groupCommit_aLoneChangeDoesNotWaitForCompany() async throws {
        let directory = try Directory()
        let store = try StateStore(directory: directory.path)
        var times: [Duration] = []
        for number in 0..<20 {
            times.append(try await ContinuousClock().measure { try await store.commit([.write(row(number))]) })
        }
        let fastest = times.min() ?? .seconds(1)
        print("one commit takes \(fastest)")
        // 10 ms are what the store may add; the rest is for a slow disk under a loaded machine.
        #expect(fastest < .milliseconds(500))
        #expect(await store.statistics.transactions == 20)
        try await store.close()
    }

    @Test func note_goesAlongWithTheNextCommitAndKeepsItsPlace() async throws {
        let directory = try Directory()
        let store = try StateStore(directory: directory.path)
        await store.note([.write(row(1)), .write(row(2))]) { Issue.record("\($0)") }
        await store.note([.remove(row(2))]) { Issue.record("\($0)") }
        try await store.commit([.write(row(1, isLive: false)), .write(row(3))])
        #expect(try store.leaseRows() == [row(1, isLive: false), row(3)])
        #expect(await store.statistics.changes == 5)
        try await store.close()
    }

    @Test func note_aloneIsWrittenInTimeAndAtTheEnd() async throws {
        let directory = try Directory()
        let store = try StateStore(directory: directory.path)
        await store.note([.write(row(1))]) { Issue.record("\($0)") }
        let begin = ContinuousClock.now
        while await store.statistics.changes < 1, ContinuousClock.now - begin < .seconds(60) { try await Task.sleep(for: .milliseconds(10)) }
        #expect(try store.leaseRows() == [row(1)])
        await store.note([.write(row(2))]) { Issue.record("\($0)") }
        try await store.close()
        let again = try StateStore(directory: directory.path)
        #expect(try again.leaseRows() == [row(1), row(2)])
        try await again.close()
        await confirmation { refused in
            await again.note([.write(row(3))]) { error in
                #expect(error == .closed)
                refused()
            }
        }
    }

    @Test func crash_whatWasAcknowledgedIsThere() async throws {
        let directory = try Directory()
        let store = try StateStore(directory: directory.path)
        for number in 0..<50 {
            try await store.commit([.write(row(number, "user\(number)"))])
            guard number % 10 == 9 else { continue }
            let crashed = try directory.crashed()
            let after = try StateStore(directory: crashed.path)
            #expect(try after.leaseRows() == (0...number).map { row($0, "user\($0)") })
            try await after.close()
        }
        try await store.close()
    }

    /// A process that is killed with -9 while it writes: every number it printed is there afterwards.
    @Test func crash_killedWhileWriting() async throws {
        let directory = try Directory()
        let store = try StateStore(directory: directory.path)
        let writer = Task { () -> Int in
            var written = 0
            while !Task.isCancelled, written < 5000 {
                try await store.commit([.write(row(written))])
                written += 1
            }
            return written
        }
        // Copies taken at any moment, also in the middle of a transaction. The copy is not one instant, so the side file is taken last:
        // what it lacks at the time the copy began must not have been acknowledged by then.
        for _ in 0..<5 {
            try await Task.sleep(for: .milliseconds(30))
            let acknowledged = await store.statistics.changes
            let crashed = try directory.crashed()
            let after = try StateStore(directory: crashed.path)
            #expect(try after.leaseRows().count >= acknowledged)
            try await after.close()
        }
        writer.cancel()
        let written = try await writer.value
        #expect(try store.leaseRows().count == written)
        try await store.close()
    }

    @Test func filesAreTheOwnersAlone() async throws {
        let directory = try Directory()
        let path = directory.path + "/" + StateStore.fileName
        _ = FileManager.default.createFile(atPath: path, contents: nil, attributes: [.posixPermissions: 0o644])
        let store = try StateStore(directory: directory.path)
        try await store.commit([.write(row(1))])
        for name in try FileManager.default.contentsOfDirectory(atPath: directory.path) {
            let attributes = try FileManager.default.attributesOfItem(atPath: directory.path + "/" + name)
            #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600, "\(name)")
        }
        try await store.close()
    }

    @Test func aMissingDirectoryIsMade() async throws {
        let directory = try Directory()
        let store = try StateStore(directory: directory.path + "/new")
        try await store.commit([.write(row(1))])
        try await store.close()
    }

    @Test func trouble_isTypedAndSaysWhatToDo() async throws {
        let directory = try Directory()
        let error = #expect(throws: StateStoreError.self) { try StateStore(directory: "/proc/nowhere/state") }
        #expect(error?.description.contains("management.state-directory") == true)
        guard case .directory = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        // A directory where the file should be.
        try FileManager.default.createDirectory(atPath: directory.path + "/" + StateStore.fileName, withIntermediateDirectories: true)
        #expect(throws: StateStoreError.file(directory.path + "/" + StateStore.fileName, EISDIR)) {
            try StateStore(directory: directory.path)
        }
    }

    @Test func trouble_aDamagedFileIsNamed() async throws {
        for damage in ["not a database at all, but long enough to be looked at as one", String(repeating: "x", count: 9000)] {
            let directory = try Directory()
            let path = directory.path + "/" + StateStore.fileName
            try Data(damage.utf8).write(to: URL(fileURLWithPath: path))
            let error = #expect(throws: StateStoreError.self) { try StateStore(directory: directory.path) }
            #expect(error == .corrupt(path: path))
            #expect(error?.description.contains("move the file away") == true)
        }
    }

    /// Octets of a good file changed at random: opened, or refused with a type; never a trap.
    @Test(arguments: 1...20)
    func trouble_randomDamage(seed: Int) async throws {
        let directory = try Directory()
        let store = try StateStore(directory: directory.path)
        try await store.commit((0..<200).map { .write(row($0)) })
        try await store.close()
        let path = directory.path + "/" + StateStore.fileName
        var octets = try Data(contentsOf: URL(fileURLWithPath: path))
        var state = UInt64(seed) &* 0x9e37_79b9_7f4a_7c15
        for _ in 0..<40 {
            state = state &* 6_364_136_223_846_793_005 &+ 1
            octets[octets.startIndex + Int(state >> 33) % octets.count] = UInt8(truncatingIfNeeded: state >> 25)
        }
        try octets.write(to: URL(fileURLWithPath: path))
        do {
            let damaged = try StateStore(directory: directory.path)
            _ = try? damaged.leaseRows()
            do { try await damaged.commit([.write(row(7))]) } catch { #expect(!error.description.isEmpty) }
            try? await damaged.close()
        } catch {
            #expect(!error.description.isEmpty, "seed \(seed)")
        }
    }

    @Test func trouble_afterCloseCommitsAreRefused() async throws {
        let directory = try Directory()
        let store = try StateStore(directory: directory.path)
        try await store.close()
        await #expect(throws: StateStoreError.closed) { try await store.commit([.write(row(1))]) }
    }

    @Test func trouble_tooManyWaitingAreRefused() async throws {
        let directory = try Directory()
        let store = try StateStore(directory: directory.path)
        let flood = (0...StateStore.maximumWaiting).map { StateChange.write(row($0)) }
        await #expect(throws: StateStoreError.overloaded) { try await store.commit(flood) }
        try await store.close()
    }

    /// A full disk refuses, and what was there stays; the store works again once there is space.
    @Test func trouble_aFullDisk() async throws {
        let directory = try Directory()
        let small = try StateStore(directory: directory.path, maximumSize: 1 << 17)
        try await small.commit([.write(row(0))])
        await #expect(throws: StateStoreError.diskFull(path: small.path)) {
            for number in 1..<5000 {
                try await small.commit((0..<50).map { .write(row(number * 50 + $0, String(repeating: "x", count: 200))) })
            }
        }
        let kept = try small.leaseRows()
        #expect(kept.count % 50 == 1, "all of a commit or nothing")
        try await small.commit([.remove(row(50)), .write(row(0, "bob"))])
        try await small.close()
        let large = try StateStore(directory: directory.path)
        try await large.commit((100_000..<100_500).map { .write(row($0)) })
        #expect(try large.leaseRows().contains(row(0, "bob")))
        try await large.close()
    }
}

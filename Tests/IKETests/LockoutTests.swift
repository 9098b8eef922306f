import IKE
import Testing
import Wire

@Suite("X-12: lockout")
struct LockoutTests {
    private let start = Instant(nanoseconds: 1_000_000_000)
    private let policy = IKEPolicy.Lockout()

    private func remote(_ last: UInt32, port: UInt16 = 500) -> Endpoint { Endpoint(IPAddress(v4: 0xc000_0200 + last), port: port) }

    @Test("X-12: the third wrong AUTH within five minutes locks the port and the identity of that address for ten minutes, and nobody else")
    func x_12_lockout() {
        var table = LockoutTable()
        let alice = Array("alice".utf8)
        for attempt in 1...3 {
            #expect(!table.isLocked(remote(1), identity: alice, at: start))
            let locked = table.failed(remote(1), identity: alice, policy: policy, at: start + .seconds(attempt))
            #expect(locked == (attempt == 3))
        }
        let now = start + .seconds(10)
        #expect(table.isLocked(remote(1), identity: alice, at: now))
        #expect(table.isLocked(remote(1, port: 4711), identity: alice, at: now), "the same identity from another port of the address")
        #expect(table.isLocked(remote(1), identity: Array("bob".utf8), at: now), "the same port with another identity")
        #expect(!table.isLocked(remote(1, port: 4711), identity: Array("bob".utf8), at: now), "a neighbour behind the same NAT")
        #expect(!table.isLocked(remote(2), identity: alice, at: now), "alice herself, from elsewhere")
        #expect(!table.isLocked(remote(1), identity: alice, at: start + .seconds(3 + 601)))
    }

    @Test("X-12: failures that are further apart than `duration` do not add up")
    func x_12_window() {
        var table = LockoutTable()
        for attempt in 0..<10 {
            let locked = table.failed(remote(1), identity: [1], policy: policy, at: start + .seconds(attempt * 151))
            #expect(!locked)
        }
    }

    @Test("X-12: past max-port-per-ip the whole address is locked")
    func x_12_address() {
        var table = LockoutTable()
        for port in 1...17 {
            for _ in 0..<3 { _ = table.failed(remote(1, port: UInt16(port)), identity: [UInt8(port)], policy: policy, at: start) }
            #expect(table.isLocked(remote(1, port: 9999), identity: [200], at: start) == (port == 17))
        }
    }

    @Test("I7: the table is bounded, and old records make room")
    func i7_cap() {
        var table = LockoutTable()
        for number in 0..<70_000 {
            _ = table.failed(Endpoint(IPAddress(v4: UInt32(number)), port: 1), identity: [], policy: policy, at: start)
        }
        #expect(table.count <= LockoutTable.capacity)
        _ = table.failed(remote(7), identity: [9], policy: policy, at: start + .seconds(3600))
        #expect(table.count <= 2)
    }
}

import Testing
import Wire

@testable import Gateway

@Suite("Session-Timeout and Idle-Timeout")
struct SessionLimitsTests {
    private static let begin = Instant(nanoseconds: 1_000_000_000_000)
    private static let silent = SessionLimits.Traffic(packetsIn: 0, packetsOut: 0)

    /// Lets time pass to each deadline up to `end`; what ended, and after how many seconds.
    private func run(
        _ limits: inout SessionLimits, until end: Duration, traffic: (UInt64, Duration) -> SessionLimits.Traffic?
    ) -> [String] {
        var over: [String] = []
        while let next = limits.next, next <= Self.begin + end {
            let passed = next - Self.begin
            over += limits.due(at: next) { traffic($0, passed) }.map { "\($0.id) \($0.reason) \(passed.components.seconds)" }
        }
        return over
    }

    @Test("X-3: Session-Timeout ends a session to the second, whatever passes; its neighbours stay")
    func X_3_sessionTimeout() {
        var limits = SessionLimits()
        limits.set(1, end: Self.begin + .seconds(60), idle: nil, traffic: Self.silent, at: Self.begin)
        limits.set(2, end: Self.begin + .seconds(90), idle: nil, traffic: Self.silent, at: Self.begin)
        limits.set(3, end: nil, idle: nil, traffic: Self.silent, at: Self.begin)
        let over = run(&limits, until: .seconds(80)) { _, passed in .init(packetsIn: UInt64(passed.components.seconds), packetsOut: 0) }
        #expect(over == ["1 sessionTimeout 60"] && limits.count == 1)
        #expect(run(&limits, until: .seconds(200)) { _, _ in Self.silent } == ["2 sessionTimeout 90"] && limits.next == nil && limits.count == 0)
    }

    @Test("X-3: Idle-Timeout counts from the last packet in either direction", arguments: [true, false])
    func X_3_idleTimeout(isInbound: Bool) {
        var limits = SessionLimits()
        limits.set(1, end: nil, idle: .seconds(100), traffic: Self.silent, at: Self.begin)
        // Something passes until 250 s have passed, then nothing does.
        let over = run(&limits, until: .seconds(1000)) { _, passed in
            let count = UInt64(min(250, passed.components.seconds))
            return isInbound ? .init(packetsIn: count, packetsOut: 0) : .init(packetsIn: 0, packetsOut: count)
        }
        // It is looked at every ten seconds: a tenth late at most.
        #expect(over == ["1 idleTimeout 350"], "\(over)")
    }

    @Test("X-5: a change counts at once, earlier or later; what was before is forgotten")
    func X_5_changed() {
        var limits = SessionLimits()
        limits.set(1, end: Self.begin + .seconds(60), idle: nil, traffic: Self.silent, at: Self.begin)
        limits.set(1, end: Self.begin + .seconds(600), idle: nil, traffic: Self.silent, at: Self.begin)
        #expect(run(&limits, until: .seconds(599)) { _, _ in Self.silent } == [])
        limits.set(1, end: Self.begin + .seconds(600), idle: .seconds(5), traffic: Self.silent, at: Self.begin + .seconds(599))
        #expect(run(&limits, until: .seconds(700)) { _, _ in Self.silent } == ["1 sessionTimeout 600"])
        limits.set(2, end: Self.begin + .seconds(800), idle: nil, traffic: Self.silent, at: Self.begin)
        limits.set(2, end: nil, idle: nil, traffic: Self.silent, at: Self.begin)
        #expect(run(&limits, until: .seconds(900)) { _, _ in Self.silent } == [] && limits.count == 0)
    }

    @Test("a session that is gone is passed over, once removed or once its tunnel is")
    func gone() {
        var limits = SessionLimits()
        limits.set(1, end: Self.begin + .seconds(60), idle: nil, traffic: Self.silent, at: Self.begin)
        limits.set(2, end: Self.begin + .seconds(60), idle: nil, traffic: Self.silent, at: Self.begin)
        limits.remove(1)
        #expect(run(&limits, until: .seconds(100)) { _, _ in nil } == [] && limits.count == 0 && limits.next == nil)
    }

    @Test("ten thousand sessions end each once, at its time")
    func many() {
        var limits = SessionLimits()
        for id in UInt64(0)..<10_000 {
            limits.set(id, end: Self.begin + .seconds(Int64(1 + id % 100)), idle: nil, traffic: Self.silent, at: Self.begin)
        }
        let over = run(&limits, until: .seconds(100)) { _, _ in Self.silent }
        #expect(over.count == 10_000 && Set(over).count == 10_000 && limits.count == 0)
        #expect(over.first == "0 sessionTimeout 1" || over.first?.hasSuffix(" 1") == true)
    }
}

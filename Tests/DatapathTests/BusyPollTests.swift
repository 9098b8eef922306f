import Testing
import Wire

@testable import Datapath

/// Issue "Thin flows": busy-poll for a bounded time when traffic is steady.
struct BusyPollTests {
    private let start = Instant(nanoseconds: 5_000_000_000)

    private func after(_ microseconds: Int64...) -> Instant { start + .microseconds(microseconds.reduce(0, +)) }

    @Test func withoutATimeNobodyLooks() {
        var poll = BusyPoll(longest: .zero)
        for _ in 0..<3 { poll.worked(at: start) }
        #expect(poll.end == nil)
    }

    @Test func whoIsAloneIsNotWaitedFor() {
        var poll = BusyPoll(longest: .microseconds(50))
        #expect(poll.end == nil)
        poll.worked(at: start)
        #expect(poll.end == nil, "the first")
        poll.worked(at: after(51))
        #expect(poll.end == nil, "too late to have been found by looking")
    }

    @Test func steadyTrafficIsWaitedForAndNoLonger() {
        var poll = BusyPoll(longest: .microseconds(50))
        poll.worked(at: start)
        poll.worked(at: after(50))
        #expect(poll.end == after(50, 50))
        poll.worked(at: after(60))
        #expect(poll.end == after(60, 50), "from the last packets on")
        poll.giveUp()
        #expect(poll.end == nil)
        poll.worked(at: after(60, 51))
        #expect(poll.end == nil, "after a pause it is decided anew")
        poll.worked(at: after(60, 51, 1))
        #expect(poll.end == after(60, 51, 1, 50))
    }
}

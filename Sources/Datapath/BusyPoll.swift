internal import Wire

/// When a worker looks again instead of going to sleep: while packets keep coming within a bounded time of each other (configuration `busy-poll`). One that
/// is alone, or late, costs nothing but its own wake-up.
struct BusyPoll: Sendable {
    /// After the last packets; zero: never.
    let longest: Duration
    private var last: Instant?
    private var isSteady = false

    init(longest: Duration) { self.longest = longest }

    var isOn: Bool { longest > .zero }

    /// There was work at `now`.
    mutating func worked(at now: Instant) {
        guard isOn else { return }
        isSteady = last.map { now - $0 <= longest } ?? false
        last = now
    }

    /// Until when to look; nil: sleep at once.
    var end: Instant? {
        guard isSteady, let last else { return nil }
        return last + longest
    }

    /// The time is over and nothing came: the next packets find a sleeper, and those after them decide anew.
    mutating func giveUp() { isSteady = false }
}

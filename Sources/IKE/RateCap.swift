import Wire

/// At most so many a second, with as many at once (threats.md P21). Kept as the moment when the next one would be due at an even pace.
struct RateCap: Sendable {
    private var due = Instant(nanoseconds: 0)
    private let pace: Duration

    init(perSecond: Int = 20) {
        pace = Duration.seconds(1) / max(1, perSecond)
    }

    mutating func admits(at now: Instant) -> Bool {
        let next = max(due, now)
        guard next - now <= .seconds(1) - pace else { return false }
        due = next + pace
        return true
    }
}

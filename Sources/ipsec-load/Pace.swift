import Wire

/// How many of something are due, at a steady rate from a beginning on.
struct Pace {
    /// Per second; 0: never any.
    let rate: Double
    private let begin: Instant
    private var taken = 0
    /// Due and not done in time: what cannot be done at the rate is left out rather than done in a burst.
    private(set) var skipped = 0

    /// Seconds that may be made up for, where another process had the processor.
    private let longestBurst: Double

    init(rate: Double, from begin: Instant, longestBurst: Double = 0.05) {
        self.rate = rate
        self.begin = begin
        self.longestBurst = longestBurst
    }

    /// Takes those that are due now, up to a number.
    mutating func take(at now: Instant, atMost limit: Int) -> Int {
        guard rate > 0, now >= begin else { return 0 }
        var due = Int(Time.seconds(now - begin) * rate) + 1 - taken
        let most = max(Int(rate * longestBurst), 1)
        if due > most {
            skipped += due - most
            taken += due - most
            due = most
        }
        let count = max(0, min(due, limit))
        taken += count
        return count
    }

    /// When the next one is due.
    var next: Instant {
        guard rate > 0 else { return Instant(nanoseconds: .max) }
        return begin + .nanoseconds(Int64(Double(taken) / rate * 1e9))
    }
}

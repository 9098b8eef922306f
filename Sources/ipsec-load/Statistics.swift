import Wire

/// Counts and latencies of a run.
struct Statistics {
    private(set) var started = 0
    private(set) var established = 0
    private(set) var failures: [String: Int] = [:]
    /// From when a login was due to its Child SA, in nanoseconds.
    private var latencies: [UInt64] = []
    private var sorted = true

    var failed: Int { failures.values.reduce(0, +) }

    mutating func start() { started += 1 }

    mutating func establish(after latency: Duration) {
        established += 1
        let (seconds, attoseconds) = latency.components
        latencies.append(UInt64(max(0, seconds)) * 1_000_000_000 + UInt64(max(0, attoseconds / 1_000_000_000)))
        sorted = false
    }

    mutating func fail(_ cause: String) { failures[cause, default: 0] += 1 }

    /// The latency below which the share of logins lies, in milliseconds; nil without any.
    mutating func percentile(_ share: Double) -> Double? {
        guard !latencies.isEmpty else { return nil }
        if !sorted {
            latencies.sort()
            sorted = true
        }
        let rank = (share * Double(latencies.count)).rounded(.up)
        return Double(latencies[min(max(Int(rank) - 1, 0), latencies.count - 1)]) / 1e6
    }
}

/// When to look after which client again: a binary heap. An entry may be stale; the client says so itself.
struct Agenda {
    private var heap: [(at: Instant, client: Int)] = []

    var next: Instant? { heap.first?.at }

    mutating func add(_ client: Int, at instant: Instant) {
        heap.append((instant, client))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].at < heap[parent].at else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    /// Takes out the earliest entry that is due.
    mutating func take(due now: Instant) -> Int? {
        guard let first = heap.first, first.at <= now else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            var parent = 0
            while true {
                var least = parent
                for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].at < heap[least].at {
                    least = child
                }
                guard least != parent else { break }
                heap.swapAt(parent, least)
                parent = least
            }
        }
        return first.client
    }
}

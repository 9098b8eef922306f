import Wire

/// What is due next among many: a binary heap. An entry that no longer holds stays until it is due; the owner then passes over it.
struct DeadlineHeap<Element: Sendable>: Sendable {
    private var entries: [(at: Instant, element: Element)] = []

    /// The earliest.
    var next: Instant? { entries.first?.at }
    var count: Int { entries.count }

    mutating func insert(_ element: Element, at instant: Instant) {
        entries.append((instant, element))
        var child = entries.count - 1
        while child > 0, entries[child].at < entries[(child - 1) / 2].at {
            entries.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// The earliest entry if it is due.
    mutating func popDue(at now: Instant) -> Element? {
        guard let first = entries.first, first.at <= now else { return nil }
        removeFirst()
        return first.element
    }

    /// Drops entries at the front that `holds` denies, so that `next` is true.
    mutating func prune(_ holds: (Element) -> Bool) {
        while let first = entries.first, !holds(first.element) { removeFirst() }
    }

    /// Drops every entry that `holds` denies.
    mutating func keep(_ holds: (Element) -> Bool) {
        let kept = entries.filter { holds($0.element) }
        entries = []
        for entry in kept { insert(entry.element, at: entry.at) }
    }

    private mutating func removeFirst() {
        entries.swapAt(0, entries.count - 1)
        entries.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < entries.count && entries[child].at < entries[least].at { least = child }
            guard least != parent else { return }
            entries.swapAt(parent, least)
            parent = least
        }
    }
}

import Wire

/// Requests of the last minutes and what they were answered with (RFC 5080 section 2.2.2): a copy gets the same octets again and does nothing.
/// A request is told by who sent it, its code, identifier and authenticator, which covers all of it; not by the port, so that a copy from another
/// port is a copy too.
struct DuplicateCache: Sendable {
    struct Key: Hashable, Sendable {
        let source: IPAddress
        let code: UInt8
        let identifier: UInt8
        let authenticator: [UInt8]
    }

    enum Entry: Sendable {
        case inProgress
        case answered([UInt8])
    }

    private struct Held: Sendable {
        var entry: Entry
        let until: Instant
    }

    static let capacity = 16_384

    private var entries: [Key: Held] = [:]
    /// In the order in which they came.
    private var order = FIFO<Key>()

    var count: Int { entries.count }

    mutating func entry(for key: Key, at now: Instant) -> Entry? {
        guard let held = entries[key], now < held.until else { return nil }
        return held.entry
    }

    /// Remembers a request until then, in place of the oldest ones if there is no room.
    mutating func begin(_ key: Key, until: Instant, at now: Instant) {
        sweep(at: now)
        while entries.count >= Self.capacity, let oldest = order.popFirst() { entries[oldest] = nil }
        if entries.updateValue(Held(entry: .inProgress, until: until), forKey: key) == nil { order.append(key) }
    }

    /// The answer; false when the request was forgotten meanwhile.
    mutating func answer(_ key: Key, with octets: [UInt8]) -> Bool {
        guard entries[key] != nil else { return false }
        entries[key]?.entry = .answered(octets)
        return true
    }

    /// Forgets what is over, from the oldest on; what is behind one that lasts longer waits for it.
    private mutating func sweep(at now: Instant) {
        while let oldest = order.first, entries[oldest].map({ $0.until <= now }) ?? true {
            _ = order.popFirst()
            entries[oldest] = nil
        }
    }
}

/// A point on the monotonic clock, in nanoseconds since an arbitrary start (threats.md P40); given to protocol code, never read by it.
package struct Instant: Hashable, Comparable, Sendable {
    package let nanoseconds: UInt64

    package init(nanoseconds: UInt64) {
        self.nanoseconds = nanoseconds
    }

    package static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

    /// Later by the duration; saturates at both ends.
    package static func + (instant: Instant, duration: Duration) -> Instant {
        let (seconds, attoseconds) = duration.components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let step = overflow ? Int64.max : whole.addingReportingOverflow(attoseconds / 1_000_000_000).partialValue
        if step >= 0 {
            let (sum, over) = instant.nanoseconds.addingReportingOverflow(UInt64(step))
            return Instant(nanoseconds: over ? .max : sum)
        }
        let (difference, under) = instant.nanoseconds.subtractingReportingOverflow(step.magnitude)
        return Instant(nanoseconds: under ? 0 : difference)
    }

    /// The earlier of two; nil is never.
    package static func earlier(_ left: Instant?, _ right: Instant?) -> Instant? {
        guard let left, let right else { return left ?? right }
        return left < right ? left : right
    }

    /// How much later the left is; negative when it is earlier.
    package static func - (left: Instant, right: Instant) -> Duration {
        left >= right
            ? .nanoseconds(Int64(clamping: left.nanoseconds - right.nanoseconds))
            : .zero - .nanoseconds(Int64(clamping: right.nanoseconds - left.nanoseconds))
    }
}

/// The deadlines of one object by name, such as those of an IKE SA; at most one of each.
package struct Deadlines<Name: RawRepresentable & CaseIterable & Hashable & Sendable>: Sendable where Name.RawValue == Int {
    private var at: [Instant?]

    package init() {
        at = [Instant?](repeating: nil, count: Name.allCases.count)
    }

    /// When a deadline strikes; nil is unset.
    package subscript(name: Name) -> Instant? {
        get { at.indices.contains(name.rawValue) ? at[name.rawValue] : nil }
        set { if at.indices.contains(name.rawValue) { at[name.rawValue] = newValue } }
    }

    /// The earliest deadline that is set.
    package var next: Instant? {
        var next: Instant?
        for instant in at { next = .earlier(next, instant) }
        return next
    }

    /// Takes out the deadlines that have struck, earliest first.
    package mutating func expired(at now: Instant) -> [Name] {
        var struck: [(Instant, Name)] = []
        for name in Name.allCases {
            guard let when = self[name], when <= now else { continue }
            struck.append((when, name))
            self[name] = nil
        }
        return struck.sorted { $0.0 < $1.0 }.map(\.1)
    }

    package mutating func clear() {
        for name in Name.allCases { self[name] = nil }
    }
}

import Synchronization

/// Session numbers, never repeated while the daemon runs.
final class SessionNumbers: Sendable {
    private let last = Atomic<UInt64>(0)

    func next() -> UInt64 { last.add(1, ordering: .relaxed).newValue }
}

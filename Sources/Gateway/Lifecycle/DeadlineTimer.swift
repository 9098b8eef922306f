import LinuxIO
import Wire

/// The one timer of an owner with many deadlines: armed for the earliest of them.
struct DeadlineTimer {
    private var armed: (at: Instant, task: Task<Void, Never>)?

    /// Strikes at `next`, unless it is armed for an earlier instant, after which the owner arms it again; nil: nothing new is due.
    mutating func arm(_ next: Instant?, strike: @escaping @Sendable () async -> Void) {
        guard let next else { return }
        if let armed, armed.at <= next { return }
        armed?.task.cancel()
        armed = (
            next,
            Task {
                try? await Task.sleep(for: max(.milliseconds(1), next - MonotonicClock.now))
                if !Task.isCancelled { await strike() }
            }
        )
    }

    /// It has struck: the next deadline arms it anew.
    mutating func struck() {
        armed = nil
    }

    mutating func cancel() {
        armed?.task.cancel()
        armed = nil
    }
}

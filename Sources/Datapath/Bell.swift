internal import Synchronization

/// Wakes a thread that waits, and costs nothing while it does not.
package final class Bell: Sendable {
    private let isWaiting = Atomic<Bool>(false)
    private let wake: @Sendable () -> Void

    /// `wake` ends the thread's wait; it may be called from any thread.
    package init(wake: @escaping @Sendable () -> Void) {
        self.wake = wake
    }

    /// Before the thread waits: afterwards it must look once more whether there is work.
    package func announceWait() {
        isWaiting.store(true, ordering: .sequentiallyConsistent)
        atomicMemoryFence(ordering: .sequentiallyConsistent)
    }

    package func endWait() {
        isWaiting.store(false, ordering: .relaxed)
    }

    /// At the end, when the thread must look in any case.
    package func ringAlways() {
        isWaiting.store(false, ordering: .relaxed)
        wake()
    }

    /// After work was put where the thread will find it.
    package func ring() {
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        guard isWaiting.load(ordering: .relaxed), isWaiting.exchange(false, ordering: .acquiringAndReleasing) else { return }
        wake()
    }
}

/// The passes of one worker: odd while one is under way. Whoever unlinks something waits until every worker that was in a pass has ended it;
/// then no packet path can hold it any more (architecture.md, "moved in, moved out").
package final class PassCounter: Sendable {
    private let passes = Atomic<UInt64>(0)

    package init() {}

    package var value: UInt64 { passes.load(ordering: .acquiring) }

    /// By the worker.
    package func begin() {
        passes.store(passes.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
        // What is read in the pass is read after whoever counts passes can see it
        atomicMemoryFence(ordering: .sequentiallyConsistent)
    }

    package func end() {
        passes.store(passes.load(ordering: .relaxed) &+ 1, ordering: .releasing)
    }
}

/// The time until every pass that was under way has ended.
package struct GracePeriod: Sendable {
    private var waitingFor: [(counter: PassCounter, since: UInt64)]

    /// Begins now: what was unlinked before is covered.
    package init(_ counters: [PassCounter]) {
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        waitingFor = counters.compactMap { counter in
            let value = counter.value
            return value & 1 == 1 ? (counter, value) : nil
        }
    }

    package mutating func isOver() -> Bool {
        waitingFor.removeAll { $0.counter.value != $0.since }
        return waitingFor.isEmpty
    }
}

import HeapModule
import IKE
import LinuxIO
import Wire

/// One timer for the earliest deadline of all the machines.
extension IKEEngine {
    func arm(_ entry: Entry, at now: Instant) {
        guard let next = entry.sa.nextDeadline else { return }
        if let armed = entry.armed, armed <= next { return }
        entry.armed = next
        due.insert(Due(at: next, id: entry.id))
        schedule()
    }

    private func schedule() {
        timer.arm(due.min?.at) { [weak self] in await self?.strike() }
    }

    private func strike() {
        timer.struck()
        // What came in time counts, though it has waited for us
        drain()
        let now = MonotonicClock.now
        while let first = due.min, first.at <= now {
            _ = due.popMin()
            guard let entry = entries[first.id], entry.armed == first.at else { continue }
            entry.armed = nil
            feed(.deadline, to: first.id, at: now)
        }
        schedule()
    }

    func stop() {
        timer.cancel()
    }
}

internal import Synchronization

/// Routes of sessions with Child SAs on several workers (RFC 9611): a row for each, in which every worker finds where it has packets go. One writer
/// at a time; any worker reads its own column at any time without a lock.
@safe
package final class SpreadRoutes: @unchecked Sendable {
    package let rows: Int
    package let workers: Int
    let cells: UnsafeMutablePointer<Atomic<UInt64>>

    package init(rows: Int, workers: Int) {
        self.rows = max(rows, 1)
        self.workers = max(workers, 1)
        unsafe cells = .allocate(capacity: self.rows * self.workers)
        for index in 0..<self.rows * self.workers { unsafe (cells + index).initialize(to: Atomic(0)) }
    }

    deinit {
        unsafe cells.deinitialize(count: rows * workers)
        unsafe cells.deallocate()
    }

    package func set(_ target: RouteTarget, row: Int, worker: Int) {
        guard row >= 0, row < rows, worker >= 0, worker < workers else { return }
        unsafe cells[row * workers + worker].store(target.packed, ordering: .releasing)
    }

    /// Where a worker has packets go; nowhere when there is no such row.
    @_noLocks
    package func target(row: Int, worker: Int) -> RouteTarget {
        guard row >= 0, row < rows, worker >= 0, worker < workers else { return RouteTarget(worker: worker, tunnel: 0, generation: 0) }
        return RouteTarget(packed: unsafe cells[row &* workers &+ worker].load(ordering: .acquiring))
    }
}

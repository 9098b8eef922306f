import IKE
import Synchronization

/// The door's counters: written by the door thread, read by anyone.
final class DoorStatistics: Sendable {
    private let drops = Mutex<[DoorDrop: UInt64]>([:])
    private let replies = Atomic<UInt64>(0)
    private let halfOpenGauge = Atomic<Int>(0)

    func count(_ reason: DoorDrop) {
        drops.withLock { $0[reason, default: 0] &+= 1 }
    }

    func countReply() {
        replies.add(1, ordering: .relaxed)
    }

    func publish(halfOpen: Int) {
        halfOpenGauge.store(halfOpen, ordering: .relaxed)
    }

    var halfOpen: Int { halfOpenGauge.load(ordering: .relaxed) }
    var statelessReplies: UInt64 { replies.load(ordering: .relaxed) }
    var byReason: [DoorDrop: UInt64] { drops.withLock { $0 } }
}

import HeapModule
import IKE
import Wire

/// How long sessions may last and be silent (Session-Timeout and Idle-Timeout, features.md X-3), with one deadline for all of them.
struct SessionLimits {
    /// Session-Timeout, from the session's beginning, and Idle-Timeout.
    struct Wanted: Equatable, Sendable {
        var end: Duration?
        var idle: Duration?
    }

    /// Packets of a session in both directions so far.
    struct Traffic: Equatable {
        var packetsIn: UInt64
        var packetsOut: UInt64
    }

    private struct Limit {
        var end: Instant?
        var idle: Duration?
        var traffic: Traffic
        /// When traffic was last seen to have changed.
        var lastActive: Instant
        /// The deadline that stands in the heap.
        var armed: Instant
    }

    private struct Due: Comparable {
        let at: Instant
        let id: UInt64
        static func < (left: Due, right: Due) -> Bool { left.at < right.at }
    }

    private var limits: [UInt64: Limit] = [:]
    private var heap = Heap<Due>()

    /// When `due` is to be called next.
    var next: Instant? { heap.min?.at }
    var count: Int { limits.count }

    /// Sets, changes or (with neither) takes away the limits of a session.
    mutating func set(_ id: UInt64, end: Instant?, idle: Duration?, traffic: Traffic, at now: Instant) {
        guard end != nil || idle != nil else {
            limits[id] = nil
            return
        }
        var limit = Limit(end: end, idle: idle, traffic: traffic, lastActive: now, armed: now)
        arm(id, &limit, at: now)
        limits[id] = limit
    }

    mutating func remove(_ id: UInt64) {
        limits[id] = nil
    }

    /// Sessions whose time is over, each once; `traffic` is nil of one that is gone.
    mutating func due(at now: Instant, traffic: (UInt64) -> Traffic?) -> [(id: UInt64, reason: ClosingReason)] {
        var over: [(UInt64, ClosingReason)] = []
        while let first = heap.min, first.at <= now {
            _ = heap.popMin()
            guard var limit = limits[first.id], limit.armed == first.at else { continue }
            guard let seen = traffic(first.id) else {
                limits[first.id] = nil
                continue
            }
            if seen != limit.traffic {
                limit.traffic = seen
                limit.lastActive = now
            }
            if let end = limit.end, end <= now {
                over.append((first.id, .sessionTimeout))
                limits[first.id] = nil
            } else if let idle = limit.idle, now - limit.lastActive >= idle {
                over.append((first.id, .idleTimeout))
                limits[first.id] = nil
            } else {
                arm(first.id, &limit, at: now)
                limits[first.id] = limit
            }
        }
        return over
    }

    /// Traffic is looked at ten times in an Idle-Timeout, and not more often than each second: so late is the end at most.
    private mutating func arm(_ id: UInt64, _ limit: inout Limit, at now: Instant) {
        let look = limit.idle.map { now + max(.seconds(1), min($0, $0 / 10)) }
        guard let at = Instant.earlier(limit.end, look) else { return }
        limit.armed = at
        heap.insert(Due(at: at, id: id))
    }
}

internal import Glibc
package import Wire

/// The clock of all protocol timers (threats.md P40): never set, starts anywhere.
package enum MonotonicClock {
    /// Now, by CLOCK_MONOTONIC.
    package static var now: Instant {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Instant(nanoseconds: UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec))
    }
}

/// The clock on the wall: for certificates, accounting records and logs only, since it may jump.
package enum WallClock {
    /// Seconds since 1970-01-01 00:00 UTC.
    package static var seconds: Int64 { Int64(time(nil)) }

    /// Nanoseconds since 1970-01-01 00:00 UTC.
    package static var nanoseconds: Int64 {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}

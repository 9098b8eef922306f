internal import COpenSSL

/// What the core's cache should hold soon. Any address may be named: nothing is read, and what is not memory is passed over.
package enum CacheHint {
    private static var line: Int { @_noLocks get { 64 } }

    /// Sends for octets from a place on, line by line, and waits for none.
    @_noLocks
    package static func sendFor(_ place: UnsafeRawPointer, octets: Int) {
        var at = 0
        while at < octets {
            unsafe gw_prefetch(place + at)
            at &+= line
        }
        // The last of them may reach into one more
        if octets > 0 { unsafe gw_prefetch(place + octets - 1) }
    }
}

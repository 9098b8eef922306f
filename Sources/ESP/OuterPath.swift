internal import Wire

/// What one session knows of the way to its peer: the path MTU that routers told us, and how we ask.
///
/// Over IPv6 only we may fragment, so every packet is a question; a report counts when it names one that we sent lately. Over IPv4 our packets may be
/// fragmented on the way (features.md DP-3, DF clear) and no router has a reason to report: there we ask by probes, dummy packets (RFC 4303 section
/// 2.6) with DF as large as what is being sent, and only a report about a probe counts. So nobody who cannot see our packets can lower anything
/// (threats.md P33), and no packet of the client is lost by asking.
struct OuterPath: Sendable {
    /// Largest outer packet, octets; 0: nothing is known, so all are tried.
    private(set) var mtu = 0
    /// What fits into it inside; meaningful with `mtu`.
    private(set) var innerMTU = 0
    private var until: UInt64 = 0
    // Probes: the largest that was sent and how often, when the next may be, when to begin anew
    private var probed = 0
    private var tries = 0
    private var nextProbe: UInt64 = 0
    private var renewal: UInt64 = 0
    // What a report about a probe must name
    private var probeSPI: UInt32 = 0
    private var probeSequence: UInt32 = 0
    private var probeEnd: UInt64 = 0

    @_noLocks
    init() {}

    /// No link that carries IP is narrower: RFC 791 wants every host to take 576, RFC 8200 every link to carry 1280.
    @_noLocks
    static func floor(isIPv6: Bool) -> Int { isIPv6 ? 1280 : 576 }
    /// Outer packets up to this are not asked about: narrower IPv4 paths are rare, and routers fragment there.
    private static var unasked: Int { @_noLocks get { 1280 } }
    private static var second: UInt64 { @_noLocks get { 1_000_000_000 } }
    // A probe may be lost; nothing says that one arrived
    private static var mostTries: Int { @_noLocks get { 3 } }

    /// Forgets what is too old (features.md section 6: PMTU aging).
    @_noLocks
    mutating func age(_ now: Instant) {
        guard mtu != 0, now.nanoseconds >= until else { return }
        self = OuterPath()
    }

    /// Lowers the path MTU to `limit`, into which `inner` octets fit, and never raises it. False: no change.
    mutating func lower(to limit: Int, inner: Int, aging: UInt64, now: Instant) -> Bool {
        guard mtu == 0 || limit < mtu else { return false }
        mtu = limit
        innerMTU = inner
        until = now.nanoseconds &+ aging
        // Behind the link that told us may be a narrower one
        probed = 0
        tries = 0
        return true
    }

    /// Whether an outer packet of so many octets should be accompanied by a probe.
    @_noLocks
    mutating func wantsProbe(_ length: Int, aging: UInt64, now: Instant) -> Bool {
        let instant = now.nanoseconds
        guard length > Self.unasked, instant >= nextProbe else { return false }
        if instant >= renewal {
            probed = 0
            renewal = instant &+ aging
        }
        if length > probed { tries = 0 }
        guard length >= probed, tries < Self.mostTries else { return false }
        probed = length
        tries &+= 1
        nextProbe = instant &+ Self.second
        return true
    }

    @_noLocks
    mutating func sentProbe(spi: UInt32, sequence: UInt64, now: Instant) {
        probeSPI = spi
        probeSequence = UInt32(truncatingIfNeeded: sequence)
        probeEnd = now.nanoseconds &+ 5 &* Self.second
    }

    /// Whether the report is about the last probe. It counts once.
    mutating func isAboutProbe(_ report: PathMTUReport, now: Instant) -> Bool {
        guard probeEnd > now.nanoseconds, report.spi == probeSPI, report.sequence == probeSequence, report.length == probed else { return false }
        probeEnd = 0
        return true
    }
}

internal import Wire

/// How the packets of one session are treated, as the packet path reads it; made from a `TunnelTemplate`.
package struct TunnelSettings: Hashable, Sendable {
    /// Largest inner packet towards the client, octets (features.md DP-3, DP-4).
    package var ipMTU = 1400
    /// Larger IPv4 packets are fragmented although DF is set.
    package var clearDF = false
    /// Largest outer packet, octets (DP-5); 0: the outer path's.
    package var encapsulatedMTU = 0
    /// Whether inner senders are told what the outer path takes (`propagate-pmtu`); otherwise outer packets are cut to it.
    package var propagatesPathMTU = true
    /// How long a path MTU that was told is believed, nanoseconds.
    package var pathMTUAging: UInt64 = 900_000_000_000
    /// DSCP of outer packets, 0 to 63; below 0: the inner packet's (DP-8).
    package var outerDSCP = -1
    /// Whether inner packets from the client take the DSCP of their outer ones.
    package var copiesOuterDSCP = false
    /// Largest TCP segment of either direction, octets; 0: left alone.
    package var maximumSegmentIPv4 = 1360
    package var maximumSegmentIPv6 = 1340
    /// ICMP "fragmentation needed" (DP-7) and ICMPv6 "packet too big" (DP-4): so many in each interval, per session; 0: none.
    package var fragmentationNeededCount = 100
    package var fragmentationNeededInterval: UInt64 = 10_000_000_000
    package var packetTooBigCount = 100
    package var packetTooBigInterval: UInt64 = 10_000_000_000
    /// Whether an authentic newest packet from elsewhere moves the peer's endpoint there (RFC 7296 section 2.23); false with MOBIKE.
    package var followsPeer = true

    package init() {}
}

/// So many events in each interval (features.md DP-7).
struct RateLimit: Sendable {
    private var since: UInt64 = 0
    private var count = 0
    private var hasBegun = false

    /// Whether one more may happen now; counts it if so. `interval` in nanoseconds.
    @_noLocks
    mutating func admits(_ limit: Int, per interval: UInt64, now: Instant) -> Bool {
        let instant = now.nanoseconds
        if !hasBegun || instant < since || instant &- since >= interval {
            hasBegun = true
            since = instant
            count = 0
        }
        guard count < limit else { return false }
        count &+= 1
        return true
    }
}

extension TunnelSettings {
    /// The settings that a template asks for.
    package init(_ template: TunnelTemplate) {
        self.init()
        ipMTU = template.ipMTU
        clearDF = template.clearDFBit
        encapsulatedMTU = template.encapsulatedIPMTU ?? 0
        propagatesPathMTU = template.propagatesPathMTU
        pathMTUAging = Self.nanoseconds(template.pathMTUAging)
        outerDSCP = template.dscp ?? -1
        copiesOuterDSCP = template.copiesTrafficClassUponDecapsulation
        maximumSegmentIPv4 = template.maximumSegmentSize(.ipv4)
        maximumSegmentIPv6 = template.maximumSegmentSize(.ipv6)
        fragmentationNeededCount = template.fragmentationRequired.isEnabled ? template.fragmentationRequired.messageCount : 0
        fragmentationNeededInterval = Self.nanoseconds(template.fragmentationRequired.interval)
        packetTooBigCount = template.packetTooBig.isEnabled ? template.packetTooBig.messageCount : 0
        packetTooBigInterval = Self.nanoseconds(template.packetTooBig.interval)
    }

    private static func nanoseconds(_ duration: Duration) -> UInt64 {
        (Instant(nanoseconds: 0) + duration).nanoseconds
    }
}

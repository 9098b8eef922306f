package import Wire

/// One `tunnel-template`: how the packets of a session are treated. Its ipsec-transforms belong to IKE and are kept beside it.
package struct TunnelTemplate: Hashable, Sendable {
    package var id: Int
    /// Sequence numbers that the window spans: one of `replayWindows`.
    package var replayWindow = 512
    /// Largest inner packet, octets (features.md DP-3, DP-4).
    package var ipMTU = 1400
    /// Largest outer packet, octets; nil: the outer path's (DP-5).
    package var encapsulatedIPMTU: Int?
    /// `propagate-pmtu`: inner senders are told what the outer path takes.
    package var propagatesPathMTU = true
    /// `pmtu-discovery-aging`: how long an outer path's MTU that was told is believed.
    package var pathMTUAging: Duration = .seconds(900)
    /// DSCP of outer packets, 0 to 63; nil: the inner packet's (DP-8).
    package var dscp: Int?
    /// `copy-traffic-class-upon-decapsulation`: inner packets take the DSCP of their outer ones.
    package var copiesTrafficClassUponDecapsulation = false
    /// Inner packets over `ipMTU` are fragmented although DF is set.
    package var clearDFBit = false
    /// `private-tcp-mss-adjust`; nil: as `ipMTU` asks.
    package var privateTCPMSSAdjust: Int?
    /// ICMP "fragmentation needed" to the sender of a packet that does not fit (DP-7).
    package var fragmentationRequired = MessageRate()
    /// ICMPv6 "packet too big" (DP-4).
    package var packetTooBig = MessageRate()

    package static let replayWindows = [32, 64, 128, 256, 512, 1024, 2048]

    package init(id: Int) {
        self.id = id
    }

    /// Largest TCP segment that passes whole: ip-mtu less IP and TCP headers, or what is configured if that is smaller.
    package func maximumSegmentSize(_ family: AddressFamily) -> Int {
        let fitting = ipMTU - (family == .ipv4 ? 40 : 60)
        return min(privateTCPMSSAdjust ?? fitting, fitting)
    }

    /// At most `messageCount` messages in each `interval`, per tunnel.
    package struct MessageRate: Hashable, Sendable {
        package var isEnabled = true
        package var interval: Duration = .seconds(10)
        package var messageCount = 100
        package init() {}
    }
}

/// Why a packet went no further; one counter each. Closed: the datapath decides these, not the peer.
package enum Drop: Error, CaseIterable, Sendable {
    // From outside
    /// Shorter than its headers, trailer and ICV, or not whole cipher blocks.
    case truncated
    /// No SA has this SPI.
    case unknownSPI
    /// The sequence number was seen, lies before the window, or is zero (RFC 4303 section 3.4.3).
    case replayed
    /// The ICV is wrong.
    case integrity
    /// Pad length or pad content are not those of RFC 4303 section 2.4.
    case padding
    /// Neither IPv4, IPv6 nor a dummy.
    case nextHeader
    /// A dummy packet, next header 59 (RFC 4303 section 2.6).
    case dummy
    /// A NAT keepalive, one octet 0xFF (RFC 3948 section 2.3).
    case keepalive
    /// Neither IKE nor ESP could be.
    case notESP
    /// An outer packet that came in fragments, and reassembly is not configured (features.md DP-6).
    case outerFragment
    /// From outside: an inner header that breaks its RFC; from the private side likewise.
    case malformed
    /// The inner source is none of the session's addresses (threats.md P29).
    case spoofedSource
    /// The inner destination is an address the gateway itself listens on (threats.md C14).
    case gatewayAddress
    /// From a port that the gateway itself listens on, where a masquerade could give that port to the client (threats.md C14, CVE-2021-3773).
    case listenerPort
    /// An ICMP message that the outer path takes less, about no packet that we sent (threats.md P33).
    case unprovenTooBig
    /// Congestion was met by a packet whose sender cannot be told (RFC 6040 section 4.2).
    case congestion
    /// The selectors of the SA do not admit the packet.
    case selectors
    /// A fragment that a selector with ports cannot judge, or one made to slip past (threats.md P31, RFC 1858).
    case fragment

    // From the private side
    /// No session has the destination address.
    case noRoute
    /// The session has no SA whose selectors admit the packet.
    case noSA
    /// Larger than ip-mtu, and it may not be fragmented (features.md DP-3, DP-4).
    case tooBig
    /// The sequence numbers or records of the SA are used up (threats.md P25).
    case exhausted
    /// The cipher refused.
    case cipher
    /// Time to live or hops used up by our own forwarding between threads.
    case misrouted

    // Between threads and ports
    /// The ring to another thread was full.
    case ringFull
    /// More for the session than its fair part of what leaves, while others have packets too.
    case queueFull
    /// The port would not take the packet.
    case sendFailed
    /// More packets or octets than a buffer holds.
    case noRoom

    /// Its place in `allCases`.
    package var index: Int {
        // A payload-free enum is its case's number; the tests compare it with `allCases`
        @_noLocks get { Int(unsafe unsafeBitCast(self, to: UInt8.self)) }
    }

    /// The name in metrics and in `ipsec-gwctl counters`.
    package var name: String {
        switch self {
        case .truncated: "truncated"
        case .unknownSPI: "unknown-spi"
        case .replayed: "replayed"
        case .integrity: "integrity"
        case .padding: "padding"
        case .nextHeader: "next-header"
        case .dummy: "dummy"
        case .keepalive: "nat-keepalive"
        case .notESP: "not-esp"
        case .malformed: "malformed"
        case .spoofedSource: "spoofed-source"
        case .gatewayAddress: "gateway-address"
        case .listenerPort: "listener-port"
        case .unprovenTooBig: "unproven-too-big"
        case .congestion: "congestion"
        case .outerFragment: "outer-fragment"
        case .selectors: "selectors"
        case .fragment: "fragment"
        case .noRoute: "no-route"
        case .noSA: "no-sa"
        case .tooBig: "too-big"
        case .exhausted: "exhausted"
        case .cipher: "cipher"
        case .misrouted: "misrouted"
        case .ringFull: "ring-full"
        case .queueFull: "queue-full"
        case .sendFailed: "send-failed"
        case .noRoom: "no-room"
        }
    }
}

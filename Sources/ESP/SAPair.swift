package import GatewayCrypto

/// A Child SA as the datapath holds it: both directions, its selectors, and what has been told of it.
package struct SAPair: ~Copyable, Sendable {
    // What each packet asks for stands together, and first: few lines of the core's cache
    /// The tunnel's place on this worker.
    package let tunnel: Int
    /// Whether traffic to the client takes this one. A successor waits for the peer's first packet (RFC 7296 section 2.8).
    package internal(set) var isOutboundReady: Bool
    /// Nothing waits for the peer's first packet, or no longer.
    var isHeard: Bool
    /// The control plane waits for it too: the routes are its.
    let isAnnounced: Bool
    var softTold = false
    var hardTold = false
    var octetsIn: UInt64 = 0
    var packetsIn: UInt64 = 0
    var octetsOut: UInt64 = 0
    let table: SelectorTable
    package let lifetimes: SALifetimes
    package var inbound: InboundSA
    package var outbound: OutboundSA
    package let selectors: Selectors
    /// The inbound SPI of the Child SA that this one replaces; 0: none.
    package let supersedes: UInt32

    /// Octets that stand before `inbound`, and where `outbound` begins, give or take what alignment adds.
    static var commonOctets: Int { @_noLocks get { 136 } }
    static var outboundOffset: Int { @_noLocks get { commonOctets &+ MemoryLayout<InboundSA>.stride } }

    package init(
        inbound: consuming InboundSA, outbound: consuming OutboundSA, selectors: Selectors, lifetimes: SALifetimes, tunnel: Int,
        supersedes: LocalSPI?, isAnnounced: Bool = false
    ) {
        self.inbound = inbound
        self.outbound = outbound
        self.selectors = selectors
        table = SelectorTable(selectors)
        self.lifetimes = lifetimes
        self.tunnel = tunnel
        self.supersedes = supersedes?.rawValue ?? 0
        isOutboundReady = supersedes == nil
        self.isAnnounced = isAnnounced
        isHeard = supersedes == nil && !isAnnounced
    }

    /// Who does the cryptography of its packets.
    package var engine: CryptoEngine { inbound.engine == outbound.engine ? inbound.engine : .openSSL }

    /// Whether the limit of packets lets one more in.
    var mayOpen: Bool {
        @_noLocks get { packetsIn < lifetimes.hardPackets }
    }

    /// Whether the limit of octets lets so many more in.
    @_noLocks
    func mayDeliver(_ octets: Int) -> Bool {
        guard let hard = lifetimes.hardOctets else { return true }
        return octetsIn &+ UInt64(truncatingIfNeeded: octets) <= hard
    }

    /// Whether the limits let one more packet of `octets` inner octets out.
    @_noLocks
    func maySeal(_ octets: Int) -> Bool {
        guard !outbound.isExhausted, outbound.records < lifetimes.hardPackets else { return false }
        guard let hard = lifetimes.hardOctets else { return true }
        return octetsOut &+ UInt64(truncatingIfNeeded: octets) <= hard
    }

    /// Whether a soft limit has passed in either direction.
    var isSoftLimitReached: Bool {
        @_noLocks get {
            if packetsIn >= lifetimes.softPackets || outbound.records >= lifetimes.softPackets { return true }
            guard let soft = lifetimes.softOctets else { return false }
            return octetsIn >= soft || octetsOut >= soft
        }
    }
}

package import ESP
package import GatewayCrypto
package import Wire

/// Receives IKE datagrams. All calls come on the door thread, one at a time; none may block.
package protocol DoorReceiver: AnyObject, Sendable {
    /// An IKE message without non-ESP marker. `local.port` says on which port it came: answers leave from there. The octets live as long as the call.
    /// `reply` sends at once to where the message came from, and adds the marker where one belongs.
    func receive(
        _ datagram: UnsafeRawBufferPointer, from remote: Endpoint, to local: Endpoint, at now: Instant,
        reply: (UnsafeRawBufferPointer) -> Void)
    /// After each batch of datagrams.
    func drained(at now: Instant)
    /// After `wakeDoor()`, at least once.
    func woken(at now: Instant)
}

/// One session's place: its home worker, its index there, and which of the sessions that were there.
package struct TunnelID: Hashable, Sendable, CustomStringConvertible {
    package let worker: Int
    package let index: Int
    package let generation: UInt32

    package var description: String { "\(worker).\(index).\(generation)" }
}

/// A session to be.
package struct TunnelSpec: Sendable {
    /// The home worker, as `homeWorker()` chose it.
    package var worker: Int
    /// The private interface's `InterfaceSettings.key`.
    package var interface: String
    /// The addresses that the client was given, one of a family at most; none where the peer is a gateway.
    package var innerAddresses: [IPAddress]
    /// Further prefixes behind the peer (Framed-Route, delegated prefixes), or all that is reached through a gateway.
    package var innerPrefixes: [IPPrefix] = []
    package var settings: TunnelSettings
    /// Where ESP goes: the client's UDP endpoint, and ours (port 4500).
    package var peer: Endpoint
    package var local: Endpoint

    package init(
        worker: Int, interface: String, innerAddresses: [IPAddress], settings: TunnelSettings, peer: Endpoint, local: Endpoint
    ) {
        self.worker = worker
        self.interface = interface
        self.innerAddresses = innerAddresses
        self.settings = settings
        self.peer = peer
        self.local = local
    }
}

/// The keys of one Child SA, in the order of KEYMAT (RFC 7296 section 2.17) seen from the responder: inbound is initiator to responder. An
/// initiator's inbound is what it opens with.
package struct ChildSAKeys: ~Copyable, Sendable {
    package let inboundEncryption: SecretOctets
    package let inboundIntegrity: SecretOctets
    package let outboundEncryption: SecretOctets
    package let outboundIntegrity: SecretOctets

    package init(
        inboundEncryption: consuming SecretOctets, inboundIntegrity: consuming SecretOctets, outboundEncryption: consuming SecretOctets,
        outboundIntegrity: consuming SecretOctets
    ) {
        self.inboundEncryption = inboundEncryption
        self.inboundIntegrity = inboundIntegrity
        self.outboundEncryption = outboundEncryption
        self.outboundIntegrity = outboundIntegrity
    }
}

/// A Child SA to be: both directions.
package struct ChildSASpec: ~Copyable, Sendable {
    package let tunnel: TunnelID
    /// Allocated by `allocateSPI`.
    package let inbound: LocalSPI
    /// The peer's choice.
    package let outbound: UInt32
    package let suite: ESPSuite
    package let keys: ChildSAKeys
    package let selectors: Selectors
    package let replayWindow: Int
    package let lifetimes: SALifetimes
    /// The Child SA that this one replaces: outbound traffic changes over with the first valid packet on the new inbound SA, or when the old one is
    /// retired (RFC 7296 section 2.8). Nil: it carries traffic at once.
    package let supersedes: LocalSPI?
    /// It carries, beside others with the same selectors, what its worker handles (RFC 9611), from the peer's first packet on.
    package let isPerResource: Bool

    package init(
        tunnel: TunnelID, inbound: LocalSPI, outbound: UInt32, suite: ESPSuite, keys: consuming ChildSAKeys, selectors: Selectors,
        replayWindow: Int = 512, lifetimes: SALifetimes = SALifetimes(), supersedes: LocalSPI? = nil, isPerResource: Bool = false
    ) {
        self.isPerResource = isPerResource
        self.tunnel = tunnel
        self.inbound = inbound
        self.outbound = outbound
        self.suite = suite
        self.keys = keys
        self.selectors = selectors
        self.replayWindow = replayWindow
        self.lifetimes = lifetimes
        self.supersedes = supersedes
    }
}

/// What is known of a Child SA from outside its worker.
package struct SAStatus: Equatable, Sendable {
    package var worker: Int
    package var inbound: LocalSPI
    package var outbound: UInt32
    package var suite: ESPSuite
    package var counters: SACounters
    /// The highest sequence number received, and which of the 64 up to it were: the highest at bit 63.
    package var highestInbound: UInt64
    package var replayBitmap: UInt64
    package var replayWindow: Int
    /// The last sequence number sent.
    package var lastOutbound: UInt64
    /// Who does the cryptography of its packets: the datapath's engine, or OpenSSL where that has not the algorithm.
    package var engine: CryptoEngine
}

/// What a worker has to tell.
package enum DatapathEvent: Equatable, Sendable {
    /// A Child SA should be replaced: packets or octets of its soft limit have passed. Told once.
    case softLimit(LocalSPI)
    /// A Child SA carries nothing more. Told once.
    case hardLimit(LocalSPI)
    /// The peer's endpoint has moved, proven by an authentic newest packet (threats.md P35).
    case moved(TunnelID, Endpoint)
    /// A device or socket of a worker (nil: of the door) is gone, for the reason given; it is left alone from here on.
    case failed(worker: Int?, String)
    /// A worker's socket does less than it did at first, for the reason given; told once for each.
    case offloadLost(worker: Int, String)
}

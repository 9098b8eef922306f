package import GatewayCrypto
package import IKEMessages
package import Wire

/// An IKE datagram without its non-ESP marker, with both its ends; whether the marker was there follows from the local port.
package struct IKEDatagram: Hashable, Sendable {
    package let octets: [UInt8]
    package let local: Endpoint
    package let remote: Endpoint

    package init(_ octets: [UInt8], local: Endpoint, remote: Endpoint) {
        self.octets = octets
        self.local = local
        self.remote = remote
    }
}

/// What goes into an IKE SA: the network, the clock, the operator, and answers to what it asked.
package enum Input: Sendable {
    case datagram(IKEDatagram)
    /// The clock passed `nextDeadline`.
    case deadline
    /// The operator, the session table or the daemon ends this SA.
    case close(ClosingReason)
    /// The datapath saw the client at another endpoint (NAT rebinding, RFC 7296 section 2.23).
    case moved(Endpoint)
    /// The datapath's soft limit of a Child SA struck: it is to be replaced (threats.md P25).
    case childAging(spi: UInt32)
    /// The datapath's hard limit of a Child SA struck (threats.md P25).
    case childExhausted(spi: UInt32)
    case peer(PeerAnswer)
    /// nil: it could not be made.
    case signature([UInt8]?)
    case eap(EAPAnswer)
    case address(AddressAnswer)
    case childSPI(UInt32?)
    case ikeSPI(IKESPI?)
    /// Whether the Child SA with this SPI of ours is in the datapath.
    case installed(UInt32, Bool)
    case activity(Instant?)
    /// The gateway's settings are others now: they hold for what replaces an SA, or comes beside it (configuration.md).
    case profile(GatewayProfile)
}

/// What an IKE SA asks of the world outside; each comes back as the `Input` of the same name.
package enum Question: Equatable, Sendable {
    /// Who is this, and what proves it?
    case peer(PeerQuestion)
    /// Our own signature: milliseconds with RSA, and so not made here.
    case signature(SignatureQuestion)
    /// What is said to this EAP-Response? One question at a time; a login that ended meanwhile takes no answer.
    case eap(EAPQuestion)
    case address(AddressQuestion)
    /// An inbound SPI, whose worker is the Child SA's home; answered within the same feed.
    case childSPI(ChildPurpose)
    /// An SPI of ours for the IKE SA that replaces this one; answered within the same feed.
    case ikeSPI
    /// When the datapath last had an authentic packet of this client; answered within the same feed.
    case activity
}

/// What a Child SA is for: it says where that belongs.
package enum ChildPurpose: Equatable, Sendable {
    /// The first, or one of other selectors.
    case further
    /// In the place of the one with this inbound SPI.
    case replacing(UInt32)
    /// For another resource of the client (RFC 9611): a worker that has none of its Child SAs.
    case resource
}

/// The first IKE_AUTH request, as far as the choice of credentials needs it.
package struct PeerQuestion: Equatable, Sendable {
    package let identity: IdentificationPayload
    /// The IDr the client wants to talk to, if it named one.
    package let wantedIdentity: IdentificationPayload?
    /// AUTH's method; nil when the client wants EAP.
    package let method: AuthenticationMethod?
    /// CERT payloads of encoding 4, the end entity first.
    package let certificates: [[UInt8]]
    /// CERTREQ payloads of encoding 4.
    package let authorities: [[UInt8]]
    /// SIGNATURE_HASH_ALGORITHMS; nil where the client sent none.
    package let signatureHashes: [SignatureHashAlgorithm]?
    package let remote: Endpoint
}

/// What is to be signed, and how.
package struct SignatureQuestion: Equatable, Sendable {
    package let octets: [UInt8]
    package let scheme: SignatureScheme
}

package enum PeerAnswer: Sendable {
    case credentials(Credentials)
    /// Refused with AUTHENTICATION_FAILED; the cause goes to the log alone.
    case refused(String)
}

package struct AddressQuestion: Equatable, Sendable {
    package let peer: IdentificationPayload
    /// How the client proved that it is that; by EAP it has proved to be `eapIdentity`, and `peer` is a mere word (threats.md P17).
    package let proof: ProofKind
    /// What the EAP-Response/Identity said; nil without EAP.
    package let eapIdentity: [UInt8]?
    package let wish: AddressWish
    /// INITIAL_CONTACT came with the verified AUTH: older SAs of the same name and IDi go.
    package let initialContact: Bool
    package let remote: Endpoint
}

package enum AddressAnswer: Sendable {
    case granted(AddressGrant)
    /// INTERNAL_ADDRESS_FAILURE; the cause goes to the log.
    case unavailable(String)
    /// The session may not be: AUTHENTICATION_FAILED; the cause goes to the log.
    case refused(String)
}

/// A Child SA without its keys, which `takeKeys` hands over once.
package struct ChildSA: Equatable, Sendable {
    /// The SPI the client sends to: chosen by us.
    package let inboundSPI: UInt32
    /// The SPI we send to: chosen by the client.
    package let outboundSPI: UInt32
    package let suite: ESPProposal
    /// TSr: what the client may reach.
    package let localSelectors: [TrafficSelector]
    /// TSi: the client's own addresses.
    package let remoteSelectors: [TrafficSelector]
    /// Hard lifetime.
    package let lifetime: Duration
    /// What the datapath says `.childAging` at; nil: what it knows by itself.
    package var soft: TrafficLifetime?
    package let grant: AddressGrant
    package let local: Endpoint
    package let remote: Endpoint
    /// The client's endpoint may change without a word from it (RFC 7296 section 2.23).
    package let peerBehindNAT: Bool
    /// Our SPI of the Child SA in whose place this one comes (RFC 7296 section 1.3.3).
    package var supersedes: UInt32?
    /// We asked for it: the client was ready to receive before it answered, so traffic to it changes over at once (RFC 7296 section 2.8).
    package var isOutboundReady = false
    /// It serves one resource of the client beside others with the same selectors (RFC 9611).
    package var isPerResource = false
    /// ESP goes inside UDP (RFC 3948); else it is an IP protocol of its own.
    package var isEncapsulated = true
}

/// Traffic in one direction after which a Child SA is to be replaced.
package struct TrafficLifetime: Equatable, Sendable {
    package let packets: UInt64
    /// nil: any number.
    package let octets: UInt64?
}

/// What the driver must do now.
package enum Output: Equatable, Sendable {
    case send(IKEDatagram)
    case ask(Question)
    /// Install in the datapath, then feed `.installed`; nothing is answered to the client before.
    case install(ChildSA)
    case remove(inboundSPI: UInt32)
    /// The IKE SA stands: the client proved who it is.
    case established(Establishment)
    /// A further Child SA stands, or one in the place of another.
    case childEstablished(ChildSA)
    /// Messages to this SPI of ours belong to the IKE SA too, until `released`.
    case listen(IKESPI)
    /// The IKE SA was replaced by one with these SPIs (RFC 7296 section 2.18).
    case rekeyed(initiatorSPI: IKESPI, responderSPI: IKESPI)
    /// This SPI of ours answers nothing any more.
    case released(IKESPI)
    /// The client's endpoint changed (authenticated).
    case moved(Endpoint)
    /// One octet 0xFF, so that the NAT before us keeps its mapping (RFC 3948 section 2.3).
    case keepalive(from: Endpoint, to: Endpoint)
    /// A login was refused: one plain sentence for the log.
    case refused(Refusal)
    /// The session is over; its address may be given back. The SA itself may still wait for the answer to its Delete.
    case ended(ClosingReason)
    /// Nothing is left; the driver forgets the SA.
    case closed
    case dropped(MessageDrop)
}

package struct Establishment: Equatable, Sendable {
    package let peer: IdentificationPayload
    package let method: AuthenticationMethod
    /// The Child SA of IKE_AUTH; nil when the SA stands without one and is about to be deleted (TS-3).
    package let child: ChildSA?
    package let nat: NATState
    package let suite: IKEProposal
    package let initiatorSPI: IKESPI
    package let responderSPI: IKESPI
}

package struct Refusal: Equatable, Sendable {
    package let identity: IdentificationPayload?
    package let remote: Endpoint
    package let cause: String
    /// What the client was told.
    package let error: ExchangeError
    /// The client tried to prove itself and could not: what a lockout counts (features.md X-12).
    package var isFailedProof = false
}

/// Why a session ended; accounting's Acct-Terminate-Cause is a function of this alone (RAD-7).
package enum ClosingReason: String, Hashable, Sendable, CaseIterable {
    case peerDelete = "client-delete"
    case deadPeer = "dead-peer"
    case lifetime = "lifetime"
    case operatorRequest = "operator"
    /// RADIUS asked for it (RFC 5176).
    case disconnected = "disconnected"
    /// Session-Timeout and Idle-Timeout of Access-Accept (features.md X-3).
    case sessionTimeout = "session-timeout"
    case idleTimeout = "idle-timeout"
    case replaced = "replaced"
    case shutdown = "shutdown"
    case configuration = "configuration"
    case childless = "no-child-sa"
    case authenticationFailed = "authentication-failed"
    case halfOpenTimeout = "half-open-timeout"
    case protocolError = "protocol-error"
    case internalError = "internal-error"
}

/// The deadlines of one IKE SA.
package enum SADeadline: Int, CaseIterable, Sendable {
    /// Not established by then: gone.
    case halfOpen
    case retransmit
    case liveness
    /// Hard lifetime of the IKE SA (invariant I9).
    case ageOut
    /// The IKE SA is to be replaced.
    case rekey
    /// Hard lifetime of the Child SA that ends first.
    case childAgeOut
    /// The first Child SA that is to be replaced.
    case childRekey
    /// Established, but without a Child SA for too long.
    case childless
    /// An IKE SA that was replaced is forgotten.
    case replaced
}

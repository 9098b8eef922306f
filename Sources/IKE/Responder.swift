package import GatewayCrypto
package import IKEMessages
package import Wire

/// Why the door turned a datagram away; one counter each.
package enum DoorDrop: String, CaseIterable, Hashable, Sendable {
    case malformed = "malformed"
    case wrongDirection = "wrong-direction"
    case unknownSPI = "unknown-spi"
    case perAddress = "half-open-per-address"
    case maximum = "half-open-maximum"
    case tableFull = "half-open-table-full"
    case rateLimited = "error-rate-limited"
    case fragment = "fragment-in-init"
}

/// What the door does with a datagram.
package enum DoorVerdict: Equatable, Sendable {
    case drop(DoorDrop)
    /// Send `reply` back to where the datagram came from.
    case reply
    /// A new IKE_SA_INIT, already counted as half-open; `hasCookie` says it proved its address.
    case initiate(hasCookie: Bool)
    /// A message of an IKE SA that lives.
    case route(IKESPI)
}

/// The door before the IKE SAs: cookies, half-open limits and SPI routing. It keeps nothing per stranger beyond capped counts, and answers
/// floods without creating anything (threats.md P1 to P3). One owner: the door thread.
package struct Responder: ~Copyable, Sendable {
    private var limits: IKEPolicy.HalfOpen
    private var initExchangeLimit: IKEPolicy.InitExchangeLimit
    private var cookies: CookieSecrets
    /// Half-open IKE SAs by IPv4 address or IPv6 /64.
    private var perSource: [IPPrefix: Int] = [:]
    private var halfOpenBySPI: [IKESPI: IPPrefix] = [:]
    private var live: Set<IKESPI> = []
    /// Admitted, and not yet taken up, settled or refused by the engine.
    package private(set) var halfOpen = 0
    /// Cookies are asked for until then: 60 s at least, so that a queued cookieless request cannot meet a cookied one (P2).
    private var cookiesUntil: Instant?
    private var errors: ErrorLimit
    /// The reply that `.reply` speaks of.
    package private(set) var reply: [UInt8] = []

    /// How long cookies stay on once they were needed (P2).
    package static let cookieHold = Duration.seconds(60)
    /// The lifetime of a half-open SA in quiet times.
    package static let halfOpenLifetime = Duration.seconds(30)
    /// Different sources counted at once.
    static let mostSources = 65_536

    package init(
        limits: IKEPolicy.HalfOpen, initExchangeLimit: IKEPolicy.InitExchangeLimit, entropy: any Entropy, at now: Instant
    ) throws(CryptoError) {
        self.limits = limits
        self.initExchangeLimit = initExchangeLimit
        cookies = try CookieSecrets(entropy: entropy, at: now)
        errors = ErrorLimit(at: now)
        reply.reserveCapacity(512)
    }

    /// Whether a new IKE SA must show a cookie now; the shard reads this again when it takes a message up (P2).
    package mutating func requiresCookie(at now: Instant) -> Bool {
        if halfOpen >= limits.cookieThreshold { cookiesUntil = now + Self.cookieHold }
        guard let until = cookiesUntil else { return false }
        if now < until { return true }
        cookiesUntil = nil
        return false
    }

    /// How long a client admitted now has for IKE_AUTH.
    package mutating func halfOpenLifetime(at now: Instant) -> Duration {
        initExchangeLimit.isEnabled && requiresCookie(at: now) ? initExchangeLimit.reducedTimeout : Self.halfOpenLifetime
    }

    /// Looks at a datagram and decides; `reply` is filled for `.reply`.
    package mutating func judge(_ datagram: borrowing RawSpan, from remote: Endpoint, at now: Instant) -> DoorVerdict {
        var span = copy datagram
        guard let header = try? IKEHeader(parsing: &span), Int(header.length) == datagram.byteCount else { return .drop(.malformed) }
        guard header.majorVersion == 2 else {
            // Only a newer version is answered (RFC 7296 section 2.5); an old one is IKEv1 and would not understand.
            guard header.majorVersion > 2, !header.isResponse else { return .drop(.malformed) }
            return answer(header, .invalidMajorVersion, at: now, to: remote)
        }
        guard header.initiatorSPI != 0 else { return .drop(.wrongDirection) }
        guard header.isFromInitiator else {
            // Of an IKE SA that we asked for, in the place of another, our SPI is the initiator's.
            return header.responderSPI != 0 && live.contains(header.initiatorSPI) ? .route(header.initiatorSPI) : .drop(.wrongDirection)
        }
        if header.responderSPI != 0 {
            return live.contains(header.responderSPI) ? .route(header.responderSPI) : .drop(.unknownSPI)
        }
        guard header.exchange == .ikeSAInit, !header.isResponse, header.messageID == 0 else { return .drop(.wrongDirection) }
        guard header.nextPayload != .encryptedFragment else { return .drop(.fragment) }
        return initiation(header, body: span, from: remote, at: now)
    }

    private mutating func initiation(
        _ header: IKEHeader, body: borrowing RawSpan, from remote: Endpoint, at now: Instant
    ) -> DoorVerdict {
        var hasCookie = false
        if requiresCookie(at: now) {
            guard let glance = InitGlance(first: header.nextPayload, body) else { return .drop(.malformed) }
            let octets = body.copied()
            let nonce = octets[glance.nonce]
            if let range = glance.cookie, cookies.accepts(octets[range], nonce: nonce, spi: header.initiatorSPI, address: remote.address, at: now) {
                hasCookie = true
            } else {
                writeCookie(header, nonce: nonce, address: remote.address, at: now)
                // Shorter than any request (C10), since a request carries more than a header and a cookie.
                return reply.isEmpty || reply.count > Int(header.length) ? .drop(.malformed) : .reply
            }
        }
        let source = Self.source(remote.address)
        let count = perSource[source, default: 0]
        guard count < limits.perAddress else { return .drop(.perAddress) }
        guard halfOpen < limits.maximum else { return .drop(.maximum) }
        guard count > 0 || perSource.count < Self.mostSources else { return .drop(.tableFull) }
        perSource[source] = count + 1
        halfOpen += 1
        return .initiate(hasCookie: hasCookie)
    }

    /// Half-open limits count an IPv6 /64 as one (P3).
    private static func source(_ address: IPAddress) -> IPPrefix {
        address.family == .ipv4 ? IPPrefix(host: address) : IPPrefix(address, length: 64) ?? IPPrefix(host: address)
    }

    // MARK: What the engine tells the door

    /// Takes up new limits at a reload; counts stay.
    package mutating func adopt(_ limits: IKEPolicy.HalfOpen, _ initExchangeLimit: IKEPolicy.InitExchangeLimit) {
        self.limits = limits
        self.initExchangeLimit = initExchangeLimit
    }

    /// The admitted request became an IKE SA.
    package mutating func opened(_ spi: IKESPI, from address: IPAddress) {
        live.insert(spi)
        halfOpenBySPI[spi] = Self.source(address)
    }

    /// The admitted request came to nothing: refused, dropped, or a repetition.
    package mutating func turnedAway(_ address: IPAddress) {
        release(Self.source(address))
    }

    /// The IKE SA is authenticated, or failed and only lingers: it no longer counts as half-open.
    package mutating func settled(_ spi: IKESPI) {
        if let source = halfOpenBySPI.removeValue(forKey: spi) { release(source) }
    }

    /// An established IKE SA got another SPI by a rekey (RFC 7296 section 2.18).
    package mutating func replaced(_ spi: IKESPI) {
        live.insert(spi)
    }

    /// The IKE SA is gone.
    package mutating func closed(_ spi: IKESPI) {
        settled(spi)
        live.remove(spi)
    }

    private mutating func release(_ source: IPPrefix) {
        halfOpen = max(0, halfOpen - 1)
        guard let count = perSource[source] else { return }
        perSource[source] = count > 1 ? count - 1 : nil
    }

    /// Objects alive by table, for gauges and for invariant I7.
    package var gauges: (live: Int, halfOpen: Int, sources: Int) { (live.count, halfOpenBySPI.count, perSource.count) }

    // MARK: Stateless answers

    private mutating func answer(_ header: IKEHeader, _ type: NotifyType, at now: Instant, to remote: Endpoint) -> DoorVerdict {
        guard errors.admits(remote.address, at: now) else { return .drop(.rateLimited) }
        write(header, NotifyPayload(type))
        return .reply
    }

    private mutating func writeCookie(_ header: IKEHeader, nonce: ArraySlice<UInt8>, address: IPAddress, at now: Instant) {
        reply.removeAll(keepingCapacity: true)
        guard let cookie = cookies.make(nonce: nonce, spi: header.initiatorSPI, address: address, at: now) else { return }
        write(header, NotifyPayload(.cookie, data: cookie))
    }

    private mutating func write(_ header: IKEHeader, _ notify: NotifyPayload) {
        let message = IKEMessage(
            header: IKEHeader(
                initiatorSPI: header.initiatorSPI, responderSPI: header.responderSPI, exchange: header.exchange, flags: .response,
                messageID: header.messageID),
            payloads: [.notify(notify)])
        reply.removeAll(keepingCapacity: true)
        reply += message.encoded()
    }
}

import GatewayCrypto
package import IKEMessages
package import Wire

/// One road warrior: an IKEv2 initiator with one Child SA, RFC 7296. A pure machine: it is called with datagrams, packets and the time,
/// and appends to `outputs` what its driver must do. It is written from the RFC on messages and ciphers alone, so that what the gateway
/// derives wrongly cannot agree with it.
///
///     start   -> IKE_SA_INIT (Initiation.swift)  -> IKE_AUTH (Authentication.swift) -> established
///     receive -> either the response that is waited for, or a request of the gateway (Requests.swift), or an ESP packet (Packets.swift)
///     handleDeadlines -> retransmission, liveness, keepalive (Exchanges.swift)
///     close   -> a Delete (Exchanges.swift)
package struct RoadWarrior: ~Copyable {
    package enum Stage: Sendable, Equatable { case idle, initiating, authenticating, established, deleting, closed }

    /// When to do something without having been asked.
    enum Deadline: Int, CaseIterable, Hashable, Sendable { case retransmit, patience, liveness, keepalive }

    package let settings: Settings
    package internal(set) var stage = Stage.idle
    package internal(set) var initiatorSPI: IKESPI = 0
    package internal(set) var responderSPI: IKESPI = 0
    package internal(set) var drops = Drops()
    /// Looks at every message before it is encoded, to change or withhold it; for tests of the gateway.
    package var tamper: Tamper?

    var initiation = Initiation()
    var keys: IKEKeys?
    var protection: Protection?
    var child: ChildSA?
    /// The SPI under which the gateway shall send to us; offered in IKE_AUTH.
    var offeredSPI: UInt32 = 0

    /// Both sides know fragments.
    package internal(set) var knowsFragments = false
    var fragments: CollectedFragments?

    var deadlines = Deadlines<Deadline>()
    var window = Window()
    var lastHeard = Instant(nanoseconds: 0)
    var lastSent = Instant(nanoseconds: 0)
    /// Whether IKE and ESP have moved to the NAT port.
    package internal(set) var encapsulated = false
    /// Whether a NAT rewrites our own address.
    package internal(set) var behindNAT = false

    package init(_ settings: Settings) {
        self.settings = settings
    }

    /// Begins with IKE_SA_INIT; does nothing when it was begun before.
    package mutating func start(at now: Instant, into outputs: inout [Output]) {
        guard stage == .idle else { return }
        stage = .initiating
        lastHeard = now
        while initiatorSPI == 0 { initiatorSPI = settings.entropy.octets(8).reduce(0) { $0 << 8 | UInt64($1) } }
        initiation.nonce = settings.entropy.octets(32)
        guard let method = settings.ikeProposals.lazy.compactMap(\.firstKeyExchange).first else {
            return close(.violation("no key exchange method is configured"), into: &outputs)
        }
        initiate(with: method, at: now, into: &outputs)
    }

    /// Takes a UDP datagram. From the gateway's NAT port it is IKE behind a non-ESP marker, or ESP, or a keepalive (RFC 3948 section 2).
    package mutating func receive(
        _ datagram: [UInt8], from remote: Endpoint, at now: Instant, into outputs: inout [Output]
    ) {
        guard remote.port == settings.remoteNATPort, settings.remoteNATPort != settings.remote.port else {
            return receive(message: datagram, from: remote, at: now, into: &outputs)
        }
        if datagram.starts(with: [0, 0, 0, 0]) {
            receive(message: [UInt8](datagram.dropFirst(4)), from: remote, at: now, into: &outputs)
        } else if datagram.count > 1 {
            receive(packet: datagram, from: remote.address, at: now, into: &outputs)
        }
    }

    /// Takes an IKE message, without a non-ESP marker.
    package mutating func receive(
        message octets: [UInt8], from remote: Endpoint, at now: Instant, into outputs: inout [Output]
    ) {
        guard stage != .idle, stage != .closed else { return }
        guard remote.address == settings.remote.address else {
            drops.notOurs += 1
            return
        }
        let message: IKEMessage
        do {
            message = try IKEMessage(parsing: octets)
        } catch {
            drops.malformed += 1
            return
        }
        let header = message.header
        guard header.initiatorSPI == initiatorSPI, !header.isFromInitiator, header.majorVersion == 2 else {
            drops.notOurs += 1
            return
        }
        if stage == .initiating {
            guard header.exchange == .ikeSAInit, header.isResponse, header.messageID == 0 else {
                drops.unprotected += 1
                return
            }
            return receiveInitiationResponse(message, octets: octets, at: now, into: &outputs)
        }
        guard header.responderSPI == responderSPI else {
            drops.notOurs += 1
            return
        }
        if case .encryptedFragment(let fragment) = message.payloads.last, message.payloads.count == 1 {
            return receiveFragment(header, fragment, octets: octets, at: now, into: &outputs)
        }
        guard header.exchange != .ikeSAInit, let encrypted = message.payloads.encrypted else {
            drops.unprotected += 1
            return
        }
        receiveProtected(header, encrypted, octets: octets, at: now, into: &outputs)
    }

    private mutating func receiveProtected(
        _ header: IKEHeader, _ encrypted: EncryptedPayload, octets: [UInt8], at now: Instant, into outputs: inout [Output]
    ) {
        guard let text = protection?.open(octets, encrypted.content) ?? nil else {
            drops.unauthentic += 1
            return
        }
        take(
            header, Result { () throws(MessageError) in try encrypted.innerPayloads(decrypted: text) }, at: now, into: &outputs)
    }

    /// Takes an authentic message.
    mutating func take(
        _ header: IKEHeader, _ payloads: Result<[Payload], MessageError>, at now: Instant, into outputs: inout [Output]
    ) {
        if header.isResponse {
            receiveResponse(header, payloads, at: now, into: &outputs)
        } else {
            receiveRequest(header, payloads, at: now, into: &outputs)
        }
    }

    /// The earliest moment at which `handleDeadlines` has something to do.
    package var nextDeadline: Instant? { stage == .closed ? nil : deadlines.next }

    package mutating func handleDeadlines(at now: Instant, into outputs: inout [Output]) {
        guard stage != .closed else { return }
        for deadline in deadlines.expired(at: now) where stage != .closed {
            switch deadline {
            case .retransmit: retransmit(at: now, into: &outputs)
            case .patience: losePatience(into: &outputs)
            case .liveness: checkLiveness(at: now, into: &outputs)
            case .keepalive: keepNATOpen(at: now, into: &outputs)
            }
        }
    }

    /// Ends the IKE SA: with a Delete where there is one to delete, else at once.
    package mutating func close(at now: Instant, into outputs: inout [Output]) {
        switch stage {
        case .idle, .initiating, .authenticating: close(.abandoned, into: &outputs)
        case .established:
            stage = .deleting
            window.waiting.removeAll()
            window.waiting.append(
                Window.Waiting(
                    exchange: .informational, payloads: [.delete(DeletePayload(protocolID: .ike, spis: []))],
                    purpose: .delete))
            sendWaiting(at: now, into: &outputs)
        case .deleting, .closed: break
        }
    }

    /// The end, without another word to the gateway.
    mutating func close(_ reason: Closure, into outputs: inout [Output]) {
        guard stage != .closed else { return }
        stage = .closed
        deadlines.clear()
        window = Window()
        child = nil
        protection = nil
        initiation.keyExchange = nil
        outputs.append(.closed(reason))
    }
}

extension Proposal {
    /// The key exchange method that is named first.
    var firstKeyExchange: KeyExchangeMethod? {
        transforms.first { $0.type == .keyExchange && $0.id != 0 }.map { KeyExchangeMethod(rawValue: $0.id) }
    }
}

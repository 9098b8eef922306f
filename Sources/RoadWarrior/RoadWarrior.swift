import GatewayCrypto
package import IKEMessages
package import Wire

/// One road warrior: an IKEv2 initiator with one Child SA and its successors, RFC 7296. A pure machine: it is called with datagrams, packets and the time,
/// and appends to `outputs` what its driver must do. It is written from the RFC on messages and ciphers alone, so that what the gateway
/// derives wrongly cannot agree with it.
///
///     start   -> IKE_SA_INIT (Initiation.swift)  -> IKE_AUTH (Authentication.swift, EAP/) -> established
///     receive -> either the response that is waited for, or a request of the gateway (Requests.swift), or an ESP packet (Packets.swift)
///     rekeyChild, rekeyIKE, or the gateway's -> another SA in the place of the old one (ChildRekey.swift, IKERekey.swift)
///     handleDeadlines -> retransmission, liveness, keepalive (Exchanges.swift)
///     close   -> a Delete (Exchanges.swift)
package struct RoadWarrior: ~Copyable {
    package enum Stage: Sendable, Equatable { case idle, initiating, authenticating, established, deleting, closed }

    /// When to do something without having been asked.
    enum Deadline: Int, CaseIterable, Hashable, Sendable { case patience, liveness, keepalive, childRekey, ikeRekey }

    package let settings: Settings
    package internal(set) var stage = Stage.idle
    /// Of the IKE SA in use.
    package var initiatorSPI: IKESPI { ike.initiatorSPI }
    package var responderSPI: IKESPI { ike.responderSPI }
    package internal(set) var drops = Drops()
    /// Looks at every message before it is encoded, to change or withhold it; for tests of the gateway.
    package var tamper: Tamper?

    var initiation = Initiation()
    /// A login by EAP, until both sides have proved themselves.
    var eap: EAPLogin?
    /// The IKE SA in use.
    var ike = Association()
    /// IKE SAs that were replaced, or turned out to be redundant, and wait for their Delete.
    var former: [Association] = []
    /// More of them than this are not taken.
    static let mostFormer = 4
    var ikeExchange: IKEExchange?
    /// All Child SAs on which packets are taken, the newest last.
    var children: [ChildSA] = []
    /// Those that are gone, and receive for a moment more.
    var retired: [(sa: ChildSA, until: Instant)] = []
    /// The one that packets are sent on.
    var child: ChildSA?
    var childExchange: ChildExchange?
    var wishes: Set<Wish> = []
    /// The SPI under which the gateway shall send to us; offered in IKE_AUTH.
    var offeredSPI: UInt32 = 0
    /// SHA-1 hashes of the public keys of the CAs whose certificates the gateway asks for, RFC 7296 section 3.7.
    package internal(set) var requestedAuthorities: [[UInt8]] = []
    /// The gateway's SIGNATURE_HASH_ALGORITHMS, RFC 7427; nil when it sent none.
    var peerHashes: [SignatureHashAlgorithm]?

    /// Both sides know fragments.
    package internal(set) var knowsFragments = false

    var deadlines = Deadlines<Deadline>()
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
        ike.initiatorSPI = freshIKESPI()
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
        guard header.majorVersion == 2, stage == .initiating || header.responderSPI != 0 else {
            drops.notOurs += 1
            return
        }
        if stage == .initiating {
            guard header.initiatorSPI == initiatorSPI, !header.isFromInitiator else {
                drops.notOurs += 1
                return
            }
            guard header.exchange == .ikeSAInit, header.isResponse, header.messageID == 0 else {
                drops.unprotected += 1
                return
            }
            return receiveInitiationResponse(message, octets: octets, at: now, into: &outputs)
        }
        guard let sa = ([ike] + former).first(where: { $0.isAddressed(by: header) }) else {
            drops.notOurs += 1
            return
        }
        if case .encryptedFragment(let fragment) = message.payloads.last, message.payloads.count == 1 {
            return receiveFragment(header, on: sa, fragment, octets: octets, at: now, into: &outputs)
        }
        guard header.exchange != .ikeSAInit, let encrypted = message.payloads.encrypted else {
            drops.unprotected += 1
            return
        }
        receiveProtected(header, on: sa, encrypted, octets: octets, at: now, into: &outputs)
    }

    private mutating func receiveProtected(
        _ header: IKEHeader, on sa: Association, _ encrypted: EncryptedPayload, octets: [UInt8], at now: Instant,
        into outputs: inout [Output]
    ) {
        guard let text = sa.protection?.open(octets, encrypted.content) ?? nil else {
            drops.unauthentic += 1
            return
        }
        take(
            header, on: sa, Result { () throws(MessageError) in try encrypted.innerPayloads(decrypted: text) }, at: now,
            into: &outputs)
    }

    /// Takes an authentic message.
    mutating func take(
        _ header: IKEHeader, on sa: Association, _ payloads: Result<[Payload], MessageError>, at now: Instant,
        into outputs: inout [Output]
    ) {
        if header.isResponse {
            receiveResponse(header, on: sa, payloads, at: now, into: &outputs)
        } else {
            receiveRequest(header, on: sa, payloads, at: now, into: &outputs)
        }
    }

    /// The earliest moment at which `handleDeadlines` has something to do.
    package var nextDeadline: Instant? {
        guard stage != .closed else { return nil }
        return ([deadlines.next] + ([ike] + former).map(\.retransmission)).compactMap { $0 }.min()
    }

    package mutating func handleDeadlines(at now: Instant, into outputs: inout [Output]) {
        retired.removeAll { $0.until <= now }
        for sa in [ike] + former where stage != .closed {
            if let due = sa.retransmission, due <= now { retransmit(on: sa, at: now, into: &outputs) }
        }
        guard stage != .closed else { return }
        for deadline in deadlines.expired(at: now) where stage != .closed {
            switch deadline {
            case .patience: losePatience(into: &outputs)
            case .liveness: checkLiveness(at: now, into: &outputs)
            case .keepalive: keepNATOpen(at: now, into: &outputs)
            case .childRekey: rekeyChild(at: now, into: &outputs)
            case .ikeRekey: rekeyIKE(at: now, into: &outputs)
            }
        }
    }

    /// Ends the IKE SA: with a Delete where there is one to delete, else at once.
    package mutating func close(at now: Instant, into outputs: inout [Output]) {
        switch stage {
        case .idle, .initiating, .authenticating: close(.abandoned, into: &outputs)
        case .established:
            stage = .deleting
            ike.window.waiting.removeAll()
            ask(.informational, [.delete(DeletePayload(protocolID: .ike, spis: []))], for: .delete, at: now, into: &outputs)
        case .deleting, .closed: break
        }
    }

    /// The end, without another word to the gateway.
    mutating func close(_ reason: Closure, into outputs: inout [Output]) {
        guard stage != .closed else { return }
        stage = .closed
        deadlines.clear()
        ike.window = Window()
        ike.retransmission = nil
        ike.protection = nil
        former = []
        ikeExchange = nil
        child = nil
        children = []
        retired = []
        childExchange = nil
        initiation.keyExchange = nil
        eap = nil
        outputs.append(.closed(reason))
    }
}

extension Proposal {
    /// The key exchange method that is named first.
    var firstKeyExchange: KeyExchangeMethod? {
        transforms.first { $0.type == .keyExchange && $0.id != 0 }.map { KeyExchangeMethod(rawValue: $0.id) }
    }
}

import GatewayCrypto
import IKEMessages
import Wire

/// The client is authenticated: INFORMATIONAL both ways, liveness and lifetimes. Built from a `VerifiedPeer` alone (invariant I1).
struct Established: ~Copyable, Sendable {
    var channel: Channel
    private(set) var proposal: IKEProposal
    private var keys: SAKeys
    private let profile: GatewayProfile
    private let peer: VerifiedPeer
    private let grant: AddressGrant
    private var children: [Child]
    /// The client's request for a Child SA that is being answered.
    private var childExchange: Held<ChildExchange>?
    private var rekey: IKERekey?
    /// The IKE SA that was replaced: it answers until the client has deleted it.
    private var previous: Held<Channel>?
    /// The client has deleted it; only its last response is still repeated.
    private var previousIsDeleted = false
    /// Key exchanges that a client may ask for (threats.md P22).
    private var keyExchanges = RateCap(perSecond: 2)

    private struct Child: Sendable {
        let sa: ChildSA
        let expiry: Instant
    }

    /// An IKE SA that lost its last Child SA waits this long for a new one.
    static let childlessLifetime = Duration.seconds(60)
    /// How long a replaced IKE SA waits for its Delete.
    static let previousLifetime = Duration.seconds(60)
    /// Child SAs of one IKE SA (threats.md P22).
    static let mostChildren = 8

    init(login: consuming Login, peer: VerifiedPeer, child: ChildSA, at now: Instant) {
        let lifetime = login.proposal.lifetime
        proposal = login.proposal
        grant = child.grant
        channel = login.channel
        keys = login.keys
        profile = login.profile
        self.peer = peer
        children = [Child(sa: child, expiry: now + child.lifetime)]
        channel.deadlines.clear()
        channel.deadlines[.ageOut] = now + lifetime
        channel.deadlines[.childAgeOut] = now + child.lifetime
        watch(at: now)
    }

    /// Arms the next liveness check: `interval` after the last sign of life.
    private mutating func watch(at now: Instant) {
        guard let detection = profile.policy.deadPeerDetection, !detection.replyOnly else { return }
        channel.deadlines[.liveness] = max(channel.lastHeard + detection.interval, now + .milliseconds(1))
    }

    consuming func handle(_ input: Input, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        switch input {
        case .datagram(let datagram): return receive(datagram, at: now, into: &outputs)
        case .deadline: return strike(at: now, into: &outputs)
        case .close(let reason): return delete(reason, at: now, into: &outputs)
        case .childExhausted(let spi):
            deleteChild(inboundSPI: spi, at: now, into: &outputs)
            return .established(self)
        case .moved(let remote):
            if channel.nat.peerBehindNAT { channel.remote = remote }
            return .established(self)
        case .activity(let seen):
            return check(seen, at: now, into: &outputs)
        case .childSPI(let spi): return allot(spi, at: now, into: &outputs)
        case .installed(let done): return installed(done, at: now, into: &outputs)
        case .ikeSPI(let spi): return replace(with: spi, at: now, into: &outputs)
        case .peer, .signature, .address: return .established(self)
        }
    }

    private consuming func strike(at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        for deadline in channel.deadlines.expired(at: now) {
            switch deadline {
            case .retransmit:
                if !channel.retransmit(at: now, into: &outputs) { return end(.deadPeer, into: &outputs) }
            case .liveness: outputs.append(.ask(.activity))
            case .ageOut: return delete(.lifetime, at: now, into: &outputs)
            case .childAgeOut:
                for child in children where child.expiry <= now { deleteChild(inboundSPI: child.sa.inboundSPI, at: now, into: &outputs) }
            case .childless: return delete(.childless, at: now, into: &outputs)
            case .previous:
                if let old = previous { outputs.append(.released(responderSPI: old.value.responderSPI)) }
                previous = nil
            case .halfOpen: break
            }
        }
        return .established(self)
    }

    /// The datapath's answer to a liveness deadline: traffic is as good as a message (RFC 7296 section 2.4).
    private consuming func check(_ seen: Instant?, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        if let seen { channel.lastHeard = max(channel.lastHeard, min(seen, now)) }
        if let detection = profile.policy.deadPeerDetection, now - channel.lastHeard >= detection.interval {
            if channel.outstanding == nil { channel.request(.liveness, [], at: now, into: &outputs) }
            // While a request is out its own repetitions decide; look again when they would have.
            channel.deadlines[.liveness] = now + detection.interval
        } else {
            watch(at: now)
        }
        return .established(self)
    }

    private consuming func receive(_ datagram: IKEDatagram, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        if isForPrevious(datagram) { return receiveOnPrevious(datagram, at: now, into: &outputs) }
        switch channel.receive(datagram, at: now, into: &outputs) {
        case .response(_, let payloads):
            // The peer gave the SA up with these, and waits for no Delete (RFC 7296 section 2.21.2).
            return Self.givesUp(payloads) ? end(.protocolError, into: &outputs) : .established(self)
        case .nothing: return .established(self)
        case .faultyRequest(let exchange, let id, let error):
            let answer = ExchangeError(error)
            channel.respond(exchange, id: id, error: answer, into: &outputs)
            return answer.endsIKESA(in: exchange) ? linger(.protocolError, at: now, into: &outputs) : .established(self)
        case .request(let exchange, let id, let payloads):
            switch exchange {
            case .informational:
                channel.accepted(datagram, at: now, into: &outputs)
                return informational(payloads, id: id, at: now, into: &outputs)
            case .createChildSA:
                channel.accepted(datagram, at: now, into: &outputs)
                return createChildSA(payloads, id: id, at: now, into: &outputs)
            default:
                outputs.append(.dropped(.unexpectedExchange))
                return .established(self)
            }
        }
    }

    private consuming func informational(
        _ payloads: [Payload], id: UInt32, at now: Instant, into outputs: inout [Output]
    ) -> IKESA.Stage {
        let message: InformationalMessage
        do throws(MessageError) {
            message = try InformationalMessage(payloads: payloads)
        } catch {
            return refuse(.informational, id: id, ExchangeError(error), at: now, into: &outputs)
        }
        if message.deletes.contains(where: { $0.protocolID == .ike }) {
            channel.respond(.informational, id: id, [], into: &outputs)
            return linger(.peerDelete, at: now, into: &outputs)
        }
        if Self.givesUp(payloads) {
            channel.respond(.informational, id: id, [], into: &outputs)
            return linger(message.notifies.contains(.authenticationFailed) ? .authenticationFailed : .protocolError, at: now, into: &outputs)
        }
        let named = Set(message.deletes.filter { $0.protocolID == .esp }.flatMap(\.spis))
        var gone: [[UInt8]] = []
        for child in children where named.contains(Self.octets(child.sa.outboundSPI)) {
            gone.append(Self.octets(child.sa.inboundSPI))
            forgetChild(inboundSPI: child.sa.inboundSPI, at: now, into: &outputs)
        }
        let answer: [Payload] = gone.isEmpty ? [] : [.delete(DeletePayload(protocolID: .esp, spis: gone))]
        channel.respond(.informational, id: id, answer, into: &outputs)
        return .established(self)
    }

    /// AUTHENTICATION_FAILED, when the client does not believe who we are, and INVALID_SYNTAX end an IKE SA without a Delete (RFC 7296 section 2.21.2).
    private static func givesUp(_ payloads: [Payload]) -> Bool {
        payloads.contains {
            if case .notify(let notify) = $0 { notify.type == .authenticationFailed || notify.type == .invalidSyntax } else { false }
        }
    }

    // MARK: CREATE_CHILD_SA

    private consuming func createChildSA(
        _ payloads: [Payload], id: UInt32, at now: Instant, into outputs: inout [Output]
    ) -> IKESA.Stage {
        let request: CreateChildSARequest
        do throws(MessageError) {
            request = try CreateChildSARequest(payloads: payloads)
        } catch {
            return refuse(.createChildSA, id: id, ExchangeError(error), at: now, into: &outputs)
        }
        do throws(ExchangeError) {
            if request.initiatorSelectors == nil {
                // Section 2.25.2: nor while a Child SA is being closed, since its Delete would go down with this SA.
                guard previous == nil || previousIsDeleted, !channel.isClosingChild, keyExchanges.admits(at: now) else { throw .temporaryFailure }
                rekey = try IKERekey.begin(request, messageID: id, accepting: profile.policy.transforms)
                outputs.append(.ask(.ikeSPI))
            } else {
                childExchange = Held(try begin(request, id: id, at: now))
                outputs.append(.ask(.childSPI))
            }
        } catch {
            return refuse(.createChildSA, id: id, error, at: now, into: &outputs)
        }
        return .established(self)
    }

    private mutating func begin(_ request: CreateChildSARequest, id: UInt32, at now: Instant) throws(ExchangeError) -> ChildExchange {
        let old = request.rekeys.flatMap { rekeyed in children.first { Self.octets($0.sa.outboundSPI) == rekeyed.spi }?.sa }
        if let rekeyed = request.rekeys, old == nil { throw .childSANotFound(spi: rekeyed.spi) }
        guard children.count < Self.mostChildren else { throw .noAdditionalSAs }
        guard request.keyExchange == nil || keyExchanges.admits(at: now) else { throw .temporaryFailure }
        // A Child SA in the place of another keeps its selectors (features.md TS-6): Windows asks for everything again.
        return try ChildExchange.begin(
            request, messageID: id,
            terms: ChildTerms(
                transforms: profile.childTransforms, local: old?.localSelectors ?? profile.localSelectors(for: grant),
                remote: old?.remoteSelectors ?? grant.selectors, supersedes: old?.inboundSPI),
            entropy: channel.entropy)
    }

    private consuming func allot(_ spi: UInt32?, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        guard let held = childExchange else { return .established(self) }
        guard let spi else {
            childExchange = nil
            return refuse(.createChildSA, id: held.value.messageID, .noAdditionalSAs, at: now, into: &outputs)
        }
        let proposal = held.value.proposal
        let child = ChildSA(
            inboundSPI: spi, outboundSPI: proposal.spi, suite: proposal, localSelectors: held.value.localSelectors,
            remoteSelectors: held.value.remoteSelectors, lifetime: proposal.lifetime ?? profile.policy.ipsecLifetime, grant: grant,
            local: channel.local, remote: channel.remote, peerBehindNAT: channel.nat.peerBehindNAT, supersedes: held.value.supersedes,
            isEncapsulated: channel.nat.needsEncapsulation(profile.policy))
        held.value.child = child
        outputs.append(.install(child))
        return .established(self)
    }

    borrowing func childKeys(inboundSPI: UInt32) -> ChildKeys? {
        guard let held = childExchange, held.value.child?.inboundSPI == inboundSPI else { return nil }
        return held.value.keys(keys)
    }

    private consuming func installed(_ done: Bool, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        guard let held = childExchange, let child = held.value.child else { return .established(self) }
        childExchange = nil
        guard done else {
            outputs.append(.remove(inboundSPI: child.inboundSPI))
            return refuse(.createChildSA, id: held.value.messageID, .temporaryFailure, at: now, into: &outputs)
        }
        channel.respond(.createChildSA, id: held.value.messageID, held.value.payloads(inboundSPI: child.inboundSPI), into: &outputs)
        children.append(Child(sa: child, expiry: now + child.lifetime))
        channel.deadlines[.childAgeOut] = children.map(\.expiry).min()
        channel.deadlines[.childless] = nil
        outputs.append(.childEstablished(child))
        return .established(self)
    }

    /// The IKE SA gets new keys and SPIs; its Child SAs stay as they are (RFC 7296 section 2.18).
    private consuming func replace(with spi: IKESPI?, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        guard let request = rekey else { return .established(self) }
        rekey = nil
        let id = request.messageID
        guard let spi else { return refuse(.createChildSA, id: id, .temporaryFailure, at: now, into: &outputs) }
        let fresh: RekeyedIKE
        do throws(CryptoError) {
            fresh = try request.finish(ours: spi, old: keys, entropy: channel.entropy)
        } catch {
            return refuse(.createChildSA, id: id, .invalidSyntax, at: now, into: &outputs)
        }
        channel.respond(.createChildSA, id: id, fresh.payloads, into: &outputs)
        outputs.append(.rekeyed(initiatorSPI: fresh.initiatorSPI, responderSPI: fresh.responderSPI))
        var next = Channel(
            initiatorSPI: fresh.initiatorSPI, responderSPI: fresh.responderSPI, local: channel.local, remote: channel.remote,
            nat: channel.nat, protection: fresh.protection, requests: RequestWindow(expected: 0), lastHeard: channel.lastHeard,
            entropy: channel.entropy, liveness: channel.liveness)
        next.inheritUpkeep(of: channel, at: now)
        next.deadlines = channel.deadlines
        next.deadlines[.retransmit] = nil
        next.deadlines[.ageOut] = now + fresh.proposal.lifetime
        next.deadlines[.previous] = now + Self.previousLifetime
        proposal = fresh.proposal
        keys = fresh.keys
        if let old = previous { outputs.append(.released(responderSPI: old.value.responderSPI)) }
        previous = Held(exchange(&channel, with: next))
        previousIsDeleted = false
        watch(at: now)
        return .established(self)
    }

    private borrowing func isForPrevious(_ datagram: IKEDatagram) -> Bool {
        var span = unsafe datagram.octets.span.bytes
        guard let header = try? IKEHeader(parsing: &span) else { return false }
        return previous.map { $0.value.responderSPI == header.responderSPI } ?? false
    }

    /// What still comes on the IKE SA that was replaced: its Delete above all.
    private consuming func receiveOnPrevious(_ datagram: IKEDatagram, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        guard let old = previous else { return .established(self) }
        let place = (old.value.local, old.value.remote)
        switch old.value.receive(datagram, at: now, into: &outputs) {
        case .nothing, .response: break
        case .faultyRequest(let exchange, let id, let error):
            old.value.respond(exchange, id: id, error: ExchangeError(error), into: &outputs)
        case .request(let exchange, let id, let payloads):
            old.value.accepted(datagram, at: now, into: &outputs)
            if exchange == .informational {
                old.value.respond(exchange, id: id, [], into: &outputs)
                let isDeleted = payloads.contains { if case .delete(let delete) = $0 { delete.protocolID == .ike } else { false } }
                // The response may get lost: it is repeated for a while.
                if isDeleted {
                    previousIsDeleted = true
                    channel.deadlines[.previous] = now + Lingering.lifetime
                }
            } else {
                old.value.respond(exchange, id: id, error: .temporaryFailure, into: &outputs)
            }
        }
        // A client behind a NAT may have moved with it.
        if (old.value.local, old.value.remote) != place { (channel.local, channel.remote) = (old.value.local, old.value.remote) }
        channel.lastHeard = max(channel.lastHeard, old.value.lastHeard)
        return .established(self)
    }

    private consuming func refuse(
        _ exchange: ExchangeType, id: UInt32, _ error: ExchangeError, at now: Instant, into outputs: inout [Output]
    ) -> IKESA.Stage {
        channel.respond(exchange, id: id, error: error, into: &outputs)
        return error.endsIKESA(in: exchange) ? linger(.protocolError, at: now, into: &outputs) : .established(self)
    }

    // MARK: Child SAs

    private mutating func deleteChild(inboundSPI: UInt32, at now: Instant, into outputs: inout [Output]) {
        guard children.contains(where: { $0.sa.inboundSPI == inboundSPI }) else { return }
        forgetChild(inboundSPI: inboundSPI, at: now, into: &outputs)
        channel.request(
            .deleteChildSA(spi: inboundSPI), [.delete(DeletePayload(protocolID: .esp, spis: [Self.octets(inboundSPI)]))], at: now,
            into: &outputs)
    }

    private mutating func forgetChild(inboundSPI: UInt32, at now: Instant, into outputs: inout [Output]) {
        children.removeAll { $0.sa.inboundSPI == inboundSPI }
        outputs.append(.remove(inboundSPI: inboundSPI))
        channel.deadlines[.childAgeOut] = children.map(\.expiry).min()
        if children.isEmpty { channel.deadlines[.childless] = now + Self.childlessLifetime }
    }

    private mutating func removeChildren(into outputs: inout [Output]) {
        for child in children { outputs.append(.remove(inboundSPI: child.sa.inboundSPI)) }
        children = []
        if let child = childExchange?.value.child { outputs.append(.remove(inboundSPI: child.inboundSPI)) }
        childExchange = nil
    }

    private static func octets(_ spi: UInt32) -> [UInt8] {
        var octets: [UInt8] = []
        octets.append(bigEndian: spi)
        return octets
    }

    // MARK: Endings

    /// We end it: the peer is told.
    private consuming func delete(_ reason: ClosingReason, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        removeChildren(into: &outputs)
        return Deleting.begin(channel: channel, reason: reason, at: now, into: &outputs)
    }

    /// The peer ended it or broke it; our last response is repeated for a while.
    private consuming func linger(_ reason: ClosingReason, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        removeChildren(into: &outputs)
        outputs.append(.ended(reason))
        return .lingering(Lingering(channel: channel, at: now))
    }

    /// Nobody is there to be told.
    private consuming func end(_ reason: ClosingReason, into outputs: inout [Output]) -> IKESA.Stage {
        removeChildren(into: &outputs)
        outputs += [.ended(reason), .closed]
        return .closed
    }
}

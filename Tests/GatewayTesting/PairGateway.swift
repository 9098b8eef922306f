package import GatewayCrypto
package import IKE
package import IKEMessages
package import Wire

/// The gateway's side of a `Pair`: the door and the IKE SAs behind it, driven as the engine drives them, with a small fake of everything that the
/// engine asks: credentials, addresses, SPIs and the datapath.
package final class PairGateway {
    /// An IKE SA and what belongs to it outside the machine.
    package final class Entry {
        package var sa: IKESA
        package let spi: IKESPI
        package let initiation: InitiationKey
        /// Where the client is, as the machine said last.
        package var remote: Endpoint
        package let local: Endpoint
        package var establishment: Establishment?
        package var refusal: Refusal?
        package var questions: [AddressQuestion] = []
        package var grant: AddressGrant?
        package var installed: [UInt32: ChildSA] = [:]
        package var reserved: Set<UInt32> = []
        package var ended: [ClosingReason] = []
        package var closed = 0
        package var isSettled = false
        /// A stranger's IKE_SA_INIT began it.
        var isStrangers = false
        /// The last authentic packet of the client, as the datapath would tell.
        package var activity: Instant?
        package var drops: [MessageDrop: Int] = [:]
        /// The SPIs of ours that reach it: one, and two for a while after a rekey (RFC 7296 section 2.18).
        package var spis: Set<IKESPI>
        /// Child SAs that came after the first.
        package var furtherChildren = 0
        /// How often the IKE SA was replaced.
        package var rekeys = 0
        package var eap = PairAAA.Conversation()
        package var keepalives: [(at: Instant, from: Endpoint, to: Endpoint)] = []

        init(sa: consuming IKESA, spi: IKESPI, initiation: InitiationKey, datagram: IKEDatagram) {
            self.sa = sa
            self.spi = spi
            spis = [spi]
            self.initiation = initiation
            remote = datagram.remote
            local = datagram.local
        }

        // The macros of Testing cannot look into a value that cannot be copied.
        package var stage: String { sa.stageName }
        package var isEstablished: Bool { sa.isEstablished }
        package var messageIDs: (expected: UInt32, next: UInt32)? { sa.messageIDs }
        package var nextDeadline: Instant? { sa.nextDeadline }
        package var children: [ChildSA] { installed.values.sorted { $0.inboundSPI < $1.inboundSPI } }
    }

    package struct InitiationKey: Hashable {
        let digest: [UInt8]
        let remote: Endpoint
    }

    /// An answer from outside that can be held back.
    package enum Held: Hashable, CaseIterable, Sendable { case peer, eap, address, install }

    /// Who sent a datagram, as far as the simulation knows; the machine does not.
    package enum Origin: Sendable { case peer, stranger }

    struct Pending {
        let kind: Held
        let spi: IKESPI
        let due: Instant
        let answer: Answer
    }

    enum Answer {
        case peer(PeerQuestion)
        case eap(EAPQuestion)
        case address(AddressQuestion)
        case install(ChildSA)
    }

    /// A Child SA's keys in the clear, for tests that open packets.
    package struct ExposedChildKeys: Sendable {
        package let inboundEncryption, inboundIntegrity, outboundEncryption, outboundIntegrity: [UInt8]
    }

    package var profile: GatewayProfile
    package var responder: Responder
    package let entropy: any Entropy
    /// What fragments of all clients together may take up before authentication.
    package var budget = ReassemblyBudget()
    package var entries: [IKESPI: Entry] = [:]
    /// Those that are gone, in order.
    package var gone: [Entry] = []
    /// SPIs that a rekey added, by the SA that they reach.
    private var owners: [IKESPI: IKESPI] = [:]
    private var initiations: [InitiationKey: IKESPI] = [:]
    /// Of the datagram that is taken.
    private var origin = Origin.peer

    // MARK: What the fake answers

    package var credential: (PeerQuestion) -> PeerAnswer
    /// Our own key, where a credential asks for a signature.
    package var sign: (SignatureQuestion) -> [UInt8]? = { _ in nil }
    /// What was to be signed, in order; while `holdsSignature` the test gives the answers.
    package var signatureQuestions: [SignatureQuestion] = []
    package var holdsSignature = false
    package var aaa = PairAAA()
    /// nil: the pool answers.
    package var address: ((AddressQuestion) -> AddressAnswer)?
    package var dns: [IPAddress] = [IPAddress(v4: 0x0a09_0001)]
    package var netmask: IPAddress?
    package var installs = true
    package var hasSPIs = true
    /// Answers that wait for `release`.
    package var holds: Set<Held> = []
    /// How long an answer takes that is not held.
    package var delay: () -> Duration = { .zero }
    /// Admitted requests wait for `takeUp`, as those in a mailbox do (threats.md P2).
    package var queuesInitiations = false
    package var waiting: [(IKEDatagram, hasCookie: Bool, lifetime: Duration)] = []
    var pending: [Pending] = []
    private var leased: Set<IPAddress> = []
    private var nextAddress: UInt32 = 0x0a09_0002
    private var nextChildSPI: UInt32 = 0x0100_0040
    /// SPIs of IKE SAs that replace others.

    // MARK: What was seen

    package var send: (IKEDatagram) -> Void = { _ in }
    /// Says why an SA may not become established, or nil.
    package var objection: (Establishment) -> String? = { _ in nil }
    package var violations: [String] = []
    /// What SPIs were asked for.
    package var childPurposes: [ChildPurpose] = []
    package var doorDrops: [DoorDrop: Int] = [:]
    package var drops: [MessageDrop: Int] = [:]
    package var initRefusals: [ExchangeError] = []
    package var overtakenByCookies = 0
    package var repetitions = 0
    package var cookieReplies = 0
    package var octetsIn = 0
    package var octetsOut = 0
    package var established = 0
    package var exposedKeys: [UInt32: ExposedChildKeys] = [:]
    /// Processor time of the costliest datagram of a stranger (invariant I10).
    package var costliest: Duration = .zero
    /// What the last datagram came to.
    package var lastOutputs: [Output] = []
    /// Error notifies to strangers, as the engine counts them out.
    private var errors: ErrorLimit
    private var record = SentRecord()
    private var usedKeys: Set<[UInt8]> = []

    package init(profile: GatewayProfile, sharedKey: [UInt8], entropy: any Entropy, at now: Instant) throws {
        self.profile = profile
        self.entropy = entropy
        responder = try Responder(
            limits: profile.policy.halfOpen, initExchangeLimit: profile.policy.initExchangeLimit, entropy: entropy, at: now)
        errors = ErrorLimit(at: now)
        credential = { _ in .credentials(.sharedKey(Secret(sharedKey), identity: profile.identity)) }
    }

    // MARK: The door

    /// Takes a datagram as the door thread and then the engine would.
    package func receive(_ datagram: IKEDatagram, origin: Origin = .peer, at now: Instant) {
        octetsIn += datagram.octets.count
        lastOutputs = []
        self.origin = origin
        defer { self.origin = .peer }
        let before = origin == .stranger ? ProcessorClock.now : .zero
        switch responder.judge(datagram.octets.span.bytes, from: datagram.remote, at: now) {
        case .drop(let reason): doorDrops[reason, default: 0] += 1
        case .reply:
            cookieReplies += 1
            transmit(IKEDatagram(responder.reply, local: datagram.local, remote: datagram.remote))
        case .initiate(let hasCookie):
            let lifetime = responder.halfOpenLifetime(at: now)
            if queuesInitiations {
                waiting.append((datagram, hasCookie, lifetime))
            } else {
                initiate(datagram, hasCookie: hasCookie, lifetime: lifetime, at: now)
            }
        case .route(let spi): route(datagram, to: owners[spi] ?? spi, origin: origin, at: now)
        }
        if origin == .stranger { costliest = max(costliest, ProcessorClock.now - before) }
        answerPending(at: now)
    }

    /// The engine takes up what waits.
    package func takeUp(at now: Instant) {
        let taken = waiting
        waiting = []
        for (datagram, hasCookie, lifetime) in taken { initiate(datagram, hasCookie: hasCookie, lifetime: lifetime, at: now) }
        answerPending(at: now)
    }

    private func initiate(_ datagram: IKEDatagram, hasCookie: Bool, lifetime: Duration, at now: Instant) {
        guard hasCookie || !responder.requiresCookie(at: now) || !queuesInitiations else {
            overtakenByCookies += 1
            responder.turnedAway(datagram.remote.address)
            return
        }
        let key = InitiationKey(digest: Digest.sha256(datagram.octets), remote: datagram.remote)
        if let spi = initiations[key] {
            responder.turnedAway(datagram.remote.address)
            repetitions += 1
            if let response = entries[spi]?.sa.initResponse {
                transmit(IKEDatagram(response, local: datagram.local, remote: datagram.remote))
            }
            return
        }
        let spi = newSPI()
        let result = Initiation.answer(
            datagram, profile: profile, responderSPI: spi, halfOpenLifetime: lifetime, budget: budget,
            entropy: entropy, at: now)
        switch consume result {
        case .dropped(let reason):
            drops[reason, default: 0] += 1
            responder.turnedAway(datagram.remote.address)
        case .refused(let reply, let error):
            initRefusals.append(error)
            responder.turnedAway(datagram.remote.address)
            if case .invalidKeyExchange = error {
                transmit(reply)
            } else if errors.admits(datagram.remote.address, at: now) {
                transmit(reply)
            }
        case .accepted(let sa, let response):
            entries[spi] = Entry(sa: sa, spi: spi, initiation: key, datagram: datagram)
            entries[spi]?.isStrangers = origin == .stranger
            initiations[key] = spi
            responder.opened(spi, from: datagram.remote.address)
            transmit(response)
        }
    }

    private func newSPI() -> IKESPI { entropy.octets(8).reduce(IKESPI(0)) { $0 << 8 | IKESPI($1) } | 0x10 }

    /// A message to an IKE SA; what a stranger sends may cost a drop or repeat a response, and nothing else (invariant I8).
    private func route(_ datagram: IKEDatagram, to spi: IKESPI, origin: Origin, at now: Instant) {
        guard origin == .stranger, let entry = entries[spi] else { return feed(.datagram(datagram), to: spi, at: now) }
        let (stage, expected, next, remote) = (entry.stage, entry.messageIDs?.expected, entry.messageIDs?.next, entry.remote)
        feed(.datagram(datagram), to: spi, at: now)
        // Its public value is no group element, which no client of ours sends: nobody can have the keys, and the first IKE_AUTH ends it
        if entry.isStrangers, stage == "half-open", lastOutputs == [.dropped(.keyExchangeFailed), .ended(.protocolError), .closed] { return }
        if stage != entry.stage || expected != entry.messageIDs?.expected || next != entry.messageIDs?.next || remote != entry.remote {
            violations.append("I8: a stranger's message took \(stage) to \(entry.stage)")
        }
        for output in lastOutputs {
            switch output {
            case .dropped: continue
            case .send(let answer) where record.contains(answer.octets): continue
            default: violations.append("I8: a stranger's message in \(stage) led to \(output)")
            }
        }
    }

    // MARK: Transitions

    package func feed(_ input: Input, to spi: IKESPI, at now: Instant) {
        guard let entry = entries[spi] else { return }
        var inputs = [input]
        while !inputs.isEmpty {
            var outputs: [Output] = []
            entry.sa.handle(inputs.removeFirst(), at: now, into: &outputs)
            lastOutputs += outputs
            for output in outputs {
                if let answer = perform(output, for: entry, at: now) { inputs.append(answer) }
            }
        }
    }

    private func perform(_ output: Output, for entry: Entry, at now: Instant) -> Input? {
        switch output {
        case .send(let datagram): transmit(datagram)
        case .ask(let question): return answer(question, for: entry, at: now)
        case .install(let child): ask(.install, .install(child), of: entry, at: now)
        case .remove(let spi):
            if entry.installed.removeValue(forKey: spi) == nil, entry.reserved.remove(spi) == nil {
                violations.append("an SPI was removed that was neither installed nor reserved")
            }
        case .established(let establishment): establish(establishment, entry)
        case .childEstablished(let child):
            if entry.installed[child.inboundSPI] != child { violations.append("a Child SA stands that is not installed") }
            entry.furtherChildren += 1
        case .listen(let spi):
            entry.spis.insert(spi)
            owners[spi] = entry.spi
            responder.replaced(spi)
        case .rekeyed: entry.rekeys += 1
        case .released(let spi):
            if entry.spis.remove(spi) == nil { violations.append("an SPI was released that was not ours") }
            owners[spi] = nil
            responder.closed(spi)
        case .moved(let remote): entry.remote = remote
        case .keepalive(let local, let remote): entry.keepalives.append((at: now, from: local, to: remote))
        case .refused(let refusal): entry.refusal = refusal
        case .ended(let reason): end(reason, entry)
        case .closed: forget(entry)
        case .dropped(let reason):
            drops[reason, default: 0] += 1
            entry.drops[reason, default: 0] += 1
        }
        return nil
    }

    private func answer(_ question: Question, for entry: Entry, at now: Instant) -> Input? {
        switch question {
        case .peer(let question):
            guard holds.contains(.peer) else { return .peer(credential(question)) }
            ask(.peer, .peer(question), of: entry, at: now)
            return nil
        case .signature(let question):
            signatureQuestions.append(question)
            return holdsSignature ? nil : .signature(sign(question))
        case .eap(let question):
            ask(.eap, .eap(question), of: entry, at: now)
            return nil
        case .address(let question):
            entry.questions.append(question)
            ask(.address, .address(question), of: entry, at: now)
            return nil
        case .childSPI(let purpose):
            childPurposes.append(purpose)
            guard hasSPIs else { return .childSPI(nil) }
            nextChildSPI += 64
            entry.reserved.insert(nextChildSPI)
            return .childSPI(nextChildSPI)
        case .ikeSPI: return .ikeSPI(newSPI())
        case .activity: return .activity(entry.activity)
        }
    }

    private func establish(_ establishment: Establishment, _ entry: Entry) {
        if entry.establishment != nil { violations.append("I3: established twice") }
        if let objection = objection(establishment) { violations.append("I1: \(objection)") }
        if let child = establishment.child, entry.installed[child.inboundSPI] != child {
            violations.append("established with a Child SA that is not installed")
        }
        entry.establishment = establishment
        established += 1
        settle(entry)
    }

    private func end(_ reason: ClosingReason, _ entry: Entry) {
        entry.ended.append(reason)
        if let grant = entry.grant { leased.subtract(grant.addresses) }
        entry.grant = nil
        settle(entry)
    }

    private func settle(_ entry: Entry) {
        guard !entry.isSettled else { return }
        entry.isSettled = true
        responder.settled(entry.spi)
    }

    private func forget(_ entry: Entry) {
        settle(entry)
        entry.closed += 1
        entries[entry.spi] = nil
        initiations[entry.initiation] = nil
        pending.removeAll { $0.spi == entry.spi }
        for spi in entry.spis {
            responder.closed(spi)
            owners[spi] = nil
        }
        gone.append(entry)
    }

    private func transmit(_ datagram: IKEDatagram) {
        octetsOut += datagram.octets.count
        if let fault = record.add(datagram.octets) { violations.append(fault) }
        send(datagram)
    }

    // MARK: Answers from outside

    private func ask(_ kind: Held, _ answer: Answer, of entry: Entry, at now: Instant) {
        pending.append(Pending(kind: kind, spi: entry.spi, due: now + delay(), answer: answer))
    }

    /// Gives the answers that are due and not held.
    func answerPending(at now: Instant) {
        while let index = pending.firstIndex(where: { !holds.contains($0.kind) && $0.due <= now }) { give(pending.remove(at: index), at: now) }
    }

    /// Gives every answer of a kind that was held back.
    package func release(_ kind: Held, at now: Instant) {
        holds.remove(kind)
        answerPending(at: now)
    }

    private func give(_ pending: Pending, at now: Instant) {
        guard let entry = entries[pending.spi] else { return }
        switch pending.answer {
        case .peer(let question): feed(.peer(credential(question)), to: entry.spi, at: now)
        case .eap(let question): feed(.eap(aaa.answer(question, &entry.eap, entropy: entropy)), to: entry.spi, at: now)
        case .address(let question):
            guard entry.ended.isEmpty else { return }
            let answer = address?(question) ?? lease(question)
            if case .granted(let grant) = answer {
                if !leased.isDisjoint(with: grant.addresses) { violations.append("I2: an address was granted twice") }
                leased.formUnion(grant.addresses)
                entry.grant = grant
            }
            feed(.address(answer), to: entry.spi, at: now)
        case .install(let child): install(child, entry, at: now)
        }
    }

    private func lease(_ question: AddressQuestion) -> AddressAnswer {
        guard question.wish.ipv4 else { return .unavailable("the pool has IPv4 addresses only") }
        var address = IPAddress(v4: nextAddress)
        if let wanted = question.wish.preferredIPv4, !leased.contains(wanted) {
            address = wanted
        } else {
            nextAddress += 1
        }
        return .granted(AddressGrant(ipv4: address, ipv4Netmask: netmask, dns: dns))
    }

    private func install(_ child: ChildSA, _ entry: Entry, at now: Instant) {
        guard entry.ended.isEmpty else { return }
        guard installs, let keys = entry.sa.takeKeys(inboundSPI: child.inboundSPI) else {
            return feed(.installed(child.inboundSPI, false), to: entry.spi, at: now)
        }
        let exposed = ExposedChildKeys(
            inboundEncryption: keys.inboundEncryption.exposed(), inboundIntegrity: keys.inboundIntegrity.exposed(),
            outboundEncryption: keys.outboundEncryption.exposed(), outboundIntegrity: keys.outboundIntegrity.exposed())
        for key in [exposed.inboundEncryption, exposed.outboundEncryption] where !usedKeys.insert(key).inserted {
            violations.append("I4: two Child SAs have one key")
        }
        exposedKeys[child.inboundSPI] = exposed
        entry.reserved.remove(child.inboundSPI)
        entry.installed[child.inboundSPI] = child
        feed(.installed(child.inboundSPI, true), to: entry.spi, at: now)
    }

    // MARK: Deadlines

    package var initiationCount: Int { initiations.count }
    package var leasedCount: Int { leased.count }

    /// When something happens here by itself.
    package var nextEvent: Instant? {
        let answers = pending.lazy.filter { !self.holds.contains($0.kind) }.map(\.due).min()
        let deadlines = entries.values.lazy.compactMap(\.nextDeadline).min()
        return [answers, deadlines].compactMap { $0 }.min()
    }

    package func strike(at now: Instant) {
        lastOutputs = []
        answerPending(at: now)
        for spi in entries.keys.sorted() {
            if let due = entries[spi]?.nextDeadline, due <= now { feed(.deadline, to: spi, at: now) }
        }
        answerPending(at: now)
    }

    // MARK: From outside

    package func close(_ spi: IKESPI, _ reason: ClosingReason, at now: Instant) {
        feed(.close(reason), to: spi, at: now)
        answerPending(at: now)
    }

    package func closeAll(_ reason: ClosingReason, at now: Instant) {
        for spi in entries.keys.sorted() { close(spi, reason, at: now) }
    }

    // The macros of Testing cannot look into a value that cannot be copied.
    package var gauges: (live: Int, halfOpen: Int, sources: Int) { responder.gauges }
    package var halfOpen: Int { responder.halfOpen }
    package func requiresCookie(at now: Instant) -> Bool { responder.requiresCookie(at: now) }
}

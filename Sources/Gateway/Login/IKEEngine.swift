import Datapath
import ESP
import FoundationEssentials
import GatewayCrypto
import HeapModule
import IKE
import IKEMessages
import LinuxIO
import ManagementAPI
import Synchronization
import Wire

/// One shard of the IKE SAs, and the only driver of `IKESA`. An input is one transition and no `await` falls inside it: what a machine asks comes
/// back as a further input.
actor IKEEngine {
    /// An IKE SA with what belongs to it outside the machine.
    private final class Entry {
        var sa: IKESA
        /// The session's number, from the first message on.
        let id: UInt64
        let gateway: GatewayRuntime
        let local: Endpoint
        var remote: Endpoint
        let initiation: InitiationKey
        /// Our SPIs of this IKE SA: several while one replaces another.
        var spis: Set<IKESPI> = []
        var worker = 0
        /// Makes our own AUTH value, where that is a signature.
        var signer: GatewayCertificates.Signer?
        var tunnel: TunnelID?
        /// SPIs allocated and not yet in the datapath.
        var reserved: Set<UInt32> = []
        var establishment: Establishment?
        var establishedAt: (wall: Date, clock: Instant)?
        var children: [(sa: ChildSA, since: (wall: Date, clock: Instant))] = []
        var hasSession = false
        var isSettled = false
        /// The earliest deadline that stands in the heap.
        var armed: Instant?
        /// What is done outside for this SA happens in order.
        var work: Task<Void, Never>?

        init(sa: consuming IKESA, id: UInt64, gateway: GatewayRuntime, datagram: IKEDatagram, initiation: InitiationKey) {
            self.sa = sa
            self.id = id
            self.gateway = gateway
            local = datagram.local
            remote = datagram.remote
            self.initiation = initiation
        }
    }

    /// An IKE_SA_INIT request as a whole: SPIi and address alone do not tell two clients apart (threats.md P8).
    private struct InitiationKey: Hashable {
        let digest: [UInt8]
        let remote: Endpoint
    }

    private struct Due: Comparable {
        let at: Instant
        let id: UInt64
        static func < (left: Due, right: Due) -> Bool { left.at < right.at }
    }

    private let shard: Int
    private let shardCount: Int
    private let environment: Environment
    private var gateways: [IPAddress: GatewayRuntime]
    /// By session number, which outlives the SPIs.
    private var entries: [UInt64: Entry] = [:]
    private var owners: [IKESPI: UInt64] = [:]
    private var initiations: [InitiationKey: UInt64] = [:]
    private var due = Heap<Due>()
    private var timer: (at: Instant, task: Task<Void, Never>)?
    private(set) var counts: [String: UInt64] = [:]
    /// Error notifies to strangers.
    private var errors = ErrorLimit(at: MonotonicClock.now)

    /// What an engine works with; all of it is shared and thread safe.
    struct Environment: Sendable {
        let mailbox: Mailbox<Admitted>
        let signals: AsyncStream<Void>
        let door: Door
        let datapath: Datapath
        let sessions: Sessions
        let log: EventLog
        let entropy: any Entropy
        let numbers: SessionNumbers
        let lockouts: Lockouts
        /// What fragments of all shards' clients may take up before authentication (threats.md P5).
        let reassembly: ReassemblyBudget
        let certificateThreads: CertificateThreads
    }

    init(shard: Int, of shardCount: Int, gateways: [IPAddress: GatewayRuntime], environment: Environment) {
        self.shard = shard
        self.shardCount = shardCount
        self.gateways = gateways
        self.environment = environment
    }

    /// Takes up what the door admits, until the stream of signals ends.
    func run() async {
        for await _ in environment.signals { drain() }
    }

    func replaceGateways(_ gateways: [IPAddress: GatewayRuntime]) {
        self.gateways = gateways
    }

    private func drain() {
        let now = MonotonicClock.now
        for admitted in environment.mailbox.drain() {
            switch admitted {
            case .initiation(let datagram, let hasCookie, let lifetime): initiate(datagram, hasCookie: hasCookie, lifetime: lifetime, at: now)
            case .message(let spi, let datagram):
                if let id = owners[spi] { feed(.datagram(datagram), to: id, at: now) }
            }
        }
    }

    // MARK: New IKE SAs

    private func initiate(_ datagram: IKEDatagram, hasCookie: Bool, lifetime: Duration, at now: Instant) {
        let door = environment.door
        // Cookies were switched on while this waited: the client will come again with one, and its AUTH covers that message alone (threats.md P2).
        guard hasCookie || !door.cookiesRequired.load(ordering: .acquiring) else {
            count("initiations-overtaken-by-cookies")
            door.notify(.turnedAway(datagram))
            return
        }
        let key = InitiationKey(digest: Digest.sha256(datagram.octets), remote: datagram.remote)
        if let id = initiations[key] {
            door.notify(.turnedAway(datagram))
            count("initiations-repeated")
            if let response = entries[id]?.sa.initResponse {
                environment.datapath.sendIKE(response, from: datagram.local, to: datagram.remote)
            }
            return
        }
        guard let gateway = gateways[datagram.local.address], let spi = newSPI() else {
            door.notify(.turnedAway(datagram))
            return
        }
        let result = Initiation.answer(
            datagram, profile: gateway.profile, responderSPI: spi, halfOpenLifetime: lifetime, budget: environment.reassembly,
            entropy: environment.entropy, at: now)
        switch consume result {
        case .dropped(let reason):
            count("init-dropped-\(reason.rawValue)")
            door.notify(.turnedAway(datagram))
        case .refused(let reply, let error):
            refuse(datagram, reply, error, gateway)
        case .accepted(let sa, let response):
            let entry = Entry(sa: sa, id: environment.numbers.next(), gateway: gateway, datagram: datagram, initiation: key)
            entries[entry.id] = entry
            owners[spi] = entry.id
            entry.spis = [spi]
            initiations[key] = entry.id
            count("initiations-accepted")
            // The door must know the SPI before the client can use it.
            door.notify(.opened(spi, datagram))
            environment.datapath.sendIKE(response.octets, from: response.local, to: response.remote)
            environment.log.loginStarted(subject(entry), algorithms: AlgorithmNames.text(entry.sa.proposal))
            arm(entry, at: now)
        }
    }

    private func refuse(_ datagram: IKEDatagram, _ reply: IKEDatagram, _ error: ExchangeError, _ gateway: GatewayRuntime) {
        environment.door.notify(.turnedAway(datagram))
        // A wrong first guess at the group is always told: a limit on it would let an attacker starve clients (threats.md C10).
        if case .invalidKeyExchange = error {
        } else if !errors.admits(datagram.remote.address, at: MonotonicClock.now) {
            count("init-refusals-suppressed")
            return
        }
        environment.datapath.sendIKE(reply.octets, from: reply.local, to: reply.remote)
        count("init-refused-\(error.notify.type)")
        guard case .noProposalChosen = error else { return }
        environment.log.refused(
            EventLog.Subject(session: "-", gateway: gateway.name, remote: datagram.remote),
            cause: "no IKE proposal of the client is allowed by ike-policy \(gateway.profile.policy.id)")
    }

    /// A responder SPI that is not zero, not in use, and names this shard.
    private func newSPI() -> IKESPI? {
        for _ in 0..<8 {
            let random = environment.entropy.octets(8).reduce(IKESPI(0)) { $0 << 8 | IKESPI($1) }
            let spi = random & ~0xf | IKESPI(shard)
            if spi > 0xf, owners[spi] == nil { return spi }
        }
        return nil
    }

    // MARK: Transitions

    func feed(_ input: Input, to id: UInt64) {
        feed(input, to: id, at: MonotonicClock.now)
    }

    private func feed(_ input: Input, to id: UInt64, at now: Instant) {
        guard let entry = entries[id] else { return }
        var inputs = [input]
        while !inputs.isEmpty {
            var outputs: [Output] = []
            entry.sa.handle(inputs.removeFirst(), at: now, into: &outputs)
            for output in outputs {
                if let answer = perform(output, for: entry) { inputs.append(answer) }
            }
        }
        if entries[id] != nil { arm(entry, at: now) }
    }

    /// Does what a machine wants done; what can be answered at once is returned.
    private func perform(_ output: Output, for entry: Entry) -> Input? {
        switch output {
        case .send(let datagram):
            environment.datapath.sendIKE(datagram.octets, from: datagram.local, to: datagram.remote)
        case .ask(let question): return answer(question, for: entry)
        case .install(let child): install(child, for: entry)
        case .remove(let childSPI): remove(childSPI, for: entry)
        case .established(let establishment): establish(establishment, entry)
        case .childEstablished(let child):
            count("child-sas-created")
            environment.log.childEstablished(
                subject(entry), inboundSPI: child.inboundSPI, outboundSPI: child.outboundSPI, algorithms: AlgorithmNames.text(child.suite))
        case .listen(let spi): listen(to: spi, entry)
        case .rekeyed:
            entry.establishedAt = (Date(), MonotonicClock.now)
            count("ike-sas-rekeyed")
            environment.log.rekeyed(subject(entry))
        case .released(let spi): release(spi, of: entry)
        case .moved(let remote):
            entry.remote = remote
            let (id, sessions) = (entry.id, environment.sessions)
            if entry.hasSession { then(entry) { await sessions.moved(id, to: remote) } }
        case .keepalive(let local, let remote):
            environment.datapath.sendKeepalive(from: local, to: remote)
            count("keepalives-sent")
        case .refused(let refusal):
            refused(refusal, entry)
        case .ended(let reason): end(reason, entry)
        case .closed: forget(entry)
        case .dropped(let reason): count("messages-dropped-\(reason.rawValue)")
        }
        return nil
    }

    private func answer(_ question: Question, for entry: Entry) -> Input? {
        switch question {
        case .peer(let question):
            return ask(question, entry)
        case .signature(let question):
            guard let signer = entry.signer, signer.scheme == question.scheme else { return .signature(nil) }
            let (id, threads) = (entry.id, environment.certificateThreads)
            then(entry) { await self.sign(question, signer, threads, id) }
            return nil
        case .eap: return .eap(.failure(nil, cause: "EAP needs RADIUS, which this gateway does not have yet", isRejection: false))
        case .address(let question):
            entry.hasSession = true
            let id = entry.id
            then(entry) { await self.admit(question, id) }
            return nil
        case .childSPI:
            guard let allocated = environment.datapath.allocateSPI(worker: entry.worker) else { return .childSPI(nil) }
            entry.reserved.insert(allocated.rawValue)
            return .childSPI(allocated.rawValue)
        case .ikeSPI: return .ikeSPI(newSPI())
        case .activity:
            return .activity(entry.tunnel.flatMap { environment.datapath.counters(tunnel: $0)?.lastInbound })
        }
    }

    /// What proves who the client is. A certificate's path is validated elsewhere; everything else is known at once.
    private func ask(_ question: PeerQuestion, _ entry: Entry) -> Input? {
        if entry.gateway.profile.policy.lockout != nil,
            environment.lockouts.isLocked(question.remote, identity: question.identity.body, at: MonotonicClock.now)
        {
            count("logins-locked-out")
            return .peer(.refused("it failed to prove itself too often and is locked out for a while (lockout of the ike-policy)"))
        }
        guard case .success(let branch) = LoginCredentials.branch(entry.gateway, question.method), branch.peer == .certificate else {
            let answer = LoginCredentials.answer(question, entry.gateway, at: .now)
            entry.signer = answer.signer
            return .peer(answer.answer)
        }
        let (id, threads, gateway) = (entry.id, environment.certificateThreads, entry.gateway)
        then(entry) { await self.validate(question, gateway, threads, id) }
        return nil
    }

    private func validate(_ question: PeerQuestion, _ gateway: GatewayRuntime, _ threads: CertificateThreads, _ id: UInt64) async {
        let answer = await threads.run { LoginCredentials.answer(question, gateway, at: .now) }
        if answer == nil { count("certificate-threads-full") }
        entries[id]?.signer = answer?.signer
        feed(.peer(answer?.answer ?? .refused("too many certificates wait to be validated; it may come again")), to: id)
    }

    private func sign(_ question: SignatureQuestion, _ signer: GatewayCertificates.Signer, _ threads: CertificateThreads, _ id: UInt64) async {
        let signature = await threads.run { try? signer.key.sign(question.octets, by: question.scheme) }
        feed(.signature(signature ?? nil), to: id)
    }

    private func refused(_ refusal: Refusal, _ entry: Entry) {
        count("logins-refused-\(refusal.error.notify.type)")
        environment.log.refused(subject(entry, identity: refusal.identity), cause: refusal.cause)
        guard refusal.isFailedProof, let policy = entry.gateway.profile.policy.lockout, let identity = refusal.identity else { return }
        let now = MonotonicClock.now
        if environment.lockouts.failed(refusal.remote, identity: identity.body, policy: policy, at: now) { count("lockouts") }
    }

    private func admit(_ question: AddressQuestion, _ id: UInt64) async {
        guard let entry = entries[id] else { return }
        let answer = await environment.sessions.admit(
            question, id: id, sa: SAReference(shard: shard, id: id), local: entry.local, gateway: entry.gateway)
        addressed(answer, worker: await environment.sessions.worker(of: id) ?? 0, to: id)
    }

    private func addressed(_ answer: AddressAnswer, worker: Int, to id: UInt64) {
        entries[id]?.worker = worker
        feed(.address(answer), to: id)
    }

    private func install(_ child: ChildSA, for entry: Entry) {
        let (id, sessions) = (entry.id, environment.sessions)
        guard let keys = entry.sa.takeKeys(inboundSPI: child.inboundSPI) else {
            then(entry) { await self.feed(.installed(child.inboundSPI, false), to: id) }
            return
        }
        let handover = Handover(keys)
        then(entry) {
            let tunnel = await sessions.install(child, keys: handover, session: id)
            await self.installed(child, tunnel, id)
        }
    }

    private func installed(_ child: ChildSA, _ tunnel: TunnelID?, _ id: UInt64) {
        guard let entry = entries[id] else {
            // The SA ended meanwhile, and with its session the tunnel goes; an SPI that was never installed is given back here.
            if tunnel == nil { release(child.inboundSPI) }
            return
        }
        if let tunnel {
            entry.tunnel = tunnel
            // Unless the machine has given it up meanwhile.
            if entry.reserved.remove(child.inboundSPI) != nil { entry.children.append((child, (Date(), MonotonicClock.now))) }
        }
        feed(.installed(child.inboundSPI, tunnel != nil), to: id)
    }

    private func release(_ childSPI: UInt32) {
        if let spi = LocalSPI(rawValue: childSPI) { environment.datapath.release(spi) }
    }

    private func remove(_ childSPI: UInt32, for entry: Entry) {
        entry.children.removeAll { $0.sa.inboundSPI == childSPI }
        let (id, sessions, datapath) = (entry.id, environment.sessions, environment.datapath)
        if entry.reserved.remove(childSPI) != nil {
            // Behind an installation that may be under way: it decides which of the two it is.
            then(entry) {
                if await sessions.owner(of: childSPI) != nil {
                    await sessions.retire(childSPI, session: id)
                } else {
                    if let spi = LocalSPI(rawValue: childSPI) { datapath.release(spi) }
                }
            }
        } else {
            then(entry) { await sessions.retire(childSPI, session: id) }
        }
    }

    private func establish(_ establishment: Establishment, _ entry: Entry) {
        entry.establishment = establishment
        entry.establishedAt = (Date(), MonotonicClock.now)
        count("logins-established")
        settle(entry)
        let (id, sessions) = (entry.id, environment.sessions)
        then(entry) { await sessions.established(establishment, session: id) }
    }

    private func end(_ reason: ClosingReason, _ entry: Entry) {
        count("ended-\(reason.rawValue)")
        settle(entry)
        guard entry.hasSession else { return }
        let (id, sessions) = (entry.id, environment.sessions)
        then(entry) { await sessions.end(id, reason) }
    }

    /// No longer half-open: the door stops counting it, and IKE_SA_INIT is not repeated any more.
    private func settle(_ entry: Entry) {
        guard !entry.isSettled else { return }
        entry.isSettled = true
        for spi in entry.spis { environment.door.notify(.settled(spi, local: entry.local.address)) }
    }

    private func forget(_ entry: Entry) {
        settle(entry)
        entries[entry.id] = nil
        initiations[entry.initiation] = nil
        for spi in entry.spis { release(spi, of: entry) }
    }

    /// The IKE SA has another SPI of ours, until that is released.
    private func listen(to spi: IKESPI, _ entry: Entry) {
        entry.spis.insert(spi)
        owners[spi] = entry.id
        environment.door.notify(.replaced(spi, local: entry.local.address))
    }

    private func release(_ spi: IKESPI, of entry: Entry) {
        entry.spis.remove(spi)
        owners[spi] = nil
        environment.door.notify(.closed(spi, local: entry.local.address))
    }

    private func then(_ entry: Entry, _ work: @escaping @Sendable () async -> Void) {
        let before = entry.work
        entry.work = Task {
            await before?.value
            await work()
        }
    }

    // MARK: Deadlines

    private func arm(_ entry: Entry, at now: Instant) {
        guard let next = entry.sa.nextDeadline else { return }
        if let armed = entry.armed, armed <= next { return }
        entry.armed = next
        due.insert(Due(at: next, id: entry.id))
        schedule()
    }

    private func schedule() {
        guard let first = due.min else { return }
        if let timer, timer.at <= first.at { return }
        timer?.task.cancel()
        let at = first.at
        timer = (
            at,
            Task { [weak self] in
                try? await Task.sleep(for: max(.milliseconds(1), at - MonotonicClock.now))
                if !Task.isCancelled { await self?.strike() }
            }
        )
    }

    private func strike() {
        timer = nil
        let now = MonotonicClock.now
        while let first = due.min, first.at <= now {
            _ = due.popMin()
            guard let entry = entries[first.id], entry.armed == first.at else { continue }
            entry.armed = nil
            feed(.deadline, to: first.id, at: now)
        }
        schedule()
    }

    // MARK: From outside

    /// Ends one SA; returns when its Delete is sent.
    func close(_ id: UInt64, _ reason: ClosingReason) {
        feed(.close(reason), to: id)
    }

    /// Ends every SA.
    func closeAll(_ reason: ClosingReason) {
        for id in Array(entries.keys) { feed(.close(reason), to: id) }
    }

    /// SAs that are not closed, and work that is under way.
    var remaining: Int { entries.count }

    /// Waits for what is done outside for every SA.
    func settleWork() async {
        for entry in Array(entries.values) { await entry.work?.value }
    }

    func stop() {
        timer?.task.cancel()
        timer = nil
    }

    private func count(_ name: String) {
        counts[name, default: 0] &+= 1
    }

    private func subject(_ entry: Entry, identity: IdentificationPayload? = nil) -> EventLog.Subject {
        EventLog.Subject(
            session: String(entry.id), gateway: entry.gateway.name,
            identity: identity?.text ?? entry.establishment?.peer.text, remote: entry.remote)
    }

    /// Every IKE SA with its Child SAs, for `ipsec-gwctl sas`.
    func securityAssociations() -> [SecurityAssociationReport] {
        let now = MonotonicClock.now
        return entries.values.map { entry in
            let suite = entry.sa.proposal
            let since = entry.establishedAt
            return SecurityAssociationReport(
                session: entry.hasSession ? String(entry.id) : "", gateway: entry.gateway.name, local: entry.local, remote: entry.remote,
                initiatorSPI: entry.sa.initiatorSPI, responderSPI: entry.sa.responderSPI, state: entry.sa.stageName,
                encryption: AlgorithmNames.encryption(suite.suite),
                integrity: AlgorithmNames.integrity(suite.suite),
                pseudorandomFunction: AlgorithmNames.pseudorandomFunction(suite.prf),
                keyExchange: AlgorithmNames.keyExchange(suite.keyExchange), established: since?.wall,
                remainingSeconds: since.map { Self.seconds($0.clock + suite.lifetime - now) },
                children: entry.children.compactMap { report($0.sa, since: $0.since, at: now) })
        }
    }

    private func report(_ child: ChildSA, since: (wall: Date, clock: Instant), at now: Instant) -> ChildReport? {
        guard let spi = LocalSPI(rawValue: child.inboundSPI), let status = environment.datapath.status(child: spi) else { return nil }
        return ChildReport(
            inboundSPI: child.inboundSPI, outboundSPI: child.outboundSPI, encryption: AlgorithmNames.encryption(child.suite.suite),
            integrity: AlgorithmNames.integrity(child.suite.suite), extendedSequenceNumbers: child.suite.extendedSequenceNumbers,
            udpEncapsulation: child.isEncapsulated, localSelectors: child.localSelectors.map(\.description),
            remoteSelectors: child.remoteSelectors.map(\.description), established: since.wall,
            remainingSeconds: Self.seconds(since.clock + child.lifetime - now), sequenceIn: status.highestInbound,
            sequenceOut: status.lastOutbound,
            replay: ChildReport.Replay(window: status.replayWindow, recent: status.replayBitmap), worker: status.worker,
            octetsIn: status.counters.octetsIn, octetsOut: status.counters.octetsOut, packetsIn: status.counters.packetsIn,
            packetsOut: status.counters.packetsOut)
    }

    private static func seconds(_ duration: Duration) -> UInt64 {
        UInt64(max(0, duration.components.seconds))
    }
}

/// Who is locked out, over all shards.
final class Lockouts: Sendable {
    private let table = Mutex(LockoutTable())

    func isLocked(_ remote: Endpoint, identity: [UInt8], at now: Instant) -> Bool {
        table.withLock { $0.isLocked(remote, identity: identity, at: now) }
    }

    func failed(_ remote: Endpoint, identity: [UInt8], policy: IKEPolicy.Lockout, at now: Instant) -> Bool {
        table.withLock { $0.failed(remote, identity: identity, policy: policy, at: now) }
    }
}

/// Session numbers, never repeated while the daemon runs.
final class SessionNumbers: Sendable {
    private let last = Atomic<UInt64>(0)

    func next() -> UInt64 { last.add(1, ordering: .relaxed).newValue }
}

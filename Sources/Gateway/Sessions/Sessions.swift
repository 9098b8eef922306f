import AddressAssignment
import Datapath
import ESP
import FoundationEssentials
import GatewayCrypto
import IKE
import IKEMessages
import LinuxIO
import Logging
import RADIUS
import Wire

/// Every session of the daemon: who may come, with which address, and how it ends. An address has one owner, always (invariant I2): a session's
/// tunnel is out of every worker before its address goes to another.
actor Sessions {
    var sessions: [UInt64: Session] = [:]
    /// By the authenticated name as it was sent: its text is cut and leaves the ID type out, so two names may share it.
    var byUser: [[UInt8]: Set<UInt64>] = [:]
    /// By Acct-Session-Id: interim records ask for ten thousand sessions' counters.
    var byAccounting: [String: UInt64] = [:]
    private var byTunnel: [TunnelID: UInt64] = [:]
    private var byChild: [UInt32: UInt64] = [:]
    let addresses: Addresses
    let datapath: Datapath
    let log: EventLog
    let routes: ClientRoutes
    let accounting: Accounting
    let accountingIDs: AccountingIDs
    let close: @Sendable (SAReference, ClosingReason) async -> Void
    private(set) var isStopping = false
    private var noting: Task<Void, Never>?
    private var limits = SessionLimits()
    private var limitTimer = DeadlineTimer()

    /// Sessions at once (threats.md: every table has a cap).
    static let most = 1 << 18

    init(
        addresses: Addresses, datapath: Datapath, log: EventLog, routes: ClientRoutes, accounting: Accounting, accountingIDs: AccountingIDs,
        close: @escaping @Sendable (SAReference, ClosingReason) async -> Void
    ) {
        self.addresses = addresses
        self.datapath = datapath
        self.log = log
        self.routes = routes
        self.accounting = accounting
        self.accountingIDs = accountingIDs
        self.close = close
    }

    // MARK: Child SAs

    /// The worker of a session, for its SPIs.
    func worker(of id: UInt64) -> Int? { sessions[id]?.worker }

    /// Puts a Child SA into the datapath; nil when that failed or the session is gone.
    func install(_ child: ChildSA, keys: Handover<ChildKeys>, session id: UInt64) async -> TunnelID? {
        guard var session = sessions[id], session.teardown == nil, let keys = keys.take(),
            let inbound = LocalSPI(rawValue: child.inboundSPI)
        else { return nil }
        var tunnel = session.tunnel
        if tunnel == nil {
            session.isEncapsulated = child.isEncapsulated
            sessions[id]?.isEncapsulated = child.isEncapsulated
            var settings = TunnelSettings(session.gateway.template)
            settings.followsPeer = child.peerBehindNAT
            var spec = TunnelSpec(
                worker: session.worker, interface: session.gateway.interfaceKey, innerAddresses: child.grant.addresses, settings: settings,
                peer: session.espEndpoint(child.remote), local: session.espEndpoint(child.local))
            spec.innerPrefixes = session.networks
            tunnel = datapath.open(tunnel: spec)
        }
        guard let tunnel else {
            if !session.networks.isEmpty { log.failed(session.subject, "one of the networks behind it belongs to another session") }
            return nil
        }
        let isNew = session.tunnel == nil
        sessions[id]?.tunnel = tunnel
        byTunnel[tunnel] = id
        if isNew, await !route(session) { return nil }
        let supersedes = child.isOutboundReady ? nil : child.supersedes.flatMap { LocalSPI(rawValue: $0) }
        let spec = ChildSASpec(
            tunnel: tunnel, inbound: inbound, outbound: child.outboundSPI,
            suite: ESPSuite(protection: child.suite.suite, extendedSequenceNumbers: child.suite.extendedSequenceNumbers),
            keys: ChildSAKeys(keys), selectors: Selectors(child), replayWindow: session.replayWindow,
            lifetimes: SALifetimes(child), supersedes: supersedes, isPerResource: child.isPerResource)
        do throws(DatapathError) {
            try await datapath.install(spec)
        } catch {
            log.failed(session.subject, "a Child SA could not be installed: \(error)")
            return nil
        }
        guard sessions[id] != nil else { return nil }
        sessions[id]?.children.insert(child.inboundSPI)
        byChild[child.inboundSPI] = id
        return tunnel
    }

    /// Leads networks behind the client into the private interface; those within its own prefixes are there already.
    private func route(_ session: Session) async -> Bool {
        let networks = session.networks.filter { network in
            !session.gateway.prefixes.contains { $0.contains(network.address) && $0.length <= network.length }
        }
        guard !networks.isEmpty else { return true }
        do throws(SystemError) {
            try await routes.add(networks, through: session.gateway.device)
        } catch {
            log.failed(session.subject, "a network behind it cannot be routed: \(error)")
            return false
        }
        guard sessions[session.id] != nil, sessions[session.id]?.teardown == nil else {
            await routes.remove(networks, through: session.gateway.device)
            return false
        }
        sessions[session.id]?.routed = networks
        return true
    }

    /// A reload: addresses, interface and what the tunnel was opened with stay; the next Child SA has another replay window.
    func replaceGateways(_ gateways: [IPAddress: GatewayRuntime]) {
        for (id, session) in sessions {
            guard let gateway = gateways[session.gateway.address], gateway.name == session.gateway.name else { continue }
            if session.authorization?.setsReplayWindow != true { sessions[id]?.replayWindow = gateway.template.replayWindow }
        }
    }

    func retire(_ spi: UInt32, session id: UInt64) async {
        sessions[id]?.children.remove(spi)
        byChild[spi] = nil
        if let local = LocalSPI(rawValue: spi) { _ = await datapath.retire(child: local) }
    }

    func established(_ establishment: Establishment, session id: UInt64) {
        guard sessions[id] != nil else { return }
        sessions[id]?.established = Date()
        guard let session = sessions[id], let child = establishment.child else { return }
        log.established(
            session.subject, name: session.name, service: session.gateway.service, interface: session.gateway.interface,
            algorithms: AlgorithmNames.text(child.suite))
        beginAccounting(session)
        limit(session)
    }

    /// Start: the tunnel is up (features.md RAD-7). Of whom no RADIUS server was asked, none is told (AUTH-8, AUTH-10).
    private func beginAccounting(_ session: Session) {
        guard session.authorization != nil, let policy = session.gateway.aaa.accounting else { return }
        let subject: AccountingSubject
        do throws(AccountingError) {
            subject = try AccountingSubject(
                sessionID: session.accountingID, userName: session.accountedName,
                classes: session.authorization?.accept.classes ?? [], addresses: session.addresses, nas: session.gateway.aaa.nas,
                nasPortID: session.gateway.aaa.portID, calledStationID: "\(session.local.address)", callingStationID: "\(session.remote)",
                selected: policy.selected)
        } catch {
            log.failed(session.subject, "it cannot be accounted for, and ends: \(error)")
            let (close, sa) = (close, session.sa)
            Task { await close(sa, .internalError) }
            return
        }
        sessions[session.id]?.isAccountedFor = true
        let accepted = session.authorization?.accept.interimInterval
        let begun = AccountingSession(
            subject: subject, policy: policy.policy,
            interim: InterimTiming(configured: policy.interval, jitter: policy.jitter, accepted: accepted))
        let accounting = accounting
        note { await accounting.start(begun) }
    }

    /// What accounting is told, in its order.
    private func note(_ work: @escaping @Sendable () async -> Void) {
        let before = noting
        noting = Task {
            await before?.value
            await work()
        }
    }

    // MARK: Session-Timeout and Idle-Timeout

    private func limit(_ session: Session) {
        guard let accept = session.authorization?.accept, let since = session.established else { return }
        let limits = SessionLimits.Wanted(end: accept.sessionTimeout, idle: accept.idleTimeout)
        sessions[session.id]?.limits = limits
        sessions[session.id]?.interimInterval = accept.interimInterval
        setLimits(session.id, limits, since: since)
    }

    func setLimits(_ id: UInt64, _ wanted: SessionLimits.Wanted, since: Date) {
        let now = MonotonicClock.now
        let age = Duration.seconds(max(0, Date().timeIntervalSince(since)))
        limits.set(
            id, end: wanted.end.map { now + max(.zero, $0 - age) }, idle: wanted.idle,
            traffic: traffic(id) ?? SessionLimits.Traffic(packetsIn: 0, packetsOut: 0), at: now)
        armLimits()
    }

    private func traffic(_ id: UInt64) -> SessionLimits.Traffic? {
        guard let tunnel = sessions[id]?.tunnel, let counters = datapath.counters(tunnel: tunnel) else { return nil }
        return SessionLimits.Traffic(packetsIn: counters.packetsIn, packetsOut: counters.packetsOut)
    }

    private func armLimits() {
        limitTimer.arm(limits.next) { [weak self] in await self?.strikeLimits() }
    }

    private func strikeLimits() async {
        limitTimer.struck()
        let over = limits.due(at: MonotonicClock.now) { traffic($0) }
        armLimits()
        for (id, reason) in over {
            guard let session = sessions[id] else { continue }
            await close(session.sa, reason)
            await end(id, reason)
        }
    }

    func moved(_ id: UInt64, to remote: Endpoint) {
        guard let session = sessions[id], session.remote != remote else { return }
        sessions[id]?.remote = remote
        if let tunnel = session.tunnel { datapath.move(tunnel: tunnel, to: session.espEndpoint(remote)) }
        guard session.established != nil, let now = sessions[id] else { return }
        log.moved(now.subject, from: session.remote)
    }

    // MARK: Going

    /// Takes a session down, once: out of every worker, counters read, lease given back. Returns when that is done, whoever began it.
    func end(_ id: UInt64, _ reason: ClosingReason) async {
        guard let session = sessions[id] else { return }
        if let running = session.teardown {
            await running.value
            return
        }
        let task = Task { await self.takeDown(id, reason) }
        sessions[id]?.teardown = task
        await task.value
    }

    private func takeDown(_ id: UInt64, _ reason: ClosingReason) async {
        guard let session = sessions[id] else { return }
        var counters = TunnelCounters()
        if let tunnel = session.tunnel {
            counters = await datapath.close(tunnel: tunnel)
            byTunnel[tunnel] = nil
        }
        for child in session.children { byChild[child] = nil }
        // Read again: a lease may have come, or gone to a successor, in the meantime. Taken out before it is given back, or a successor that comes
        // while it is on its way would inherit what nobody owns any more.
        let leases = sessions[id]?.leases ?? [:]
        let isAccountedFor = sessions[id]?.isAccountedFor ?? false
        let routed = sessions[id]?.routed ?? []
        sessions[id]?.leases = [:]
        sessions[id]?.routed = []
        if !routed.isEmpty { await routes.remove(routed, through: session.gateway.device) }
        for lease in leases.values { await addresses.release(lease) }
        sessions[id] = nil
        if byAccounting[session.accountingID] == id { byAccounting[session.accountingID] = nil }
        byUser[session.user]?.remove(id)
        if byUser[session.user]?.isEmpty == true { byUser[session.user] = nil }
        limits.remove(id)
        if isAccountedFor {
            let (accounting, accountingID) = (accounting, session.accountingID)
            let totals = AccountingCounters(counters)
            note { await accounting.stop(accountingID, totals, TerminateCause(reason)) }
        }
        guard let since = session.established else { return }
        log.closed(
            session.subject, name: session.name, reason: reason.plain, seconds: UInt64(max(0, Date().timeIntervalSince(since))),
            octetsIn: counters.octetsIn, octetsOut: counters.octetsOut)
    }

    /// Waits until every session that is being taken down is, and accounting knows.
    func settle() async {
        for id in Array(sessions.keys) { await end(id, .shutdown) }
        await noting?.value
        limitTimer.cancel()
    }

    /// No further sessions: the daemon stops.
    func stop() { isStopping = true }

    // MARK: Looking

    var all: [Session] { sessions.values.filter { $0.established != nil }.sorted { $0.id < $1.id } }
    var count: Int { sessions.count { $0.value.established != nil } }
    func owner(of tunnel: TunnelID) -> Session? { byTunnel[tunnel].flatMap { sessions[$0] } }
    /// Counters of the session with this Acct-Session-Id, for an interim record.
    func counters(accounting id: String) -> AccountingCounters? {
        guard let tunnel = byAccounting[id].flatMap({ sessions[$0] })?.tunnel else { return nil }
        return datapath.counters(tunnel: tunnel).map { AccountingCounters($0) }
    }
    func owner(of child: UInt32) -> Session? { byChild[child].flatMap { sessions[$0] } }
}

extension AccountingCounters {
    /// Inner octets; input is what came from the client.
    init(_ counters: TunnelCounters) {
        self.init(
            inputOctets: counters.octetsIn, outputOctets: counters.octetsOut, inputPackets: counters.packetsIn, outputPackets: counters.packetsOut)
    }
}

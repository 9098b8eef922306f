import AddressAssignment
import Datapath
import ESP
import FoundationEssentials
import GatewayCrypto
import IKE
import IKEMessages
import LinuxIO
import Logging
import Wire

/// Every session of the daemon: who may come, with which address, and how it ends. An address has one owner, always (invariant I2): a session's
/// tunnel is out of every worker before its address goes to another.
actor Sessions {
    private var sessions: [UInt64: Session] = [:]
    /// By the authenticated identity as it was sent: its text is cut and leaves the ID type out, so two identities may share it.
    private var byIdentity: [[UInt8]: Set<UInt64>] = [:]
    private var byTunnel: [TunnelID: UInt64] = [:]
    private var byChild: [UInt32: UInt64] = [:]
    private var accountingIDs: [String: Int] = [:]
    private var accountingSecond: Int64 = 0
    private let addresses: Addresses
    private let datapath: Datapath
    private let log: EventLog
    private let close: @Sendable (SAReference, ClosingReason) async -> Void
    private(set) var isStopping = false

    /// Sessions at once (threats.md: every table has a cap).
    static let most = 1 << 18

    init(
        addresses: Addresses, datapath: Datapath, log: EventLog, close: @escaping @Sendable (SAReference, ClosingReason) async -> Void
    ) {
        self.addresses = addresses
        self.datapath = datapath
        self.log = log
        self.close = close
    }

    // MARK: Coming

    /// A client whose AUTH value was verified wants in: uniqueness and limits first, then its address.
    func admit(
        _ question: AddressQuestion, id: UInt64, sa: SAReference, local: Endpoint, gateway: GatewayRuntime
    ) async -> AddressAnswer {
        guard !isStopping, sessions.count < Self.most else { return .refused("the gateway takes no more sessions") }
        let name = question.peer.text
        // Who has the group's key may say any name: it must not push out the one who has a certificate for it (threats.md P36).
        let body = [question.proof == .sharedKey ? 0 : 1] + question.peer.body
        // Names of another gateway are another's word: its clients replace nobody here.
        let same = (byIdentity[body] ?? []).compactMap { sessions[$0] }.filter { $0.gateway.name == gateway.name }.sorted { $0.id < $1.id }
        let doubles = same.filter { $0.identityBody == body }
        if !doubles.isEmpty, gateway.uniqueness == .keep, !question.initialContact {
            return .refused("a session of \(name) stands already, and uniqueness: keep lets no second one in")
        }
        var replaced = gateway.uniqueness == .replace || question.initialContact ? doubles : []
        let staying = same.filter { candidate in !replaced.contains { $0.id == candidate.id } }
        if gateway.maximumSessionsPerUser > 0, staying.count >= gateway.maximumSessionsPerUser {
            switch gateway.sessionLimitAction {
            case .reject: return .refused("\(name) has \(staying.count) sessions, as many as max-sessions-per-user allows")
            case .replaceOldest: replaced += staying.prefix(staying.count - gateway.maximumSessionsPerUser + 1)
            }
        }
        let session = Session(
            id: id, name: name, identity: name, identityBody: body, gateway: gateway, sa: sa, local: local, remote: question.remote,
            worker: datapath.homeWorker(), accountingID: accountingID(local: local, remote: question.remote))
        sessions[id] = session
        byIdentity[body, default: []].insert(id)
        log.authenticated(session.subject, name: name, method: question.proof == .sharedKey ? "psk" : question.proof == .certificate ? "cert" : "eap")

        let inherited = await replace(replaced, for: session, families: question.wish.families)
        return await assign(question, session: session, inherited: inherited)
    }

    /// Ends the sessions that the new one replaces; of each family the newest address of the same IDi is kept for it (features.md X-8).
    private func replace(_ replaced: [Session], for session: Session, families: [AddressFamily]) async -> [AddressFamily: Lease] {
        var inherited: [AddressFamily: Lease] = [:]
        for old in replaced.reversed() {
            for family in families where inherited[family] == nil && old.identityBody == session.identityBody {
                guard let lease = sessions[old.id]?.leases[family], lease.pool == session.gateway.pools[family] else { continue }
                inherited[family] = lease
                sessions[old.id]?.leases[family] = nil
            }
            await close(old.sa, .replaced)
            await end(old.id, .replaced)
        }
        return inherited
    }

    /// An address of each family that is asked for, as far as there are any: one is enough (features.md TS-5).
    private func assign(
        _ question: AddressQuestion, session: Session, inherited: [AddressFamily: Lease]
    ) async -> AddressAnswer {
        var leases: [AddressFamily: Lease] = [:]
        var causes: [String] = []
        for family in question.wish.families {
            switch await lease(family, question, session: session, inherited: inherited[family]) {
            case .success(let lease): leases[family] = lease
            case .failure(let failure):
                if case .refused(.exhausted(let pool)) = failure { log.poolExhausted(session.subject, pool: "\(pool)") }
                causes.append("\(failure)")
            }
        }
        guard !leases.isEmpty else { return .unavailable(causes.joined(separator: "; ")) }
        // The SA may have ended while the leases were on their way to the disk.
        guard sessions[session.id] != nil, sessions[session.id]?.teardown == nil else {
            for lease in leases.values { await addresses.release(lease) }
            return .refused("the login was given up")
        }
        sessions[session.id]?.leases = leases
        return .granted(
            AddressGrant(
                ipv4: leases[.ipv4]?.address, ipv4Netmask: leases[.ipv4]?.subnet.netmask, ipv6: leases[.ipv6]?.address,
                dns: (leases[.ipv4]?.dns ?? []) + (leases[.ipv6]?.dns ?? [])))
    }

    private func lease(
        _ family: AddressFamily, _ question: AddressQuestion, session: Session, inherited: Lease?
    ) async -> Result<Lease, AddressFailure> {
        let id = LeaseSession(session.id)
        if let inherited, let taken = await addresses.takeOver(inherited, by: id) { return .success(taken) }
        guard let pool = session.gateway.pools[family] else { return .failure(.noAddresses(gateway: session.gateway.name, family)) }
        return await addresses.acquire(
            pool: pool, identity: LeaseIdentity.text(question.peer), wanted: question.wish.preferred(family), family: family, session: id)
    }

    /// Acct-Session-Id, features.md RAD-3: local-remote:port-seconds, with -n when two would get the same within a second.
    private func accountingID(local: Endpoint, remote: Endpoint) -> String {
        let now = WallClock.seconds
        if now != accountingSecond {
            accountingSecond = now
            accountingIDs = [:]
        }
        let plain = "\(local.address.family == .ipv4 ? "\(local.address)" : "[\(local.address)]")-\(remote)-\(now)"
        let count = accountingIDs[plain, default: 0]
        accountingIDs[plain] = count + 1
        return count == 0 ? plain : "\(plain)-\(count)"
    }

    /// The worker of a session, for its SPIs.
    func worker(of id: UInt64) -> Int? { sessions[id]?.worker }

    // MARK: Child SAs

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
            tunnel = datapath.open(
                tunnel: TunnelSpec(
                    worker: session.worker, interface: session.gateway.interfaceKey, innerAddresses: child.grant.addresses, settings: settings,
                    peer: session.espEndpoint(child.remote), local: session.espEndpoint(child.local)))
        }
        guard let tunnel else { return nil }
        sessions[id]?.tunnel = tunnel
        byTunnel[tunnel] = id
        let supersedes = child.isOutboundReady ? nil : child.supersedes.flatMap { LocalSPI(rawValue: $0) }
        let spec = ChildSASpec(
            tunnel: tunnel, inbound: inbound, outbound: child.outboundSPI,
            suite: ESPSuite(protection: child.suite.suite, extendedSequenceNumbers: child.suite.extendedSequenceNumbers),
            keys: ChildSAKeys(keys), selectors: Selectors(child), replayWindow: session.gateway.template.replayWindow,
            lifetimes: SALifetimes(child), supersedes: supersedes)
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

    /// A reload: addresses, interface and what the tunnel was opened with stay; the next Child SA has another replay window.
    func replaceGateways(_ gateways: [IPAddress: GatewayRuntime]) {
        for (id, session) in sessions {
            guard let gateway = gateways[session.gateway.address], gateway.name == session.gateway.name else { continue }
            sessions[id]?.gateway.template.replayWindow = gateway.template.replayWindow
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
        sessions[id]?.leases = [:]
        for lease in leases.values { await addresses.release(lease) }
        sessions[id] = nil
        byIdentity[session.identityBody]?.remove(id)
        if byIdentity[session.identityBody]?.isEmpty == true { byIdentity[session.identityBody] = nil }
        guard let since = session.established else { return }
        log.closed(
            session.subject, name: session.name, reason: reason.plain, seconds: UInt64(max(0, Date().timeIntervalSince(since))),
            octetsIn: counters.octetsIn, octetsOut: counters.octetsOut)
    }

    /// Waits until every session that is being taken down is.
    func settle() async {
        for id in Array(sessions.keys) { await end(id, .shutdown) }
    }

    /// No further sessions: the daemon stops.
    func stop() { isStopping = true }

    // MARK: Looking

    var all: [Session] { sessions.values.filter { $0.established != nil }.sorted { $0.id < $1.id } }
    var count: Int { sessions.count { $0.value.established != nil } }
    func owner(of tunnel: TunnelID) -> Session? { byTunnel[tunnel].flatMap { sessions[$0] } }
    func owner(of child: UInt32) -> Session? { byChild[child].flatMap { sessions[$0] } }
}

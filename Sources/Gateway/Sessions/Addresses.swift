import AddressAssignment
import LinuxIO
import Logging
import StateStore
import Wire

/// Drives the address sources: what they say must be stored is on disk before a client hears of its address.
actor Addresses {
    private var pools: [PoolName: LocalPool] = [:]
    /// Addresses that RADIUS servers gave, by private interface.
    private var given: [PoolName: GivenAddresses] = [:]
    private let store: StateStore
    private let logger: Logger
    private var nextRequest: UInt64 = 0
    private var timers: [PoolName: DeadlineTimer] = [:]

    init(store: StateStore, logger: Logger) {
        self.store = store
        self.logger = logger
    }

    /// Takes up pools, with what an earlier daemon left in the store; called once at start and again at a reload.
    func configure(_ settings: [LocalPool.Settings], restoring: Bool) async throws(StateStoreError) {
        let records = restoring ? try store.leases() : []
        var changes: [StateChange] = []
        let now = MonotonicClock.now
        for entry in settings {
            var outputs: [AddressOutput] = []
            if pools[entry.name] != nil {
                pools[entry.name]?.reconfigure(entry, at: now, into: &outputs)
            } else {
                var pool = LocalPool(entry)
                pool.restore(records, at: now, into: &outputs)
                pools[entry.name] = pool
            }
            changes += perform(outputs, of: entry.name)
        }
        if !changes.isEmpty { try await store.commit(changes) }
    }

    /// An address for a session, on disk; or why there is none.
    func acquire(
        pool name: PoolName, identity: String, wanted: IPAddress?, family: AddressFamily, session: LeaseSession
    ) async -> Result<Lease, AddressFailure> {
        guard pools[name] != nil else { return .failure(.noPool(name)) }
        let id = newRequest()
        var outputs: [AddressOutput] = []
        let request = LeaseRequest(identity: identity, wanted: wanted, family: family, session: session)
        pools[name]?.handle(.request(id, request), at: MonotonicClock.now, into: &outputs)
        return await settle(outputs, of: name, id: id)
    }

    /// An address that a RADIUS server gave, within the gateway's private interface. One that lies in a local pool belongs to that (invariant I2).
    func acquire(given gateway: GatewayRuntime, _ request: LeaseRequest) async -> Result<Lease, AddressFailure> {
        if let wanted = request.wanted, let pool = pools.values.first(where: { $0.holds(wanted) && gateway.hasPrefix(of: wanted) }) {
            let answer = await acquire(
                pool: pool.settings.name, identity: request.identity, wanted: wanted, family: request.family, session: request.session)
            guard case .success(let lease) = answer, lease.address != wanted else { return answer }
            await release(lease)
            return .failure(.refused(.ownedByAnother(wanted)))
        }
        let name = gateway.givenName
        let settings = GivenAddresses.Settings(name: name, prefixes: gateway.prefixes, reserved: Set(gateway.ownAddresses))
        if given[name] == nil { given[name] = GivenAddresses(settings) } else { given[name]?.reconfigure(settings) }
        let id = newRequest()
        return await ask(name, id, .request(id, request))
    }

    /// Feeds the source of that name, whichever it is.
    private func feed(_ name: PoolName, _ input: AddressInput, into outputs: inout [AddressOutput]) -> Bool {
        let now = MonotonicClock.now
        if pools[name] != nil {
            pools[name]?.handle(input, at: now, into: &outputs)
        } else if given[name] != nil {
            given[name]?.handle(input, at: now, into: &outputs)
        } else {
            return false
        }
        return true
    }

    private func newRequest() -> RequestID {
        nextRequest &+= 1
        return RequestID(nextRequest)
    }

    private func ask(_ name: PoolName, _ id: RequestID, _ input: AddressInput) async -> Result<Lease, AddressFailure> {
        var outputs: [AddressOutput] = []
        guard feed(name, input, into: &outputs) else { return .failure(.noPool(name)) }
        return await settle(outputs, of: name, id: id)
    }

    /// The lease goes to another session of the same identity without being given back (features.md X-8).
    func takeOver(_ lease: Lease, by session: LeaseSession) async -> Lease? {
        let id = newRequest()
        return try? await ask(lease.pool, id, .takeOver(id, lease, by: session)).get()
    }

    func release(_ lease: Lease) async {
        var outputs: [AddressOutput] = []
        guard feed(lease.pool, .release(lease), into: &outputs) else { return }
        await note(perform(outputs, of: lease.pool))
    }

    /// What a crash may lose: the disk has it already who an address is kept for, and after a crash every lease counts as given back.
    private func note(_ changes: [StateChange]) async {
        guard !changes.isEmpty else { return }
        await store.note(changes) { [logger] in logger.error("leases could not be stored: \($0)") }
    }

    private func settle(_ outputs: [AddressOutput], of name: PoolName, id: RequestID) async -> Result<Lease, AddressFailure> {
        var granted: Lease?
        var refusal: AddressRefusal?
        for output in outputs {
            switch output {
            case .granted(id, let lease): granted = lease
            case .refused(id, let reason): refusal = reason
            case .granted, .refused, .store, .note, .forget, .arm: continue
            }
        }
        let mustWait = outputs.contains { if case .store = $0 { true } else { false } }
        let changes = perform(outputs, of: name)
        if mustWait {
            do throws(StateStoreError) {
                try await store.commit(changes)
            } catch {
                if let granted { await release(granted) }
                return .failure(.store(error))
            }
            var further: [AddressOutput] = []
            if let granted { _ = feed(name, .stored(granted), into: &further) }
            await note(perform(further, of: name))
        } else {
            await note(changes)
        }
        if let granted { return .success(granted) }
        return .failure(refusal.map { .refused($0) } ?? .noPool(name))
    }

    /// What is to be stored; deadlines are armed here.
    private func perform(_ outputs: [AddressOutput], of name: PoolName) -> [StateChange] {
        var changes: [StateChange] = []
        for output in outputs {
            switch output {
            case .store(let record), .note(let record): changes.append(.store(record))
            case .forget(let record): changes.append(.forget(record))
            case .arm(let instant): arm(name, at: instant)
            case .granted, .refused: continue
            }
        }
        return changes
    }

    private func arm(_ name: PoolName, at instant: Instant) {
        // Nobody waits for it, as who asks for an address ages the pool too: leases that were given back one after the other move on together
        timers[name, default: DeadlineTimer()].arm(max(instant, MonotonicClock.now + .milliseconds(250))) { [weak self] in await self?.strike(name) }
    }

    private func strike(_ name: PoolName) async {
        timers[name]?.struck()
        var outputs: [AddressOutput] = []
        // In its place: a copy would take all its leases along
        pools[name]?.handle(.deadline, at: MonotonicClock.now, into: &outputs)
        let changes = perform(outputs, of: name)
        do throws(StateStoreError) {
            if !changes.isEmpty { try await store.commit(changes) }
        } catch {
            logger.error("leases could not be stored: \(error)")
        }
    }

    func occupancy() -> [(name: PoolName, status: LocalPool.Status)] {
        pools.values.map { ($0.settings.name, $0.status) }.sorted { "\($0.name)" < "\($1.name)" }
    }

    func stop() {
        for name in timers.keys { timers[name]?.cancel() }
        timers = [:]
    }
}

/// Why there is no address; the text goes to the log, INTERNAL_ADDRESS_FAILURE to the client.
enum AddressFailure: Error, CustomStringConvertible {
    case noPool(PoolName)
    /// The gateway assigns none of the family.
    case noAddresses(gateway: String, AddressFamily, asksRADIUS: Bool)
    case refused(AddressRefusal)
    case store(StateStoreError)

    var description: String {
        switch self {
        case .noPool(let name): "pool \(name) is not configured"
        case .noAddresses(let gateway, let family, let asksRADIUS):
            "gateway \(gateway) has no IPv\(family.rawValue) addresses" + (asksRADIUS ? ", and the RADIUS server gave none" : "")
        case .refused(let refusal): "\(refusal)"
        case .store(let error): "the lease could not be stored: \(error)"
        }
    }
}

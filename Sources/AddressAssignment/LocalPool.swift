package import Wire

/// Local address assignment (features.md ADDR-4): one pool of a `local-dhcp-server`, without any DHCP packet.
///
/// An address that comes back rests for the quarantine, is then held for its identity, and then is anybody's. Its own identity may have it
/// back at any time. Whoever asks gets, in this order: the wanted address if it is free, the one kept for the identity, one never used,
/// the one unused for longest, and when all that is used up the one held for longest (configuration.md).
package struct LocalPool: AddressSource {
    package private(set) var settings: Settings
    private var table = LeaseTable()
    /// The next address that was never looked at: a place in `settings.ranges` and an address of it.
    private var fresh: (range: Int, address: IPAddress)?
    private var armed: Instant?

    /// Addresses remembered at most, in use or held; beyond it the range counts as used up (threats.md, rule 7).
    package static let maximumLeases = 1 << 20
    /// Leases that one deadline moves on, so that no call takes long.
    private static let stepsPerDeadline = 1024

    package init(_ settings: Settings) {
        self.settings = settings
        fresh = settings.ranges.first.map { (0, $0.begin) }
    }

    package mutating func handle(_ input: AddressInput, at now: Instant, into outputs: inout [AddressOutput]) {
        switch input {
        case .request(let id, let request): grant(request, for: id, at: now, into: &outputs)
        case .takeOver(let id, let lease, let session): takeOver(lease, by: session, for: id, into: &outputs)
        case .release(let lease): release(lease, at: now, into: &outputs)
        case .stored(let lease):
            if let place = owned(lease) { table.stored(place) }
        case .deadline:
            armed = nil
            age(at: now, into: &outputs)
        }
        arm(at: now, into: &outputs)
    }

    /// Takes up what an earlier daemon left behind: every lease is kept for its identity, as if given back now; those in use last.
    /// Records of another pool are ignored, those of addresses that the pool no longer has are forgotten.
    package mutating func restore(_ records: [LeaseRecord], at now: Instant, into outputs: inout [AddressOutput]) {
        for isLive in [false, true] {
            for record in records where record.isLive == isLive && record.pool == settings.name {
                guard isAssignable(record.address), table.find(record.address) == nil, table.count < Self.maximumLeases,
                    isAcceptable(record.identity)
                else {
                    outputs.append(.forget(record))
                    continue
                }
                let place = table.add(record.address, at: now)
                // A session that cannot exist: the slot is at rest again before anybody sees it.
                table.assign(place, identity: record.identity, session: LeaseSession(0))
                table.stored(place)
                table.rest(place, at: now)
                if record.isLive { outputs.append(.store(self.record(place))) }
            }
        }
        arm(at: now, into: &outputs)
    }

    /// Goes on with new settings of the same pool. Leases in use stay; what is kept outside the new ranges is forgotten when its rest is over.
    package mutating func reconfigure(_ settings: Settings, at now: Instant, into outputs: inout [AddressOutput]) {
        self.settings = settings
        fresh = settings.ranges.first.map { (0, $0.begin) }
        for phase in [LeaseTable.Phase.held, .recycled] {
            for place in table.all(phase) where !isAssignable(table[place].address) {
                if phase == .held { outputs.append(.forget(record(place))) }
                table.drop(place)
            }
        }
        age(at: now, into: &outputs)
        arm(at: now, into: &outputs)
    }

    // MARK: Granting

    private mutating func grant(
        _ request: LeaseRequest, for id: RequestID, at now: Instant, into outputs: inout [AddressOutput]
    ) {
        guard request.family == settings.subnet.family else {
            outputs.append(.refused(id, .wrongFamily(request.family)))
            return
        }
        guard isAcceptable(request.identity) else {
            outputs.append(.refused(id, .badIdentity))
            return
        }
        age(at: now, into: &outputs)
        guard let place = choose(request, at: now) else {
            outputs.append(.refused(id, .exhausted(settings.name)))
            return
        }
        table.assign(place, identity: request.identity, session: request.session)
        // Whoever comes again to its own address waits for no disk: after a crash it is kept for it whether it counted as in use or not.
        outputs.append(table[place].isStored ? .note(record(place)) : .store(record(place)))
        outputs.append(.granted(id, lease(place, session: request.session)))
    }

    private mutating func choose(_ request: LeaseRequest, at now: Instant) -> Int? {
        if let wanted = request.wanted, isAssignable(wanted) {
            if let place = table.find(wanted) {
                let slot = table[place]
                let isKept = (slot.phase == .resting || slot.phase == .held) && slot.identity == request.identity
                if isKept || slot.phase == .recycled { return place }
            } else if table.count < Self.maximumLeases {
                return table.add(wanted, at: now)
            }
        }
        if let place = table.newest(of: request.identity), isAssignable(table[place].address) { return place }
        if table.count < Self.maximumLeases, let address = takeFresh() { return table.add(address, at: now) }
        return table.oldest(.recycled) ?? table.oldest(.held) ?? overdue(at: now)
    }

    /// A lease whose rest is over and that `age`, which takes a few at a time, has yet to move on.
    private func overdue(at now: Instant) -> Int? {
        guard let place = table.oldest(.resting), restEnds(place) <= now, isAssignable(table[place].address) else {
            return nil
        }
        return place
    }

    /// The next address of the ranges that is not in the table; each address is looked at once, so the calls together take the range's length.
    private mutating func takeFresh() -> IPAddress? {
        while let (range, address) = fresh {
            if address < settings.ranges[range].end, let next = address.next {
                fresh = (range, next)
            } else {
                fresh = range + 1 < settings.ranges.count ? (range + 1, settings.ranges[range + 1].begin) : nil
            }
            if table.find(address) == nil, isAssignable(address) { return address }
        }
        return nil
    }

    private mutating func takeOver(
        _ lease: Lease, by session: LeaseSession, for id: RequestID, into outputs: inout [AddressOutput]
    ) {
        guard let place = owned(lease) else {
            outputs.append(.refused(id, .notLeased))
            return
        }
        table.assign(place, identity: lease.identity, session: session)
        outputs.append(.granted(id, self.lease(place, session: session)))
    }

    // MARK: Giving back

    private mutating func release(_ lease: Lease, at now: Instant, into outputs: inout [AddressOutput]) {
        guard let place = owned(lease) else { return }
        table.rest(place, at: now)
        // After a crash every lease counts as given back.
        outputs.append(.note(record(place)))
    }

    /// Moves leases on whose quarantine or hold time is over.
    private mutating func age(at now: Instant, into outputs: inout [AddressOutput]) {
        var steps = 0
        while steps < Self.stepsPerDeadline, let place = table.oldest(.resting), restEnds(place) <= now {
            steps += 1
            if isAssignable(table[place].address) {
                table.hold(place)
            } else {
                outputs.append(.forget(record(place)))
                table.drop(place)
            }
        }
        while steps < Self.stepsPerDeadline, let place = table.oldest(.held), holdEnds(place) <= now {
            steps += 1
            outputs.append(.forget(record(place)))
            table.recycle(place)
        }
    }

    private mutating func arm(at now: Instant, into outputs: inout [AddressOutput]) {
        let ends = [table.oldest(.resting).map(restEnds), table.oldest(.held).map(holdEnds)]
        guard let next = ends.compactMap({ $0 }).min(), next != armed else { return }
        armed = next
        outputs.append(.arm(next))
    }

    private func restEnds(_ place: Int) -> Instant { table[place].releasedAt + settings.quarantine }
    private func holdEnds(_ place: Int) -> Instant { restEnds(place) + settings.leaseHoldTime }

    // MARK: Facts

    private func owned(_ lease: Lease) -> Int? {
        guard lease.pool == settings.name, let place = table.find(lease.address) else { return nil }
        let slot = table[place]
        return slot.phase == .live && slot.session == lease.session && slot.identity == lease.identity ? place : nil
    }

    private func record(_ place: Int) -> LeaseRecord {
        let slot = table[place]
        return LeaseRecord(
            pool: settings.name, address: slot.address, identity: slot.identity, isLive: slot.phase == .live)
    }

    private func lease(_ place: Int, session: LeaseSession) -> Lease {
        Lease(
            address: table[place].address, identity: table[place].identity, session: session, subnet: settings.subnet,
            dns: settings.dns, pool: settings.name)
    }

    private func isAcceptable(_ identity: String) -> Bool {
        (1...LeaseRequest.maximumIdentityLength).contains(identity.utf8.count)
    }

    /// In a range, and neither the gateway's own nor the subnet's first (network, or RFC 4291 router anycast) or last (IPv4 broadcast).
    private func isAssignable(_ address: IPAddress) -> Bool {
        settings.ranges.contains { $0.contains(address) } && !settings.isReserved(address)
    }

    /// The address is this pool's to give.
    package func holds(_ address: IPAddress) -> Bool { isAssignable(address) }

    /// How the pool stands, for `ipsec-gwctl pools`.
    package var status: Status {
        Status(
            size: settings.size, live: table.count(.live), resting: table.count(.resting), held: table.count(.held))
    }

    package struct Status: Hashable, Sendable {
        /// Addresses that can be given, saturating.
        package let size: UInt64
        package let live: Int
        package let resting: Int
        package let held: Int

        package init(size: UInt64, live: Int, resting: Int, held: Int) {
            self.size = size
            self.live = live
            self.resting = resting
            self.held = held
        }

        /// Addresses that nobody has and that are kept for nobody.
        package var free: UInt64 {
            let kept = UInt64(live + resting + held)
            return size > kept ? size - kept : 0
        }
    }
}

package import ESP
internal import GatewayCrypto
internal import Synchronization
package import Wire

extension Control {
    // Sessions and Child SAs: what the gateway asks becomes routes here and commands to the workers.

    package func open(tunnel spec: TunnelSpec) -> TunnelID? {
        guard mailboxes.indices.contains(spec.worker), let interface = interfaceNumbers[spec.interface] else { return nil }
        let prefixes = spec.innerAddresses.map { IPPrefix(host: $0) } + spec.innerPrefixes
        guard !prefixes.isEmpty, Set(prefixes).count == prefixes.count else { return nil }
        let id: TunnelID? = state.withLock { state in
            guard !state.isStopped, let id = place(spec.worker, &state) else { return nil }
            let target = RouteTarget(id)
            for (count, prefix) in prefixes.enumerated() where !routes[interface].insert(prefix, target) {
                // An owner has it, or no room: what was added goes again
                withdraw(Array(prefixes[..<count]), interface, target, &state)
                giveBack(id, &state)
                return nil
            }
            state.tunnels[id] = TunnelRecord(
                interface: interface, prefixes: prefixes, settings: spec.settings, peer: spec.peer, local: spec.local, home: id,
                places: [Place(id: id)], heading: id.worker)
            return id
        }
        guard let id else { return nil }
        let tunnel = Tunnel(
            interface: interface, generation: id.generation, settings: spec.settings, sources: prefixes.map(\.range), peer: spec.peer,
            local: spec.local)
        // A tunnel without a Child SA is nothing to wake a worker for: the next command does
        if let refused = post(.open(tunnel, index: id.index), to: id.worker, rings: false) {
            _ = consume refused
            state.withLock { state in
                withdraw(prefixes, interface, RouteTarget(id), &state)
                state.tunnels[id] = nil
                giveBack(id, &state)
            }
            return nil
        }
        return id
    }

    /// Takes routes out whose session never came to be; their nodes rest until no reader can be on them.
    func withdraw(_ prefixes: [IPPrefix], _ interface: Int, _ target: RouteTarget, _ state: inout State) {
        let removed = prefixes.compactMap { routes[interface].remove($0, target) }
        state.resting.append((GracePeriod(mailboxes.map(\.passes)), interface, removed))
    }

    package func install(_ child: consuming ChildSASpec) async throws(DatapathError) {
        let tunnel = child.tunnel
        let spi = child.inbound
        // What replaces nothing, or waits for nothing, has the session's traffic at once
        let takesOver = child.supersedes == nil && !child.isPerResource
        var record = ChildRecord(
            tunnel: tunnel, outbound: child.outbound, suite: child.suite, replayWindow: ReplayWindow.size(child.replayWindow))
        record.isPerResource = child.isPerResource
        let admission = try admit(spi, record, tunnel)
        let pair: SAPair
        do throws(DatapathError) {
            pair = try self.pair(child, tunnel: admission.place.index)
        } catch {
            abandon(spi, of: tunnel)
            throw error
        }
        record.engine = pair.engine
        state.withLock { [engine = record.engine] in $0.children[spi]?.engine = engine }
        var isKnown = true
        if let fresh = admission.fresh { isKnown = await send(.open(fresh.tunnel(admission.place), index: admission.place.index), to: spi.worker) }
        if isKnown, await send(.insert(pair, ticket: admission.ticket), to: spi.worker), case .inserted(true) = await outcome(admission.ticket) {
            let moved = state.withLock { state in
                if takesOver { takeOver(tunnel, by: spi.worker, &state) } else { rehome(tunnel, &state) }
                return admission.fresh.flatMap { state.tunnels[tunnel]?.peer == $0.peer ? nil : state.tunnels[tunnel]?.peer }
            }
            // The peer has moved before this worker knew of it
            if let moved { move(tunnel: tunnel, to: moved, from: nil) }
            dismiss()
            return
        }
        abandon(spi, of: tunnel)
        throw state.withLock { $0.isStopped } ? .stopped : .noSuchTunnel
    }

    /// Gives an SPI back whose Child SA did not come to be.
    private func abandon(_ spi: LocalSPI, of tunnel: TunnelID) {
        state.withLock { state in
            Self.removeRecord(spi, &state)
            state.tunnels[tunnel]?.children.remove(spi)
            if state.allocators.indices.contains(spi.worker) { state.allocators[spi.worker].release(spi) }
            rehome(tunnel, &state)
        }
        dismiss()
    }

    /// Keys both directions; the keys themselves end with `child`.
    private func pair(_ child: borrowing ChildSASpec, tunnel: Int) throws(DatapathError) -> SAPair {
        do throws(CryptoError) {
            let inbound = try InboundSA(
                spi: child.inbound.rawValue, suite: child.suite, encryptionKey: child.keys.inboundEncryption,
                integrityKey: child.keys.inboundIntegrity, replayWindow: child.replayWindow, engine: engine)
            let outbound = try OutboundSA(
                spi: child.outbound, suite: child.suite, encryptionKey: child.keys.outboundEncryption,
                integrityKey: child.keys.outboundIntegrity, entropy: entropy, engine: engine)
            return SAPair(
                inbound: inbound, outbound: outbound, selectors: child.selectors, lifetimes: child.lifetimes, tunnel: tunnel,
                supersedes: child.supersedes,
                isAnnounced: child.isPerResource || child.supersedes.map { $0.worker != child.inbound.worker } ?? false)
        } catch {
            throw .keys
        }
    }

    /// Where a Child SA is to be, and who waits for it; `fresh`: its worker does not know the session yet.
    private struct Admission {
        let ticket: UInt64
        let place: TunnelID
        let fresh: TunnelRecord?
    }

    private func admit(_ spi: LocalSPI, _ record: ChildRecord, _ tunnel: TunnelID) throws(DatapathError) -> Admission {
        try state.withLock { state throws(DatapathError) in
            guard !state.isStopped else { throw .stopped }
            guard let owner = state.tunnels[tunnel], !owner.isClosing else { throw .noSuchTunnel }
            guard state.allocators.indices.contains(spi.worker), state.allocators[spi.worker].holds(spi), state.children[spi] == nil else {
                throw .noSuchSPI
            }
            guard owner.children.count < Tunnel.maximumChildSAs else { throw .tooManyChildSAs }
            guard let place = place(of: tunnel, on: spi.worker, &state) else { throw .noRoom }
            state.children[spi] = record
            state.byOutbound[record.outbound, default: []].append(spi)
            state.tunnels[tunnel]?.children.insert(spi)
            if !record.isPerResource { state.tunnels[tunnel]?.heading = spi.worker }
            return Admission(ticket: Self.newTicket(&state), place: place.id, fresh: place.isNew ? state.tunnels[tunnel] : nil)
        }
    }

    package func retire(child spi: LocalSPI) async -> SACounters {
        let ticket: UInt64? = state.withLock { state in
            guard let record = state.children[spi], state.tunnels[record.tunnel]?.isClosing != true else { return nil }
            // Before it is gone, not after: no packet finds nothing
            rehome(record.tunnel, without: spi, &state)
            return Self.newTicket(&state)
        }
        guard let ticket else { return SACounters() }
        dismiss()
        let board = mailboxes[spi.worker].board
        guard await send(.remove(spi, ticket: ticket), to: spi.worker), case .retired(let counters) = await outcome(ticket) else {
            return board.sa(spi.slot)
        }
        return counters
    }

    package func close(tunnel id: TunnelID) async -> TunnelCounters {
        let begun: (interface: Int, removed: [InnerRoutes.Removed], ticket: UInt64?, places: [TunnelID])? = state.withLock { state in
            guard let record = state.tunnels[id], !record.isClosing else { return nil }
            state.tunnels[id]?.isClosing = true
            let target = record.route
            let removed = record.prefixes.compactMap { routes[record.interface].remove($0, target) }
            return (record.interface, removed, Self.newGrace(&state, counters: mailboxes.map(\.passes)), record.places.map(\.id))
        }
        guard let begun else { return TunnelCounters() }
        // Every packet that was routed to the session before is sealed or on the way to its home worker, where it is routed anew
        await passed(begun.ticket)
        for place in begun.places {
            let ticket = state.withLock { Self.newTicket(&$0) }
            if await send(.close(index: place.index, generation: place.generation, ticket: ticket), to: place.worker) {
                _ = await outcome(ticket)
            }
        }
        return state.withLock { state in
            for node in begun.removed { routes[begun.interface].reclaim(node) }
            guard let record = state.tunnels[id] else { return TunnelCounters() }
            for spi in record.children { Self.removeRecord(spi, &state) }
            let counters = sum(record)
            for place in record.places {
                state.aliases[place.id] = nil
                giveBack(place.id, &state)
            }
            state.departing.removeAll { place in record.places.contains { $0.id == place } }
            if let row = record.row { state.freeRows.append(row) }
            state.tunnels[id] = nil
            return counters
        }
    }

    /// Takes a Child SA out of the tables by which it is found.
    @discardableResult
    static func removeRecord(_ spi: LocalSPI, _ state: inout State) -> ChildRecord? {
        guard let record = state.children.removeValue(forKey: spi) else { return nil }
        var same = state.byOutbound[record.outbound] ?? []
        same.removeAll { $0 == spi }
        state.byOutbound[record.outbound] = same.isEmpty ? nil : same
        return record
    }

    /// Hands a router's report to the workers whose Child SAs it may be about; false when there are none. By the door's thread. What peers have
    /// chosen alike is looked at up to a number: nobody can make one message cost more.
    func heed(_ report: PathMTUReport) -> Bool {
        let children = state.withLock { Array(($0.byOutbound[report.spi] ?? []).prefix(4)) }
        for spi in children { _ = post(.heed(report, child: spi), to: spi.worker) }
        return !children.isEmpty
    }

    package func move(tunnel id: TunnelID, to peer: Endpoint, from local: Endpoint?) {
        let places = state.withLock { state in
            state.tunnels[id]?.peer = peer
            if let local { state.tunnels[id]?.local = local }
            return state.tunnels[id]?.places.map(\.id) ?? []
        }
        for place in places { _ = post(.move(index: place.index, generation: place.generation, peer, from: local), to: place.worker) }
    }

    func place(_ worker: Int, _ state: inout State) -> TunnelID? {
        let index: Int
        if let reused = state.places[worker].free.popLast() {
            index = reused
        } else {
            guard state.places[worker].unused < mailboxes[worker].board.tunnelCapacity else { return nil }
            index = state.places[worker].unused
            state.places[worker].unused += 1
            state.places[worker].generations.append(0)
        }
        var generation = state.places[worker].generations[index] &+ 1
        if generation == 0 { generation = 1 }
        state.places[worker].generations[index] = generation
        state.places[worker].sessions += 1
        return TunnelID(worker: worker, index: index, generation: generation)
    }

    func giveBack(_ id: TunnelID, _ state: inout State) {
        state.places[id.worker].free.append(id.index)
        state.places[id.worker].sessions -= 1
    }

    // MARK: Waiting

    private func outcome(_ ticket: UInt64) async -> Outcome {
        await withCheckedContinuation { continuation in
            let ready: Outcome? = state.withLock { state in
                switch state.tickets[ticket] {
                case .done(let outcome):
                    state.tickets[ticket] = nil
                    return outcome
                case .open where !state.isStopped:
                    state.tickets[ticket] = .waiting(continuation)
                    return nil
                case .open, .waiting, nil:
                    state.tickets[ticket] = nil
                    return .stopped
                }
            }
            if let ready { continuation.resume(returning: ready) }
        }
    }

    /// A ticket that is settled when every worker has ended the pass it is in.
    func passed() async {
        let ticket: UInt64? = state.withLock { state in state.isStopped ? nil : Self.newGrace(&state, counters: mailboxes.map(\.passes)) }
        await passed(ticket)
    }

    /// The door ends grace periods; one that was over at once has no ticket.
    private func passed(_ ticket: UInt64?) async {
        guard let ticket else { return }
        doorBell.ring()
        _ = await outcome(ticket)
    }

    // MARK: Commands

    /// Puts a command into a worker's ring; gives it back when the ring is full.
    func post(_ command: consuming Command, to worker: Int, rings: Bool = true) -> Command? {
        let mailbox = mailboxes[worker]
        var slot: Command? = command
        mailbox.producer.withLock { _ in
            if let next = slot.take() { slot = mailbox.commands.push(next) }
        }
        if rings { mailbox.bell.ring() }
        return slot
    }

    /// The same, waiting for room; false when the datapath stops meanwhile.
    private func send(_ command: consuming Command, to worker: Int) async -> Bool {
        var next: Command? = command
        while let command = next.take() {
            next = post(command, to: worker)
            if next == nil { return true }
            if state.withLock({ $0.isStopped }) { return false }
            try? await Task.sleep(for: .milliseconds(1))
        }
        return true
    }
}

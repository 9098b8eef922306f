package import ESP
internal import GatewayCrypto
internal import Synchronization
package import Wire

extension Control {
    // Sessions and Child SAs: what the gateway asks becomes routes here and commands to the home worker.

    package func open(tunnel spec: TunnelSpec) -> TunnelID? {
        guard mailboxes.indices.contains(spec.worker), let interface = interfaceNumbers[spec.interface] else { return nil }
        let prefixes = spec.innerAddresses.map { IPPrefix(host: $0) } + spec.innerPrefixes
        guard !prefixes.isEmpty, Set(prefixes).count == prefixes.count else { return nil }
        let id: TunnelID? = state.withLock { state in
            guard !state.isStopped, let id = place(spec.worker, &state) else { return nil }
            let target = RouteTarget(worker: id.worker, tunnel: id.index, generation: id.generation)
            for (count, prefix) in prefixes.enumerated() where !routes[interface].insert(prefix, target) {
                // An owner has it, or no room: what was added goes again
                withdraw(Array(prefixes[..<count]), interface, target, &state)
                giveBack(id, &state)
                return nil
            }
            state.tunnels[id] = TunnelRecord(interface: interface, prefixes: prefixes)
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
                let target = RouteTarget(worker: id.worker, tunnel: id.index, generation: id.generation)
                withdraw(prefixes, interface, target, &state)
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
        var record = ChildRecord(
            tunnel: tunnel, outbound: child.outbound, suite: child.suite, replayWindow: ReplayWindow(size: child.replayWindow).size)
        let pair = try pair(child)
        record.engine = pair.engine
        let ticket = try admit(spi, record, tunnel)
        if await send(.insert(pair, ticket: ticket), to: spi.worker), case .inserted(true) = await outcome(ticket) { return }
        let isStopped = state.withLock { state in
            Self.removeRecord(spi, &state)
            state.tunnels[tunnel]?.children.remove(spi)
            if state.allocators.indices.contains(spi.worker) { state.allocators[spi.worker].release(spi) }
            return state.isStopped
        }
        throw isStopped ? .stopped : .noSuchTunnel
    }

    /// Keys both directions; the keys themselves end with `child`.
    private func pair(_ child: borrowing ChildSASpec) throws(DatapathError) -> SAPair {
        do throws(CryptoError) {
            let inbound = try InboundSA(
                spi: child.inbound.rawValue, suite: child.suite, encryptionKey: child.keys.inboundEncryption,
                integrityKey: child.keys.inboundIntegrity, replayWindow: child.replayWindow, engine: engine)
            let outbound = try OutboundSA(
                spi: child.outbound, suite: child.suite, encryptionKey: child.keys.outboundEncryption,
                integrityKey: child.keys.outboundIntegrity, entropy: entropy, engine: engine)
            return SAPair(
                inbound: inbound, outbound: outbound, selectors: child.selectors, lifetimes: child.lifetimes, tunnel: child.tunnel.index,
                supersedes: child.supersedes)
        } catch {
            throw .keys
        }
    }

    private func admit(_ spi: LocalSPI, _ record: ChildRecord, _ tunnel: TunnelID) throws(DatapathError) -> UInt64 {
        try state.withLock { state throws(DatapathError) in
            guard !state.isStopped else { throw .stopped }
            guard let owner = state.tunnels[tunnel], !owner.isClosing else { throw .noSuchTunnel }
            guard spi.worker == tunnel.worker, state.allocators.indices.contains(spi.worker), state.allocators[spi.worker].holds(spi),
                state.children[spi] == nil
            else { throw .noSuchSPI }
            guard owner.children.count < Tunnel.maximumChildSAs else { throw .tooManyChildSAs }
            state.children[spi] = record
            state.byOutbound[record.outbound, default: []].append(spi)
            state.tunnels[tunnel]?.children.insert(spi)
            return Self.newTicket(&state)
        }
    }

    package func retire(child spi: LocalSPI) async -> SACounters {
        let ticket: UInt64? = state.withLock { state in
            guard let record = state.children[spi], state.tunnels[record.tunnel]?.isClosing != true else { return nil }
            return Self.newTicket(&state)
        }
        guard let ticket else { return SACounters() }
        let board = mailboxes[spi.worker].board
        guard await send(.remove(spi, ticket: ticket), to: spi.worker), case .retired(let counters) = await outcome(ticket) else {
            return board.sa(spi.slot)
        }
        return counters
    }

    package func close(tunnel id: TunnelID) async -> TunnelCounters {
        guard mailboxes.indices.contains(id.worker) else { return TunnelCounters() }
        let board = mailboxes[id.worker].board
        let begun: (interface: Int, removed: [InnerRoutes.Removed], ticket: UInt64?)? = state.withLock { state in
            guard let record = state.tunnels[id], !record.isClosing else { return nil }
            state.tunnels[id]?.isClosing = true
            let target = RouteTarget(worker: id.worker, tunnel: id.index, generation: id.generation)
            let removed = record.prefixes.compactMap { routes[record.interface].remove($0, target) }
            return (record.interface, removed, Self.newGrace(&state, counters: mailboxes.map(\.passes)))
        }
        guard let begun else { return TunnelCounters() }
        // Every packet that was routed to the session before is sealed or on the way to its home worker, where it is routed anew
        await passed(begun.ticket)
        let ticket = state.withLock { Self.newTicket(&$0) }
        if await send(.close(index: id.index, generation: id.generation, ticket: ticket), to: id.worker) {
            _ = await outcome(ticket)
        }
        let counters = board.tunnel(id.index)
        state.withLock { state in
            for node in begun.removed { routes[begun.interface].reclaim(node) }
            for spi in state.tunnels[id]?.children ?? [] { Self.removeRecord(spi, &state) }
            state.tunnels[id] = nil
            giveBack(id, &state)
        }
        return counters
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
        guard mailboxes.indices.contains(id.worker) else { return }
        _ = post(.move(index: id.index, generation: id.generation, peer, from: local), to: id.worker)
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
    private func post(_ command: consuming Command, to worker: Int, rings: Bool = true) -> Command? {
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

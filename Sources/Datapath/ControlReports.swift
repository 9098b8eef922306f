internal import ESP
internal import Synchronization
internal import Wire

extension Control {
    // What the workers report.

    /// Takes up what workers have reported, ends grace periods. By one thread. Returns whether somebody still waits for a grace period.
    package func service() -> Bool {
        var finished: [(UInt64, Outcome)] = []
        for (worker, mailbox) in mailboxes.enumerated() {
            while let report = mailbox.reports.pop() {
                switch consume report {
                case .inserted(let isIn, let ticket): finished.append((ticket, .inserted(isIn)))
                case .absent(let ticket): finished.append((ticket, .retired(SACounters())))
                case .retired(let pair, let ticket):
                    // Read before the slot can have another owner
                    if let spi = LocalSPI(rawValue: pair.inbound.spi) {
                        if ticket != 0 { finished.append((ticket, .retired(mailbox.board.sa(spi.slot)))) }
                        forget(spi)
                    }
                    // The pair ends here, off the packet thread: its keys are wiped
                    _ = consume pair
                case .closed(let tunnel, let index, let ticket):
                    if ticket == 0 { left(TunnelID(worker: worker, index: index, generation: tunnel.generation)) }
                    _ = consume tunnel
                    finished.append((ticket, .closed))
                case .event(let event): eventSink.yield(event)
                case .moved(let place, let peer, let local): moved(place, to: peer, at: local)
                case .takenUp(let spi):
                    state.withLock { state in
                        guard let record = state.children[spi] else { return }
                        if record.isPerResource {
                            serve(record.tunnel, by: spi.worker, &state)
                        } else {
                            takeOver(record.tunnel, by: spi.worker, &state)
                        }
                    }
                }
            }
        }
        dismiss()
        let (resumable, remain) = state.withLock { state in
            var over: [(UInt64, Outcome)] = []
            state.graces = state.graces.compactMap { grace in
                var grace = grace
                guard grace.period.isOver() else { return grace }
                over.append((grace.ticket, grace.outcome))
                return nil
            }
            state.resting = state.resting.compactMap { rest in
                var rest = rest
                guard rest.period.isOver() else { return rest }
                for node in rest.removed { routes[rest.interface].reclaim(node) }
                return nil
            }
            var settled: [(UInt64, Outcome)] = over
            for (ticket, outcome) in finished {
                // An SA serves when every worker has also seen the routes that lead to it
                if case .inserted(true) = outcome, workers > 1 {
                    var period = GracePeriod(mailboxes.map(\.passes))
                    if !period.isOver() {
                        state.graces.append((period, ticket, outcome))
                        continue
                    }
                }
                settled.append((ticket, outcome))
            }
            return (Self.settle(settled, &state), !state.graces.isEmpty)
        }
        for (continuation, outcome) in resumable { continuation.resume(returning: outcome) }
        return remain
    }

    func forget(_ spi: LocalSPI) {
        state.withLock { state in
            if let record = Self.removeRecord(spi, &state) {
                state.tunnels[record.tunnel]?.children.remove(spi)
                rehome(record.tunnel, &state)
            }
            if state.allocators.indices.contains(spi.worker) { state.allocators[spi.worker].release(spi) }
        }
    }

    /// The peer was heard from elsewhere, by the worker of a place.
    private func moved(_ place: TunnelID, to peer: Endpoint, at local: Endpoint) {
        let id: TunnelID? = state.withLock { state in
            let id = state.aliases[place] ?? place
            guard state.tunnels[id] != nil else { return nil }
            state.tunnels[id]?.peer = peer
            state.tunnels[id]?.local = local
            return id
        }
        if let id { eventSink.yield(.moved(id, peer)) }
    }

    func report(_ event: DatapathEvent) { eventSink.yield(event) }

    /// Somebody waits for passes to end.
    var hasGracePeriods: Bool { state.withLock { !$0.graces.isEmpty } }
}

internal import Synchronization

extension Control {
    // What callers wait for: a ticket is settled once, whether its caller waits already or not.

    static func newTicket(_ state: inout State) -> UInt64 {
        state.lastTicket += 1
        state.tickets[state.lastTicket] = state.isStopped ? .done(.stopped) : .open
        return state.lastTicket
    }

    static func newGrace(_ state: inout State, counters: [PassCounter]) -> UInt64 {
        let ticket = newTicket(&state)
        if !state.isStopped { state.graces.append((GracePeriod(counters), ticket, .passed)) }
        return ticket
    }

    static func settle(_ finished: [(UInt64, Outcome)], _ state: inout State) -> [(CheckedContinuation<Outcome, Never>, Outcome)] {
        var resumable: [(CheckedContinuation<Outcome, Never>, Outcome)] = []
        for (ticket, outcome) in finished {
            switch state.tickets[ticket] {
            case .open: state.tickets[ticket] = .done(outcome)
            case .waiting(let continuation):
                state.tickets[ticket] = nil
                resumable.append((continuation, outcome))
            case .done, nil: break
            }
        }
        return resumable
    }

    func outcome(_ ticket: UInt64) async -> Outcome {
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
        let ticket = state.withLock { state in state.isStopped ? nil : Self.newGrace(&state, counters: mailboxes.map(\.passes)) }
        guard let ticket else { return }
        doorBell.ring()
        _ = await outcome(ticket)
    }
}

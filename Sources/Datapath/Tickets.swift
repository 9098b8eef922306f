internal import Synchronization

extension Control {
    // What callers wait for: a ticket is settled once, whether its caller waits already or not.

    static func newTicket(_ state: inout State) -> UInt64 {
        state.lastTicket += 1
        state.tickets[state.lastTicket] = state.isStopped ? .done(.stopped) : .open
        return state.lastTicket
    }

    /// Nil where no worker is in a pass: nobody has to wait, and no thread to wake.
    static func newGrace(_ state: inout State, counters: [PassCounter]) -> UInt64? {
        var period = GracePeriod(counters)
        guard !period.isOver() else { return nil }
        let ticket = newTicket(&state)
        if !state.isStopped { state.graces.append((period, ticket, .passed)) }
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
}

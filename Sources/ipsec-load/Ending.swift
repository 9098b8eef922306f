import IKEMessages
import RoadWarrior

/// How a connection comes to its end, whoever carries its packets.
struct Ending {
    /// The end; a failure is what makes the exit status 1.
    struct Outcome {
        let failure: String?
    }

    private(set) var outcome: Outcome?
    /// Our Delete is under way, or was.
    private(set) var isStopping = false
    private var failure: String?

    /// We leave.
    mutating func stop() { isStopping = true }

    /// We leave because of this; false when we do already.
    mutating func stop(because cause: String) -> Bool {
        guard outcome == nil, !isStopping else { return false }
        isStopping = true
        failure = cause
        return true
    }

    mutating func conclude(_ closure: RoadWarrior.Closure) {
        if let failure {
            outcome = Outcome(failure: failure)
        } else if isStopping {
            outcome = Outcome(failure: nil)
        } else if case .refused = closure {
            outcome = Outcome(failure: "refused: \(closure)")
        } else {
            outcome = Outcome(failure: "\(closure)")
        }
    }
}

extension RoadWarrior.Output {
    /// Why the connection is of no use any more; nil: it is.
    func objection(in warrior: borrowing RoadWarrior) -> String? {
        switch self {
        case .refused(let refusal):
            // The IKE SA without a Child SA is of no use to us.
            warrior.stage == .established && warrior.childSA == nil ? "refused: the gateway gave no Child SA: \(refusal.notify.type)" : nil
        case .childClosed: "the gateway deleted the Child SA"
        case .send, .established, .childEstablished, .childRekeyed, .ikeRekeyed, .delivered, .response, .closed: nil
        }
    }

    /// A line for who watches; nil: nothing worth one.
    var line: String? {
        switch self {
        case .childRekeyed(_, let facts, let byUs):
            "rekeyed child by=\(byUs ? "us" : "gateway") in=\(hexadecimal(facts.inboundSPI)) out=\(hexadecimal(facts.outboundSPI))"
        case .ikeRekeyed(_, _, let byUs): "rekeyed ike by=\(byUs ? "us" : "gateway")"
        case .send, .established, .childEstablished, .childClosed, .delivered, .refused, .response, .closed: nil
        }
    }
}

private func hexadecimal(_ spi: UInt32) -> String {
    let digits = String(spi, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
}

import IKEMessages
import RoadWarrior
import Wire

/// Who of a crowd stands, who never came and who was lost: the book that `hold` and `traffic` keep.
struct Standing {
    enum Phase { case waiting, beginning, up, leaving, over }

    private(set) var phases: [Phase]
    private var begun: [Instant]
    private(set) var logins = Statistics()
    private(set) var losses: [String: Int] = [:]
    private(set) var up = 0
    private(set) var most = 0
    /// Clients in `beginning` or `leaving`.
    private(set) var beginning = 0
    private(set) var leaving = 0
    private(set) var over = 0
    private(set) var childRekeysByUs = 0
    private(set) var childRekeysByGateway = 0
    private(set) var ikeRekeysByUs = 0
    private(set) var ikeRekeysByGateway = 0
    /// Deletes of ours that nobody confirmed.
    private(set) var unansweredDeletes = 0

    init(clients: Int) {
        phases = Array(repeating: .waiting, count: clients)
        begun = Array(repeating: Instant(nanoseconds: 0), count: clients)
    }

    var lost: Int { losses.values.reduce(0, +) }

    /// - Parameter due: when the login should have begun.
    mutating func begin(_ client: Int, due: Instant) {
        move(client, to: .beginning)
        begun[client] = due
        logins.start()
    }

    mutating func leave(_ client: Int) { move(client, to: .leaving) }

    /// Never begun, and never will.
    mutating func dismiss(_ client: Int) { move(client, to: .over) }

    private mutating func move(_ client: Int, to phase: Phase) {
        add(-1, to: phases[client])
        phases[client] = phase
        add(1, to: phase)
        most = max(most, up)
    }

    private mutating func add(_ change: Int, to phase: Phase) {
        switch phase {
        case .waiting: break
        case .beginning: beginning += change
        case .up: up += change
        case .leaving: leaving += change
        case .over: over += change
        }
    }

    /// What to do about a client after an event.
    enum Consequence { case none, isUp, close, isOver }

    mutating func note(_ output: RoadWarrior.Output, of client: Int, stage: RoadWarrior.Stage, at now: Instant) -> Consequence {
        switch output {
        case .childEstablished where phases[client] == .beginning:
            move(client, to: .up)
            logins.establish(after: now - begun[client])
            return .isUp
        case .refused(let refusal) where phases[client] == .beginning && stage == .established:
            logins.fail("refused: \(refusal.notify.type)")
            move(client, to: .leaving)
            return .close
        case .childClosed where phases[client] == .up:
            losses["the gateway deleted the Child SA", default: 0] += 1
            move(client, to: .leaving)
            return .close
        case .closed(let closure):
            switch phases[client] {
            case .beginning: logins.fail(closure.kind)
            case .up: losses[closure.kind, default: 0] += 1
            case .leaving: if closure == .deletedByUs(answered: false) { unansweredDeletes += 1 }
            case .waiting, .over: break
            }
            move(client, to: .over)
            return .isOver
        case .childRekeyed(_, _, byUs: true): childRekeysByUs += 1
        case .childRekeyed(_, _, byUs: false): childRekeysByGateway += 1
        case .ikeRekeyed(_, _, byUs: true): ikeRekeysByUs += 1
        case .ikeRekeyed(_, _, byUs: false): ikeRekeysByGateway += 1
        default: break
        }
        return .none
    }

    mutating func percentile(_ share: Double) -> Double? { logins.percentile(share) }
}

import LinuxIO
import RoadWarrior
import Wire

/// Clients that come at a rate and stay.
struct HoldRun: ~Copyable {
    private var crowd: Crowd
    private var standing: Standing
    private let ramp: Double
    private let length: Duration?
    private let reconnects: Bool
    private var progress: Progress
    private var began = Instant(nanoseconds: 0)
    /// When there is nobody left to begin, which `length` counts from.
    private var complete: Instant?
    private var ended: Instant?
    private var due = 0
    /// Who is to begin, from `first` on.
    private var queue: [Int]
    private var first = 0
    private var heldAtEnd = 0

    /// Deletes under way at once: their answers come in a burst otherwise.
    static let mostLeaving = 500

    init(_ crowd: consuming Crowd, ramp: Double, length: Duration?, reconnects: Bool, progress: Progress) {
        self.ramp = ramp
        self.length = length
        self.reconnects = reconnects
        self.progress = progress
        standing = Standing(clients: crowd.count)
        queue = Array(0..<crowd.count)
        self.crowd = crowd
    }

    mutating func run() throws(SystemError) {
        began = MonotonicClock.now
        var leaver = 0
        while true {
            var now = MonotonicClock.now
            if ended == nil, isOver(at: now) {
                ended = now
                heldAtEnd = standing.up
                for client in 0..<crowd.count where standing.phases[client] == .waiting { standing.dismiss(client) }
            }
            if ended == nil {
                beginDue(at: now)
            } else {
                // Who is still logging in is deleted once it stands: an IKE SA that only the gateway knows would stay there.
                while standing.leaving < Self.mostLeaving, leaver < crowd.count {
                    if standing.phases[leaver] == .up { leave(leaver, at: now) }
                    leaver += 1
                }
                if standing.over == crowd.count || StopSignal.isUrgent { break }
            }
            let nextBegin = ended == nil && first < queue.count ? due(due + 1) : nil
            let end = complete.flatMap { complete in length.map { complete + $0 } }
            try crowd.turn(until: [nextBegin, progress.next, end].compactMap { $0 }.filter { $0 > now }.reduce(now + .milliseconds(200), min))
            now = MonotonicClock.now
            takeEvents(at: now)
            showProgress(at: now)
        }
        progress.finish()
    }

    private func isOver(at now: Instant) -> Bool {
        if StopSignal.isRaised { return true }
        guard let length, let complete else { return false }
        return now >= complete + length
    }

    /// When the login with this number, counted from 1, is due.
    private func due(_ number: Int) -> Instant { began + .nanoseconds(Int64(Double(number - 1) / ramp * 1e9)) }

    private mutating func beginDue(at now: Instant) {
        while first < queue.count, due(due + 1) <= now {
            due += 1
            let client = queue[first]
            first += 1
            standing.begin(client, due: due(due))
            crowd.begin(client, at: now)
        }
        guard first == queue.count else { return }
        queue.removeAll(keepingCapacity: true)
        first = 0
        // Who comes later, again, comes no faster.
        due = max(due, Int(Time.seconds(now - began) * ramp))
        if complete == nil { complete = now }
    }

    private mutating func leave(_ client: Int, at now: Instant) {
        standing.leave(client)
        crowd.close(client, at: now)
    }

    private mutating func takeEvents(at now: Instant) {
        let events = crowd.events
        crowd.events.removeAll(keepingCapacity: true)
        for event in events {
            switch standing.note(event.output, of: event.client, stage: crowd.stage(of: event.client), at: event.at) {
            case .none: break
            case .isUp: if ended != nil { leave(event.client, at: now) }
            case .close: crowd.close(event.client, at: now)
            case .isOver: if reconnects, ended == nil { queue.append(event.client) }
            }
        }
    }

    private mutating func showProgress(at now: Instant) {
        let (seconds, book, counts) = (Int(Time.seconds(now - began)), standing, crowd.counts)
        progress.show(at: now) {
            "\(seconds) s: up \(book.up), begun \(book.logins.started), failed \(book.logins.failed), lost \(book.lost), "
                + "rekeyed \(book.childRekeysByUs + book.childRekeysByGateway) + \(book.ikeRekeysByUs + book.ikeRekeysByGateway), "
                + "answered \(counts.answered)"
        }
    }

    /// What it came to.
    var summary: Summary {
        mutating get {
            var summary = Summary()
            summary.add("clients", "clients", crowd.count)
            summary.add("seconds", "seconds", .number(Time.seconds((ended ?? MonotonicClock.now) - began)))
            summary.add("started", "logins begun", standing.logins.started)
            summary.add("established", "established", standing.logins.established)
            summary.add("mostUp", "up at once, at most", standing.most)
            summary.add("held", "up at the end", heldAtEnd)
            summary.add("p50Milliseconds", "login p50, ms", .number(standing.percentile(0.5)))
            summary.add("p99Milliseconds", "login p99, ms", .number(standing.percentile(0.99)))
            summary.add("failed", "never up", standing.logins.failed)
            summary.add("failures", "  of them, by cause", .causes(standing.logins.failures))
            summary.add("lost", "lost", standing.lost)
            summary.add("losses", "  of them, by cause", .causes(standing.losses))
            summary.add("childRekeysByUs", "Child SAs replaced by us", standing.childRekeysByUs)
            summary.add("childRekeysByGateway", "  by the gateway", standing.childRekeysByGateway)
            summary.add("ikeRekeysByUs", "IKE SAs replaced by us", standing.ikeRekeysByUs)
            summary.add("ikeRekeysByGateway", "  by the gateway", standing.ikeRekeysByGateway)
            summary.add("answered", "informational requests answered", crowd.counts.answered)
            summary.add("asked", "informational requests of ours", crowd.counts.probes)
            summary.add("keepalives", "NAT keepalives", crowd.counts.keepalives)
            summary.add("strays", "datagrams for nobody", crowd.counts.strays)
            summary.add("unansweredDeletes", "Deletes without an answer", standing.unansweredDeletes)
            summary.addOwnUse()
            return summary
        }
    }
}

import IKEMessages
import LinuxIO
import RoadWarrior
import Wire

/// Open-loop logins: each begins when it is due, however many are still under way.
struct SetupRun: ~Copyable {
    private var crowd: Crowd
    private let rate: Double
    private let length: Duration
    private var free: [Int]
    /// When a client's login should have begun; nil once its outcome is counted.
    private var dues: [Instant?]
    private var statistics = Statistics()
    private var began = Instant(nanoseconds: 0)
    private var elapsed: Duration = .zero
    private var progress: Progress
    /// Logins whose time has come.
    private var due = 0

    init(_ crowd: consuming Crowd, rate: Double, length: Duration, progress: Progress) {
        self.rate = rate
        self.length = length
        self.progress = progress
        free = (0..<crowd.count).reversed()
        dues = Array(repeating: nil, count: crowd.count)
        self.crowd = crowd
    }

    mutating func run() throws(SystemError) {
        began = MonotonicClock.now
        let lastBegin = began + length
        while true {
            var now = MonotonicClock.now
            let stopped = StopSignal.isRaised || now >= lastBegin
            if !stopped { beginDue(at: now) }
            if stopped, elapsed == .zero { elapsed = now - began }
            if stopped, free.count == crowd.count || StopSignal.isUrgent { break }

            let nextBegin = stopped ? nil : due(Double(due + 1))
            try crowd.turn(until: [nextBegin, progress.next].compactMap { $0 }.reduce(now + .milliseconds(200), min))
            now = MonotonicClock.now
            takeEvents(at: now)
            showProgress(at: now)
        }
        progress.finish()
    }

    /// When the login with this number, counted from 1, is due.
    private func due(_ number: Double) -> Instant {
        began + .nanoseconds(Int64((number - 1) / rate * 1e9))
    }

    private mutating func beginDue(at now: Instant) {
        while due(Double(due + 1)) <= now {
            due += 1
            statistics.start()
            guard let client = free.popLast() else {
                statistics.fail("no free client")
                continue
            }
            dues[client] = due(Double(due))
            crowd.begin(client, at: now)
        }
    }

    private mutating func takeEvents(at now: Instant) {
        let events = crowd.events
        crowd.events.removeAll(keepingCapacity: true)
        for event in events {
            switch event.output {
            case .childEstablished:
                if let due = dues[event.client] { statistics.establish(after: event.at - due) }
                dues[event.client] = nil
                crowd.close(event.client, at: now)
            case .refused(let refusal) where crowd.stage(of: event.client) == .established:
                if dues[event.client] != nil { statistics.fail("refused: \(refusal.notify.type)") }
                dues[event.client] = nil
                crowd.close(event.client, at: now)
            case .closed(let closure):
                if dues[event.client] != nil { statistics.fail(closure.kind) }
                dues[event.client] = nil
                free.append(event.client)
            case .send, .established, .childRekeyed, .ikeRekeyed, .childClosed, .delivered, .refused, .response: break
            }
        }
    }

    private mutating func showProgress(at now: Instant) {
        guard let next = progress.next, now >= next else { return }
        let seconds = Time.seconds(now - began)
        let p50 = statistics.percentile(0.5).map { Self.rounded($0) } ?? "-"
        let p99 = statistics.percentile(0.99).map { Self.rounded($0) } ?? "-"
        let counted = statistics
        progress.show(at: now) {
            "\(Int(seconds)) s: started \(counted.started), established \(counted.established) "
                + "(\(Self.rounded(Double(counted.established) / seconds))/s), failed \(counted.failed), "
                + "p50 \(p50) ms, p99 \(p99) ms"
        }
    }

    static func rounded(_ value: Double) -> String {
        "\((value * 10).rounded() / 10)"
    }

    var result: SetupResult {
        mutating get {
            let seconds = Time.seconds(elapsed)
            return SetupResult(
                rate: rate, clients: crowd.count, seconds: seconds, started: statistics.started,
                established: statistics.established,
                perSecond: seconds > 0 ? Double(statistics.established) / seconds : 0, failed: statistics.failed,
                p50: statistics.percentile(0.5), p99: statistics.percentile(0.99), failures: statistics.failures)
        }
    }
}

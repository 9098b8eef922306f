import IKEMessages
import LinuxIO
import RoadWarrior
import Wire

/// Open-loop logins: each begins when it is due, however many are still under way. One thread, one socket per client.
struct SetupRun: ~Copyable {
    private let target: GatewayOptions.Target
    private let rate: Double
    private let length: Duration
    private var clients: [Client] = []
    private var free: [Int] = []
    private var agenda = Agenda()
    private var poller: Poller
    private var batch = Batch(capacity: 8, room: 4096)
    private var statistics = Statistics()
    private var began = Instant(nanoseconds: 0)
    private var elapsed: Duration = .zero
    private var clock: Duration = .zero
    /// Logins whose time has come.
    private var due = 0

    /// A client and its login under way.
    private final class Client {
        let number: Int
        var socket: ClientSocket
        var warrior: RoadWarrior?
        /// When the login should have begun; nil once its outcome is counted.
        var due: Instant?

        init(number: Int, socket: consuming ClientSocket) {
            self.number = number
            self.socket = socket
        }
    }

    init(target: GatewayOptions.Target, rate: Double, clients count: Int, length: Duration) throws(SystemError) {
        self.target = target
        self.rate = rate
        self.length = length
        let poller = try Poller(capacity: 512)
        for number in 0..<count {
            let client = Client(
                number: number,
                socket: try target.socket(packetsPerCall: 8, buffer: 256 << 10))
            try poller.add(client.socket.port.descriptor, token: UInt64(number))
            clients.append(client)
            free.append(number)
        }
        free.reverse()
        self.poller = poller
    }

    mutating func run() throws(SystemError) {
        began = MonotonicClock.now
        let lastBegin = began + length
        var nextLine = began + .seconds(1)
        while true {
            var now = MonotonicClock.now
            let stopped = StopSignal.isRaised || now >= lastBegin
            if !stopped { beginDue(at: now) }
            if stopped, elapsed == .zero { elapsed = now - began }
            if stopped, free.count == clients.count { break }

            let nextBegin = stopped ? nil : due(Double(due + 1))
            let glance = now + .milliseconds(200)
            let wake = [agenda.next, nextBegin, nextLine].compactMap { $0 }.reduce(glance, min)
            _ = try poller.wait(until: wake)
            for index in 0..<poller.count { try read(Int(poller[index].token)) }
            now = MonotonicClock.now
            while let number = agenda.take(due: now) { wakeUp(clients[number], at: now) }
            if now >= nextLine {
                liveLine(at: now)
                nextLine = nextLine + .seconds(1)
            }
        }
    }

    /// When the login with this number, counted from 1, is due.
    private func due(_ number: Double) -> Instant {
        began + .nanoseconds(Int64((number - 1) / rate * 1e9))
    }

    private mutating func beginDue(at now: Instant) {
        while due(Double(due + 1)) <= now {
            due += 1
            statistics.start()
            guard let number = free.popLast() else {
                statistics.fail("no free client")
                continue
            }
            let client = clients[number]
            client.due = due(Double(due))
            client.warrior = RoadWarrior(target.settings(client: number, local: client.socket.port.local))
            var outputs: [RoadWarrior.Output] = []
            client.warrior?.start(at: now, into: &outputs)
            perform(&outputs, client, at: now)
        }
    }

    private mutating func read(_ number: Int) throws(SystemError) {
        let client = clients[number]
        var outputs: [RoadWarrior.Output] = []
        while try client.socket.port.receive(into: &batch) > 0 {
            let now = MonotonicClock.now
            for index in 0..<batch.count {
                let octets = unsafe [UInt8](batch.octets(index))
                client.warrior?.receive(octets, from: batch[index].peer, at: now, into: &outputs)
            }
            perform(&outputs, client, at: now)
        }
    }

    private mutating func wakeUp(_ client: Client, at now: Instant) {
        guard let deadline = client.warrior?.nextDeadline else { return }
        guard deadline <= now else { return agenda.add(client.number, at: deadline) }
        var outputs: [RoadWarrior.Output] = []
        client.warrior?.handleDeadlines(at: now, into: &outputs)
        perform(&outputs, client, at: now)
    }

    private mutating func perform(_ outputs: inout [RoadWarrior.Output], _ client: Client, at now: Instant) {
        guard !outputs.isEmpty else { return }
        var isDone = false
        for output in outputs {
            switch output {
            case .send(let datagram): client.socket.send(datagram)
            case .childEstablished:
                if let due = client.due { statistics.establish(after: MonotonicClock.now - due) }
                client.due = nil
                isDone = true
            case .refused(let refusal) where client.warrior?.stage == .established:
                if client.due != nil { statistics.fail("refused: \(refusal.notify.type)") }
                client.due = nil
                isDone = true
            case .closed(let closure):
                if client.due != nil { statistics.fail(closure.kind) }
                client.due = nil
                client.warrior = nil
                free.append(client.number)
                outputs.removeAll()
                return
            case .established, .childRekeyed, .ikeRekeyed, .childClosed, .delivered, .refused, .response: break
            }
        }
        outputs.removeAll()
        if isDone {
            client.warrior?.close(at: now, into: &outputs)
            perform(&outputs, client, at: now)
        } else if let deadline = client.warrior?.nextDeadline {
            agenda.add(client.number, at: deadline)
        }
    }

    private mutating func liveLine(at now: Instant) {
        let seconds = Self.seconds(now - began)
        let p50 = statistics.percentile(0.5).map { Self.rounded($0) } ?? "-"
        let p99 = statistics.percentile(0.99).map { Self.rounded($0) } ?? "-"
        report(
            "\(Int(seconds)) s: started \(statistics.started), established \(statistics.established) "
                + "(\(Self.rounded(Double(statistics.established) / seconds))/s), failed \(statistics.failed), "
                + "p50 \(p50) ms, p99 \(p99) ms")
    }

    static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }

    static func rounded(_ value: Double) -> String {
        "\((value * 10).rounded() / 10)"
    }

    var result: SetupResult {
        mutating get {
            let seconds = Self.seconds(elapsed)
            return SetupResult(
                rate: rate, clients: clients.count, seconds: seconds, started: statistics.started,
                established: statistics.established,
                perSecond: seconds > 0 ? Double(statistics.established) / seconds : 0, failed: statistics.failed,
                p50: statistics.percentile(0.5), p99: statistics.percentile(0.99), failures: statistics.failures)
        }
    }
}

import LinuxIO
import RoadWarrior
import Wire

/// Clients log in, agree with the far side on a run, send and receive, compare notes, and leave.
struct TrafficRun: ~Copyable {
    struct Load {
        let far: Endpoint
        let sizes: PacketSizes
        /// Packets per second of all clients together; 0: none.
        let up: Double
        let down: Double
        let length: Duration
        let seed: UInt32
    }

    /// What there is of a client.
    private struct Stream {
        var inner: Endpoint?
        var sequence: UInt32 = 0
        var arrivals = Arrivals()
        /// When the far side is asked (again) for packets.
        var renewal = Instant(nanoseconds: 0)
        var isAgreed = false
    }

    /// Of the client's inner packets.
    static let port: UInt16 = 7008

    private var crowd: Crowd
    private var standing: Standing
    private let load: Load
    private let ramp: Double
    private var progress: Progress
    private var streams: [Stream]
    /// Clients that the packets go through.
    private var active: [Int] = []
    private var up = DirectionTally()
    private var down = DirectionTally()
    /// The far side's word on `up`, and on how much it sent.
    private var told: DirectionTally?
    private var agreed = 0
    private var sameClock = false
    private var unsealed = 0
    private var others = 0
    private var elapsed = Duration.zero
    private var began = Instant(nanoseconds: 0)

    init(_ crowd: consuming Crowd, _ load: Load, ramp: Double, progress: Progress) {
        self.load = load
        self.ramp = ramp
        self.progress = progress
        standing = Standing(clients: crowd.count)
        streams = Array(repeating: Stream(), count: crowd.count)
        self.crowd = crowd
    }

    /// What made it impossible, if anything did.
    mutating func run() throws(SystemError) -> String? {
        began = MonotonicClock.now
        try logIn()
        active = (0..<crowd.count).filter { standing.phases[$0] == .up && streams[$0].inner != nil }
        var failure: String? = active.isEmpty ? "no client came up" : nil
        if failure == nil, !StopSignal.isRaised {
            try agree()
            if agreed > 0 {
                try send()
                try compare()
                if told == nil { failure = "\(load.far) does not say what it received" }
            } else if !StopSignal.isRaised {
                failure = "no answer from \(load.far): does `ipsec-load reflect` listen there, and has its host a route back?"
            }
        }
        try logOut()
        progress.finish()
        return failure
    }

    // MARK: The clients

    private mutating func logIn() throws(SystemError) {
        var due = 0
        while !StopSignal.isRaised {
            let now = MonotonicClock.now
            while due < crowd.count, began + .nanoseconds(Int64(Double(due) / ramp * 1e9)) <= now {
                standing.begin(due, due: began + .nanoseconds(Int64(Double(due) / ramp * 1e9)))
                crowd.begin(due, at: now)
                due += 1
            }
            if due == crowd.count, standing.beginning == 0 { return }
            let next = due < crowd.count ? began + .nanoseconds(Int64(Double(due) / ramp * 1e9)) : now + .milliseconds(200)
            try turn(until: next)
        }
    }

    private mutating func logOut() throws(SystemError) {
        var client = 0
        for client in 0..<crowd.count where standing.phases[client] == .waiting { standing.dismiss(client) }
        while standing.over < crowd.count, !StopSignal.isUrgent {
            let now = MonotonicClock.now
            while standing.leaving < HoldRun.mostLeaving, client < crowd.count {
                if standing.phases[client] == .up {
                    standing.leave(client)
                    crowd.close(client, at: now)
                }
                client += 1
            }
            try turn(until: now + .milliseconds(200))
            if client == crowd.count, standing.beginning > 0, standing.up > 0 { client = 0 }
        }
    }

    private mutating func turn(until deadline: Instant) throws(SystemError) {
        try crowd.turn(until: [deadline, progress.next].compactMap { $0 }.reduce(deadline, min))
        let now = MonotonicClock.now
        let events = crowd.events
        crowd.events.removeAll(keepingCapacity: true)
        for event in events {
            switch event.output {
            case .delivered(let packet): deliver(packet, to: event.client, at: event.at)
            case .established(let facts):
                let address = facts.innerAddresses.first { $0.family == load.far.address.family }
                streams[event.client].inner = address.map { Endpoint($0, port: Self.port) }
            default:
                switch standing.note(event.output, of: event.client, stage: crowd.stage(of: event.client), at: event.at) {
                case .close: crowd.close(event.client, at: now)
                case .none, .isUp, .isOver: break
                }
            }
        }
        let (book, sent, received) = (standing, up.sent, down.received)
        progress.show(at: now) { "up \(book.up), failed \(book.logins.failed), lost \(book.lost), sent \(sent), received \(received)" }
    }

    // MARK: Packets

    private mutating func send(_ probe: Probe, content: [UInt8] = [], of client: Int, at now: Instant) {
        guard let inner = streams[client].inner else { return }
        let packet = InnerDatagram.packet(from: inner, to: load.far, payload: Probe.headerLength + content.count) { octets in
            probe.encode(content, into: &octets)
        }
        _ = crowd.send(packet, through: client, at: now)
    }

    private mutating func deliver(_ packet: [UInt8], to client: Int, at now: Instant) {
        guard let datagram = InnerDatagram(packet), datagram.source == load.far, datagram.destination == streams[client].inner,
            let probe = Probe(datagram.payload), probe.run == load.seed
        else {
            others += 1
            return
        }
        guard probe.client == UInt32(client) else {
            // Another client's packet is the worst of all corruptions.
            down.corrupted += 1
            return
        }
        switch probe.kind {
        case .down:
            let length = load.sizes.payload(probe.sequence, family: load.far.address.family)
            let isIntact = probe.isIntact(datagram.payload, length: length)
            down.note(
                probe, isIntact: isIntact, octets: packet.count, arrivals: &streams[client].arrivals, at: now, sameClock: sameClock)
        case .started:
            if !streams[client].isAgreed { agreed += 1 }
            streams[client].isAgreed = true
            let boot = datagram.payload.dropFirst(Probe.headerLength).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            sameClock = boot == Lease.ownBoot
        case .told: told = told ?? DirectionTally(datagram.payload.dropFirst(Probe.headerLength))
        case .up, .start, .stop, .ask: others += 1
        }
    }

    /// - Parameter isWanting: whether packets are wanted already.
    private func lease(isWanting: Bool) -> Lease {
        let interval = isWanting && load.down > 0 ? UInt64(Double(active.count) / load.down * 1e9) : 0
        let family = load.far.address.family
        let sizes = load.sizes.octets.indices.map { load.sizes.payload(UInt32($0), family: family) }
        return Lease(interval: load.down > 0 && isWanting ? max(interval, Lease.shortest) : 0, sizes: sizes, boot: Lease.ownBoot)
    }

    /// Every client is made known to the far side, which makes the gateway and the routes known too; nothing is sent yet.
    private mutating func agree() throws(SystemError) {
        let content = lease(isWanting: false).encode()
        let end = MonotonicClock.now + .seconds(5) + .milliseconds(active.count)
        var tries = 0
        while agreed < active.count, !StopSignal.isRaised, MonotonicClock.now < end {
            let round = MonotonicClock.now + .milliseconds(500)
            for (number, client) in active.enumerated() where !streams[client].isAgreed {
                send(Probe(.start, run: load.seed, client: UInt32(client)), content: content, of: client, at: MonotonicClock.now)
                // Not all at once: what is lost here would be asked for again only after a while.
                if number % 64 == 63 { try turn(until: MonotonicClock.now) }
            }
            while agreed < active.count, MonotonicClock.now < round, !StopSignal.isRaised { try turn(until: round) }
            tries += 1
        }
        active = active.filter { streams[$0].isAgreed }
    }

    private mutating func send() throws(SystemError) {
        let start = MonotonicClock.now
        let end = start + load.length
        var pace = Pace(rate: load.up, from: start)
        let content = lease(isWanting: true).encode()
        let family = load.far.address.family
        var turnOf = 0
        var renewed = 0
        while !StopSignal.isRaised {
            let now = MonotonicClock.now
            if now >= end { break }
            if load.down > 0 { renew(&renewed, content, at: now) }
            for _ in 0..<pace.take(at: now, atMost: 1024) {
                let client = active[turnOf]
                turnOf = turnOf + 1 == active.count ? 0 : turnOf + 1
                let sequence = streams[client].sequence
                guard let inner = streams[client].inner else { continue }
                let probe = Probe(.up, run: load.seed, client: UInt32(client), sequence: sequence, sent: MonotonicClock.now.nanoseconds)
                let length = load.sizes.payload(sequence, family: family)
                let packet = InnerDatagram.packet(from: inner, to: load.far, payload: length) { octets in
                    probe.encode(length: length, into: &octets)
                }
                guard crowd.send(packet, through: client, at: now) else {
                    unsealed += 1
                    continue
                }
                streams[client].sequence = sequence &+ 1
                up.sent += 1
            }
            try turn(until: min(pace.next, now + .milliseconds(20), end))
        }
        elapsed = MonotonicClock.now - start
        stop()
    }

    private mutating func stop() {
        for client in active { send(Probe(.stop, run: load.seed, client: UInt32(client)), of: client, at: MonotonicClock.now) }
    }

    /// Asks for packets, and again before the lease is over: a few hundred clients a turn.
    private mutating func renew(_ next: inout Int, _ content: [UInt8], at now: Instant) {
        for _ in 0..<min(256, active.count) {
            let client = active[next]
            guard streams[client].renewal <= now else { break }
            streams[client].renewal = now + Lease.renewal
            send(Probe(.start, run: load.seed, client: UInt32(client)), content: content, of: client, at: now)
            next = next + 1 == active.count ? 0 : next + 1
        }
    }

    /// Lets what is under way arrive, then asks what the far side has.
    private mutating func compare() throws(SystemError) {
        var heard = -1
        for _ in 0..<20 where heard != down.received {
            // Packets still come: of some client the goodbye may be lost
            if heard >= 0 { stop() }
            heard = down.received
            let pause = MonotonicClock.now + .milliseconds(300)
            while MonotonicClock.now < pause { try turn(until: pause) }
        }
        for attempt in 0..<20 where told == nil && !StopSignal.isUrgent {
            guard let client = active.indices.contains(attempt % active.count) ? active[attempt % active.count] : nil else { return }
            send(Probe(.stop, run: load.seed, client: UInt32(client)), of: client, at: MonotonicClock.now)
            send(Probe(.ask, run: load.seed, client: UInt32(client)), of: client, at: MonotonicClock.now)
            let pause = MonotonicClock.now + .milliseconds(250)
            while told == nil, MonotonicClock.now < pause { try turn(until: pause) }
        }
    }

    // MARK: What it came to

    private func part(_ tally: DirectionTally) -> Summary {
        let seconds = Time.seconds(elapsed)
        var summary = Summary()
        summary.add("sent", "packets sent", tally.sent)
        summary.add("received", "received", tally.received)
        summary.add("lost", "lost", tally.lost)
        summary.add("duplicated", "duplicated", tally.duplicated)
        summary.add("reordered", "reordered", tally.reordered)
        summary.add("corrupted", "corrupted", tally.corrupted)
        summary.add("octets", "octets of inner packets", tally.octets)
        summary.add("perSecond", "received per second", .number(seconds > 0 ? Double(tally.received) / seconds : 0))
        summary.add("p50Microseconds", "latency p50, us", .number(tally.latencies.percentile(0.5)))
        summary.add("p99Microseconds", "latency p99, us", .number(tally.latencies.percentile(0.99)))
        return summary
    }

    var summary: Summary {
        mutating get {
            var (up, down) = (up, down)
            if let told {
                (up.received, up.duplicated, up.reordered, up.corrupted) = (told.received, told.duplicated, told.reordered, told.corrupted)
                (up.octets, up.latencies, down.sent) = (told.octets, told.latencies, told.sent)
            }
            var summary = Summary()
            summary.add("clients", "clients", crowd.count)
            summary.add("established", "established", standing.logins.established)
            summary.add("agreed", "answered by the far side", agreed)
            summary.add("failed", "never up", standing.logins.failed)
            summary.add("failures", "  of them, by cause", .causes(standing.logins.failures))
            summary.add("lost", "clients lost", standing.lost)
            summary.add("losses", "  of them, by cause", .causes(standing.losses))
            summary.add("seconds", "seconds of traffic", .number(Time.seconds(elapsed)))
            summary.add("sizes", "octets of packets", .text(load.sizes.octets.map(String.init).joined(separator: ",")))
            summary.add("seed", "seed", Int(load.seed))
            summary.add("up", "from the clients", .part(part(up)))
            summary.add("down", "to the clients", .part(part(down)))
            summary.add("others", "packets that are not ours", others)
            summary.add("unsealed", "packets without a Child SA to go through", unsealed)
            summary.addOwnUse()
            return summary
        }
    }
}

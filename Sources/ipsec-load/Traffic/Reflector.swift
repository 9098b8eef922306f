import LinuxIO
import Wire

/// The far side of `traffic`: a sink that looks at what comes, and a source for those who ask.
struct Reflector: ~Copyable {
    /// A client of a run.
    private struct Subscriber {
        let run: UInt32
        let client: UInt32
        var peer: Endpoint
        var lease: Lease?
        var until: Instant
        var due: Instant
        var sequence: UInt32 = 0
        var arrivals = Arrivals()
    }

    private struct Run {
        var up = DirectionTally()
        var down = DirectionTally()
        var sizes: [Int] = []
        var sameClock = false
    }

    private struct Name: Hashable {
        let run: UInt32
        let client: UInt32
    }

    /// What strangers may fill up: a client more, or a run more, is passed over.
    static let mostSubscribers = 200_000
    static let mostRuns = 64

    private var port: UDPPort
    private var poller: Poller
    private var incoming = Batch(capacity: 256, room: Probe.longest)
    private var outgoing = Batch(capacity: 256, room: Probe.longest)
    private var subscribers: [Subscriber] = []
    private var numbers: [Name: Int] = [:]
    private var runs: [UInt32: Run] = [:]
    private var agenda = Agenda()
    private var progress: Progress
    private var strays = 0
    private let family: AddressFamily

    init(_ local: Endpoint, progress: Progress) throws(SystemError) {
        var options = UDPOptions()
        options.packetsPerCall = 256
        options.receiveBuffer = 32 << 20
        options.sendBuffer = 16 << 20
        let port = try UDPPort(local, options: options)
        let poller = try Poller()
        try poller.add(port.descriptor, token: 1)
        self.port = port
        self.poller = poller
        self.progress = progress
        family = local.address.family
    }

    mutating func run() throws(SystemError) {
        while !StopSignal.isRaised {
            let glance = MonotonicClock.now + .milliseconds(200)
            _ = try poller.wait(until: [agenda.next, progress.next].compactMap { $0 }.reduce(glance, min))
            if poller.count > 0 { try read() }
            sendDue(at: MonotonicClock.now)
            let (up, down) = totals
            let running = runs.count
            progress.show(at: MonotonicClock.now) {
                "runs \(running), received \(up.received), corrupted \(up.corrupted), sent \(down.sent)"
            }
        }
        progress.finish()
    }

    // MARK: What comes

    private mutating func read() throws(SystemError) {
        for _ in 0..<8 {
            guard try port.receive(into: &incoming) > 0 else { return }
            let now = MonotonicClock.now
            for index in 0..<incoming.count {
                let datagram = unsafe [UInt8](incoming.octets(index))
                take(datagram[...], from: incoming[index].peer, at: now)
            }
        }
    }

    private mutating func take(_ datagram: ArraySlice<UInt8>, from peer: Endpoint, at now: Instant) {
        guard let probe = Probe(datagram) else {
            strays += 1
            return
        }
        switch probe.kind {
        case .start: start(probe, datagram.dropFirst(Probe.headerLength), from: peer, at: now)
        case .up:
            guard let number = numbers[Name(run: probe.run, client: probe.client)], let sizes = runs[probe.run]?.sizes, !sizes.isEmpty else {
                strays += 1
                return
            }
            let length = sizes[Int(probe.sequence) % sizes.count]
            let isIntact = probe.isIntact(datagram, length: length)
            let size = datagram.count + InnerDatagram.headers(family)
            let sameClock = runs[probe.run]?.sameClock ?? false
            runs[probe.run]?.up.note(
                probe, isIntact: isIntact, octets: size, arrivals: &subscribers[number].arrivals, at: now, sameClock: sameClock)
        case .stop:
            guard let number = numbers[Name(run: probe.run, client: probe.client)] else { return }
            subscribers[number].lease = nil
        case .ask:
            guard let run = runs[probe.run] else { return }
            var answer = run.up
            answer.sent = run.down.sent
            reply(Probe(.told, run: probe.run, client: probe.client), answer.encode(), to: peer)
        case .down, .started, .told: strays += 1
        }
    }

    private mutating func start(_ probe: Probe, _ content: ArraySlice<UInt8>, from peer: Endpoint, at now: Instant) {
        guard let lease = Lease(content) else {
            strays += 1
            return
        }
        let name = Name(run: probe.run, client: probe.client)
        if runs[probe.run] == nil {
            guard runs.count < Self.mostRuns else { return }
            runs[probe.run] = Run(sizes: lease.sizes, sameClock: lease.boot == Lease.ownBoot)
        }
        if let number = numbers[name] {
            subscribers[number].peer = peer
            subscribers[number].until = now + Lease.length
            let isNew = (subscribers[number].lease?.interval ?? 0) == 0 && lease.interval > 0
            subscribers[number].lease = lease
            if isNew { begin(number, lease.interval, at: now) }
        } else {
            guard subscribers.count < Self.mostSubscribers else { return }
            numbers[name] = subscribers.count
            subscribers.append(
                Subscriber(run: probe.run, client: probe.client, peer: peer, lease: lease, until: now + Lease.length, due: now))
            if lease.interval > 0 { begin(subscribers.count - 1, lease.interval, at: now) }
        }
        var mark: [UInt8] = []
        mark.append(bigEndian: Lease.ownBoot)
        reply(Probe(.started, run: probe.run, client: probe.client), mark, to: peer)
    }

    /// Clients are spread over one interval, as they are that begin whenever they like.
    private mutating func begin(_ number: Int, _ interval: UInt64, at now: Instant) {
        let first = now + .nanoseconds(Int64(clamping: UInt64(subscribers[number].client) &* 7_919_000_003 % interval))
        subscribers[number].due = first
        agenda.add(number, at: first)
    }

    private mutating func reply(_ probe: Probe, _ content: [UInt8], to peer: Endpoint) {
        var datagram: [UInt8] = []
        probe.encode(content, into: &datagram)
        _ = port.send(datagram, to: peer)
    }

    // MARK: What goes

    private mutating func sendDue(at now: Instant) {
        var left = 8192
        while left > 0, let number = agenda.take(due: now) {
            left -= 1
            guard let lease = subscribers[number].lease, lease.interval > 0, !lease.sizes.isEmpty else { continue }
            guard now < subscribers[number].until else {
                subscribers[number].lease = nil
                continue
            }
            let sequence = subscribers[number].sequence
            let probe = Probe(
                .down, run: subscribers[number].run, client: subscribers[number].client, sequence: sequence, sent: MonotonicClock.now.nanoseconds)
            var datagram: [UInt8] = []
            probe.encode(length: lease.sizes[Int(sequence) % lease.sizes.count], into: &datagram)
            gather(datagram, to: subscribers[number].peer)
            runs[subscribers[number].run]?.down.sent += 1
            subscribers[number].sequence = sequence &+ 1
            // Who is too slow for the rate does not make up for it in a burst.
            let next = subscribers[number].due + .nanoseconds(Int64(clamping: lease.interval))
            let due = max(next, Instant(nanoseconds: now.nanoseconds - min(now.nanoseconds, 50_000_000)))
            subscribers[number].due = due
            agenda.add(number, at: due)
        }
        flush()
    }

    private mutating func gather(_ datagram: [UInt8], to peer: Endpoint) {
        if outgoing.isFull { flush() }
        let local = port.local
        _ = unsafe datagram.withUnsafeBytes { octets in unsafe outgoing.append(copying: octets, to: peer, from: local) }
    }

    private mutating func flush() {
        guard !outgoing.isEmpty else { return }
        port.sendAll(outgoing)
        outgoing.removeAll()
    }

    // MARK: What it came to

    private var totals: (up: DirectionTally, down: DirectionTally) {
        var (up, down) = (DirectionTally(), DirectionTally())
        for run in runs.values {
            up.received += run.up.received
            up.duplicated += run.up.duplicated
            up.reordered += run.up.reordered
            up.corrupted += run.up.corrupted
            up.octets += run.up.octets
            down.sent += run.down.sent
        }
        return (up, down)
    }

    var summary: Summary {
        let (up, down) = totals
        var summary = Summary()
        summary.add("runs", "runs", runs.count)
        summary.add("clients", "clients", subscribers.count)
        summary.add("received", "packets received", up.received)
        summary.add("duplicated", "duplicated", up.duplicated)
        summary.add("reordered", "reordered", up.reordered)
        summary.add("corrupted", "corrupted", up.corrupted)
        summary.add("octets", "octets of inner packets", up.octets)
        summary.add("sent", "packets sent", down.sent)
        summary.add("strays", "datagrams that are not ours", strays)
        summary.addOwnUse()
        return summary
    }
}

import IKEMessages
import LinuxIO
import RoadWarrior
import Wire

/// Many clients on one thread: their sockets, their time, and whose each datagram is. What a run is about is told by `events`.
///
///     begin, close, seal -> a client's machine -> datagrams, in batches where clients share a socket
///     turn               -> waits, reads all sockets, looks after whoever's time has come; then the events are complete
struct Crowd: ~Copyable {
    /// Something that a run may want to know of a client. Sendings are done already.
    struct Event {
        let client: Int
        let output: RoadWarrior.Output
        /// When it happened: many more may have been read since.
        let at: Instant
    }

    /// Messages that make no event.
    struct Counts {
        /// INFORMATIONAL requests of the gateway that we answered: its liveness checks, and its Deletes.
        var answered = 0
        /// Our own liveness checks, each sending.
        var probes = 0
        var keepalives = 0
        /// Datagrams that are no client's.
        var strays = 0
    }

    private final class Member {
        let socket: Int
        var warrior: RoadWarrior?
        /// The earliest moment for which the agenda has it.
        var wake: Instant?

        init(socket: Int) { self.socket = socket }
    }

    let target: GatewayOptions.Target
    /// Of the client's settings, before each begins.
    var adjust: ((inout RoadWarrior.Settings) -> Void)?
    private(set) var counts = Counts()
    var events: [Event] = []
    private var members: [Member] = []
    private var sockets: [SharedSocket] = []
    private let share: Int
    private var agenda = Agenda()
    private var poller: Poller
    private var incoming = Batch(capacity: 64, room: 10_240)
    private var outgoing = Batch(capacity: 64, room: 9400)
    /// The socket for which `outgoing` is.
    private var outgoingSocket = 0
    private var outputs: [RoadWarrior.Output] = []

    /// Opens the sockets of so many clients.
    init(target: GatewayOptions.Target, sources: Sources, clients: Int) throws(SystemError) {
        self.target = target
        share = sources.share
        let poller = try Poller(capacity: 512)
        let sharers = sources.share
        try OwnUse.raiseDescriptorLimit(to: (clients + sharers - 1) / sharers + 64)
        // Native ESP is told by true addresses alone.
        let own = target.wantsNativeESP && sources.addresses == nil ? try target.remote.address.ownAddressTowardIt() : nil
        for number in 0..<(clients + sharers - 1) / sharers {
            var local = sources.endpoint(ofSocket: number)
            if let own { local = Endpoint(own, port: local.port) }
            let members = number * sharers..<min((number + 1) * sharers, clients)
            let socket = try SharedSocket(local, members: members)
            try poller.add(socket.port.descriptor, token: UInt64(number))
            sockets.append(socket)
        }
        members = (0..<clients).map { Member(socket: $0 / sharers) }
        self.poller = poller
    }

    var count: Int { members.count }

    func stage(of client: Int) -> RoadWarrior.Stage { members[client].warrior?.stage ?? .closed }

    /// A new login of a client that has none.
    mutating func begin(_ client: Int, at now: Instant) {
        let member = members[client]
        var settings = target.settings(client: client, local: sockets[member.socket].port.local)
        adjust?(&settings)
        member.warrior = RoadWarrior(settings)
        member.warrior?.start(at: now, into: &outputs)
        perform(client, at: now)
    }

    mutating func close(_ client: Int, at now: Instant) {
        members[client].warrior?.close(at: now, into: &outputs)
        perform(client, at: now)
    }

    /// Puts an inner packet into a client's tunnel; false where it has none for it. `flush` sends what is gathered.
    mutating func send(_ inner: [UInt8], through client: Int, at now: Instant) -> Bool {
        guard let datagram = members[client].warrior?.seal(inner, at: now) else { return false }
        gather(datagram, members[client].socket)
        if target.childRekeyPackets != nil { schedule(client) }
        return true
    }

    /// Waits until something comes or `deadline` strikes, and takes all that is there.
    mutating func turn(until deadline: Instant) throws(SystemError) {
        flush()
        // A signal just before the wait would not end it, so no wait is long.
        let glance = MonotonicClock.now + .milliseconds(200)
        _ = try poller.wait(until: [agenda.next, deadline].compactMap { $0 }.reduce(glance, min))
        for index in 0..<poller.count { try read(Int(poller[index].token)) }
        let now = MonotonicClock.now
        while let client = agenda.take(due: now) { wakeUp(client, at: now) }
        flush()
    }

    // MARK: Datagrams that come

    private mutating func read(_ number: Int) throws(SystemError) {
        let socket = sockets[number]
        // Others wait too: what is left makes the socket ready again.
        for _ in 0..<4 {
            guard try socket.port.receive(into: &incoming) > 0 else { return }
            let now = MonotonicClock.now
            for index in 0..<incoming.count {
                let octets = unsafe [UInt8](incoming.octets(index))
                let peer = incoming[index].peer
                guard let client = owner(of: octets, from: peer, on: socket) else {
                    counts.strays += 1
                    continue
                }
                members[client].warrior?.receive(octets, from: peer, at: now, into: &outputs)
                perform(client, at: now)
            }
            if incoming.count < min(incoming.capacity, socket.packetsPerCall) { return }
        }
    }

    private func owner(of octets: [UInt8], from peer: Endpoint, on socket: SharedSocket) -> Int? {
        guard share > 1 else { return socket.members.first }
        guard let spi = ReceivedSPI(octets, isNATPort: peer.port == target.natPort) else { return nil }
        if let known = socket.owners[spi], owns(known, spi) { return known }
        guard let found = socket.members.first(where: { owns($0, spi) }) else { return nil }
        socket.learn(spi, of: found)
        return found
    }

    private func owns(_ client: Int, _ spi: ReceivedSPI) -> Bool {
        switch spi {
        case .ike(let spi): members[client].warrior?.owns(ikeSPI: spi) ?? false
        case .esp(let spi): members[client].warrior?.owns(espSPI: spi) ?? false
        }
    }

    // MARK: What clients want done

    private mutating func wakeUp(_ client: Int, at now: Instant) {
        let member = members[client]
        member.wake = nil
        if let deadline = member.warrior?.nextDeadline, deadline <= now {
            member.warrior?.handleDeadlines(at: now, into: &outputs)
        }
        perform(client, at: now, always: true)
    }

    private func isPacket(_ output: RoadWarrior.Output?) -> Bool {
        if case .delivered = output { true } else { false }
    }

    /// - Parameter always: also where nothing was put out, look when the client wants to be looked after.
    private mutating func perform(_ client: Int, at now: Instant, always: Bool = false) {
        guard always || !outputs.isEmpty else { return }
        // Packets change nothing about a client's time, and there are many.
        let isTraffic = outputs.count == 1 && isPacket(outputs.first)
        for output in outputs {
            switch output {
            case .send(let datagram):
                count(datagram)
                gather(datagram, members[client].socket)
            case .closed:
                members[client].warrior = nil
                events.append(Event(client: client, output: output, at: MonotonicClock.now))
            default: events.append(Event(client: client, output: output, at: MonotonicClock.now))
            }
        }
        outputs.removeAll(keepingCapacity: true)
        if !isTraffic { schedule(client) }
    }

    private mutating func schedule(_ client: Int) {
        let member = members[client]
        guard let deadline = member.warrior?.nextDeadline, member.wake.map({ deadline < $0 }) ?? true else { return }
        member.wake = deadline
        agenda.add(client, at: deadline)
    }

    private mutating func count(_ datagram: RoadWarrior.Datagram) {
        switch datagram.content {
        case .keepalive: counts.keepalives += 1
        case .esp: break
        case .ike:
            guard datagram.octets.count > 19, datagram.octets[18] == ExchangeType.informational.rawValue else { return }
            if IKEHeader.Flags(rawValue: datagram.octets[19]).contains(.response) { counts.answered += 1 } else { counts.probes += 1 }
        }
    }

    private mutating func gather(_ datagram: RoadWarrior.Datagram, _ socket: Int) {
        // The gateway may have none of our sockets for native ESP: connect alone has.
        guard datagram.content != .esp || datagram.encapsulated else { return }
        if outgoing.isFull || (socket != outgoingSocket && !outgoing.isEmpty) { flush() }
        outgoingSocket = socket
        let payload = datagram.payload
        let local = sockets[socket].port.local
        let taken = unsafe payload.withUnsafeBytes { octets in
            unsafe outgoing.append(copying: octets, to: datagram.remote, from: local)
        }
        if taken == nil { _ = sockets[socket].port.send(payload, to: datagram.remote) }
    }

    mutating func flush() {
        guard !outgoing.isEmpty else { return }
        sockets[outgoingSocket].port.sendAll(outgoing)
        outgoing.removeAll()
    }
}

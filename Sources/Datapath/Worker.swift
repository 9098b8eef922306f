internal import ESP
package import LinuxIO
package import Wire

/// One worker. Start reading here; a pass goes
///
///     commands of the control plane   -> SAD                                              (between two packets, never within one)
///     rings of the other threads      -> as below                                         (what they found and is ours)
///     outer port: receive             -> core.admit: SAD, ICV, window, selectors, join    -> inner port: send
///     inner port: receive             -> core.depart: route, selectors, cut, ip-mtu, seal -> outer port: send   (by way of the backlog where it is too much)
///     notices of the SAD              -> reports to the control plane
///
/// Many packets of one flow or client are one entry at both ports where the kernel can cut and join them. A worker belongs to one thread; `pass` may be called by hand in tests.
package struct Worker<Outer: PacketPort & ~Copyable, Inner: PacketPort & ~Copyable>: ~Copyable {
    package var core: WorkerCore
    var outer: PortRow<Outer>
    var inner: PortRow<Inner>
    private var received: Batch
    private var arrivals: Batch
    private var fetched: Batch
    private var departures: Batch
    private var replies: Batch
    private var backlog = Backlog()
    private let mailbox: Mailbox
    private let bells: [Bell]
    private let incomingOuter: [PacketRing]
    private let incomingInner: [PacketRing]
    /// Outer ports that packets come in by.
    private let receiving: Int
    /// Ports that failed and are left alone: bit i an outer, bit 32 + i an inner one.
    private var broken: UInt64 = 0
    /// Outer ports for which the kernel cuts rows of packets: bit i.
    private var cutting: UInt64 = 0

    /// `bells`: of all threads, the door's last.
    init(
        core: consuming WorkerCore, outer: consuming PortRow<Outer>, receiving: Int, inner: consuming PortRow<Inner>, batchSize: Int,
        rings: RingMemory, mailbox: Mailbox, bells: [Bell]
    ) {
        self.receiving = min(receiving, outer.count, OuterPorts.most)
        let index = core.index
        incomingOuter = (0...rings.workers).filter { $0 != index }.map { rings.outer(from: $0, to: index) }
        incomingInner = (0..<rings.workers).filter { $0 != index }.map { rings.inner(from: $0, to: index) }
        self.core = core
        self.outer = outer
        self.inner = inner
        self.mailbox = mailbox
        self.bells = bells
        // Room for the largest datagram, joined or not; pages are touched only as far as packets reach
        received = Batch(capacity: batchSize, room: 65_535)
        arrivals = Batch(capacity: batchSize, room: 65_535)
        fetched = Batch(capacity: batchSize, room: 65_535)
        departures = Batch(capacity: 256, room: 65_535)
        replies = Batch(capacity: batchSize, room: PacketTooBig.longestIPv6)
        for port in 0..<self.inner.count { self.core.setOffloads(self.inner.offloads(port), ofInterface: port) }
        cutting = cuttingPorts
    }

    /// Every port.
    package static var allPorts: UInt64 { .max }

    /// One pass over the ports named by `ready` (bit i: outer port i, bit 32 + i: inner port i), commands and rings. Returns the ports that may
    /// have more: their batch was full.
    package mutating func pass(_ ready: UInt64 = Self.allPorts, now: Instant) -> UInt64 {
        mailbox.passes.begin()
        defer { mailbox.passes.end() }
        var more: UInt64 = 0
        obey(now)
        takeOver(now)
        for port in 0..<receiving where ready & ~broken & (1 << UInt64(port)) != 0 {
            if fromOutside(port, now) { more |= 1 << UInt64(port) }
        }
        for port in 0..<inner.count where ready & ~broken & (1 << UInt64(32 + port)) != 0 {
            if fromInside(port, now) { more |= 1 << UInt64(32 + port) }
        }
        if !backlog.isEmpty { departWaiting(now) }
        tell()
        tellOfOffloads()
        wakeOthers()
        return more
    }

    /// Whether there is something to do that no port would wake us for.
    package var hasWork: Bool {
        !backlog.isEmpty || !mailbox.commands.isEmpty || incomingOuter.contains { !$0.isEmpty } || incomingInner.contains { !$0.isEmpty }
    }

    // MARK: Packets

    private mutating func fromOutside(_ port: Int, _ now: Instant) -> Bool {
        do throws(SystemError) {
            let count = try outer.receive(port, into: &received)
            admitReceived(isRelayed: false, now)
            return count == received.capacity || received.leavesMore
        } catch {
            fail(1 << UInt64(port), error)
            return false
        }
    }

    private mutating func admitReceived(isRelayed: Bool, _ now: Instant) {
        var cursor = WorkerCore.Cursor()
        while !core.admit(received, &arrivals, &cursor, isRelayed: isRelayed, now: now) {
            note(Self.deliver(&arrivals, &inner, &core), Self.innerPorts)
        }
        note(Self.deliver(&arrivals, &inner, &core), Self.innerPorts)
    }

    private mutating func fromInside(_ port: Int, _ now: Instant) -> Bool {
        do throws(SystemError) {
            var isFull = try fetch(port)
            // Each flow keeps its order: what comes behind packets that wait, waits
            guard !backlog.isEmpty || isFull && backlog.isContended(core.hasSeveralFlows(fetched, interface: port, now: now), now: now) else {
                departFetched(interface: port, now)
                return isFull
            }
            core.queue(fetched, in: &backlog, interface: port)
            var reads = 1
            while isFull, reads < Backlog.readsAhead {
                isFull = try fetch(port)
                core.queue(fetched, in: &backlog, interface: port)
                reads += 1
            }
            return isFull
        } catch {
            fail(1 << UInt64(32 + port), error)
            return false
        }
    }

    /// Reads from a private interface; whether there may be more.
    private mutating func fetch(_ port: Int) throws(SystemError) -> Bool {
        let count = try inner.receive(port, into: &fetched)
        return count == fetched.capacity || fetched.leavesMore
    }

    /// What leaves of the backlog before the private interfaces are read again.
    private mutating func departWaiting(_ now: Instant) {
        var left = backlog.nextTurn(now: now)
        while !core.depart(&backlog, &departures, &replies, left: &left, now: now) {
            note(Self.dispatch(&departures, &outer, &core), Self.outerPorts)
            note(Self.deliver(&replies, &inner, &core), Self.innerPorts)
        }
        note(Self.dispatch(&departures, &outer, &core), Self.outerPorts)
        note(Self.deliver(&replies, &inner, &core), Self.innerPorts)
        backlog.endTurn()
    }

    private mutating func departFetched(interface: Int?, _ now: Instant) {
        var cursor = WorkerCore.Cursor()
        while !core.depart(fetched, &departures, &replies, &cursor, interface: interface, now: now) {
            note(Self.dispatch(&departures, &outer, &core), Self.outerPorts)
            note(Self.deliver(&replies, &inner, &core), Self.innerPorts)
        }
        note(Self.dispatch(&departures, &outer, &core), Self.outerPorts)
        note(Self.deliver(&replies, &inner, &core), Self.innerPorts)
    }

    /// What other threads found and is ours.
    private mutating func takeOver(_ now: Instant) {
        for ring in incomingOuter where !ring.isEmpty {
            received.removeAll()
            for _ in 0..<ring.drain(into: &received) { core.sad.count(.noRoom) }
            for index in 0..<received.count { received[index].trafficClass = UInt8(truncatingIfNeeded: received[index].tag) }
            admitReceived(isRelayed: true, now)
        }
        for ring in incomingInner where !ring.isEmpty {
            fetched.removeAll()
            for _ in 0..<ring.drain(into: &fetched) { core.sad.count(.noRoom) }
            for index in 0..<fetched.count { fetched[index].offload = WorkerCore.offload(ofRelayTag: fetched[index].tag) }
            departFetched(interface: nil, now)
        }
    }

    /// To the private interfaces. Returns the error of a port that is broken.
    private static func deliver(_ batch: inout Batch, _ inner: inout PortRow<Inner>, _ core: inout WorkerCore) -> SystemError? {
        guard !batch.isEmpty else { return nil }
        let refused = refusals(inner)
        defer { for _ in 0..<(refusals(inner) &- refused) { core.sad.count(.sendFailed) } }
        do throws(SystemError) {
            try inner.distribute(&batch, sent: { _ in }, lost: { for _ in 0..<$0.packetCount { core.sad.count(.sendFailed) } })
            return nil
        } catch {
            batch.removeAll()
            return error
        }
    }

    /// To the peers. Returns the error of a port that is broken.
    private static func dispatch(_ batch: inout Batch, _ outer: inout PortRow<Outer>, _ core: inout WorkerCore) -> SystemError? {
        guard !batch.isEmpty else { return nil }
        do throws(SystemError) {
            try outer.distribute(&batch, sent: { core.countSent($0) }, lost: { core.countLost($0) })
            return nil
        } catch {
            batch.removeAll()
            return error
        }
    }

    private mutating func note(_ error: SystemError?, _ ports: UInt64) {
        if let error { fail(ports, error) }
    }

    private static var outerPorts: UInt64 { 0xffff_ffff }
    private static var innerPorts: UInt64 { 0xffff_ffff << 32 }

    private static func refusals<Port: PacketPort & ~Copyable>(_ ports: borrowing PortRow<Port>) -> UInt64 {
        var sum: UInt64 = 0
        for port in 0..<ports.count { sum &+= ports.counters(port).refused }
        return sum
    }

    // MARK: The control plane

    /// Carries out commands; each has room for its reports before it is taken.
    private mutating func obey(_ now: Instant) {
        var hasHeardAll = false
        while mailbox.reports.room > Tunnel.maximumChildSAs + 1, let command = mailbox.commands.pop() {
            switch consume command {
            case .open(let tunnel, let index):
                _ = core.sad.open(tunnel: tunnel, at: index)
            case .insert(let pair, let ticket):
                report(.inserted(core.sad.insert(pair), ticket: ticket))
            case .remove(let spi, let ticket):
                hearAll(&hasHeardAll, now)
                if let pair = core.sad.remove(spi) {
                    report(.retired(pair, ticket: ticket))
                } else {
                    report(.absent(ticket: ticket))
                }
            case .close(let index, let generation, let ticket):
                hearAll(&hasHeardAll, now)
                while core.sad.generation(ofTunnel: index) == generation, let spi = core.sad.lastChild(ofTunnel: index) {
                    if let pair = core.sad.remove(spi) { report(.retired(pair, ticket: 0)) }
                }
                if let tunnel = core.sad.close(tunnel: index, generation: generation) {
                    report(.closed(tunnel, index: index, ticket: ticket))
                } else {
                    report(.absent(ticket: ticket))
                }
            case .heed(let report, let spi):
                _ = core.sad.heed(report, child: spi, now: now)
            case .move(let index, let generation, let peer, let local):
                core.sad.move(tunnel: index, generation: generation, to: peer, from: local)
            }
        }
    }

    /// What a client sent before its Delete came before it, and waits in our sockets: nothing of it is lost to a rekey or to accounting. A crowd that
    /// sends without end delays nobody's Delete.
    private mutating func hearAll(_ isDone: inout Bool, _ now: Instant) {
        guard !isDone else { return }
        isDone = true
        takeOver(now)
        for port in 0..<receiving where ~broken & (1 << UInt64(port)) != 0 {
            var reads = 0
            while reads < Self.readsBeforeRemoval, fromOutside(port, now) { reads += 1 }
        }
    }

    /// Full reads of an outer port after which a Child SA goes, whatever may still wait.
    private static var readsBeforeRemoval: Int { 16 }

    private mutating func tell() {
        while mailbox.reports.room > Tunnel.maximumChildSAs + 1, let notice = core.sad.takeNotice() {
            switch notice.kind {
            case .moved:
                let generation = core.sad.generation(ofTunnel: notice.index)
                guard generation != 0 else { continue }
                let id = TunnelID(worker: core.index, index: notice.index, generation: generation)
                report(.moved(id, core.sad.peer(ofTunnel: notice.index), local: core.sad.local(ofTunnel: notice.index)))
            case .takenUp:
                guard let spi = core.sad.spi(inSlot: notice.index) else { continue }
                report(.takenUp(spi))
            case .softLimit, .hardLimit:
                guard let spi = core.sad.spi(inSlot: notice.index) else { continue }
                report(.event(notice.kind == .softLimit ? .softLimit(spi) : .hardLimit(spi)))
            }
        }
    }

    /// Ports may lose an offload in the middle of traffic: their device has gone to one without it.
    private mutating func tellOfOffloads() {
        let now = cuttingPorts
        guard now != cutting, mailbox.reports.room > 0 else { return }
        let lost = cutting & ~now
        cutting = now
        guard lost != 0 else { return }
        let loss = "the kernel no longer cuts rows of packets (UDP_SEGMENT): each ESP packet is sent on its own"
        report(.event(.offloadLost(worker: core.index, loss)))
    }

    private var cuttingPorts: UInt64 {
        var ports: UInt64 = 0
        for port in 0..<outer.count where outer.offloads(port).contains(.udp) { ports |= 1 << UInt64(port & 63) }
        return ports
    }

    private mutating func report(_ report: consuming Report) {
        // There is room: it was asked for first. What came back would be freed here instead of off the thread.
        _ = mailbox.reports.push(report)
        core.touchedDoor = true
    }

    private mutating func fail(_ ports: UInt64, _ error: SystemError) {
        broken |= ports
        if mailbox.reports.room > 0 { report(.event(.failed(worker: core.index, "\(error)"))) }
    }

    private mutating func wakeOthers() {
        if core.touchedDoor { bells[bells.count - 1].ring() }
        var touched = core.touchedWorkers
        while touched != 0 {
            let other = touched.trailingZeroBitCount
            touched &= touched &- 1
            bells[other].ring()
        }
        core.touchedDoor = false
        core.touchedWorkers = 0
    }

    /// What a poller waits on, with the ports' bits.
    package var descriptors: [(bit: Int, descriptor: Int32)] {
        (0..<receiving).map { (bit: $0, descriptor: outer.descriptor($0)) }
            + (0..<inner.count).map { (bit: 32 + $0, descriptor: inner.descriptor($0)) }
    }

    /// Ports that failed, as bits.
    package var brokenPorts: UInt64 { broken }
}

extension Control {
    /// Worker `index` over ports of one's own: how `Datapath` makes them over sockets and devices, and tests over memory.
    package func worker<Outer: PacketPort & ~Copyable, Inner: PacketPort & ~Copyable>(
        _ index: Int, outer: consuming PortRow<Outer>, ports: OuterPorts, inner: consuming PortRow<Inner>,
        sources: [(ipv4: UInt128, ipv6: UInt128)], rings: RingMemory, batchSize: Int
    ) -> Worker<Outer, Inner> {
        let mailbox = mailboxes[index]
        let core = WorkerCore(
            index: index,
            sad: SAD(
                worker: index, board: mailbox.board, forbidden: Set(ports.locals.map(\.address)).sorted(),
                reservesListenerPorts: ports.reservesListenerPorts), rings: rings, routes: routes, sources: sources, ports: ports,
            engine: engine, spread: spread)
        return Worker(
            core: core, outer: outer, receiving: ports.locals.count, inner: inner, batchSize: batchSize, rings: rings, mailbox: mailbox,
            bells: mailboxes.map(\.bell) + [doorBell])
    }
}

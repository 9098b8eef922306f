package import ESP
package import GatewayCrypto
package import LinuxIO
package import Wire

/// What one worker decides about packets, without the ports: it works on batches in place, and hands on what belongs to other threads.
@safe
package struct WorkerCore: ~Copyable, @unchecked Sendable {
    /// Where to go on in a batch after the batch behind it was full and has been sent.
    package struct Cursor: Sendable {
        package var entry = 0
        /// Octets done of an entry from outside, packets done of one from the private side.
        package var octet = 0
        /// The entry's checksum was finished.
        var hasChecksum = false

        @_noLocks
        package init() {}
    }

    package let index: Int
    let workers: Int
    package var sad: SAD
    // Rings to other threads, by number; the door is the last
    private let outerRings: UnsafeMutablePointer<PacketRing>
    let innerRings: UnsafeMutablePointer<PacketRing>
    // Routes and our addresses of each private interface; no reference is counted on the way to them
    let routes: UnsafeMutablePointer<Unmanaged<InnerRoutes>>
    let spread: Unmanaged<SpreadRoutes>
    let sources: UnsafeMutablePointer<(ipv4: UInt128, ipv6: UInt128)>
    let interfaces: Int
    // Our ends, by outer port, and the ports that take whole packets (below 0: none)
    let locals: UnsafeMutablePointer<Endpoint>
    let localCount: Int
    let wholeIPv4: Int
    let wholeIPv6: Int
    let largestProbe: Int
    private let reassembles: Bool
    // Room for one ICMP message, and for one packet of a super-packet
    let reply: UnsafeMutableRawPointer
    let scratch: UnsafeMutableRawPointer
    private let innerOffloads: UnsafeMutablePointer<SegmentOffloads>
    private var joining = Joining()
    var departures = DepartureRuns()
    // Of the entries to come: tunnels, then slots
    let ahead: UnsafeMutablePointer<Int>
    var sealing: Sealing
    var opening: Opening
    /// Threads that found something in a ring this pass and must be woken: bit = number, the door is bit `workers`; up to 65 of them.
    package var touchedWorkers: UInt64 = 0
    package var touchedDoor = false
    // What the routes' owner keeps alive
    private let keepAlive: [InnerRoutes]
    private let keepSpread: SpreadRoutes
    // What stands for the endpoints of a packet that has none
    let nowhere = Endpoint(IPAddress(v4: 0), port: 0)
    private let memory: RingMemory

    /// `sources`: for each interface our address of each family, from which ICMP messages come; 0 where there is none.
    package init(
        index: Int, sad: consuming SAD, rings: RingMemory, routes: [InnerRoutes], sources: [(ipv4: UInt128, ipv6: UInt128)],
        ports: OuterPorts, engine: CryptoEngine, spread: SpreadRoutes = SpreadRoutes(rows: 1, workers: 1)
    ) {
        keepSpread = spread
        unsafe self.spread = Unmanaged.passUnretained(spread)
        self.index = index
        sealing = Sealing(engine: engine)
        opening = Opening(engine: engine)
        self.sad = sad
        workers = rings.workers
        memory = rings
        keepAlive = routes
        interfaces = min(routes.count, sources.count)
        unsafe outerRings = .allocate(capacity: workers + 1)
        for other in 0...workers { unsafe (outerRings + other).initialize(to: rings.outer(from: index, to: other)) }
        unsafe innerRings = .allocate(capacity: workers)
        for other in 0..<workers { unsafe (innerRings + other).initialize(to: rings.inner(from: index, to: other)) }
        unsafe self.routes = .allocate(capacity: max(interfaces, 1))
        unsafe self.sources = .allocate(capacity: max(interfaces, 1))
        for number in 0..<interfaces {
            unsafe (self.routes + number).initialize(to: Unmanaged.passUnretained(routes[number]))
            unsafe (self.sources + number).initialize(to: sources[number])
        }
        localCount = ports.locals.count
        unsafe locals = .allocate(capacity: max(ports.locals.count, 1))
        for (number, local) in ports.locals.enumerated() { unsafe (locals + number).initialize(to: local) }
        wholeIPv4 = ports.wholeIPv4 ?? -1
        wholeIPv6 = ports.wholeIPv6 ?? -1
        largestProbe = ports.largestProbe
        reassembles = ports.reassembles
        unsafe reply = .allocate(byteCount: PacketTooBig.longestIPv6, alignment: 16)
        unsafe scratch = .allocate(byteCount: Self.scratchSize, alignment: 64)
        unsafe ahead = .allocate(capacity: 2 * Self.aheadCount)
        unsafe ahead.initialize(repeating: -1, count: 2 * Self.aheadCount)
        unsafe innerOffloads = .allocate(capacity: max(interfaces, 1))
        unsafe innerOffloads.initialize(repeating: [], count: max(interfaces, 1))
    }

    static var scratchSize: Int { @_noLocks get { 65_536 } }

    deinit {
        unsafe outerRings.deallocate()
        unsafe innerRings.deallocate()
        unsafe routes.deallocate()
        unsafe sources.deallocate()
        unsafe locals.deallocate()
        unsafe reply.deallocate()
        unsafe scratch.deallocate()
        unsafe ahead.deallocate()
        unsafe innerOffloads.deallocate()
    }

    // MARK: From outside

    /// Opens what came from outside, in place, and puts what goes on to the private side into `arrivals`, neighbours of a flow joined; the tags name the
    /// interfaces. False when `arrivals` is full: send it, empty it, call again.
    package mutating func admit(
        _ batch: borrowing Batch, _ arrivals: inout Batch, _ cursor: inout Cursor, isRelayed: Bool, now: Instant
    ) -> Bool {
        // A new batch; nothing is left of one that was not gone through
        if cursor.entry == 0, cursor.octet == 0 { opening.removeAll() }
        while cursor.entry < batch.count {
            if cursor.octet == 0, sad.isCrowded { lookAhead(batch, behind: cursor.entry) }
            let whole = unsafe PacketView(batch.octets(cursor.entry))
            // As a whole it is passed to nobody: it would be copied for that
            let entry = batch[cursor.entry]
            let size = entry.isSegmented ? entry.segmentSize : whole.count
            while cursor.octet < whole.count {
                // Before it is opened: it cannot be opened again
                guard !arrivals.isFull, !opening.isFull || openAll(batch, &arrivals, now: now), !arrivals.isFull else {
                    joining.finish(&arrivals)
                    return false
                }
                let segment = whole.part(cursor.octet, min(size, whole.count - cursor.octet))
                cursor.octet += size
                guard reassembles || !entry.wasFragmented else {
                    sad.count(.outerFragment)
                    continue
                }
                guard isOurs(segment, batch, cursor.entry, isRelayed: isRelayed) else { continue }
                do throws(Drop) {
                    let slot = try sad.slot(of: segment)
                    let lane = sad.lane(inSlot: slot)
                    // What comes behind packets that wait waits too: nothing is overtaken
                    if !lane.isNone || !opening.isEmpty {
                        opening.add(Opening.Item(packet: segment, entry: cursor.entry, slot: slot, lane: lane))
                        continue
                    }
                    let delivery = try sad.open(
                        segment, slot: slot, from: entry.peer, at: entry.local, trafficClass: entry.trafficClass, now: now)
                    deliver(segment, delivery, &arrivals)
                } catch {
                    // Counted where it was found
                }
            }
            cursor.octet = 0
            cursor.entry += 1
        }
        let isDone = openAll(batch, &arrivals, now: now)
        joining.finish(&arrivals)
        return isDone
    }

    /// There is room.
    @_noLocks
    mutating func deliver(_ packet: PacketView, _ delivery: SAD.Delivery, _ arrivals: inout Batch) {
        let inner = packet.part(delivery.offset, delivery.length)
        if !joining.add(inner, interface: delivery.interface, offloads: offloads(ofInterface: delivery.interface), to: &arrivals) {
            sad.count(.noRoom)
        }
    }

    /// What the device of an interface takes.
    @_noLocks
    private func offloads(ofInterface interface: Int) -> SegmentOffloads {
        interface >= 0 && interface < interfaces ? unsafe innerOffloads[interface] : .none
    }

    /// Says what the device of an interface takes: nothing, as long as nothing was said.
    package mutating func setOffloads(_ offloads: SegmentOffloads, ofInterface interface: Int) {
        if interface >= 0, interface < interfaces { unsafe innerOffloads[interface] = offloads }
    }

    /// Whether a datagram is for our SAs; others' go to their thread.
    @_noLocks
    private mutating func isOurs(_ packet: PacketView, _ batch: borrowing Batch, _ entry: Int, isRelayed: Bool) -> Bool {
        if packet.count < 8 {
            sad.count(packet.count == 1 && packet.u8(0) == 0xff ? .keepalive : .notESP)
            return false
        }
        let spi = packet.u32(0)
        let owner = Int(truncatingIfNeeded: spi & 0x3f)
        if spi == 0 {
            // No IKE comes without UDP
            guard batch[entry].local.port != 0 else {
                sad.count(.notESP)
                return false
            }
            handOver(packet, batch[entry], to: workers, isRelayed: isRelayed)
            return false
        }
        guard owner == index else {
            if owner < workers { handOver(packet, batch[entry], to: owner, isRelayed: isRelayed) } else { sad.count(.unknownSPI) }
            return false
        }
        return true
    }

    @_noLocks
    private mutating func handOver(_ packet: PacketView, _ entry: Batch.Entry, to thread: Int, isRelayed: Bool) {
        guard !isRelayed else {
            sad.count(.misrouted)
            return
        }
        guard unsafe outerRings[thread].push(packet, tag: UInt64(entry.trafficClass), peer: entry.peer, local: entry.local) else {
            sad.count(.ringFull)
            return
        }
        if thread == workers { touchedDoor = true } else { touchedWorkers |= 1 << UInt64(truncatingIfNeeded: thread) }
    }
}

package import ESP
package import LinuxIO
package import Wire

/// What one worker decides about packets, without the ports: it works on batches in place, and hands on what belongs to other threads.
@safe
package struct WorkerCore: ~Copyable, @unchecked Sendable {
    /// Where to go on in a batch after the batch behind it was full and has been sent.
    package struct Cursor: Sendable {
        package var entry = 0
        package var octet = 0
        package init() {}
    }

    package let index: Int
    let workers: Int
    package var sad: SAD
    // Rings to other threads, by number; the door is the last
    private let outerRings: UnsafeMutablePointer<PacketRing>
    private let innerRings: UnsafeMutablePointer<PacketRing>
    // Routes and our addresses of each private interface; no reference is counted on the way to them
    private let routes: UnsafeMutablePointer<Unmanaged<InnerRoutes>>
    private let sources: UnsafeMutablePointer<(ipv4: UInt128, ipv6: UInt128)>
    let interfaces: Int
    // Our ends, by outer port, and the ports that take whole packets (below 0: none)
    private let locals: UnsafeMutablePointer<Endpoint>
    private let localCount: Int
    private let wholeIPv4: Int
    private let wholeIPv6: Int
    private let largestProbe: Int
    private let reassembles: Bool
    // Room for one ICMP message
    private let reply: UnsafeMutableRawPointer
    /// Threads that found something in a ring this pass and must be woken: bit = number, the door is bit `workers`; up to 65 of them.
    package var touchedWorkers: UInt64 = 0
    package var touchedDoor = false
    // What the routes' owner keeps alive
    private let keepAlive: [InnerRoutes]
    // What stands for the endpoints of a packet that has none
    private let nowhere = Endpoint(IPAddress(v4: 0), port: 0)
    private let memory: RingMemory

    /// `sources`: for each interface our address of each family, from which ICMP messages come; 0 where there is none.
    package init(
        index: Int, sad: consuming SAD, rings: RingMemory, routes: [InnerRoutes], sources: [(ipv4: UInt128, ipv6: UInt128)],
        ports: OuterPorts
    ) {
        self.index = index
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
    }

    deinit {
        unsafe outerRings.deallocate()
        unsafe innerRings.deallocate()
        unsafe routes.deallocate()
        unsafe sources.deallocate()
        unsafe locals.deallocate()
        unsafe reply.deallocate()
    }

    // MARK: From outside

    /// Opens what came from outside, in place where an entry is one packet; the segments of a larger entry are copied to `spare`. Entries that go no
    /// further have length 0 afterwards, others the interface in their tag. False when `spare` is full: send it, empty it, call again.
    package mutating func admit(
        _ batch: inout Batch, _ spare: inout Batch, _ cursor: inout Cursor, isRelayed: Bool, now: Instant
    ) -> Bool {
        while cursor.entry < batch.count {
            let entry = batch[cursor.entry]
            guard entry.length > 0 else {
                cursor.entry += 1
                continue
            }
            let whole = unsafe PacketView(batch.octets(cursor.entry))
            if entry.segmentSize <= 0 || entry.segmentSize >= entry.length {
                if let delivery = admit(whole, entry, isRelayed: isRelayed, now: now) {
                    _ = batch.place(cursor.entry, start: entry.start + delivery.offset, length: delivery.length)
                    batch[cursor.entry].tag = UInt64(delivery.interface)
                } else {
                    _ = batch.place(cursor.entry, start: entry.start, length: 0)
                }
            } else {
                while cursor.octet < entry.length {
                    guard !spare.isFull else { return false }
                    let segment = whole.part(cursor.octet, min(entry.segmentSize, entry.length - cursor.octet))
                    cursor.octet += entry.segmentSize
                    guard let delivery = admit(segment, entry, isRelayed: isRelayed, now: now) else { continue }
                    guard let place = spare.append(length: delivery.length) else {
                        sad.count(.noRoom)
                        continue
                    }
                    unsafe PacketView(spare.octets(place)).copy(from: segment, delivery.offset, to: 0, delivery.length)
                    spare[place].tag = UInt64(delivery.interface)
                }
                cursor.octet = 0
                _ = batch.place(cursor.entry, start: entry.start, length: 0)
            }
            cursor.entry += 1
        }
        return true
    }

    /// One datagram: ours is opened, others' go to their thread.
    @_noLocks
    private mutating func admit(_ packet: PacketView, _ entry: Batch.Entry, isRelayed: Bool, now: Instant) -> SAD.Delivery? {
        guard reassembles || !entry.wasFragmented else {
            sad.count(.outerFragment)
            return nil
        }
        if packet.count < 8 {
            sad.count(packet.count == 1 && packet.u8(0) == 0xff ? .keepalive : .notESP)
            return nil
        }
        let spi = packet.u32(0)
        let owner = Int(truncatingIfNeeded: spi & 0x3f)
        if spi == 0 {
            // No IKE comes without UDP
            guard entry.local.port != 0 else {
                sad.count(.notESP)
                return nil
            }
            handOver(packet, entry, to: workers, isRelayed: isRelayed)
            return nil
        }
        guard owner == index else {
            if owner < workers { handOver(packet, entry, to: owner, isRelayed: isRelayed) } else { sad.count(.unknownSPI) }
            return nil
        }
        do throws(Drop) {
            return try sad.open(packet, from: entry.peer, at: entry.local, trafficClass: entry.trafficClass, now: now)
        } catch {
            return nil
        }
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

    // MARK: From the private side

    /// Seals what came from a private interface, in place where it stays one packet; pieces go to `pieces`, ICMP messages to `replies`. The interface is
    /// in the tags of a relayed batch, else the argument. Entries that stay have `departureTag` afterwards, others length 0. False when one of the
    /// others is full: send both, empty them, call again.
    package mutating func depart(
        _ batch: inout Batch, _ pieces: inout Batch, _ replies: inout Batch, _ cursor: inout Cursor, interface: Int?, now: Instant
    ) -> Bool {
        while cursor.entry < batch.count {
            let entry = batch[cursor.entry]
            let from = interface ?? Int(truncatingIfNeeded: entry.tag & 0xff)
            if entry.length > 0 {
                guard !replies.isFull, depart(&batch, cursor.entry, &pieces, &replies, interface: from, isRelayed: interface == nil, now: now)
                else { return false }
            }
            cursor.entry += 1
        }
        return true
    }

    /// False when `pieces` has too little room and nothing was done.
    @_noLocks
    private mutating func depart(
        _ batch: inout Batch, _ place: Int, _ pieces: inout Batch, _ replies: inout Batch, interface: Int, isRelayed: Bool, now: Instant
    ) -> Bool {
        let entry = batch[place]
        let octets = unsafe PacketView(batch.octets(place))
        // Stays so unless the packet leaves in place
        var length = 0
        var start = entry.start
        do throws(Drop) {
            let packet = try parse(octets)
            guard interface >= 0, interface < interfaces,
                let target = unsafe routes[interface]._withUnsafeGuaranteedRef({ $0.lookup(packet.destination, isIPv6: packet.isIPv6) })
            else { throw count(.noRoute) }
            if target.worker != index {
                relay(octets, interface, to: target.worker, isRelayed: isRelayed)
            } else {
                let room = unsafe PacketView(UnsafeMutableRawBufferPointer(start: reply, count: PacketTooBig.longestIPv6))
                let departure = try sad.depart(
                    packet, octets, by: target, reply: room, fromIPv4: unsafe sources[interface].ipv4, fromIPv6: unsafe sources[interface].ipv6,
                    now: now)
                switch departure {
                case .whole(let slot):
                    let prefix = sad.prefixLength(slot: slot)
                    let mark = sad.outerTrafficClass(TrafficClass.of(octets, isIPv6: packet.isIPv6), tunnel: target.tunnel)
                    let cut = outerCut(slot: slot, inner: packet.length)
                    if let cut {
                        guard cut.count <= pieces.capacity else { throw count(.noRoom) }
                        guard cut.count <= pieces.capacity &- pieces.count else { return false }
                    }
                    length = try sad.seal(
                        slot: slot, unsafe PacketView(batch.slot(place)), offset: entry.start, length: packet.length, nextHeader: packet.nextHeader)
                    start = entry.start &- prefix
                    address(&batch, place, tunnel: target.tunnel, inner: packet.length, mark: mark)
                    if let cut {
                        let sealed = unsafe PacketView(batch.slot(place))
                        cutOuter(cut, sealed, start: start, length: length, &pieces, tunnel: target.tunnel, inner: packet.length, mark: mark)
                        length = 0
                    } else {
                        probe(slot: slot, inner: packet.length, &pieces, tunnel: target.tunnel, now: now)
                    }
                case .fragments(let slot, let plan):
                    // Each piece may be cut again outside
                    let cuts = outerCut(slot: slot, inner: sad.innerLimit(ofTunnel: target.tunnel))?.count ?? 0
                    let needed = plan.count &* (1 &+ cuts)
                    guard needed <= pieces.capacity else { throw count(.noRoom) }
                    guard needed <= pieces.capacity &- pieces.count else { return false }
                    cut(plan, octets, &pieces, slot: slot, target: target)
                case .refused(let replyLength):
                    if let answer = replies.append(length: replyLength) {
                        unsafe PacketView(replies.octets(answer)).copy(from: room, 0, to: 0, replyLength)
                        replies[answer].tag = UInt64(truncatingIfNeeded: interface)
                    }
                }
            }
        } catch {
            // Counted where it was found
        }
        _ = batch.place(place, start: start, length: length)
        return true
    }

    @_noLocks
    private func parse(_ octets: PacketView) throws(Drop) -> InnerPacket {
        do throws(Drop) {
            return try InnerPacket(octets)
        } catch {
            throw count(error)
        }
    }

    @_noLocks
    private func count(_ drop: Drop) -> Drop {
        sad.count(drop)
        return drop
    }

    @_noLocks
    private mutating func relay(_ octets: PacketView, _ interface: Int, to worker: Int, isRelayed: Bool) {
        guard !isRelayed, worker >= 0, worker < workers else {
            sad.count(.misrouted)
            return
        }
        guard unsafe innerRings[worker].push(octets, tag: UInt64(truncatingIfNeeded: interface), peer: nowhere, local: nowhere) else {
            sad.count(.ringFull)
            return
        }
        touchedWorkers |= 1 << UInt64(truncatingIfNeeded: worker)
    }

    @_noLocks
    private mutating func cut(_ plan: Fragmentation, _ octets: PacketView, _ pieces: inout Batch, slot: Int, target: RouteTarget) {
        let mark = sad.outerTrafficClass(TrafficClass.of(octets, isIPv6: false), tunnel: target.tunnel)
        var number = 0
        while number < plan.count {
            // One slot holds ip-mtu octets at the most
            guard let place = pieces.append(length: pieces.room) else { return }
            let entry = pieces[place]
            let length = plan.write(number, of: octets, to: unsafe PacketView(pieces.octets(place)))
            number &+= 1
            do throws(Drop) {
                guard length > 0 else { throw count(.noRoom) }
                let outer = outerCut(slot: slot, inner: length)
                let total = try sad.seal(slot: slot, unsafe PacketView(pieces.slot(place)), offset: entry.start, length: length, nextHeader: 4)
                let start = entry.start &- sad.prefixLength(slot: slot)
                _ = pieces.place(place, start: start, length: total)
                address(&pieces, place, tunnel: target.tunnel, inner: length, mark: mark)
                if let outer {
                    let sealed = unsafe PacketView(pieces.slot(place))
                    cutOuter(outer, sealed, start: start, length: total, &pieces, tunnel: target.tunnel, inner: length, mark: mark)
                    _ = pieces.place(place, start: start, length: 0)
                }
            } catch {
                pieces.removeLast()
            }
        }
    }

    /// Sends a dummy as long as the packet under way where the outer path is to be asked; without room for it, a later packet will do.
    @_noLocks
    private mutating func probe(slot: Int, inner length: Int, _ pieces: inout Batch, tunnel: Int, now: Instant) {
        guard wholeIPv4 >= 0, !pieces.isFull, sad.wantsProbe(slot: slot, inner: length, atMost: largestProbe, now: now),
            let place = pieces.append(length: length)
        else { return }
        let entry = pieces[place]
        guard let probe = sad.sealProbe(slot: slot, unsafe PacketView(pieces.slot(place)), offset: entry.start, length: length, now: now) else {
            return pieces.removeLast()
        }
        _ = pieces.place(place, start: probe.start, length: probe.length)
        pieces[place].peer = sad.peer(ofTunnel: tunnel)
        pieces[place].tag = Self.tag(port: wholeIPv4, tunnel: Self.noTunnel, inner: 0)
    }

    /// How the outer packet is cut; nil where it fits, or where nothing could send the pieces.
    @_noLocks
    private func outerCut(slot: Int, inner: Int) -> OuterFragmentation? {
        guard let cut = sad.outerFragmentation(slot: slot, inner: inner) else { return nil }
        return wholePort(isIPv6: sad.peer(ofTunnel: sad.tunnel(ofSlot: slot)).address.isIPv6) < 0 ? nil : cut
    }

    @_noLocks
    private func wholePort(isIPv6: Bool) -> Int { isIPv6 ? wholeIPv6 : wholeIPv4 }

    /// Cuts a sealed packet, which lies at `start` of its slot, into packets with outer headers of our own (features.md DP-5). There is room for them.
    @_noLocks
    private mutating func cutOuter(
        _ cut: OuterFragmentation, _ slot: PacketView, start: Int, length: Int, _ pieces: inout Batch, tunnel: Int, inner: Int, mark: UInt8
    ) {
        let peer = sad.peer(ofTunnel: tunnel)
        let local = sad.local(ofTunnel: tunnel)
        let udp = peer.port == 0 ? 0 : 8
        let payload = slot.part(start &- udp, length &+ udp)
        if udp > 0 { OuterFragmentation.writeUDPHeader(payload, from: local, to: peer) }
        let isIPv6 = peer.address.isIPv6
        let header = OuterHeader(
            source: local.address, destination: peer.address, ipProtocol: udp > 0 ? 17 : 50, trafficClass: mark,
            identification: sad.nextIdentification())
        var number = 0
        while number < cut.count {
            guard let place = pieces.append(length: pieces.room) else { return sad.count(.noRoom) }
            let size = cut.write(number, of: payload, header, to: unsafe PacketView(pieces.octets(place)))
            _ = pieces.place(place, start: pieces[place].start, length: size)
            pieces[place].peer = peer
            // The first fragment stands for the packet when it is counted
            pieces[place].tag = Self.tag(port: wholePort(isIPv6: isIPv6), tunnel: number == 0 ? tunnel : Self.noTunnel, inner: inner)
            number &+= 1
        }
    }

    /// Gives an entry its way out, and the tag by which it is counted once sent: inner octets, tunnel, outer port.
    @_noLocks
    private func address(_ batch: inout Batch, _ place: Int, tunnel: Int, inner: Int, mark: UInt8) {
        let local = sad.local(ofTunnel: tunnel)
        var port = 0
        while port < localCount {
            if unsafe locals[port].port == local.port, unsafe locals[port].address.value == local.address.value { break }
            port &+= 1
        }
        if port == localCount { port = 0 }
        batch[place].peer = sad.peer(ofTunnel: tunnel)
        batch[place].local = local
        batch[place].trafficClass = mark
        batch[place].segmentSize = 0
        batch[place].tag = Self.tag(port: port, tunnel: tunnel, inner: inner)
    }

    private static var noTunnel: Int { @_noLocks get { 0xffff_ffff } }

    @_noLocks
    private static func tag(port: Int, tunnel: Int, inner: Int) -> UInt64 {
        UInt64(truncatingIfNeeded: port) | UInt64(truncatingIfNeeded: tunnel) << 8 | UInt64(truncatingIfNeeded: inner) << 40
    }

    /// Counts a departure that a port took, by its tag.
    @_noLocks
    package func countSent(_ tag: UInt64) {
        sad.countSent(tunnel: Int(truncatingIfNeeded: tag >> 8 & 0xffff_ffff), octets: Int(truncatingIfNeeded: tag >> 40))
    }

    /// Counts a departure that no port took.
    @_noLocks
    package func countLost(_ tag: UInt64) {
        sad.refuse(.sendFailed, tunnel: Int(truncatingIfNeeded: tag >> 8 & 0xffff_ffff))
    }
}

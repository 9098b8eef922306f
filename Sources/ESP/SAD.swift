internal import GatewayCrypto
package import Wire

/// The Security Association Database of one worker, RFC 4301 section 4.4.2: its Child SAs by slot, its tunnels by index. Only the worker's thread
/// touches it; what others may know stands on the `CounterBoard`.
@safe
package struct SAD: ~Copyable, @unchecked Sendable {
    /// An inner packet that may go to its private interface.
    package struct Delivery: Sendable {
        package let interface: Int
        /// From the first octet of the SPI.
        package let offset: Int
        package let length: Int
    }

    /// Something to tell the control plane; `index` is a tunnel for `.moved`, else a slot.
    package struct Notice: Sendable {
        /// `takenUp`: the peer has sent by a Child SA that the routes are to be led to.
        package enum Kind: Sendable { case softLimit, hardLimit, moved, takenUp }
        package let kind: Kind
        package let index: Int
    }

    package let worker: Int
    package let board: CounterBoard
    // The board's cells: through the class every access would count references
    let saCells: UnsafeMutablePointer<CounterBoard.SACells>
    let tunnelCells: UnsafeMutablePointer<CounterBoard.TunnelCells>
    private let dropCells: UnsafeMutablePointer<Counter>
    let loadCells: UnsafeMutablePointer<CounterBoard.LoadCells>
    let slotCapacity: Int
    let tunnelCapacity: Int
    // Child SAs there are
    var pairCount = 0
    // spi 0: the slot is empty and its memory uninitialized
    let spis: UnsafeMutablePointer<UInt32>
    let pairs: UnsafeMutablePointer<SAPair>
    // generation 0: no tunnel
    let generations: UnsafeMutablePointer<UInt32>
    let tunnels: UnsafeMutablePointer<Tunnel>
    // Addresses that clients' packets may not reach (threats.md C14)
    private let forbidden: UnsafeMutablePointer<IPAddress>
    private let forbiddenCount: Int
    private let reservesListenerPorts: Bool
    private var notices = InlineArray<32, Notice>(repeating: Notice(kind: .moved, index: -1))
    package private(set) var noticeCount = 0
    // For packets whose DF bit is cleared, and for outer ones
    private var identification: UInt32
    // The two tunnels that packets came by last, and when, in nanoseconds
    private var talker = -1
    private var talkedAt: UInt64 = 0
    private var otherTalker = -1
    private var otherTalkedAt: UInt64 = 0
    private let inPlace = InPlace()

    /// A database as large as its board. `forbidden`: the gateways' own addresses. `reservesListenerPorts`: this machine masquerades, so a client's
    /// packet from port 500 or 4500 to an address out there could take our own port over.
    package init(worker: Int, board: CounterBoard, forbidden: [IPAddress], reservesListenerPorts: Bool = false) {
        self.worker = worker
        self.reservesListenerPorts = reservesListenerPorts
        // Workers send between the same hosts: each has numbers of its own
        identification = UInt32(truncatingIfNeeded: worker & 0x3f) &* 0x0400_0401
        self.board = board
        unsafe saCells = board.sas
        unsafe tunnelCells = board.tunnels
        unsafe dropCells = board.drops
        unsafe loadCells = board.loads
        slotCapacity = board.saCapacity
        tunnelCapacity = board.tunnelCapacity
        unsafe spis = .allocate(capacity: slotCapacity)
        unsafe spis.initialize(repeating: 0, count: slotCapacity)
        unsafe pairs = .allocate(capacity: slotCapacity)
        unsafe generations = .allocate(capacity: tunnelCapacity)
        unsafe generations.initialize(repeating: 0, count: tunnelCapacity)
        unsafe tunnels = .allocate(capacity: tunnelCapacity)
        forbiddenCount = forbidden.count
        unsafe self.forbidden = .allocate(capacity: max(forbidden.count, 1))
        for (index, address) in forbidden.enumerated() { unsafe (self.forbidden + index).initialize(to: address) }
    }

    deinit {
        for slot in 0..<slotCapacity where unsafe spis[slot] != 0 { unsafe (pairs + slot).deinitialize(count: 1) }
        for index in 0..<tunnelCapacity where unsafe generations[index] != 0 { unsafe (tunnels + index).deinitialize(count: 1) }
        unsafe pairs.deallocate()
        unsafe tunnels.deallocate()
        unsafe spis.deallocate()
        unsafe generations.deallocate()
        unsafe forbidden.deallocate()
    }

    // MARK: From outside

    /// Opens an ESP packet in place and judges what was in it: everything between the wire and the TUN device. `packet` reaches from SPI to ICV.
    /// `trafficClass` is the outer header's. A refusal is counted here.
    @_noLocks
    package mutating func open(
        _ packet: PacketView, from peer: Endpoint, at local: Endpoint, trafficClass: UInt8, now: Instant
    ) throws(Drop) -> Delivery {
        try open(packet, slot: slot(of: packet), from: peer, at: local, trafficClass: trafficClass, now: now)
    }

    /// The same where the slot is known already: `slot(of:)` gave it for this packet.
    @_noLocks
    package mutating func open(
        _ packet: PacketView, slot: Int, from peer: Endpoint, at local: Endpoint, trafficClass: UInt8, now: Instant
    ) throws(Drop) -> Delivery {
        do throws(Drop) {
            try mayOpen(slot)
            let opened = try unsafe pairs[slot].inbound.open(packet)
            return try judge(packet, opened, slot: slot, from: peer, at: local, trafficClass: trafficClass, now: now)
        } catch {
            refuse(error, tunnel: unsafe pairs[slot].tunnel)
            throw error
        }
    }

    /// The slot of the SA that a packet names. A refusal is counted.
    @_noLocks
    package func slot(of packet: PacketView) throws(Drop) -> Int {
        let spi = packet.u32(0)
        let slot = Int(truncatingIfNeeded: spi >> 6 & 0x3_ffff)
        guard packet.count >= 8, slot < slotCapacity, spi != 0, unsafe spis[slot] == spi else {
            count(packet.count >= 8 ? .unknownSPI : .notESP)
            throw packet.count >= 8 ? .unknownSPI : .notESP
        }
        return slot
    }

    @_noLocks
    mutating func mayOpen(_ slot: Int) throws(Drop) {
        guard unsafe pairs[slot].mayOpen else {
            tellHardLimit(slot)
            throw .exhausted
        }
    }

    /// What becomes of a packet that is authentic.
    @_noLocks
    mutating func judge(
        _ packet: PacketView, _ opened: InboundSA.Opened, slot: Int, from peer: Endpoint, at local: Endpoint, trafficClass: UInt8, now: Instant
    ) throws(Drop) -> Delivery {
        let tunnel = unsafe pairs[slot].tunnel
        unsafe pairs[slot].packetsIn &+= 1
        unsafe saCells[slot].highestIn.set(pairs[slot].inbound.window.highest)
        unsafe saCells[slot].recentIn.set(pairs[slot].inbound.window.recent)
        unsafe tunnelCells[tunnel].lastInbound.set(now.nanoseconds)
        if unsafe !pairs[slot].isHeard { hear(slot) }
        if tunnel != talker { (otherTalker, otherTalkedAt, talker) = (talker, talkedAt, tunnel) }
        talkedAt = now.nanoseconds
        if opened.isNewest { follow(tunnel, to: peer, at: local) }
        if unsafe pairs[slot].isSoftLimitReached { tellSoftLimit(slot) }

        guard opened.nextHeader != 59 else { throw .dummy }
        guard opened.nextHeader == 4 || opened.nextHeader == 41 else { throw .nextHeader }
        let inner = packet.part(opened.offset, opened.length)
        let header = try InnerPacket(inner)
        guard header.isIPv6 == (opened.nextHeader == 41) else { throw .malformed }
        guard unsafe tunnels[tunnel].owns(header.source, isIPv6: header.isIPv6) else { throw .spoofedSource }
        guard !isForbidden(header) else { throw .gatewayAddress }
        guard !reservesListenerPorts || !ListenerPort.isShadowed(by: header) else { throw .listenerPort }
        try unsafe pairs[slot].table.admitsInbound(header, inner)
        guard
            let mark = TrafficClass.inner(
                TrafficClass.of(inner, isIPv6: header.isIPv6), outer: trafficClass,
                copiesDSCP: unsafe tunnels[tunnel].settings.copiesOuterDSCP)
        else { throw .congestion }
        guard unsafe pairs[slot].mayDeliver(header.length) else {
            tellHardLimit(slot)
            throw .exhausted
        }
        TrafficClass.set(mark, in: inner, isIPv6: header.isIPv6)
        unsafe tunnels[tunnel].path.age(now)
        clamp(header, inner, tunnel)

        let octets = UInt64(truncatingIfNeeded: header.length)
        unsafe pairs[slot].octetsIn &+= octets
        unsafe saCells[slot].octetsIn.add(octets)
        unsafe saCells[slot].packetsIn.add(1)
        unsafe tunnelCells[tunnel].octetsIn.add(octets)
        unsafe tunnelCells[tunnel].packetsIn.add(1)
        unsafe loadCells.pointee.octets.add(octets)
        unsafe loadCells.pointee.packets.add(1)
        return Delivery(interface: unsafe tunnels[tunnel].interface, offset: opened.offset, length: header.length)
    }

    /// The peer's first packet by a successor: outbound traffic changes over, here or by the routes, which are the control plane's.
    @_noLocks
    private mutating func hear(_ slot: Int) {
        unsafe pairs[slot].isOutboundReady = true
        unsafe pairs[slot].isHeard = !pairs[slot].isAnnounced || tell(.takenUp, slot)
    }

    /// Whether a client of another tunnel than this one has sent something within the last second: what answers it comes, too.
    @_noLocks
    package func hasTalker(besides tunnel: Int, now: Instant) -> Bool {
        talker >= 0 && talker != tunnel && now.nanoseconds &- talkedAt < 1_000_000_000
            || otherTalker >= 0 && otherTalker != tunnel && now.nanoseconds &- otherTalkedAt < 1_000_000_000
    }

    @_noLocks
    private mutating func follow(_ tunnel: Int, to peer: Endpoint, at local: Endpoint) {
        // Port 0 stands for ESP without UDP: a peer behind a NAT cannot have gone over to that
        guard unsafe tunnels[tunnel].settings.followsPeer, unsafe !tunnels[tunnel].isPeer(peer),
            unsafe (peer.port == 0) == (tunnels[tunnel].peer.port == 0)
        else { return }
        unsafe tunnels[tunnel].peer = peer
        unsafe tunnels[tunnel].local = local
        unsafe tunnels[tunnel].path = OuterPath()
        _ = tell(.moved, tunnel)
    }

    @_noLocks
    private func isForbidden(_ packet: InnerPacket) -> Bool {
        var index = 0
        while index < forbiddenCount {
            if unsafe forbidden[index].value == packet.destination, unsafe forbidden[index].isIPv6 == packet.isIPv6 { return true }
            index &+= 1
        }
        return false
    }

    @_noLocks
    func clamp(_ packet: InnerPacket, _ octets: PacketView, _ tunnel: Int) {
        let limit = unsafe packet.isIPv6 ? tunnels[tunnel].settings.maximumSegmentIPv6 : tunnels[tunnel].settings.maximumSegmentIPv4
        guard limit > 0 else { return }
        let fitting = innerLimit(ofTunnel: tunnel) &- (packet.isIPv6 ? 60 : 40)
        SegmentSize.clamp(packet, octets, to: fitting < limit ? fitting : limit)
    }

    /// Counts a drop that no tunnel is to blame for.
    @_noLocks
    package func count(_ drop: Drop) {
        unsafe dropCells[drop.index].add(1)
    }

    /// Counts a refusal, also with the tunnel that it concerns (below 0: none).
    @_noLocks
    package func refuse(_ drop: Drop, tunnel: Int) {
        count(drop)
        guard tunnel >= 0, tunnel < tunnelCapacity else { return }
        unsafe tunnelCells[tunnel].drops.add(1)
        switch drop {
        case .spoofedSource: unsafe tunnelCells[tunnel].spoofed.add(1)
        default: break
        }
    }

    // MARK: Notices

    @_noLocks
    private mutating func tell(_ kind: Notice.Kind, _ index: Int) -> Bool {
        guard noticeCount < 32 else { return false }
        notices[noticeCount] = Notice(kind: kind, index: index)
        noticeCount &+= 1
        return true
    }

    @_noLocks
    mutating func tellSoftLimit(_ slot: Int) {
        guard unsafe !pairs[slot].softTold else { return }
        unsafe pairs[slot].softTold = tell(.softLimit, slot)
    }

    @_noLocks
    mutating func tellHardLimit(_ slot: Int) {
        guard unsafe !pairs[slot].hardTold else { return }
        unsafe pairs[slot].hardTold = tell(.hardLimit, slot)
    }

    /// Takes the last notice; nil when there is none.
    package mutating func takeNotice() -> Notice? {
        guard noticeCount > 0 else { return nil }
        noticeCount -= 1
        return notices[noticeCount]
    }

    @_noLocks
    package mutating func nextIdentification() -> UInt32 {
        identification &+= 1
        return identification
    }
}

internal import ESP
package import LinuxIO
package import Wire

extension WorkerCore {
    // MARK: From the private side

    /// Seals what came from a private interface into `out`: whole, in pieces, or segment after segment, equal packets to one client in a row
    /// (`segmentSize`); ICMP messages go to `replies`. The interface is in the tags of a relayed batch, else the argument. Entries of `out` have
    /// tags for `countSent` afterwards. False when one of the two is full: send both, empty them, call again.
    package mutating func depart(
        _ batch: borrowing Batch, _ out: inout Batch, _ replies: inout Batch, _ cursor: inout Cursor, interface: Int?, now: Instant
    ) -> Bool {
        if out.isEmpty { departures.removeAll() }
        let isDone = departAll(batch, &out, &replies, &cursor, interface: interface, now: now)
        sealAll(&out)
        return isDone
    }

    private mutating func departAll(
        _ batch: borrowing Batch, _ out: inout Batch, _ replies: inout Batch, _ cursor: inout Cursor, interface: Int?, now: Instant
    ) -> Bool {
        while cursor.entry < batch.count {
            let from = interface ?? Int(truncatingIfNeeded: batch[cursor.entry].tag & 0xff)
            if cursor.octet == 0, sad.isCrowded { lookAhead(batch, behind: cursor.entry, interface: from) }
            if batch[cursor.entry].length > 0 {
                let octets = unsafe PacketView(batch.octets(cursor.entry))
                let offload = batch[cursor.entry].offload
                let hops = interface == nil ? UInt8(truncatingIfNeeded: batch[cursor.entry].tag >> 32) : 0
                guard depart(octets, offload, &out, &replies, &cursor, interface: from, hops: hops, now: now) else { return false }
            }
            let next = cursor.entry + 1
            cursor = Cursor()
            cursor.entry = next
        }
        return true
    }

    /// Where packets for an inner address go from this worker: a place of the session's.
    @_noLocks
    func target(of destination: UInt128, isIPv6: Bool, interface: Int) -> RouteTarget? {
        guard interface >= 0, interface < interfaces,
            let target = unsafe routes[interface]._withUnsafeGuaranteedRef({ $0.lookup(destination, isIPv6: isIPv6) })
        else { return nil }
        guard let row = target.row else { return target }
        let worker = index
        return unsafe spread._withUnsafeGuaranteedRef { $0.target(row: row, worker: worker) }
    }

    /// False when a batch has too little room; the cursor says what was done.
    @_noLocks
    mutating func depart(
        _ octets: PacketView, _ offload: OffloadHeader, _ out: inout Batch, _ replies: inout Batch, _ cursor: inout Cursor, interface: Int,
        hops: UInt8, now: Instant
    ) -> Bool {
        do throws(Drop) {
            let kind = offload.kind & ~OffloadHeader.ecn
            if kind == 0, offload.flags & OffloadHeader.needsChecksum != 0, !cursor.hasChecksum {
                guard Checksum.complete(octets, start: Int(offload.checksumStart), offset: Int(offload.checksumOffset)) else {
                    throw count(.malformed)
                }
                cursor.hasChecksum = true
            }
            let packet = try parse(octets)
            guard let target = target(of: packet.destination, isIPv6: packet.isIPv6, interface: interface) else { throw count(.noRoute) }
            guard target.worker == index else {
                relay(octets, offload, interface, to: target.worker, hops: hops)
                return true
            }
            guard kind != 0 else { return try depart(packet, octets, target, &out, &replies, interface: interface, now: now) }
            let segments = try segmentation(packet, octets, offload)
            return try depart(segments, packet, octets, target, &out, &replies, &cursor, interface: interface, now: now)
        } catch {
            // Counted where it was found
            return true
        }
    }

    @_noLocks
    private func segmentation(_ packet: InnerPacket, _ octets: PacketView, _ offload: OffloadHeader) throws(Drop) -> Segmentation {
        do throws(Drop) {
            return try Segmentation(packet, octets, offload)
        } catch {
            throw count(error)
        }
    }

    @_noLocks
    private mutating func departure(
        _ packet: InnerPacket, _ octets: PacketView, _ target: RouteTarget, interface: Int, now: Instant
    ) throws(Drop) -> SAD.Departure {
        let room = unsafe PacketView(UnsafeMutableRawBufferPointer(start: reply, count: PacketTooBig.longestIPv6))
        return try sad.depart(
            packet, octets, by: target, reply: room, fromIPv4: unsafe sources[interface].ipv4, fromIPv6: unsafe sources[interface].ipv6, now: now)
    }

    /// A super-packet: one decision for all where its packets leave whole, since they differ in nothing that it asks; else each as if it had come alone.
    @_noLocks
    private mutating func depart(
        _ segments: Segmentation, _ packet: InnerPacket, _ octets: PacketView, _ target: RouteTarget, _ out: inout Batch, _ replies: inout Batch,
        _ cursor: inout Cursor, interface: Int, now: Instant
    ) throws(Drop) -> Bool {
        let longest = segments.length(of: 0)
        var slot = -1
        if sad.passesWhole(longest, by: target, now: now) {
            do throws(Drop) {
                let departure = try departure(packet.segment(length: longest), octets, target, interface: interface, now: now)
                if case .whole(let found) = departure, outerCut(slot: found, inner: longest) == nil { slot = found }
            } catch {
                // The first was counted
                cursor.octet &+= 1
                while cursor.octet < segments.count {
                    sad.refuse(error, tunnel: target.tunnel)
                    cursor.octet &+= 1
                }
                throw error
            }
        }
        let mark = sad.outerTrafficClass(TrafficClass.of(octets, isIPv6: packet.isIPv6), tunnel: target.tunnel)
        let space = unsafe PacketView(UnsafeMutableRawBufferPointer(start: scratch, count: Self.scratchSize))
        while cursor.octet < segments.count {
            do throws(Drop) {
                let length = segments.length(of: cursor.octet)
                if slot >= 0 {
                    guard let spot = spot(slot: slot, inner: length, &out, tunnel: target.tunnel, mark: mark) else { return false }
                    let place = unsafe PacketView(out.slot(spot.place)).part(spot.inner, length)
                    guard segments.write(cursor.octet, of: octets, to: place) == length else { throw discard(spot, &out, .noRoom) }
                    try seal(spot, slot: slot, length: length, nextHeader: packet.nextHeader, &out, tunnel: target.tunnel, mark: mark, isCut: false)
                } else {
                    let segment = space.part(0, segments.write(cursor.octet, of: octets, to: space))
                    guard try depart(parse(segment), segment, target, &out, &replies, interface: interface, now: now) else { return false }
                }
            } catch {
                // Counted where it was found; the others go their way
            }
            cursor.octet &+= 1
        }
        if slot >= 0 { probe(slot: slot, inner: longest, &out, tunnel: target.tunnel, now: now) }
        return true
    }

    /// One packet. False when a batch has too little room and nothing was done.
    @_noLocks
    private mutating func depart(
        _ packet: InnerPacket, _ octets: PacketView, _ target: RouteTarget, _ out: inout Batch, _ replies: inout Batch, interface: Int,
        now: Instant
    ) throws(Drop) -> Bool {
        guard !replies.isFull else { return false }
        switch try departure(packet, octets, target, interface: interface, now: now) {
        case .whole(let slot):
            let mark = sad.outerTrafficClass(TrafficClass.of(octets, isIPv6: packet.isIPv6), tunnel: target.tunnel)
            let cut = outerCut(slot: slot, inner: packet.length)
            if let cut {
                guard cut.count < out.capacity else { throw count(.noRoom) }
                guard cut.count < out.capacity &- out.count else { return false }
                departures.end(target.tunnel)
            }
            guard let spot = spot(slot: slot, inner: packet.length, &out, tunnel: target.tunnel, mark: mark) else { return false }
            guard unsafe PacketView(out.slot(spot.place)).copy(from: octets, 0, to: spot.inner, packet.length) else {
                throw discard(spot, &out, .noRoom)
            }
            try seal(
                spot, slot: slot, length: packet.length, nextHeader: packet.nextHeader, &out, tunnel: target.tunnel, mark: mark, isCut: cut != nil)
            if let cut {
                let sealed = unsafe PacketView(out.slot(spot.place))
                let (start, length) = (out[spot.place].start, out[spot.place].length)
                cutOuter(cut, sealed, start: start, length: length, &out, tunnel: target.tunnel, inner: packet.length, mark: mark)
                _ = out.place(spot.place, start: start, length: 0)
                departures.end(target.tunnel)
            } else {
                probe(slot: slot, inner: packet.length, &out, tunnel: target.tunnel, now: now)
            }
        case .fragments(let slot, let plan):
            // Each piece may be cut again outside
            let cuts = outerCut(slot: slot, inner: sad.innerLimit(ofTunnel: target.tunnel))?.count ?? 0
            let needed = plan.count &* (1 &+ cuts)
            guard needed <= out.capacity else { throw count(.noRoom) }
            guard needed <= out.capacity &- out.count else { return false }
            departures.end(target.tunnel)
            cut(plan, octets, &out, slot: slot, target: target)
        case .refused(let replyLength):
            if let answer = replies.append(length: replyLength) {
                let room = unsafe PacketView(UnsafeMutableRawBufferPointer(start: reply, count: PacketTooBig.longestIPv6))
                unsafe PacketView(replies.octets(answer)).copy(from: room, 0, to: 0, replyLength)
                replies[answer].tag = UInt64(truncatingIfNeeded: interface)
            }
        }
        return true
    }

    // MARK: In a row

    /// Where a packet is sealed: an entry of its own, or the end of one that equal packets to the same client stand in.
    private struct Spot {
        var place: Int
        /// Where the ESP packet begins in the slot, and its inner octets.
        var start: Int
        var inner: Int
        var isNew: Bool
    }

    /// Nil when the batch is full.
    @_noLocks
    private mutating func spot(slot: Int, inner length: Int, _ out: inout Batch, tunnel: Int, mark: UInt8) -> Spot? {
        if sealing.isFull { sealAll(&out) }
        let prefix = sad.prefixLength(slot: slot)
        let sealed = sad.sealedLength(slot: slot, inner: length)
        let open = departures.place(tunnel)
        if open >= 0, open < out.count {
            let entry = out[open]
            // A row ends where the TOS octet changes (features.md DP-8), and after a shorter packet, so that a part of it can be counted
            if sealed <= entry.segmentSize, length <= Self.innerOctets(ofFirst: entry.tag), entry.trafficClass == mark,
                DepartureRuns.hasRoom(entry.length, inPacketsOf: entry.segmentSize, for: sealed)
            {
                let start = entry.start &+ entry.length
                return Spot(place: open, start: start, inner: start &+ prefix, isNew: false)
            }
        }
        guard let place = out.append(length: 0) else { return nil }
        let start = out[place].start
        return Spot(place: place, start: start, inner: start &+ prefix, isNew: true)
    }

    @_noLocks
    private mutating func seal(
        _ spot: Spot, slot: Int, length: Int, nextHeader: UInt8, _ out: inout Batch, tunnel: Int, mark: UInt8, isCut: Bool
    ) throws(Drop) {
        let total: Int
        do throws(Drop) {
            total = try seal(
                slot: slot, tunnel: tunnel, &out, place: spot.place, offset: spot.inner, length: length, nextHeader: nextHeader, isCut: isCut)
        } catch {
            if spot.isNew { out.removeLast() }
            throw error
        }
        guard spot.isNew else {
            _ = out.place(spot.place, start: out[spot.place].start, length: out[spot.place].length &+ total)
            out[spot.place].tag &+= UInt64(truncatingIfNeeded: length) << 48
            if total < out[spot.place].segmentSize || length < Self.innerOctets(ofFirst: out[spot.place].tag) { departures.end(tunnel) }
            return
        }
        _ = out.place(spot.place, start: spot.start, length: total)
        address(&out, spot.place, tunnel: tunnel, inner: length, mark: mark)
        if mayLead(total, tunnel) {
            out[spot.place].segmentSize = total
            departures.begin(tunnel, at: spot.place)
        } else {
            departures.end(tunnel)
        }
    }

    /// Whether the kernel can cut a row of such packets: UDP, and each fits the link, or it would be cut in pieces.
    @_noLocks
    private func mayLead(_ sealed: Int, _ tunnel: Int) -> Bool {
        let peer = sad.peer(ofTunnel: tunnel)
        return peer.port != 0 && sealed &+ 8 &+ (peer.address.isIPv6 ? 40 : 20) <= largestProbe
    }

    @_noLocks
    private func discard(_ spot: Spot, _ out: inout Batch, _ drop: Drop) -> Drop {
        if spot.isNew { out.removeLast() }
        return count(drop)
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
    private mutating func relay(_ octets: PacketView, _ offload: OffloadHeader, _ interface: Int, to worker: Int, hops: UInt8) {
        // Once more when its session has moved while it was on its way
        guard hops < 2, worker >= 0, worker < workers else {
            sad.count(.misrouted)
            return
        }
        let tag = Self.relayTag(interface, offload, hops: hops &+ 1)
        guard unsafe innerRings[worker].push(octets, tag: tag, peer: nowhere, local: nowhere) else {
            count(.ringFull, times: Segmentation.count(octets, offload))
            return
        }
        touchedWorkers |= 1 << UInt64(truncatingIfNeeded: worker)
    }

    /// What the home worker must know of a packet: the interface, how a super-packet is cut, and through how many rings it has come. Checksums are
    /// finished before.
    @_noLocks
    private static func relayTag(_ interface: Int, _ offload: OffloadHeader, hops: UInt8) -> UInt64 {
        UInt64(truncatingIfNeeded: interface & 0xff) | UInt64(offload.kind) << 8 | UInt64(offload.segmentSize) << 16 | UInt64(hops) << 32
    }

    /// The other half of a relayed packet's tag.
    static func offload(ofRelayTag tag: UInt64) -> OffloadHeader {
        var offload = OffloadHeader()
        offload.kind = UInt8(truncatingIfNeeded: tag >> 8)
        offload.segmentSize = UInt16(truncatingIfNeeded: tag >> 16)
        return offload
    }

    @_noLocks
    private mutating func cut(_ plan: Fragmentation, _ octets: PacketView, _ pieces: inout Batch, slot: Int, target: RouteTarget) {
        let mark = sad.outerTrafficClass(TrafficClass.of(octets, isIPv6: false), tunnel: target.tunnel)
        var number = 0
        while number < plan.count {
            if sealing.isFull { sealAll(&pieces) }
            // One slot holds ip-mtu octets at the most
            guard let place = pieces.append(length: pieces.room) else { return }
            let entry = pieces[place]
            let length = plan.write(number, of: octets, to: unsafe PacketView(pieces.octets(place)))
            number &+= 1
            do throws(Drop) {
                guard length > 0 else { throw count(.noRoom) }
                let outer = outerCut(slot: slot, inner: length)
                let total = try seal(
                    slot: slot, tunnel: target.tunnel, &pieces, place: place, offset: entry.start, length: length, nextHeader: 4, isCut: outer != nil)
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

    static var noTunnel: Int { @_noLocks get { 0x3ff_ffff } }

    /// Port, tunnel, inner octets of the first packet and of all: 6, 26, 16 and 16 bits.
    @_noLocks
    static func tag(port: Int, tunnel: Int, inner: Int) -> UInt64 {
        UInt64(truncatingIfNeeded: port) | UInt64(truncatingIfNeeded: tunnel) << 6 | UInt64(truncatingIfNeeded: inner) << 32
            | UInt64(truncatingIfNeeded: inner) << 48
    }

    /// Inner octets of the first packet of a row; the others have as many, the last fewer perhaps.
    @_noLocks
    static func innerOctets(ofFirst tag: UInt64) -> Int { Int(truncatingIfNeeded: tag >> 32 & 0xffff) }

    /// Counts what a port took of departures, by the entry's tag, and what of a row it did not.
    @_noLocks
    package func countSent(_ entry: Batch.Entry) {
        let tunnel = Int(truncatingIfNeeded: entry.tag >> 6 & 0x3ff_ffff)
        let unsent = Int(entry.unsent)
        let packets = entry.packetCount &- unsent
        if packets > 0 {
            let octets = unsent == 0 ? Int(truncatingIfNeeded: entry.tag >> 48) : packets &* Self.innerOctets(ofFirst: entry.tag)
            sad.countSent(tunnel: tunnel, packets: packets, octets: octets)
        }
        countLost(unsent, tunnel: tunnel)
    }

    /// Counts what no port took.
    @_noLocks
    package func countLost(_ entry: Batch.Entry) {
        countLost(entry.packetCount, tunnel: Int(truncatingIfNeeded: entry.tag >> 6 & 0x3ff_ffff))
    }

    @_noLocks
    private func countLost(_ packets: Int, tunnel: Int) {
        var left = packets
        while left > 0 {
            sad.refuse(.sendFailed, tunnel: tunnel)
            left &-= 1
        }
    }
}

package import GatewayCrypto
package import Wire

extension SAD {
    /// What becomes of a packet from the private side.
    package enum Departure: Sendable {
        /// As it is, by the Child SA in the slot.
        case whole(slot: Int)
        /// In pieces, by the Child SA in the slot.
        case fragments(slot: Int, Fragmentation)
        /// Not at all: an ICMP message of so many octets stands in the reply buffer for its sender.
        case refused(replyLength: Int)
    }

    /// Decides how a packet leaves: which Child SA, whole or in pieces; lowers the MSS on the way. `reply` is room for an ICMP message, which comes
    /// `from` an address of ours on the private interface (one number per family; 0: the packet's own destination answers).
    /// A refusal is counted here.
    @_noLocks
    package mutating func depart(
        _ packet: InnerPacket, _ octets: PacketView, by target: RouteTarget, reply: PacketView, fromIPv4: UInt128, fromIPv6: UInt128,
        now: Instant
    ) throws(Drop) -> Departure {
        let tunnel = target.tunnel
        guard tunnel >= 0, tunnel < tunnelCapacity, unsafe generations[tunnel] == target.generation, target.generation != 0 else {
            refuse(.noRoute, tunnel: -1)
            throw .noRoute
        }
        do throws(Drop) {
            let slot = try select(packet, octets, tunnel)
            let clearsDF = unsafe tunnels[tunnel].settings.clearDF
            unsafe tunnels[tunnel].path.age(now)
            let limit = innerLimit(ofTunnel: tunnel)
            clamp(packet, octets, tunnel)
            guard packet.length > limit else { return .whole(slot: slot) }
            // DP-4: what IPv6 must be able to send passes whole
            if packet.isIPv6, packet.length <= 1280 { return .whole(slot: slot) }
            if !packet.isIPv6, !packet.mayNotFragment || clearsDF {
                guard let plan = Fragmentation(packet, octets, mtu: limit, identification: UInt16(truncatingIfNeeded: nextIdentification()))
                else {
                    throw .tooBig
                }
                return .fragments(slot: slot, plan)
            }
            guard let length = answer(packet, octets, tunnel, reply: reply, from: packet.isIPv6 ? fromIPv6 : fromIPv4, now: now) else {
                throw .tooBig
            }
            refuse(.tooBig, tunnel: tunnel)
            return .refused(replyLength: length)
        } catch {
            refuse(error, tunnel: tunnel)
            throw error
        }
    }

    /// The newest Child SA whose selectors admit the packet (threats.md P30: of this tunnel only).
    @_noLocks
    private mutating func select(_ packet: InnerPacket, _ octets: PacketView, _ tunnel: Int) throws(Drop) -> Int {
        var refusal = Drop.noSA
        var index = unsafe tunnels[tunnel].childCount
        while index > 0 {
            index &-= 1
            let slot = unsafe tunnels[tunnel].child(index)
            guard slot >= 0, unsafe pairs[slot].isOutboundReady else { continue }
            do throws(Drop) {
                try unsafe pairs[slot].table.admitsOutbound(packet, octets)
            } catch {
                refusal = error
                continue
            }
            guard unsafe pairs[slot].maySeal(packet.length) else {
                tellHardLimit(slot)
                refusal = .exhausted
                continue
            }
            return slot
        }
        throw refusal
    }

    /// Writes the ICMP message; nil when none may be sent.
    @_noLocks
    private func answer(
        _ packet: InnerPacket, _ octets: PacketView, _ tunnel: Int, reply: PacketView, from: UInt128, now: Instant
    ) -> Int? {
        guard PacketTooBig.mayAnswer(packet) else { return nil }
        let settings = unsafe tunnels[tunnel].settings
        let admitted =
            unsafe packet.isIPv6
            ? tunnels[tunnel].limitIPv6.admits(settings.packetTooBigCount, per: settings.packetTooBigInterval, now: now)
            : tunnels[tunnel].limitIPv4.admits(settings.fragmentationNeededCount, per: settings.fragmentationNeededInterval, now: now)
        guard admitted else { return nil }
        let length = PacketTooBig.write(
            // An interface without an address of the family has the client's name only
            to: reply, about: packet, octets, from: from == 0 ? packet.destination : from,
            mtu: packet.isIPv6 ? max(innerLimit(ofTunnel: tunnel), 1280) : innerLimit(ofTunnel: tunnel))
        return length > 0 ? length : nil
    }

    /// Seals the `length` inner octets at `offset` of a slot's buffer in place. Returns the ESP packet's length; it begins
    /// `prefixLength(slot)` octets before `offset`. A refusal is counted here.
    @_noLocks
    package mutating func seal(slot: Int, _ buffer: PacketView, offset: Int, length: Int, nextHeader: UInt8) throws(Drop) -> Int {
        let prepared = try prepare(slot: slot, buffer, offset: offset, length: length, nextHeader: nextHeader)
        guard seal(slot: slot, prepared) else {
            refuse(.cipher, tunnel: unsafe pairs[slot].tunnel)
            throw .cipher
        }
        return prepared.packet.count
    }

    /// The first half of `seal`: limits are asked, numbers given, octets counted. The packet is sealed before it is sent and before the Child SA goes.
    @_noLocks
    package mutating func prepare(
        slot: Int, _ buffer: PacketView, offset: Int, length: Int, nextHeader: UInt8
    ) throws(Drop) -> OutboundSA.Prepared {
        do throws(Drop) {
            guard unsafe pairs[slot].maySeal(length) else {
                tellHardLimit(slot)
                throw .exhausted
            }
            let prepared = try unsafe pairs[slot].outbound.prepare(buffer, offset: offset, length: length, nextHeader: nextHeader)
            let octets = UInt64(truncatingIfNeeded: length)
            unsafe pairs[slot].octetsOut &+= octets
            unsafe saCells[slot].octetsOut.add(octets)
            unsafe saCells[slot].packetsOut.add(1)
            unsafe saCells[slot].sequenceOut.set(pairs[slot].outbound.sequence)
            if unsafe pairs[slot].isSoftLimitReached { tellSoftLimit(slot) }
            return prepared
        } catch {
            refuse(error, tunnel: unsafe pairs[slot].tunnel)
            throw error
        }
    }

    /// The second half. False: the packet must not be sent; that is for the caller to count.
    @_noLocks
    package mutating func seal(slot: Int, _ prepared: OutboundSA.Prepared) -> Bool { unsafe pairs[slot].outbound.seal(prepared) }

    /// The second half by a batch; nil when it takes no more. Whether the packet may be sent is what the batch says of the ticket after its flush.
    @_noLocks
    package mutating func seal(slot: Int, _ prepared: OutboundSA.Prepared, in batch: inout RecordBatch) -> Int? {
        unsafe pairs[slot].outbound.seal(prepared, in: &batch)
    }

    /// Where packets of the Child SA in a slot stand in a batch.
    @_noLocks
    package func lane(ofSlot slot: Int) -> Lane { unsafe pairs[slot].outbound.lane }

    /// Whether packets of so many octets leave whole to a client. False too where nobody is: `depart` says so.
    @_noLocks
    package mutating func passesWhole(_ length: Int, by target: RouteTarget, now: Instant) -> Bool {
        let tunnel = target.tunnel
        guard tunnel >= 0, tunnel < tunnelCapacity, unsafe generations[tunnel] == target.generation, target.generation != 0 else { return false }
        unsafe tunnels[tunnel].path.age(now)
        return length <= innerLimit(ofTunnel: tunnel)
    }

    /// Octets of the ESP packet around so many inner ones.
    @_noLocks
    package func sealedLength(slot: Int, inner length: Int) -> Int { unsafe pairs[slot].outbound.sealedLength(of: length) }

    /// Octets that a sealed packet begins before its inner octets.
    @_noLocks
    package func prefixLength(slot: Int) -> Int { unsafe pairs[slot].outbound.prefixLength }

    /// How the outer packet of so many inner octets is cut; nil: it leaves whole (features.md DP-5).
    @_noLocks
    package func outerFragmentation(slot: Int, inner length: Int) -> OuterFragmentation? {
        let tunnel = unsafe pairs[slot].tunnel
        let limit = outerLimit(tunnel)
        guard limit > 0 else { return nil }
        let peer = unsafe tunnels[tunnel].peer
        let sealed = unsafe pairs[slot].outbound.sealedLength(of: length)
        return OuterFragmentation(payload: sealed &+ (peer.port == 0 ? 0 : 8), isIPv6: peer.address.isIPv6, mtu: limit)
    }

    /// The traffic class of the outer packet around one with this class (DP-8).
    @_noLocks
    package func outerTrafficClass(_ inner: UInt8, tunnel: Int) -> UInt8 {
        TrafficClass.outer(inner: inner, fixedDSCP: unsafe tunnels[tunnel].settings.outerDSCP)
    }

    /// The tunnel of a slot, and where it sends.
    @_noLocks
    package func tunnel(ofSlot slot: Int) -> Int { unsafe pairs[slot].tunnel }
    @_noLocks
    package func peer(ofTunnel tunnel: Int) -> Endpoint { unsafe tunnels[tunnel].peer }
    @_noLocks
    package func local(ofTunnel tunnel: Int) -> Endpoint { unsafe tunnels[tunnel].local }

    /// Counts packets that were sent to the client (features.md RAD-7).
    @_noLocks
    package func countSent(tunnel: Int, packets: Int, octets: Int) {
        guard tunnel >= 0, tunnel < tunnelCapacity else { return }
        unsafe tunnelCells[tunnel].octetsOut.add(UInt64(truncatingIfNeeded: octets))
        unsafe tunnelCells[tunnel].packetsOut.add(UInt64(truncatingIfNeeded: packets))
        unsafe loadCells.pointee.octets.add(UInt64(truncatingIfNeeded: octets))
        unsafe loadCells.pointee.packets.add(UInt64(truncatingIfNeeded: packets))
    }
}

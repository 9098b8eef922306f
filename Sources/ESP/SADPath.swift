package import Wire

extension SAD {
    // The outer path's MTU: features.md DP-3 and DP-5, threats.md P33.

    /// Takes a router's report about a packet of a Child SA, found by its inbound SPI. What is not about a packet that we sent is counted and changes
    /// nothing. Returns whether the session's path MTU is lower now.
    package mutating func heed(_ report: PathMTUReport, child spi: LocalSPI, now: Instant) -> Bool {
        let slot = spi.slot
        guard slot < slotCapacity, unsafe spis[slot] == spi.rawValue else { return false }
        let tunnel = unsafe pairs[slot].tunnel
        guard unsafe pairs[slot].outbound.spi == report.spi, unsafe tunnels[tunnel].isPeer(report.peer), unsafe tunnels[tunnel].local == report.local,
            report.mtu < report.length, isProven(report, slot, tunnel, now: now)
        else {
            count(.unprovenTooBig)
            return false
        }
        let isIPv6 = report.peer.address.isIPv6
        let limit = max(report.mtu, OuterPath.floor(isIPv6: isIPv6))
        let headers = (isIPv6 ? 40 : 20) + (report.peer.port == 0 ? 0 : 8)
        let inner = unsafe pairs[slot].outbound.suite.longestInner(in: limit - headers)
        return unsafe tunnels[tunnel].path.lower(to: limit, inner: inner, aging: tunnels[tunnel].settings.pathMTUAging, now: now)
    }

    /// Over IPv6 a packet sent lately, over IPv4 the last probe: who cannot see our packets knows neither SPI nor number.
    private mutating func isProven(_ report: PathMTUReport, _ slot: Int, _ tunnel: Int, now: Instant) -> Bool {
        guard report.peer.address.isIPv6 else { return unsafe tunnels[tunnel].path.isAboutProbe(report, now: now) }
        let last = UInt32(truncatingIfNeeded: unsafe pairs[slot].outbound.sequence)
        return unsafe pairs[slot].outbound.records > 0 && last &- report.sequence < 1 << 16
    }

    /// Largest outer packet to a tunnel's peer that we know of; 0: any.
    @_noLocks
    func outerLimit(_ tunnel: Int) -> Int {
        let configured = unsafe tunnels[tunnel].settings.encapsulatedMTU
        let learnt = unsafe tunnels[tunnel].path.mtu
        return configured == 0 || learnt != 0 && learnt < configured ? learnt : configured
    }

    /// Largest inner packet towards a tunnel's client: `ip-mtu`, or what fits the outer path where that is told to senders.
    @_noLocks
    package func innerLimit(ofTunnel tunnel: Int) -> Int {
        let configured = unsafe tunnels[tunnel].settings.ipMTU
        guard unsafe tunnels[tunnel].settings.propagatesPathMTU, unsafe tunnels[tunnel].path.mtu != 0 else { return configured }
        let fitting = unsafe tunnels[tunnel].path.innerMTU
        return fitting < configured ? fitting : configured
    }

    /// The path MTU that a session has learnt; nil: none.
    package func pathMTU(ofTunnel tunnel: Int) -> Int? {
        guard tunnel >= 0, tunnel < tunnelCapacity, unsafe generations[tunnel] != 0, unsafe tunnels[tunnel].path.mtu != 0 else { return nil }
        return unsafe tunnels[tunnel].path.mtu
    }

    // MARK: Probes

    /// Octets of the outer packet around so many inner ones.
    @_noLocks
    private func outerLength(_ slot: Int, inner length: Int) -> Int {
        let peer = unsafe tunnels[pairs[slot].tunnel].peer
        return unsafe pairs[slot].outbound.suite.sealedLength(of: length) &+ (peer.address.isIPv6 ? 40 : 20) &+ (peer.port == 0 ? 0 : 8)
    }

    /// Whether a dummy as long as this packet should go out with DF to ask the IPv4 path whether it takes that. `limit`: what our own link takes.
    @_noLocks
    package mutating func wantsProbe(slot: Int, inner length: Int, atMost limit: Int, now: Instant) -> Bool {
        let tunnel = unsafe pairs[slot].tunnel
        guard unsafe tunnels[tunnel].settings.propagatesPathMTU, unsafe !tunnels[tunnel].peer.address.isIPv6 else { return false }
        let outer = outerLength(slot, inner: length)
        guard outer <= limit else { return false }
        return unsafe tunnels[tunnel].path.wantsProbe(outer, aging: tunnels[tunnel].settings.pathMTUAging, now: now)
    }

    /// Writes a probe as long as the packet around `length` inner octets: a whole IPv4 packet with DF, and a dummy inside (RFC 4303 section 2.6). It
    /// begins at the returned place of the buffer; `offset` leaves room before the inner octets. Nil when nothing may be sent.
    @_noLocks
    package mutating func sealProbe(slot: Int, _ buffer: PacketView, offset: Int, length: Int, now: Instant) -> (start: Int, length: Int)? {
        let tunnel = unsafe pairs[slot].tunnel
        let peer = unsafe tunnels[tunnel].peer
        let local = unsafe tunnels[tunnel].local
        // What the probe uses up must not be missing to what it asks for
        guard buffer.holds(offset, length), unsafe pairs[slot].maySeal(length) else { return nil }
        var index = 0
        while index &+ 8 <= length {
            buffer.put(UInt64(0), at: offset &+ index)
            index &+= 8
        }
        while index < length {
            buffer.put(UInt8(0), at: offset &+ index)
            index &+= 1
        }
        let sealed: Int
        do throws(Drop) {
            sealed = try unsafe pairs[slot].outbound.seal(buffer, offset: offset, length: length, nextHeader: 59)
        } catch {
            count(error)
            return nil
        }
        unsafe saCells[slot].sequenceOut.set(pairs[slot].outbound.sequence)
        let udp = peer.port == 0 ? 0 : 8
        let payload = offset &- prefixLength(slot: slot) &- udp
        if udp > 0 { OuterFragmentation.writeUDPHeader(buffer.part(payload, sealed &+ udp), from: local, to: peer) }
        let header = OuterHeader(
            source: local.address, destination: peer.address, ipProtocol: udp > 0 ? 17 : 50, trafficClass: 0, identification: nextIdentification())
        let total = 20 &+ udp &+ sealed
        guard buffer.holds(payload &- 20, total) else { return nil }
        header.writeWholeIPv4(to: buffer.part(payload &- 20, total))
        unsafe tunnels[tunnel].path.sentProbe(spi: pairs[slot].outbound.spi, sequence: pairs[slot].outbound.sequence, now: now)
        return (payload &- 20, total)
    }
}

internal import ESP
internal import LinuxIO
internal import Wire

extension WorkerCore {
    /// Sends a dummy as long as the packet under way where the outer path is to be asked; without room for it, a later packet will do.
    @_noLocks
    mutating func probe(slot: Int, inner length: Int, _ pieces: inout Batch, tunnel: Int, now: Instant) {
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
    func outerCut(slot: Int, inner: Int) -> OuterFragmentation? {
        guard let cut = sad.outerFragmentation(slot: slot, inner: inner) else { return nil }
        return wholePort(isIPv6: sad.peer(ofTunnel: sad.tunnel(ofSlot: slot)).address.isIPv6) < 0 ? nil : cut
    }

    @_noLocks
    private func wholePort(isIPv6: Bool) -> Int { isIPv6 ? wholeIPv6 : wholeIPv4 }

    /// Cuts a sealed packet, which lies at `start` of its slot, into packets with outer headers of our own (features.md DP-5). There is room for them.
    @_noLocks
    mutating func cutOuter(
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
}

package import Wire

extension RoadWarrior {
    /// Puts an inner packet into the tunnel; nil where there is no Child SA or the selectors do not admit it.
    package mutating func seal(_ inner: [UInt8], at now: Instant = Instant(nanoseconds: 0)) -> Datagram? {
        guard stage == .established, let header = InnerHeader(inner), header.totalLength == inner.count else { return nil }
        guard child?.admitsOutbound(header) == true else {
            drops.selectors += 1
            return nil
        }
        return seal(anything: inner, nextHeader: header.family == .ipv4 ? 4 : 41, at: now)
    }

    /// The same without a look at the content, for tests of what the gateway lets through.
    package mutating func seal(
        anything inner: [UInt8], nextHeader: UInt8 = 4, at now: Instant = Instant(nanoseconds: 0)
    ) -> Datagram? {
        guard let packet = child?.seal(inner, nextHeader: nextHeader, entropy: settings.entropy) else { return nil }
        if let limit = settings.childRekeyPackets, let child, child.sent >= limit, childExchange == nil, !wishes.contains(.childRekey) {
            deadlines[.childRekey] = min(deadlines[.childRekey] ?? now, now)
        }
        lastSent = max(lastSent, now)
        let (local, remote) = path
        return Datagram(content: .esp, local: local, remote: remote, encapsulated: encapsulated, octets: packet)
    }

    /// Puts an inner packet into one Child SA of several, by our SPI.
    package mutating func seal(_ inner: [UInt8], onChild inboundSPI: UInt32) -> Datagram? {
        guard stage == .established, let header = InnerHeader(inner), header.totalLength == inner.count,
            let sa = child(inbound: inboundSPI), sa.admitsOutbound(header),
            let packet = sa.seal(inner, nextHeader: header.family == .ipv4 ? 4 : 41, entropy: settings.entropy)
        else { return nil }
        let (local, remote) = path
        return Datagram(content: .esp, local: local, remote: remote, encapsulated: encapsulated, octets: packet)
    }

    /// Takes an ESP packet: a UDP payload, or the payload of IP protocol 50.
    package mutating func receive(
        packet: [UInt8], from remote: IPAddress, at now: Instant, into outputs: inout [Output]
    ) {
        guard stage == .established || stage == .deleting, remote == settings.remote.address, packet.count >= 8,
            let sa = receiver(of: packet[0..<4].reduce(UInt32(0), { $0 << 8 | UInt32($1) }), at: now)
        else {
            drops.notOurs += 1
            return
        }
        let opened = sa.open(packet)
        switch opened {
        case .packet, .dummy:
            lastHeard = now
            // The gateway has gone over to what its rekey made, and so do we.
            if let child, child.successor == sa.inboundSPI { use(sa, at: now) }
        default: break
        }
        switch opened {
        case .packet(let inner):
            guard let header = InnerHeader(inner), sa.admitsInbound(header) else {
                drops.selectors += 1
                return
            }
            outputs.append(.delivered(inner))
        case .dummy: break
        case .malformed: drops.malformed += 1
        case .unauthentic: drops.unauthentic += 1
        case .replayed: drops.replayed += 1
        }
    }

    private func child(inbound spi: UInt32) -> ChildSA? { children.first { $0.inboundSPI == spi } }

    private func receiver(of spi: UInt32, at now: Instant) -> ChildSA? {
        child(inbound: spi) ?? retired.first { $0.sa.inboundSPI == spi && now < $0.until }?.sa
    }

    /// Takes what is still under way by a Child SA that is gone: the network may let the last word about it overtake the last packets.
    mutating func retire(_ gone: ChildSA, at now: Instant) {
        children.removeAll { $0 === gone }
        retired.removeAll { $0.until <= now }
        if retired.count < Self.mostRetired { retired.append((gone, now + Self.retirement)) }
    }

    private static var retirement: Duration { .seconds(5) }
    private static var mostRetired: Int { 16 }

    /// The sequence number of the last packet that was sent; set it to come near a border.
    package var sequence: UInt64 {
        get { child?.sent ?? 0 }
        set { child?.sent = newValue }
    }

    /// The highest sequence number that was received.
    package var highestReceived: UInt64 { child?.received.highest ?? 0 }

    /// The Child SA that packets are sent on.
    package var childSA: ChildEstablished? { child?.facts }

    /// All Child SAs on which packets are taken, the newest last.
    package var childSAs: [ChildEstablished] { children.map(\.facts) }
}

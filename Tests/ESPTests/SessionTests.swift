import ESP
import PacketFixtures
import Testing
import Wire

@Suite struct SessionTests {
    static let client = Session.clientAddress
    static let good = Packets.ipv4(client, Session.server, payload: Packets.udp(1000, 53))

    @Test(arguments: SAs.every)
    func bothDirectionsAndExactCounters(suite: ESPSuite) throws {
        var session = try Session(suite: suite)
        var octetsIn: UInt64 = 0
        var octetsOut: UInt64 = 0
        for size in [0, 1, 17, 500, 1300] {
            let inner = Packets.ipv4(Self.client, Session.server, payload: Packets.udp(1, 2, octets: size))
            let delivered = try session.deliver(inner)
            #expect(delivered == inner)
            octetsIn += UInt64(inner.count)
            let back = Packets.ipv4(Session.server, Self.client, payload: Packets.udp(2, 1, octets: size))
            let received = try session.received(back)
            #expect(received == [back])
            octetsOut += UInt64(back.count)
        }
        for _ in 0..<3 { session.sad.countSent(tunnel: 2, packets: 1, octets: 100) }
        let sa = session.sad.board.sa(session.spi.slot)
        #expect(sa.octetsIn == octetsIn && sa.packetsIn == 5 && sa.octetsOut == octetsOut && sa.packetsOut == 5)
        let tunnel = session.sad.board.tunnel(2)
        #expect(tunnel.octetsIn == octetsIn && tunnel.packetsIn == 5 && tunnel.drops == 0 && tunnel.lastInbound == session.now)
        #expect(tunnel.octetsOut == 300 && tunnel.packetsOut == 3)
        let sequences = session.sad.board.sequences(session.spi.slot)
        #expect(sequences.highestIn == 5 && sequences.lastOut == 5 && sequences.recentIn == 0b11111 << 59)
    }

    @Test(arguments: [
        "10.99.0.11", "192.0.2.1", "10.99.0.1", "10.1.2.3", "0.0.0.0", "127.0.0.1", "255.255.255.255", "224.0.0.1", "169.254.1.1",
        "2001:db8::11", "fe80::1", "::", "::1", "ff02::1", "2001:db8::",
    ])
    func threat_P29_spoofedSources(source: String) throws {
        var session = try Session()
        let inner =
            source.contains(":")
            ? Packets.ipv6(source, "2001:db8:1::1", payload: Packets.udp(1, 2)) : Packets.ipv4(source, Session.server, payload: Packets.udp(1, 2))
        let result = drop { () throws(Drop) in _ = try session.deliver(inner) }
        #expect(result == .spoofedSource)
        let counters = session.sad.board.tunnel(2)
        #expect(counters.spoofed == 1 && counters.drops == 1 && counters.packetsIn == 0 && counters.octetsIn == 0)
        #expect(session.sad.board.drops(.spoofedSource) == 1)
        // The SA lives on
        let delivered = try session.deliver(Self.good)
        #expect(delivered == Self.good)
    }

    @Test func threat_C14_gatewayAddressesAreOutOfReach() throws {
        var session = try Session()
        let inner = Packets.ipv4(Self.client, "192.0.2.1", payload: Packets.udp(4500, 4500))
        let result = drop { () throws(Drop) in _ = try session.deliver(inner) }
        #expect(result == .gatewayAddress)
        let own = Packets.ipv4(Self.client, "10.99.0.1", payload: Packets.udp(4500, 53))
        let delivered = try session.deliver(own)
        #expect(delivered == own)
    }

    @Test func threat_P32_innerFamilyAndNextHeaderAgree() throws {
        var session = try Session()
        let sealed = try session.client.seal(Self.good, nextHeader: 41)
        let lied = drop { () throws(Drop) in _ = try session.deliver(sealed: sealed) }
        #expect(lied == .malformed)
        let dummy = try session.client.seal([1, 2, 3], nextHeader: 59)
        let ignored = drop { () throws(Drop) in _ = try session.deliver(sealed: dummy) }
        #expect(ignored == .dummy)
        #expect(session.sad.board.drops(.dummy) == 1)
    }

    @Test func unknownSPIs() throws {
        var session = try Session()
        var sealed = try session.client.seal(Self.good)
        sealed[0] ^= 1  // the tag
        let tag = drop { () throws(Drop) in _ = try session.deliver(sealed: sealed) }
        #expect(tag == .unknownSPI)
        let far = drop { () throws(Drop) in _ = try session.deliver(sealed: [0xff, 0xff, 0xff, 0xc0, 0, 0, 0, 1, 2, 3]) }
        #expect(far == .unknownSPI)
        let short = drop { () throws(Drop) in _ = try session.deliver(sealed: [1, 2, 3]) }
        #expect(short == .notESP)
    }

    @Test func threat_P35_onlyTheNewestAuthenticPacketMovesThePeer() throws {
        var session = try Session()
        let elsewhere = Endpoint(Packets.address("203.0.113.9"), port: 1024)
        let first = try session.client.seal(Self.good)
        let second = try session.client.seal(Self.good)
        let third = try session.client.seal(Self.good)
        _ = try session.deliver(sealed: second)
        #expect(session.sad.peer(ofTunnel: 2) == Session.peer)
        // Replayed, forged, and authentic but older: none moves it
        _ = drop { () throws(Drop) in _ = try session.deliver(sealed: second, from: elsewhere) }
        #expect(session.sad.peer(ofTunnel: 2) == Session.peer)
        var forged = third
        forged[forged.count - 1] ^= 1
        _ = drop { () throws(Drop) in _ = try session.deliver(sealed: forged, from: elsewhere) }
        #expect(session.sad.peer(ofTunnel: 2) == Session.peer)
        _ = try session.deliver(sealed: first, from: elsewhere)
        #expect(session.sad.peer(ofTunnel: 2) == Session.peer && session.sad.noticeCount == 0)
        _ = try session.deliver(sealed: third, from: elsewhere)
        #expect(session.sad.peer(ofTunnel: 2) == elsewhere)
        let notice = session.sad.takeNotice()
        #expect(notice?.kind == .moved && notice?.index == 2)
    }

    @Test func aPeerThatIsNotFollowedStays() throws {
        var settings = TunnelSettings()
        settings.followsPeer = false
        var session = try Session(settings: settings)
        _ = try session.deliver(Self.good, from: Endpoint(Packets.address("203.0.113.9"), port: 1024))
        #expect(session.sad.peer(ofTunnel: 2) == Session.peer)
    }

    @Test func threat_P25_softAndHardLimits() throws {
        var lifetimes = SALifetimes()
        lifetimes.softPackets = 3
        lifetimes.hardPackets = 5
        var session = try Session(lifetimes: lifetimes)
        for number in 1...5 {
            _ = try session.deliver(Self.good)
            #expect(session.sad.noticeCount == (number >= 3 ? 1 : 0))
        }
        let over = drop { () throws(Drop) in _ = try session.deliver(Self.good) }
        #expect(over == .exhausted)
        let again = drop { () throws(Drop) in _ = try session.deliver(Self.good) }
        #expect(again == .exhausted)
        var kinds: [SAD.Notice.Kind] = []
        while let notice = session.sad.takeNotice() { kinds.append(notice.kind) }
        #expect(kinds == [.hardLimit, .softLimit])
        let back = Packets.ipv4(Session.server, Self.client, payload: Packets.udp(2, 1))
        for _ in 0..<5 { _ = try session.received(back) }
        let out = drop { () throws(Drop) in _ = try session.received(back) }
        #expect(out == .exhausted)
    }

    @Test func octetLimits() throws {
        var lifetimes = SALifetimes()
        lifetimes.hardOctets = UInt64(Self.good.count * 2)
        var session = try Session(lifetimes: lifetimes)
        _ = try session.deliver(Self.good)
        _ = try session.deliver(Self.good)
        let over = drop { () throws(Drop) in _ = try session.deliver(Self.good) }
        #expect(over == .exhausted)
        #expect(session.sad.board.sa(5).octetsIn == UInt64(Self.good.count * 2))
    }

    @Test func theSuccessorWaitsForThePeer() throws {
        // RFC 7296 section 2.8: make before break
        var session = try Session()
        guard let spi = LocalSPI(worker: 0, slot: 6, tag: 7) else { return }
        let next = SAPair(
            inbound: try SAs.inbound(SAs.gcm, spi: spi.rawValue, seed: 7), outbound: try SAs.outbound(SAs.gcm, spi: 0xbeef, seed: 8),
            selectors: Session.everything, lifetimes: SALifetimes(), tunnel: 2, supersedes: session.spi)
        let isIn = session.sad.insert(next)
        #expect(isIn)
        let back = Packets.ipv4(Session.server, Self.client, payload: Packets.udp(2, 1))
        let before = try session.send(back)
        guard case .packets(let old) = before else { return }
        #expect(Array(old[0][..<4]) == [0, 0, 0xca, 0xfe])
        var client = try SAs.outbound(SAs.gcm, spi: spi.rawValue, seed: 7)
        let first = try client.seal(Self.good)
        _ = try session.deliver(sealed: first)
        let after = try session.send(back)
        guard case .packets(let new) = after else { return }
        #expect(Array(new[0][..<4]) == [0, 0, 0xbe, 0xef])
        // Inbound of the old one still serves
        let late = try session.deliver(Self.good)
        #expect(late == Self.good)
    }

    @Test func theSuccessorTakesOverWhenTheOldOneGoes() throws {
        var session = try Session()
        guard let spi = LocalSPI(worker: 0, slot: 6, tag: 7) else { return }
        let next = SAPair(
            inbound: try SAs.inbound(SAs.gcm, spi: spi.rawValue, seed: 7), outbound: try SAs.outbound(SAs.gcm, spi: 0xbeef, seed: 8),
            selectors: Session.everything, lifetimes: SALifetimes(), tunnel: 2, supersedes: session.spi)
        _ = session.sad.insert(next)
        let wasThere = session.sad.remove(session.spi) != nil
        #expect(wasThere)
        let sent = try session.send(Packets.ipv4(Session.server, Self.client, payload: Packets.udp(2, 1)))
        guard case .packets(let new) = sent else {
            Issue.record("nothing sent")
            return
        }
        #expect(Array(new[0][..<4]) == [0, 0, 0xbe, 0xef])
    }

    @Test func threat_P22_mostChildSAs() throws {
        var session = try Session()
        // one Child SA is there already
        let last = 6 + Tunnel.maximumChildSAs - 1
        for slot in 6...last {
            guard let spi = LocalSPI(worker: 0, slot: slot, tag: 7) else { return }
            let pair = SAPair(
                inbound: try SAs.inbound(SAs.gcm, spi: spi.rawValue), outbound: try SAs.outbound(SAs.gcm), selectors: Session.everything,
                lifetimes: SALifetimes(), tunnel: 2, supersedes: nil)
            let isIn = session.sad.insert(pair)
            #expect(isIn == (slot < last))
        }
    }
}

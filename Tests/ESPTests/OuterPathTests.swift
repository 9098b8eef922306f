import ESP
import PacketFixtures
import Testing
import Wire

/// What routers say of the outer path, and whether it counts.
@Suite struct OuterPathTests {
    static let gateway6 = Endpoint(Packets.address("2001:db8:1::1"), port: 4500)
    static let peer6 = Endpoint(Packets.address("2001:db8:7::7"), port: 61_000)
    static let native = Endpoint(Session.peer.address, port: 0)
    static let nativeGateway = Endpoint(Session.gateway.address, port: 0)

    /// ICMP "fragmentation needed" about an IPv4 packet.
    static func needed(_ quoted: [UInt8], mtu: UInt16) -> [UInt8] {
        var message: [UInt8] = [3, 4, 0, 0, 0, 0]
        message.append(bigEndian: mtu)
        message += quoted
        message.patch(bigEndian: Packets.checksum(message), at: 2)
        return message
    }

    static func tooBig(_ quoted: [UInt8], mtu: UInt32) -> [UInt8] {
        var message: [UInt8] = [2, 0, 0, 0]
        message.append(bigEndian: mtu)
        return message + quoted
    }

    static func read(_ message: [UInt8], isIPv6: Bool = false) -> PathMTUReport? {
        var octets = message
        return octets.withUnsafeMutableBytes { PathMTUReport(PacketView($0), isIPv6: isIPv6) }
    }

    static func esp(_ octets: Int = 64, spi: UInt32 = 0xcafe, sequence: UInt32 = 1) -> [UInt8] {
        var packet: [UInt8] = []
        packet.append(bigEndian: spi)
        packet.append(bigEndian: sequence)
        return packet + [UInt8](repeating: 9, count: octets)
    }

    static func udp(_ payload: [UInt8], from: UInt16 = 4500, to: UInt16 = 61_000) -> [UInt8] {
        var datagram: [UInt8] = []
        for word in [from, to, UInt16(payload.count + 8), 0] { datagram.append(bigEndian: word) }
        return datagram + payload
    }

    @Test("ICMP is read as RFC 1191 and RFC 8201 write it, whatever is cut off behind the sequence number")
    func threat_P33_reportsAreRead() {
        let esp = Self.esp(1400, sequence: 7)
        let encapsulated = Packets.ipv4("192.0.2.1", "198.51.100.7", payload: Self.udp(esp))
        let native = Packets.ipv4("192.0.2.1", "198.51.100.7", protocol: 50, payload: esp)
        let wanted = PathMTUReport(mtu: 1300, length: 1436, local: Session.gateway, peer: Session.peer, spi: 0xcafe, sequence: 7)
        for octets in [36, 100, 1436] { #expect(Self.read(Self.needed(Array(encapsulated.prefix(octets)), mtu: 1300)) == wanted) }
        #expect(Self.read(Self.needed(Array(encapsulated.prefix(35)), mtu: 1300)) == nil)
        let bare = Self.read(Self.needed(Array(native.prefix(28)), mtu: 1300))
        #expect(bare?.local == Self.nativeGateway && bare?.peer == Self.native && bare?.spi == 0xcafe && bare?.sequence == 7 && bare?.length == 1428)
        #expect(Self.read(Self.needed(Array(native.prefix(27)), mtu: 1300)) == nil)
        // RFC 1191 section 5: routers that do not say what they take
        #expect(Self.read(Self.needed(native, mtu: 0))?.mtu == 1006)
        // Later fragments show no SPI; other protocols are not ours; other messages are none of these
        let fragment = Packets.ipv4("192.0.2.1", "198.51.100.7", protocol: 50, offset: 3, payload: esp)
        #expect(Self.read(Self.needed(fragment, mtu: 1300)) == nil)
        #expect(Self.read(Self.needed(Packets.ipv4("192.0.2.1", "198.51.100.7", protocol: 6, payload: esp), mtu: 1300)) == nil)
        var unreachable = Self.needed(native, mtu: 1300)
        unreachable[1] = 3
        unreachable.patch(bigEndian: UInt16(0), at: 2)
        unreachable.patch(bigEndian: Packets.checksum(unreachable), at: 2)
        #expect(Self.read(unreachable) == nil)
        var damaged = Self.needed(native, mtu: 1300)
        damaged[30] ^= 1
        #expect(Self.read(damaged) == nil)

        let six = Packets.ipv6("2001:db8:1::1", "2001:db8:7::7", payload: Self.udp(esp))
        let wanted6 = PathMTUReport(mtu: 1300, length: 1456, local: Self.gateway6, peer: Self.peer6, spi: 0xcafe, sequence: 7)
        for octets in [56, 1232] { #expect(Self.read(Self.tooBig(Array(six.prefix(octets)), mtu: 1300), isIPv6: true) == wanted6) }
        #expect(Self.read(Self.tooBig(Array(six.prefix(55)), mtu: 1300), isIPv6: true) == nil)
        #expect(Self.read(Self.needed(encapsulated, mtu: 1300), isIPv6: true) == nil)
        // The first fragment of ours is seen through
        let cut = Packets.ipv6("2001:db8:1::1", "2001:db8:7::7", next: 44, payload: [17, 0, 0, 1, 0, 0, 0, 9] + Self.udp(esp))
        #expect(Self.read(Self.tooBig(cut, mtu: 1280), isIPv6: true)?.sequence == 7)
    }

    @Test("messages of noise are read or refused", arguments: [UInt64(33)])
    func threat_P33_noise(seed: UInt64) {
        print("seed \(seed)")
        var numbers = SeededNumbers(seed: seed)
        let good = [
            Self.needed(Packets.ipv4("192.0.2.1", "198.51.100.7", payload: Self.udp(Self.esp())), mtu: 600),
            Self.tooBig(Packets.ipv6("2001:db8:1::1", "2001:db8:7::7", payload: Self.udp(Self.esp())), mtu: 1280),
        ]
        var read = 0
        for round in 0..<20_000 {
            let isIPv6 = round % 2 == 1
            var message = good[round % 2]
            for _ in 0..<Int.random(in: 1...4, using: &numbers) {
                message[Int.random(in: 0..<message.count, using: &numbers)] = UInt8.random(in: 0...255, using: &numbers)
            }
            message.removeLast(Int.random(in: 0...message.count, using: &numbers) / 2)
            if !isIPv6, message.count > 4 {
                message.patch(bigEndian: UInt16(0), at: 2)
                message.patch(bigEndian: Packets.checksum(message), at: 2)
            }
            if Self.read(message, isIPv6: isIPv6) != nil { read += 1 }
        }
        #expect(read > 1000)
    }

    /// A probe for a packet of so many inner octets; nil when none is wanted.
    static func probe(_ session: inout Session, _ length: Int, link: Int = 1500) -> [UInt8]? {
        guard session.sad.wantsProbe(slot: session.spi.slot, inner: length, atMost: link, now: session.now) else { return nil }
        var buffer = [UInt8](repeating: 0x77, count: 9_300)
        let (spi, now) = (session.spi, session.now)
        return buffer.withUnsafeMutableBytes { all in
            session.sad.sealProbe(slot: spi.slot, PacketView(all), offset: 128, length: length, now: now)
                .map { PacketView(all).part($0.start, $0.length).octets }
        }
    }

    /// What a sender of 1400 octets with DF is told; nil: they pass.
    static func told(_ session: inout Session, _ octets: Int = 1400) throws -> Int? {
        guard case .reply(let reply) = try session.send(MTUTests.back(octets, flags: 2)) else { return nil }
        return Int(reply[26]) << 8 | Int(reply[27])
    }

    static func heed(_ session: inout Session, _ message: [UInt8]) -> Bool {
        guard let report = read(message, isIPv6: message[0] == 2) else { return false }
        return session.sad.heed(report, child: session.spi, now: session.now)
    }

    @Test("IPv4: a report counts only if it is about our last probe; 576 is the floor; what was told is forgotten in time", arguments: [true, false])
    func threat_P33_onlyAProbeLowersIPv4(isNative: Bool) throws {
        var session = try Session()
        if isNative { session.sad.move(tunnel: 2, generation: 1, to: Self.native, from: Self.nativeGateway) }
        #expect(try Self.told(&session) == nil)
        let probe = try #require(Self.probe(&session, 1400))
        // As long as the packet that it accompanies, with DF, and for the peer to throw away
        #expect(probe.count == 20 + (isNative ? 0 : 8) + session.suite.sealedLength(of: 1400))
        #expect(Packets.checksum(Array(probe[..<20])) == 0 && probe[6] == 0x40 && probe[7] == 0)
        #expect(Int(probe[2]) << 8 | Int(probe[3]) == probe.count && probe[9] == (isNative ? 50 : 17))
        let inside = Array(probe[(isNative ? 20 : 28)...])
        let opened = drop { () throws(Drop) in _ = try session.clientIn.open(inside) }
        #expect(opened == .dummy)

        // About a packet with DF clear, another number, another SPI, another peer, a probe of another length
        var forged: [[UInt8]] = []
        for sequence in [UInt32(1), 3, 0, 0xffff_ffff] {
            var other = probe
            other.patch(bigEndian: sequence, at: isNative ? 24 : 32)
            forged.append(other)
        }
        for (at, value) in [(isNative ? 20 : 28, UInt32(0xcaff)), (16, 0xc633_6408), (12, 0xc000_0202)] {
            var other = probe
            other.patch(bigEndian: value, at: at)
            forged.append(other)
        }
        if !isNative {
            var other = probe
            other.patch(bigEndian: UInt16(4501), at: 20)
            forged.append(other)
        }
        var longer = probe
        longer.patch(bigEndian: UInt16(probe.count + 1), at: 2)
        forged.append(longer)
        for packet in forged { #expect(!Self.heed(&session, Self.needed(packet, mtu: 68)), "\(packet[..<36])") }
        // What a router takes is less than what it refused
        #expect(!Self.heed(&session, Self.needed(probe, mtu: UInt16(probe.count))))
        #expect(session.sad.board.drops(.unprovenTooBig) == UInt64(forged.count + 1) && session.sad.pathMTU(ofTunnel: 2) == nil)
        #expect(try Self.told(&session) == nil)

        #expect(Self.heed(&session, Self.needed(Array(probe.prefix(36)), mtu: 68)))
        #expect(session.sad.pathMTU(ofTunnel: 2) == 576)
        // Once
        #expect(!Self.heed(&session, Self.needed(probe, mtu: 300)))
        let fitting = try #require(try Self.told(&session))
        #expect(session.suite.sealedLength(of: fitting) + (isNative ? 20 : 28) <= 576 && session.suite.sealedLength(of: fitting + 1) + 28 > 576)
        #expect(try session.received(MTUTests.back(fitting, flags: 2)) == [MTUTests.back(fitting, flags: 2)])
        #expect(try session.received(MTUTests.back(1400)).count == 3)

        session.now = session.now + .seconds(899)
        #expect(try Self.told(&session) == fitting)
        session.now = session.now + .seconds(2)
        #expect(try Self.told(&session) == nil && session.sad.pathMTU(ofTunnel: 2) == nil)
        // and is asked for anew
        #expect(Self.probe(&session, 1400) != nil)
    }

    @Test("a report about a probe of long ago does not count")
    func threat_P33_lateReports() throws {
        var session = try Session()
        let probe = try #require(Self.probe(&session, 1400))
        session.now = session.now + .seconds(6)
        #expect(!Self.heed(&session, Self.needed(probe, mtu: 1300)))
    }

    @Test("probes: three for the largest packet within the aging time, a second apart; none for what is small, cut, over our own link, or IPv6")
    func probesAreFew() throws {
        var session = try Session()
        #expect(Self.probe(&session, 1000) == nil)
        #expect(Self.probe(&session, 1400, link: 1400) == nil)
        var sent = 0
        for _ in 0..<100 {
            if Self.probe(&session, 1350) != nil { sent += 1 }
            session.now = session.now + .milliseconds(100)
        }
        #expect(sent == 3)
        // Larger than what was asked for: again; smaller: no more
        #expect(Self.probe(&session, 1400) != nil)
        session.now = session.now + .seconds(2)
        #expect(Self.probe(&session, 1350) == nil)
        #expect(Self.probe(&session, 1400) != nil)
        session.now = session.now + .seconds(900)
        #expect(Self.probe(&session, 1350) != nil)
        // Behind the link that told us may be a narrower one: what fits is asked about
        session.now = session.now + .seconds(2)
        let probe = try #require(Self.probe(&session, 1400))
        #expect(Self.heed(&session, Self.needed(probe, mtu: 1400)))
        session.now = session.now + .seconds(2)
        let second = try #require(Self.probe(&session, 1300))
        #expect(Self.heed(&session, Self.needed(second, mtu: 1330)) && session.sad.pathMTU(ofTunnel: 2) == 1330)

        var settings = TunnelSettings()
        settings.propagatesPathMTU = false
        var silent = try Session(settings: settings)
        #expect(Self.probe(&silent, 1400) == nil)
        silent.sad.move(tunnel: 2, generation: 1, to: Self.peer6, from: Self.gateway6)
        #expect(Self.probe(&silent, 1400) == nil)
        var six = try Session()
        six.sad.move(tunnel: 2, generation: 1, to: Self.peer6, from: Self.gateway6)
        #expect(Self.probe(&six, 1400) == nil)
    }

    /// What left for an IPv6 peer, as the router saw it.
    static func sent6(_ session: inout Session, _ octets: Int) throws -> [UInt8] {
        guard case .packets(let packets) = try session.send(MTUTests.back(octets)) else { return [] }
        return Packets.ipv6("2001:db8:1::1", "2001:db8:7::7", payload: udp(packets[0]))
    }

    @Test("IPv6: a report counts if it is about a packet that we sent lately; 1280 is the floor; it never raises")
    func threat_P33_sentPacketsLowerIPv6() throws {
        var session = try Session()
        session.sad.move(tunnel: 2, generation: 1, to: Self.peer6, from: Self.gateway6)
        // Nothing was sent yet
        let early = Packets.ipv6("2001:db8:1::1", "2001:db8:7::7", payload: Self.udp(Self.esp(1400, sequence: 0)))
        #expect(!Self.heed(&session, Self.tooBig(early, mtu: 1300)))
        let packet = try Self.sent6(&session, 1400)
        for (at, value) in [(48, UInt32(0xcaff)), (52, 2), (52, 0xffff_0000), (36, 8), (20, 2), (40, 0x1195_0001)] {
            var other = packet
            other.patch(bigEndian: value, at: at)
            #expect(!Self.heed(&session, Self.tooBig(other, mtu: 1300)), "octets at \(at)")
        }
        #expect(!Self.heed(&session, Self.tooBig(packet, mtu: 1490)))
        #expect(session.sad.board.drops(.unprovenTooBig) == 8 && session.sad.pathMTU(ofTunnel: 2) == nil)
        #expect(Self.heed(&session, Self.tooBig(packet, mtu: 1400)) && session.sad.pathMTU(ofTunnel: 2) == 1400)
        #expect(!Self.heed(&session, Self.tooBig(packet, mtu: 1450)) && session.sad.pathMTU(ofTunnel: 2) == 1400)
        #expect(Self.heed(&session, Self.tooBig(packet, mtu: 68)) && session.sad.pathMTU(ofTunnel: 2) == 1280)
        let fitting = try #require(try Self.told(&session))
        #expect(session.suite.sealedLength(of: fitting) + 48 <= 1280 && session.suite.sealedLength(of: fitting + 4) + 48 > 1280)
        // DP-4: IPv6 senders are told 1280 at the least, and what they then send leaves in outer fragments
        guard case .reply(let reply) = try session.send(Packets.ipv6("2001:db8:1::9", "2001:db8::10", payload: Packets.udp(1, 2, octets: 1300)))
        else {
            Issue.record("no ICMPv6 message")
            return
        }
        #expect(Int(reply[46]) << 8 | Int(reply[47]) == 1280)
        #expect(session.sad.outerFragmentation(slot: session.spi.slot, inner: 1280)?.count == 2)
        // Another place of the peer is another path
        session.sad.move(tunnel: 2, generation: 1, to: Self.peer6, from: nil)
        #expect(session.sad.pathMTU(ofTunnel: 2) == nil)
        #expect(try Self.told(&session) == nil)
    }

    @Test("a peer that is followed to another place takes another path")
    func theWayToAnotherPlace() throws {
        var session = try Session()
        let probe = try #require(Self.probe(&session, 1400))
        #expect(Self.heed(&session, Self.needed(probe, mtu: 1300)))
        _ = try session.deliver(Packets.ipv4(Session.clientAddress, Session.server, payload: Packets.udp(1, 2)))
        #expect(session.sad.pathMTU(ofTunnel: 2) == 1300)
        let elsewhere = Endpoint(Packets.address("203.0.113.9"), port: 1024)
        _ = try session.deliver(Packets.ipv4(Session.clientAddress, Session.server, payload: Packets.udp(1, 2)), from: elsewhere)
        #expect(session.sad.peer(ofTunnel: 2) == elsewhere && session.sad.pathMTU(ofTunnel: 2) == nil)
    }

    @Test("the MSS follows what fits; without `propagate-pmtu` nobody inside is told, and outer packets are cut", arguments: [true, false])
    func propagation(isOn: Bool) throws {
        var settings = TunnelSettings()
        settings.propagatesPathMTU = isOn
        var session = try Session(settings: settings)
        session.sad.move(tunnel: 2, generation: 1, to: Self.peer6, from: Self.gateway6)
        let packet = try Self.sent6(&session, 1400)
        #expect(Self.heed(&session, Self.tooBig(packet, mtu: 1300)))
        let fitting = session.sad.innerLimit(ofTunnel: 2)
        #expect(isOn ? fitting < 1300 : fitting == 1400)
        #expect(try Self.told(&session) == (isOn ? fitting : nil))
        #expect((session.sad.outerFragmentation(slot: session.spi.slot, inner: 1400)?.count ?? 0) == 2)
        #expect(session.sad.outerFragmentation(slot: session.spi.slot, inner: 1200) == nil)
        let (server, client) = (Session.server, Session.clientAddress)
        let syn = Packets.ipv4(server, client, protocol: 6, payload: Packets.tcp(server, client, options: [2, 4, 5, 0xb4]))
        let passed = try #require(try session.received(syn).first)
        #expect(Int(passed[42]) << 8 | Int(passed[43]) == fitting - 40)
        let back = Packets.ipv4(client, server, protocol: 6, payload: Packets.tcp(client, server, options: [2, 4, 5, 0xb4]))
        let up = try session.deliver(back, from: Self.peer6)
        #expect(Int(up[42]) << 8 | Int(up[43]) == fitting - 40)
    }

    @Test("CVE-2021-3773: where this machine masquerades, no client sends from our ports to where peers may be", arguments: [true, false])
    func threat_C14_listenerPorts(masquerades: Bool) throws {
        var session = try Session(reservesListenerPorts: masquerades)
        func outcome(_ packet: [UInt8]) -> Drop? { drop { () throws(Drop) in _ = try session.deliver(packet) } }
        let (client, client6) = (Session.clientAddress, "2001:db8::10")
        for port in [UInt16(500), 4500] {
            for to in ["198.51.100.8", "8.8.8.8", "172.32.0.1", "100.128.0.1", "192.169.0.1", "11.0.0.1"] {
                let datagram = Packets.udp(port, 61_000)
                #expect(outcome(Packets.ipv4(client, to, payload: datagram)) == (masquerades ? .listenerPort : nil), "\(port) to \(to)")
                // A first fragment shows the port too
                #expect(outcome(Packets.ipv4(client, to, flags: 1, payload: datagram)) == (masquerades ? .listenerPort : nil))
            }
            #expect(outcome(Packets.ipv6(client6, "2001:4860::8", payload: Packets.udp(port, 61_000))) == (masquerades ? .listenerPort : nil))
            for inside in ["10.1.2.3", "172.16.0.1", "172.31.255.254", "192.168.7.7", "100.64.0.1", "169.254.1.1"] {
                #expect(outcome(Packets.ipv4(client, inside, payload: Packets.udp(port, 500))) == nil, "\(port) to \(inside)")
            }
            #expect(outcome(Packets.ipv6(client6, "fd00::1", payload: Packets.udp(port, 500))) == nil)
        }
        for port in [UInt16(499), 501, 4499, 4501, 61_000] {
            #expect(outcome(Packets.ipv4(client, "198.51.100.8", payload: Packets.udp(port, 4500))) == nil)
        }
        let tcp = Packets.tcp(client, "198.51.100.8", from: 4500)
        #expect(outcome(Packets.ipv4(client, "198.51.100.8", protocol: 6, payload: tcp)) == nil)
    }
}

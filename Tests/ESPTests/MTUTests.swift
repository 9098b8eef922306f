import ESP
import PacketFixtures
import Testing
import Wire

@Suite struct MTUTests {
    static let client = Session.clientAddress
    static func back(_ octets: Int, flags: UInt16 = 0, offset: UInt16 = 0, options: [UInt8] = []) -> [UInt8] {
        let header = 20 + options.count
        var numbers = SeededNumbers(seed: UInt64(octets))
        let payload = (0..<octets - header).map { _ in UInt8(truncatingIfNeeded: numbers.next()) }
        return Packets.ipv4(Session.server, client, flags: flags, offset: offset, options: options, payload: payload)
    }

    /// Puts fragments together and says what is wrong with them.
    static func reassemble(_ pieces: [[UInt8]], mtu: Int) -> (payload: [UInt8], problems: [String]) {
        var payload: [UInt8] = []
        var problems: [String] = []
        for (index, piece) in pieces.enumerated() {
            let header = Int(piece[0] & 15) * 4
            let word = UInt16(piece[6]) << 8 | UInt16(piece[7])
            if piece.count > mtu { problems.append("piece \(index) has \(piece.count) octets") }
            if Int(piece[2]) << 8 | Int(piece[3]) != piece.count { problems.append("piece \(index): total length") }
            if Packets.checksum(Array(piece[..<header])) != 0 { problems.append("piece \(index): checksum") }
            if Int(word & 0x1fff) * 8 != payload.count { problems.append("piece \(index): offset") }
            if (word & 0x2000 != 0) == (index == pieces.count - 1) { problems.append("piece \(index): MF") }
            if Array(piece[4..<6]) != Array(pieces[0][4..<6]) { problems.append("piece \(index): identification") }
            payload += piece[header...]
        }
        return (payload, problems)
    }

    @Test(arguments: [600, 1400, 1280, 576, 9000])
    func DP_3_fragmentsFitAndComeTogether(mtu: Int) throws {
        var settings = TunnelSettings()
        settings.ipMTU = mtu
        var session = try Session(settings: settings)
        for size in [mtu - 1, mtu, mtu + 1, mtu * 2, mtu * 2 + 7, min(mtu * 9, 60_000)] {
            let packet = Self.back(size)
            let pieces = try session.received(packet)
            #expect((pieces.count > 1) == (size > mtu))
            if size <= mtu {
                #expect(pieces == [packet])
                continue
            }
            let (payload, problems) = Self.reassemble(pieces, mtu: mtu)
            #expect(problems.isEmpty && payload == Array(packet[20...]))
        }
    }

    @Test func DP_3_copiedOptionsAndFragmentsOfFragments() throws {
        var session = try Session()
        // Router alert (copied), timestamp (not copied)
        let options: [UInt8] = [148, 4, 0, 0, 68, 8, 5, 0, 0, 0, 0, 0]
        let pieces = try session.received(Self.back(3000, options: options))
        #expect(pieces.count == 3)
        #expect(pieces[0][0] == 0x48 && pieces[1][0] == 0x46 && Array(pieces[1][20..<24]) == [148, 4, 0, 0])
        let (payload, problems) = Self.reassemble(pieces, mtu: 1400)
        #expect(problems.isEmpty && payload == Array(Self.back(3000, options: options)[32...]))
        // A first fragment is cut again: every piece says that more follow
        let fragment = Packets.ipv4(Session.server, Self.client, flags: 1, offset: 100, payload: [UInt8](repeating: 3, count: 2400))
        let again = try session.received(fragment)
        #expect(again.count == 2)
        for (index, piece) in again.enumerated() {
            let word = UInt16(piece[6]) << 8 | UInt16(piece[7])
            #expect(word & 0x2000 != 0 && word & 0x1fff == (index == 0 ? 100 : 100 + 172))
        }
    }

    @Test func DP_3_clearDF() throws {
        var settings = TunnelSettings()
        settings.clearDF = true
        var session = try Session(settings: settings)
        let pieces = try session.received(Self.back(2000, flags: 2))
        let (payload, problems) = Self.reassemble(pieces, mtu: 1400)
        #expect(pieces.count == 2 && problems.isEmpty && payload == Array(Self.back(2000, flags: 2)[20...]))
        let next = try session.received(Self.back(2000, flags: 2))
        #expect(Array(next[0][4..<6]) != Array(pieces[0][4..<6]))
    }

    @Test func DP_3_fragmentationNeeded() throws {
        var session = try Session()
        let packet = Self.back(1401, flags: 2)
        guard case .reply(let reply) = try session.send(packet) else {
            Issue.record("no ICMP message")
            return
        }
        #expect(Packets.checksum(Array(reply[..<20])) == 0 && Packets.checksum(Array(reply[20...])) == 0)
        #expect(reply.count == 576 && reply[9] == 1 && reply[20] == 3 && reply[21] == 4)
        // From our own address on the private interface: in the client's name it would be a forgery
        #expect(Array(reply[12..<16]) == Packets.address("10.99.0.1").octets && Array(reply[16..<20]) == Packets.address(Session.server).octets)
        #expect(Int(reply[26]) << 8 | Int(reply[27]) == 1400)
        #expect(Array(reply[28...]) == Array(packet[..<548]))
        #expect(session.sad.board.drops(.tooBig) == 1 && session.sad.board.tunnel(2).drops == 1)
    }

    @Test func DP_4_packetTooBig() throws {
        var session = try Session()
        let source = "2001:db8:1::1"
        guard case .reply(let reply) = try session.send(Packets.ipv6(source, "2001:db8::10", payload: Packets.udp(1, 2, octets: 1400))) else {
            Issue.record("no ICMPv6 message")
            return
        }
        // No address of ours in this family: the destination's stands in
        #expect(Array(reply[8..<24]) == Packets.address("2001:db8::10").octets)
        #expect(reply.count == 1280 && reply[6] == 58 && reply[40] == 2 && Int(reply[46]) << 8 | Int(reply[47]) == 1400)
        var pseudo = Array(reply[8..<40])
        pseudo.append(bigEndian: UInt32(reply.count - 40))
        pseudo.append(bigEndian: UInt32(58))
        #expect(Packets.checksum(pseudo + reply[40...]) == 0)
        // What IPv6 must be able to send goes whole, and no less is told
        var settings = TunnelSettings()
        settings.ipMTU = 600
        var narrow = try Session(settings: settings)
        let fitting = Packets.ipv6(source, "2001:db8::10", payload: Packets.udp(1, 2, octets: 1280 - 48))
        let whole = try narrow.received(fitting)
        #expect(whole == [fitting])
        guard case .reply(let told) = try narrow.send(Packets.ipv6(source, "2001:db8::10", payload: Packets.udp(1, 2, octets: 1281 - 48))) else {
            return
        }
        #expect(Int(told[46]) << 8 | Int(told[47]) == 1280)
    }

    @Test func DP_7_rateOfMessages() throws {
        var session = try Session()
        let packet = Self.back(1500, flags: 2)
        func replies(_ session: inout Session, _ count: Int) -> Int {
            var told = 0
            for _ in 0..<count {
                _ = drop { () throws(Drop) in if case .reply = try session.send(packet) { told += 1 } }
            }
            return told
        }
        #expect(replies(&session, 250) == 100)
        session.now = session.now + .seconds(9)
        #expect(replies(&session, 10) == 0)
        session.now = session.now + .seconds(1)
        #expect(replies(&session, 250) == 100)
        #expect(session.sad.board.drops(.tooBig) == 510)
    }

    @Test func noErrorsAboutErrors() throws {
        var session = try Session()
        var message: [UInt8] = [3, 1, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 0, count: 1500)
        message.patch(bigEndian: Packets.checksum(message), at: 2)
        let error = Packets.ipv4(Session.server, Self.client, protocol: 1, flags: 2, payload: message)
        let first = drop { () throws(Drop) in _ = try session.send(error) }
        #expect(first == .tooBig)
        let later = Packets.ipv4(Session.server, Self.client, flags: 2, offset: 8, payload: [UInt8](repeating: 0, count: 1500))
        let second = drop { () throws(Drop) in _ = try session.send(later) }
        #expect(second == .tooBig)
    }

    static func mss(_ packet: [UInt8]) -> UInt16? {
        let start = Int(packet[0] & 15) * 4
        let end = start + Int(packet[start + 12] >> 4) * 4
        var at = start + 20
        while at < end {
            if packet[at] == 1 { at += 1; continue }
            if packet[at] == 2 { return UInt16(packet[at + 2]) << 8 | UInt16(packet[at + 3]) }
            at += max(Int(packet[at + 1]), 1)
        }
        return nil
    }

    // Aligned, at an odd octet, behind others, already small, SYN-ACK, no SYN, no option
    @Test(
        arguments: [
            ([2, 4, 5, 180], 2, 1360), ([1, 2, 4, 5, 180, 0, 0, 0], 2, 1360), ([4, 2, 2, 4, 5, 180, 1, 1], 2, 1360), ([2, 4, 2, 24], 2, 536),
            ([2, 4, 5, 180], 0x12, 1360), ([2, 4, 5, 180], 0x10, 1460), ([2, 4, 255, 255], 2, 1360),
        ] as [([UInt8], UInt8, UInt16)])
    func MSSClamp(options: [UInt8], flags: UInt8, expected: UInt16) throws {
        var session = try Session()
        let up = Packets.ipv4(
            Self.client, Session.server, protocol: 6, payload: Packets.tcp(Self.client, Session.server, flags: flags, options: options, payload: [9]))
        let delivered = try session.deliver(up)
        #expect(Self.mss(delivered) == expected)
        #expect(Packets.tcpChecksum(Array(delivered[20...]), Self.client, Session.server) == 0)
        let down = Packets.ipv4(
            Session.server, Self.client, protocol: 6, payload: Packets.tcp(Session.server, Self.client, flags: flags, options: options))
        let received = try session.received(down)
        #expect(received.count == 1 && Self.mss(received[0]) == expected)
        #expect(Packets.tcpChecksum(Array(received[0][20...]), Session.server, Self.client) == 0)
    }

    @Test(arguments: [[2, 0, 5, 180], [2, 3, 5, 180], [2, 9, 5, 180], [9, 0, 0, 0], [1, 1, 1, 2], [3, 255, 0, 0]] as [[UInt8]])
    func threat_C2_brokenTCPOptionsChangeNothing(options: [UInt8]) throws {
        var session = try Session()
        let packet = Packets.ipv4(
            Self.client, Session.server, protocol: 6, payload: Packets.tcp(Self.client, Session.server, options: options))
        let delivered = try session.deliver(packet)
        #expect(delivered == packet)
    }

    @Test func settingsOfATemplate() {
        var template = TunnelTemplate(id: 1)
        template.ipMTU = 1300
        template.clearDFBit = true
        template.privateTCPMSSAdjust = 1200
        template.fragmentationRequired.isEnabled = false
        let settings = TunnelSettings(template)
        #expect(settings.ipMTU == 1300 && settings.clearDF && settings.maximumSegmentIPv4 == 1200 && settings.maximumSegmentIPv6 == 1200)
        #expect(settings.fragmentationNeededCount == 0 && settings.packetTooBigCount == 100 && settings.packetTooBigInterval == 10_000_000_000)
    }
}

import ESP
import PacketFixtures
import Testing
import Wire

@Suite struct SelectorTests {
    static func range(_ text: String) -> AddressRange { (IPPrefix(text) ?? IPPrefix(host: IPAddress(v4: 0))).range }
    static func selectors(
        local: [(String, UInt8, UInt16, UInt16)], remote: [(String, UInt8, UInt16, UInt16)] = [("10.99.0.10/32", 0, 0, 65_535)]
    ) -> Selectors {
        func entries(_ list: [(String, UInt8, UInt16, UInt16)]) -> [Selectors.Entry] {
            list.map { Selectors.Entry(range($0.0), ipProtocol: $0.1, startPort: $0.2, endPort: $0.3) }
        }
        return Selectors(local: entries(local), remote: entries(remote))
    }

    static let client = Session.clientAddress

    static func packet(_ destination: String, _ ipProtocol: UInt8 = 17, to port: UInt16 = 53, flags: UInt16 = 0, offset: UInt16 = 0) -> [UInt8] {
        let payload = ipProtocol == 6 ? Packets.tcp(client, destination, to: port) : Packets.udp(4000, port)
        return Packets.ipv4(client, destination, protocol: ipProtocol, flags: flags, offset: offset, payload: payload)
    }

    static func answer(_ source: String, _ ipProtocol: UInt8 = 17, from port: UInt16 = 53) -> [UInt8] {
        let payload = ipProtocol == 6 ? Packets.tcp(source, client, from: port, to: 4000) : Packets.udp(port, 4000)
        return Packets.ipv4(source, client, protocol: ipProtocol, payload: payload)
    }

    static func inbound(_ packet: [UInt8], _ selectors: Selectors) throws -> Drop? {
        var session = try Session(selectors: selectors)
        return drop { () throws(Drop) in _ = try session.deliver(packet) }
    }

    static func outbound(_ packet: [UInt8], _ selectors: Selectors) throws -> Drop? {
        var session = try Session(selectors: selectors)
        return drop { () throws(Drop) in _ = try session.send(packet) }
    }

    @Test func addressesProtocolsAndPorts() throws {
        let web = Self.selectors(local: [("10.1.0.0/16", 6, 443, 443), ("10.2.0.0/16", 17, 53, 53), ("10.3.0.0/24", 0, 0, 65_535)])
        let table: [(String, [UInt8], Drop?)] = [
            ("TCP 443", Self.packet("10.1.9.9", 6, to: 443), nil),
            ("TCP 444", Self.packet("10.1.9.9", 6, to: 444), .selectors),
            ("TCP 442", Self.packet("10.1.9.9", 6, to: 442), .selectors),
            ("UDP 443", Self.packet("10.1.9.9", 17, to: 443), .selectors),
            ("UDP 53", Self.packet("10.2.0.0", 17, to: 53), nil),
            ("any", Self.packet("10.3.0.255", 17, to: 9), nil),
            ("one beyond", Self.packet("10.3.1.0", 17, to: 9), .selectors),
            ("one before", Self.packet("10.2.255.255", 17, to: 9), .selectors),
            ("GRE where any", Packets.ipv4(Self.client, "10.3.0.1", protocol: 47, payload: [0, 0, 8, 0]), nil),
            ("GRE where ports", Packets.ipv4(Self.client, "10.1.0.1", protocol: 47, payload: [0, 0, 8, 0]), .selectors),
        ]
        for (name, packet, expected) in table {
            let result = try Self.inbound(packet, web)
            #expect(result == expected, "\(name)")
        }
        let outTable: [(String, [UInt8], Drop?)] = [
            ("TCP 443 back", Self.answer("10.1.9.9", 6, from: 443), nil),
            ("TCP 80 back", Self.answer("10.1.9.9", 6, from: 80), .selectors),
            ("stranger", Self.answer("10.9.9.9", 6, from: 443), .selectors),
        ]
        for (name, packet, expected) in outTable {
            let result = try Self.outbound(packet, web)
            #expect(result == expected, "\(name)")
        }
    }

    @Test func threat_P31_fragmentsAndPortSelectors() throws {
        let ports = Self.selectors(local: [("10.1.0.0/16", 17, 53, 53)])
        let any = Self.selectors(local: [("10.1.0.0/16", 17, 0, 65_535)])
        let opaque = Self.selectors(local: [("10.1.0.0/16", 17, 65_535, 0)], remote: [("10.99.0.10/32", 17, 65_535, 0)])
        let later = Packets.ipv4(Self.client, "10.1.0.1", offset: 4, payload: Packets.udp(53, 53))
        let first = Packets.ipv4(Self.client, "10.1.0.1", flags: 1, payload: Packets.udp(4000, 53))
        #expect(try Self.inbound(later, ports) == .fragment)
        #expect(try Self.inbound(later, any) == nil)
        #expect(try Self.inbound(later, opaque) == nil)
        #expect(try Self.inbound(first, ports) == nil)
        #expect(try Self.inbound(Self.packet("10.1.0.1"), opaque) == .selectors)
    }

    static func icmp(_ type: UInt8, _ code: UInt8, rest: [UInt8] = [0, 0, 0, 0], quoting quoted: [UInt8] = []) -> [UInt8] {
        var message = [type, code, 0, 0] + rest + quoted
        message.patch(bigEndian: Packets.checksum(message), at: 2)
        return message
    }

    @Test func TS_6_errorsThatQuoteAPacketOfTheSA() throws {
        let web = Self.selectors(local: [("10.1.0.0/16", 17, 53, 53)])
        let sent = Self.answer("10.1.0.1")
        // From the client, about a packet that went to it
        let unreachable = Packets.ipv4(Self.client, "10.1.0.1", protocol: 1, payload: Self.icmp(3, 3, quoting: Array(sent.prefix(28))))
        #expect(try Self.inbound(unreachable, web) == nil)
        // The same about a packet that could not have gone
        let strange = Packets.ipv4(
            Self.client, "10.1.0.1", protocol: 1, payload: Self.icmp(3, 3, quoting: Array(Self.answer("10.1.0.1", from: 54).prefix(28))))
        #expect(try Self.inbound(strange, web) == .selectors)
        // To someone else than the quoted sender
        let elsewhere = Packets.ipv4(Self.client, "10.1.0.2", protocol: 1, payload: Self.icmp(3, 3, quoting: Array(sent.prefix(28))))
        #expect(try Self.inbound(elsewhere, web) == .selectors)
        // No error: an echo
        let echo = Packets.ipv4(Self.client, "10.1.0.1", protocol: 1, payload: Self.icmp(8, 0))
        #expect(try Self.inbound(echo, web) == .selectors)
        // Cut short
        let short = Packets.ipv4(Self.client, "10.1.0.1", protocol: 1, payload: Self.icmp(3, 3, quoting: Array(sent.prefix(19))))
        #expect(try Self.inbound(short, web) == .selectors)
        // From a router on the way, about a packet of the client
        let went = Self.packet("10.1.0.1")
        let router = Packets.ipv4("172.16.0.1", Self.client, protocol: 1, payload: Self.icmp(3, 4, quoting: Array(went.prefix(28))))
        #expect(try Self.outbound(router, web) == nil)
        let noise = Packets.ipv4("172.16.0.1", Self.client, protocol: 1, payload: Self.icmp(3, 4, quoting: Array(Self.packet("10.9.0.1").prefix(28))))
        #expect(try Self.outbound(noise, web) == .selectors)
    }

    @Test func ICMPTypesStandWherePortsDo() throws {
        // RFC 7296 section 3.13.1: type 8, any code
        let pings = Self.selectors(local: [("10.1.0.0/16", 1, 0x0800, 0x08ff)])
        #expect(try Self.inbound(Packets.ipv4(Self.client, "10.1.0.1", protocol: 1, payload: Self.icmp(8, 0)), pings) == nil)
        #expect(try Self.inbound(Packets.ipv4(Self.client, "10.1.0.1", protocol: 1, payload: Self.icmp(13, 0)), pings) == .selectors)
    }

    @Test func threat_P30_eachPacketGoesByTheNewestSAThatAdmitsIt() throws {
        var session = try Session(selectors: Self.selectors(local: [("10.1.0.0/16", 0, 0, 65_535)]))
        guard let spi = LocalSPI(worker: 0, slot: 6, tag: 7) else { return }
        let second = SAPair(
            inbound: try SAs.inbound(SAs.gcm, spi: spi.rawValue, seed: 7), outbound: try SAs.outbound(SAs.gcm, spi: 0xbeef, seed: 8),
            selectors: Self.selectors(local: [("10.2.0.0/16", 0, 0, 65_535)]), lifetimes: SALifetimes(), tunnel: 2, supersedes: nil)
        _ = session.sad.insert(second)
        for (source, spi) in [("10.1.0.1", [0, 0, 0xca, 0xfe]), ("10.2.0.1", [0, 0, 0xbe, 0xef])] as [(String, [UInt8])] {
            guard case .packets(let packets) = try session.send(Self.answer(source)) else { return }
            #expect(Array(packets[0][..<4]) == spi)
        }
        let neither = drop { () throws(Drop) in _ = try session.send(Self.answer("10.3.0.1")) }
        #expect(neither == .selectors)
    }
}

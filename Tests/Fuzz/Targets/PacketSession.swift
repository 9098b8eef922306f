import ESP
import GatewayCrypto
import PacketFixtures
import Wire

/// One worker's database with one client and one Child SA, and the client's end of it.
struct PacketSession: ~Copyable {
    static let addressV4 = Packets.address("10.99.0.10")
    static let addressV6 = Packets.address("2001:db8::10")
    static let gateway = Endpoint(Packets.address("192.0.2.1"), port: 4500)
    static let peer = Endpoint(Packets.address("198.51.100.7"), port: 61_000)
    static let target = RouteTarget(worker: 0, tunnel: 2, generation: 1)
    /// ICMP-wise, port-wise and otherwise nothing special; only selectors without ports let it pass.
    static let sample = Packets.ipv4("10.99.0.10", "10.1.2.3", payload: Packets.udp(1000, 2000))

    var sad: SAD
    var client: OutboundSA
    var clientIn: InboundSA
    private let spi: LocalSPI
    private let suite: ProtectionSuite

    init(_ selectors: PacketSelectors, clearDF: Bool, encapsulatedMTU: Int = 0, copiesDSCP: Bool = false) throws {
        guard let protection = ProtectionSuite(encryption: .aesGCM16, keyBits: 128, integrity: .none),
            let spi = LocalSPI(worker: 0, slot: 5, tag: 0x91)
        else { found("no suite or SPI") }
        let suite = ESPSuite(protection: protection, extendedSequenceNumbers: false)
        let pair = SAPair(
            inbound: try Self.inbound(spi.rawValue, suite, 1), outbound: try Self.outbound(0xcafe, suite, 2), selectors: selectors.selectors,
            lifetimes: SALifetimes(), tunnel: 2, supersedes: nil)
        let client = try Self.outbound(spi.rawValue, suite, 1)
        let clientIn = try Self.inbound(0xcafe, suite, 2)
        var settings = TunnelSettings()
        settings.clearDF = clearDF
        settings.encapsulatedMTU = encapsulatedMTU
        settings.copiesOuterDSCP = copiesDSCP
        self.init(spi, protection, pair, client, clientIn, settings)
    }

    private init(
        _ spi: LocalSPI, _ suite: ProtectionSuite, _ pair: consuming SAPair, _ client: consuming OutboundSA, _ clientIn: consuming InboundSA,
        _ settings: TunnelSettings
    ) {
        sad = SAD(worker: 0, board: CounterBoard(tunnelCapacity: 4, saCapacity: 8), forbidden: [Self.gateway.address])
        self.spi = spi
        self.suite = suite
        self.client = client
        self.clientIn = clientIn
        let sources = [Self.addressV4, Self.addressV6].map { IPPrefix(host: $0).range }
        let tunnel = Tunnel(
            interface: 1, generation: 1, settings: settings, sources: sources, peer: Self.peer, local: Self.gateway)
        let isOpen = sad.open(tunnel: tunnel, at: 2)
        let isIn = sad.insert(pair)
        expect(isOpen && isIn, "no tunnel or SA")
    }

    private static func key(_ suite: ESPSuite, _ seed: UInt8) -> SecretOctets {
        SecretOctets(copying: [UInt8](repeating: seed, count: suite.protection.encryptionKeyLength))
    }

    private static func inbound(_ spi: UInt32, _ suite: ESPSuite, _ seed: UInt8) throws -> InboundSA {
        try InboundSA(
            spi: spi, suite: suite, encryptionKey: key(suite, seed), integrityKey: SecretOctets(copying: []), replayWindow: 64)
    }

    private static func outbound(_ spi: UInt32, _ suite: ESPSuite, _ seed: UInt8) throws -> OutboundSA {
        try OutboundSA(
            spi: spi, suite: suite, encryptionKey: key(suite, seed), integrityKey: SecretOctets(copying: []), entropy: SeededEntropy(seed: 3))
    }

    var spiOctets: [UInt8] {
        var octets: [UInt8] = []
        octets.append(bigEndian: spi.rawValue)
        return octets
    }

    /// An ESP packet around any text: the trailer is the fuzzer's too.
    borrowing func sealed(text: [UInt8]) -> [UInt8] {
        let esp = ESPSuite(protection: suite, extendedSequenceNumbers: false)
        guard
            var cipher = try? RecordCipher(
                suite, encryptionKey: Self.key(esp, 1), integrityKey: SecretOctets(copying: []), direction: .seal)
        else { found("no cipher") }
        var packet = spiOctets + [0, 0, 0, 9] + [UInt8](repeating: 3, count: suite.ivLength) + text + [UInt8](repeating: 0, count: suite.icvLength)
        let end = packet.count - suite.icvLength
        let ivLength = suite.ivLength
        let isSealed = packet.withUnsafeMutableBytes { all in
            cipher.seal(
                aad: UnsafeRawBufferPointer(rebasing: all[0..<8]), iv: UnsafeRawBufferPointer(rebasing: all[8..<8 + ivLength]),
                text: UnsafeMutableRawBufferPointer(rebasing: all[8 + ivLength..<end]), macTrailer: UnsafeRawBufferPointer(start: nil, count: 0),
                icv: UnsafeMutableRawBufferPointer(rebasing: all[end...]))
        }
        expect(isSealed, "no packet")
        return packet
    }

    /// What the private side gets; nil when it is dropped.
    mutating func opened(_ packet: [UInt8], trafficClass: UInt8 = 0) -> [UInt8]? {
        var octets = packet
        let delivery = octets.withUnsafeMutableBytes { buffer in
            try? sad.open(PacketView(buffer), from: Self.peer, at: Self.gateway, trafficClass: trafficClass, now: Instant(nanoseconds: 1_000_000_000))
        }
        guard let delivery else { return nil }
        expect(delivery.offset >= 0 && delivery.length >= 0 && delivery.offset + delivery.length <= octets.count, "a delivery beyond the packet")
        return Array(octets[delivery.offset..<delivery.offset + delivery.length])
    }

    /// What the client gets of a packet from the private side, opened.
    mutating func departed(_ inner: [UInt8]) -> [[UInt8]] {
        var buffer = [UInt8](repeating: 0, count: 128) + inner + [UInt8](repeating: 0, count: 64)
        var room = [UInt8](repeating: 0, count: 1280)
        let sealed = buffer.withUnsafeMutableBytes { all in room.withUnsafeMutableBytes { reply in depart(all, inner.count, reply) } }
        var opened: [[UInt8]] = []
        for packet in sealed {
            guard let plain = try? clientIn.open(packet) else { found("the client cannot open what we sealed") }
            opened.append(plain)
        }
        return opened
    }

    private mutating func depart(_ all: UnsafeMutableRawBufferPointer, _ count: Int, _ reply: UnsafeMutableRawBufferPointer) -> [[UInt8]] {
        let view = PacketView(all).part(128, count)
        guard let packet = try? InnerPacket(view),
            let departure = try? sad.depart(
                packet, view, by: Self.target, reply: PacketView(reply), fromIPv4: Packets.address("10.99.0.1").value, fromIPv6: 0,
                now: Instant(nanoseconds: 2_000_000_000))
        else { return [] }
        switch departure {
        case .whole(let slot):
            let prefix = sad.prefixLength(slot: slot)
            let outer = sad.outerFragmentation(slot: slot, inner: packet.length)
            guard
                let total = try? sad.seal(slot: slot, PacketView(all), offset: 128, length: packet.length, nextHeader: packet.nextHeader)
            else { return [] }
            let sealed = PacketView(all).part(128 - prefix, total)
            if let outer { cut(sealed, outer) }
            return [sealed.octets]
        case .fragments(let slot, let plan):
            var pieces: [[UInt8]] = []
            for index in 0..<plan.count {
                let place = UnsafeMutableRawBufferPointer.allocate(byteCount: 10_240, alignment: 16)
                defer { place.deallocate() }
                let length = plan.write(index, of: view, to: PacketView(place).part(64, 10_000))
                expect(length > 0, "an empty fragment")
                let prefix = sad.prefixLength(slot: slot)
                guard let total = try? sad.seal(slot: slot, PacketView(place), offset: 64, length: length, nextHeader: 4) else { return [] }
                pieces.append(PacketView(place).part(64 - prefix, total).octets)
            }
            return pieces
        case .refused(let length):
            expect(length > 0 && length <= reply.count, "an ICMP message of \(length) octets")
            expect(PlainHeader(PacketView(reply).part(0, length).octets)?.length == length, "a broken ICMP message")
            return []
        }
    }

    /// Cuts an outer packet as the worker does, the UDP header counted, and puts it together again.
    private mutating func cut(_ sealed: PacketView, _ plan: OuterFragmentation) {
        let payload = [UInt8](repeating: 0xaa, count: 8) + sealed.octets
        var whole = payload
        let header = OuterHeader(
            source: Self.gateway.address, destination: Self.peer.address, ipProtocol: 17, trafficClass: 0, identification: sad.nextIdentification())
        var collected: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 10_240)
        for index in 0..<plan.count {
            let length = whole.withUnsafeMutableBytes { from in
                room.withUnsafeMutableBytes { plan.write(index, of: PacketView(from), header, to: PacketView($0)) }
            }
            expect(length > 20, "an empty outer fragment")
            expect(PlainHeader(Array(room[..<length]))?.length == length, "an outer fragment that says another length")
            collected += room[20..<length]
        }
        expect(collected == payload, "outer fragments that do not make up the whole")
    }
}

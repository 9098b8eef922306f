import ESP
import GatewayCrypto
import PacketFixtures
import Wire

/// A pair of SAs that fit: what one seals the other opens.
enum SAs {
    static let gcm = suite(.aesGCM16, 128, .none, esn: true)
    static let gcm32 = suite(.aesGCM16, 256, .none, esn: false)
    static let cbc = suite(.aesCBC, 256, .hmacSHA256_128, esn: true)
    static let cbc32 = suite(.aesCBC, 128, .hmacSHA512_256, esn: false)
    static let chaCha = suite(.chaCha20Poly1305, 0, .none, esn: true)
    static let gmac = suite(.nullAESGMAC, 192, .none, esn: true)
    static let tripleDES32 = suite(.tripleDES, 0, .hmacMD5_96, esn: false)
    static let xcbc = suite(.aesCBC, 192, .aesXCBC_96, esn: true)
    static let null = suite(.null, 0, .hmacSHA1_96, esn: true)
    /// One of each kind.
    static let all = [gcm, gcm32, cbc, cbc32, chaCha, gmac, tripleDES32, xcbc, null]
    /// Every suite that there is, with both kinds of sequence numbers.
    static let every = ProtectionSuite.all.flatMap { suite in
        [true, false].map { ESPSuite(protection: suite, extendedSequenceNumbers: $0) }
    }

    static func suite(_ encryption: EncryptionAlgorithm, _ bits: Int, _ integrity: IntegrityAlgorithm, esn: Bool) -> ESPSuite {
        guard let protection = ProtectionSuite(encryption: encryption, keyBits: bits, integrity: integrity) else {
            preconditionFailure("no such suite")
        }
        return ESPSuite(protection: protection, extendedSequenceNumbers: esn)
    }

    struct Keys: ~Copyable {
        let encryption: SecretOctets
        let integrity: SecretOctets
    }

    static func keys(_ suite: ESPSuite, seed: UInt8) -> Keys {
        Keys(
            encryption: SecretOctets(copying: [UInt8](repeating: seed, count: suite.protection.encryptionKeyLength)),
            integrity: SecretOctets(copying: [UInt8](repeating: seed ^ 0xff, count: suite.protection.integrityKeyLength)))
    }

    static func outbound(
        _ suite: ESPSuite, spi: UInt32 = 0x0100_0000, seed: UInt8 = 1, maximumRecords: UInt64 = 1 << 32, after: UInt64 = 0
    ) throws -> OutboundSA {
        let keys = keys(suite, seed: seed)
        return try OutboundSA(
            spi: spi, suite: suite, encryptionKey: keys.encryption, integrityKey: keys.integrity, entropy: SeededEntropy(seed: 3),
            maximumRecords: maximumRecords, startingAfter: after)
    }

    static func inbound(_ suite: ESPSuite, spi: UInt32 = 0x0100_0000, seed: UInt8 = 1, window: Int = 64) throws -> InboundSA {
        let keys = keys(suite, seed: seed)
        return try InboundSA(spi: spi, suite: suite, encryptionKey: keys.encryption, integrityKey: keys.integrity, replayWindow: window)
    }
}

/// One worker's SAD with one session and one Child SA, and the client's side of it.
struct Session: ~Copyable {
    static let clientAddress = "10.99.0.10"
    static let server = "10.1.2.3"
    static let peer = Endpoint(Packets.address("198.51.100.7"), port: 61_000)
    static let gateway = Endpoint(Packets.address("192.0.2.1"), port: 4500)
    static let target = RouteTarget(worker: 0, tunnel: 2, generation: 1)

    var sad: SAD
    var client: OutboundSA
    var clientIn: InboundSA
    let spi: LocalSPI
    let suite: ESPSuite
    var now = Instant(nanoseconds: 1_000_000_000)

    init(
        suite: ESPSuite = SAs.gcm, settings: TunnelSettings = TunnelSettings(), selectors: Selectors? = nil, lifetimes: SALifetimes = SALifetimes(),
        addresses: [String] = [clientAddress, "2001:db8::10"], reservesListenerPorts: Bool = false
    ) throws {
        let ranges = addresses.map { IPPrefix(host: Packets.address($0)).range }
        guard let spi = LocalSPI(worker: 0, slot: 5, tag: 0x91) else { preconditionFailure("no SPI") }
        let pair = SAPair(
            inbound: try SAs.inbound(suite, spi: spi.rawValue, seed: 1), outbound: try SAs.outbound(suite, spi: 0xcafe, seed: 2),
            selectors: selectors ?? Self.everything, lifetimes: lifetimes, tunnel: 2, supersedes: nil)
        let client = try SAs.outbound(suite, spi: spi.rawValue, seed: 1)
        let clientIn = try SAs.inbound(suite, spi: 0xcafe, seed: 2)
        self.init(
            spi: spi, suite: suite, pair: pair, client: client, clientIn: clientIn, settings: settings, ranges: ranges,
            reservesListenerPorts: reservesListenerPorts)
    }

    private init(
        spi: LocalSPI, suite: ESPSuite, pair: consuming SAPair, client: consuming OutboundSA, clientIn: consuming InboundSA, settings: TunnelSettings,
        ranges: [AddressRange], reservesListenerPorts: Bool
    ) {
        sad = SAD(
            worker: 0, board: CounterBoard(tunnelCapacity: 8, saCapacity: 32), forbidden: [Packets.address("192.0.2.1")],
            reservesListenerPorts: reservesListenerPorts)
        self.suite = suite
        self.spi = spi
        self.client = client
        self.clientIn = clientIn
        let tunnel = Tunnel(interface: 1, generation: 1, settings: settings, sources: ranges, peer: Self.peer, local: Self.gateway)
        let isOpen = sad.open(tunnel: tunnel, at: 2)
        let isIn = sad.insert(pair)
        precondition(isOpen && isIn, "no tunnel or SA")
    }

    static var everything: Selectors {
        let all = [Selectors.Entry(.all(.ipv4)), Selectors.Entry(.all(.ipv6))]
        return Selectors(local: all, remote: all)
    }

    /// What the private side would get, or why not.
    mutating func deliver(_ inner: [UInt8], from peer: Endpoint = Session.peer, trafficClass: UInt8 = 0) throws(Drop) -> [UInt8] {
        try deliver(sealed: try client.seal(inner), from: peer, trafficClass: trafficClass)
    }

    mutating func deliver(sealed: [UInt8], from peer: Endpoint = Session.peer, trafficClass: UInt8 = 0) throws(Drop) -> [UInt8] {
        var octets = sealed
        let now = now
        let result: Result<SAD.Delivery, Drop> = octets.withUnsafeMutableBytes { buffer in
            do throws(Drop) {
                return .success(try sad.open(PacketView(buffer), from: peer, at: Session.gateway, trafficClass: trafficClass, now: now))
            } catch {
                return .failure(error)
            }
        }
        let delivery = try result.get()
        return Array(octets[delivery.offset..<delivery.offset + delivery.length])
    }

    /// What leaves for the client: ESP packets, or an ICMP message for the sender.
    enum Sent: Equatable { case packets([[UInt8]]), reply([UInt8]) }

    mutating func send(_ inner: [UInt8]) throws(Drop) -> Sent {
        var buffer = [UInt8](repeating: 0, count: 128) + inner + [UInt8](repeating: 0, count: 64)
        var reply = [UInt8](repeating: 0, count: 1280)
        let now = now
        let result: Result<Sent, Drop> = buffer.withUnsafeMutableBytes { all in
            reply.withUnsafeMutableBytes { room in
                do throws(Drop) {
                    let view = PacketView(all).part(128, inner.count)
                    let packet = try InnerPacket(view)
                    let departure = try sad.depart(
                        packet, view, by: Session.target, reply: PacketView(room), fromIPv4: Packets.address("10.99.0.1").value, fromIPv6: 0, now: now
                    )
                    switch departure {
                    case .whole(let slot):
                        let total = try sad.seal(slot: slot, PacketView(all), offset: 128, length: packet.length, nextHeader: packet.nextHeader)
                        return .success(.packets([PacketView(all).part(128 - sad.prefixLength(slot: slot), total).octets]))
                    case .fragments(let slot, let plan):
                        var out: [[UInt8]] = []
                        for index in 0..<plan.count {
                            let place = UnsafeMutableRawBufferPointer.allocate(byteCount: 10_240, alignment: 16)
                            defer { place.deallocate() }
                            let length = plan.write(index, of: view, to: PacketView(place).part(64, 10_000))
                            let total = try sad.seal(slot: slot, PacketView(place), offset: 64, length: length, nextHeader: 4)
                            out.append(PacketView(place).part(64 - sad.prefixLength(slot: slot), total).octets)
                        }
                        return .success(.packets(out))
                    case .refused(let length): return .success(.reply(PacketView(room).part(0, length).octets))
                    }
                } catch { return .failure(error) }
            }
        }
        return try result.get()
    }

    /// What the client reads, packet by packet.
    mutating func received(_ inner: [UInt8]) throws(Drop) -> [[UInt8]] {
        guard case .packets(let packets) = try send(inner) else { return [] }
        var opened: [[UInt8]] = []
        for packet in packets { opened.append(try clientIn.open(packet)) }
        return opened
    }
}

/// The drop that a body ends in; nil when it ends well.
func drop(_ body: () throws(Drop) -> Void) -> Drop? {
    do throws(Drop) {
        try body()
        return nil
    } catch { return error }
}

import GatewayCrypto
import LinuxIO
import PacketFixtures
import Testing
import Wire

@testable import Datapath
@testable import ESP

/// A packet that no engine could seal leaves for nobody, and neither does what stands in one entry with it; all of it is counted, once.
///
/// Beside the session's Child SA stands a newer one for what comes from one port, whose cipher refuses: its key is for opening. Packets of the two share rows.
@Suite struct RefusedSealTests {
    /// A suite, who does it, and whether that is in batches.
    struct Way: Sendable, CustomTestStringConvertible {
        let name: String
        let suite: ESPSuite
        let engine: CryptoEngine
        let isBatched: Bool

        var testDescription: String { "\(name), \(engine.rawValue)" }

        static let all = [
            Way(name: "AES-GCM", suite: Rig.suite, engine: .openSSL, isBatched: false),
            Way(name: "AES-GCM", suite: Rig.suite, engine: .multiBuffer, isBatched: false),
            Way(name: "AES-CBC", suite: CryptoBatchTests.cbc, engine: .openSSL, isBatched: false),
            Way(name: "AES-CBC", suite: CryptoBatchTests.cbc, engine: .multiBuffer, isBatched: true),
            Way(
                name: "ChaCha20-Poly1305", suite: ESPSuite(protection: .required(.chaCha20Poly1305, 0, .none), extendedSequenceNumbers: true),
                engine: .multiBuffer, isBatched: true),
        ].filter { $0.engine.isAvailable }
    }

    private static let port: UInt16 = 7

    private static func packet(_ number: Int, session: Int = 0, refused: Bool = false, octets: Int) -> [UInt8] {
        Packets.ipv4(
            "10.1.2.3", CoreRig.address4(session), identification: UInt16(number), payload: Packets.udp(refused ? port : 9, 9, octets: octets))
    }

    private static func batch(_ packets: [[UInt8]]) -> Batch {
        var batch = Batch(capacity: 512, room: 8192)
        for packet in packets { packet.withUnsafeBytes { _ = batch.append(copying: $0, to: Rig.peer, from: Rig.gateway) } }
        return batch
    }

    /// Rows of a session are told apart by the short packet that ends each. `others`: packets of a second session behind them, which decide how many of
    /// the first are sealed alone (`Lanes`).
    @Test(arguments: Way.all, [0, 3, 6])
    func threat_P27_whatCouldNotBeSealedLeavesForNobody(way: Way, others: Int) throws {
        var rig = try CoreRig([way.suite, way.suite], engine: way.engine)
        try rig.addRefusing(way.suite, way.engine, port: Self.port)
        // The middle, none, the first, none, the last, of a row
        let rows: [[Bool]] = [
            [false, false, true, false, false], [false, false, false, false, false], [true, false, false], [false, false, false],
            [false, false, true],
        ]
        var packets: [[UInt8]] = []
        var expected: [[[UInt8]]] = []
        var numbers: [UInt32] = []
        var (good, refused, lost): (Int, Int, Int) = (0, 0, 0)
        var octets: UInt64 = 0
        for row in rows {
            var standing: [[UInt8]] = []
            var taken: [UInt32] = []
            for (place, isRefused) in row.enumerated() {
                // The last of a row is shorter
                let packet = Self.packet(packets.count, refused: isRefused, octets: place == row.count - 1 ? 900 : 1300)
                packets.append(packet)
                if isRefused {
                    refused += 1
                } else {
                    good += 1
                    octets += UInt64(packet.count)
                    standing.append(packet)
                    taken.append(UInt32(good))
                }
            }
            if way.isBatched, row.contains(true) {
                lost += row.count
            } else {
                lost += row.count - standing.count
                expected.append(standing)
                numbers += taken
            }
        }
        let behind = (0..<others).map { Self.packet($0, session: 1, octets: 1300) }
        let sent = rig.rows(Self.batch(packets + behind))

        let mine = sent.filter { $0.peer == CoreRig.peer(0) }
        var opened: [[[UInt8]]] = []
        for row in mine {
            opened.append([])
            for packet in row.packets { opened[opened.count - 1].append(try rig.clients[0].value.back.open(packet)) }
        }
        #expect(opened == expected)
        #expect(mine.flatMap(\.packets).map { $0[4..<8].reduce(0) { $0 << 8 | UInt32($1) } } == numbers, "each number once, whether it left or not")
        var theirs: [[UInt8]] = []
        for packet in sent.filter({ $0.peer == CoreRig.peer(1) }).flatMap(\.packets) { theirs.append(try rig.clients[1].value.back.open(packet)) }
        #expect(theirs == behind)

        // The Child SAs: what was given a number. The sessions: what left, and what did not
        #expect(rig.board.sa(0).packetsOut == UInt64(good) && rig.board.sa(0).octetsOut == octets && rig.board.sequences(0).lastOut == UInt64(good))
        #expect(rig.board.sa(CoreRig.refusing).packetsOut == UInt64(refused) && rig.board.sequences(CoreRig.refusing).lastOut == UInt64(refused))
        #expect(rig.board.tunnel(0).packetsOut == UInt64(numbers.count) && rig.board.tunnel(0).drops == UInt64(lost))
        #expect(rig.board.tunnel(0).octetsOut == UInt64(expected.joined().reduce(0) { $0 + $1.count }))
        #expect(rig.board.tunnel(1).packetsOut == UInt64(others) && rig.board.tunnel(1).drops == 0)
        #expect(rig.drops(.cipher) == UInt64(lost) && rig.allDrops == UInt64(lost))

        // What comes later goes on behind
        let later = (0..<20).map { Self.packet(100 + $0, octets: 1300) }
        var openedLater: [[UInt8]] = []
        for packet in rig.depart(later) { openedLater.append(try rig.clients[0].value.back.open(packet.octets)) }
        #expect(openedLater == later && rig.allDrops == UInt64(lost) && rig.board.sequences(0).lastOut == UInt64(good + 20))
    }

    /// More than one list of departures: the row was begun in the first, most of it is sealed when the second is refused; and one that is refused while its
    /// row is still being added to.
    @Test(.enabled(if: CryptoEngine.multiBuffer.isAvailable, "needs intel-ipsec-mb"), arguments: [(127, [64, 12]), (100, [64, 13])])
    func threat_P27_aRowThatTwoListsShare(refused: Int, sizes: [Int]) throws {
        var rig = try CoreRig([CryptoBatchTests.cbc, CryptoBatchTests.cbc], engine: .multiBuffer)
        try rig.addRefusing(CryptoBatchTests.cbc, .multiBuffer, port: Self.port)
        let mine = (0..<140).map { Self.packet($0, refused: $0 == refused, octets: 64) }
        // The other session's first one shifts the lists against the rows of 64
        let rows = rig.rows(Self.batch([Self.packet(0, session: 1, octets: 64)] + mine)).filter { $0.peer == CoreRig.peer(0) }
        #expect(rows.map(\.packets.count) == sizes)
        var opened: [[UInt8]] = []
        for packet in rows.flatMap(\.packets) { opened.append(try rig.clients[0].value.back.open(packet)) }
        #expect(opened == Array(mine[..<64] + mine[(140 - sizes[1])...]))
        let lost = UInt64(140 - sizes[0] - sizes[1])
        #expect(rig.drops(.cipher) == lost && rig.allDrops == lost && rig.board.tunnel(0).drops == lost)
        #expect(rig.board.tunnel(0).packetsOut == 140 - lost && rig.board.tunnel(1).packetsOut == 1)
        #expect(rig.board.sequences(0).lastOut == 139 && rig.board.sequences(CoreRig.refusing).lastOut == 1)
    }

    /// Of a super-packet, and of one that leaves in pieces, each part is a packet that was refused.
    @Test(arguments: Way.all)
    func threat_P27_partsAreRefusedEach(way: Way) throws {
        var rig = try CoreRig([way.suite], engine: way.engine)
        try rig.addRefusing(way.suite, way.engine, port: nil)
        let whole = FlowShape().superPacket(FlowShape.payload(26_000), size: 1300)
        var batch = Batch(capacity: 2, room: 65_535)
        let place = try #require(whole.octets.withUnsafeBytes { batch.append(copying: $0, to: Rig.peer, from: Rig.gateway) })
        batch[place].offload = whole.offload
        #expect(rig.rows(batch).isEmpty && rig.drops(.cipher) == 20)
        #expect(rig.rows(Self.batch([Self.packet(0, octets: 4000)])).isEmpty)
        let pieces = rig.drops(.cipher) - 20
        #expect(pieces > 2 && rig.allDrops == 20 + pieces && rig.board.tunnel(0).drops == 20 + pieces)
        #expect(rig.board.tunnel(0).packetsOut == 0 && rig.board.tunnel(0).octetsOut == 0)
        #expect(rig.board.sequences(CoreRig.refusing).lastOut == 20 + pieces && rig.board.sa(0).packetsOut == 0)
    }

    /// RFC 3602 section 3: without a vector that nobody can foretell nothing is sealed.
    @Test(arguments: Way.all.filter { !$0.suite.protection.isAEAD })
    func RFC3602_3_noVectorNoPacket(way: Way) throws {
        var rig = try CoreRig([way.suite], engine: way.engine)
        try rig.addRefusing(way.suite, way.engine, port: Self.port, lacksVectors: true)
        let packets = (0..<20).map { Self.packet($0, refused: $0 % 5 == 2, octets: 1300) }
        let sent = rig.depart(packets)
        var opened: [[UInt8]] = []
        for packet in sent { opened.append(try rig.clients[0].value.back.open(packet.octets)) }
        #expect(opened == packets.indices.filter { $0 % 5 != 2 }.map { packets[$0] })
        #expect(rig.drops(.cipher) == 4 && rig.allDrops == 4 && rig.board.tunnel(0).drops == 4 && rig.board.tunnel(0).packetsOut == 16)
        #expect(rig.board.sequences(0).lastOut == 16 && rig.board.sa(CoreRig.refusing).packetsOut == 0)
    }
}

extension CoreRig {
    /// Where the Child SA stands that seals nothing.
    static let refusing = 20

    /// A second, newer Child SA of the first session for all that comes from a port, or for everything. It seals nothing: its key is for opening, or it has
    /// no vectors.
    mutating func addRefusing(_ suite: ESPSuite, _ engine: CryptoEngine, port: UInt16?, lacksVectors: Bool = false) throws {
        let spi = Self.spi(Self.refusing)
        let cipher = try RecordCipher(
            suite.protection, encryptionKey: Rig.key(suite, 3), integrityKey: Rig.integrity(suite, 3), direction: lacksVectors ? .seal : .open,
            engine: engine)
        let vectors = lacksVectors ? nil : try UnpredictableIV.source(for: suite.protection, entropy: SeededEntropy(seed: 6), engine: engine)
        let outbound = OutboundSA(spi: 0xbeef, suite: suite, cipher: cipher, vectors: vectors, maximumRecords: 1 << 32, startingAfter: 0)
        let inbound = try InboundSA(
            spi: spi, suite: suite, encryptionKey: Rig.key(suite, 4), integrityKey: Rig.integrity(suite, 4), replayWindow: 64, engine: engine)
        let local = port.map { Selectors.Entry(.all(.ipv4), ipProtocol: 17, startPort: $0, endPort: $0) } ?? Selectors.Entry(.all(.ipv4))
        let pair = SAPair(
            inbound: inbound, outbound: outbound, selectors: Selectors(local: [local], remote: [Selectors.Entry(.all(.ipv4))]),
            lifetimes: SALifetimes(), tunnel: 0, supersedes: nil)
        guard core.sad.insert(pair) else { throw DatapathError.noSuchSPI }
    }
}

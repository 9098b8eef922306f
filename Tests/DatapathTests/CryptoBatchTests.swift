import ESP
import GatewayCrypto
import LinuxIO
import PacketFixtures
import Testing
import Wire

@testable import Datapath

/// Packets of one pass are sealed and opened together, across sessions; all else stays as if each had come alone. The clients are OpenSSL's.
@Suite struct CryptoBatchTests {
    static let engines = CryptoEngine.allCases.filter(\.isAvailable)
    static let cbc = ESPSuite(protection: .required(.aesCBC, 256, .hmacSHA256_128), extendedSequenceNumbers: true)
    static let suites = [
        cbc, ESPSuite(protection: .required(.aesCBC, 128, .hmacSHA1_96), extendedSequenceNumbers: false),
        ESPSuite(protection: .required(.aesCBC, 256, .hmacSHA512_256), extendedSequenceNumbers: true),
        ESPSuite(protection: .required(.chaCha20Poly1305, 0, .none), extendedSequenceNumbers: true),
        ESPSuite(protection: .required(.nullAESGMAC, 256, .none), extendedSequenceNumbers: false),
        ESPSuite(protection: .required(.null, 0, .hmacSHA256_128), extendedSequenceNumbers: true),
        Rig.suite, ESPSuite(protection: .required(.aesCBC, 128, .aesXCBC_96), extendedSequenceNumbers: true),
    ]

    /// 300 packets to sessions in turn: more than one list holds, and in rows of equal ones that a later, shorter packet ends.
    @Test(arguments: engines, [3, 256])
    func towardsClientsAcrossSAs(engine: CryptoEngine, room: Int) throws {
        var rig = try CoreRig(Self.suites, engine: engine)
        var expected = [[[UInt8]]](repeating: [], count: Self.suites.count)
        var packets: [[UInt8]] = []
        for number in 0..<300 {
            let session = number / 4 % Self.suites.count
            let packet = CoreRig.inner(session, number, octets: [1300, 1300, 64, number][number % 4], up: false)
            expected[session].append(packet)
            packets.append(packet)
        }
        let sent = rig.depart(packets, room: room)
        #expect(sent.count == 300)
        for session in Self.suites.indices {
            let mine = sent.filter { $0.peer == CoreRig.peer(session) }
            var opened: [[UInt8]] = []
            for packet in mine { opened.append(try rig.clients[session].value.back.open(packet.octets)) }
            #expect(opened == expected[session], "session \(session)")
            #expect(rig.board.sa(session).octetsOut == UInt64(expected[session].reduce(0) { $0 + $1.count }))
            #expect(rig.board.sequences(session).lastOut == UInt64(expected[session].count))
        }
        #expect(rig.allDrops == 0)
        let together = rig.core.sealing.together
        #expect(engine == .multiBuffer && room > 3 ? together > 100 : engine == .multiBuffer || together == 0, "\(together)")
    }

    @Test(arguments: engines, [FlowShape(), FlowShape(family: .ipv6)])
    func superPacketsAreSealedTogether(engine: CryptoEngine, shape: FlowShape) throws {
        var rig = try CoreRig([Self.cbc], engine: engine)
        let payload = FlowShape.payload(60_000)
        let whole = shape.superPacket(payload, size: 1300)
        var batch = Batch(capacity: 4, room: 65_535)
        for _ in 0..<4 {
            let place = try #require(whole.octets.withUnsafeBytes { batch.append(copying: $0, to: Rig.peer, from: Rig.gateway) })
            batch[place].offload = whole.offload
        }
        let sent = rig.depart(batch)
        var opened: [[UInt8]] = []
        for packet in sent { opened.append(try rig.clients[0].value.back.open(packet.octets)) }
        let expected = shape.packets(payload, size: 1300)
        #expect(opened == expected + expected + expected + expected)
        // 188 packets in lists of 128 and 60, all of them worth lanes
        #expect(rig.core.sealing.together == (engine == .multiBuffer ? 188 : 0))
    }

    /// threats.md P26, C6: what is forged or comes twice stands among good packets, in a device's batches of any size, and the order is kept.
    @Test(arguments: engines, [1, 5, 512])
    func threat_P26_C6_fromClientsAcrossSAs(engine: CryptoEngine, room: Int) throws {
        var rig = try CoreRig(Self.suites, engine: engine)
        var given: [(session: Int, octets: [UInt8])] = []
        var expected: [[UInt8]] = []
        var (forged, repeated): (UInt64, UInt64) = (0, 0)
        for number in 0..<200 {
            let session = number % Self.suites.count
            let inner = CoreRig.inner(session, number, octets: [1300, 64, 0, number][number / 8 % 4], up: true)
            var sealed = try rig.clients[session].value.out.seal(inner)
            if number % 7 == 3 {
                sealed[[sealed.count - 1, 8, 20, 4][number % 4]] ^= 0x40
                forged += 1
            } else {
                expected.append(inner)
            }
            given.append((session, sealed))
            if number % 11 == 5 {
                given.append((session, sealed))
                if number % 7 == 3 { forged += 1 } else { repeated += 1 }
            }
        }
        let found = rig.admit(given, room: room)
        #expect(found == expected)
        #expect(rig.drops(.replayed) + rig.drops(.integrity) == forged + repeated && rig.drops(.integrity) <= forged, "\(forged) \(repeated)")
        #expect(rig.allDrops == forged + repeated)
        let together = rig.core.opening.together
        #expect(engine == .multiBuffer ? together > 100 : together == 0, "\(together)")
        // Once more: all are old now
        let again = rig.admit(given, room: room)
        #expect(again.isEmpty && rig.allDrops == 2 * (forged + repeated) + UInt64(expected.count))
    }

    @Test(arguments: engines)
    func DP_packetsBehindABatchDoNotOvertakeIt(engine: CryptoEngine) throws {
        var rig = try CoreRig([Self.cbc, Rig.suite], engine: engine)
        var given: [(session: Int, octets: [UInt8])] = []
        var expected: [[UInt8]] = []
        for number in 0..<40 {
            let inner = CoreRig.inner(number % 2, number, octets: 100, up: true)
            expected.append(inner)
            given.append((number % 2, try rig.clients[number % 2].value.out.seal(inner)))
        }
        let found = rig.admit(given)
        #expect(found == expected)
    }

    /// threats.md P25: the packet that a limit falls on stands in the middle of a batch.
    @Test(arguments: engines, suites)
    func threat_P25_aHardLimitInsideABatch(engine: CryptoEngine, suite: ESPSuite) throws {
        var lifetimes = SALifetimes()
        lifetimes.hardPackets = 21
        lifetimes.softPackets = 20
        var rig = try CoreRig([suite], engine: engine, lifetimes: lifetimes)
        let up = (0..<40).map { CoreRig.inner(0, $0, octets: 300, up: true) }
        var given: [(session: Int, octets: [UInt8])] = []
        for inner in up { given.append((0, try rig.clients[0].value.out.seal(inner))) }
        let found = rig.admit(given)
        #expect(found == Array(up[..<21]) && rig.drops(.exhausted) == 19)
        let sent = rig.depart((0..<40).map { CoreRig.inner(0, $0, octets: 300, up: false) })
        #expect(sent.count == 21 && rig.drops(.exhausted) == 38)
    }

    /// Lanes that stay empty cost as much as full ones: a few packets are done alone, and what stands over full rows.
    @Test(
        .enabled(if: CryptoEngine.multiBuffer.isAvailable, "needs intel-ipsec-mb"),
        arguments: [(3, 0), (6, 6), (16, 16), (19, 16), (24, 24), (35, 32)] as [(Int, UInt64)])
    func whatIsWorthALane(packets: Int, together: UInt64) throws {
        var rig = try CoreRig([Self.cbc], engine: .multiBuffer)
        let up = (0..<packets).map { CoreRig.inner(0, $0, octets: 300, up: true) }
        var given: [(session: Int, octets: [UInt8])] = []
        for inner in up { given.append((0, try rig.clients[0].value.out.seal(inner))) }
        let found = rig.admit(given)
        #expect(found == up && rig.core.opening.together == together)
        let down = (0..<packets).map { CoreRig.inner(0, $0, octets: 300, up: false) }
        var opened: [[UInt8]] = []
        for packet in rig.depart(down) { opened.append(try rig.clients[0].value.back.open(packet.octets)) }
        #expect(opened == down && rig.core.sealing.together == together)
    }

    /// IPv4 packets longer than ip-mtu leave in fragments, which are sealed together too.
    @Test(arguments: engines)
    func DP_4_fragmentsInABatch(engine: CryptoEngine) throws {
        var rig = try CoreRig([Self.cbc], engine: engine)
        var packets: [[UInt8]] = []
        for number in 0..<20 {
            var shape = FlowShape(isTCP: false)
            shape.mayNotFragment = false
            packets.append(shape.packet(FlowShape.payload(3000, seed: UInt64(number)), number: number))
        }
        let sent = rig.depart(packets)
        var payload: [UInt8] = []
        for packet in sent { payload += try rig.clients[0].value.back.open(packet.octets).dropFirst(20) }
        #expect(payload == Array(packets.map { $0.dropFirst(20) }.joined()))
        #expect(sent.count > 40 && (engine == .openSSL) == (rig.core.sealing.together == 0))
    }
}

import ESP
import GatewayCrypto
import LinuxIO
import PacketFixtures
import Testing
import Wire

@testable import Datapath

/// With many sessions, what coming packets need is sent for ahead: by what those packets say, before anything of it is checked. It must change nothing.
@Suite struct CrowdTests {
    static let engines = CryptoEngine.allCases.filter(\.isAvailable)
    static let sessions = 150
    /// One session of each eight has a suite whose packets wait for others.
    static let suites = (0..<sessions).map { $0 % 8 == 5 ? CryptoBatchTests.cbc : Rig.suite }

    @Test(arguments: engines, [5, 256])
    func towardsClients(engine: CryptoEngine, room: Int) throws {
        var rig = try CoreRig(Self.suites, engine: engine)
        let isCrowded = rig.core.sad.isCrowded
        #expect(isCrowded)
        var packets: [[UInt8]] = []
        var expected = [[[UInt8]]](repeating: [], count: Self.sessions)
        for number in 0..<450 {
            let session = number * 7 % Self.sessions
            let packet = CoreRig.inner(session, number, octets: 40 + number * 3 % 1250, up: false)
            expected[session].append(packet)
            packets.append(packet)
            // Cut off, for nobody, of neither family
            if number % 10 == 3 { packets.append(Array(packet[..<(number % 21)])) }
            if number % 10 == 5 { packets.append(Packets.ipv4("10.1.2.3", "192.0.2.200", payload: Packets.udp(1, 2))) }
            if number % 10 == 7 { packets.append([0xff, 1, 2, 3]) }
        }
        let sent = rig.depart(packets, room: room)
        #expect(sent.count == 450)
        for session in 0..<Self.sessions {
            var opened: [[UInt8]] = []
            for packet in sent where packet.peer == CoreRig.peer(session) { opened.append(try rig.clients[session].value.back.open(packet.octets)) }
            #expect(opened == expected[session], "session \(session)")
        }
        #expect(rig.drops(.noRoute) == 45)
        #expect(rig.allDrops == packets.count { !$0.isEmpty } - 450)
    }

    @Test(arguments: engines, [7, 64])
    func fromClients(engine: CryptoEngine, room: Int) throws {
        var rig = try CoreRig(Self.suites, engine: engine)
        var packets: [(session: Int, octets: [UInt8])] = []
        var expected: [[UInt8]] = []
        for number in 0..<450 {
            let session = number * 7 % Self.sessions
            let packet = CoreRig.inner(session, number, octets: 40 + number * 3 % 1250, up: true)
            expected.append(packet)
            packets.append((session, try rig.clients[session].value.out.seal(packet)))
            // An SPI of no SA, of a slot beyond all, of one of ours with another tag; shorter than a header
            let strangers: [(Int, UInt32)] = [(2, 0x9100_2fc0), (4, 0x91ff_ffc0), (6, CoreRig.spi(session) ^ 0x1000_0000)]
            for (remainder, spi) in strangers where number % 10 == remainder {
                packets.append((session, [UInt8](repeating: 0, count: 4).patched(spi) + [UInt8](repeating: 9, count: 60)))
            }
            if number % 10 == 8 { packets.append((session, Array([UInt8](repeating: 0, count: 4).patched(CoreRig.spi(session))[..<3]))) }
        }
        let found = rig.admit(packets, room: room)
        #expect(found == expected)
        #expect(rig.drops(.unknownSPI) == 135 && rig.drops(.notESP) == 45 && rig.allDrops == 180)
    }
}

extension [UInt8] {
    fileprivate func patched(_ word: UInt32) -> [UInt8] {
        var octets = self
        octets.patch(bigEndian: word, at: 0)
        return octets
    }
}

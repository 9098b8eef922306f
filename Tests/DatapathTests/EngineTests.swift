import Datapath
import ESP
import GatewayCrypto
import LinuxIO
import PacketFixtures
import Testing
import Wire

/// The Child SAs of a datapath are keyed for its engine, and clients of the other one understand them.
@Suite(.serialized) struct EngineTests {
    static let engines = CryptoEngine.allCases.filter(\.isAvailable)

    @Test(arguments: engines, CryptoBatchTests.suites)
    func childSAsAreKeyedForTheEngine(engine: CryptoEngine, suite: ESPSuite) async throws {
        let rig = try Rig(workers: 1, engine: engine)
        defer { rig.stop() }
        let (_, spi) = try await rig.session("10.99.0.10", worker: 0, suite: suite)
        let status = try #require(rig.control.status(child: spi))
        // XCBC is OpenSSL's alone
        #expect(status.engine == (suite.protection.integrity == .aesXCBC_96 ? .openSSL : engine))
        let other = Self.engines.first { $0 != engine } ?? engine
        var client = try Rig.client(spi, suite: suite, engine: other)
        var clientIn = try Rig.clientIn(suite: suite, engine: other)
        let up = (0..<40).map { WorkerTests.up("10.99.0.10", $0, octets: $0 * 30) }
        for inner in up { rig.outer[0].put(Rig.outside(try client.seal(inner))) }
        let down = (0..<40).map { WorkerTests.down("10.99.0.10", $0, octets: $0 * 30) }
        rig.inner[0].put(down.map { MemoryWire.Packet(octets: $0) })
        var delivered: [[UInt8]] = []
        var sent: [MemoryWire.Packet] = []
        _ = await rig.wait {
            delivered += rig.inner[0].take().map(\.octets)
            sent += rig.outer[0].take()
            return delivered.count >= 40 && sent.count >= 40
        }
        #expect(delivered == up)
        var opened: [[UInt8]] = []
        for packet in sent { opened.append(try clientIn.open(packet.octets)) }
        #expect(opened == down)
        #expect(rig.control.dropCounters().values.allSatisfy { $0 == 0 })
    }

    @Test(.enabled(if: !CryptoEngine.multiBuffer.isAvailable, "every engine is here: `make openssl-only` has one less"))
    func anEngineThatIsNotHereMakesNoDatapath() throws {
        var settings = try DeviceTests.settings(workers: 1)
        settings.engine = .multiBuffer
        #expect(throws: DatapathError.settings("the crypto engine is not to be had: \(CryptoEngine.multiBuffer.library)")) {
            try Datapath(settings, door: Visitors(), entropy: SystemEntropy())
        }
    }
}

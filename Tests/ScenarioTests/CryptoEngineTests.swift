import GatewayCrypto
import Lab
import Testing

/// ESP by each crypto engine, as `crypto-engine` chooses it; the client is our own, with the best engine that the machine has.
///
/// ```
///  ipsec-load 198.51.101.2 ------+-- internet --+-- 192.0.2.1     gateway 10.20.0.1 -------+- 10.20.0.2     host
///             2001:db8:101::2 ---+              +-- 2001:db8:1::1         2001:db8:20::1 --+- 2001:db8:20::2
/// ```
@Suite(.watched)
struct CryptoEngineTests {
    static let words = ["auto", "openssl"] + (CryptoEngine.multiBuffer.isAvailable ? ["ipsec-mb"] : [])
    static let ways = [
        OwnClientWay(outer: 4, esp: "aes256-sha256-esn"), OwnClientWay(outer: 6, esp: "chacha20poly1305-noesn"),
        OwnClientWay(outer: 6, esp: "aes128-sha1-noesn"),
    ]

    @Test("X-7: transfers both ways, dual stack inside, by each engine; the log and the status say which", arguments: words, ways)
    func x_7_everyEngine(word: String, way: OwnClientWay) async throws {
        try await Scenario.run { scenario in
            let road = try await way.build(scenario) { $0.cryptoEngine = word }
            let engine = word == "openssl" ? CryptoEngine.openSSL : .preferred
            #expect(road.gateway.process.output.contains("ESP's cryptography: \(engine.library)"), "\(road.gateway.process.output)")
            let status = try await road.gateway.ctl("status").required()
            #expect(status.contains("intel-ipsec-mb") == (engine == .multiBuffer) && status.contains("OpenSSL"), "\(status)")
            let load = try await way.connect(road)
            let namespace = road.network.clients[0]
            let addresses = try way.innerAddresses(load)
            #expect(try await Ping.run(from: namespace, to: RoadNetwork.hostAddress6).isComplete)
            let whole = TCPTransfer.Outcome(octets: 20_000_003, isIntact: true)
            #expect(try await TCPTransfer.run(from: namespace, to: road.host, at: RoadNetwork.hostAddress, octets: whole.octets) == whole)
            #expect(try await TCPTransfer.run(from: road.host, to: namespace, at: addresses.six, octets: whole.octets) == whole)
            let drops = try await road.gateway.counters()
            #expect(drops.drops["integrity"] ?? 0 == 0, "\(drops)")
            try await way.end(load, road)
        }
    }
}

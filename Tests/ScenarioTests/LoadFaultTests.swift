import Foundation
import GatewayTesting
import Lab
import Testing

/// `ipsec-load traffic` over a wire that loses, reorders, repeats and damages datagrams.
///
/// ```
///  ipsec-load 198.51.100.2 ---- near | relay | far ---- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 ipsec-load reflect
/// ```
/// The relay translates ports: `ipsec-load` speaks to 500 and 4500 from one port.
@Suite(.watched)
struct LoadFaultTests {
    /// The wire does not know what is in a datagram: it loses logins, leases and goodbyes too, which are sent again. So what `traffic` counts as lost is
    /// at most what the wire lost or damaged, and most of that.
    @Test(
        "ipsec-load traffic over a faulty wire: what is lost or late is counted, what is damaged or repeated never comes through",
        arguments: [UInt64(81), 82])
    func traffic(seed: UInt64) async throws {
        try await Scenario.run(slots: 2) { scenario in
            let network = try await RelayedNetwork.build(scenario)
            let relay = try await Relay.start(
                scenario, near: network.near, far: network.far, clientFacing: RoadNetwork.gatewayAddress, gateway: RoadNetwork.gatewayAddress,
                faults: .init(loss: 0.05, duplication: 0.05, reordering: 0.05, corruption: 0.02), seed: seed,
                translation: Relay.Translation(address: RelayedNetwork.clientAddress, ports: 20_000...29_999))
            let gateway = try await GatewayProcess.start(scenario, in: network.gateway)
            let (program, far) = (try Programs.path("ipsec-load"), "\(RoadNetwork.hostAddress):7007")
            let reflector = try await network.host.start("reflect", [program, "reflect", "--yes-this-is-my-gateway", "--listen", far])
            _ = try await reflector.waitForLine(containing: "reflecting on")
            let words = [
                "traffic", "--yes-this-is-my-gateway", "--gateway", RoadNetwork.gatewayAddress, "--psk", GatewaySettings.psk, "--id", "load%n.test",
                "--remote-id", "gw.test", "--clients", "3", "--share", "3", "--to", far, "--size", "100,1300", "--rate", "300", "--for", "5s",
                "--seed", "\(seed)", "--json",
            ]
            let result = try await scenario.run([program] + words, in: network.client, timeout: .seconds(120))
            let counts = relay.counts
            print("traffic over a faulty wire, seed \(seed): \(counts)\n\(result.output)")
            #expect(result.succeeded, "seed \(seed): \(result.output)")
            let line = try #require(result.output.split(separator: "\n").last { $0.hasPrefix("{") }, "seed \(seed): \(result.output)")
            let carried = try JSONDecoder().decode(TrafficFigures.self, from: Data(line.utf8))
            #expect(carried.agreed == 3)
            for direction in [carried.up, carried.down] {
                #expect(direction.received > 500 && direction.sent == direction.received + direction.lost, "seed \(seed): \(direction)")
                #expect(direction.lost > 0 && direction.reordered > 0, "seed \(seed): \(direction)")
                #expect(direction.corrupted == 0 && direction.duplicated == 0, "seed \(seed): \(direction)")
            }
            let (lost, gone) = (carried.up.lost + carried.down.lost, counts.lost + counts.corrupted)
            #expect(lost <= gone && lost * 2 > gone, "seed \(seed): \(lost) of \(gone)")
            #expect(counts.duplicated > 0 && counts.corrupted > 0, "seed \(seed): \(counts)")
            try await gateway.waitForSessions(0, timeout: .seconds(20))
            #expect(gateway.process.isRunning && reflector.isRunning)
        }
    }
}

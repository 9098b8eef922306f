import Foundation
import GatewayTesting
import Lab
import Testing

/// `busy-poll` of a whole gateway, by what the kernel counts of its worker's thread.
///
/// ```
///  ipsec-load 198.51.101.2 ------- internet ------- 192.0.2.1 gateway 10.20.0.1 ------- 10.20.0.2 ipsec-load reflect
/// ```
@Suite(.watched)
struct BusyPollTests {
    /// A thread of the gateway's.
    private struct Worker {
        let folder: String

        init(of gateway: GatewayProcess) throws {
            let threads = "/proc/\(gateway.process.pid)/task"
            let names = try FileManager.default.contentsOfDirectory(atPath: threads)
            let worker = names.first { (try? String(contentsOfFile: "\(threads)/\($0)/comm", encoding: .utf8))?.hasPrefix("worker-0") == true }
            folder = try "\(threads)/\(#require(worker))"
        }

        /// How often it went to sleep by itself.
        func sleeps() throws -> Int {
            let lines = try String(contentsOfFile: "\(folder)/status", encoding: .utf8).split(separator: "\n")
            let line = try #require(lines.first { $0.hasPrefix("voluntary_ctxt_switches:") })
            return try #require(line.split(whereSeparator: \.isWhitespace).last.flatMap { Int($0) })
        }

        /// Processor time so far, nanoseconds.
        func time() throws -> Int {
            try #require(String(contentsOfFile: "\(folder)/schedstat", encoding: .utf8).split(separator: " ").first.flatMap { Int($0) })
        }
    }

    /// Sleeps for each packet that the gateway carried.
    private func sleepsPerPacket(_ scenario: Scenario, busyPoll: Int) async throws -> Double {
        var settings = GatewaySettings()
        settings.busyPoll = busyPoll
        settings.workers = 1
        let road = try await Road.build(scenario, settings)
        let far = "\(RoadNetwork.hostAddress):7007"
        let reflector = try await road.host.start(
            "reflect", [try Programs.path("ipsec-load"), "reflect", "--yes-this-is-my-gateway", "--listen", far, "--json"])
        _ = try await reflector.waitForLine(containing: "reflecting on")
        let worker = try Worker(of: road.gateway)
        let before = try worker.sleeps()
        let result = try await scenario.run(
            [
                try Programs.path("ipsec-load"), "traffic", "--yes-this-is-my-gateway", "--gateway", RoadNetwork.gatewayAddress, "--json", "--psk",
                GatewaySettings.psk, "--id", "load%n.test", "--remote-id", "gw.test", "--clients", "8", "--to", far, "--for", "4s", "--rate", "6000",
            ], in: road.network.clients[0], timeout: .seconds(60))
        #expect(result.succeeded, "\(result.output)")
        let slept = try worker.sleeps() - before
        let line = try #require(result.output.split(separator: "\n").last { $0.hasPrefix("{") }, "\(result.output)")
        let carried = try JSONDecoder().decode(TrafficFigures.self, from: Data(line.utf8))
        let packets = carried.up.received + carried.down.received
        #expect(packets > 5000 && carried.up.corrupted == 0 && carried.down.corrupted == 0, "\(line)")
        try await road.gateway.waitForSessions(0)
        // Nothing comes, so nobody looks: a worker that did would have most of a second
        let idle = try worker.time()
        try await Task.sleep(for: .seconds(1))
        #expect(try worker.time() - idle < 200_000_000)
        print("busy-poll \(busyPoll): \(slept) sleeps, \(packets) packets")
        return Double(slept) / Double(packets)
    }

    @Test("Issue 'Thin flows': under steady traffic busy-poll sleeps less, and without traffic as well as ever")
    func busyPoll() async throws {
        let sleeping = try await Scenario.run(slots: 2) { try await sleepsPerPacket($0, busyPoll: 0) }
        let looking = try await Scenario.run(slots: 2) { try await sleepsPerPacket($0, busyPoll: 1000) }
        #expect(looking * 2 < sleeping, "\(looking) and \(sleeping) sleeps for each packet")
    }
}

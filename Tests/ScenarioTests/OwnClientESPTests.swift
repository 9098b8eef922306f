import Lab
import Testing

/// What Debian's strongSwan cannot do, with our own client: ESP as IP protocol 50, extended sequence numbers, both families.
///
/// ```
///  ipsec-load 198.51.101.2 ------+-- internet --+-- 192.0.2.1     gateway 10.20.0.1 -------+- 10.20.0.2     host
///             2001:db8:101::2 ---+              +-- 2001:db8:1::1         2001:db8:20::1 --+- 2001:db8:20::2
/// ```
@Suite(.watched)
struct OwnClientESPTests {
    static let ways =
        OwnClientWay.all + [
            OwnClientWay(outer: 4, esp: "aes256gcm16-noesn"), OwnClientWay(outer: 6, esp: "aes256-sha512-noesn"),
            OwnClientWay(outer: 6, esp: "chacha20poly1305-esn"),
        ]

    @Test("RFC 4303 native ESP, outer IPv4 and IPv6, dual stack inside, with and without ESN", arguments: ways)
    func nativeESP(_ way: OwnClientWay) async throws {
        try await Scenario.run { scenario in
            let road = try await way.build(scenario)
            let capture = try await Capture.start(
                scenario, in: road.network.internet, link: "gw", filter: "ip proto 50 or ip6 proto 50 or udp port 4500")
            let load = try await way.connect(road)
            let namespace = road.network.clients[0]
            let addresses = try way.innerAddresses(load)
            #expect(try await Ping.run(from: namespace, to: RoadNetwork.hostAddress).isComplete)
            #expect(try await Ping.run(from: namespace, to: RoadNetwork.hostAddress6).isComplete)
            #expect(try await Ping.run(from: road.host, to: addresses.four).isComplete)
            #expect(try await Ping.run(from: road.host, to: addresses.six).isComplete)
            let whole = TCPTransfer.Outcome(octets: 1_000_001, isIntact: true)
            #expect(try await TCPTransfer.run(from: namespace, to: road.host, at: RoadNetwork.hostAddress, octets: whole.octets) == whole)
            #expect(try await TCPTransfer.run(from: road.host, to: namespace, at: addresses.six, octets: whole.octets) == whole)
            let packets = try await capture.stop()
            #expect(
                packets.contains { $0.contains("ESP(spi=") } && !packets.contains { $0.contains(".4500 ") || $0.contains(".4500:") },
                "\(packets.prefix(8))")
            try await way.end(load, road)
        }
    }

    /// Who replaces SAs, and when.
    struct Rekeys: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// What the gateway is told of lifetimes.
        var gateway: String?
        /// What the client is.
        var client: [String] = []
        /// Lines of the client's that must come, each so often.
        let lines: [String: Int]
    }

    static let rekeys = [
        Rekeys(
            testDescription: "by the client, by time", client: ["--rekey-child", "1.5", "--rekey-ike", "4"],
            lines: ["rekeyed child by=us": 4, "rekeyed ike by=us": 2]),
        Rekeys(testDescription: "by the client, by packets", client: ["--rekey-packets", "1000"], lines: ["rekeyed child by=us": 4]),
        Rekeys(
            testDescription: "by the gateway, by time", gateway: "ipsec=10,isakmp=16",
            lines: ["rekeyed child by=gateway": 2, "rekeyed ike by=gateway": 1]),
        Rekeys(testDescription: "by the gateway, by packets", gateway: "packets=1500", lines: ["rekeyed child by=gateway": 4]),
        Rekeys(
            testDescription: "by both", gateway: "packets=1500,isakmp=16", client: ["--rekey-child", "1.5", "--rekey-ike", "5"],
            lines: ["rekeyed child by=gateway": 2, "rekeyed child by=us": 2, "rekeyed ike by=us": 1]),
    ]

    @Test(
        "RFC 7296 2.8: Child and IKE SA replaced by either side under transfers both ways: not an octet is lost", arguments: rekeys, OwnClientWay.all)
    func rekeyUnderTransfer(_ rekeys: Rekeys, _ way: OwnClientWay) async throws {
        try await Scenario.run { scenario in
            let road = try await way.build(scenario) { $0.shortLifetimes = rekeys.gateway }
            let load = try await way.connect(road, rekeys.client)
            let addresses = try way.innerAddresses(load)
            let session = try await road.session(of: "carol.test")
            let client = road.network.clients[0]
            let up = try await TCPTransfer.start(from: client, to: road.host, at: RoadNetwork.hostAddress, bytesPerSecond: 2_000_000)
            let down = try await TCPTransfer.start(from: road.host, to: client, at: addresses.six, seed: 2, bytesPerSecond: 1_000_000)
            func isEnough() -> Bool {
                let lines = load.output.split(separator: "\n")
                return rekeys.lines.allSatisfy { words, count in lines.count { $0.contains(words) } >= count }
            }
            #expect(await becomesTrue(within: .seconds(90)) { isEnough() }, "\(load.output)")
            let marks = (up.progress, down.progress)
            #expect(await becomesTrue(within: .seconds(20)) { up.progress > marks.0 + 1_000_000 && down.progress > marks.1 + 500_000 })
            for transfer in [up, down] {
                let outcome = try await transfer.finish()
                #expect(outcome.isIntact && outcome.octets > 1_000_000)
            }
            let after = try await road.session(of: "carol.test")
            #expect(after.id == session.id && after.innerAddresses == session.innerAddresses && after.childSAs != session.childSAs)
            let counters = try await road.gateway.counters().ike
            #expect(counters["ended-dead-peer"] == nil && counters["ended-lifetime"] == nil, "\(counters)")
            #expect(load.isRunning)
            #expect(try await Ping.run(from: client, to: RoadNetwork.hostAddress).isComplete)
            try await way.end(load, road)
        }
    }
}

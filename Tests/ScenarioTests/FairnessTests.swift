import Lab
import Testing

/// One client is sent several times what the gateway's one worker can seal, the other next to nothing: the first loses, the second does not.
///
/// ```
///  flooded 198.51.101.2 (3DES) ------+-- internet -- 192.0.2.1 gateway 10.20.0.1 ------ 10.20.0.2 host, which floods 10.99.0.x
///  modest  198.51.102.2 (AES-GCM) ---+
/// ```
@Suite(.watched)
struct FairnessTests {
    /// What a flood makes of those beside it: how often the modest one asks for an echo.
    @Test(
        "issue 5: a client that is flooded starves nobody; what is too much is dropped, counted, and his alone",
        arguments: [(every: Duration.milliseconds(5), count: 1000), (every: .milliseconds(250), count: 24)])
    func oneFloodedClientStarvesNobody(every: Duration, count: Int) async throws {
        // All of the machine's processors: it is they who are scarce
        try await Scenario.run(slots: 4) { scenario in
            var settings = GatewaySettings()
            settings.workers = 1
            settings.logLevel = "info"
            // 3DES is slow everywhere, so that sealing is what there is too little of
            settings.ipsecTransforms = [.init("des-3", "sha-1", usesESN: false), .init("aes128-gcm16", "auth-encryption")]
            let road = try await Road.build(scenario, clients: 2, settings)
            let flooded = try await road.client(1, "flooded.test") { $0.esp = "3des-sha1" }
            let modest = try await road.client(2, "modest.test")
            let address = try #require(try await flooded.connect().virtualAddresses.first)
            try await modest.connect()
            #expect(try await road.reachesHost(flooded))
            // Its link takes a part only: opening all of it would cost strongSwan the processors that this is about
            try await scenario.run(
                ["/usr/sbin/nft", "-f", "-"], in: flooded.namespace,
                input: """
                    table ip lab {
                        chain prerouting {
                            type filter hook prerouting priority raw; policy accept;
                            udp sport 4500 udp length > 100 limit rate over 100/second drop
                        }
                    }

                    """
            ).required()

            // As much as there can be, to see what the gateway seals of it, and from then on six times that
            let flood = try await DatagramFlood.start(from: road.host, to: address, rate: 150_000_000)
            _ = try await Ping.run(from: modest.namespace, to: RoadNetwork.hostAddress, count: 20)
            let clock = ContinuousClock()
            let (begin, before) = (clock.now, try await road.session(of: "flooded.test").octetsOut)
            _ = try await Ping.run(from: modest.namespace, to: RoadNetwork.hostAddress, count: 20)
            let sealed = Double(try await road.session(of: "flooded.test").octetsOut - before) / ((clock.now - begin) / .seconds(1))
            flood.rate = Int(6 * sealed)

            let (sent, start) = (flood.sent, try await road.session(of: "flooded.test"))
            let ping = try await Ping.run(from: modest.namespace, to: RoadNetwork.hostAddress, count: count, every: every)
            let (offered, end) = (flood.sent - sent, try await road.session(of: "flooded.test"))
            flood.stop()

            let (left, lost) = (end.packetsOut - start.packetsOut, end.drops - start.drops)
            let median = try #require(ping.times.dropFirst(ping.times.count / 2).first, "\(ping.output)")
            let late = try #require(ping.times.dropFirst(ping.times.count * 99 / 100).first)
            print(
                "flooded: \(Int(sealed) >> 20) MiB/s sealed, then of \(offered) datagrams \(left) left and \(lost) were dropped; "
                    + "beside it \(ping.received) of \(ping.sent) echoes, p50 \(median), p99 \(late)")
            #expect(lost > left, "several times what it can take")
            #expect(ping.received * 100 >= ping.sent * 98, "\(ping.output.suffix(300))")
            #expect(median < .milliseconds(100) && late < .milliseconds(500))

            #expect(await becomesTrue(within: .seconds(10)) { await road.settled("flooded.test") })
            let drops = try await road.gateway.counters().drops
            let (loser, other) = (try await road.session(of: "flooded.test"), try await road.session(of: "modest.test"))
            #expect(other.drops == 0, "\(other)")
            #expect(loser.drops > 0 && drops["queue-full"] == loser.drops, "\(drops) \(loser)")
            let shown = try await road.gateway.ctl("sessions", loser.id).required()
            #expect(shown.contains("\(loser.drops) packets"), "\(shown)")
            #expect(road.gateway.process.isRunning)
            #expect(try await road.reachesHost(modest))
        }
    }
}

extension Road {
    /// Whether nothing more leaves to a client within a tenth of a second.
    fileprivate func settled(_ identity: String) async -> Bool {
        guard let before = try? await session(of: identity).packetsOut else { return false }
        try? await Task.sleep(for: .milliseconds(100))
        return (try? await session(of: identity).packetsOut) == before
    }
}

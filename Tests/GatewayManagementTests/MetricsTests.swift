import ManagementAPI
import Metrics
import Testing

@testable import Gateway

@Suite("Metrics: swift-metrics in, Prometheus text out")
struct MetricsTests {
    private let registry = MetricsRegistry(seriesLimit: 3, familyLimit: 10)

    @Test func counterGaugeHistogramTimer() async throws {
        registry.describe("ike.requests", "Requests\nof IKE \\ all")
        Counter(label: "ike.requests", dimensions: [("exchange", "IKE_AUTH"), ("b", "2")], factory: registry).increment(by: 3)
        Counter(label: "ike.requests", dimensions: [("b", "2"), ("exchange", "IKE_AUTH")], factory: registry).increment()
        let meter = Meter(label: "queue", factory: registry)
        meter.set(5)
        meter.decrement(by: 1.5)
        Timer(label: "login", factory: registry).recordMilliseconds(3)
        Timer(label: "login", factory: registry).recordSeconds(100)
        Recorder(label: "batch", factory: registry).record(64)
        Gauge(label: "temperature", factory: registry).record(-2)
        let text = await registry.exposition()
        let samples = try ExpositionCheck.run(text)
        #expect(samples[#"ike_requests_total{b="2",exchange="IKE_AUTH"}"#] == 4)
        #expect(text.contains("# HELP ike_requests_total Requests"))
        #expect(samples["queue"] == 3.5)
        #expect(samples["temperature"] == -2)
        #expect(samples[#"login_seconds_bucket{le="0.0025"}"#] == 0)
        #expect(samples[#"login_seconds_bucket{le="0.005"}"#] == 1)
        #expect(samples[#"login_seconds_bucket{le="60"}"#] == 1)
        #expect(samples[#"login_seconds_bucket{le="+Inf"}"#] == 2)
        #expect(samples["login_seconds_count"] == 2)
        #expect(samples["login_seconds_sum"] == 100.003)
        #expect(samples[#"batch_bucket{le="100"}"#] == 1)
    }

    @Test func bucketsStandInOrder() async throws {
        for name in ["a", "b"] { Timer(label: "t", dimensions: [("k", name)], factory: registry).recordSeconds(1) }
        let lines = await registry.exposition().split(separator: "\n").filter { $0.hasPrefix("t_seconds_bucket") }
        let bounds = lines.map { line in line.split(separator: "le=\"").last?.split(separator: "\"").first.map(String.init) ?? "" }
        let expected = HistogramInstrument.seconds.map { MetricText.number($0) } + ["+Inf"]
        #expect(bounds == expected + expected)
    }

    @Test(arguments: ["a\"b", "a\\b", "a\nb", "\u{1b}[2J", "\u{202e}", "é", "a\0b", "}", "{x=\"y\"} 1", ""])
    func threat_C11_labelsAreEscaped(value: String) async throws {
        Counter(label: "x", dimensions: [("who", value), ("0 bad name\n", "v")], factory: registry).increment()
        let samples = try ExpositionCheck.run(await registry.exposition())
        #expect(samples.keys.filter { $0.hasPrefix("x_total{_0_bad_name_=\"v\",who=\"") }.count == 1, "\(samples.keys.sorted())")
    }

    @Test func threat_C3_labelSetsAreCapped() async throws {
        for number in 0..<1000 {
            Counter(label: "hits", dimensions: [("user", "u\(number)")], factory: registry).increment()
        }
        let samples = try ExpositionCheck.run(await registry.exposition())
        let series = samples.filter { $0.key.hasPrefix("hits_total") }
        #expect(series.count == 4)
        #expect(series[#"hits_total{overflow="true"}"#] == 997)
        #expect(series.values.reduce(0, +) == 1000)
        #expect(samples["ipsec_gw_metrics_overflow_total"] == 997)
    }

    @Test func threat_C3_namesAreCapped() async throws {
        for number in 0..<100 { Counter(label: "name\(number)", factory: registry).increment() }
        let samples = try ExpositionCheck.run(await registry.exposition())
        #expect(samples.keys.filter { $0.hasPrefix("name") }.count == 10)
    }

    @Test func oneNameHasOneKind() async throws {
        Meter(label: "same_total", factory: registry).set(1)
        Counter(label: "same", factory: registry).increment()
        registry.register { $0.counter("same_total", help: "x", 9) }
        let samples = try ExpositionCheck.run(await registry.exposition())
        #expect(samples["same_total"] == 1)
    }

    @Test func destroyedMetricsAreGone() async throws {
        let counter = Counter(label: "gone", factory: registry)
        counter.increment()
        counter.destroy()
        #expect(!(await registry.exposition().contains("gone")))
    }

    @Test func concurrentIncrementsAreAllCounted() async throws {
        let registry = registry
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<10_000 { Counter(label: "c", factory: registry).increment() }
                }
            }
        }
        #expect(try ExpositionCheck.run(await registry.exposition())["c_total"] == 80_000)
    }

    @Test("issue 4: servers and spool are measured; each state of the spool can be an alarm", arguments: ["normal", "filling", "full", "failing"])
    func radiusAndSpool(state: String) async throws {
        var fake = FakeGateway.State.everyday
        fake.radius.spool?.state = try #require(RADIUSReport.Spool.State(rawValue: state))
        let registry = MetricsRegistry()
        let samples = try ExpositionCheck.run(await registry.exposition(including: FakeGateway(fake)))
        let labels = #"{kind="authentication",policy="main",server="radius-1"}"#
        #expect(samples["ipsec_gw_radius_up\(labels)"] == 1 && samples["ipsec_gw_radius_requests_total\(labels)"] == 12)
        #expect(samples["ipsec_gw_radius_round_trip_seconds\(labels)"] == 0.00125)
        #expect(samples["ipsec_gw_accounting_spool_records"] == 12 && samples["ipsec_gw_accounting_spool_maximum_bytes"] == Double(1 << 30))
        for other in ["normal", "filling", "full", "failing"] {
            #expect(samples["ipsec_gw_accounting_spool_state{state=\"\(other)\"}"] == (other == state ? 1 : 0))
        }
        #expect(samples["ipsec_gw_dynamic_authorization_total{event=\"disconnect-ack\"}"] == 12)
        #expect(samples["ipsec_gw_eap_conversations"] == 3)
    }

    @Test func threat_C11_hostileNamesOfServers() async throws {
        let registry = MetricsRegistry()
        _ = try ExpositionCheck.run(await registry.exposition(including: FakeGateway(.hostile)))
    }
}

import Foundation

/// What a run of `setup` came to.
struct SetupResult: Encodable {
    let rate: Double
    let clients: Int
    let seconds: Double
    let started: Int
    let established: Int
    let perSecond: Double
    let failed: Int
    /// Milliseconds from when a login was due to its Child SA.
    let p50: Double?
    let p99: Double?
    let failures: [String: Int]

    private enum CodingKeys: String, CodingKey {
        case rate, clients, seconds, started, established, perSecond, failed, p50Milliseconds, p99Milliseconds, failures
    }

    private struct Failure: Encodable {
        let cause: String
        let count: Int
    }

    private var byCause: [Failure] {
        failures.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { Failure(cause: $0.key, count: $0.value) }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(rate, forKey: .rate)
        try container.encode(clients, forKey: .clients)
        try container.encode(seconds, forKey: .seconds)
        try container.encode(started, forKey: .started)
        try container.encode(established, forKey: .established)
        try container.encode(perSecond, forKey: .perSecond)
        try container.encode(failed, forKey: .failed)
        try container.encode(p50, forKey: .p50Milliseconds)
        try container.encode(p99, forKey: .p99Milliseconds)
        try container.encode(byCause, forKey: .failures)
    }

    var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(self) else { return "{}" }
        return String(decoding: data, as: UTF8.self)
    }

    var table: String {
        var lines = [
            "logins started      \(started) in \(SetupRun.rounded(seconds)) s (asked: \(SetupRun.rounded(rate))/s, \(clients) clients)",
            "established         \(established), \(SetupRun.rounded(perSecond))/s",
            "latency p50, p99    \(p50.map(SetupRun.rounded) ?? "-") ms, \(p99.map(SetupRun.rounded) ?? "-") ms",
            "failed              \(failed)",
        ]
        lines += byCause.map { "  \($0.cause): \($0.count)" }
        return lines.joined(separator: "\n")
    }
}

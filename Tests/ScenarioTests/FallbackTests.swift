// What a kernel lacks is taken from this one in debug builds alone.
#if DEBUG
import Lab
import Testing

/// Issue "falls back by itself, and says so once in the log": a whole gateway on kernels that lack offloads, or lose one with the first packets.
@Suite(.watched)
struct FallbackTests {
    struct Lack: Sendable, CustomTestStringConvertible {
        /// As `IPSEC_GW_LACKING` has it.
        let words: String
        /// What the log says, each once.
        let lines: [String]
        let outer: Int
        var testDescription: String { words }
    }

    private static let device = "TUN device priv0 has no segmentation offload"
    private static let datagrams = "TUN device priv0 has no UDP segmentation offload"
    private static let cuts = "no UDP segmentation offload (UDP_SEGMENT"
    private static let joins = "no UDP receive offload (UDP_GRO"

    static let lacks = [
        Lack(words: "headers", lines: [device], outer: 4),
        Lack(words: "tcp", lines: [device], outer: 6),
        Lack(words: "udp", lines: [datagrams], outer: 4),
        Lack(words: "cuts", lines: [cuts], outer: 6),
        Lack(words: "joins", lines: [joins], outer: 4),
        Lack(words: "headers,tcp,udp,cuts,joins", lines: [device, cuts, joins], outer: 6),
        Lack(words: "rows", lines: ["the kernel no longer cuts rows of packets (UDP_SEGMENT)"], outer: 4),
    ]

    @Test("a gateway without an offload says so once, and carries all the same: TCP each way, equal by SHA-256", arguments: lacks)
    func saidOnce(lack: Lack) async throws {
        var combination = OwnClientOffloadTests.Combination(client: "all", gateway: "all", outer: lack.outer, octets: 8_000_000)
        combination.lacking = lack.words
        try await OwnClientOffloadTests.compare(combination, slots: 1) { road in
            let lines = road.logLines(with: "event=offload-missing")
            #expect(lines.count == lack.lines.count, "\(lines)")
            for wanted in lack.lines { #expect(lines.count { $0.contains(wanted) } == 1, "\(wanted) in \(lines)") }
        }
    }
}
#endif

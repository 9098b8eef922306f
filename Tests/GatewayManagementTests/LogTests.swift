import Foundation
import Glibc
import Logging
import ManagementAPI
import Synchronization
import Testing
import Wire

@testable import Gateway

/// Keeps lines.
final class KeptLines: LogSink {
    let lines = Mutex<[LogLine]>([])
    /// Held by a test that plays a slow reader.
    let gate = NSLock()

    func write(_ line: LogLine) {
        gate.lock()
        defer { gate.unlock() }
        lines.withLock { $0.append(line) }
    }
}

@Suite("The log: one event, one line")
struct LogTests {
    private let sink = KeptLines()
    private let log: GatewayLog

    init() { log = GatewayLog(sink: sink, level: .info) }

    private var lines: [LogLine] {
        log.flush()
        return sink.lines.withLock { $0 }
    }

    private func subject(identity: String?) -> EventLog.Subject {
        .init(
            session: "7", gateway: "road-warriors", identity: identity, remote: Endpoint(IPAddress(v4: 0xc633_6407), port: 4500),
            addresses: [IPAddress(v4: 0x0a14_0107)])
    }

    static let hostile = [
        "a\nb", "a\r\nFAKE error", "\u{1b}[2J\u{1b}]0;x\u{7}", "a\0b", "%n%s%x", "'$(id)'", "\u{202e}gpj.exe", "\u{85}\u{2028}\u{2029}",
        "\" injected=\"1", "\\", String(repeating: "A", count: 65536), String(repeating: "\n", count: 65536), "<0>panic", "MESSAGE=x\nPRIORITY=0",
    ]

    @Test(arguments: hostile)
    func threat_C11_oneLinePerEvent(identity: String) throws {
        EventLog(log.logger("test")).refused(subject(identity: identity), cause: "the pre-shared key of \(identity) is wrong")
        let line = try #require(lines.first)
        #expect(lines.count == 1)
        for rendered in [line.text, line.prefixed, line.json] {
            #expect(rendered.utf8.allSatisfy { (0x20...0x7e).contains($0) }, "\(rendered.prefix(200))")
        }
        #expect(line.fields.first { $0.name == "identity" }.map { $0.value.utf8.count <= 256 } == true)
        let object = try #require(JSONSerialization.jsonObject(with: Data(line.json.utf8)) as? [String: String])
        #expect(object["session"] == "7" && object["event"] == "refused" && object["level"] == "notice")
        #expect(object["identity"] == EscapedText.shown(identity))
        #expect(Set(object.keys) == ["time", "level", "message", "event", "session", "gateway", "identity", "remote", "address", "reason"])
        // The journal's protocol: every line is one of our fields.
        let fields = line.journal.split(separator: "\n")
        #expect(fields.count == 3 + line.fields.count)
        #expect(fields.filter { $0.hasPrefix("MESSAGE=") }.count == 1 && fields.filter { $0.hasPrefix("PRIORITY=") }.count == 1)
        #expect(fields.allSatisfy { $0.wholeMatch(of: /[A-Z][A-Z0-9_]*=[\x20-\x7e]*/) != nil })
    }

    @Test func threat_C11_textValuesCannotAddFields() {
        log.logger("test").info("m", metadata: ["identity": "x\" reason=\"fine", "a": "b c", "d": "e=f", "g": ""])
        #expect(lines.first?.story == #"m identity="x\" reason=\"fine" a="b c" d="e=f" g="""#)
    }

    @Test func threat_C11_keysAndNestingAreCapped() {
        var deep: Logger.MetadataValue = "x"
        for _ in 0..<10_000 { deep = .array([deep]) }
        var metadata: Logger.Metadata = ["ke y\n=": .dictionary(["a": ["b", "c"]]), "deep": deep]
        for number in 0..<1000 { metadata["z\(number)"] = "v" }
        log.logger("test").info("m", metadata: metadata)
        let line = lines[0]
        #expect(line.fields.count == 32)
        #expect(line.fields.contains { $0.name == "ke_y__" && $0.value == "a=b,c" })
    }

    @Test func loginsStory() {
        let events = EventLog(log.logger("test"))
        var who = subject(identity: nil)
        who.addresses = []
        events.loginStarted(who, algorithms: "aes256-gcm16/sha-384/x25519")
        who.identity = "alice@example.com"
        events.authenticated(who, name: "alice@example.com", method: "psk")
        who.addresses = [IPAddress(v4: 0x0a14_0107)]
        events.established(who, name: "alice@example.com", service: "corporate", interface: "priv0", algorithms: "aes128-gcm16/esn")
        events.closed(who, name: "alice@example.com", reason: "client left", seconds: 12, octetsIn: 1, octetsOut: 2)
        #expect(
            lines.map(\.story) == [
                "login started event=login-started session=7 gateway=road-warriors remote=198.51.100.7:4500 ike=aes256-gcm16/sha-384/x25519",
                "client authenticated event=authenticated session=7 gateway=road-warriors identity=alice@example.com name=alice@example.com remote=198.51.100.7:4500 method=psk",
                "session established event=established session=7 gateway=road-warriors identity=alice@example.com name=alice@example.com remote=198.51.100.7:4500 address=10.20.1.7 esp=aes128-gcm16/esn interface=priv0 service=corporate",
                #"session closed: client left event=closed session=7 gateway=road-warriors identity=alice@example.com name=alice@example.com remote=198.51.100.7:4500 address=10.20.1.7 reason="client left" octets-in=1 octets-out=2 seconds=12"#,
            ])
    }

    /// operations.md: `offload-missing`, at the start and for each worker that loses one later.
    @Test func missingOffloadsGetALineEach() {
        let events = EventLog(log.logger("test"))
        events.offloadMissing("no USO")
        events.offloadMissing("no more UDP_SEGMENT", worker: 3)
        #expect(lines.map(\.story) == ["no USO event=offload-missing", "worker 3: no more UDP_SEGMENT event=offload-missing"])
        #expect(lines.allSatisfy { $0.level == .notice })
    }

    @Test func levelChangesAtOnce() {
        let logger = log.logger("test")
        var loud = log.logger("loud")
        loud.logLevel = .trace
        logger.debug("no")
        loud.debug("own")
        log.level = .debug
        logger.debug("yes")
        log.level = .error
        logger.warning("no")
        logger.critical("crit")
        #expect(lines.map(\.message) == ["own", "yes", "crit"])
        #expect(log.level == .error)
    }

    @Test func textForm() throws {
        log.logger("test").warning("it is \"so\"", metadata: ["reason": "r"])
        #expect(
            try lines[0].text.wholeMatch(of: Regex(#"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning it is "so" reason=r"#)) != nil, "\(lines[0].text)"
        )
        #expect(lines[0].prefixed == #"<4>it is "so" reason=r"#)
    }

    @Test(arguments: GatewayLog.Format.allCases, [false, true])
    func configuration_logFormats(format: GatewayLog.Format, inJournal: Bool) throws {
        // With a journal on the machine that form goes there, not to the stream.
        guard format != .journald || access(Journal.socketPath, F_OK) != 0 else { return }
        var ends: [CInt] = [0, 0]
        try #require(pipe(&ends) == 0)
        let log = GatewayLog(sink: GatewayLog.sink(format, inJournal: inJournal, descriptor: ends[1]), level: .info)
        log.logger("test").info("one", metadata: ["session": "7"])
        log.logger("test").error("two")
        log.flush()
        close(ends[1])
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = read(ends[0], &buffer, buffer.count)
        let text = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
        close(ends[0])
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count == 3 && lines[2] == "", "\(text)")
        switch (format, inJournal) {
        case (.json, _): #expect(lines[0].hasPrefix("{\"time\":\"2") && lines[0].hasSuffix("\"session\":\"7\"}"))
        case (_, true): #expect(lines[0] == "<6>one session=7" && lines[1] == "<3>two")
        case (_, false): #expect(lines[0].hasPrefix("2") && lines[0].hasSuffix("Z info one session=7"))
        }
    }

    @Test func aSlowReaderLosesLinesNotLogins() {
        let sink = KeptLines()
        let log = GatewayLog(sink: sink, level: .info, capacity: 10)
        let logger = log.logger("test")
        sink.gate.lock()
        let start = ContinuousClock.now
        for number in 0..<1000 { logger.info("line \(number)") }
        #expect(ContinuousClock.now - start < .seconds(5))
        sink.gate.unlock()
        log.flush()
        let kept = sink.lines.withLock { $0 }
        let lost = kept.flatMap(\.fields).filter { $0.name == "count" }.compactMap { Int($0.value) }.reduce(0, +)
        #expect(lost > 900 && kept.filter { $0.message.hasPrefix("line") }.count + lost == 1000)
    }

    @Test func threat_C10_strangersHaveABudget() {
        let budget = LogBudget(perSecond: 10, burst: 20)
        let start = ContinuousClock.now
        var given = 0
        for _ in 0..<1000 where budget.take(at: start) != nil { given += 1 }
        #expect(given == 20)
        #expect(budget.take(at: start + .seconds(1)) == 980)
        #expect(budget.take(at: start + .seconds(1)) == 0)
        // A clock that goes back gives nothing.
        for _ in 0..<100 { _ = budget.take(at: start) }
        #expect(budget.take(at: start) == nil)
    }

    @Test func reloadProblemsGetALineEach() {
        EventLog(log.logger("test")).reloaded(FakeGateway.State.hostile.answer)
        #expect(lines.map(\.level) == [.error, .error])
        #expect(lines[0].message.hasPrefix(#"/etc/\x0a:3:7: error: ipsec\x1b: found"#))
    }
}

@Suite("The journal's native protocol")
struct JournalTests {
    @Test func datagramsWithFieldsAndTheWayBack() async throws {
        try await withFolder { folder in
            let path = folder + "/journal"
            let kept = KeptLines()
            let log = GatewayLog(sink: Journal(path: path, otherwise: kept), level: .info)
            let logger = log.logger("test")
            logger.info("nobody there")
            log.flush()
            #expect(kept.lines.withLock { $0.map(\.message) } == ["nobody there"])

            var journal = try #require(RawSocket.datagram(path))
            logger.error("first", metadata: ["session": "7", "octets-in": "5"])
            log.flush()
            #expect(
                receive(journal)
                    == "MESSAGE=first session=7 octets-in=5\nPRIORITY=3\nSYSLOG_IDENTIFIER=ipsec-gw\nIPSEC_GW_SESSION=7\nIPSEC_GW_OCTETS_IN=5\n")

            // A journal that was started again has another socket.
            close(journal)
            unlink(path)
            journal = try #require(RawSocket.datagram(path))
            logger.info("second")
            log.flush()
            #expect(receive(journal).hasPrefix("MESSAGE=second\nPRIORITY=6\n"))
            close(journal)
        }
    }

    private func receive(_ descriptor: CInt) -> String {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = recv(descriptor, &buffer, buffer.count, CInt(MSG_DONTWAIT))
        return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    }
}

import Foundation
import ManagementAPI
import Synchronization
import Testing

@Suite("programs.md: ipsec-gwctl")
struct ControlProgramTests {
    static let looking = ["status", "gateways", "sessions", "sas", "counters", "pools", "radius"]

    @Test func statusShowsWhatEachWorkerCarries() async throws {
        try await Daemon.with { daemon in
            let outcome = try await ControlProgram.run(["status"], socket: daemon.socket)
            let rows = outcome.output.split(separator: "\n").suffix(3).map { $0.split(separator: " ").joined(separator: " ") }
            #expect(rows == ["WORKER SESSIONS OCTETS PACKETS SHED TAKEN", "0 17 3.0G 2400000 4 1", "1 20 1.0G 900000 1 4"])
        }
    }

    @Test(arguments: looking)
    func programs_tableFits(command: String) async throws {
        for state in [FakeGateway.State.everyday, .hostile, .init()] {
            try await Daemon.with(state) { daemon in
                let outcome = try await ControlProgram.run([command], socket: daemon.socket)
                #expect(outcome.status == 0, "\(outcome.complaint)")
                #expect(!outcome.output.isEmpty)
                for line in outcome.lines {
                    #expect(line.utf8.count <= 100, "\(line)")
                    #expect(line.utf8.allSatisfy { (0x20...0x7e).contains($0) }, "threat_C11: \(line)")
                }
            }
        }
    }

    @Test(arguments: looking)
    func programs_jsonArrays(command: String) async throws {
        try await Daemon.with(.init()) { daemon in
            let json = try await ControlProgram.run([command, "--json"], socket: daemon.socket).json()
            if ["gateways", "sessions", "sas", "pools"].contains(command) {
                #expect((json as? [Any])?.isEmpty == true)
            } else {
                #expect(json is [String: Any])
            }
        }
    }

    @Test(arguments: looking)
    func threat_C11_jsonOutputIsASCII(command: String) async throws {
        try await Daemon.with(.hostile) { daemon in
            let outcome = try await ControlProgram.run(["--json", command], socket: daemon.socket)
            #expect(outcome.status == 0)
            #expect(outcome.output.utf8.allSatisfy { $0 == 0x0a || (0x20...0x7e).contains($0) })
            _ = try outcome.json()
        }
    }

    @Test func programs_flagsBeforeAndAfter() async throws {
        try await Daemon.with { daemon in
            let orders = [
                ["--socket", daemon.socket, "--json", "sessions"], ["sessions", "--json", "--socket", daemon.socket],
                ["--json", "sessions", "--socket=\(daemon.socket)"], ["--socket=\(daemon.socket)", "sessions", "--json"],
            ]
            for arguments in orders {
                let outcome = try await ControlProgram.run(arguments)
                #expect(outcome.status == 0, "\(arguments): \(outcome.complaint)")
                #expect((try outcome.json() as? [Any])?.count == 2)
            }
            let clear = try await ControlProgram.run(["--json", "clear", "--socket", daemon.socket, "session", "bob"])
            #expect((try clear.json() as? [String: Int]) == ["cleared": 1])
        }
    }

    @Test func programs_sessionsByName() async throws {
        try await Daemon.with { daemon in
            let one = try await ControlProgram.run(["sessions", "alice@example.com", "--json"], socket: daemon.socket)
            #expect(one.status == 0)
            let report = try #require((try one.json() as? [[String: Any]])?.first)
            #expect(report["id"] as? String == "1")
            #expect(report["innerAddresses"] as? [String] == ["10.20.1.1"])
            let details = try await ControlProgram.run(["sessions", "2"], socket: daemon.socket)
            #expect(details.output.contains("2001:db8:20::102") && details.output.contains("0000002a"))
            let none = try await ControlProgram.run(["sessions", "carol", "--json"], socket: daemon.socket)
            #expect(none.status == 1)
            #expect((try none.json() as? [Any])?.isEmpty == true)
            #expect(none.complaint.contains("carol") && none.complaint.contains("ipsec-gwctl sessions"))
        }
    }

    @Test func programs_table() async throws {
        try await Daemon.with { daemon in
            let lines = try await ControlProgram.run(["sessions"], socket: daemon.socket).lines
            #expect(lines.first?.hasPrefix("ID  NAME") == true)
            #expect(
                lines.contains { $0.contains("alice@example.com") && $0.contains("10.20.1.1") && $0.contains("1h") && $0.contains("117M") },
                "\(lines)")
            // A second inner address stands below the first, in its column.
            let column = try #require(lines.first?.range(of: "INNER")).lowerBound
            #expect(lines.contains { $0.hasPrefix(String(repeating: " ", count: column.utf16Offset(in: lines[0])) + "2001:db8:20::102") })
        }
    }

    @Test(arguments: ["1", "alice@example.com", "10.20.1.1", "198.51.100.7"])
    func programs_clear(selector: String) async throws {
        try await Daemon.with { daemon in
            let outcome = try await ControlProgram.run(["clear", "session", selector], socket: daemon.socket)
            #expect(outcome.output == "cleared 1\n" && outcome.status == 0)
            #expect(daemon.gateway.state.withLock { $0.sessions.map(\.id) } == ["2"])
            let again = try await ControlProgram.run(["clear", "session", selector], socket: daemon.socket)
            #expect(again.output == "cleared 0\n" && again.status == 1)
        }
    }

    @Test func threat_C11_selectorIsLiteral() async throws {
        try await Daemon.with { daemon in
            let text = "$(id) &match=%0a\u{1b}[2J/?#é"
            let outcome = try await ControlProgram.run(["sessions", text], socket: daemon.socket)
            #expect(outcome.status == 1)
            #expect(outcome.complaint.utf8.filter { $0 == 0x0a }.count == 1)
            _ = try await ControlProgram.run(["clear", "session", text], socket: daemon.socket)
            #expect(daemon.gateway.state.withLock { $0.cleared.map(\.text) } == [text])
        }
    }

    @Test func programs_reload() async throws {
        var state = FakeGateway.State.everyday
        state.answer.needRestart = ["tunnel-group.1.workers"]
        try await Daemon.with(state) { daemon in
            let good = try await ControlProgram.run(["reload"], socket: daemon.socket)
            #expect(good.status == 0)
            #expect(good.output == "tunnel-group.1.workers: takes effect after a restart\nreloaded\n")
            daemon.gateway.state.withLock { $0.answer = FakeGateway.State.hostile.answer }
            let bad = try await ControlProgram.run(["reload"], socket: daemon.socket)
            #expect(bad.status == 1)
            #expect(bad.lines.count == 2 && bad.lines[0].hasPrefix(#"/etc/\x0a:3:7: error: ipsec\x1b: found WWW"#), "\(bad.output)")
            #expect(bad.complaint.contains("nothing has changed"))
            let json = try await ControlProgram.run(["reload", "--json"], socket: daemon.socket)
            #expect(json.status == 1)
            #expect((try json.json() as? [String: Any])?["applied"] as? Bool == false)
        }
    }

    @Test func programs_logLevel() async throws {
        try await Daemon.with { daemon in
            let outcome = try await ControlProgram.run(["log-level", "debug"], socket: daemon.socket)
            #expect(outcome.status == 0)
            #expect(daemon.gateway.state.withLock { $0.level } == .debug)
        }
    }

    @Test(
        arguments: [
            [], ["--json"], ["frobnicate"], ["clear"], ["clear", "session"], ["clear", "session", "a", "b"], ["clear", "session", ""],
            ["log-level"], ["log-level", "loud"], ["status", "extra"], ["status", "--colour"], ["status", "--socket"],
        ])
    func programs_usage64(arguments: [String]) async throws {
        let outcome = try await ControlProgram.run(arguments, socket: "/nonexistent")
        #expect(outcome.status == 64)
        #expect(!outcome.complaint.isEmpty && outcome.output.isEmpty)
    }

    @Test func programs_unreachable2() async throws {
        try await withFolder { folder in
            let stale = folder + "/stale.sock"
            close(try #require(RawSocket.bound(stale)))
            let cases = [
                (folder + "/absent.sock", "there is no socket"), (stale, "nobody listens"),
                (folder + "/" + String(repeating: "x", count: 200), "too long"),
            ]
            for (path, text) in cases {
                let outcome = try await ControlProgram.run(["status"], socket: path)
                #expect(outcome.status == 2, "\(path)")
                #expect(outcome.complaint.contains(text), "\(outcome.complaint)")
                #expect(outcome.output.isEmpty)
            }
        }
    }

    @Test func programs_everySubcommandIsThere() async throws {
        let help = try await ControlProgram.run(["--help"])
        #expect(help.status == 0)
        for name in Self.looking + ["clear", "reload", "log-level"] { #expect(help.output.contains("  \(name)")) }
    }
}

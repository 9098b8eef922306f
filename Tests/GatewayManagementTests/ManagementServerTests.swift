import Foundation
import ManagementAPI
import Metrics
import Synchronization
import Testing
import Wire

@testable import Gateway

func loopback(port: UInt16) -> Endpoint { Endpoint(IPAddress(v4: 0x7f00_0001), port: port) }

@Suite("The HTTP API: what it answers, and what it takes from nobody")
struct ManagementServerTests {
    /// The status of an answer and the error in it.
    private func verdict(_ answer: String) -> (status: Int?, error: ErrorAnswer?) {
        let status = answer.split(separator: " ").dropFirst().first.flatMap { Int($0) }
        let body = answer.range(of: "\r\n\r\n").map { Array(answer[$0.upperBound...].utf8) } ?? []
        return (status, try? ManagementCoding.decode(ErrorAnswer.self, from: body))
    }

    private func ask(_ daemon: Daemon, _ text: String) async throws -> String {
        let socket = try #require(RawSocket(path: daemon.socket))
        socket.send(text)
        return await socket.read()
    }

    @Test func everyCallOfTheClient() async throws {
        try await Daemon.with { daemon in
            let client = daemon.client
            #expect(try await client.status().workers == 2)
            #expect(try await client.gateways().map(\.name) == ["road-warriors"])
            #expect(try await client.sessions().map(\.id) == ["1", "2"])
            #expect(try await client.securityAssociations().first?.children.first?.inboundSPI == "0xffffffff")
            #expect(try await client.counters().drops["unknown-spi"] == 17)
            #expect(try await client.pools().first?.free == 49_997)
            #expect(try await client.reload().applied)
            try await client.setLogLevel(.trace)
            #expect(daemon.gateway.state.withLock { $0.level } == .trace)
            #expect(try await client.clear(try #require(SessionSelector("bob"))) == 1)
            #expect(try await client.metrics().contains("ipsec_gw_sessions 1\n"))
        }
    }

    @Test(
        arguments: [
            ("GET /v2/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", 404),
            ("GET /v1/%0a%1b[2J HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", 404),
            ("DELETE /v1/sessions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", 405),
            ("POST /v1/sessions/clear HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\n{x}", 400),
            ("POST /v1/sessions/clear HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 12\r\n\r\n{\"match\":\"\"}", 400),
            ("POST /v1/sessions/clear HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", 400),
            ("PUT /v1/log-level HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 16\r\n\r\n{\"level\":\"loud\"}", 400),
            ("GET /v1/sessions?match= HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", 400),
            ("complete nonsense\r\n\r\n", 400),
            ("\0\u{1}\u{2}\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", 400),
            ("GET /v1/status HTTP/1.1\r\nhost: x\r\nx: " + String(repeating: "a", count: 20_000) + "\r\n\r\n", 431),
            ("GET /v1/status HTTP/1.1\r\nhost: x\r\n" + String(repeating: "a: b\r\n", count: 200) + "\r\n", 431),
        ] as [(String, Int)])
    func badRequestsGetErrorAndHint(request: String, status: Int) async throws {
        try await Daemon.with { daemon in
            let (found, error) = verdict(try await ask(daemon, request))
            #expect(found == status)
            #expect(error.map { !$0.error.isEmpty && !$0.hint.isEmpty } == true)
            #expect(try await daemon.client.sessions().count == 2)
        }
    }

    @Test func threat_C3_bodyIsCapped() async throws {
        try await Daemon.with(.everyday, { $0.limits.bodyOctets = 1000 }) { daemon in
            for head in ["content-length: 5000", "transfer-encoding: chunked"] {
                let body =
                    head.hasPrefix("transfer")
                    ? "1388\r\n" + String(repeating: "a", count: 5000) + "\r\n0\r\n\r\n" : String(repeating: "a", count: 5000)
                let answer = try await ask(daemon, "POST /v1/sessions/clear HTTP/1.1\r\nhost: x\r\n\(head)\r\n\r\n\(body)")
                let (status, error) = verdict(answer)
                #expect(status == 413 && error != nil, "\(answer)")
            }
            #expect(try await daemon.client.sessions().count == 2)
        }
    }

    @Test func slowRequestsEnd() async throws {
        try await Daemon.with(
            .everyday,
            {
                $0.limits.requestTimeout = .milliseconds(300)
                $0.limits.idleTimeout = .milliseconds(600)
            }
        ) { daemon in
            let start = ContinuousClock.now
            let body = try await ask(daemon, "POST /v1/sessions/clear HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{")
            #expect(verdict(body).status == 408)
            // Not even a head: closed without a word.
            #expect(try await ask(daemon, "GET /v1/sta") == "")
            #expect(try await ask(daemon, "") == "")
            #expect(ContinuousClock.now - start < .seconds(30))
        }
    }

    @Test func connectionsAreCapped() async throws {
        try await Daemon.with(.everyday, { $0.limits.connections = 2 }) { daemon in
            var holders = [RawSocket(path: daemon.socket), RawSocket(path: daemon.socket)]
            for holder in holders {
                holder?.send("GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n")
                #expect(await holder?.read { $0.contains("uptime") }.contains("200 OK") == true)
            }
            let third = try #require(RawSocket(path: daemon.socket))
            third.send("GET /v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            let answered = Atomic(false)
            async let answer = third.read { text in
                answered.store(!text.isEmpty, ordering: .relaxed)
                return false
            }
            try await Task.sleep(for: .milliseconds(300))
            let early = answered.load(ordering: .relaxed)
            #expect(!early, "a third connection is served beside two")
            holders.removeAll()
            #expect(await answer.contains("200 OK"))
        }
    }

    @Test func metricsOverTCPAndNothingElse() async throws {
        try await Daemon.with(.everyday, { $0.metrics = loopback(port: 0) }) { daemon in
            let port = try #require(daemon.server.metricsPort)
            let text = try await fetch("/metrics", port: port)
            #expect(text.status == 200 && text.type == "text/plain; version=0.0.4; charset=utf-8")
            #expect(text.body.contains("ipsec_gw_sessions 2\n"))
            for path in ["/v1/status", "/v1/sessions", "/v1/sas"] {
                #expect(try await fetch(path, port: port).status == 404)
            }
        }
    }

    @Test func scrapeHoldsTheGatewaysNumbers() async throws {
        try await Daemon.with { daemon in
            Counter(label: "logins", dimensions: [("result", "ok")], factory: daemon.metrics).increment(by: 5)
            daemon.metrics.register { $0.gauge("ipsec_gw_table_size", help: "Entries.", labels: [("table", "half-open")], 7) }
            let text = try await daemon.client.metrics()
            try ExpositionCheck.run(text)
            for line in [
                #"logins_total{result="ok"} 5"#, #"ipsec_gw_table_size{table="half-open"} 7"#, #"ipsec_gw_drops_total{reason="replayed"} 4"#,
                #"ipsec_gw_ike_events_total{event="cookies-sent"} 1"#, #"ipsec_gw_pool_addresses{pool="rw/staff",state="free"} 49997"#,
                #"ipsec_gw_gateway_up{gateway="road-warriors"} 1"#, #"ipsec_gw_info{engine="openssl 3.0.17",name="segw-1",version="0.1.0"} 1"#,
            ] {
                #expect(text.contains(line + "\n"), "\(line)")
            }
            #expect(text.contains("process_resident_memory_bytes "))
        }
    }

    private func fetch(_ path: String, port: UInt16) async throws -> (status: Int, type: String, body: String) {
        let socket = try #require(RawSocket(port: port))
        socket.send("GET \(path) HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        let answer = await socket.read()
        let head = answer.range(of: "\r\n\r\n").map { answer[..<$0.lowerBound] } ?? ""
        let type = head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-type: ") }?.dropFirst(14)
        return (
            verdict(answer).status ?? 0, type.map(String.init) ?? "", answer.range(of: "\r\n\r\n").map { String(answer[$0.upperBound...]) } ?? ""
        )
    }
}

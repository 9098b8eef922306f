import GatewayCrypto
import Logging
import NIOPosix
import RADIUS
import Testing
import Wire

@testable import Gateway

@Suite("RADIUS over sockets, with a scripted server", .timeLimit(.minutes(2)))
struct RADIUSExchangeTests {
    init() throws { try RADIUSDictionary.load() }

    private static func exchange(
        _ ports: [UInt16], timeout: Duration = .seconds(1), retryCount: Int = 3, kind: RADIUSClient.Kind = .authentication
    ) -> RADIUSExchange {
        let servers = ports.map { port in
            RADIUSServerSettings(
                name: "\(port)", address: IPAddress(v4: 0x7f00_0001), secret: Secret(Array(RADIUSGateway.secret.utf8)), authenticationPort: port,
                accountingPort: port)
        }
        return RADIUSExchange(
            "lab", RADIUSServerPolicySettings(servers: servers, timeout: timeout, retryCount: retryCount, holdDown: .seconds(30)), kind: kind,
            group: MultiThreadedEventLoopGroup.singleton, entropy: SystemEntropy(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    private static func draft(_ name: String, affinity: String? = nil) -> RequestDraft {
        RequestDraft([RADIUSAttribute(.userName, name)], affinity: affinity)
    }

    private static func accept(_ request: ScriptedServer.Request) -> [UInt8] {
        request.reply(.accessAccept, [RADIUSAttribute(.class, request.name() ?? "")])
    }

    @Test("threat_P19: 600 conversations at once over one server, from three ports and more: each gets its own answer")
    func threat_P19_sixHundred() async throws {
        try await ScriptedServer.with {
            [Self.accept($0)]
        } _: { server in
            let exchange = Self.exchange([server.port])
            let own = await withTaskGroup(of: Bool.self) { group in
                for number in 0..<600 {
                    group.addTask {
                        guard case .success(let reply) = await exchange.request(Self.draft("user\(number)")) else { return false }
                        return reply.packet.first(.class)?.text == "user\(number)"
                    }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(own == 600)
            let requests = server.requests
            #expect(Set(requests.map { $0.name() ?? "" }).count == 600)
            // Two requests of one port and identifier are copies, or the first was answered before the second began.
            #expect(Set(requests.map(\.octets)).count == 600)
            let statistics = try #require(await exchange.statistics.first)
            #expect(statistics.accepts == 600 && statistics.outstanding == 0 && statistics.timeouts == 0)
            await exchange.stop()
        }
    }

    /// The second send to a port that nobody listens on meets the kernel's report of the first, which closes the socket.
    @Test("I3: requests to a server that is starting anew are answered once it listens")
    func threat_I3_serverStartsAnew() async throws {
        let port = try await ScriptedServer.freePort()
        let exchange = Self.exchange([port], timeout: .milliseconds(500), retryCount: 8)
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<5 {
                group.addTask {
                    guard case .success = await exchange.request(Self.draft("user\(number)")) else { return false }
                    return true
                }
            }
            try await Task.sleep(for: .milliseconds(300))
            try await ScriptedServer.$wantedPort.withValue(Int(port)) {
                try await ScriptedServer.with {
                    [Self.accept($0)]
                } _: { server in
                    var answered = 0
                    for try await one in group where one { answered += 1 }
                    #expect(answered == 5)
                    #expect(Set(server.requests.map { $0.name() ?? "" }).count == 5)
                }
            }
        }
        await exchange.stop()
    }

    @Test("threat_P19: 600 that nobody answers yet take three ports; when the server speaks, each is answered on its own")
    func threat_P19_sourcePorts() async throws {
        // The first copy of each is lost: all are under way at once.
        try await ScriptedServer.with {
            $0.count == 1 ? [] : [Self.accept($0)]
        } _: { server in
            let exchange = Self.exchange([server.port], timeout: .seconds(2))
            let own = await withTaskGroup(of: Bool.self) { group in
                for number in 0..<600 {
                    group.addTask {
                        guard case .success(let reply) = await exchange.request(Self.draft("user\(number)")) else { return false }
                        return reply.packet.first(.class)?.text == "user\(number)"
                    }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(own == 600)
            #expect(Set(server.requests.map(\.port)).count == 3, "256 identifiers a port")
            // RFC 5080 section 2.2.1: a copy is the same octets from the same port.
            var ports: [[UInt8]: Set<Int>] = [:]
            for request in server.requests { ports[request.octets, default: []].insert(request.port) }
            #expect(ports.count == 600 && ports.values.allSatisfy { $0.count == 1 })
            await exchange.stop()
        }
    }

    @Test("threat_C12, threat_P19: forged replies of every kind come before the true one, and one from another port; only the true one counts")
    func threat_C12_forged() async throws {
        @Sendable func forgeries(_ request: ScriptedServer.Request) -> [[UInt8]] {
            let good = request.reply(.accessAccept, [RADIUSAttribute(.class, "forged"), RADIUSAttribute(.userName, "mallory")])
            var zero = good
            zero[39] = 0
            var one = good
            one[39] = 1
            var identifier = good
            identifier[1] &+= 1
            var signature = good
            signature[25] ^= 1
            var authenticator = good
            authenticator[9] ^= 1
            return [
                [], [2], Array(good.prefix(19)), zero, one, identifier, signature, authenticator, Array(good.dropLast()),
                request.reply(.accessAccept, [RADIUSAttribute(.class, "forged")], secret: "another"),
                request.reply(.accessAccept, [RADIUSAttribute(.class, "forged")], signed: false),
                request.reply(.accountingResponse), [UInt8](repeating: 2, count: 5000),
            ]
        }
        try await ScriptedServer.with(
            { forgeries($0) + [Self.accept($0), $0.reply(.accessReject)] },
            strange: { [$0.reply(.accessAccept, [RADIUSAttribute(.class, "stranger")])] }
        ) { server in
            let exchange = Self.exchange([server.port])
            guard case .success(let reply) = await exchange.request(Self.draft("alice")) else {
                Issue.record("no reply")
                return
            }
            #expect(reply.packet.code == .accessAccept && reply.packet.first(.class)?.text == "alice")
            let drops = try #require(await exchange.statistics.first).drops
            for reason in [
                RADIUSDrop.malformed, .unknownIdentifier, .badMessageAuthenticator, .badAuthenticator, .missingMessageAuthenticator, .unexpectedCode,
            ] {
                #expect(drops[reason, default: 0] > 0, "no \(reason) in \(drops)")
            }
            #expect(drops[.wrongSource] == nil, "what another port sends does not come as far as that")
            // It goes on: the Reject that came too late counts for nothing.
            guard case .success(let second) = await exchange.request(Self.draft("bob")) else {
                Issue.record("no second reply")
                return
            }
            #expect(second.packet.first(.class)?.text == "bob")
            #expect(try #require(await exchange.statistics.first).rejects == 0)
            await exchange.stop()
        }
    }

    @Test("4 KB of Proxy-State and ten Classes of 253 octets come whole through a socket")
    func large() async throws {
        let full = [UInt8](repeating: 7, count: 253)
        try await ScriptedServer.with { request in
            [
                request.name() == "classes"
                    ? request.reply(.accessAccept, (0..<10).map { _ in RADIUSAttribute(.class, full) })
                    : request.reply(
                        .accessAccept,
                        (0..<15).map { _ in RADIUSAttribute(.proxyState, full) } + [RADIUSAttribute(.proxyState, Array(full.prefix(200)))])
            ]
        } _: { server in
            let exchange = Self.exchange([server.port])
            guard case .success(let classes) = await exchange.request(Self.draft("classes")),
                case .success(let states) = await exchange.request(Self.draft("states"))
            else {
                Issue.record("no reply")
                return
            }
            let accept = try AccessAccept(classes.packet)
            #expect(accept.classes == [[UInt8]](repeating: full, count: 10))
            #expect(states.packet.all(.proxyState).reduce(0) { $0 + $1.value.count } == 15 * 253 + 200)
            await exchange.stop()
        }
    }

    @Test(
        "failover: a server without a word, and one whose port is closed; the next answers, and is asked first from then on",
        arguments: [true, false])
    func failover(isOpen: Bool) async throws {
        try await ScriptedServer.with { _ in
            []
        } _: { silent in
            try await ScriptedServer.with {
                [Self.accept($0)]
            } _: { server in
                let exchange = Self.exchange([isOpen ? silent.port : 9, server.port], timeout: .milliseconds(200), retryCount: 1)
                for name in ["alice", "bob"] {
                    guard case .success(let reply) = await exchange.request(Self.draft(name)) else {
                        Issue.record("no reply for \(name)")
                        continue
                    }
                    #expect(reply.server == "\(server.port)" && reply.packet.first(.class)?.text == name)
                }
                let statistics = await exchange.statistics
                #expect(statistics.map(\.isUp) == [false, true] && statistics.map(\.timeouts) == [1, 0])
                if isOpen { #expect(silent.requests.map { $0.name() } == ["alice", "alice"] && Set(silent.requests.map(\.octets)).count == 1) }
                // A conversation that began with the dead one does not go to the other (threats.md P19).
                let first = isOpen ? "\(silent.port)" : "9"
                guard case .failure(.serverLost(first)) = await exchange.request(Self.draft("carol", affinity: first)) else {
                    Issue.record("its conversation did not end")
                    return
                }
                #expect(!server.requests.contains { $0.name() == "carol" })
                await exchange.stop()
            }
        }
    }

    @Test("accounting goes to its port, unsigned, and takes the server's unsigned word")
    func accounting() async throws {
        try await ScriptedServer.with {
            [$0.reply(.accountingResponse, signed: false)]
        } _: { server in
            let exchange = Self.exchange([server.port], kind: .accounting)
            guard case .success = await exchange.request(RequestDraft([RADIUSAttribute(.acctStatusType, 1)])) else {
                Issue.record("no reply")
                return
            }
            #expect(server.requests.map(\.packet.code) == [.accountingRequest])
            await exchange.stop()
        }
    }

    @Test("a reload replaces it: what is under way is answered, then it ends; a stop ends everything at once")
    func retired() async throws {
        try await ScriptedServer.with {
            $0.name() == "silence" || $0.count == 1 ? [] : [Self.accept($0)]
        } _: { server in
            let exchange = Self.exchange([server.port], timeout: .milliseconds(300))
            async let answer = exchange.request(Self.draft("alice"))
            while server.requests.isEmpty { await Task.yield() }
            await exchange.retire()
            guard case .success = await answer else {
                Issue.record("it was not answered")
                return
            }
            guard case .failure(.noServer) = await exchange.request(Self.draft("bob")) else {
                Issue.record("it still takes requests")
                return
            }
            let stopped = Self.exchange([server.port])
            async let never = stopped.request(Self.draft("silence"))
            while !server.requests.contains(where: { $0.name() == "silence" }) { await Task.yield() }
            await stopped.stop()
            guard case .failure(.noServer) = await never else {
                Issue.record("who waited was not told")
                return
            }
        }
    }
}

import GatewayCrypto
import GatewayTesting
import RADIUS
import Testing
import Wire

@Suite("Transactions")
struct ClientTests {
    @Test("RFC 5080 section 2.2.1: the same octets after 5, 10 and 16 s, a tenth of jitter; then it fails", arguments: 1...20)
    func RFC5080_2_2_1_retransmission(seed: UInt64) throws {
        var rig = try ClientRig(servers: 1, seed: seed)
        rig.ask(1)
        while rig.wait() {}
        #expect(rig.sent.count == 4 && Set(rig.sent.map(\.octets)).count == 1 && Set(rig.sent.map(\.socket)).count == 1, "seed \(seed)")
        let waits = zip(rig.sent.dropFirst(), rig.sent).map { $0.at - $1.at } + [rig.now - rig.sent[3].at]
        var last: Duration = .seconds(5)
        for (index, wait) in waits.enumerated() {
            let (low, high): (Duration, Duration) =
                switch index {
                case 0: (.milliseconds(4499), .milliseconds(5501))
                case 1: (last * 19 / 10 - .milliseconds(1), last * 21 / 10 + .milliseconds(1))
                default: (.milliseconds(14399), .milliseconds(17601))
                }
            #expect(wait >= low && wait <= high, "seed \(seed), wait \(index): \(wait) after \(last)")
            last = wait
        }
        #expect(rig.failures.map(\.failure) == [.timeout("a")] && rig.client.outstanding == 0)
        let statistics = try rig.statistics("a")
        #expect(statistics.requests == 1 && statistics.retransmissions == 3 && statistics.timeouts == 1 && !statistics.isUp)
        #expect(statistics.outstanding == 0)
    }

    @Test("jitter is there: two runs do not wait alike")
    func RFC5080_2_2_1_jitter() throws {
        let waits = try (1...8).map { seed in
            var rig = try ClientRig(servers: 1, seed: UInt64(seed))
            rig.ask(1)
            rig.wait()
            return rig.now
        }
        #expect(Set(waits).count == 8)
    }

    @Test("a reply completes; round trip, counts, X-4: signed first")
    func reply() throws {
        var rig = try ClientRig()
        rig.ask(7, [.init(.userName, "alice"), .init(.userPassword, "secret")])
        let request = try #require(rig.sent.first)
        #expect(request.to == ClientRig.a && request.octets[0] == 1 && request.octets[20] == 80)
        let asked = try decoded(request.octets, request: nil)
        #expect(asked.first(.userPassword)?.text == "secret")
        rig.now = rig.now + .milliseconds(30)
        rig.deliver(try rig.answer(request, .accessAccept, [.init(.class, "c")]), on: request, from: ClientRig.a)
        let (id, reply) = try #require(rig.replies.first)
        #expect(id == 7 && reply.server == "a" && reply.roundTrip == .milliseconds(30) && reply.packet.first(.class)?.text == "c")
        #expect(reply.requestAuthenticator == request.authenticator)
        #expect(rig.client.outstanding == 0 && rig.client.nextDeadline == nil)
        let statistics = try rig.statistics("a")
        #expect(statistics.accepts == 1 && statistics.replies == 1 && statistics.roundTrip == .milliseconds(30))
    }

    @Test("accounting: its own port, no Message-Authenticator sent or needed")
    func accounting() throws {
        var rig = try ClientRig(kind: .accounting)
        rig.ask(1, [.init(.acctStatusType, 1)])
        let request = try #require(rig.sent.first)
        #expect(request.to.port == 1813 && request.octets[0] == 4)
        #expect(try !decoded(request.octets, request: nil, required: false).hadMessageAuthenticator)
        rig.deliver(try rig.answer(request, .accountingResponse), on: request)
        #expect(rig.replies.count == 1)
        #expect(try rig.statistics("a").responses == 1)
    }

    @Test("failover: a new packet to the next server; the dead one is held down, then one request tries it")
    func failover() throws {
        var rig = try ClientRig()
        rig.ask(1)
        while rig.sent.last?.to == ClientRig.a, rig.wait() {}
        let first = rig.sent[0]
        let second = try #require(rig.sent.last)
        #expect(rig.sent.count == 5 && second.to == ClientRig.b && second.authenticator != first.authenticator)
        #expect(rig.states.map(\.server) == ["a"] && rig.states.map(\.isUp) == [false])
        rig.deliver(try rig.answer(second), on: second)
        #expect(rig.replies.map(\.reply.server) == ["b"])

        // P19: what server a says now is too late
        rig.deliver(try rig.answer(first, .accessReject), on: first)
        #expect(rig.drops == [.late] && rig.replies.count == 1)
        #expect(try rig.statistics("a").drops[.late] == 1)

        // held down: 30 s
        rig.pass(.seconds(29))
        rig.ask(2)
        #expect(rig.sent.last?.to == ClientRig.b)
        rig.deliver(try rig.answer(rig.sent[5]), on: rig.sent[5])
        rig.pass(.seconds(2))
        rig.ask(3)
        rig.ask(4)
        #expect(rig.sent.suffix(2).map(\.to) == [ClientRig.a, ClientRig.b])
        rig.deliver(try rig.answer(rig.sent[7]), on: rig.sent[7])

        // it is still dead: after one timeout the request goes on
        let before = rig.sent.count
        rig.wait()
        #expect(rig.sent.count == before + 1 && rig.sent.last?.to == ClientRig.b)
        rig.deliver(try rig.answer(rig.sent[before]), on: rig.sent[before])
        #expect(rig.replies.count == 4 && rig.states.count == 1)
        rig.ask(5)
        #expect(rig.sent.last?.to == ClientRig.b)
        rig.deliver(try rig.answer(try #require(rig.sent.last)), on: try #require(rig.sent.last))

        // and then it lives
        rig.pass(.seconds(31))
        rig.ask(6)
        let probe = try #require(rig.sent.last)
        #expect(probe.to == ClientRig.a)
        rig.deliver(try rig.answer(probe), on: probe)
        #expect(rig.states.last.map { $0.server == "a" && $0.isUp } == true)
        rig.ask(7)
        rig.ask(8)
        #expect(rig.sent.suffix(2).allSatisfy { $0.to == ClientRig.a })
        #expect(rig.failures.isEmpty)
    }

    @Test("one request that a server does not like does not make it dead")
    func silenceForOne() throws {
        var rig = try ClientRig()
        rig.ask(1)
        rig.now = rig.now + .seconds(1)
        rig.ask(2)
        rig.deliver(try rig.answer(rig.sent[1]), on: rig.sent[1])
        while rig.client.outstanding > 0, rig.sent.last?.to == ClientRig.a { rig.wait() }
        #expect(rig.sent.last?.to == ClientRig.b && rig.states.isEmpty)
        #expect(try rig.statistics("a").timeouts == 1 && rig.statistics("a").isUp)
    }

    @Test("requests already with a server that died go on at their next turn, not after all of theirs")
    func othersFollow() throws {
        var rig = try ClientRig()
        rig.ask(1)
        rig.pass(.seconds(30))
        for id in UInt64(2)...10 { rig.ask(id) }
        // the first gives up after about 47 s; the others, begun after 30 s, would need until 77 s and have their next turn at about 61 s
        rig.pass(.seconds(35))
        #expect(rig.states.count == 1)
        let asked = Set(rig.sent.filter { $0.to == ClientRig.b }.map(\.authenticator))
        #expect(asked.count == 10, "all ten are with server b")
    }

    @Test("all servers held down: a request fails at once, until one may be tried, with all its retransmissions")
    func noServer() throws {
        var rig = try ClientRig(servers: 1)
        rig.ask(1)
        while rig.wait() {}
        #expect(rig.failures.map(\.failure) == [.timeout("a")] && rig.sent.count == 4)
        rig.ask(2)
        #expect(rig.failures.last?.failure == .noServer && rig.sent.count == 4)
        #expect(try rig.statistics("a").heldDownUntil == rig.now + .seconds(30))
        rig.pass(.seconds(31))
        rig.ask(3)
        rig.ask(4)
        #expect(rig.sent.count == 5 && rig.failures.last.map { $0.id == 4 && $0.failure == .noServer } == true)
        while rig.wait() {}
        #expect(rig.sent.count == 8 && rig.failures.last.map { $0.id == 3 && $0.failure == .timeout("a") } == true)
    }

    @Test("round robin: each in turn, the dead one passed over")
    func roundRobin() throws {
        var rig = try ClientRig(algorithm: .roundRobin)
        for id in UInt64(1)...4 { rig.ask(id) }
        #expect(rig.sent.map(\.to) == [ClientRig.a, ClientRig.b, ClientRig.a, ClientRig.b])
        for request in rig.sent where request.to == ClientRig.b { rig.deliver(try rig.answer(request), on: request) }
        rig.pass(.seconds(60))
        for request in rig.sent where request.to == ClientRig.b && rig.client.outstanding > 0 {
            rig.deliver(try rig.answer(request), on: request)
        }
        #expect(rig.replies.count == 4 && rig.states.map(\.server) == ["a"])
    }

    @Test("threat_P19: a conversation stays with its server, and fails with it; held down or not")
    func threat_P19_affinity() throws {
        var rig = try ClientRig()
        rig.ask(1, affinity: "b")
        #expect(rig.sent.map(\.to) == [ClientRig.b])
        while rig.wait() {}
        #expect(rig.sent.allSatisfy { $0.to == ClientRig.b } && rig.failures.map(\.failure) == [.serverLost("b")])
        rig.ask(2, affinity: "b")
        let request = try #require(rig.sent.last)
        #expect(request.to == ClientRig.b)
        rig.deliver(try rig.answer(request), on: request)
        #expect(rig.replies.count == 1 && rig.states.map(\.isUp) == [false, true])
        rig.ask(3, affinity: "gone")
        #expect(rig.failures.last?.failure == .serverLost("gone"))
    }

    @Test("threat_P19: 600 conversations over one server: three sockets, no identifier twice on one, each gets its own answer")
    func threat_P19_sixHundred() throws {
        var rig = try ClientRig(servers: 1)
        for id in UInt64(0)..<600 { rig.ask(id, [.init(.userName, "user\(id)")]) }
        #expect(rig.opened == 3 && rig.client.outstanding == 600 && rig.sent.count == 600)
        #expect(Set(rig.sent.map { "\($0.socket) \($0.identifier)" }).count == 600)
        #expect(Set(rig.sent.map(\.authenticator)).count == 600)
        #expect(try rig.statistics("a").sockets == 3 && rig.statistics("a").outstanding == 600)
        var random = SeededGenerator(seed: 19)
        for request in rig.sent.shuffled(using: &random) {
            let name = try #require(try decoded(request.octets, request: nil).first(.userName)?.text)
            rig.deliver(try rig.answer(request, .accessAccept, [.init(.userName, name)]), on: request)
        }
        #expect(rig.replies.count == 600 && rig.client.outstanding == 0 && rig.drops.isEmpty)
        #expect(rig.replies.allSatisfy { $0.reply.packet.first(.userName)?.text == "user\($0.id)" })
        // the further sockets go when they are idle; nothing is left
        rig.pass(.seconds(130))
        #expect(rig.closed == 2 && rig.sockets.count == 1 && rig.client.nextDeadline == nil)
    }

    @Test("threat_P19: the 257th outstanding request opens a second socket; the first is used again as soon as it has room")
    func threat_P19_secondSocket() throws {
        var rig = try ClientRig(servers: 1)
        for id in UInt64(0)..<256 { rig.ask(id) }
        #expect(rig.opened == 1)
        for id in UInt64(256)..<300 { rig.ask(id) }
        #expect(rig.opened == 2)
        rig.deliver(try rig.answer(rig.sent[5]), on: rig.sent[5])
        rig.ask(300)
        #expect(rig.sent.last?.socket == rig.sent[0].socket && rig.sent.last?.identifier == rig.sent[5].identifier)
        // a reply to the request before, under the same identifier: it was signed for another authenticator
        rig.deliver(try rig.answer(rig.sent[5]), on: rig.sent[5])
        #expect(rig.drops == [.badMessageAuthenticator] && rig.replies.count == 1)
    }

    @Test("threat_P19: an identifier rests as long as others are free")
    func threat_P19_identifiersRest() throws {
        var rig = try ClientRig(servers: 1)
        for id in UInt64(0)..<256 {
            rig.ask(id)
            let request = try #require(rig.sent.last)
            rig.deliver(try rig.answer(request), on: request)
        }
        #expect(Set(rig.sent.map(\.identifier)).count == 256)
    }

    @Test("threat_P4: no more than the cap on their way, the rest fails at once; nothing is kept of it")
    func threat_P4_cap() throws {
        var rig = try ClientRig(servers: 1, maximumOutstanding: 300)
        for id in UInt64(0)..<1000 { rig.ask(id) }
        #expect(rig.client.outstanding == 300 && rig.failures.count == 700 && rig.failures.allSatisfy { $0.failure == .overloaded })
        #expect(rig.sockets.count == 2)
        for id in UInt64(0)..<300 { rig.feed(.cancel(.init(id))) }
        #expect(rig.client.outstanding == 0 && rig.client.nextDeadline != nil)
        rig.pass(.seconds(200))
        #expect(rig.sockets.count == 1 && rig.client.nextDeadline == nil)
    }

    @Test("cancelled: no output, the reply is late")
    func cancelled() throws {
        var rig = try ClientRig()
        rig.ask(1)
        rig.feed(.cancel(.init(1)))
        rig.feed(.cancel(.init(1)))
        rig.deliver(try rig.answer(rig.sent[0]), on: rig.sent[0])
        rig.pass(.seconds(100))
        #expect(rig.drops == [.late] && rig.replies.isEmpty && rig.failures.isEmpty && rig.sent.count == 1)
    }

    @Test("a socket that breaks: its requests go to the next server, conversations fail")
    func brokenSocket() throws {
        var rig = try ClientRig()
        rig.ask(1)
        rig.ask(2, affinity: "a")
        rig.feed(.socketFailed(rig.sent[0].socket))
        #expect(rig.sent.count == 3 && rig.sent[2].to == ClientRig.b && rig.failures.map(\.failure) == [.serverLost("a")])
        #expect(rig.states.map(\.isUp) == [false])
        // what comes from it still is nobody's
        rig.deliver(try rig.answer(rig.sent[0]), on: rig.sent[0])
        #expect(rig.replies.isEmpty)
        rig.feed(.socketFailed(rig.sent[0].socket))
        #expect(rig.failures.count == 1)
    }

    @Test("a request that cannot be written fails, and gives its identifier back")
    func unwritable() throws {
        var rig = try ClientRig(servers: 1)
        rig.ask(1, [.init(.userName, [UInt8](repeating: 65, count: 254))])
        #expect(rig.failures.map(\.failure) == [.encoding(.valueTooLong(.userName))] && rig.client.outstanding == 0 && rig.sent.isEmpty)
    }

    @Test("any order of loss, copies, forgeries and silence: each request ends once, nothing is left", arguments: 1...16)
    func schedules(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var rig = try ClientRig(algorithm: seed.isMultiple(of: 2) ? .direct : .roundRobin, maximumOutstanding: 400, seed: seed)
        var next: UInt64 = 0
        var cancelled: Set<UInt64> = []
        for _ in 0..<300 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0...3:
                for _ in 0..<Int.random(in: 1...20, using: &random) {
                    rig.ask(next, affinity: [nil, nil, nil, "a", "b"].randomElement(using: &random) ?? nil)
                    next += 1
                }
            case 4...6:
                for request in rig.sent.suffix(40) where Bool.random(using: &random) {
                    rig.deliver(try rig.answer(request, [.accessAccept, .accessReject].randomElement(using: &random) ?? .accessAccept), on: request)
                }
            case 7:
                guard let request = rig.sent.randomElement(using: &random) else { continue }
                var octets = try rig.answer(request)
                octets[Int.random(in: octets.indices, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                rig.deliver(octets, on: request)
            case 8:
                rig.pass(.milliseconds(Int.random(in: 0...40_000, using: &random)))
            default:
                guard next > 0 else { continue }
                let id = UInt64.random(in: 0..<next, using: &random)
                if !rig.replies.contains(where: { $0.id == id }), !rig.failures.contains(where: { $0.id == id }) { cancelled.insert(id) }
                rig.feed(.cancel(.init(id)))
            }
        }
        rig.pass(.seconds(600))
        let ended = rig.replies.map(\.id) + rig.failures.map(\.id) + cancelled
        #expect(ended.sorted() == Array(0..<next), "seed \(seed)")
        #expect(rig.client.outstanding == 0 && rig.client.nextDeadline == nil, "seed \(seed)")
        #expect(rig.sockets.count <= 2, "seed \(seed): one socket a server stays")
        #expect(!rig.replies.isEmpty && !rig.failures.isEmpty, "seed \(seed)")
    }
}

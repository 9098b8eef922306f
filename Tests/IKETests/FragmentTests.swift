import GatewayCrypto
import GatewayTesting
import IKEMessages
import RoadWarrior
import Testing
import Wire

@testable import IKE

@Suite("IKE messages in fragments: RFC 7383, threats.md P5 and P6")
struct FragmentTests {
    /// IKE_AUTH goes in several fragments both ways: the client's messages are cut at 160 octets, the gateway's at 128.
    static let small = Pair.policy {
        $0.fragmentation.mtu = 160
        $0.deadPeerDetection = nil
    }
    static let longest = 160

    private static func pair(
        seed: UInt64 = 1, profile: GatewayProfile = small, _ change: (inout RoadWarrior.Settings) -> Void = { _ in }
    ) throws -> Pair {
        try Pair(seed: seed, profile: profile) {
            $0.longestMessage = longest
            change(&$0)
        }
    }

    private static func established(seed: UInt64 = 1, profile: GatewayProfile = small) throws -> Pair {
        try Pair.established(seed: seed, profile: profile) { $0.longestMessage = longest }
    }

    /// A client whose IKE_AUTH request is cut and waits on the wire.
    private static func waiting(profile: GatewayProfile = small) throws -> (Pair, [Flight]) {
        let pair = try pair(profile: profile)
        pair.wire.fate = { $0.is(.ikeAuth, response: false) ? .hold : .deliver }
        pair.start()
        pair.settle()
        return (pair, pair.wire.held)
    }

    private func isFragment(_ flight: Flight) -> Bool { flight.header?.nextPayload == .encryptedFragment }

    private func inject(_ flight: Flight, _ pair: Pair, origin: PairGateway.Origin = .peer) {
        pair.inject(flight.octets, remote: flight.remote, port: flight.local.port, origin: origin)
    }

    /// What the client itself sends.
    private func send(_ octets: [UInt8], _ pair: Pair) { pair.inject(octets, origin: .peer) }

    // MARK: Both ways

    @Test(
        "a login in fragments of both sides (sections 2.3 and 2.5)",
        arguments: ["aes128gcm16-prfsha256-x25519", "aes256gcm16-prfsha512-ecp521", "aes128-sha256-x25519", "aes256-sha512-x25519"])
    func login(_ suite: String) throws {
        let profile = Pair.policy { $0.fragmentation.mtu = 200 }
        let pair = try Pair.established(profile: profile) {
            $0.longestMessage = 200
            $0.ikeProposals = (try? ProposalText.ike(suite)) ?? []
        }
        #expect(pair.initResponse?.notify(.fragmentationSupported)?.data == [])
        let asked = pair.flights(.ikeAuth, response: false, fromClient: true)
        let answered = pair.flights(.ikeAuth, response: true, fromClient: false)
        #expect(asked.count > 1 && asked.allSatisfy { isFragment($0) && $0.octets.count <= 200 })
        // 200 octets of IP packet: 20 of IP, 8 of UDP, 4 of the marker.
        #expect(answered.count > 1 && answered.allSatisfy { isFragment($0) && $0.octets.count <= 168 })
        #expect(pair.client.childSA != nil && pair.gateway.drops == [:])
        #expect(pair.gateway.budget.inUse == 0)
        pair.close()
        pair.drain()
        #expect(pair.client.closure == .deletedByUs(answered: true))
        expectNothingLeft(pair)
    }

    @Test("a message that fits is sent whole, to the octet", arguments: [0, 1])
    func fits(_ tooLong: Int) throws {
        let plain = try Pair.established { $0.longestMessage = 4000 }
        let length = try #require(plain.flights(.ikeAuth, response: true, fromClient: false).first).octets.count
        let profile = Pair.policy { $0.fragmentation.mtu = length + 32 - tooLong }
        let pair = try Pair.established(profile: profile) { $0.longestMessage = 4000 }
        #expect(pair.flights(.ikeAuth, response: true, fromClient: false).count == 1 + tooLong)
        #expect(pair.client.isEstablished)
    }

    @Test("without the client's notify there is none of ours, nothing is cut, and fragments are refused (section 2.3)")
    func notNegotiated() throws {
        let pair = try Pair(profile: Self.small)
        pair.wire.fate = { $0.is(.ikeAuth, response: false) ? .hold : .deliver }
        pair.start()
        pair.settle()
        #expect(pair.initResponse?.notify(.fragmentationSupported) == nil)
        let fragment = try #require(pair.client.forge(.ikeAuth, piece: [1], first: .notify, number: 1, of: 2, id: 1))
        pair.inject(fragment)
        #expect(pair.entry?.drops == [.unexpectedExchange: 1])
        pair.wire.fate = { _ in .deliver }
        pair.releaseHeld()
        pair.settle()
        #expect(pair.client.isEstablished)
        #expect(pair.flights(.ikeAuth, response: true, fromClient: false).count == 1)
        let late = try #require(pair.client.forge(.informational, piece: [1], first: .notify, number: 1, of: 2, id: 2))
        pair.inject(late)
        #expect(pair.entry?.drops == [.unexpectedExchange: 1, .fragment: 1])
        expectSound(pair)
    }

    @Test("requests of our own and the client's answers in fragments")
    func ownRequests() throws {
        // A Delete of a Child SA is 69 octets, 65 of the IKE SA; cut at 64.
        let pair = try Pair.established(profile: Pair.policy { $0.fragmentation.mtu = 96 }) { $0.longestMessage = 66 }
        pair.feed(.childExhausted(spi: try #require(pair.entry?.children.first).inboundSPI))
        pair.settle()
        let requests = pair.flights(.informational, response: false, fromClient: false)
        #expect(requests.count > 2 && requests.allSatisfy { isFragment($0) && $0.octets.count <= 64 })
        let answers = pair.flights(.informational, response: true, fromClient: true)
        #expect(answers.count > 1 && answers.allSatisfy(isFragment))
        #expect(pair.client.childSA == nil && pair.entry?.children.isEmpty == true)
        // The answer was taken: nothing is repeated, and another request goes out.
        pair.run(for: .seconds(5))
        #expect(pair.flights(.informational, response: false, fromClient: false).count == requests.count)
        pair.closeFromGateway()
        pair.drain()
        #expect(pair.client.closure == .deletedByPeer)
        expectNothingLeft(pair)
    }

    @Test("a request of our own that is lost in part is repeated as a whole, octet for octet")
    func repeatedOwnRequest() throws {
        let pair = try Pair.established(profile: Pair.policy { $0.fragmentation.mtu = 96 }) { $0.longestMessage = 4000 }
        pair.lose { $0.is(.informational, response: false, fromClient: false) }
        pair.closeFromGateway()
        pair.run(for: .milliseconds(1500))
        let requests = pair.flights(.informational, response: false, fromClient: false)
        #expect(requests.count % 2 == 0)
        #expect(requests.prefix(requests.count / 2).map(\.octets) == requests.suffix(requests.count / 2).map(\.octets))
        #expect(pair.client.closure == .deletedByPeer)
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("each fragment lost once: the repetition fills the gap (section 2.6.1)", arguments: [true, false])
    func losses(ofRequest: Bool) throws {
        let reference = try Self.established()
        let count = reference.flights(.ikeAuth, response: !ofRequest, fromClient: ofRequest).count
        #expect(count >= 3)
        for lost in 0..<count {
            let pair = try Self.pair()
            var seen = -1
            pair.wire.fate = { flight in
                guard flight.is(.ikeAuth, response: !ofRequest) else { return .deliver }
                seen += 1
                return seen == lost ? .drop : .deliver
            }
            pair.start()
            pair.run(for: .milliseconds(1900))
            #expect(pair.client.isEstablished && pair.entry?.isEstablished == true, "fragment \(lost) of \(count) lost")
            #expect(pair.gateway.established == 1)
            expectSound(pair)
        }
    }

    @Test("fragments in reverse order, each of them three times")
    func reversedAndRepeated() throws {
        let (pair, held) = try Self.waiting()
        for flight in held.reversed() {
            for _ in 0..<3 { inject(flight, pair) }
        }
        pair.wire.fate = { _ in .deliver }
        pair.settle()
        #expect(pair.client.isEstablished)
        // Two copies of each but the last, which completes; of the first fragment, which was the last here, two repetitions are answered.
        #expect(pair.entry?.drops == [.fragmentRepeated: 2 * (held.count - 1)])
        #expect(pair.flights(.ikeAuth, response: true, fromClient: false).count % 3 == 0)
        expectSound(pair)
    }

    @Test("loss, duplication and reordering at once", arguments: 1...40)
    func schedules(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let pair = try Self.pair(seed: seed) {
            $0.retransmission = .init(first: .seconds(1), factor: 2, longest: .seconds(4), attempts: 40)
        }
        pair.wire.fate = { _ in
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<15: return .drop
            case 15..<30: return .copies((0..<2).map { _ in .milliseconds(Int.random(in: 1...1500, using: &random)) })
            default: return .copies([.milliseconds(Int.random(in: 1...60, using: &random))])
            }
        }
        pair.start()
        pair.run(for: .seconds(29))
        #expect(pair.client.isEstablished && pair.entry?.isEstablished == true, "seed \(seed)")
        #expect(pair.gateway.established == 1, "seed \(seed)")
        pair.close()
        pair.drain()
        #expect(pair.gateway.budget.inUse == 0)
        expectNothingLeft(pair)
    }

    // MARK: threats.md P5

    @Test("a fragment is stored only when its ICV is right")
    func threat_P5_forgedFragments() throws {
        let (pair, held) = try Self.waiting()
        inject(held[0], pair)
        let used = pair.gateway.budget.inUse
        #expect(used > 0)
        for place in [28, 33, 35, 36, 44, held[1].octets.count - 1] {
            var forged = held[1]
            forged.octets[place] ^= 1
            inject(forged, pair, origin: .stranger)
        }
        #expect(pair.gateway.budget.inUse == used)
        #expect(pair.entry?.drops[.unauthentic, default: 0] ?? 0 >= 4)
        // The right ones still complete the message.
        for flight in held.dropFirst() { inject(flight, pair) }
        pair.settle()
        #expect(pair.client.isEstablished)
        expectSound(pair)
    }

    @Test("number 0 and numbers past the total are malformed", arguments: [(0, 2), (3, 2), (1, 0), (0, 0)])
    func threat_P5_numbers(_ number: UInt16, _ total: UInt16) throws {
        let pair = try Self.established()
        let octets = try #require(pair.client.forge(.informational, piece: [], first: .none, number: number, of: total, id: 2))
        pair.inject(octets, origin: .stranger)
        #expect(pair.entry?.drops == [.malformed: 1])
        expectSound(pair)
    }

    /// A protected piece of the client's next request.
    private func piece(
        _ pair: Pair, _ octets: [UInt8], _ number: UInt16, of total: UInt16, first: PayloadType = .notify, id: UInt32? = nil,
        exchange: ExchangeType = .informational
    ) throws -> [UInt8] {
        try #require(
            pair.client.forge(
                exchange, piece: octets, first: first, number: number, of: total, id: id ?? pair.client.nextMessageID))
    }

    @Test("a larger total begins anew, a smaller one is ignored (section 2.6)")
    func threat_P5_totals() throws {
        let pair = try Self.established()
        let entry = try #require(pair.entry)
        let (_, chain) = PayloadChain.encode([.notify(NotifyPayload(NotifyType(rawValue: 40_000), data: [1, 2, 3, 4]))])
        send(try piece(pair, [9, 9], 1, of: 2), pair)
        send(try piece(pair, Array(chain[..<3]), 1, of: 3), pair)
        // Of the old cut: ignored, although it would have been complete.
        send(try piece(pair, [9, 9], 2, of: 2), pair)
        #expect(entry.drops == [.fragment: 1])
        send(try piece(pair, Array(chain[3..<7]), 2, of: 3), pair)
        let sent = pair.wire.sent.count
        send(try piece(pair, Array(chain[7...]), 3, of: 3), pair)
        #expect(entry.messageIDs?.expected == pair.client.nextMessageID + 1)
        #expect(pair.wire.sent.count == sent + 1)
        expectSound(pair)
    }

    @Test("at most 64 fragments and 64 KB; one reassembly")
    func threat_P5_limits() throws {
        let pair = try Self.established()
        let entry = try #require(pair.entry)
        send(try piece(pair, [1], 1, of: 65), pair)
        #expect(entry.drops == [.fragmentLimit: 1])
        let large = [UInt8](repeating: 0, count: 8192)
        for number: UInt16 in 1...9 { send(try piece(pair, large, number, of: 64), pair) }
        #expect(entry.drops == [.fragmentLimit: 2])
        #expect(entry.messageIDs?.expected == pair.client.nextMessageID)
        // A whole request of the same ID ends the reassembly, and the next message is put together from its own pieces.
        pair.probe()
        pair.settle()
        let (_, chain) = PayloadChain.encode([.notify(NotifyPayload(NotifyType(rawValue: 40_000)))])
        send(try piece(pair, Array(chain[..<5]), 1, of: 2), pair)
        send(try piece(pair, Array(chain[5...]), 2, of: 2), pair)
        #expect(entry.messageIDs?.expected == pair.client.nextMessageID + 1)
        pair.run(for: .seconds(5))
        #expect(entry.drops[.reassemblyTimeout] == nil)
        expectSound(pair)
    }

    @Test("only the expected message ID is put together", arguments: [-1, 1, 100] as [Int64])
    func threat_P5_otherMessageIDs(_ offset: Int64) throws {
        let pair = try Self.established()
        let id = UInt32(truncatingIfNeeded: Int64(pair.client.nextMessageID) + offset)
        for number: UInt16 in 2...3 { pair.inject(try piece(pair, [1], number, of: 3, id: id), origin: .stranger) }
        #expect(pair.entry?.drops == [.outsideWindow: 2])
        pair.run(for: .seconds(5))
        #expect(pair.entry?.drops == [.outsideWindow: 2], "nothing timed out, so nothing was kept")
        expectSound(pair)
    }

    @Test("fragments of another exchange under the same ID are no part of the message")
    func threat_P5_otherExchange() throws {
        let pair = try Self.established()
        send(try piece(pair, [1], 1, of: 2), pair)
        send(try piece(pair, [1], 2, of: 2, exchange: .createChildSA), pair)
        #expect(pair.entry?.drops == [.fragment: 1])
        expectSound(pair)
    }

    @Test("responses are put together only while one is waited for, and not over a request that is under way")
    func threat_P5_responses() throws {
        let pair = try Pair.established(profile: Pair.policy { $0.deadPeerDetection = nil }) { $0.longestMessage = 4000 }
        let entry = try #require(pair.entry)
        func response(_ number: UInt16, id: UInt32) throws -> [UInt8] {
            try #require(
                pair.client.forge(
                    .informational, piece: [], first: .none, number: number, of: 2, id: id, flags: [.initiator, .response]))
        }
        pair.inject(try response(1, id: 0), origin: .stranger)
        #expect(entry.drops == [.unsolicitedResponse: 1])
        pair.wire.fate = { _ in .drop }
        pair.feed(.childExhausted(spi: try #require(entry.children.first).inboundSPI))
        send(try piece(pair, [1], 1, of: 2), pair)
        send(try response(1, id: 0), pair)
        #expect(entry.drops == [.unsolicitedResponse: 1, .fragment: 1])
        pair.run(for: .milliseconds(2100))
        #expect(entry.drops[.reassemblyTimeout] == 1)
        send(try response(1, id: 0), pair)
        send(try response(2, id: 0), pair)
        let requests = pair.flights(.informational, response: false, fromClient: false).count
        pair.run(for: .seconds(20))
        #expect(pair.flights(.informational, response: false, fromClient: false).count == requests)
        expectSound(pair)
    }

    @Test("what is not complete in time is forgotten, in every stage", arguments: [1, 2, 30])
    func threat_P5_timeout(_ seconds: Int) throws {
        let profile = Pair.policy {
            $0.fragmentation.mtu = 160
            $0.fragmentation.reassemblyTimeout = .seconds(seconds)
            $0.deadPeerDetection = nil
        }
        let (pair, held) = try Self.waiting(profile: profile)
        // The client itself stays silent from here on.
        pair.client.isSilent = true
        let entry = try #require(pair.entry)
        for flight in held.dropLast() { inject(flight, pair) }
        #expect(pair.gateway.budget.inUse > 0)
        if seconds < 30 {
            pair.run(for: .seconds(seconds) - .milliseconds(1))
            #expect(pair.gateway.budget.inUse > 0 && entry.drops == [:])
            pair.run(for: .milliseconds(1))
            #expect(entry.drops == [.reassemblyTimeout: 1])
            inject(try #require(held.last), pair)
            #expect(entry.stage == "half-open")
        }
        // With the half-open SA everything goes.
        pair.run(for: .seconds(31))
        #expect(pair.gateway.budget.inUse == 0)
        expectNothingLeft(pair)

        let second = try Self.established(profile: profile)
        send(try piece(second, [1], 1, of: 2), second)
        second.run(for: .seconds(seconds))
        #expect(second.entry?.drops == [.reassemblyTimeout: 1])
        expectSound(second)
    }

    @Test("half-open SAs with all fragments but one share one budget, and a client that comes later is not hurt for long")
    func threat_P5_halfOpenBudget() throws {
        let pair = try Self.pair(
            profile: Pair.policy {
                $0.fragmentation.mtu = 160
                $0.halfOpen.cookieThreshold = 10_000
            })
        pair.checksEveryStep = false
        pair.gateway.budget = ReassemblyBudget(limit: 20_000)
        pair.wire.fate = { flight in
            guard flight.is(.ikeAuth, response: false), flight.destination == .gateway, flight.octets.count > 36 else { return .deliver }
            // The last fragment never arrives.
            return flight.octets[33] == flight.octets[35] ? .drop : .deliver
        }
        var clients = [pair.client]
        for _ in 0..<150 { clients.append(pair.add { $0.longestMessage = Self.longest }) }
        for client in clients { pair.start(client) }
        pair.settle()
        #expect(pair.gateway.budget.inUse <= 20_000 && pair.gateway.budget.inUse > 19_000)
        #expect(pair.gateway.drops[.fragmentLimit, default: 0] > 100)
        for client in clients { client.isSilent = true }
        pair.run(for: .seconds(3))
        #expect(pair.gateway.budget.inUse == 0)
        pair.wire.fate = { _ in .deliver }
        let late = pair.add { $0.longestMessage = Self.longest }
        pair.connect(late)
        #expect(late.isEstablished)
        #expect(pair.checkNow() == [])
    }

    @Test("what an authenticated client sends does not count against those who log in")
    func threat_P5_budgetAfterLogin() throws {
        let pair = try Self.established()
        send(try piece(pair, [UInt8](repeating: 1, count: 4000), 1, of: 2), pair)
        #expect(pair.gateway.budget.inUse == 0)
    }

    @Test("fragments in IKE_SA_INIT are refused")
    func threat_P5_fragmentsInInit() throws {
        let pair = try Self.established()
        var header = IKEHeader(initiatorSPI: 7, responderSPI: 0, exchange: .ikeSAInit, flags: .initiator, messageID: 0)
        header.nextPayload = .encryptedFragment
        header.length = 60
        var octets: [UInt8] = []
        header.encode(into: &octets)
        octets += [0, 0, 0, 32, 0, 1, 0, 2] + [UInt8](repeating: 0, count: 24)
        pair.inject(octets, port: 500, origin: .stranger)
        #expect(pair.gateway.doorDrops == [.fragment: 1])
        // The same behind the payloads of a proper request.
        let request = try #require(pair.flights(.ikeSAInit, response: false, fromClient: true).first).octets
        var message = try IKEMessage(parsing: request)
        message.payloads.append(
            .unknown(UnknownPayload(type: .encryptedFragment, isCritical: false, body: [0, 1, 0, 2] + [UInt8](repeating: 0, count: 24))))
        pair.inject(message.encoded(), port: 500, origin: .stranger)
        #expect(pair.gateway.drops == [.malformed: 1])
        #expect(pair.gateway.entries.count == 1)
        expectSound(pair)
    }

    @Test("a message put together from authentic fragments may still be malformed: INVALID_SYNTAX, as without fragments")
    func malformedWhole() throws {
        let pair = try Self.established()
        send(try piece(pair, [0, 0, 0], 1, of: 2), pair)
        send(try piece(pair, [99], 2, of: 2), pair)
        #expect(pair.lastEntry?.ended == [.protocolError])
        #expect(pair.gatewaySaid(.informational, response: true)?.notifyTypes == [.invalidSyntax])
        pair.run(for: .seconds(11))
        expectSound(pair)
    }

    @Test("any fragments in any order from a client with keys: no invariant breaks", arguments: 1...20)
    func threat_P5_anyFragments(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let pair = try Self.established(seed: seed)
        let chain = PayloadChain.encode([.notify(NotifyPayload(NotifyType(rawValue: 40_000), data: [UInt8](repeating: 3, count: 40)))]).octets
        for _ in 0..<300 {
            guard pair.entry != nil else { break }
            let total = UInt16.random(in: 0...5, using: &random)
            let start = Int.random(in: 0..<chain.count, using: &random)
            let end = Int.random(in: start...chain.count, using: &random)
            let id = UInt32(truncatingIfNeeded: Int64(pair.entry?.messageIDs?.expected ?? 2) + Int64.random(in: -1...1, using: &random))
            let octets = pair.client.forge(
                Bool.random(using: &random) ? .informational : .createChildSA, piece: Array(chain[start..<end]), first: .notify,
                number: UInt16.random(in: 0...5, using: &random), of: total, id: id,
                flags: Bool.random(using: &random) ? [.initiator] : [.initiator, .response])
            send(try #require(octets), pair)
            pair.run(for: .milliseconds(Int64.random(in: 0...300, using: &random)))
        }
        pair.run(for: .seconds(31))
        expectSound(pair)
    }

    // MARK: threats.md P6

    @Test("a repeated request in fragments is answered for its first fragment alone, octet for octet")
    func threat_P6_repeatedRequest() throws {
        let pair = try Self.established()
        let request = pair.flights(.ikeAuth, response: false, fromClient: true)
        let answer = pair.flights(.ikeAuth, response: true, fromClient: false).map(\.octets)
        #expect(request.count >= 3 && answer.count >= 3)
        for flight in request.dropFirst() { inject(flight, pair, origin: .stranger) }
        #expect(pair.flights(.ikeAuth, response: true, fromClient: false).count == answer.count)
        inject(request[0], pair, origin: .stranger)
        let all = pair.flights(.ikeAuth, response: true, fromClient: false).map(\.octets)
        #expect(all == answer + answer)
        #expect(pair.entry?.drops == [.outsideWindow: request.count - 1])
        expectSound(pair)
    }

    @Test("all fragments of an old request 100 times: at most 100 answers, and 20 a second", arguments: [0, 100])
    func threat_P6_hundredTimes(_ pause: Int64) throws {
        let pair = try Self.established()
        let request = pair.flights(.ikeAuth, response: false, fromClient: true)
        let fragments = pair.flights(.ikeAuth, response: true, fromClient: false).count
        for _ in 0..<100 {
            for flight in request { inject(flight, pair, origin: .stranger) }
            pair.run(for: .milliseconds(pause))
        }
        let answers = pair.flights(.ikeAuth, response: true, fromClient: false).count / fragments - 1
        #expect(answers == (pause == 0 ? RateCap.perSecond : 100))
        expectSound(pair)
    }

    @Test("a repetition that was cut anew, or cut at all, is answered when it is authentic (section 2.5.2)")
    func threat_P6_cutAnew() throws {
        let pair = try Self.established()
        pair.probe()
        pair.settle()
        let id = pair.client.nextMessageID - 1
        let answer = try #require(pair.flights(.informational, response: true, fromClient: false).last)
        let sent = pair.wire.sent.count
        pair.inject(try piece(pair, [], 2, of: 2, id: id), origin: .stranger)
        var forged = try piece(pair, [], 1, of: 2, id: id)
        forged[40] ^= 1
        pair.inject(forged, origin: .stranger)
        #expect(pair.wire.sent.count == sent)
        pair.inject(try piece(pair, [], 1, of: 2, id: id), origin: .stranger)
        #expect(pair.wire.sent.count == sent + 1 && pair.wire.sent.last?.octets == answer.octets)
        expectSound(pair)
    }

    @Test("while a request in fragments is in work its copies are dropped, whichever fragment they are")
    func threat_P6_stillWorking() throws {
        let (pair, held) = try Self.waiting()
        pair.gateway.holds = [.address]
        for flight in held { inject(flight, pair) }
        #expect(pair.entry?.stage == "awaiting-address")
        for flight in held { inject(flight, pair, origin: .stranger) }
        #expect(pair.entry?.drops == [.stillWorking: held.count])
        pair.wire.fate = { _ in .deliver }
        pair.release(.address)
        pair.settle()
        #expect(pair.client.isEstablished)
        expectSound(pair)
    }
}

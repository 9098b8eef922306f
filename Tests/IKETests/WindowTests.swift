import GatewayTesting
import IKEMessages
import RoadWarrior
import Testing
import Wire

@testable import IKE

@Suite("Message IDs and repeated messages: RFC 7296 sections 2.1 to 2.3, threats.md P7, P8, P21")
struct WindowTests {
    @Test(
        "only the next message ID is taken; the last one, octet for octet, gets the same answer",
        arguments: [
            -3, -2, 1, 2, 5, 100, 0x7fff_ffff,
        ])
    func threat_P7_window(_ offset: Int64) throws {
        let pair = try Pair.established()
        for _ in 0..<3 {
            pair.probe()
            pair.settle()
        }
        let next = Int64(pair.client.nextMessageID)
        let strange = try #require(pair.client.forge(.informational, [], id: UInt32(truncatingIfNeeded: next + offset)))
        let sent = pair.wire.sent.count
        pair.inject(strange, origin: .stranger)
        #expect(pair.wire.sent.count == sent)
        #expect(pair.entry?.drops[.outsideWindow] == 1)
        #expect(pair.entry?.messageIDs?.expected == UInt32(next))
        expectSound(pair)
    }

    @Test("a request that has the last ID and another content is dropped, not answered")
    func threat_P7_changedCopy() throws {
        let pair = try Pair.established()
        pair.probe()
        pair.settle()
        let changed = try #require(pair.client.forge(.informational, [.notify(NotifyPayload(.initialContact))], id: pair.client.nextMessageID - 1))
        let sent = pair.wire.sent.count
        pair.inject(changed, origin: .stranger)
        #expect(pair.wire.sent.count == sent)
        expectSound(pair)
    }

    @Test("the cached answer goes back to whoever repeats, octet for octet")
    func threat_P7_cachedResponse() throws {
        let pair = try Pair.established()
        pair.probe()
        pair.settle()
        let request = try #require(pair.flights(.informational, response: false, fromClient: true).last)
        let answer = try #require(pair.flights(.informational, response: true, fromClient: false).last)
        let elsewhere = Endpoint(ip("198.18.0.1"), port: 4500)
        pair.inject(request.octets, remote: elsewhere, origin: .stranger)
        #expect(pair.wire.sent.last?.octets == answer.octets)
        #expect(pair.wire.sent.last?.remote == elsewhere)
        #expect(pair.entry?.remote != elsewhere)
        expectSound(pair)
    }

    @Test("responses count only for the request that is out")
    func threat_P7_unsolicitedResponses() throws {
        let pair = try Pair.established(profile: EndingTests.quiet)
        for id: UInt32 in [0, 1, 2, 7, .max] {
            let response = try #require(pair.client.forge(.informational, [], id: id, flags: [.initiator, .response]))
            pair.inject(response, origin: .stranger)
        }
        #expect(pair.entry?.drops[.unsolicitedResponse] == 5)
        // With one out: another ID and another exchange are refused, the right one is taken once.
        pair.wire.fate = { _ in .drop }
        pair.feed(.childExhausted(spi: try #require(pair.entry?.children.first).inboundSPI))
        let id = try #require(pair.flights(.informational, response: false, fromClient: false).last?.header).messageID
        pair.inject(try #require(pair.client.forge(.informational, [], id: id + 1, flags: [.initiator, .response])), origin: .stranger)
        pair.inject(try #require(pair.client.forge(.createChildSA, [], id: id, flags: [.initiator, .response])), origin: .stranger)
        #expect(pair.entry?.drops[.unsolicitedResponse] == 7)
        let right = try #require(pair.client.forge(.informational, [], id: id, flags: [.initiator, .response]))
        pair.inject(right, origin: .peer)
        pair.inject(right, origin: .stranger)
        #expect(pair.entry?.drops[.unsolicitedResponse] == 8)
        expectSound(pair)
    }

    @Test("the window of requests, to its very end (RFC 7296 section 2.2)")
    func threat_P7_lastMessageID() {
        var window = RequestWindow(expected: .max - 1)
        func request(_ id: UInt32) -> [UInt8] { [UInt8(truncatingIfNeeded: id), 1] }
        #expect(window.place(of: 0, request: request(0)) == .outside)
        for id: UInt32 in [.max - 1, .max] {
            #expect(window.place(of: id, request: request(id)) == .expected)
            window.accept(request(id))
            #expect(window.isBusy && window.place(of: id, request: request(id)) == .outside)
            window.answered([7])
            #expect(window.place(of: id, request: request(id)) == .repeated([7]))
        }
        #expect(window.isExhausted)
        for id: UInt32 in [0, 1, .max - 1] { #expect(window.place(of: id, request: request(id)) == .outside) }
        #expect(window.place(of: .max, request: [9]) == .outside)
    }

    @Test("a repeated IKE_SA_INIT is answered until IKE_AUTH was taken, then ignored")
    func threat_P8_repeatedInit() throws {
        let pair = try Pair()
        pair.lose { $0.is(.ikeSAInit, response: true) }
        pair.start()
        pair.run(for: .milliseconds(1100))
        #expect(pair.gateway.repetitions == 1)
        #expect(pair.client.isEstablished)
        let first = try #require(pair.flights(.ikeSAInit, response: false, fromClient: true).first)
        let sent = pair.wire.sent.count
        pair.inject(first.octets, remote: first.remote, port: 500, origin: .stranger)
        #expect(pair.wire.sent.count == sent)
        #expect(pair.gateway.repetitions == 2)
        #expect(pair.gateway.entries.count == 1 && pair.gateway.halfOpen == 0)
        expectSound(pair)
    }

    @Test("two clients with one SPI behind one NAT are two SAs; section 2.1")
    func threat_P8_sameSPI() throws {
        // The same stream of random octets gives the same SPI; another nonce comes with the notify before it.
        let nat = PairClient.NAT(address: ip("203.0.113.9"), firstPort: 40_000)
        let other = PairClient.NAT(address: ip("203.0.113.9"), firstPort: 50_000)
        let pair = try Pair(nat: nat) { $0.entropy = FixedSPI() }
        let second = pair.add(nat: other) { $0.entropy = FixedSPI() }
        pair.start()
        pair.start(second)
        pair.settle()
        #expect(pair.client.initiatorSPI == second.initiatorSPI)
        #expect(pair.client.isEstablished && second.isEstablished)
        #expect(pair.client.responderSPI != second.responderSPI)
        #expect(pair.gateway.entries.count == 2)
        pair.close()
        pair.settle()
        #expect(second.isEstablished && pair.gateway.entries.values.filter(\.isEstablished).count == 1)
    }

    @Test("the same SPI and address with another nonce is another SA")
    func threat_P8_otherNonce() throws {
        let pair = try Pair()
        pair.start()
        pair.settle()
        let first = try #require(pair.flights(.ikeSAInit, response: false, fromClient: true).first)
        var message = try IKEMessage(parsing: first.octets)
        message.payloads = message.payloads.map { if case .nonce = $0 { .nonce(NoncePayload(octets: [UInt8](repeating: 9, count: 32))) } else { $0 } }
        pair.inject(message.encoded(), remote: first.remote, port: 500, origin: .stranger)
        #expect(pair.gateway.entries.count == 2)
        #expect(pair.gateway.entries.values.count { $0.isEstablished } == 1)
        pair.run(for: .seconds(31))
        #expect(pair.gateway.entries.count == 1)
        expectSound(pair)
    }

    @Test("INFORMATIONAL is answered 20 times a second, whatever the flood, and other SAs do not notice")
    func threat_P21_informationalFlood() throws {
        let pair = try Pair.established()
        let other = pair.add()
        pair.connect(other)
        let entry = try #require(pair.entry)
        var answered = 0
        var id = pair.client.nextMessageID
        for _ in 0..<5 {
            for _ in 0..<2000 {
                let before = pair.gateway.octetsOut
                pair.inject(try #require(pair.client.forge(.informational, [], id: id)), origin: .peer)
                if pair.gateway.octetsOut > before {
                    answered += 1
                    id += 1
                }
                pair.now = pair.now + .microseconds(500)
            }
        }
        // A burst of 20, then 20 a second for 5 seconds.
        #expect((100...125).contains(answered))
        #expect(entry.drops[.rateLimited, default: 0] == 10_000 - answered)
        #expect(entry.isEstablished && entry.establishment != nil)
        pair.probe(other)
        pair.settle()
        #expect(pair.gateway.entries.values.first { $0 !== entry }?.drops[.rateLimited] == nil)
        #expect(other.isEstablished)
        // What was refused comes through when it is repeated later.
        pair.run(for: .seconds(1))
        pair.inject(try #require(pair.client.forge(.informational, [], id: id)), origin: .peer)
        #expect(entry.messageIDs?.expected == id + 1)
        expectSound(pair)
    }

    @Test("a repeated request costs at most 20 answers a second")
    func threat_P21_repeatedRequests() throws {
        let pair = try Pair.established()
        let auth = try #require(pair.flights(.ikeAuth, response: false, fromClient: true).last)
        let before = pair.wire.sent.count
        for _ in 0..<1000 { pair.inject(auth.octets, remote: auth.remote) }
        #expect(pair.wire.sent.count - before == RateCap.perSecond)
        pair.probe()
        pair.settle()
        #expect(pair.client.isEstablished && pair.entry?.messageIDs?.expected == 3)
        expectSound(pair)
    }

    @Test("the cap is an even pace with a burst of one second")
    func rateCap() {
        var cap = RateCap()
        let start = Instant(nanoseconds: 5_000_000_000)
        #expect((0..<100).count { _ in cap.admits(at: start) } == 20)
        #expect((0..<100).count { _ in cap.admits(at: start + .milliseconds(100)) } == 2)
        #expect((0..<100).count { _ in cap.admits(at: start + .seconds(60)) } == 20)
        // A clock that goes back neither opens nor closes it for good.
        #expect((0..<100).count { _ in cap.admits(at: start) } == 0)
        #expect((0..<100).count { _ in cap.admits(at: start + .seconds(120)) } == 20)
    }

    // MARK: CREATE_CHILD_SA, which is refused

    private func childRequest(rekeying: [UInt8]? = nil, protocolID: SecurityProtocol = .esp, selectors: Bool = true) -> [Payload] {
        var payloads: [Payload] = []
        if let rekeying {
            var notify = NotifyPayload(.rekeySA)
            notify.protocolID = protocolID.rawValue
            notify.spi = rekeying
            payloads.append(.notify(notify))
        }
        let proposals = ProposalText.espDefault.map {
            Proposal(number: $0.number, protocolID: .esp, spi: [0, 0, 32, 1], transforms: $0.transforms)
        }
        payloads += [
            .securityAssociation(SecurityAssociationPayload(proposals: proposals)), .nonce(NoncePayload(octets: [UInt8](repeating: 3, count: 32))),
        ]
        if selectors {
            payloads += [
                .initiatorTrafficSelectors(TrafficSelectorPayload(selectors: [.all(.ipv4)])),
                .responderTrafficSelectors(TrafficSelectorPayload(selectors: [.all(.ipv4)])),
            ]
        }
        return payloads
    }

    @Test("another Child SA, or a rekey: NO_ADDITIONAL_SAS; a rekey of none: CHILD_SA_NOT_FOUND")
    func createChildSA() throws {
        let pair = try Pair.established()
        let child = try #require(pair.entry?.children.first)
        pair.request(.createChildSA, childRequest())
        pair.settle()
        pair.request(.createChildSA, childRequest(rekeying: octets(child.outboundSPI)))
        pair.settle()
        pair.request(.createChildSA, childRequest(rekeying: [1, 2, 3, 4]))
        pair.settle()
        #expect(pair.client.refusals == [.noAdditionalSAs, .noAdditionalSAs, .childSANotFound])
        let notFound = try #require(pair.client.responses.last?.notify(.childSANotFound))
        #expect(notFound.spi == [1, 2, 3, 4] && notFound.protocolID == SecurityProtocol.esp.rawValue)
        #expect(pair.entry?.installed.count == 1 && pair.client.childSA != nil)
        expectSound(pair)
    }

    @Test("REKEY_SA with protocol 0 or 1 is INVALID_SYNTAX and never comes back in our message, CVE-2023-38710", arguments: [0, 1, 9])
    func rekeyOfNothing(_ protocolID: UInt8) throws {
        let pair = try Pair.established()
        pair.request(.createChildSA, childRequest(rekeying: [1, 2, 3, 4], protocolID: SecurityProtocol(rawValue: protocolID)))
        pair.settle()
        #expect(pair.client.refusals == [.invalidSyntax])
        #expect(pair.lastEntry?.ended == [.protocolError])
        pair.drain()
        expectSound(pair)
    }

    @Test("INFORMATIONAL with notifies that mean nothing here is answered empty")
    func informational() throws {
        let pair = try Pair.established()
        pair.request(.informational, [.notify(NotifyPayload(NotifyType(rawValue: 40_000), data: [1])), .notify(NotifyPayload(.initialContact))])
        pair.settle()
        #expect(pair.client.responses.last == [])
        #expect(pair.entry?.isEstablished == true)
        expectSound(pair)
    }

    @Test("a clear notify of an error type in an answer ends nothing; INVALID_SYNTAX inside does (section 2.21.2)")
    func answersWithErrors() throws {
        let pair = try Pair.established()
        pair.client.warrior.tamper = tampering(.informational, response: true) { $0 = [.notify(NotifyPayload(.temporaryFailure))] }
        pair.run(for: .seconds(31))
        #expect(pair.entry?.isEstablished == true)
        pair.client.warrior.tamper = tampering(.informational, response: true) { $0 = [.notify(NotifyPayload(.invalidSyntax))] }
        pair.run(for: .seconds(31))
        #expect(pair.lastEntry?.ended == [.protocolError])
        expectSound(pair)
    }
}

import GatewayTesting
import IKE
import IKEMessages
import RoadWarrior
import Synchronization
import Testing
import Wire

/// The payloads of a message of the client, kept on its way out.
final class Kept: Sendable {
    private let value = Mutex<[Payload]>([])
    var payloads: [Payload] {
        get { value.withLock { $0 } }
        set { value.withLock { $0 = newValue } }
    }

    func tamper(_ exchange: ExchangeType) -> RoadWarrior.Tamper {
        { [self] outgoing in
            if outgoing.header.exchange == exchange, !outgoing.header.isResponse { payloads = outgoing.payloads }
            return outgoing
        }
    }
}

@Suite("Nobody gets in without proof, nobody is thrown out without it; threats.md C6, P11 to P13")
struct BypassTests {
    private func replacingAuthentication(_ change: @escaping @Sendable (AuthenticationPayload) -> AuthenticationPayload) -> RoadWarrior.Tamper {
        tampering(.ikeAuth) { payloads in
            payloads = payloads.map { if case .authentication(let value) = $0 { .authentication(change(value)) } else { $0 } }
        }
    }

    // MARK: C6

    @Test("every single bit of AUTH counts", arguments: 0..<256)
    func threat_C6_mutatedBits(_ bit: Int) throws {
        let pair = try Pair(seed: UInt64(bit))
        pair.client.warrior.tamper = replacingAuthentication { value in
            var data = value.data
            data[bit / 8 % data.count] ^= 1 << UInt8(bit % 8)
            return AuthenticationPayload(method: value.method, data: data)
        }
        pair.connect()
        #expect(pair.client.refusals == [.authenticationFailed])
        expectNobodyIn(pair)
    }

    @Test("AUTH that is shorter, longer, doubled or nothing but noughts", arguments: [0, 1, 16, 31, 33, 64, 1000])
    func threat_C6_lengths(_ length: Int) throws {
        for noughts in [false, true] {
            let pair = try Pair()
            pair.client.warrior.tamper = replacingAuthentication { value in
                let source = noughts ? [UInt8](repeating: 0, count: 1000) : [UInt8]((0..<40).flatMap { _ in value.data })
                return AuthenticationPayload(method: value.method, data: Array(source.prefix(length)))
            }
            pair.connect()
            #expect(pair.client.refusals.count == 1)
            expectNobodyIn(pair)
        }
    }

    @Test("AUTH of another SA of the same client")
    func threat_C6_authOfAnotherSA() throws {
        let kept = Kept()
        let first = try Pair(seed: 1)
        first.client.warrior.tamper = kept.tamper(.ikeAuth)
        first.connect()
        #expect(first.client.isEstablished)
        let pair = try Pair(seed: 2)
        pair.client.warrior.tamper = tampering(.ikeAuth) { $0 = kept.payloads }
        pair.connect()
        #expect(pair.client.refusals == [.authenticationFailed])
        expectNobodyIn(pair)
    }

    @Test("AUTH for one identity does not carry another")
    func threat_C6_otherIdentity() throws {
        let pair = try Pair()
        pair.client.warrior.tamper = tampering(.ikeAuth) { payloads in
            payloads = payloads.map {
                if case .initiatorIdentification = $0 { .initiatorIdentification(IdentificationPayload(form: "admin@example.org")) } else { $0 }
            }
        }
        pair.connect()
        expectNobodyIn(pair)
    }

    @Test(
        "steps skipped or out of order before IKE_AUTH: Delete, INITIAL_CONTACT, CREATE_CHILD_SA, configuration, EAP, CVE-2014-2338, CVE-2019-12312")
    func threat_C6_skippedSteps() throws {
        let victim = try Pair.established(seed: 1)
        let attempts: [(ExchangeType, UInt32, [Payload])] = [
            (.informational, 1, []), (.informational, 1, [.delete(DeletePayload(protocolID: .ike, spis: []))]),
            (.informational, 2, [.notify(NotifyPayload(.initialContact))]),
            (.informational, 1, [.configuration(ConfigurationPayload(type: .request, attributes: []))]),
            (
                .createChildSA, 1,
                [
                    .securityAssociation(SecurityAssociationPayload(proposals: ProposalText.ikeDefault)),
                    .nonce(NoncePayload(octets: [UInt8](repeating: 1, count: 32))),
                    .keyExchange(KeyExchangePayload(method: .x25519, data: [UInt8](repeating: 9, count: 32))),
                ]
            ),
            (.ikeAuth, 2, []), (.ikeAuth, 0, []), (ExchangeType(rawValue: 43), 1, []), (ExchangeType(rawValue: 44), 1, []),
        ]
        for (exchange, id, payloads) in attempts {
            let pair = try StageUnderTest.halfOpen.pair()
            pair.inject(try #require(pair.client.forge(exchange, payloads, id: id)), origin: .stranger)
            #expect(pair.gateway.established == 0 && pair.entry?.stage == "half-open")
            // The login itself is none the worse for it.
            pair.wire.fate = { _ in .deliver }
            pair.run(for: .seconds(2))
            #expect(pair.client.isEstablished, "\(exchange.rawValue) \(id)")
            expectSound(pair)
        }
        #expect(victim.client.isEstablished)
    }

    @Test("IKE_AUTH again after the login, with the same and with other payloads")
    func threat_C6_repeatedAuth() throws {
        let kept = Kept()
        let pair = try Pair()
        pair.client.warrior.tamper = kept.tamper(.ikeAuth)
        pair.connect()
        let questions = pair.entry?.questions.count
        for id in [1, 2, 3] as [UInt32] {
            pair.inject(try #require(pair.client.forge(.ikeAuth, kept.payloads, id: id)), origin: .stranger)
            pair.inject(try #require(pair.client.forge(.ikeAuth, [], id: id)), origin: .stranger)
        }
        #expect(pair.entry?.questions.count == questions && pair.gateway.established == 1)
        #expect(pair.gateway.exposedKeys.count == 1)
        expectSound(pair)
    }

    @Test("two IKE_AUTH requests at once: the second waits for nothing and changes nothing", arguments: PairGateway.Held.withoutEAP)
    func threat_C6_secondAuthWhileWaiting(_ held: PairGateway.Held) throws {
        let kept = Kept()
        let pair = try Pair()
        pair.gateway.holds = [held]
        pair.client.warrior.tamper = kept.tamper(.ikeAuth)
        pair.connect()
        for id in [1, 2] as [UInt32] { pair.inject(try #require(pair.client.forge(.ikeAuth, kept.payloads, id: id)), origin: .stranger) }
        pair.release(held)
        pair.settle()
        #expect(pair.client.isEstablished && pair.gateway.established == 1 && pair.entry?.questions.count == 1)
        expectSound(pair)
    }

    @Test("answers from outside that nobody asked for change nothing", arguments: StageUnderTest.allCases)
    func threat_C6_unaskedAnswers(_ stage: StageUnderTest) throws {
        let grant = AddressGrant(ipv4: ip("10.9.0.99"))
        let answers: [Input] = [
            .peer(.credentials(.sharedKey(Secret(Pair.sharedKey), identity: Pair.gatewayIdentity))), .peer(.refused("no")), .address(.granted(grant)),
            .address(.unavailable("")), .address(.refused("")), .signature([1, 2, 3]), .signature(nil), .childSPI(77), .childSPI(nil),
            .installed(1, true), .installed(1, false),
            .activity(nil),
        ]
        for answer in answers {
            let awaited: Bool
            switch (stage, answer) {
            // `.installed` of another SPI is never awaited (found by fuzzing sequences: an IKE SA stood without its Child SA)
            case (.awaitingPeer, .peer), (.awaitingSignature, .signature), (.awaitingAddress, .address): awaited = true
            default: awaited = false
            }
            guard !awaited else { continue }
            let pair = try stage.pair()
            let before = pair.entry?.stage
            pair.feed(answer)
            #expect(pair.entry?.stage == before, "\(stage): \(answer)")
            #expect(pair.gateway.established == (pair.lastEntry?.establishment == nil ? 0 : 1))
            expectSound(pair)
        }
    }

    // MARK: P11

    static let notifies: [NotifyType] = [
        .noProposalChosen, .invalidSyntax, .authenticationFailed, NotifyType(rawValue: 16407), .invalidSPI, .invalidIKESPI, .invalidMajorVersion,
        .invalidMessageID, .temporaryFailure, .cookie, .invalidKEPayload,
    ]

    /// Unprotected messages that say everything a stranger could say of an IKE SA.
    private func lies(_ pair: Pair) -> [[UInt8]] {
        var lies: [[UInt8]] = []
        for exchange: ExchangeType in [.ikeSAInit, .ikeAuth, .createChildSA, .informational] {
            for flags: IKEHeader.Flags in [[.initiator], [.initiator, .response], [.response], []] {
                for id: UInt32 in [0, 1, 2] {
                    let header = IKEHeader(
                        initiatorSPI: pair.client.initiatorSPI, responderSPI: pair.client.responderSPI, exchange: exchange, flags: flags,
                        messageID: id)
                    lies += Self.notifies.map { IKEMessage(header: header, payloads: [.notify(NotifyPayload($0, data: [0, 19]))]).encoded() }
                    lies.append(IKEMessage(header: header, payloads: [.delete(DeletePayload(protocolID: .ike, spis: []))]).encoded())
                }
            }
        }
        return lies
    }

    @Test("unprotected notifies and Deletes end nothing and begin nothing, at any time", arguments: StageUnderTest.allCases)
    func threat_P11_unprotected(_ stage: StageUnderTest) throws {
        let pair = try stage.pair()
        let (before, live) = (pair.entry?.stage, pair.gateway.entries.count)
        let sent = pair.wire.sent.count
        for lie in lies(pair) where pair.client.responderSPI != 0 { pair.inject(lie) }
        #expect(pair.entry?.stage == before && pair.gateway.entries.count == live)
        #expect(pair.wire.sent.count == sent, "a stranger's lie is not even answered")
        expectSound(pair)
    }

    @Test("nor does a client's login suffer from them")
    func threat_P11_duringLogin() throws {
        for step in 1...4 {
            let pair = try Pair()
            let steps = Mutex(0)
            pair.wire.fate = { _ in
                steps.withLock { $0 += 1 }
                return .deliver
            }
            pair.start()
            while steps.withLock({ $0 }) < step { pair.run(for: .milliseconds(10)) }
            if pair.client.responderSPI != 0 { for lie in lies(pair) { pair.inject(lie) } }
            pair.settle()
            #expect(pair.client.isEstablished)
            expectSound(pair)
        }
    }

    @Test("unprotected messages are no sign of life (RFC 7296 section 2.4)")
    func threat_P11_noLivenessEvidence() throws {
        let pair = try Pair.established(profile: EndingTests.dpd(10, retries: 3))
        pair.client.isSilent = true
        let lies = lies(pair)
        let old = try #require(pair.flights(.ikeAuth, response: false, fromClient: true).last)
        let start = pair.now
        for second in 0..<60 where pair.entry != nil {
            pair.inject(lies[second % lies.count])
            pair.inject(old.octets, remote: old.remote)
            pair.run(for: .seconds(1))
        }
        #expect(pair.lastEntry?.ended == [.deadPeer])
        #expect(pair.now - start <= .seconds(42))
        expectNothingLeft(pair)
    }

    // MARK: P12

    @Test("any octet of IKE_SA_INIT that is changed on the way ends in no login", arguments: [true, false])
    func threat_P12_changedInit(_ ofRequest: Bool) throws {
        let honest = try Pair.established()
        let length = try #require(honest.flights(.ikeSAInit, response: !ofRequest, fromClient: ofRequest).first).octets.count
        for index in 0..<length {
            let pair = try Pair()
            pair.wire.alter = { flight in
                guard flight.is(.ikeSAInit, response: !ofRequest, fromClient: ofRequest) else { return nil }
                var octets = flight.octets
                octets[index] ^= index % 2 == 0 ? 1 : 0x80
                return octets
            }
            pair.connect()
            // The initiator's AUTH covers the request, the responder's the response: of the latter the client finds out, and says so.
            #expect(!ofRequest || pair.gateway.established == 0, "octet \(index)")
            #expect(!pair.gateway.entries.values.contains { $0.isEstablished }, "octet \(index)")
            #expect(!pair.client.isEstablished && pair.client.childSA == nil, "octet \(index)")
            #expect(pair.violations == [])
        }
    }

    @Test("a cookie is part of what AUTH covers")
    func threat_P12_cookieIsCovered() throws {
        let pair = try Pair(profile: Pair.policy { $0.halfOpen.cookieThreshold = 0 })
        // Somebody on the path takes the cookie out again, behind the door's back.
        pair.gateway.queuesInitiations = true
        pair.start()
        pair.run(for: .milliseconds(25))
        pair.run(for: .milliseconds(10))
        guard let (datagram, _, lifetime) = pair.gateway.waiting.first else {
            Issue.record("the request with the cookie did not come")
            return
        }
        var message = try IKEMessage(parsing: datagram.octets)
        #expect(message.payloads.notifyTypes.first == .cookie)
        message.payloads.removeFirst()
        pair.gateway.waiting = [(IKEDatagram(message.encoded(), local: datagram.local, remote: datagram.remote), true, lifetime)]
        pair.gateway.takeUp(at: pair.now)
        pair.settle()
        #expect(pair.client.refusals == [.authenticationFailed])
        #expect(pair.gateway.established == 0)
    }

    @Test("a downgrade by a man in the middle fails at AUTH; P10")
    func threat_P10_downgrade() throws {
        let pair = try Pair()
        pair.wire.alter = { flight in
            guard flight.is(.ikeSAInit, response: false), var message = try? IKEMessage(parsing: flight.octets) else { return nil }
            message.payloads = message.payloads.map {
                guard case .securityAssociation(let sa) = $0 else { return $0 }
                // Only the weakest of what the client offers.
                return .securityAssociation(SecurityAssociationPayload(proposals: sa.proposals.suffix(1)))
            }
            return message.encoded()
        }
        pair.connect()
        #expect(pair.client.refusals == [.authenticationFailed])
        #expect(pair.gateway.established == 0)
    }

    // MARK: P13

    @Test("the gateway's own AUTH and identity, said back to it")
    func threat_P13_reflectedAuth() throws {
        let honest = try Pair.established(seed: 1)
        let said = try #require(honest.gatewaySaid(.ikeAuth, response: true))
        let reflected: [Payload] = said.map {
            if case .responderIdentification(let identity) = $0 { .initiatorIdentification(identity) } else { $0 }
        }
        for seed: UInt64 in [1, 2] {
            // With one seed both SAs have the same nonces and keys: even then the roles differ.
            let pair = try Pair(seed: seed)
            pair.client.warrior.tamper = tampering(.ikeAuth) { payloads in
                let child = payloads.filter {
                    [.configuration, .securityAssociation, .initiatorTrafficSelectors, .responderTrafficSelectors].contains($0.type)
                }
                payloads = reflected.filter { $0.type == .initiatorIdentification || $0.type == .authentication } + child
            }
            pair.connect()
            #expect(pair.client.refusals == [.authenticationFailed])
            expectNobodyIn(pair)
        }
    }

    @Test("the gateway's own messages, sent back to it as they are and with the other flag", arguments: [false, true])
    func threat_P13_reflectedMessages(_ flipped: Bool) throws {
        let pair = try Pair.established(profile: EndingTests.dpd(10, retries: 3))
        pair.run(for: .seconds(35))
        for flight in pair.wire.sent where !flight.isFromClient {
            var octets = flight.octets
            if flipped { octets[19] ^= IKEHeader.Flags.initiator.rawValue }
            pair.inject(octets)
            octets[19] ^= IKEHeader.Flags.response.rawValue
            pair.inject(octets)
        }
        #expect(pair.entry?.isEstablished == true)
        pair.probe()
        pair.settle()
        #expect(pair.client.isEstablished)
        expectSound(pair)
    }

    @Test("the gateway's IKE_SA_INIT response as a request, and its SPIs exchanged")
    func threat_P13_exchangedSPIs() throws {
        let pair = try Pair.established()
        let response = try #require(pair.flights(.ikeSAInit, response: true, fromClient: false).first)
        var message = try IKEMessage(parsing: response.octets)
        message.header.flags = [.initiator]
        message.header.initiatorSPI = pair.client.responderSPI
        message.header.responderSPI = 0
        pair.inject(message.encoded(), port: 500)
        message.header.responderSPI = pair.client.initiatorSPI
        pair.inject(message.encoded(), port: 500)
        #expect(pair.gateway.entries.values.filter(\.isEstablished).count == 1)
        let swapped = try #require(
            pair.client.forge(.informational, [], id: 2, initiatorSPI: pair.client.responderSPI, responderSPI: pair.client.initiatorSPI))
        pair.inject(swapped)
        #expect(pair.gateway.doorDrops[.unknownSPI] == 2)
        pair.run(for: .seconds(31))
        expectSound(pair)
    }

    @Test("the right SPI of ours with another initiator's SPI is nobody's message")
    func threat_P13_otherInitiatorSPI() throws {
        let pair = try Pair.established()
        pair.inject(try #require(pair.client.forge(.informational, [], id: 2, initiatorSPI: 7)))
        #expect(pair.entry?.drops[.wrongDirection] == 1)
        expectSound(pair)
    }
}

import GatewayCrypto
import GatewayTesting
import IKE
import IKEMessages
import RoadWarrior
import Testing
import Wire

@Suite("CREATE_CHILD_SA for Child SAs: RFC 7296 sections 1.3.1, 1.3.3 and 2.25")
struct CreateChildSATests {
    private func request(
        rekeying: [UInt8]? = nil, protocolID: SecurityProtocol = .esp, spi: UInt32 = 0x2001, key: KeyExchangeMethod? = nil,
        proposals text: String = "aes128gcm16-noesn", remote: [TrafficSelector] = [.all(.ipv4)]
    ) -> [Payload] {
        var payloads: [Payload] = []
        if let rekeying {
            var notify = NotifyPayload(.rekeySA)
            notify.protocolID = protocolID.rawValue
            notify.spi = rekeying
            payloads.append(.notify(notify))
        }
        let proposals = ((try? ProposalText.esp(text)) ?? []).map {
            Proposal(
                number: $0.number, protocolID: .esp, spi: octets(spi),
                transforms: $0.transforms + (key.map { [Transform(.keyExchange, id: $0.rawValue)] } ?? []))
        }
        payloads += [
            .securityAssociation(SecurityAssociationPayload(proposals: proposals)),
            .nonce(NoncePayload(octets: [UInt8](repeating: UInt8(truncatingIfNeeded: spi), count: 32))),
        ]
        if let key, let own = try? KeyExchange(key, entropy: SeededEntropy(seed: 3)) {
            payloads.append(.keyExchange(KeyExchangePayload(method: key, data: own.publicValue)))
        }
        return payloads + [
            .initiatorTrafficSelectors(TrafficSelectorPayload(selectors: [.all(.ipv4)])),
            .responderTrafficSelectors(TrafficSelectorPayload(selectors: remote)),
        ]
    }

    private func ask(_ pair: Pair, _ payloads: [Payload]) -> [Payload] {
        let before = pair.client.responses.count
        pair.request(.createChildSA, payloads)
        pair.settle()
        return pair.client.responses.count > before ? pair.client.responses.last ?? [] : []
    }

    @Test("a further Child SA has keys of its own and lies within what was assigned")
    func furtherChild() throws {
        let pair = try Pair.established(profile: Pair.profile { $0.selectors = tsList("10.1.0.0/16", "10.3.0.0/16") })
        let answer = ask(pair, request(remote: [selector("10.0.0.0/8")]))
        #expect(answer.types == [.securityAssociation, .nonce, .initiatorTrafficSelectors, .responderTrafficSelectors])
        let children = try #require(pair.entry).children
        #expect(children.count == 2)
        let further = try #require(children.last)
        #expect(further.outboundSPI == 0x2001 && further.supersedes == nil)
        #expect(further.remoteSelectors == [selector("10.9.0.2")])
        #expect(further.localSelectors == [selector("10.1.0.0/16"), selector("10.3.0.0/16")])
        #expect(pair.gateway.exposedKeys.count == 2)
        expectSound(pair)
    }

    @Test("a rekeyed Child SA keeps the selectors in use, also when everything is asked for (TS-6, threats.md P24)")
    func threat_P24_rekeyKeepsSelectors() throws {
        let pair = try Pair.established { $0.remoteSelectors = [selector("10.1.0.0/16")] }
        let old = try #require(pair.entry?.children.first)
        _ = ask(pair, request(rekeying: octets(old.outboundSPI)))
        let new = try #require(pair.entry?.children.last)
        #expect(new.supersedes == old.inboundSPI && new.inboundSPI != old.inboundSPI)
        #expect(new.localSelectors == old.localSelectors && new.remoteSelectors == old.remoteSelectors)
        #expect(pair.entry?.installed.count == 2, "the old one stands until the client deletes it")
        pair.request(.informational, [.delete(DeletePayload(protocolID: .esp, spis: [octets(old.outboundSPI)]))])
        pair.settle()
        #expect(pair.client.responses.last?.deletes.first?.spis == [octets(old.inboundSPI)])
        #expect(pair.entry?.children == [new])
        expectSound(pair)
    }

    @Test("threats.md P24: a rekey for less than the traffic in use is refused, and everything stays")
    func threat_P24_narrowerRequest() throws {
        let pair = try Pair.established()
        let old = try #require(pair.entry?.children.first)
        #expect(ask(pair, request(rekeying: octets(old.outboundSPI), remote: [selector("10.1.0.0/16")])).notifyTypes == [.tsUnacceptable])
        #expect(pair.entry?.children == [old])
        expectSound(pair)
    }

    @Test("a rekey of a Child SA that is not there: CHILD_SA_NOT_FOUND with its SPI (section 2.25.1)")
    func notFound() throws {
        let pair = try Pair.established()
        let notify = try #require(ask(pair, request(rekeying: [1, 2, 3, 4])).notify(.childSANotFound))
        #expect(notify.spi == [1, 2, 3, 4] && notify.protocolID == SecurityProtocol.esp.rawValue)
        #expect(pair.entry?.installed.count == 1)
        expectSound(pair)
    }

    @Test("REKEY_SA with protocol 0 or 1 is INVALID_SYNTAX and never comes back in our message, CVE-2023-38710", arguments: [0, 1, 9])
    func rekeyOfNothing(_ protocolID: UInt8) throws {
        let pair = try Pair.established()
        #expect(ask(pair, request(rekeying: [1, 2, 3, 4], protocolID: SecurityProtocol(rawValue: protocolID))).notifyTypes == [.invalidSyntax])
        #expect(pair.lastEntry?.ended == [.protocolError])
        pair.drain()
        expectSound(pair)
    }

    @Test("at most eight Child SAs: NO_ADDITIONAL_SAS; threats.md P22")
    func threat_P22_mostChildren() throws {
        let pair = try Pair.established()
        for number in 1...7 { #expect(ask(pair, request(spi: 0x2000 + UInt32(number))).notifyTypes == []) }
        #expect(ask(pair, request(spi: 0x3000)).notifyTypes == [.noAdditionalSAs])
        #expect(pair.entry?.installed.count == 8)
        pair.close()
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("two key exchanges a second, then TEMPORARY_FAILURE; threats.md P22")
    func threat_P22_keyExchanges() throws {
        let pair = try Pair.established()
        let old = try #require(pair.entry?.children.first)
        var refused = 0
        for number in 0..<12 {
            let answer = ask(pair, request(rekeying: octets(old.outboundSPI), spi: 0x2000 + UInt32(number), key: .x25519))
            if answer.notifyTypes == [.temporaryFailure] { refused += 1 }
            guard let child = pair.entry?.children.last, child != old else { continue }
            pair.request(.informational, [.delete(DeletePayload(protocolID: .esp, spis: [octets(child.outboundSPI)]))])
            pair.settle()
        }
        #expect(refused >= 8)
        pair.run(for: .seconds(2))
        #expect(ask(pair, request(rekeying: octets(old.outboundSPI), spi: 0x4000, key: .x25519)).types.contains(.keyExchange))
        expectSound(pair)
    }

    @Test("with a key exchange of its own, and with the wrong group first")
    func perfectForwardSecrecy() throws {
        let pair = try Pair.established()
        let answer = ask(pair, request(key: .ecp256))
        #expect(answer.types.contains(.keyExchange))
        #expect(pair.entry?.installed.count == 2)
        // MODP-1024 is allowed nowhere.
        let weak = ask(
            pair,
            request(spi: 0x2002, key: nil).map { $0 } + [.keyExchange(KeyExchangePayload(method: .modp1024, data: [UInt8](repeating: 2, count: 128)))]
        )
        #expect(!weak.types.contains(.keyExchange))
        expectSound(pair)
    }

    @Test("refusals leave the IKE SA and its Child SA as they are")
    func refusals() throws {
        let pair = try Pair.established()
        #expect(ask(pair, request(proposals: "3des-sha256")).notifyTypes == [.noProposalChosen])
        #expect(ask(pair, request(remote: [.all(.ipv6)])).notifyTypes == [.tsUnacceptable])
        pair.gateway.hasSPIs = false
        #expect(ask(pair, request()).notifyTypes == [.noAdditionalSAs])
        pair.gateway.hasSPIs = true
        pair.gateway.installs = false
        #expect(ask(pair, request()).notifyTypes == [.temporaryFailure])
        #expect(pair.entry?.isEstablished == true && pair.entry?.installed.count == 1)
        pair.close()
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("the SA ends while a Child SA is being installed: nothing stays", arguments: [true, false])
    func endedWhileInstalling(_ late: Bool) throws {
        let pair = try Pair.established()
        pair.gateway.holds = [.install]
        pair.request(.createChildSA, request())
        pair.settle()
        pair.request(.createChildSA, request())
        pair.closeFromGateway()
        if late { pair.release(.install) }
        pair.settle()
        pair.release(.install)
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("copies of the request while it is being answered change nothing; the answer is repeated afterwards")
    func copies() throws {
        let pair = try Pair.established()
        pair.gateway.holds = [.install]
        pair.request(.createChildSA, request())
        pair.run(for: .seconds(4))
        #expect((pair.entry?.drops[.stillWorking] ?? 0) >= 2)
        pair.lose { $0.is(.createChildSA, response: true) }
        pair.release(.install)
        pair.run(for: .seconds(10))
        #expect(pair.entry?.furtherChildren == 1 && pair.entry?.installed.count == 2)
        let answers = pair.flights(.createChildSA, response: true, fromClient: false)
        #expect(answers.count >= 2 && Set(answers.map(\.octets)).count == 1)
        expectSound(pair)
    }
}

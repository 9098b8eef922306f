import GatewayCrypto
import GatewayTesting
import IKE
import IKEMessages
import RoadWarrior
import Testing
import Wire

@Suite("Child SAs for each resource: RFC 9611")
struct ResourceTests {
    static let info = NotifyPayload(.saResourceInfo)

    /// A session at a gateway with so many workers.
    private func established(resources: Int = 4, asks: Bool = true) throws -> Pair {
        var profile = Pair.profile { _ in }
        profile.resources = resources
        return try Pair.established(profile: profile) {
            $0.espProposals = (try? ProposalText.esp("aes128gcm16-noesn")) ?? []
            if asks { $0.authNotifies = [Self.info] }
        }
    }

    private func add(_ pair: Pair) {
        pair.act(pair.client) { $0.addResource(at: $1, into: &$2) }
        pair.settle()
    }

    private func request(_ notifies: [NotifyPayload], spi: UInt32, proposals text: String = "aes128gcm16-noesn", remote: String? = nil) -> [Payload] {
        let proposals = ((try? ProposalText.esp(text)) ?? []).map {
            Proposal(number: $0.number, protocolID: .esp, spi: octets(spi), transforms: $0.transforms)
        }
        return notifies.map { .notify($0) } + [
            .securityAssociation(SecurityAssociationPayload(proposals: proposals)),
            .nonce(NoncePayload(octets: [UInt8](repeating: UInt8(truncatingIfNeeded: spi), count: 32))),
            .initiatorTrafficSelectors(TrafficSelectorPayload(selectors: [.all(.ipv4)])),
            .responderTrafficSelectors(TrafficSelectorPayload(selectors: [remote.map { selector($0) } ?? .all(.ipv4)])),
        ]
    }

    private func ask(_ pair: Pair, _ payloads: [Payload], _ exchange: ExchangeType = .createChildSA) -> [Payload] {
        let before = pair.client.responses.count
        pair.request(exchange, payloads)
        pair.settle()
        return pair.client.responses.count > before ? pair.client.responses.last ?? [] : []
    }

    @Test("section 3: who announces it in IKE_AUTH is told that it may, where there is more than one resource", arguments: [1, 2, 8])
    func section3_announced(resources: Int) throws {
        let pair = try established(resources: resources)
        #expect(pair.client.establishment?.notifies.contains { $0.type == .saResourceInfo } == (resources > 1))
        #expect(pair.entry?.children.map(\.isPerResource) == [false])
        expectSound(pair)
    }

    @Test("section 3: who never asks sees nothing of it")
    func section3_notAsked() throws {
        let pair = try established(asks: false)
        #expect(pair.client.establishment?.notifies.contains { $0.type == .saResourceInfo } == false)
        let answer = ask(pair, request([], spi: 0x2001))
        #expect(answer.types == [.securityAssociation, .nonce, .initiatorTrafficSelectors, .responderTrafficSelectors])
        #expect(pair.entry?.children.map(\.isPerResource) == [false, false])
        #expect(pair.gateway.childPurposes == [.further, .further])
        expectSound(pair)
    }

    @Test("section 3: others with the same selectors and algorithms, and keys of their own; section 5.2: TS_MAX_QUEUE beyond the workers")
    func section3_oneForEachWorker() throws {
        let pair = try established(resources: 3)
        add(pair)
        add(pair)
        let first = try #require(pair.entry?.children.first)
        let children = try #require(pair.entry?.children)
        #expect(children.map(\.isPerResource) == [false, true, true] && children.allSatisfy { $0.supersedes == nil })
        #expect(children.allSatisfy { $0.localSelectors == first.localSelectors && $0.remoteSelectors == first.remoteSelectors })
        #expect(children.allSatisfy { $0.suite.suite == first.suite.suite })
        #expect(pair.gateway.childPurposes == [.further, .resource, .resource])
        #expect(pair.client.warrior.childSAs.map(\.outboundSPI) == children.map(\.inboundSPI))
        #expect(pair.client.childSA?.outboundSPI == first.inboundSPI, "the first stays what it was")
        #expect(Set(pair.gateway.exposedKeys.values.map(\.inboundEncryption)).count == 3)
        #expect(pair.client.refusals.isEmpty)
        add(pair)
        #expect(pair.client.refusals == [.tsMaxQueue])
        #expect(pair.entry?.children.count == 3 && pair.client.isEstablished)
        expectSound(pair)
    }

    @Test("section 3: SA_RESOURCE_INFO is answered with one, whatever is in it")
    func section3_answered() throws {
        let pair = try established()
        let answer = ask(pair, request([NotifyPayload(.saResourceInfo, data: [UInt8](repeating: 0xff, count: 3000))], spi: 0x2001))
        let notify = try #require(answer.notify(.saResourceInfo))
        #expect(notify.protocolID == 0 && notify.spi.isEmpty && notify.data.isEmpty)
        #expect(pair.entry?.children.map(\.isPerResource) == [false, true])
        // Other selectors are another group, and this is its first
        _ = ask(pair, request([Self.info], spi: 0x2002, remote: "10.1.0.0/16"))
        #expect(pair.gateway.childPurposes == [.further, .resource, .further])
        expectSound(pair)
    }

    @Test("section 3: other algorithms than those beside it are no further resource: NO_PROPOSAL_CHOSEN")
    func section3_otherAlgorithms() throws {
        let pair = try established()
        #expect(ask(pair, request([Self.info], spi: 0x2001, proposals: "aes256gcm16-noesn")).notifyTypes == [.noProposalChosen])
        // Without the notify they are a further Child SA as any other
        #expect(ask(pair, request([], spi: 0x2002, proposals: "aes256gcm16-noesn")).notifyTypes == [])
        #expect(pair.entry?.children.count == 2 && pair.client.isEstablished)
        expectSound(pair)
    }

    @Test(
        "P25: the soft limit of one whose answer may be on its way: replaced once the client must have that, not at its lifetime's end",
        arguments: [0, 600])
    func threat_P25_softLimitOfAYoungOne(_ age: Int) throws {
        let pair = try established(resources: 2)
        add(pair)
        let second = try #require(pair.entry?.children.last)
        pair.run(for: .seconds(age))
        pair.feed(.childAging(spi: second.inboundSPI))
        pair.run(for: .seconds(1))
        if age == 0 {
            #expect(pair.entry?.children.last == second, "the client may not know it yet")
            pair.run(for: .seconds(180))
        }
        #expect(pair.entry?.children.last?.supersedes == second.inboundSPI && pair.entry?.children.count == 2)
        expectSound(pair)
    }

    @Test("section 3: a rekey serves what the replaced one served, with or without SA_RESOURCE_INFO, by either side", arguments: [false, true])
    func section3_rekey(byGateway: Bool) throws {
        let pair = try established(resources: 2)
        add(pair)
        let children = try #require(pair.entry?.children)
        let (first, second) = (children[0], children[1])
        if byGateway {
            // With a further request we know that our last answer has come
            pair.probe()
            pair.settle()
            pair.feed(.childAging(spi: second.inboundSPI))
        } else {
            let spi = second.outboundSPI
            pair.act(pair.client) { $0.rekeyChild(spi, at: $1, into: &$2) }
        }
        pair.settle()
        let now = try #require(pair.entry?.children)
        #expect(now.count == 2 && now[0] == first && now[1].inboundSPI != second.inboundSPI)
        #expect(now[1].isPerResource && now[1].supersedes == second.inboundSPI)
        #expect(pair.gateway.childPurposes.last == .replacing(second.inboundSPI))
        #expect(pair.client.childSA?.outboundSPI == first.inboundSPI)
        // The place is taken still
        add(pair)
        #expect(pair.client.refusals == [.tsMaxQueue])
        expectSound(pair)
    }

    @Test("section 3: each is deleted on its own, and its place is free again", arguments: [0, 1, 2])
    func section3_delete(index: Int) throws {
        let pair = try established(resources: 3)
        add(pair)
        add(pair)
        let children = try #require(pair.entry?.children)
        let spi = children[index].outboundSPI
        pair.act(pair.client) { $0.deleteChild(spi, at: $1, into: &$2) }
        pair.settle()
        #expect(pair.entry?.children == children.filter { $0.outboundSPI != spi })
        #expect(pair.client.isEstablished && pair.client.childSA != nil)
        add(pair)
        #expect(pair.client.refusals.isEmpty && pair.entry?.children.count == 3)
        expectSound(pair)
    }

    @Test("a worker that is not to be had is TS_MAX_QUEUE too")
    func section5_2_noWorker() throws {
        let pair = try established()
        pair.gateway.hasSPIs = false
        add(pair)
        #expect(pair.client.refusals == [.tsMaxQueue])
        #expect(pair.entry?.children.count == 1 && pair.client.isEstablished)
        expectSound(pair)
    }

    @Test("threats.md P22: a thousand of them: eight stand, whatever the gateway would offer", arguments: [1, 4, 1000])
    func threat_P22_aThousand(resources: Int) throws {
        let pair = try established(resources: resources)
        var answers: [[NotifyType]: Int] = [:]
        for number in 0..<1000 {
            let answer = ask(pair, request([Self.info], spi: 0x3000 + UInt32(number)))
            answers[answer.notifyTypes, default: 0] += 1
        }
        let most = min(resources, 8)
        #expect(pair.entry?.children.count == most && pair.client.isEstablished)
        #expect(answers[[.saResourceInfo], default: 0] == most - 1)
        #expect(answers[resources > 8 ? [.noAdditionalSAs] : [.tsMaxQueue]] == 1001 - most)
        expectSound(pair)
    }

    @Test("section 5.1: a notify of a protocol or with an SPI is none", arguments: [true, false])
    func section5_1_malformed(hasSPI: Bool) throws {
        let pair = try established(resources: 1)
        var notify = Self.info
        notify.protocolID = SecurityProtocol.esp.rawValue
        if hasSPI { notify.spi = [1, 2, 3, 4] }
        // Else it would be TS_MAX_QUEUE
        let answer = ask(pair, request([notify], spi: 0x2001))
        #expect(answer.notifyTypes == [] && pair.entry?.children.map(\.isPerResource) == [false, false])
        expectSound(pair)
    }

    @Test("SA_RESOURCE_INFO where it means nothing: a status notify that nobody minds (RFC 7296 section 3.10.1)")
    func wrongExchange() throws {
        let pair = try established()
        #expect(ask(pair, [.notify(Self.info)], .informational) == [])
        // With the first Child SA's own SPI in the place of another: a rekey, which is of no further resource
        let first = try #require(pair.entry?.children.first)
        var rekey = NotifyPayload(.rekeySA)
        rekey.protocolID = SecurityProtocol.esp.rawValue
        rekey.spi = octets(first.outboundSPI)
        let answer = ask(pair, request([rekey, Self.info], spi: 0x2001))
        #expect(answer.notify(.saResourceInfo) != nil)
        #expect(pair.entry?.children.map(\.isPerResource) == [false, false] && pair.gateway.childPurposes.last == .replacing(first.inboundSPI))
        #expect(pair.client.isEstablished)
        expectSound(pair)
    }
}

import GatewayCrypto
import IKEMessages
import RoadWarrior
import Testing
import Wire

/// IKE_SA_INIT and IKE_AUTH against scripted answers, RFC 7296 sections 1.2, 2.6, 2.7, 2.15, 2.21, 2.23.
struct SetupTests {
    static let methods: [KeyExchangeMethod] = [.x25519, .ecp256, .ecp384, .ecp521, .modp2048]

    @Test(arguments: methods)
    func RFC7296_1_2_fourMessagesToAChildSA(method: KeyExchangeMethod) throws {
        var script = ScriptedGateway.Script()
        script.method = method
        let pair = Pairing(script)
        try pair.connect()

        #expect(pair.gateway.clientProved)
        let facts = try #require(pair.established)
        #expect(facts.innerAddresses == [IPAddress("10.0.0.7")!])
        #expect(facts.dns == [IPAddress("10.9.0.53")!])
        #expect(facts.suite.keyExchange == method)
        let child = try #require(pair.child)
        #expect(child.inboundSPI == pair.gateway.clientSPI && child.outboundSPI == pair.gateway.espSPI)
        #expect(child.remoteSelectors == [.range("10.9.0.0/16")])
        #expect(child.localSelectors == [.range("10.0.0.7/32")])
        // x25519 is the first guess; any other costs one IKE_SA_INIT more.
        #expect(pair.sent.count == (method == .x25519 ? 2 : 3))
        #expect(pair.nextMessageID == 2)
    }

    /// AEAD and CBC with every HMAC, of the IKE SA.
    @Test(arguments: [
        "aes128gcm16-prfsha256-x25519", "aes256gcm16-prfsha384-x25519", "aes128-sha256-x25519", "aes256-sha384-x25519",
        "aes256-sha512-x25519", "aes192-sha256-prfsha1-x25519",
    ])
    func RFC7296_2_14_everyIKESuite(text: String) throws {
        let proposals = try ProposalText.ike(text)
        let pair = Pairing { $0.ikeProposals = proposals }
        try pair.connect()
        #expect(pair.gateway.clientProved && pair.child != nil)
        let keys = try #require(pair.keys)
        #expect(keys.d == pair.gateway.keys["d"] && keys.pr == pair.gateway.keys["pr"] && keys.ei == pair.gateway.keys["ei"])
    }

    @Test func RFC7296_2_6_cookieReturnsFirstAndNothingElseChanges() throws {
        var script = ScriptedGateway.Script()
        script.cookie = [1, 2, 3, 4, 5, 6, 7, 8]
        let pair = Pairing(script)
        try pair.connect()
        #expect(pair.child != nil)
        #expect(pair.gateway.initRequests.count == 2)
        let first = try IKEMessage(parsing: pair.gateway.initRequests[0])
        let second = try IKEMessage(parsing: pair.gateway.initRequests[1])
        #expect(second.payloads.first == .notify(NotifyPayload(.cookie, data: [1, 2, 3, 4, 5, 6, 7, 8])))
        #expect(Array(second.payloads.dropFirst()) == first.payloads)
        #expect(second.header.initiatorSPI == first.header.initiatorSPI && second.header.messageID == 0)
    }

    @Test func RFC7296_2_6_1_cookieAndInvalidKEBothInARow() throws {
        var script = ScriptedGateway.Script()
        script.cookie = [9, 9, 9]
        script.method = .ecp384
        let pair = Pairing(script)
        try pair.connect()
        #expect(pair.gateway.clientProved && pair.child != nil)
        #expect(pair.gateway.initRequests.count == 3)
        let last = try IKEMessage(parsing: try #require(pair.gateway.initRequests.last))
        #expect(last.payloads.first == .notify(NotifyPayload(.cookie, data: [9, 9, 9])))
        #expect(last.payloads.contains { if case .keyExchange(let payload) = $0 { payload.method == .ecp384 } else { false } })
    }

    @Test func threat_P9_aMethodThatWasNotOfferedIsNotTaken() throws {
        var script = ScriptedGateway.Script()
        script.method = .modp1024
        let pair = Pairing(script)
        try pair.connect()
        #expect(pair.gateway.initRequests.count == 1)
        #expect(pair.refusals.first?.notify.type == .invalidKEPayload)
        while pair.closure == nil, pair.strike() { try pair.run() }
        #expect(pair.closure != nil && pair.child == nil)
    }

    @Test func threat_P9_endlessRetriesEnd() throws {
        let pair = Pairing()
        pair.start()
        var number: UInt8 = 0
        while pair.closure == nil, number < 50 {
            number += 1
            let request = try IKEMessage(parsing: try #require(pair.sent.last).octets)
            let header = IKEHeader(
                initiatorSPI: request.header.initiatorSPI, responderSPI: 0, exchange: .ikeSAInit, flags: [.response],
                messageID: 0)
            pair.deliver(IKEMessage(header: header, payloads: [.notify(NotifyPayload(.cookie, data: [number]))]).encoded())
        }
        #expect(number < 10)
        guard case .violation? = pair.closure else {
            Issue.record("\(String(describing: pair.closure))")
            return
        }
    }

    @Test func threat_P11_anUnprotectedRefusalWaitsForAProperAnswer() throws {
        let pair = Pairing()
        pair.start()
        let request = try IKEMessage(parsing: pair.sent[0].octets)
        let header = IKEHeader(
            initiatorSPI: request.header.initiatorSPI, responderSPI: 0, exchange: .ikeSAInit, flags: [.response], messageID: 0)
        pair.deliver(IKEMessage(header: header, payloads: [.notify(NotifyPayload(.noProposalChosen))]).encoded())
        #expect(pair.closure == nil)
        try pair.run()
        #expect(pair.child != nil && pair.closure == nil)
    }

    @Test func RFC7296_2_7_refusedProposalsEndInPlainWords() throws {
        var script = ScriptedGateway.Script()
        script.refusal = .noProposalChosen
        let pair = Pairing(script)
        try pair.connect()
        #expect(pair.strike())
        #expect(
            pair.closure.map { "\($0)" } == "the gateway refused the IKE_SA_INIT exchange: NO_PROPOSAL_CHOSEN")
    }

    // MARK: NAT

    struct NATCase: CustomTestStringConvertible, Sendable {
        let claim: RoadWarrior.NATClaim
        let source: Bool
        let destination: Bool
        let encapsulated: Bool
        var testDescription: String { "\(claim), gateway's hash fits \(source), ours \(destination)" }
    }

    @Test(arguments: [
        NATCase(claim: .truthful, source: true, destination: true, encapsulated: false),
        NATCase(claim: .truthful, source: true, destination: false, encapsulated: true),
        NATCase(claim: .truthful, source: false, destination: true, encapsulated: true),
        NATCase(claim: .behindNAT, source: true, destination: true, encapsulated: true),
        NATCase(claim: .silent, source: false, destination: false, encapsulated: false),
    ])
    func RFC7296_2_23_natMovesBothToTheOtherPort(row: NATCase) throws {
        var script = ScriptedGateway.Script()
        script.natSourceMatches = row.source
        script.natDestinationMatches = row.destination
        let pair = Pairing(script) { $0.natClaim = row.claim }
        try pair.connect()
        #expect(pair.child != nil)
        let auth = try #require(pair.sent.last)
        #expect(auth.encapsulated == row.encapsulated)
        #expect(auth.remote.port == (row.encapsulated ? 4500 : 500) && auth.local.port == (row.encapsulated ? 4500 : 500))
        #expect(auth.payload.starts(with: [0, 0, 0, 0]) == row.encapsulated)

        // What the request said of our own side.
        let request = try IKEMessage(parsing: pair.gateway.initRequests[0])
        let claimed = request.payloads.compactMap { payload -> [UInt8]? in
            if case .notify(let notify) = payload, notify.type == .natDetectionSourceIP { notify.data } else { nil }
        }
        let truth = RoadWarrior.natHash(request.header.initiatorSPI, 0, Pairing.client)
        switch row.claim {
        case .truthful: #expect(claimed == [truth])
        case .behindNAT: #expect(claimed.count == 1 && claimed != [truth])
        case .silent: #expect(claimed.isEmpty)
        }
    }

    // MARK: authentication

    @Test func RFC7296_2_15_aResponderWithAnotherKeyIsNotBelieved() throws {
        var script = ScriptedGateway.Script()
        script.presharedKey = [UInt8]("another key".utf8)
        let pair = Pairing(script)
        try pair.connect()
        #expect(!pair.gateway.clientProved && pair.established == nil)
        guard case .responderNotAuthenticated? = pair.closure else {
            Issue.record("\(String(describing: pair.closure))")
            return
        }
        // RFC 7296 section 2.21.2: it is told.
        #expect(pair.gateway.opened.last?.1 == [.notify(NotifyPayload(.authenticationFailed))])
    }

    @Test func RFC7296_2_15_oneWrongBitInAuth() throws {
        var script = ScriptedGateway.Script()
        script.spoilAuth = true
        let pair = Pairing(script)
        try pair.connect()
        #expect(pair.gateway.clientProved && pair.established == nil && pair.child == nil)
    }

    @Test func threat_P18_aResponderWithAnotherNameIsNotTaken() throws {
        let pair = Pairing { $0.remoteIdentity = IdentificationPayload(form: "other.example.org") }
        try pair.connect()
        guard case .responderNotAuthenticated(let why)? = pair.closure else {
            Issue.record("\(String(describing: pair.closure))")
            return
        }
        #expect(why.contains("gw.example.org"))
    }

    @Test(arguments: [NotifyType.authenticationFailed, .failedCPRequired])
    func RFC7296_2_21_2_refusedAuthentication(error: NotifyType) throws {
        var script = ScriptedGateway.Script()
        script.authError = error
        let pair = Pairing(script)
        try pair.connect()
        #expect(pair.established == nil)
        #expect(pair.closure == .refused(.init(exchange: .ikeAuth, notify: NotifyPayload(error), authenticated: true)))
    }

    @Test(arguments: [NotifyType.tsUnacceptable, .internalAddressFailure, .noProposalChosen])
    func TS_3_theIKESAStandsWithoutAChildSA(error: NotifyType) throws {
        var script = ScriptedGateway.Script()
        script.childPayloads = [.notify(NotifyPayload(error))]
        let pair = Pairing(script)
        try pair.connect()
        #expect(pair.established != nil && pair.child == nil && pair.closure == nil)
        #expect(pair.refusals == [.init(exchange: .ikeAuth, notify: NotifyPayload(error), authenticated: true)])
        // The gateway then deletes it, and gets its answer.
        let answer = try pair.request(.informational, [.delete(DeletePayload(protocolID: .ike, spis: []))], id: 0)
        #expect(answer?.1.isEmpty == true && pair.closure == .deletedByPeer)
    }

    /// What a gateway may not choose or narrow to.
    @Test(arguments: ["wider TSr", "wider TSi", "nothing"])
    func RFC7296_2_9_aWrongChoiceEndsTheSA(what: String) throws {
        var script = ScriptedGateway.Script()
        switch what {
        case "wider TSr": script.narrowedRemote = [.range("10.0.0.0/8")]
        case "wider TSi": script.narrowedLocal = [.range("0.0.0.0/0")]
        default: script.childPayloads = []
        }
        let pair = Pairing(script) {
            $0.remoteSelectors = [.range("10.9.0.0/16")]
            $0.localSelectors = [.range("10.0.0.0/24")]
        }
        try pair.connect()
        #expect(pair.child == nil)
        guard case .violation? = pair.closure else {
            Issue.record("\(String(describing: pair.closure))")
            return
        }
        #expect(pair.gateway.opened.last?.1 == [.delete(DeletePayload(protocolID: .ike, spis: []))])
    }

    @Test func RFC7296_3_5_whatTheRequestCarries() throws {
        let pair = Pairing { $0.initialContact = true }
        try pair.connect()
        let payloads = try #require(pair.gateway.opened.first).1
        #expect(payloads.first == .initiatorIdentification(IdentificationPayload(form: "warrior@example.org")))
        #expect(payloads.contains(.notify(NotifyPayload(.initialContact))))
        #expect(payloads.contains(.responderIdentification(IdentificationPayload(form: "gw.example.org"))))
        #expect(
            payloads.contains {
                if case .configuration(let payload) = $0 { payload.type == .request && payload.attributes.count == 2 } else { false }
            })
    }

    @Test func RFC7296_2_2_tamperedMessagesGoOutAsTampered() throws {
        let pair = Pairing()
        pair.warrior.tamper = { outgoing in
            guard outgoing.header.exchange == .ikeAuth else { return outgoing }
            var changed = outgoing
            changed.payloads.removeAll { if case .configuration = $0 { true } else { false } }
            return changed
        }
        try pair.connect()
        let payloads = try #require(pair.gateway.opened.first).1
        #expect(!payloads.contains { if case .configuration = $0 { true } else { false } })
    }

    @Test(arguments: [
        ("192.0.2.1", IDType.ipv4Address), ("2001:db8::1", .ipv6Address), ("user@example.org", .rfc822Address),
        ("host.example.org", .fqdn), ("printer", .keyID),
    ])
    func identityByForm(text: String, type: IDType) {
        #expect(IdentificationPayload(form: text).type == type)
    }
}

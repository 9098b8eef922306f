import GatewayCrypto
import GatewayTesting
import IKE
import IKEMessages
import RoadWarrior
import Testing
import Wire

/// An EAP login that has come as far as EAP-Success, or to a step before it, and a client whose next message the test writes.
struct EAPStep {
    let pair: Pair
    /// The message ID of the next request.
    let id: UInt32

    /// `before`: this request of the client never leaves it.
    init(seed: UInt64 = 1, before id: UInt32, isKeying: Bool = true, own: OwnProof = .sharedKey(Secret(Pair.sharedKey)), rounds: Int = 1) throws {
        self.id = id
        pair = try Pair.eap(
            seed: seed, profile: Pair.eapProfile { $0.authentication.allowsNonKeyingEAP = true }, own: own, isKeying: isKeying
        ) { settings in
            settings.ikeProposals = (try? ProposalText.ike("aes128gcm16-prfsha256-x25519")) ?? []
            settings.allowsEAPOnly = true
        }
        pair.gateway.aaa.rounds = rounds
        pair.client.warrior.tamper = { $0.header.messageID >= id ? nil : $0 }
        pair.connect()
        #expect(pair.entry?.stage == "eap")
    }

    /// With one challenge: IDi is 1, the answer to the challenge 2, AUTH 3.
    static func atFinalAuth(seed: UInt64 = 1, isKeying: Bool = true, own: OwnProof = .sharedKey(Secret(Pair.sharedKey))) throws -> EAPStep {
        try EAPStep(seed: seed, before: 3, isKeying: isKeying, own: own)
    }

    func send(_ payloads: [Payload]) throws {
        pair.inject(try #require(pair.client.forge(.ikeAuth, payloads, id: id)), origin: .peer)
    }

    func send(_ authentication: [UInt8], method: AuthenticationMethod = .sharedKey) throws {
        try send([.authentication(AuthenticationPayload(method: method, data: authentication))])
    }

    /// The MSK as the client has it.
    func masterSessionKey() throws -> [UInt8] {
        let conversation = try #require(pair.lastEntry?.eap)
        return ScriptedEAP.key(conversation.secret, conversation.challenge)
    }

    private func prf(_ key: [UInt8], _ data: [UInt8]) throws -> [UInt8] {
        guard let function = PRF(.hmacSHA256) else { return [] }
        return try function(key: SecretOctets(copying: key), data).exposed()
    }

    private func nonce(_ octets: [UInt8]) throws -> [UInt8] {
        let payloads = try IKEMessage(parsing: octets).payloads
        return try #require(payloads.lazy.compactMap { if case .nonce(let nonce) = $0 { nonce.octets } else { nil } }.first)
    }

    /// What the client signs.
    func clientOctets(_ identity: IdentificationPayload? = nil) throws -> [UInt8] {
        let keys = try #require(pair.client.keys)
        let response = pair.flights(.ikeSAInit, response: true, fromClient: false).last?.octets ?? []
        return try [UInt8](repeating: 0, count: 8) + response + pair.client.warrior.initRequest + nonce(response)
            + prf(keys.pi, (identity ?? pair.client.settings.identity).body)
    }

    /// What the gateway signs.
    func gatewayOctets() throws -> [UInt8] {
        let keys = try #require(pair.client.keys)
        let response = pair.flights(.ikeSAInit, response: true, fromClient: false).last?.octets ?? []
        let request = pair.client.warrior.initRequest
        return try [UInt8](repeating: 0, count: 8) + request + response + nonce(request) + prf(keys.pr, Pair.gatewayIdentity.body)
    }

    /// AUTH by a key, RFC 7296 section 2.15.
    func value(_ key: [UInt8], over octets: [UInt8]) throws -> [UInt8] { try prf(prf(key, Array("Key Pad for IKEv2".utf8)), octets) }

    func expectRefused(_ what: Comment, isFailedProof: Bool = true, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(pair.authAnswers.last?.notifyTypes == [.authenticationFailed], what, sourceLocation: sourceLocation)
        #expect(pair.lastEntry?.refusal?.isFailedProof == isFailedProof, what, sourceLocation: sourceLocation)
        expectNobodyIn(pair, what, sourceLocation: sourceLocation)
    }

    /// EAP-Failure and no word more.
    func expectFailed(_ what: Comment, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(pair.authAnswers.last?.types == [.eap] && pair.authAnswers.last?.eap?.code == 4, what, sourceLocation: sourceLocation)
        #expect(pair.lastEntry?.refusal?.isFailedProof == false, what, sourceLocation: sourceLocation)
        expectNobodyIn(pair, what, sourceLocation: sourceLocation)
    }
}

@Suite("Nobody gets in past EAP: threats.md C6, P13, P15, P16, P17")
struct EAPBypassTests {
    @Test("the right AUTH, made here from RFC 7296 section 2.16, is let in and answered with ours", arguments: [true, false])
    func rfc7296_2_16(_ isKeying: Bool) throws {
        let step = try EAPStep.atFinalAuth(isKeying: isKeying)
        let keys = try #require(step.pair.client.keys)
        try step.send(try step.value(isKeying ? try step.masterSessionKey() : keys.pi, over: try step.clientOctets()))
        #expect(step.pair.gateway.established == 1)
        let ours = try #require(step.pair.authAnswers.last?.authentication)
        #expect(ours.method == .sharedKey)
        #expect(ours.data == (try step.value(isKeying ? try step.masterSessionKey() : keys.pr, over: try step.gatewayOctets())))
        expectSound(step.pair)
    }

    // MARK: C6, AUTH

    @Test("every single bit of the last AUTH counts", arguments: 0..<256)
    func threat_C6_mutatedBits(_ bit: Int) throws {
        let step = try EAPStep.atFinalAuth(seed: UInt64(bit), isKeying: bit % 4 != 0)
        let keys = try #require(step.pair.client.keys)
        var value = try step.value(bit % 4 != 0 ? try step.masterSessionKey() : keys.pi, over: try step.clientOctets())
        value[bit / 8] ^= 1 << UInt8(bit % 8)
        try step.send(value)
        step.expectRefused("bit \(bit)")
    }

    @Test("AUTH by another key, over other octets, of another method or length keeps the client out (C6, P12, P13, P15)", arguments: 0..<16)
    func threat_P15_wrongAuthentication(_ flaw: Int) throws {
        let isKeying = flaw != 3
        let step = try EAPStep.atFinalAuth(isKeying: isKeying)
        let keys = try #require(step.pair.client.keys)
        let right = isKeying ? try step.masterSessionKey() : keys.pi
        let own = try step.clientOctets()
        switch flaw {
        // What somebody has who relays EAP between client and server, and every other key of this SA.
        case 0: try step.send(try step.value([UInt8](repeating: 0, count: 64), over: own))
        case 1: try step.send(try step.value(keys.pi, over: own))
        case 2: try step.send(try step.value(keys.pr, over: own))
        case 3: try step.send(try step.value(keys.pr, over: own))
        case 4: try step.send(try step.value(Pair.sharedKey, over: own))
        case 5: try step.send(try step.value([UInt8](Pair.userSecret.utf8), over: own))
        case 6: try step.send(try step.value(Array(right.prefix(32)), over: own))
        case 7: try step.send(try step.value([], over: own))
        // Reflection: the gateway's own, from its first response and as its last will be.
        case 8: try step.send(try #require(step.pair.authAnswers.first?.authentication?.data))
        case 9: try step.send(try step.value(right, over: try step.gatewayOctets()))
        // Another IKE SA, and another identity.
        case 10: try step.send(try step.value(right, over: try EAPStep.atFinalAuth(seed: 2).clientOctets()))
        case 11: try step.send(try step.value(right, over: try step.clientOctets(IdentificationPayload(form: "admin@example.org"))))
        case 12: try step.send(try step.value(right, over: own), method: .rsaSignature)
        case 13: try step.send(try step.value(right, over: own), method: .digitalSignature)
        case 14: try step.send([0])
        default: try step.send(try step.value(right, over: own) + [0])
        }
        step.expectRefused("flaw \(flaw)")
    }

    @Test("P15: whoever relays EAP from another NAS has not the MSK")
    func threat_P15_relayed() throws {
        // The client's key is of the conversation it believes in; the server gave ours another.
        let pair = try Pair.eap()
        pair.gateway.aaa.instead = { question, conversation in
            conversation.questions.count < 3 ? nil : .success([3, 102, 0, 4], key: MasterSessionKey([UInt8](repeating: 9, count: 64)))
        }
        pair.connect()
        #expect(pair.client.refusals == [.authenticationFailed])
        #expect(pair.lastEntry?.refusal?.isFailedProof == true)
        expectNobodyIn(pair)
    }

    @Test("AUTH before EAP has succeeded keeps the client out, whatever key it is by (C6)", arguments: [UInt32(2), 3], 0..<3)
    func threat_C6_earlyAuthentication(_ id: UInt32, _ key: Int) throws {
        let step = try EAPStep(before: id, rounds: 3)
        let keys = try #require(step.pair.client.keys)
        try step.send(try step.value([keys.pi, Pair.sharedKey, try step.masterSessionKey()][key], over: try step.clientOctets()))
        step.expectRefused("message \(id), key \(key)")
    }

    @Test("EAP instead of the last AUTH keeps the client out (C6)", arguments: [[2, 101, 0, 6, 255, 1], [3, 101, 0, 4], [1, 101, 0, 5, 1]])
    func threat_C6_eapAfterSuccess(_ packet: [UInt8]) throws {
        let step = try EAPStep.atFinalAuth()
        try step.send([.eap(try #require(EAPPayload(packet)))])
        step.expectRefused("\(packet)", isFailedProof: false)
    }

    @Test("both EAP and AUTH, or neither, is INVALID_SYNTAX and the end (C6)", arguments: [UInt32(2), 3], [true, false])
    func threat_C6_bothOrNeither(_ id: UInt32, _ both: Bool) throws {
        let step = try EAPStep(before: id)
        let packet = try #require(EAPPayload([2, 101, 0, 6, 255, 1]))
        let value = try step.value(try step.masterSessionKey(), over: try step.clientOctets())
        try step.send(both ? [.eap(packet), .authentication(AuthenticationPayload(method: .sharedKey, data: value))] : [])
        #expect(step.pair.authAnswers.last?.notifyTypes == [.invalidSyntax])
        expectNobodyIn(step.pair)
    }

    @Test("an AUTH value in the first request is not passed over where EAP is what was agreed (C6)")
    func threat_C6_authInFirstRequest() throws {
        let pair = try Pair.eap { $0.eap = nil }
        pair.connect()
        #expect(pair.client.refusals == [.authenticationFailed])
        #expect(pair.eapQuestions.isEmpty && pair.lastEntry?.refusal?.isFailedProof == true)
        expectNobodyIn(pair)
    }

    @Test("EAP alone of ours, and a client with an AUTH value: refused (P16)")
    func threat_P16_ownEAPWithAuth() throws {
        let pair = try Pair()
        pair.gateway.credential = { _ in
            .credentials(Credentials(identity: Pair.gatewayIdentity, peer: .sharedKey(Secret(Pair.sharedKey)), own: .eapOnly))
        }
        pair.connect()
        #expect(pair.client.refusals == [.authenticationFailed])
        expectNobodyIn(pair)
    }

    @Test(
        "no other exchange before the last AUTH: dropped, and the login goes on (C6)", arguments: [UInt32(2), 3],
        [ExchangeType.createChildSA, .informational])
    func threat_C6_otherExchange(_ id: UInt32, _ exchange: ExchangeType) throws {
        let step = try EAPStep(before: id)
        let before = step.pair.wire.sent.count
        for payloads: [Payload] in [[], [.delete(DeletePayload(protocolID: .ike, spis: []))], [.notify(NotifyPayload(.initialContact))]] {
            step.pair.inject(try #require(step.pair.client.forge(exchange, payloads, id: id)), origin: .peer)
        }
        #expect(step.pair.entry?.drops[.unexpectedExchange] == 3)
        #expect(step.pair.wire.sent.count == before && step.pair.entry?.stage == "eap")
        step.pair.run(for: .seconds(121))
        expectNobodyIn(step.pair)
    }

    // MARK: C6, success

    @Test(
        "EAP-Success where an EAP-Request should be is no success (C6)",
        arguments: [[3, 101, 0, 4], [2, 101, 0, 6, 255, 1], [4, 1, 0, 4], [], [1, 1, 0, 9, 1]], [0, 1])
    func threat_C6_successInChallenge(_ packet: [UInt8], _ after: Int) throws {
        let pair = try Pair.eap()
        pair.gateway.aaa.instead = { _, conversation in conversation.questions.count > after ? .request(packet) : nil }
        pair.connect()
        #expect(pair.client.closure == .eapFailed)
        #expect(pair.authAnswers.last?.eap?.code == 4)
        #expect(pair.lastEntry?.refusal?.isFailedProof == false)
        expectNobodyIn(pair)
    }

    @Test("accepted without any method, or after nothing but a Nak: refused (C6)", arguments: [0, 1, 2], [true, false])
    func threat_C6_noMethod(_ kind: Int, _ isKeying: Bool) throws {
        let pair = try Pair.eap(profile: Pair.eapProfile { $0.authentication.allowsNonKeyingEAP = true })
        let key = isKeying ? MasterSessionKey([UInt8](repeating: 1, count: 64)) : nil
        pair.gateway.aaa.instead = { question, _ in
            guard question.isFirst, kind > 0 else { return .success([3, 1, 0, 4], key: key) }
            return .request(kind == 1 ? [1, 50, 0, 6, 4, 0] : [1, 50, 0, 6, 2, 0x68])
        }
        pair.connect()
        #expect(pair.client.closure == .eapFailed)
        expectNobodyIn(pair)
    }

    @Test(
        "a method without keys is refused unless the policy allows it, and always with EAP alone (P15, P16)", arguments: [false, true], [false, true])
    func threat_P16_nonKeying(_ allowed: Bool, _ eapOnly: Bool) throws {
        let pair = try Pair.eap(
            profile: Pair.eapProfile { $0.authentication.allowsNonKeyingEAP = allowed },
            own: eapOnly ? .eapOnly : .sharedKey(Secret(Pair.sharedKey)), isKeying: false
        ) { $0.allowsEAPOnly = true }
        pair.connect()
        if allowed, !eapOnly {
            pair.expectEAPLogin()
        } else {
            #expect(pair.client.closure == .eapFailed)
            #expect(pair.lastEntry?.refusal?.isFailedProof == false)
            expectNobodyIn(pair)
        }
    }

    @Test(
        "EAP alone is for methods that prove both sides and withstand a dictionary (P16)", arguments: [4, 6, 17, 26, 254, 255, 13, 21, 55] as [UInt8])
    func threat_P16_methods(_ type: UInt8) throws {
        let pair = try Pair.eap(own: .eapOnly, type: type) { $0.allowsEAPOnly = true }
        pair.connect()
        if [13, 21, 55].contains(type) { return pair.expectEAPLogin() }
        #expect(pair.client.closure == .eapFailed)
        #expect(pair.lastEntry?.refusal?.isFailedProof == false)
        expectNobodyIn(pair)
    }

    @Test("an MSK that is no key is none", arguments: [0, 1, 16, 31, 65, 128])
    func threat_C6_shortKey(_ count: Int) {
        #expect(MasterSessionKey([UInt8](repeating: 1, count: count)) == nil)
    }

    @Test("answers that nobody asked for change nothing (C6)")
    func threat_C6_unaskedAnswers() throws {
        let key = MasterSessionKey([UInt8](repeating: 1, count: 64))
        let step = try EAPStep(before: 2)
        step.pair.feed(.eap(.success([3, 1, 0, 4], key: key)))
        step.pair.feed(.address(.granted(AddressGrant(ipv4: ip("10.9.0.9")))))
        step.pair.feed(.peer(.credentials(.sharedKey(Secret(Pair.sharedKey), identity: Pair.gatewayIdentity))))
        #expect(step.pair.entry?.stage == "eap" && step.pair.gateway.established == 0)
        let final = try EAPStep.atFinalAuth()
        final.pair.feed(.eap(.success([3, 1, 0, 4], key: key)))
        final.pair.feed(.installed(1, true))
        #expect(final.pair.entry?.stage == "eap" && final.pair.gateway.established == 0)
        // And of a client that has a shared key only.
        let plain = try Pair.established()
        plain.feed(.eap(.failure(nil, cause: "", isRejection: true)))
        #expect(plain.entry?.isEstablished == true)
    }

    // MARK: RFC 3748 and P17

    @Test("an EAP packet that is no answer to the last EAP-Request ends the login", arguments: 0..<8)
    func rfc3748_4_1_mismatch(_ flaw: Int) throws {
        let step = try EAPStep(before: 2, rounds: 3)
        let asked = try #require(step.pair.authAnswers.last?.eap)
        let id = asked.identifier
        let packets: [[UInt8]] = [
            // Another identifier, another code, another type.
            [2, id &+ 1, 0, 6, 255, 1], [2, id &- 1, 0, 6, 255, 1], [1, id, 0, 6, 255, 1], [3, id, 0, 4], [4, id, 0, 4],
            [2, id, 0, 6, 26, 1], [2, id, 0, 6, 2, 1], [2, id, 0, 6, 254, 1],
        ]
        try step.send([.eap(try #require(EAPPayload(packets[flaw])))])
        step.expectFailed("\(packets[flaw])")
        #expect(step.pair.eapQuestions.count == 1, "nobody is asked")
    }

    @Test("P17: a second EAP-Response/Identity ends the login, the same or another", arguments: ["anna@example.org", "admin@example.org"])
    func threat_P17_secondIdentity(_ name: String) throws {
        let step = try EAPStep(before: 2, rounds: 3)
        let asked = try #require(step.pair.authAnswers.last?.eap)
        try step.send([.eap(try #require(EAPPayload(.response, identifier: asked.identifier, type: .identity, Array(name.utf8))))])
        step.expectFailed("\(name)")
        #expect(step.pair.eapQuestions.count == 1)
    }

    @Test(
        "P17: asked for its identity again by the server, the client may say the same and nothing else",
        arguments: ["anna@example.org", "admin@example.org"])
    func threat_P17_identityChanges(_ name: String) throws {
        let pair = try Pair.eap()
        pair.gateway.aaa.instead = { question, _ in
            question.isFirst ? .request([1, 60, 0, 5, 1]) : .failure(nil, cause: "enough", isRejection: false)
        }
        pair.client.warrior.tamper = tampering(.ikeAuth) { payloads in
            guard payloads.types == [.eap], let packet = EAPPayload(.response, identifier: 60, type: .identity, Array(name.utf8)) else { return }
            payloads = [.eap(packet)]
        }
        pair.connect()
        let isSame = name == "anna@example.org"
        #expect(pair.eapQuestions.count == (isSame ? 2 : 1))
        #expect(pair.lastEntry?.refusal?.cause == (isSame ? "enough" : "it changed its EAP identity"))
        expectNobodyIn(pair)
    }

    @Test("P17: an EAP identity that differs from IDi is what counts, and IDi is told beside it")
    func threat_P17_anotherIDi() throws {
        let pair = try Pair.eap(profile: Pair.eapProfile(.request), user: "carol") { $0.identity = IdentificationPayload(form: "dave@example.org") }
        pair.gateway.aaa.secrets[Array("dave@example.org".utf8)] = Array("another secret".utf8)
        pair.connect()
        pair.expectEAPLogin()
        #expect(pair.eapQuestions.allSatisfy { $0.identity == Array("carol".utf8) })
        let question = try #require(pair.entry?.questions.first)
        #expect(question.eapIdentity == Array("carol".utf8) && question.peer == IdentificationPayload(form: "dave@example.org"))
    }

    @Test(
        "RAD-1: an EAP identity that no User-Name holds is refused, never cut", arguments: [0, 253, 254, 2000], [IKEPolicy.EAPIdentity.idi, .request])
    func RAD_1_identityLength(_ count: Int, _ policy: IKEPolicy.EAPIdentity) throws {
        guard count > 0 || policy == .request else { return }
        let name = String(repeating: "n", count: count)
        let pair = try Pair.eap(profile: Pair.eapProfile(policy), user: name) {
            if policy == .idi { $0.identity = IdentificationPayload(type: .keyID, data: Array(name.utf8)) }
        }
        pair.connect()
        if count == 253 {
            pair.expectEAPLogin()
        } else {
            #expect(pair.client.closure == .eapFailed)
            #expect(pair.eapQuestions.isEmpty)
            expectNobodyIn(pair)
        }
    }

    @Test("a wrong secret, and a name that nobody knows", arguments: [true, false])
    func wrongSecret(_ known: Bool) throws {
        let pair = try Pair.eap(secret: known ? "guess" : Pair.userSecret)
        if !known { pair.gateway.aaa.secrets = [:] }
        pair.connect()
        #expect(pair.client.closure == .eapFailed)
        #expect(pair.lastEntry?.refusal?.isFailedProof == true)
        expectNobodyIn(pair)
    }

    @Test("messages of the gateway given back to it change nothing (P13)", arguments: 0..<4)
    func threat_P13_reflected(_ index: Int) throws {
        let pair = try Pair.eap()
        pair.client.warrior.tamper = { $0.header.messageID > 3 ? nil : $0 }
        pair.connect()
        let own = pair.wire.sent.filter { !$0.isFromClient }
        let flight = own[index % own.count]
        for _ in 0..<3 { pair.inject(flight.octets, origin: .stranger) }
        #expect(pair.entry?.stage == "eap")
        pair.run(for: .seconds(121))
        expectNobodyIn(pair)
    }

    @Test(
        "a lost or doubled message at each step costs a repetition, and answers are the same octet for octet (P6, I5)", arguments: 0..<5,
        [true, false])
    func threat_P6_eachStep(_ step: Int, _ response: Bool) throws {
        let pair = try Pair.eap(seed: UInt64(step))
        pair.lose { $0.is(.ikeAuth, response: response) && $0.header?.messageID == UInt32(step) }
        pair.start()
        pair.run(for: .seconds(6))
        pair.expectEAPLogin()
        #expect(pair.eapQuestions.count == 3)
        for flight in pair.flights(.ikeAuth, response: false, fromClient: true) {
            pair.inject(flight.octets, remote: flight.remote, port: flight.local.port, origin: .peer)
        }
        #expect(pair.entry?.isEstablished == true && pair.gateway.established == 1 && pair.eapQuestions.count == 3)
        expectSound(pair)
    }
}

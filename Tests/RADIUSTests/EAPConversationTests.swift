import GatewayCrypto
import RADIUS
import Testing
import Wire

/// EAP packets.
enum EAP {
    static func packet(_ code: UInt8, _ identifier: UInt8, _ type: UInt8? = nil, _ data: [UInt8] = []) -> [UInt8] {
        let body = (type.map { [$0] } ?? []) + data
        return [code, identifier, UInt8((body.count + 4) >> 8), UInt8((body.count + 4) & 255)] + body
    }

    static func response(_ identifier: UInt8, _ type: UInt8, _ data: [UInt8] = []) -> [UInt8] { packet(2, identifier, type, data) }
    static func request(_ identifier: UInt8, _ type: UInt8, _ data: [UInt8] = []) -> [UInt8] { packet(1, identifier, type, data) }
    static let identity = response(0, 1, Array("alice".utf8))
}

@Suite("EAP conversations")
final class EAPConversationTests {
    var conversation: EAPConversation

    init() throws {
        try #require(Dictionary.isLoaded)
        conversation = try Self.conversation()
    }

    static func conversation(_ methods: EAPMethodRule = .keying) throws -> EAPConversation {
        EAPConversation(
            try AccessRequest(
                userName: Array("alice".utf8), password: Secret(Array("never sent with EAP".utf8)), identity: AccessRequestTests.identity(),
                included: IncludedAttributes()), methods: methods)
    }

    static let keys: [RADIUSAttribute] = [
        .init(.msMPPERecvKey, [UInt8](repeating: 1, count: 32)), .init(.msMPPESendKey, [UInt8](repeating: 2, count: 32)),
    ]

    /// A reply, through octets.
    func from(_ code: RADIUSCode, _ attributes: [RADIUSAttribute], by server: String = "a") throws -> RADIUSReply {
        RADIUSReply(packet: try decoded(reply(code, attributes)), server: server, requestAuthenticator: vector, roundTrip: .zero)
    }

    func cause(_ verdict: EAPConversation.Verdict) -> String? {
        if case .invalid(let cause) = verdict { cause } else { nil }
    }

    /// Up to the client's answer to a request of the method.
    func begin(_ method: UInt8) throws {
        _ = try conversation.next(EAP.identity)
        guard case .challenge = conversation.read(try from(.accessChallenge, [.init(.eapMessage, EAP.request(1, method)), .init(.state, "s1")]))
        else {
            Issue.record("no challenge")
            return
        }
        _ = try conversation.next(EAP.response(1, method, [9]))
    }

    @Test("RFC 3579: State, User-Name and server stay; keys and EAP-Success with Access-Accept")
    func RFC3579_conversation() throws {
        let first = try conversation.next(EAP.identity)
        #expect(
            first.attributes.map(\.type) == [.userName, .acctSessionID, .serviceType, .nasPortType, .nasIdentifier, .framedMTU, .eapMessage])
        #expect(first.affinity == nil && first.attributes[6].value == EAP.identity)
        let request = EAP.request(1, 26, [7])
        let challenge = try from(.accessChallenge, [.init(.eapMessage, request), .init(.state, "s1")], by: "b")
        guard case .challenge(let octets) = conversation.read(challenge)
        else { throw RADIUSError.truncated }
        #expect(octets == request)
        let second = try conversation.next(EAP.response(1, 26, [8]))
        #expect(second.affinity == "b" && second.attributes.last == .init(.state, "s1") && second.attributes[0] == .init(.userName, "alice"))
        #expect(conversation.methodType == 26)
        // no State in the challenge: none in the next request (RFC 2865 section 5.24)
        guard case .challenge = conversation.read(try from(.accessChallenge, [.init(.eapMessage, EAP.request(2, 26))], by: "b")) else {
            throw RADIUSError.truncated
        }
        #expect(try !conversation.next(EAP.response(2, 26)).attributes.contains { $0.type == .state })
        let accept = try from(.accessAccept, [.init(.userName, "Alice"), .init(.eapMessage, EAP.packet(3, 2))] + Self.keys, by: "b")
        guard case .accepted(let accepted, let eap, let keys) = conversation.read(accept) else { throw RADIUSError.truncated }
        #expect(eap == EAP.packet(3, 2) && accepted.userName == Array("Alice".utf8))
        #expect(try exposed(#require(keys)) == [UInt8](repeating: 1, count: 32) + [UInt8](repeating: 2, count: 32))
        // it is over
        #expect(throws: EAPConversation.Fault.outOfTurn) { try conversation.next(EAP.response(3, 26)) }
        #expect(cause(conversation.read(accept)) == "a reply to no request")
    }

    @Test("threat_C6: EAP-Success inside an Access-Challenge is no success", arguments: [3, 4, 2] as [UInt8])
    func threat_C6_successInChallenge(code: UInt8) throws {
        try begin(26)
        let octets = code == 2 ? EAP.response(1, 26) : EAP.packet(code, 1)
        let verdict = conversation.read(try from(.accessChallenge, [.init(.eapMessage, octets), .init(.state, "s")] + Self.keys))
        #expect(cause(verdict)?.hasPrefix("Access-Challenge with EAP-") == true)
        #expect(throws: EAPConversation.Fault.outOfTurn) { try conversation.next(EAP.response(1, 26)) }
    }

    @Test(
        "threat_C6: Access-Accept without keys for a method that derives one",
        arguments: zip([13, 21, 25, 26, 254, 99] as [UInt8], ["EAP-TLS", "EAP-TTLS", "PEAP", "EAP-MSCHAPv2", "EAP type 254", "EAP type 99"]))
    func threat_C6_withoutKeys(method: UInt8, name: String) throws {
        let data: [UInt8] = method == 254 ? [0, 0, 9, 0, 0, 0, 1] : []
        _ = try conversation.next(EAP.identity)
        _ = conversation.read(try from(.accessChallenge, [.init(.eapMessage, EAP.request(1, method, data)), .init(.state, "s1")]))
        _ = try conversation.next(EAP.response(1, method, data))
        let verdict = conversation.read(try from(.accessAccept, [.init(.eapMessage, EAP.packet(3, 1))]))
        #expect(cause(verdict) == "Access-Accept without MS-MPPE keys after \(name)")
    }

    @Test("AUTH-6, threat_P15: a method without a key only where the policy says so; the client may decline it", arguments: [4, 5, 6] as [UInt8])
    func AUTH_6_nonKeying(method: UInt8) throws {
        #expect(throws: EAPConversation.Fault.methodNotAllowed(UInt32(method))) { try begin(method) }
        conversation = try Self.conversation(.any)
        try begin(method)
        guard case .accepted(_, _, nil) = conversation.read(try from(.accessAccept, [.init(.eapMessage, EAP.packet(3, 1))] + Self.keys)) else {
            Issue.record("not accepted without a key")
            return
        }
        // FreeRADIUS begins with MD5; a client that wants better says so
        conversation = try Self.conversation()
        _ = try conversation.next(EAP.identity)
        _ = conversation.read(try from(.accessChallenge, [.init(.eapMessage, EAP.request(1, method)), .init(.state, "s1")]))
        _ = try conversation.next(EAP.response(1, 3, [26]))
        _ = conversation.read(try from(.accessChallenge, [.init(.eapMessage, EAP.request(2, 26)), .init(.state, "s2")]))
        _ = try conversation.next(EAP.response(2, 26))
        guard case .accepted(_, _, .some) = conversation.read(try from(.accessAccept, Self.keys)) else {
            Issue.record("not accepted")
            return
        }
    }

    @Test("an expanded type of the IETF's own is the type it stands for (RFC 3748 section 5.7)")
    func AUTH_6_expandedMD5() throws {
        let data: [UInt8] = [0, 0, 0, 0, 0, 0, 4]
        _ = try conversation.next(EAP.identity)
        _ = conversation.read(try from(.accessChallenge, [.init(.eapMessage, EAP.request(1, 254, data))]))
        #expect(throws: EAPConversation.Fault.methodNotAllowed(4)) { try conversation.next(EAP.response(1, 254, data)) }
    }

    @Test(
        "threat_P16: EAP-only takes methods that authenticate the server and resist dictionaries",
        arguments: [(4, false), (6, false), (26, false), (13, true), (21, true), (25, true)])
    func threat_P16_eapOnly(method: UInt8, isAllowed: Bool) throws {
        conversation = try Self.conversation(.mutual)
        if isAllowed {
            try begin(method)
        } else {
            #expect(throws: EAPConversation.Fault.methodNotAllowed(UInt32(method))) { try begin(method) }
        }
    }

    @Test("Access-Accept before any method: only where a method without a key would do", arguments: [EAPMethodRule.keying, .mutual, .any])
    func AUTH_6_noMethod(rule: EAPMethodRule) throws {
        conversation = try Self.conversation(rule)
        _ = try conversation.next(EAP.identity)
        let verdict = conversation.read(try from(.accessAccept, [.init(.eapMessage, EAP.packet(3, 0))] + Self.keys))
        #expect((cause(verdict) == nil) == (rule == .any))
    }

    @Test("RAD-12: Accept or Reject decides over the EAP code inside", arguments: [EAP.packet(4, 1), EAP.request(2, 26), [1, 2], []])
    func RAD_12_codeInside(inside: [UInt8]) throws {
        let message: [RADIUSAttribute] = inside.isEmpty ? [] : [.init(.eapMessage, inside)]
        try begin(26)
        guard case .accepted(_, let eap, .some) = conversation.read(try from(.accessAccept, message + Self.keys)) else {
            Issue.record("not accepted")
            return
        }
        #expect(eap == EAP.packet(3, 1))
        conversation = try Self.conversation()
        try begin(26)
        let reject = try from(.accessReject, message + [.init(.replyMessage, "no"), .init(.replyMessage, "way")])
        guard case .rejected(let failure, let text) = conversation.read(reject) else {
            Issue.record("not rejected")
            return
        }
        #expect(failure == (inside == EAP.packet(4, 1) ? inside : nil) && text == "no way")
    }

    @Test("EAP-Success in an Access-Reject is no success")
    func threat_C6_successInReject() throws {
        try begin(26)
        guard case .rejected(nil, nil) = conversation.read(try from(.accessReject, [.init(.eapMessage, EAP.packet(3, 1))] + Self.keys)) else {
            Issue.record("not rejected")
            return
        }
    }

    @Test("challenges that make no sense, and an Accept that cannot be followed, end the login")
    func invalidReplies() throws {
        let request = EAP.request(2, 26)
        for (code, attributes, expected) in [
            (.accessChallenge, [.init(.state, "s")], "Access-Challenge without a valid EAP-Message"),
            (.accessChallenge, [.init(.eapMessage, [1, 2, 0, 9, 26])], "Access-Challenge without a valid EAP-Message"),
            (.accessChallenge, [.init(.eapMessage, [1, 2, 0, 4])], "Access-Challenge without a valid EAP-Message"),
            (
                .accessChallenge, [.init(.eapMessage, request), .init(.state, "1"), .init(.eapMessage, request)],
                "Access-Challenge without a valid EAP-Message"
            ),
            (.accessChallenge, [.init(.eapMessage, request), .init(.state, "1"), .init(.state, "2")], "Access-Challenge with 2 State attributes"),
            (.accessAccept, [.init(.sessionTimeout, 0)] + Self.keys, "Access-Accept: Session-Timeout 0 is outside of 1 to 4294967295"),
        ] as [(RADIUSCode, [RADIUSAttribute], String)] {
            conversation = try Self.conversation()
            try begin(26)
            #expect(cause(conversation.read(try from(code, attributes))) == expected)
        }
    }

    @Test(
        "threat_P17, threat_C1: what a client may not say",
        arguments: [
            ("no octets", [], .malformed), ("a request", EAP.request(1, 26), .malformed), ("success", EAP.packet(3, 1), .malformed),
            ("length too long", [2, 1, 0, 9, 26], .malformed), ("length too short", [2, 1, 0, 5, 26, 0], .malformed),
            ("no type", [2, 1, 0, 4], .malformed),
            ("expanded, cut off", [2, 1, 0, 8, 254, 0, 0, 0], .malformed),
            ("too long", EAP.response(1, 26, [UInt8](repeating: 0, count: 3000)), .tooLong),
            ("another identifier", EAP.response(2, 26), .unexpectedIdentifier),
            ("an identity, unasked", EAP.response(1, 1, Array("alice".utf8)), .unexpectedIdentity),
            ("another identity", EAP.response(1, 1, Array("dave".utf8)), .unexpectedIdentity),
        ] as [(String, [UInt8], EAPConversation.Fault)])
    func threat_P17_faults(name: String, message: [UInt8], fault: EAPConversation.Fault) throws {
        _ = try conversation.next(EAP.identity)
        _ = conversation.read(try from(.accessChallenge, [.init(.eapMessage, EAP.request(1, 26)), .init(.state, "s1")]))
        #expect(throws: fault) { try conversation.next(message) }
    }

    @Test("threat_P17: an identity asked for again must be the first one")
    func threat_P17_identityAgain() throws {
        #expect(throws: EAPConversation.Fault.unexpectedIdentity) { try conversation.next(EAP.response(0, 1, Array("dave".utf8))) }
        #expect(throws: EAPConversation.Fault.outOfTurn) { try conversation.next(EAP.response(0, 26)) }
        _ = try conversation.next(EAP.identity)
        #expect(throws: EAPConversation.Fault.outOfTurn) { try conversation.next(EAP.identity) }
        _ = conversation.read(try from(.accessChallenge, [.init(.eapMessage, EAP.request(5, 1))]))
        #expect(throws: EAPConversation.Fault.unexpectedIdentity) { try conversation.next(EAP.response(5, 1, Array("dave".utf8))) }
        #expect(try conversation.next(EAP.response(5, 1, Array("alice".utf8))).attributes[0] == .init(.userName, "alice"))
    }

    @Test("rounds end")
    func rounds() throws {
        try begin(13)
        var count = 2
        while count < EAPConversation.maximumRounds {
            let identifier = UInt8(truncatingIfNeeded: count)
            _ = conversation.read(try from(.accessChallenge, [.init(.eapMessage, EAP.request(identifier, 13))]))
            _ = try conversation.next(EAP.response(identifier, 13))
            count += 1
        }
        _ = conversation.read(try from(.accessChallenge, [.init(.eapMessage, EAP.request(0, 13))]))
        #expect(throws: EAPConversation.Fault.tooManyRounds) { try conversation.next(EAP.response(0, 13)) }
    }
}

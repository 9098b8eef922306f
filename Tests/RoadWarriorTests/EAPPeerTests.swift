import GatewayCrypto
import GatewayTesting
import IKEMessages
import RoadWarrior
import Testing
import Wire

@testable import RoadWarrior

/// Client and server with nothing between them.
struct EAPConversation {
    var peer: EAPPeer
    let server: EAPServer
    var requests: [[UInt8]] = []
    var end: EAPServer.Step?

    init(
        _ method: EAPPeer.Kind, user: String = "anna@example.org", password: String = "anna's password", kinds: [EAPPeer.Kind] = EAPPeer.Kind.allCases
    ) {
        server = EAPServer(method)
        peer = EAPPeer(identity: Array(user.utf8), password: Secret(Array(password.utf8)), kinds: kinds, entropy: SeededEntropy(seed: 3))
    }

    /// To the end, or to where the client has no answer.
    mutating func run(answers: Int = 20) throws {
        var request = requests.isEmpty ? server.begin() : requests[requests.count - 1]
        for _ in 0..<answers {
            requests.append(request)
            guard let response = peer.respond(to: request) else { return }
            let step = try server.answer(response)
            guard case .request(let next) = step else {
                end = step
                return
            }
            request = next
        }
        requests.append(request)
    }
}

@Suite("EAP with a password: RFC 3748, RFC 2759, RFC 3079, draft-kamath-pppext-eap-mschapv2")
struct EAPPeerTests {
    static let name = Array("User".utf8)
    static let secret = Array("clientPass".utf8)
    static func hex(_ text: String) throws -> [UInt8] { try #require([UInt8](hexadecimal: text)) }

    static func proof(_ name: [UInt8] = name, _ password: [UInt8] = secret) throws -> MSCHAPv2Proof {
        try MSCHAPv2Proof(
            challenge: hex("5b5d7c7d7b3f2f3e3c2c602132262628"), peerChallenge: hex("21402324255e262a28295f2b3a337c7e"), name: name,
            password: password)
    }

    @Test("RFC 2759 section 9.2, RFC 3079 section 3.5.3: the vectors; a domain before the name changes nothing", arguments: ["User", "BIGCO\\User"])
    func RFC2759_9_2_RFC3079_3_5_3(_ name: String) throws {
        let proof = try Self.proof(Array(name.utf8))
        #expect(try MSCHAPv2Proof.passwordHash(Self.secret) == Self.hex("44ebba8d5312b8d611474411f56989ae"))
        #expect(try proof.response == Self.hex("82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df"))
        #expect(try proof.authenticatorResponse == Self.hex("407a5589115fd0d6209f510fe9c04566932cda56"))
        #expect(try proof.masterKey == Self.hex("fdece3717a8c838cb388e527ae3cdd31"))
        // SendStartKey128 of the RFC is the server's, and so what the client receives by; it stands second in the MSK.
        #expect(try MSCHAPv2Proof.startKey(proof.masterKey, MSCHAPv2Proof.clientReceives) == Self.hex("8b7cdc149b993a1ba118cb153f56dccb"))
        #expect(try Array(proof.masterSessionKey[16..<32]) == Self.hex("8b7cdc149b993a1ba118cb153f56dccb"))
        #expect(Array(proof.masterSessionKey[..<16]) == MSCHAPv2Proof.startKey(proof.masterKey, MSCHAPv2Proof.clientSends))
        #expect(proof.masterSessionKey.count == 64 && proof.masterSessionKey[32...].allSatisfy { $0 == 0 })
    }

    @Test("RFC 2759 section 8.3: a password is hashed as UTF-16, beyond ASCII and beyond the first plane too")
    func RFC2759_8_3_utf16() throws {
        let expected = try Digest.md4([0xe4, 0, 0x3d, 0xd8, 0x12, 0xdd, 0xac, 0x20])
        #expect(try MSCHAPv2Proof.passwordHash(Array("ä\u{1f512}€".utf8)) == expected)
        #expect(throws: CryptoError.badLength) {
            _ = try MSCHAPv2Proof(challenge: [1], peerChallenge: [UInt8](repeating: 0, count: 16), name: [], password: [])
        }
    }

    @Test("every method, with its key; a request that comes again gets the same response", arguments: EAPPeer.Kind.allCases)
    func everyMethod(_ kind: EAPPeer.Kind) throws {
        var conversation = EAPConversation(kind)
        try conversation.run()
        guard case .success(_, let key) = conversation.end else {
            Issue.record("\(String(describing: conversation.end)), \(String(describing: conversation.peer.fault))")
            return
        }
        #expect(conversation.peer.acceptsSuccess)
        #expect(conversation.peer.masterSessionKey == key)
        #expect((key != nil) == (kind == .mschapv2))
        let last = try #require(conversation.requests.last)
        #expect(conversation.peer.respond(to: last) == conversation.server.responses.last?.octets)
        // What is new after the end is not answered.
        var other = last
        other[1] &+= 1
        #expect(conversation.peer.respond(to: other) == nil && conversation.peer.fault == .unexpected)
        #expect(!conversation.peer.acceptsSuccess)
    }

    @Test("a wrong password: no success is believed afterwards", arguments: EAPPeer.Kind.allCases)
    func wrongPassword(_ kind: EAPPeer.Kind) throws {
        var conversation = EAPConversation(kind, password: "another password")
        try conversation.run()
        guard case .failure = conversation.end else {
            Issue.record("\(String(describing: conversation.end))")
            return
        }
        #expect(conversation.peer.masterSessionKey == nil && conversation.peer.fault == nil)
        #expect(!conversation.peer.acceptsSuccess || kind != .mschapv2)
    }

    @Test("RFC 3748 sections 5.2, 5.3.1: notifications are heard, other methods declined until one of ours comes")
    func RFC3748_5_nakAndNotification() throws {
        var conversation = EAPConversation(.mschapv2, kinds: [.mschapv2, .gtc])
        conversation.server.openings = [2, 4, 13, 254]
        try conversation.run()
        #expect(conversation.peer.acceptsSuccess)
        let answers = conversation.server.responses.map { Array($0.octets.dropFirst(4)) }
        #expect(answers[1...4].map { $0 } == [[2], [3, 26, 6], [3, 26, 6], [3, 26, 6]])
        let responses = conversation.server.responses
        #expect(zip(conversation.requests, responses).allSatisfy { $0[1] == $1.identifier })

        var endless = EAPConversation(.mschapv2)
        endless.server.openings = [13, 21, 25, 43]
        try endless.run()
        #expect(endless.peer.fault == .noCommonMethod && endless.end == nil)
        var unused = EAPConversation(.gtc, kinds: [.mschapv2])
        try unused.run()
        #expect(unused.server.responses.last.map { Array($0.octets.dropFirst(4)) } == [3, 26], "the password stays with us")
    }

    // MARK: hostile servers

    enum Stage: CaseIterable { case idle, answered, done }

    static func at(_ stage: Stage, kinds: [EAPPeer.Kind] = EAPPeer.Kind.allCases) throws -> EAPConversation {
        var conversation = EAPConversation(.mschapv2, kinds: kinds)
        try conversation.run(answers: stage == .idle ? 1 : stage == .answered ? 2 : 3)
        #expect(conversation.peer.fault == nil)
        return conversation
    }

    static let challenge = EAPServer.message(1, 9, [16] + [UInt8](repeating: 7, count: 16) + Array("x".utf8))

    static let hostile: [(Stage, [UInt8], EAPMethodFault)] = {
        func method(_ data: [UInt8]) -> [UInt8] { EAPServer.packet(200, 26, data) }
        func success(_ text: String) -> [UInt8] { method(EAPServer.message(3, 77, Array(text.utf8))) }
        let digits = String(repeating: "0", count: 40)
        return [
            (.idle, [], .malformed), (.idle, [1, 2, 0, 4], .malformed), (.idle, [1, 2, 0, 9, 26], .malformed),
            (.idle, [2, 2, 0, 5, 1], .malformed), (.idle, [3, 2, 0, 4], .malformed), (.idle, [4, 2, 0, 4], .malformed),
            (.idle, EAPServer.packet(1, 3, [26]), .unexpected), (.idle, method([]), .malformed), (.idle, method([1, 9]), .malformed),
            (.idle, method([1, 9, 0, 4]), .malformed), (.idle, method([1, 9, 0, 22] + challenge.dropFirst(4).dropLast()), .malformed),
            (.idle, method(challenge + [0]), .malformed), (.idle, method(Array(challenge.dropLast())), .malformed),
            (.idle, method(EAPServer.message(1, 9, [15] + [UInt8](repeating: 7, count: 15))), .malformed),
            (.idle, method(EAPServer.message(1, 9, [17] + [UInt8](repeating: 7, count: 17))), .malformed),
            (.idle, method(EAPServer.message(1, 9, [16] + [UInt8](repeating: 7, count: 15))), .malformed),
            (.idle, method(EAPServer.message(2, 9, [])), .unexpected), (.idle, method(EAPServer.message(0, 9, [])), .unexpected),
            (.idle, method(EAPServer.message(4, 9, [])), .unexpected), (.idle, success("S=" + digits), .unexpected),
            (.idle, EAPServer.packet(1, 4, []), .malformed), (.idle, EAPServer.packet(1, 4, [0]), .malformed),
            (.idle, EAPServer.packet(1, 4, [5, 1, 2, 3, 4]), .malformed),
            (.answered, method(challenge), .unexpected), (.answered, success("S=" + digits), .serverNotAuthenticated),
            (.answered, success("S=" + digits + " M=Hello"), .serverNotAuthenticated), (.answered, success(""), .malformed),
            (.answered, success("S="), .malformed), (.answered, success("M=Hello"), .malformed),
            (.answered, success("S=" + digits.dropLast()), .malformed), (.answered, success("S=" + digits + "0"), .malformed),
            (.answered, success("S=" + digits.dropLast() + "g"), .malformed), (.answered, success("s=" + digits), .malformed),
            (.answered, EAPServer.packet(200, 1, []), .unexpected), (.answered, EAPServer.packet(200, 4, [1, 1]), .unexpected),
            (.answered, EAPServer.packet(200, 6, []), .unexpected), (.answered, EAPServer.packet(200, 13, [0x20]), .unexpected),
            (.done, method(challenge), .unexpected), (.done, EAPServer.packet(200, 1, []), .unexpected),
            (.done, success("S=" + digits), .unexpected), (.done, EAPServer.packet(200, 6, []), .unexpected),
        ]
    }()

    @Test("C1, C6, P17: a hostile request ends the conversation, and nothing mends it", arguments: hostile.indices)
    func threat_C6_hostileRequests(_ index: Int) throws {
        let (stage, request, fault) = Self.hostile[index]
        var conversation = try Self.at(stage)
        #expect(conversation.peer.acceptsSuccess == (stage == .done))
        #expect(conversation.peer.respond(to: request) == nil)
        #expect(conversation.peer.fault == fault)
        #expect(!conversation.peer.acceptsSuccess)
        #expect(conversation.peer.respond(to: try #require(conversation.requests.last)) == nil)
    }

    @Test("C6: every bit of the authenticator response counts", arguments: 0..<160)
    func threat_C6_everyBitOfTheServersProof(_ bit: Int) throws {
        var conversation = try Self.at(.answered)
        var request = try #require(conversation.requests.last)
        // Code, identifier, length, type; op code, number, length; S=
        let digit = 11 + bit / 4
        let value = try #require(Character(UnicodeScalar(request[digit])).hexDigitValue) ^ (1 << (bit % 4))
        request[digit] = Array("0123456789ABCDEF".utf8)[value]
        #expect(conversation.peer.respond(to: request) == nil && conversation.peer.fault == .serverNotAuthenticated)
        #expect(conversation.peer.masterSessionKey == nil && !conversation.peer.acceptsSuccess)
    }

    @Test("C6: a server that does not know the password is not believed")
    func threat_C6_impostor() throws {
        var conversation = EAPConversation(.mschapv2)
        conversation.server.isImpostor = true
        try conversation.run()
        #expect(conversation.peer.fault == .serverNotAuthenticated && conversation.end == nil)
    }

    @Test("C1: changed requests are answered or refused, and make no success", arguments: Stage.allCases)
    func threat_C1_changedRequests(_ stage: Stage) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        for round in 0..<3000 {
            // No other method: a changed type octet would begin one, and rightly.
            var conversation = try Self.at(stage == .done ? .answered : stage, kinds: [.mschapv2])
            let original = try #require(conversation.requests.last)
            var request = original
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: if !request.isEmpty { request.removeLast(Int.random(in: 1...request.count, using: &generator)) }
                case 1: request += [UInt8](repeating: UInt8.random(in: 0...255, using: &generator), count: Int.random(in: 1...300, using: &generator))
                default:
                    guard !request.isEmpty else { continue }
                    request[Int.random(in: 0..<request.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
                }
                // The outer length right, so that the method sees what is left.
                if stage == .done, request.count > 4 { request.patch(bigEndian: UInt16(request.count), at: 2) }
            }
            let response = conversation.peer.respond(to: request)
            #expect((response == nil) == (conversation.peer.fault != nil), "seed \(seed), round \(round), \(request.hexadecimal)")
            // Digits in the other case, another identifier and other words behind M= are still the server's proof.
            let same = request.count >= 51 && request[11..<51].map { $0 | 0x20 } == original.dropFirst(11).prefix(40).map { $0 | 0x20 }
            #expect(!conversation.peer.acceptsSuccess || same, "seed \(seed), round \(round), \(request.hexadecimal)")
        }
    }
}

import GatewayCrypto
import GatewayTesting
import IKE
import IKEMessages
import RoadWarrior
import Testing
import Wire

/// Logins by EAP with a password: against the gateway's machine in memory with a server of EAP behind it, and against gateways that lie.
@Suite("Logins by EAP with a password: RFC 7296 section 2.16, RFC 5998")
struct EAPPasswordLoginTests {
    struct Login {
        let pair: Pair
        let server: EAPServer

        init(
            _ kind: EAPPeer.Kind, user: String = "anna@example.org", password: String = "anna's password",
            identity: String = "laptop.example.org", asks: Bool = true, kinds: [EAPPeer.Kind] = EAPPeer.Kind.allCases,
            settings change: (inout RoadWarrior.Settings) -> Void = { _ in }
        ) throws {
            let server = EAPServer(kind)
            let profile = Pair.profile {
                $0.policy.authentication.eapIdentity = asks ? .request : .auto
                $0.policy.authentication.allowsNonKeyingEAP = kind != .mschapv2
            }
            pair = try Pair.eap(profile: profile) { settings in
                settings.identity = IdentificationPayload(form: identity)
                settings.eap = EAPPeer(
                    identity: Array(user.utf8), password: Secret(Array(password.utf8)), kinds: kinds, entropy: SeededEntropy(seed: 5))
                change(&settings)
            }
            self.server = server
            pair.gateway.aaa.instead = { question, _ in
                do {
                    switch try server.answer(question.message) {
                    case .request(let octets): return .request(octets)
                    case .success(let octets, let key): return .success(octets, key: key.flatMap { MasterSessionKey($0) })
                    case .failure(let octets): return .failure(octets, cause: "Access-Reject", isRejection: true)
                    }
                } catch {
                    return .failure(nil, cause: "\(error)", isRejection: false)
                }
            }
        }
    }

    @Test("AUTH-4, X-1: every method, the name asked for or taken from IDi", arguments: EAPPeer.Kind.allCases, [true, false])
    func AUTH_4_everyMethod(_ kind: EAPPeer.Kind, _ asks: Bool) throws {
        let login = try Login(kind, identity: asks ? "laptop.example.org" : "anna@example.org", asks: asks)
        login.pair.connect()
        #expect(login.pair.client.isEstablished && login.pair.client.childSA != nil, "\(login.pair.client.events)")
        #expect(login.pair.entry?.questions.first?.eapIdentity == Array("anna@example.org".utf8))
        #expect(login.server.identity == Array("anna@example.org".utf8))
        #expect(login.pair.checkNow().isEmpty)
    }

    @Test("AUTH-4: a wrong password is a refusal by EAP-Failure, counted as such", arguments: EAPPeer.Kind.allCases)
    func AUTH_4_wrongPassword(_ kind: EAPPeer.Kind) throws {
        let login = try Login(kind, password: "another")
        login.pair.connect()
        #expect(login.pair.client.closure == .eapFailed && login.pair.client.closure?.kind == "refused: EAP-Failure")
        #expect(login.pair.lastEntry?.refusal?.isFailedProof == true)
        #expect(login.pair.client.childSA == nil)
    }

    @Test("a gateway without a method of ours refuses us, and hears no password")
    func noCommonMethod() throws {
        let login = try Login(.gtc, kinds: [.mschapv2])
        login.pair.connect()
        #expect(login.pair.client.closure == .eapFailed)
        #expect(login.server.responses.allSatisfy { $0.type != 6 })
    }

    @Test("C6: an EAP server that does not know our password: the gateway is told and left")
    func threat_C6_impostor() throws {
        let login = try Login(.mschapv2)
        login.server.isImpostor = true
        login.pair.connect()
        guard case .responderNotAuthenticated(let why)? = login.pair.client.closure else {
            Issue.record("\(login.pair.client.events)")
            return
        }
        #expect(why.contains("does not know our password"))
        #expect(login.pair.client.closure?.kind == "gateway not authenticated")
    }

    @Test("P15: a gateway that relays EAP, and has not the MSK, is refused by both sides")
    func threat_P15_anotherKey() throws {
        let login = try Login(.mschapv2)
        let honest = login.pair.gateway.aaa.instead
        login.pair.gateway.aaa.instead = { question, conversation in
            guard case .success(let octets, _)? = honest(question, conversation) else { return honest(question, conversation) }
            return .success(octets, key: MasterSessionKey([UInt8](repeating: 3, count: 64)))
        }
        login.pair.connect()
        #expect(login.pair.client.refusals == [.authenticationFailed])
        #expect(login.pair.client.closure?.kind == "refused: AUTHENTICATION_FAILED")
    }

    // MARK: gateways that lie

    static func settings(_ change: @escaping (inout RoadWarrior.Settings) -> Void = { _ in }) -> (inout RoadWarrior.Settings) -> Void {
        { settings in
            settings.eap = EAPPeer(
                identity: Array("anna".utf8), password: Secret(Array("secret".utf8)), kinds: EAPPeer.Kind.allCases, entropy: SeededEntropy(seed: 1))
            change(&settings)
        }
    }

    static let identityRequest: [UInt8] = [1, 1, 0, 5, 1]

    func expectDistrusted(_ pair: Pairing, _ words: String, sourceLocation: SourceLocation = #_sourceLocation) {
        guard case .responderNotAuthenticated(let why)? = pair.closure else {
            Issue.record("\(String(describing: pair.closure))", sourceLocation: sourceLocation)
            return
        }
        #expect(why.contains(words), "\(why)", sourceLocation: sourceLocation)
        #expect(pair.established == nil && pair.child == nil, sourceLocation: sourceLocation)
        #expect(pair.gateway.opened.last?.1 == [.notify(NotifyPayload(.authenticationFailed))], sourceLocation: sourceLocation)
    }

    /// No EAP-Response left us.
    func expectSilent(_ pair: Pairing, sourceLocation: SourceLocation = #_sourceLocation) {
        let answered = pair.gateway.opened.contains { $0.1.contains { if case .eap = $0 { true } else { false } } }
        #expect(!answered, sourceLocation: sourceLocation)
    }

    @Test("P15: the gateway proves itself before our first EAP-Response, or hears none", arguments: ["no AUTH", "wrong AUTH", "another name"])
    func threat_P15_gatewayFirst(_ flaw: String) throws {
        var script = ScriptedGateway.Script()
        script.eap = [Self.identityRequest]
        switch flaw {
        case "no AUTH": script.provesBeforeEAP = false
        case "wrong AUTH": script.spoilAuth = true
        default: script.identity = IdentificationPayload(form: "other.example.org")
        }
        let pair = Pairing(script, Self.settings { $0.allowsEAPOnly = flaw != "no AUTH" })
        try pair.connect()
        expectDistrusted(pair, flaw == "no AUTH" ? "no AUTH" : flaw == "wrong AUTH" ? "AUTH value is wrong" : "other.example.org")
        expectSilent(pair)
    }

    @Test("P16: another name is not taken where EAP alone is to prove the gateway")
    func threat_P16_anotherName() throws {
        var script = ScriptedGateway.Script()
        script.eap = [Self.identityRequest]
        script.provesBeforeEAP = false
        script.identity = IdentificationPayload(form: "other.example.org")
        let pair = Pairing(script, Self.settings { $0.allowsEAPOnly = true })
        try pair.connect()
        expectDistrusted(pair, "other.example.org")
        expectSilent(pair)
    }

    @Test("C6: EAP-Success before a method came to its end is not believed, proved gateway or not", arguments: [true, false], 0..<4)
    func threat_C6_earlySuccess(_ proves: Bool, _ after: Int) throws {
        let steps: [[UInt8]] = [
            Self.identityRequest, EAPServer.packet(2, 13, [0x20]),
            EAPServer.packet(3, 26, EAPServer.message(1, 3, [16] + [UInt8](repeating: 1, count: 16))),
        ]
        var script = ScriptedGateway.Script()
        script.eap = steps.prefix(after) + [[3, 9, 0, 4]]
        script.provesBeforeEAP = proves
        let pair = Pairing(script, Self.settings { $0.allowsEAPOnly = !proves })
        try pair.connect()
        expectDistrusted(pair, "before the method came to its end")
        #expect(!pair.gateway.clientProved)
    }

    @Test("P16: a method without a key proves no gateway; with one that proved itself before, SK_p serves", arguments: [true, false])
    func threat_P16_noKey(_ proves: Bool) throws {
        var script = ScriptedGateway.Script()
        script.eap = [Self.identityRequest, EAPServer.packet(2, 4, [1, 7]), [3, 2, 0, 4]]
        script.provesBeforeEAP = proves
        let pair = Pairing(script, Self.settings { $0.allowsEAPOnly = !proves })
        try pair.connect()
        guard proves else { return expectDistrusted(pair, "EAP made no key") }
        #expect(pair.established != nil && pair.child != nil && pair.gateway.clientProved, "\(String(describing: pair.closure))")
    }

    @Test("P15: the last AUTH counts: by another key, by none or spoilt it is not believed", arguments: ["another key", "none", "spoilt"])
    func threat_P15_lastAuthentication(_ flaw: String) throws {
        var script = ScriptedGateway.Script()
        script.eap = [Self.identityRequest, EAPServer.packet(2, 4, [1, 7]), [3, 2, 0, 4]]
        switch flaw {
        case "another key": script.eapKey = [1, 2, 3]
        case "none": script.eapKey = []
        default: script.spoilLastAuth = true
        }
        let pair = Pairing(script, Self.settings())
        try pair.connect()
        expectDistrusted(pair, "AUTH value is wrong")
    }

    @Test("C1: a request without an answer is a violation, with a cause to count by")
    func threat_C1_violations() throws {
        for (packet, words) in [
            (EAPServer.packet(2, 26, [1]), "a malformed EAP-Request"), (EAPServer.packet(2, 3, [4]), "an EAP-Request out of turn"),
        ] {
            var script = ScriptedGateway.Script()
            script.eap = [Self.identityRequest, packet]
            let pair = Pairing(script, Self.settings())
            try pair.connect()
            #expect(pair.closure?.kind == "protocol violation: \(words)")
        }
        var endless = ScriptedGateway.Script()
        endless.eap = (0..<250).map { [1, UInt8(truncatingIfNeeded: $0), 0, 5, 2] }
        let pair = Pairing(endless, Self.settings())
        try pair.connect()
        #expect(pair.closure == .violation("EAP without an end"))
        var other = ScriptedGateway.Script()
        other.eap = [EAPServer.packet(2, 13, []), EAPServer.packet(3, 21, []), EAPServer.packet(4, 25, []), EAPServer.packet(5, 43, [])]
        let stranger = Pairing(other, Self.settings())
        try stranger.connect()
        #expect(stranger.closure == .violation("it knows no EAP method that we may use"))
    }

    @Test("a gateway that goes silent in the middle of EAP is no answer to IKE_AUTH")
    func silence() throws {
        var script = ScriptedGateway.Script()
        script.eap = [Self.identityRequest, EAPServer.packet(2, 4, [1, 7]), [3, 2, 0, 4]]
        let pair = Pairing(script, Self.settings())
        pair.lost = Set(2..<100)
        try pair.connect()
        for _ in 0..<20 where pair.closure == nil { _ = pair.strike() }
        #expect(pair.closure?.kind == "no answer to IKE_AUTH")
    }
}

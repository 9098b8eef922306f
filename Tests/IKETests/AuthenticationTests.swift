import GatewayTesting
import IKE
import IKEMessages
import RoadWarrior
import Testing
import Wire

@Suite("IKE_AUTH with a shared key: RFC 7296 section 2.15")
struct AuthenticationTests {
    static let identities: [IdentificationPayload] = [
        IdentificationPayload(type: .fqdn, data: [UInt8]("laptop.example.org".utf8)),
        IdentificationPayload(type: .rfc822Address, data: [UInt8]("anna@example.org".utf8)),
        IdentificationPayload(type: .ipv4Address, data: [10, 0, 0, 7]),
        IdentificationPayload(type: .ipv6Address, data: [UInt8](repeating: 0x20, count: 16)),
        IdentificationPayload(type: .keyID, data: [0, 1, 2, 0xff]),
        IdentificationPayload(type: .derASN1DN, data: [0x30, 0x0d, 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03, 0x55, 0x04, 0x06, 0x13, 0x02, 0x44, 0x45]),
        IdentificationPayload(type: .derASN1GN, data: [0x82, 0x01, 0x61]),
        IdentificationPayload(type: IDType(rawValue: 200), data: [1]),
    ]

    @Test("every ID type arrives as it was sent", arguments: identities)
    func identity(_ identity: IdentificationPayload) throws {
        let pair = try Pair { $0.identity = identity }
        var asked: PeerQuestion?
        let answer = pair.gateway.credential
        pair.gateway.credential = {
            asked = $0
            return answer($0)
        }
        pair.connect()
        #expect(pair.client.isEstablished)
        #expect(asked?.identity == identity)
        #expect(asked?.method == .sharedKey)
        #expect(asked?.wantedIdentity == Pair.gatewayIdentity)
        #expect(pair.entry?.establishment?.peer == identity)
        #expect(pair.entry?.questions.first?.peer == identity)
        expectSound(pair)
    }

    @Test("the reserved octets of an identity are covered as received; threats.md P12")
    func threat_P12_reservedOctets() throws {
        var identity = IdentificationPayload(form: "anna@example.org")
        identity.reserved = [1, 2, 3]
        let pair = try Pair { $0.identity = identity }
        pair.connect()
        #expect(pair.client.isEstablished)
        #expect(pair.entry?.establishment?.peer == identity)
        expectSound(pair)
    }

    /// How a client gets AUTHENTICATION_FAILED and nothing else.
    private func expectRefused(_ pair: Pair, asked: Bool = true, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(pair.client.refusals == [.authenticationFailed], sourceLocation: sourceLocation)
        #expect(pair.gatewaySaidBeforeEnd == [.authenticationFailed], sourceLocation: sourceLocation)
        #expect(pair.gateway.established == 0, sourceLocation: sourceLocation)
        #expect(pair.lastEntry?.questions.isEmpty == true, "no address is assigned to a stranger", sourceLocation: sourceLocation)
        #expect(pair.lastEntry?.ended == [.authenticationFailed], sourceLocation: sourceLocation)
        #expect(pair.gateway.halfOpen == 0, sourceLocation: sourceLocation)
        pair.drain()
        expectNothingLeft(pair, sourceLocation: sourceLocation)
    }

    @Test("a wrong key")
    func wrongKey() throws {
        let pair = try Pair { $0.presharedKey = Secret([UInt8]("another key".utf8)) }
        pair.connect()
        expectRefused(pair)
    }

    @Test("the response to a wrong AUTH is repeated octet for octet, and the SA is gone soon after")
    func wrongKeyRepeated() throws {
        let pair = try Pair { $0.presharedKey = Secret([UInt8]("another key".utf8)) }
        pair.lose { $0.is(.ikeAuth, response: true) }
        pair.connect()
        pair.run(for: .seconds(2))
        let answers = pair.flights(.ikeAuth, response: true, fromClient: false)
        #expect(answers.count == 2 && answers[0].octets == answers[1].octets)
        #expect(pair.client.refusals == [.authenticationFailed])
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("an identity that has no credential")
    func unknownIdentity() throws {
        let pair = try Pair()
        pair.gateway.credential = { _ in .refused("no such peer") }
        pair.connect()
        #expect(pair.lastEntry?.refusal?.cause == "no such peer")
        expectRefused(pair)
    }

    @Test("no AUTH: the client wants EAP, and a shared key is all there is")
    func noAuthentication() throws {
        let pair = try Pair()
        pair.client.warrior.tamper = tampering(.ikeAuth) { $0.removeAll { $0.type == .authentication } }
        var method: AuthenticationMethod?? = .none
        let answer = pair.gateway.credential
        pair.gateway.credential = {
            method = .some($0.method)
            return answer($0)
        }
        pair.connect()
        #expect(method == .some(nil))
        expectRefused(pair)
    }

    static let methods: [AuthenticationMethod] = [
        .rsaSignature, .dssSignature, .ecdsaP256, .null, .digitalSignature, AuthenticationMethod(rawValue: 0),
    ]

    @Test("the right value under another method", arguments: methods)
    func otherMethod(_ method: AuthenticationMethod) throws {
        let pair = try Pair()
        pair.client.warrior.tamper = tampering(.ikeAuth) { payloads in
            payloads = payloads.map {
                guard case .authentication(let value) = $0 else { return $0 }
                return .authentication(AuthenticationPayload(method: method, data: value.data))
            }
        }
        pair.connect()
        expectRefused(pair)
    }

    @Test("the session table refuses: AUTHENTICATION_FAILED")
    func refusedSession() throws {
        let pair = try Pair()
        pair.gateway.address = { _ in .refused("a session of this user stands") }
        pair.connect()
        #expect(pair.client.refusals == [.authenticationFailed])
        #expect(pair.gateway.established == 0)
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("a client that does not believe the gateway says so, and the SA ends; RFC 7296 section 2.21.2")
    func gatewayNotBelieved() throws {
        let pair = try Pair { $0.remoteIdentity = IdentificationPayload(form: "another.example.org") }
        pair.connect()
        guard case .responderNotAuthenticated = pair.client.closure else {
            Issue.record("the client took another gateway's word: \(String(describing: pair.client.closure))")
            return
        }
        #expect(pair.lastEntry?.ended == [.authenticationFailed])
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("INITIAL_CONTACT is passed on once AUTH is verified (X-11, threats.md P36)", arguments: [true, false])
    func initialContact(_ said: Bool) throws {
        let pair = try Pair.established { $0.initialContact = said }
        #expect(pair.entry?.questions.first?.initialContact == said)
        let wrong = try Pair {
            $0.initialContact = true
            $0.presharedKey = Secret([1, 2, 3])
        }
        wrong.connect()
        #expect(wrong.lastEntry?.questions.isEmpty == true)
    }

    @Test("IKE_AUTH that was lost is sent again and answered once")
    func lostRequest() throws {
        let pair = try Pair()
        pair.lose { $0.is(.ikeAuth, response: false) }
        pair.start()
        pair.run(for: .seconds(5))
        #expect(pair.client.isEstablished)
        #expect(pair.gateway.established == 1)
        expectSound(pair)
    }

    @Test("a lost response comes again octet for octet (invariant I5)", arguments: [ExchangeType.ikeSAInit, .ikeAuth])
    func lostResponse(_ exchange: ExchangeType) throws {
        let pair = try Pair()
        pair.lose(2) { $0.is(exchange, response: true) }
        pair.start()
        pair.run(for: .seconds(8))
        #expect(pair.client.isEstablished)
        let answers = pair.flights(exchange, response: true, fromClient: false)
        #expect(answers.count == 3 && Set(answers.map(\.octets)).count == 1)
        #expect(pair.gateway.established == 1 && pair.lastEntry?.questions.count == 1)
        expectSound(pair)
    }

    @Test("copies of IKE_AUTH while credentials, address or datapath are awaited change nothing", arguments: PairGateway.Held.withoutEAP)
    func copiesWhileWaiting(_ held: PairGateway.Held) throws {
        let pair = try Pair()
        pair.gateway.holds = [held]
        pair.start()
        pair.run(for: .seconds(4))
        #expect(!pair.client.isEstablished)
        #expect((pair.entry?.drops[.stillWorking] ?? 0) >= 2)
        pair.release(held)
        pair.settle()
        #expect(pair.client.isEstablished)
        #expect(pair.entry?.questions.count == 1)
        expectSound(pair)
    }

    @Test("an answer from outside that never comes ends the login after 30 s", arguments: PairGateway.Held.withoutEAP)
    func neverAnswered(_ held: PairGateway.Held) throws {
        let pair = try Pair()
        pair.gateway.holds = [held]
        pair.start()
        pair.run(for: .seconds(31))
        #expect(pair.lastEntry?.ended == [.halfOpenTimeout])
        pair.release(held)
        pair.drain()
        expectNothingLeft(pair)
    }
}

extension Pair {
    /// The notifies of the gateway's last IKE_AUTH response, as the client read them.
    var gatewaySaidBeforeEnd: [NotifyType] {
        client.events.compactMap { if case .refused(let refusal) = $0, refusal.authenticated { refusal.notify.type } else { nil } }
    }
}

import GatewayCrypto
import GatewayTesting
import IKE
import IKEMessages
import RoadWarrior
import Testing
import Wire

extension Pair {
    /// A gateway whose EAP identities come from where this says.
    static func eapProfile(_ identity: IKEPolicy.EAPIdentity = .auto, _ change: (inout IKEPolicy) -> Void = { _ in }) -> GatewayProfile {
        policy {
            $0.authentication.eapIdentity = identity
            change(&$0)
        }
    }

    func expectEAPLogin(sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(client.isEstablished, "\(client.events), \(lastEntry?.refusal?.cause ?? "")", sourceLocation: sourceLocation)
        #expect(entry?.isEstablished == true, sourceLocation: sourceLocation)
        #expect(client.childSA != nil, sourceLocation: sourceLocation)
        expectSound(self, sourceLocation: sourceLocation)
    }
}

extension [Payload] {
    var eap: EAPPayload? { lazy.compactMap { if case .eap(let value) = $0 { value } else { nil } }.first }
    var authentication: AuthenticationPayload? { lazy.compactMap { if case .authentication(let value) = $0 { value } else { nil } }.first }
}

@Suite("Logins by EAP: features.md AUTH-4 to AUTH-6, X-1, RAD-12; RFC 7296 section 2.16, RFC 5998, RFC 3748")
struct EAPLoginTests {
    @Test("AUTH-4, AUTH-5: own AUTH by the shared key; IDr again in the last response as the policy says", arguments: [true, false], [true, false])
    func AUTH_4_sharedKey(_ isKeying: Bool, _ repeatsIDr: Bool) throws {
        let profile = Pair.eapProfile {
            $0.authentication.allowsNonKeyingEAP = !isKeying
            $0.authentication.sendsIDrAfterEAP = repeatsIDr
        }
        let pair = try Pair.eap(profile: profile, isKeying: isKeying)
        pair.connect()
        pair.expectEAPLogin()
        // Identity made from IDi, two challenges, EAP-Success, AUTH.
        #expect(pair.eapQuestions.count == 3)
        #expect(pair.eapQuestions.map(\.isFirst) == [true, false, false])
        #expect(pair.eapQuestions.allSatisfy { $0.ownProof == .sharedKey && $0.identity == Array("anna@example.org".utf8) })
        let answers = pair.authAnswers
        #expect(
            answers.map(\.types) == [
                [.responderIdentification, .authentication, .eap], [.eap], [.eap],
                (repeatsIDr ? [.responderIdentification] : []) + [
                    .authentication, .configuration, .securityAssociation, .initiatorTrafficSelectors, .responderTrafficSelectors,
                ],
            ])
        #expect(answers.map { $0.eap?.code } == [1, 1, 3, nil])
        let question = try #require(pair.entry?.questions.first)
        #expect(question.proof == .eap && question.eapIdentity == Array("anna@example.org".utf8))
        #expect(pair.entry?.questions.count == 1)
        #expect(pair.entry?.establishment?.method == .sharedKey)
        pair.close()
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("AUTH-5: own AUTH and CERT by a certificate, before EAP begins (P15)", arguments: [SignatureScheme.ed25519, .pssSHA256, .ecdsaSHA256])
    func AUTH_5_certificate(_ scheme: SignatureScheme) throws {
        let key = try SignedLogin.key(scheme)
        let certificate = key.publicKey.subjectPublicKeyInfo
        let pair = try Pair.eap(own: .certificate([certificate, [0x30, 0]], scheme)) { settings in
            settings.presharedKey = Secret([1])
            settings.trust = RoadWarrior.CertificateTrust(authorities: []) { certificates, _ throws(RoadWarrior.Distrust) in
                guard certificates.first == certificate else { throw RoadWarrior.Distrust("another certificate") }
                return key.publicKey
            }
        }
        pair.gateway.sign = { try? key.sign($0.octets, by: $0.scheme) }
        pair.connect()
        pair.expectEAPLogin()
        #expect(pair.eapQuestions.first?.ownProof == .certificate)
        #expect(pair.authAnswers.first?.types == [.responderIdentification, .certificate, .certificate, .authentication, .eap])
        #expect(pair.authAnswers.last?.authentication?.method == .sharedKey)
        #expect(pair.gateway.signatureQuestions.count == 1)
    }

    @Test("no signature of ours: refused before EAP begins, and nobody is asked")
    func signatureCannotBeMade() throws {
        let pair = try Pair.eap(own: .certificate([[0x30, 0]], .ed25519))
        pair.connect()
        #expect(pair.client.refusals == [.authenticationFailed])
        #expect(pair.eapQuestions.isEmpty)
        expectNobodyIn(pair)
    }

    @Test("AUTH-5, P16: EAP alone where the client allows it; the last response carries AUTH (RFC 5998)", arguments: IKEPolicy.EAPIdentity.allCases)
    func AUTH_5_eapOnly(_ identity: IKEPolicy.EAPIdentity) throws {
        let pair = try Pair.eap(profile: Pair.eapProfile(identity), own: .eapOnly) {
            $0.allowsEAPOnly = true
            $0.presharedKey = Secret([1])
        }
        pair.connect()
        pair.expectEAPLogin()
        #expect(pair.eapQuestions.allSatisfy { $0.ownProof == .eap })
        #expect(pair.authAnswers.first?.types == [.responderIdentification, .eap])
        #expect(pair.authAnswers.last?.authentication?.data.count == 32)
    }

    @Test("AUTH-5, P16: EAP alone is refused to a client that did not say EAP_ONLY_AUTHENTICATION")
    func threat_P16_eapOnlyUnasked() throws {
        let pair = try Pair.eap(own: .eapOnly)
        pair.connect()
        #expect(pair.client.refusals == [.authenticationFailed])
        #expect(pair.authAnswers.map(\.types) == [[.notify]])
        #expect(pair.lastEntry?.refusal?.isFailedProof == false)
        #expect(pair.eapQuestions.isEmpty)
        expectNobodyIn(pair)
    }

    @Test("a client that allows EAP alone is still given our AUTH where the policy has one")
    func eapOnlyOffered() throws {
        let pair = try Pair.eap { $0.allowsEAPOnly = true }
        pair.connect()
        pair.expectEAPLogin()
        #expect(pair.authAnswers.first?.authentication != nil)
    }

    struct Identity: Sendable, CustomStringConvertible {
        let policy: IKEPolicy.EAPIdentity
        let idi: IdentificationPayload
        /// Made from IDi; nil: the client is asked.
        let known: String?
        var description: String { "\(policy) \(idi.type.rawValue)" }
    }

    static let identities: [Identity] = {
        let rfc822 = IdentificationPayload(form: "bob@example.org")
        let fqdn = IdentificationPayload(form: "laptop.example.org")
        let key = IdentificationPayload(form: "bob")
        let four = IdentificationPayload(form: "10.1.2.3")
        let six = IdentificationPayload(form: "2001:db8::7")
        let dn = IdentificationPayload(type: .derASN1DN, data: [0x30, 0])
        return [
            Identity(policy: .auto, idi: rfc822, known: "bob@example.org"), Identity(policy: .auto, idi: fqdn, known: nil),
            Identity(policy: .auto, idi: key, known: nil), Identity(policy: .auto, idi: four, known: nil),
            Identity(policy: .auto, idi: dn, known: nil),
            Identity(policy: .idi, idi: rfc822, known: "bob@example.org"), Identity(policy: .idi, idi: fqdn, known: "laptop.example.org"),
            Identity(policy: .idi, idi: key, known: "bob"), Identity(policy: .idi, idi: four, known: "10.1.2.3"),
            Identity(policy: .idi, idi: six, known: "2001:db8::7"), Identity(policy: .idi, idi: dn, known: nil),
            Identity(policy: .request, idi: rfc822, known: nil), Identity(policy: .request, idi: key, known: nil),
        ]
    }()

    @Test("X-1: the EAP identity is asked for, or is IDi", arguments: identities)
    func X_1_identity(_ identity: Identity) throws {
        let user = identity.known ?? "carol"
        let pair = try Pair.eap(profile: Pair.eapProfile(identity.policy), user: user) { $0.identity = identity.idi }
        pair.connect()
        pair.expectEAPLogin()
        let first = try #require(pair.eapQuestions.first)
        #expect(first.identity == Array(user.utf8) && pair.eapQuestions.allSatisfy { $0.identity == first.identity })
        #expect(first.message == EAPPayload(.response, identifier: first.message[1], type: .identity, Array(user.utf8))?.octets)
        // Ours has nothing in it, and comes before anybody else is asked.
        let asked = pair.authAnswers.first?.eap
        #expect((asked?.type == EAPType.identity.rawValue && asked?.octets.count == 5) == (identity.known == nil))
        #expect(pair.entry?.establishment?.peer == identity.idi)
        #expect(pair.entry?.questions.first?.eapIdentity == first.identity)
    }

    @Test("EAP messages of 20 KB go through fragments, both ways (RFC 7383)", arguments: [0, 20_000], [0, 20_000])
    func largeMessages(_ request: Int, _ response: Int) throws {
        let pair = try Pair.eap(responseSize: response) { $0.longestMessage = 1200 }
        pair.gateway.aaa.size = request
        pair.connect()
        pair.expectEAPLogin()
        let sent = pair.flights(.ikeAuth, response: true, fromClient: false)
        #expect(sent.allSatisfy { $0.octets.count <= 1280 })
        #expect(request == 0 ? sent.count == 4 : sent.count > 30)
        #expect(pair.flights(.ikeAuth, response: false, fromClient: true).count > (response == 0 ? 3 : 30))
        #expect(pair.eapQuestions.dropFirst().allSatisfy { $0.message.count >= response })
    }

    @Test("an EAP-Request that is longer than an EAP payload is refused", arguments: [65_532, 65_535])
    func tooLong(_ length: Int) throws {
        let pair = try Pair.eap { $0.longestMessage = 1200 }
        let request = try #require(EAPPayload(.request, identifier: 9, type: EAPType(rawValue: 255), [UInt8](repeating: 1, count: length - 5)))
        pair.gateway.aaa.instead = { _, _ in .request(request.octets) }
        pair.connect()
        #expect(pair.authAnswers.last?.eap?.code == 4)
        expectNobodyIn(pair)
    }

    @Test("Child SA, CP and INITIAL_CONTACT come from the first request, and count after the last AUTH alone")
    func firstRequest() throws {
        let pair = try Pair.eap { $0.initialContact = true }
        pair.client.warrior.tamper = { outgoing in
            var outgoing = outgoing
            guard outgoing.header.exchange == .ikeAuth, outgoing.header.messageID > 1 else { return outgoing }
            // Whatever a later request says of them means nothing.
            outgoing.payloads += [
                .configuration(ConfigurationPayload(type: .request, attributes: [ConfigurationAttribute(type: .internalIP6Address, value: [])])),
                .initiatorIdentification(IdentificationPayload(form: "admin@example.org")),
            ]
            return outgoing
        }
        pair.gateway.holds = [.eap]
        pair.connect()
        for _ in 0..<3 {
            #expect(pair.entry?.questions.isEmpty == true)
            pair.release(.eap)
            pair.gateway.holds = [.eap]
            pair.settle()
        }
        pair.expectEAPLogin()
        let question = try #require(pair.entry?.questions.first)
        #expect(question.initialContact && question.wish.ipv4 && !question.wish.ipv6)
        #expect(pair.client.establishment?.innerAddresses.isEmpty == false)
        pair.close()
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test(
        "RAD-12: a rejection is EAP-Failure in an EAP payload, then the SA is gone; it counts for a lockout (X-12)", arguments: [false, true],
        [0, 1, 2])
    func RAD_12_rejected(_ brings: Bool, _ after: Int) throws {
        let pair = try Pair.eap(profile: Pair.eapProfile(after == 0 ? .auto : .request))
        var said: EAPPayload?
        pair.gateway.aaa.instead = { question, conversation in
            guard conversation.questions.count > after else { return nil }
            said = EAPPayload.failure(identifier: 77)
            return .failure(brings ? said?.octets : nil, cause: "Access-Reject: account closed", isRejection: true)
        }
        pair.connect()
        #expect(pair.client.closure == .eapFailed)
        let last = try #require(pair.authAnswers.last)
        #expect(last.notifyTypes.isEmpty && last.eap?.code == 4)
        let response = pair.eapQuestions.last?.message[1]
        #expect(last.eap?.identifier == (brings ? 77 : response))
        #expect(after > 0 || last.types == [.responderIdentification, .authentication, .eap], "we prove ourselves all the same")
        let refusal = try #require(pair.lastEntry?.refusal)
        #expect(refusal.isFailedProof && refusal.error == .authenticationFailed && refusal.cause == "Access-Reject: account closed")
        #expect(pair.lastEntry?.ended == [.authenticationFailed])
        expectNobodyIn(pair)
    }

    @Test("X-12: a server that does not answer is no failed proof")
    func X_12_timeout() throws {
        let pair = try Pair.eap()
        pair.gateway.aaa.instead = { _, _ in .failure(nil, cause: "no RADIUS server answers", isRejection: false) }
        pair.connect()
        #expect(pair.lastEntry?.refusal?.isFailedProof == false)
        #expect(pair.client.closure == .eapFailed)
        expectNobodyIn(pair)
    }

    @Test("RAD-12: Access-Accept decides over the EAP code inside", arguments: [[], [4, 9, 0, 4], [1, 9, 0, 5, 4], [3, 9, 0, 5, 1], [0xff]])
    func RAD_12_codeInside(_ octets: [UInt8]) throws {
        let pair = try Pair.eap()
        pair.gateway.aaa.rounds = 1
        let key = MasterSessionKey([UInt8](repeating: 1, count: 64))
        pair.gateway.aaa.instead = { question, _ in question.isFirst ? nil : EAPAnswer.success(octets, key: key) }
        pair.connect()
        let last = pair.authAnswers.compactMap(\.eap).last
        let identifier: UInt8 = pair.eapQuestions.last?.message[1] ?? 0
        let expected: [UInt8] = [3, identifier, 0, 4]
        #expect(last?.octets == expected)
    }

    @Test("RFC 3748 section 5.3: a Nak is given on, and another method tried")
    func nak() throws {
        let pair = try Pair.eap()
        let key = [UInt8](Pair.userSecret.utf8)
        pair.gateway.aaa.instead = { question, conversation in
            // First a method that the client does not have.
            question.isFirst ? .request([1, 50, 0, 6, 4, 0]) : nil
        }
        pair.gateway.aaa.secrets = [Array("anna@example.org".utf8): key]
        pair.connect()
        #expect(pair.eapQuestions.map { $0.message[4] } == [1, 3])
        #expect(Array(pair.eapQuestions[1].message.dropFirst(5)) == [ScriptedEAP.ownType])
    }

    @Test("RFC 3748 section 5.2: a Notification is relayed both ways")
    func notification() throws {
        let pair = try Pair.eap()
        pair.gateway.aaa.instead = { question, conversation in
            question.isFirst ? .request([1, 50, 0, 7, 2, 0x68, 0x69]) : conversation.questions.count == 2 ? .request([1, 51, 0, 6, 254, 0]) : nil
        }
        pair.connect()
        #expect(pair.eapQuestions.map { $0.message[4] } == [1, 2, 3])
    }

    // MARK: Time

    @Test("people type slowly: EAP has 120 s where a half-open SA has 30 s", arguments: [100, 121])
    func patience(_ seconds: Int) throws {
        let pair = try Pair.eap { $0.retransmission = RoadWarrior.Retransmission(first: .seconds(4), factor: 1, longest: .seconds(4), attempts: 60) }
        pair.gateway.holds = [.eap]
        pair.start()
        pair.run(for: .seconds(seconds))
        pair.release(.eap)
        pair.settle()
        #expect(pair.client.isEstablished == (seconds < 120))
        if seconds > 120 { #expect(pair.lastEntry?.ended == [.halfOpenTimeout]) }
        #expect((pair.lastEntry?.drops[.stillWorking] ?? 0) > 10)
        expectSound(pair)
    }

    @Test("P4: clients that stop after the first EAP-Request leave nothing behind", arguments: IKEPolicy.EAPIdentity.allCases)
    func threat_P4_silentClients(_ identity: IKEPolicy.EAPIdentity) throws {
        let pair = try Pair.eap(profile: Pair.eapProfile(identity))
        pair.checksEveryStep = false
        for _ in 0..<200 {
            let client = pair.add {
                $0.identity = IdentificationPayload(form: "anna@example.org")
                $0.eap = ScriptedEAP(identity: "anna@example.org", secret: "x")
            }
            client.warrior.tamper = { $0.header.messageID > 1 ? nil : $0 }
            pair.start(client)
        }
        pair.settle()
        #expect(pair.gateway.entries.values.count { $0.stage == "eap" } == 200)
        pair.run(for: .seconds(121))
        #expect(pair.gateway.gone.count == 200 && pair.gateway.gone.allSatisfy { $0.ended == [.halfOpenTimeout] })
        expectNothingLeft(pair)
    }

    @Test("an EAP conversation that does not end is ended by us (P4)")
    func threat_P4_endless() throws {
        let pair = try Pair.eap()
        pair.gateway.aaa.rounds = 1000
        pair.connect()
        #expect(pair.client.closure == .eapFailed)
        #expect(pair.eapQuestions.count == 100)
        #expect(pair.lastEntry?.refusal?.isFailedProof == false)
        expectNobodyIn(pair)
    }

    @Test("the operator's close, and an answer that comes too late, end in nothing", arguments: [true, false])
    func closedMeanwhile(_ isAsking: Bool) throws {
        let pair = try Pair.eap()
        if isAsking { pair.gateway.holds = [.eap] } else { pair.client.warrior.tamper = { $0.header.messageID > 2 ? nil : $0 } }
        pair.connect()
        #expect(pair.entry?.stage == "eap")
        pair.closeFromGateway(.shutdown)
        pair.release(.eap)
        #expect(pair.lastEntry?.ended == [.shutdown])
        pair.client.isSilent = true
        pair.drain()
        expectNothingLeft(pair)
    }
}

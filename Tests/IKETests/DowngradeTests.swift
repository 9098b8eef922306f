import GatewayCrypto
import GatewayTesting
import IKEMessages
import RoadWarrior
import Synchronization
import Testing
import Wire

@testable import IKE

/// Somebody between the two who rewrites IKE_SA_INIT: AUTH ends it today unless a key was stolen, and with IKE_SA_INIT_FULL_TRANSCRIPT_AUTH
/// (draft-ietf-ipsecme-ikev2-downgrade-prevention) while one of the two keys is safe.
@Suite("Downgrade: threats.md P10, P12")
struct DowngradeTests {
    private static let notify = NotifyType.fullTranscriptAuthentication

    @Test("the gateway announces full transcripts to everybody, and signs them with those who do too (P10)", arguments: [true, false])
    func threat_P10_announcement(_ announces: Bool) throws {
        let pair = try Pair.established { $0.announcesFullTranscript = announces }
        let said = try #require(pair.initResponse?.notify(Self.notify))
        #expect(said.data.isEmpty && said.spi.isEmpty && said.protocolID == 0 && Self.notify.rawValue == 16447)
        let request = try IKEMessage(parsing: pair.client.warrior.initRequest)
        #expect((request.payloads.notify(Self.notify) != nil) == announces)
        expectSound(pair)
    }

    @Test("a rejected IKE_SA_INIT is no part of the transcript: a cookie, another group", arguments: [true, false])
    func threat_P10_restarts(_ announces: Bool) throws {
        var profile = Pair.profile()
        profile.policy.halfOpen.cookieThreshold = 0
        profile.policy.transforms = [IKETransform(encryption: DefaultProposals.aead, pseudorandomFunctions: [.hmacSHA256], keyExchange: [.ecp256])]
        let pair = try Pair(profile: profile) { settings in
            settings.announcesFullTranscript = announces
            settings.ikeProposals = (try? ProposalText.ike("aes128gcm16-prfsha256-x25519-ecp256")) ?? []
        }
        pair.connect()
        #expect(pair.client.isEstablished && pair.entry?.isEstablished == true)
        #expect(pair.flights(.ikeSAInit, response: false, fromClient: true).count == 3)
        expectSound(pair)
    }

    @Test("the octets are the draft's: received before sent, after eight zeros, and nothing else is taken (P10)", arguments: 0..<7)
    func threat_P10_signedOctets(_ kind: Int) throws {
        // The announcement's content is for the future: whatever it is, it announces.
        let login = try SignedLogin(
            client: .ed25519, announcesFullTranscript: kind < 5, notifies: kind < 5 ? [] : [NotifyPayload(Self.notify, data: [1, 2, 3])])
        let (request, response) = (login.initRequest, login.initResponse)
        let tail = try login.clientOctets().dropFirst(8 + request.count + response.count)
        let zeros = [UInt8](repeating: 0, count: 8)
        let octets =
            switch kind {
            case 0, 5: zeros + response + request + tail
            // RFC 7296's, the other order, no or a longer prefix: all refused
            case 1, 6: request + tail
            case 2: zeros + request + response + tail
            case 3: response + request + tail
            default: zeros + [0] + response + request + tail
            }
        try login.send(try SignedLogin.payload(.ed25519, try login.clientKey.sign(octets, by: .ed25519)))
        guard kind == 0 || kind == 5 else { return login.expectRefused("\(kind)") }
        #expect(login.pair.entry?.isEstablished == true)
        #expect(login.answer?.notifyTypes.contains(.authenticationFailed) == false)
    }

    // MARK: Somebody in the middle without any key

    /// `change`: what comes of one of the two messages; nil leaves it.
    private func expectNoLogin(
        _ seed: Int, full: Bool, changing response: Bool, _ what: Comment, _ change: @escaping ([UInt8]) -> [UInt8]?
    ) throws {
        let pair = try Pair(seed: UInt64(seed)) { settings in
            settings.announcesFullTranscript = full
            settings.longestMessage = 1200
            settings.retransmission = RoadWarrior.Retransmission(first: .seconds(1), attempts: 2)
        }
        pair.checksEveryStep = false
        var changes = false
        pair.wire.alter = { flight in
            guard flight.is(.ikeSAInit, response: response, fromClient: !response), let octets = change(flight.octets) else { return nil }
            changes = true
            return octets
        }
        pair.connect()
        // A rewriting that finds nothing to rewrite
        guard changes else { return #expect(pair.client.isEstablished, what) }
        pair.run(for: .seconds(40))
        #expect(!pair.client.isEstablished && pair.client.establishment == nil, what)
        // Without the extension a gateway learns of a changed response from its client alone.
        if full || !response { #expect(pair.gateway.established == 0 && pair.gateway.exposedKeys.isEmpty, what) }
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("every octet of IKE_SA_INIT that is changed under way ends the login (P10, P12)", arguments: [true, false], [true, false])
    func threat_P10_everyOctet(full: Bool, response: Bool) throws {
        let sample = try Pair.established { settings in
            settings.announcesFullTranscript = full
            settings.longestMessage = 1200
        }
        let length = try #require(sample.flights(.ikeSAInit, response: response, fromClient: !response).last).octets.count
        var random = SeededGenerator(seed: 10)
        for place in 0..<length {
            let bit = UInt8(1) << UInt8.random(in: 0..<8, using: &random)
            try expectNoLogin(place, full: full, changing: response, "octet \(place), bit \(bit)") { octets in
                guard octets.indices.contains(place) else { return nil }
                var octets = octets
                octets[place] ^= bit
                return octets
            }
        }
    }

    /// SAi1, KEi, nonces and notifies rewritten so that each message still is one that could have been sent.
    static let rewritings: [(String, @Sendable (inout [Payload]) -> Void)] = [
        ("without the first encryption transform", { $0.dropTransform(.encryption) }),
        ("without the first PRF", { $0.dropTransform(.pseudorandomFunction) }),
        ("without the first key exchange", { $0.dropTransform(.keyExchange) }),
        ("without a notify", { payloads in payloads.removeFirst { $0.type == .notify } }),
        ("without any notify", { payloads in payloads.removeAll { $0.type == .notify } }),
        ("without full transcripts", { payloads in payloads.removeAll { [$0].notify(notify) != nil } }),
        ("without fragments", { payloads in payloads.removeAll { [$0].notify(.fragmentationSupported) != nil } }),
        ("without NAT detection", { payloads in payloads.removeAll { [$0].notify(.natDetectionSourceIP) != nil } }),
        ("the other order", { payloads in payloads.append(payloads.removeFirst()) }),
        ("one more notify", { $0.append(.notify(NotifyPayload(.usePPK))) }),
        ("full transcripts twice", { $0.append(.notify(NotifyPayload(notify))) }),
        (
            "another nonce",
            { payloads in payloads = payloads.map { $0.type == .nonce ? .nonce(NoncePayload(octets: [UInt8](repeating: 1, count: 32))) : $0 } }
        ),
        (
            "another public value",
            { payloads in
                payloads = payloads.map {
                    guard case .keyExchange(let key) = $0 else { return $0 }
                    return .keyExchange(KeyExchangePayload(method: key.method, data: [9] + [UInt8](repeating: 0, count: key.data.count - 1)))
                }
            }
        ),
    ]

    @Test("whatever is rewritten in IKE_SA_INIT ends the login (P10)", arguments: rewritings.indices, [true, false])
    func threat_P10_rewritten(_ index: Int, full: Bool) throws {
        let (name, change) = Self.rewritings[index]
        for response in [true, false] {
            try expectNoLogin(index, full: full, changing: response, "\(name), \(response ? "response" : "request")") { octets in
                guard let message = try? IKEMessage(parsing: octets) else { return nil }
                var payloads = message.payloads
                change(&payloads)
                return payloads == message.payloads ? nil : IKEMessage(header: message.header, payloads: payloads).encoded()
            }
        }
    }

    // MARK: Somebody in the middle with one stolen key

    /// What the thief takes out of the messages besides the better cipher.
    enum Stripped: CaseIterable { case nothing, request, both }

    /// Section 4 of the draft: the client's key is stolen, and one of the ciphers that both take can be read. The request loses the better one, and
    /// what the client says of its own request is signed anew.
    private func downgrade(full: Bool, stripping stripped: Stripped) throws -> Pair {
        let gatewayKey = try #require(SignedLogin.keys["ed25519"])
        let pair = try Pair { settings in
            settings.announcesFullTranscript = full
            settings.ikeProposals = (try? ProposalText.ike("aes128gcm16-chacha20poly1305-prfsha256-x25519")) ?? []
            settings.trust = RoadWarrior.CertificateTrust(authorities: []) { _, _ in gatewayKey.publicKey }
        }
        let certificate = gatewayKey.publicKey.subjectPublicKeyInfo
        pair.gateway.credential = { _ in
            .credentials(
                Credentials(identity: Pair.gatewayIdentity, peer: .sharedKey(Secret(Pair.sharedKey)), own: .certificate([certificate], .ed25519)))
        }
        pair.gateway.sign = { try? gatewayKey.sign($0.octets, by: $0.scheme) }
        let kept = Kept()
        pair.client.warrior.tamper = kept.tamper(.ikeAuth)
        pair.wire.fate = { $0.is(.ikeAuth, response: false) ? .drop : .deliver }
        // What the gateway took for the request, and the client for the response.
        let seen = Mutex<(request: [UInt8], response: [UInt8])>(([], []))
        pair.wire.alter = { flight in
            guard flight.header?.exchange == .ikeSAInit, let message = try? IKEMessage(parsing: flight.octets) else { return nil }
            var payloads = message.payloads
            let announced = payloads.notify(Self.notify) != nil
            if flight.isFromClient { payloads.dropTransform(.encryption) }
            let strips = stripped == .both || stripped == .request && flight.isFromClient
            if announced, strips { payloads.removeAll { [$0].notify(Self.notify) != nil } }
            let octets = IKEMessage(header: message.header, payloads: payloads).encoded()
            seen.withLock { if flight.isFromClient { $0.request = octets } else { $0.response = flight.octets } }
            return octets
        }
        pair.connect()
        let keys = try #require(pair.client.keys)
        let (request, response) = seen.withLock { $0 }
        let isFull = try IKEMessage(parsing: request).payloads.notify(Self.notify) != nil
        let nonce = try #require(
            IKEMessage(parsing: response).payloads.lazy.compactMap { if case .nonce(let nonce) = $0 { nonce.octets } else { nil } }.first)
        let prf = try #require(PRF(.hmacSHA256))
        let value = try Derivation.authentication(
            prf, presharedKey: Pair.sharedKey, message: isFull ? [UInt8](repeating: 0, count: 8) + response + request : request, otherNonce: nonce,
            identity: pair.client.settings.identity.body, identityKey: SecretOctets(copying: keys.pi))
        let payloads = kept.payloads.map { payload -> Payload in
            if case .authentication = payload { .authentication(AuthenticationPayload(method: .sharedKey, data: value)) } else { payload }
        }
        pair.inject(try #require(pair.client.forge(.ikeAuth, payloads, id: 1)), origin: .peer)
        pair.settle()
        return pair
    }

    @Test("with a stolen client key RFC 7296's AUTH lets the better cipher be taken away: what the extension is for (P10)")
    func threat_P10_stolenKeyWithoutTheExtension() throws {
        let pair = try downgrade(full: false, stripping: .nothing)
        #expect(pair.client.isEstablished && pair.entry?.isEstablished == true)
        #expect(pair.client.establishment?.suite.protection.encryption == .chaCha20Poly1305)
    }

    @Test("with the extension the client notices, also when the announcements are taken out (P10)", arguments: Stripped.allCases)
    func threat_P10_stolenKey(_ stripped: Stripped) throws {
        let pair = try downgrade(full: true, stripping: stripped)
        #expect(pair.client.establishment == nil)
        guard case .responderNotAuthenticated = pair.client.closure else {
            Issue.record("the client believed: \(String(describing: pair.client.closure))")
            return
        }
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test(
        "with a stolen gateway key the gateway notices a response that was changed; without the extension it does not (P10)",
        arguments: [true, false])
    func threat_P10_stolenGatewayKey(full: Bool) throws {
        let pair = try Pair { settings in
            settings.announcesFullTranscript = full
            settings.longestMessage = 1200
        }
        pair.wire.alter = { flight in
            guard flight.is(.ikeSAInit, response: true), let message = try? IKEMessage(parsing: flight.octets) else { return nil }
            return IKEMessage(
                header: message.header, payloads: message.payloads.filter { [$0].notify(.fragmentationSupported) == nil }
            ).encoded()
        }
        // Nothing but the gateway's view: what it answers would be signed anew.
        pair.wire.fate = { $0.is(.ikeAuth, response: true) ? .drop : .deliver }
        pair.connect()
        #expect((pair.entry?.isEstablished ?? false) == !full)
        if full { #expect(pair.lastEntry?.refusal?.isFailedProof == true) }
    }
}

extension [Payload] {
    fileprivate mutating func removeFirst(where matches: (Payload) -> Bool) {
        if let index = firstIndex(where: matches) { remove(at: index) }
    }

    /// Without the first transform of a type, as long as another of that type is left.
    fileprivate mutating func dropTransform(_ type: TransformType) {
        self = map { payload in
            guard case .securityAssociation(var association) = payload else { return payload }
            for index in association.proposals.indices where association.proposals[index].transforms.filter({ $0.type == type }).count > 1 {
                guard let first = association.proposals[index].transforms.firstIndex(where: { $0.type == type }) else { continue }
                association.proposals[index].transforms.remove(at: first)
            }
            return .securityAssociation(association)
        }
    }
}

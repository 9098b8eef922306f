import GatewayCrypto
import GatewayTesting
import IKE
import IKEMessages
import PKI
import RoadWarrior
import Testing
import Wire

/// A client that proves itself by a signature, made here from RFC 7296 section 2.15 and RFC 7427 on the road warrior's keys, and a gateway that does
/// the same. Paths and names are PKI's; here both sides have each other's key.
final class SignedLogin {
    let pair: Pair
    private let kept = Kept()
    let clientKey: PrivateKey
    let gatewayKey: PrivateKey
    private let certificate: [UInt8]

    /// One key of each kind for all tests: RSA keys take their time.
    static let keys: [String: PrivateKey] = {
        var keys: [String: PrivateKey] = [:]
        let kinds: [(String, IssuingKey.Kind)] = [
            ("rsa", .rsa(bits: 2048)), ("p256", .ecP256), ("p384", .ecP384), ("p521", .ecP521), ("ed25519", .ed25519), ("other", .ed25519),
        ]
        for (name, kind) in kinds {
            guard let file = try? IssuingKey(generating: kind).pkcs8() else { continue }
            keys[name] = try? PrivateKey(file)
        }
        return keys
    }()

    static func key(_ scheme: SignatureScheme) throws -> PrivateKey {
        try #require(keys.values.first { scheme.fits($0.publicKey.kind) })
    }

    init(
        seed: UInt64 = 1, client: SignatureScheme, gateway: SignatureScheme = .ed25519, announces: Bool = true,
        profile: GatewayProfile = Pair.profile(), announcesFullTranscript: Bool = true, notifies: [NotifyPayload] = []
    ) throws {
        clientKey = try Self.key(client)
        gatewayKey = try Self.key(gateway)
        certificate = gatewayKey.publicKey.subjectPublicKeyInfo
        pair = try Pair(seed: seed, profile: profile) { settings in
            settings.ikeProposals = (try? ProposalText.ike("aes128gcm16-prfsha256-x25519")) ?? []
            settings.announcesFullTranscript = announcesFullTranscript
            settings.initNotifies = notifies
            if announces { settings.initNotifies.append(NotifyPayload(.signatureHashAlgorithms, data: SignatureHashAlgorithm.encoded())) }
        }
        let (clientKey, gatewayKey, certificate) = (clientKey, gatewayKey, certificate)
        pair.gateway.credential = { _ in
            .credentials(
                Credentials(
                    identity: Pair.gatewayIdentity, peer: .certificate(clientKey.publicKey), own: .certificate([certificate], gateway)))
        }
        pair.gateway.sign = { try? gatewayKey.sign($0.octets, by: $0.scheme) }
        // The road warrior's own IKE_AUTH, by shared key, never arrives.
        pair.client.warrior.tamper = kept.tamper(.ikeAuth)
        pair.wire.fate = { $0.is(.ikeAuth, response: false) ? .drop : .deliver }
        pair.connect()
        pair.wire.fate = { _ in .drop }
    }

    private func prf(_ key: [UInt8], _ data: [UInt8]) throws -> [UInt8] {
        guard let function = PRF(.hmacSHA256) else { return [] }
        let value = try function(key: SecretOctets(copying: key), data)
        return value.exposed()
    }

    private func nonce(_ octets: [UInt8]) throws -> [UInt8] {
        let payloads = try IKEMessage(parsing: octets).payloads
        return try #require(payloads.lazy.compactMap { if case .nonce(let nonce) = $0 { nonce.octets } else { nil } }.first)
    }

    var initRequest: [UInt8] { pair.client.warrior.initRequest }
    var initResponse: [UInt8] { pair.flights(.ikeSAInit, response: true, fromClient: false).last?.octets ?? [] }

    /// What the client signs, of a full transcript.
    func clientOctets(_ identity: IdentificationPayload? = nil) throws -> [UInt8] {
        let keys = try #require(pair.client.keys)
        return try [UInt8](repeating: 0, count: 8) + initResponse + initRequest + nonce(initResponse)
            + prf(keys.pi, (identity ?? pair.client.settings.identity).body)
    }

    /// What the gateway signs, of a full transcript.
    func gatewayOctets() throws -> [UInt8] {
        let keys = try #require(pair.client.keys)
        return try [UInt8](repeating: 0, count: 8) + initRequest + initResponse + nonce(initRequest) + prf(keys.pr, Pair.gatewayIdentity.body)
    }

    static func payload(_ scheme: SignatureScheme, _ signature: [UInt8]) throws -> AuthenticationPayload {
        let data = scheme.method == 14 ? try #require(DigitalSignature(scheme: scheme, signature: signature).encoded) : signature
        return AuthenticationPayload(method: AuthenticationMethod(rawValue: scheme.method), data: data)
    }

    /// Sends IKE_AUTH with this AUTH payload in the place of the road warrior's.
    func send(_ authentication: AuthenticationPayload?, identity: IdentificationPayload? = nil) throws {
        let payloads = kept.payloads.compactMap { payload -> Payload? in
            switch payload {
            case .authentication: authentication.map { .authentication($0) }
            case .initiatorIdentification(let own): .initiatorIdentification(identity ?? own)
            default: payload
            }
        }
        pair.inject(try #require(pair.client.forge(.ikeAuth, payloads, id: 1)), origin: .peer)
    }

    /// The gateway's answer, read with the client's keys.
    var answer: [Payload]? { pair.gatewaySaid(.ikeAuth, response: true) }

    func expectRefused(_ what: Comment, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(pair.gateway.established == 0 && pair.gateway.exposedKeys.isEmpty, what, sourceLocation: sourceLocation)
        #expect(answer?.notifyTypes == [.authenticationFailed], what, sourceLocation: sourceLocation)
        #expect(answer?.count == 1, "the cause stays in the log; \(what)", sourceLocation: sourceLocation)
        #expect(pair.lastEntry?.refusal?.isFailedProof == true, what, sourceLocation: sourceLocation)
        #expect(pair.gateway.signatureQuestions.isEmpty, "we sign for nobody who has not proved itself; \(what)", sourceLocation: sourceLocation)
        pair.drain()
        expectNothingLeft(pair, sourceLocation: sourceLocation)
    }
}

@Suite("Logins by signature: RFC 7296 section 2.15, RFC 7427; threats.md C6, C7, P12, P13")
struct CertificateAuthenticationTests {
    @Test(
        "every scheme of the client lets it in, and the gateway proves itself to it", arguments: SignatureScheme.all,
        [SignatureScheme.ed25519, .pssSHA256, .ecdsaSHA384])
    func rfc7427_bothSides(_ client: SignatureScheme, _ gateway: SignatureScheme) throws {
        // SHA-1 is for those who announce nothing (X-7).
        let login = try SignedLogin(client: client, gateway: gateway, announces: client.hash != .sha1)
        try login.send(try SignedLogin.payload(client, try login.clientKey.sign(try login.clientOctets(), by: client)))
        #expect(login.pair.gateway.established == 1, "\(login.pair.lastEntry?.refusal?.cause ?? "")")
        let answer = try #require(login.answer)
        let authentication = try #require(answer.lazy.compactMap { if case .authentication(let value) = $0 { value } else { nil } }.first)
        #expect(authentication.method == .digitalSignature)
        let signature = try DigitalSignature(parsing: authentication.data)
        #expect(signature.scheme == gateway)
        #expect(throws: Never.self) {
            try login.gatewayKey.publicKey.verify(signature.signature, over: try login.gatewayOctets(), by: gateway)
        }
        // RFC 7296 section 1.2: IDr, CERT, AUTH stand before everything else.
        #expect(answer.types.prefix(3) == [.responderIdentification, .certificate, .authentication])
        expectSound(login.pair)
    }

    @Test("a wrong bit anywhere in AUTH keeps the client out (C6)", arguments: [SignatureScheme.ed25519, .ecdsaSHA256, .pssSHA256, .rsaSHA256])
    func threat_C6_changedSignature(_ scheme: SignatureScheme) throws {
        let key = try SignedLogin.key(scheme)
        let sample = try SignedLogin.payload(scheme, try key.sign([1], by: scheme))
        // Every bit of the signature itself is GatewayCrypto's test; here each octet of the payload, length and AlgorithmIdentifier included.
        for place in stride(from: 0, to: sample.data.count, by: max(1, sample.data.count / 24)) {
            let login = try SignedLogin(seed: UInt64(place), client: scheme)
            var authentication = try SignedLogin.payload(scheme, try login.clientKey.sign(try login.clientOctets(), by: scheme))
            authentication.data[place % authentication.data.count] ^= UInt8(1 << (place % 8))
            try login.send(authentication)
            login.expectRefused("\(scheme), octet \(place)")
        }
    }

    @Test("a signature over anything else keeps the client out (C6, P12)", arguments: 0..<7)
    func threat_P12_signedOctets(_ flaw: Int) throws {
        let scheme = SignatureScheme.ed25519
        let login = try SignedLogin(client: scheme)
        var octets = try login.clientOctets()
        var identity: IdentificationPayload?
        switch flaw {
        case 0: octets = try SignedLogin(seed: 2, client: scheme).clientOctets()
        case 1: octets = try login.gatewayOctets()
        case 2: octets.removeLast()
        case 3: octets[0] ^= 1
        case 4: octets[8 + login.initResponse.count + login.initRequest.count] ^= 1
        case 5: octets = []
        default: identity = IdentificationPayload(form: "admin@example.org")
        }
        try login.send(try SignedLogin.payload(scheme, try login.clientKey.sign(octets, by: scheme)), identity: identity)
        login.expectRefused("flaw \(flaw)")
    }

    @Test("the key of another certificate keeps the client out (C6)")
    func threat_C6_anotherKey() throws {
        let login = try SignedLogin(client: .ed25519)
        let octets = try login.clientOctets()
        for name in ["other", "p256", "rsa"] {
            let login = try SignedLogin(client: .ed25519)
            // Whichever Ed25519 key the login took, this is not it.
            let key = try #require(
                name == "other"
                    ? [SignedLogin.keys["other"], SignedLogin.keys["ed25519"]].lazy.compactMap { $0 }.first {
                        $0.publicKey != login.clientKey.publicKey
                    }
                    : SignedLogin.keys[name])
            let scheme = try #require(SignatureScheme.digitalSignatures.first { $0.fits(key.publicKey.kind) })
            try login.send(try SignedLogin.payload(scheme, try key.sign(octets, by: scheme)))
            login.expectRefused("\(name)")
        }
    }

    @Test("an AUTH value of another method than was agreed keeps the client out (C6)")
    func threat_C6_otherMethod() throws {
        let octets = [UInt8](repeating: 7, count: 32)
        for method in [
            AuthenticationMethod.sharedKey, AuthenticationMethod(rawValue: 0), .init(rawValue: 3), .init(rawValue: 12), .init(rawValue: 13),
            .init(rawValue: 255),
        ] {
            let login = try SignedLogin(client: .ed25519)
            try login.send(AuthenticationPayload(method: method, data: octets))
            login.expectRefused("method \(method.rawValue)")
        }
        // And a signature where a shared key was agreed.
        let login = try SignedLogin(client: .ed25519)
        login.pair.gateway.credential = { _ in .credentials(.sharedKey(Secret(Pair.sharedKey), identity: Pair.gatewayIdentity)) }
        try login.send(try SignedLogin.payload(.ed25519, try login.clientKey.sign(try login.clientOctets(), by: .ed25519)))
        login.expectRefused("a signature for a shared key")
    }

    @Test("SHA-1 only of a client that announced no hashes, and only where it is allowed (C7, X-7)", arguments: [true, false], [true, false])
    func threat_C7_sha1(_ announces: Bool, _ allowed: Bool) throws {
        let profile = Pair.policy { $0.authentication.allowsSHA1Signature = allowed }
        let login = try SignedLogin(client: .method1, announces: announces, profile: profile)
        try login.send(try SignedLogin.payload(.method1, try login.clientKey.sign(try login.clientOctets(), by: .method1)))
        if allowed, !announces {
            #expect(login.pair.gateway.established == 1)
        } else {
            login.expectRefused("announces \(announces), allowed \(allowed)")
        }
    }

    @Test("the gateway's own AUTH and IDr said back to it (P13)")
    func threat_P13_reflectedSignature() throws {
        let first = try SignedLogin(client: .ed25519)
        try first.send(try SignedLogin.payload(.ed25519, try first.clientKey.sign(try first.clientOctets(), by: .ed25519)))
        let own = try #require(first.answer?.lazy.compactMap { if case .authentication(let value) = $0 { value } else { nil } }.first)
        let login = try SignedLogin(seed: 2, client: .ed25519)
        try login.send(own, identity: Pair.gatewayIdentity)
        login.expectRefused("reflected")
    }

    @Test("when no signature of ours can be made the client is told, and its proof does not count as failed (X-12)")
    func signatureCannotBeMade() throws {
        let login = try SignedLogin(client: .ed25519)
        login.pair.gateway.sign = { _ in nil }
        try login.send(try SignedLogin.payload(.ed25519, try login.clientKey.sign(try login.clientOctets(), by: .ed25519)))
        #expect(login.answer?.notifyTypes == [.authenticationFailed])
        #expect(login.pair.lastEntry?.refusal?.isFailedProof == false)
        #expect(login.pair.gateway.established == 0)
        login.pair.drain()
        expectNothingLeft(login.pair)
    }

    @Test("a signature that never comes ends the login after 30 s, and copies of the request meanwhile change nothing (I9)")
    func threat_C1_signatureNeverComes() throws {
        let login = try SignedLogin(client: .ed25519)
        login.pair.gateway.holdsSignature = true
        let authentication = try SignedLogin.payload(.ed25519, try login.clientKey.sign(try login.clientOctets(), by: .ed25519))
        try login.send(authentication)
        for _ in 0..<5 { try login.send(authentication) }
        #expect(login.pair.gateway.signatureQuestions.count == 1)
        #expect(login.pair.lastEntry?.stage == "awaiting-credentials")
        login.pair.run(for: .seconds(31))
        #expect(login.pair.lastEntry?.ended == [.halfOpenTimeout])
        expectNothingLeft(login.pair)
    }
}

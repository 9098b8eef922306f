import GatewayCrypto
import IKEMessages
import RoadWarrior
import Wire

/// A responder of one page, for scripts: it derives its keys with HMAC alone, as RFC 7296 section 2.14 spells them, and does what it is told.
final class ScriptedGateway {
    struct Script {
        /// Answers the first request with this COOKIE until it comes back.
        var cookie: [UInt8]?
        /// Wants this method; a request with another gets INVALID_KE_PAYLOAD.
        var method = KeyExchangeMethod.x25519
        /// Refuses IKE_SA_INIT with this notification.
        var refusal: NotifyType?
        var presharedKey = [UInt8]("the shared key of the tests".utf8)
        var identity = IdentificationPayload(type: .fqdn, data: [UInt8]("gw.example.org".utf8))
        /// What it says of addresses: right hashes, or none that fit.
        var natSourceMatches = true
        var natDestinationMatches = true
        /// Payloads of the IKE_AUTH response behind IDr and AUTH; nil builds a proper Child SA.
        var childPayloads: [Payload]?
        /// Answers IKE_AUTH with this error alone.
        var authError: NotifyType?
        var narrowedRemote = [TrafficSelector.range("10.9.0.0/16")]
        var narrowedLocal = [TrafficSelector.range("10.0.0.7/32")]
        var innerAddress: [UInt8] = [10, 0, 0, 7]
        /// Index into the transforms of each type that is chosen.
        var espProposal = 0
        var ikeProposal = 0
        /// Changes the AUTH value before it is sent.
        var spoilAuth = false
        /// EAP packets, one in each response of IKE_AUTH before the last.
        var eap: [[UInt8]] = []
        /// Whether AUTH stands in the first response beside EAP.
        var provesBeforeEAP = true
        /// Changes the AUTH value behind EAP before it is sent.
        var spoilLastAuth = false
        /// What AUTH of both sides is by after EAP; nil: SK_p.
        var eapKey: [UInt8]?
    }

    var script: Script
    let entropy = SeededEntropy(seed: 99)
    let spi: IKESPI = 0x0102_0304_0506_0708
    let espSPI: UInt32 = 0xC0FF_EE01
    var requests: [IKEMessage] = []
    var initRequests: [[UInt8]] = []
    /// Inner payloads of protected requests, in order.
    var opened: [(IKEHeader, [Payload])] = []
    /// What a CREATE_CHILD_SA request is answered with.
    var createChildAnswer: NotifyType?
    /// The client's AUTH value was right.
    var clientProved = false

    private(set) var suite: ProtectionSuite?
    private var prf: PseudorandomFunction = .hmacSHA256
    var keys: [String: [UInt8]] = [:]
    private(set) var initiatorSPI: IKESPI = 0
    private var initRequest: [UInt8] = []
    private var initResponse: [UInt8] = []
    private var ni: [UInt8] = []
    private var nr: [UInt8] = []
    private var sealCount: UInt64 = 1 << 40
    private var rounds = 0
    private var proposals: [Proposal] = []
    private(set) var clientSPI: UInt32 = 0
    private(set) var chosenESP: Proposal?

    init(_ script: Script = Script()) {
        self.script = script
    }

    // MARK: HMAC by hand

    func mac(_ key: [UInt8], _ data: [UInt8]) -> [UInt8] {
        let (hash, block): (([UInt8]) -> [UInt8], Int) =
            switch prf {
            case .hmacSHA384: (Digest.sha384, 128)
            case .hmacSHA512: (Digest.sha512, 128)
            case .hmacSHA1: (Digest.sha1, 64)
            default: (Digest.sha256, 64)
            }
        var padded = key.count > block ? hash(key) : key
        padded += [UInt8](repeating: 0, count: block - padded.count)
        return hash(padded.map { $0 ^ 0x5c } + hash(padded.map { $0 ^ 0x36 } + data))
    }

    func expand(_ key: [UInt8], _ seed: [UInt8], _ count: Int) -> [UInt8] {
        var result: [UInt8] = []
        var block: [UInt8] = []
        var number: UInt8 = 1
        while result.count < count {
            block = mac(key, block + seed + [number])
            result += block
            number += 1
        }
        return [UInt8](result.prefix(count))
    }

    private static func octets(_ value: UInt64) -> [UInt8] {
        var result: [UInt8] = []
        result.append(bigEndian: value)
        return result
    }

    // MARK: IKE_SA_INIT

    /// The answer to a clear or protected request, or nil.
    func answer(_ octets: [UInt8], from client: Endpoint, to own: Endpoint) throws -> [UInt8]? {
        let message = try IKEMessage(parsing: octets)
        requests.append(message)
        if message.header.exchange == .ikeSAInit {
            return try answerInit(message, octets, client, own)
        }
        return try answerProtected(message, octets)
    }

    private func clear(_ message: IKEMessage, _ payloads: [Payload], spi: IKESPI = 0) -> [UInt8] {
        IKEMessage(
            header: IKEHeader(
                initiatorSPI: message.header.initiatorSPI, responderSPI: spi, exchange: .ikeSAInit, flags: [.response],
                messageID: 0), payloads: payloads
        ).encoded()
    }

    private func answerInit(_ message: IKEMessage, _ octets: [UInt8], _ client: Endpoint, _ own: Endpoint) throws -> [UInt8]? {
        initRequests.append(octets)
        var proposals: [Proposal] = []
        var exchange: KeyExchangePayload?
        for payload in message.payloads {
            switch payload {
            case .securityAssociation(let value): proposals = value.proposals
            case .keyExchange(let value): exchange = value
            case .nonce(let value): ni = value.octets
            default: break
            }
        }
        if let refusal = script.refusal { return clear(message, [.notify(NotifyPayload(refusal))]) }
        if let cookie = script.cookie {
            guard case .notify(let first)? = message.payloads.first, first.type == .cookie, first.data == cookie else {
                return clear(message, [.notify(NotifyPayload(.cookie, data: cookie))])
            }
        }
        guard let exchange, exchange.method == script.method else {
            var wanted: [UInt8] = []
            wanted.append(bigEndian: script.method.rawValue)
            return clear(message, [.notify(NotifyPayload(.invalidKEPayload, data: wanted))])
        }
        let offer = proposals[script.ikeProposal]
        var chosen: [Transform] = []
        for type in Set(offer.transforms.map(\.type)) {
            let all = offer.transforms.filter { $0.type == type }
            chosen.append(type == .keyExchange ? all.first { $0.id == exchange.method.rawValue }! : all[0])
        }
        prf = PseudorandomFunction(rawValue: chosen.first { $0.type == .pseudorandomFunction }!.id)
        let cipher = chosen.first { $0.type == .encryption }!
        suite = ProtectionSuite(
            encryption: EncryptionAlgorithm(rawValue: cipher.id), keyBits: Int(cipher.keyLength ?? 0),
            integrity: IntegrityAlgorithm(rawValue: chosen.first { $0.type == .integrity }?.id ?? 0))
        let key = try KeyExchange(exchange.method, entropy: entropy)
        let shared = try key.sharedSecret(with: exchange.data).exposed()
        nr = entropy.octets(32)
        initiatorSPI = message.header.initiatorSPI

        let skeyseed = mac(ni + nr, shared)
        let size = mac([], []).count
        let suite = suite!
        let lengths = [
            ("d", size), ("ai", suite.integrityKeyLength), ("ar", suite.integrityKeyLength),
            ("ei", suite.encryptionKeyLength), ("er", suite.encryptionKeyLength), ("pi", size), ("pr", size),
        ]
        var stream = expand(
            skeyseed, ni + nr + Self.octets(initiatorSPI) + Self.octets(spi), lengths.map(\.1).reduce(0, +))
        for (name, length) in lengths {
            keys[name] = [UInt8](stream.prefix(length))
            stream.removeFirst(length)
        }

        func hash(_ endpoint: Endpoint, _ matches: Bool) -> [UInt8] {
            var text = Self.octets(initiatorSPI) + Self.octets(spi) + endpoint.address.octets
            text.append(bigEndian: endpoint.port)
            return matches ? Digest.sha1(text) : entropy.octets(20)
        }
        let answer = Proposal(number: offer.number, protocolID: .ike, spi: [], transforms: chosen)
        initRequest = octets
        initResponse = clear(
            message,
            [
                .securityAssociation(SecurityAssociationPayload(proposals: [answer])),
                .keyExchange(KeyExchangePayload(method: exchange.method, data: key.publicValue)),
                .nonce(NoncePayload(octets: nr)),
                .notify(NotifyPayload(.natDetectionSourceIP, data: hash(own, script.natSourceMatches))),
                .notify(NotifyPayload(.natDetectionDestinationIP, data: hash(client, script.natDestinationMatches))),
            ], spi: spi)
        return initResponse
    }

    // MARK: protected messages

    func seal(_ exchange: ExchangeType, _ payloads: [Payload], id: UInt32, response: Bool) throws -> [UInt8] {
        let suite = suite!
        let layout = EncryptedMessageLayout(
            header: IKEHeader(
                initiatorSPI: initiatorSPI, responderSPI: spi, exchange: exchange, flags: response ? [.response] : [],
                messageID: id), payloads: payloads, ivLength: suite.ivLength, blockLength: suite.blockLength,
            icvLength: suite.icvLength)
        var octets = layout.octets
        sealCount += 1
        octets.replaceSubrange(layout.iv, with: suite.isAEAD ? Self.octets(sealCount) : entropy.octets(suite.ivLength))
        var cipher = try RecordCipher(
            suite, encryptionKey: SecretOctets(copying: keys["er"]!), integrityKey: SecretOctets(copying: keys["ar"]!),
            direction: .seal)
        let done = octets.withUnsafeMutableBytes { all in
            cipher.seal(
                aad: UnsafeRawBufferPointer(rebasing: all[layout.aad]), iv: UnsafeRawBufferPointer(rebasing: all[layout.iv]),
                text: UnsafeMutableRawBufferPointer(rebasing: all[layout.text]),
                macTrailer: UnsafeRawBufferPointer(start: nil, count: 0),
                icv: UnsafeMutableRawBufferPointer(rebasing: all[layout.icv]))
        }
        guard done else { throw CryptoError.library }
        return octets
    }

    func open(_ message: IKEMessage, _ octets: [UInt8]) throws -> [Payload] {
        let suite = suite!
        guard let encrypted = message.encryptedPayload else { throw CryptoError.unsupported }
        let content = encrypted.content
        var copy = octets
        var cipher = try RecordCipher(
            suite, encryptionKey: SecretOctets(copying: keys["ei"]!), integrityKey: SecretOctets(copying: keys["ai"]!),
            direction: .open)
        let text = content.lowerBound + suite.ivLength..<content.upperBound - suite.icvLength
        let done = copy.withUnsafeMutableBytes { all in
            cipher.open(
                aad: UnsafeRawBufferPointer(rebasing: all[0..<content.lowerBound]),
                iv: UnsafeRawBufferPointer(rebasing: all[content.lowerBound..<text.lowerBound]),
                text: UnsafeMutableRawBufferPointer(rebasing: all[text]),
                macTrailer: UnsafeRawBufferPointer(start: nil, count: 0),
                icv: UnsafeRawBufferPointer(rebasing: all[text.upperBound..<content.upperBound]))
        }
        guard done else { throw CryptoError.authenticationFailed }
        return try encrypted.innerPayloads(decrypted: [UInt8](copy[text]))
    }

    private func answerProtected(_ message: IKEMessage, _ octets: [UInt8]) throws -> [UInt8]? {
        let payloads = try open(message, octets)
        opened.append((message.header, payloads))
        guard !message.header.isResponse else { return nil }
        if message.header.exchange == .createChildSA, let createChildAnswer {
            return try seal(.createChildSA, [.notify(NotifyPayload(createChildAnswer))], id: message.header.messageID, response: true)
        }
        guard message.header.exchange == .ikeAuth else {
            return try seal(message.header.exchange, [], id: message.header.messageID, response: true)
        }
        return try answerAuth(message.header.messageID, payloads)
    }

    private func answerAuth(_ id: UInt32, _ payloads: [Payload]) throws -> [UInt8] {
        if let error = script.authError {
            return try seal(.ikeAuth, [.notify(NotifyPayload(error))], id: id, response: true)
        }
        let isAfterEAP = !script.eap.isEmpty && rounds >= script.eap.count
        func padded(_ own: String) -> [UInt8] {
            mac(isAfterEAP ? script.eapKey ?? keys[own]! : script.presharedKey, [UInt8]("Key Pad for IKEv2".utf8))
        }
        for payload in payloads {
            switch payload {
            case .initiatorIdentification(let identity):
                keys["idi"] = identity.body
            case .authentication(let auth):
                let expected = mac(padded("pi"), initRequest + nr + mac(keys["pi"]!, keys["idi"] ?? []))
                clientProved = auth.data == expected
            case .securityAssociation(let value): proposals = value.proposals
            default: break
            }
        }
        var auth = mac(padded("pr"), initResponse + ni + mac(keys["pr"]!, script.identity.body))
        if script.spoilAuth || isAfterEAP && script.spoilLastAuth { auth[0] ^= 1 }
        var answer: [Payload] = [
            .responderIdentification(script.identity),
            .authentication(AuthenticationPayload(method: .sharedKey, data: auth)),
        ]
        if rounds < script.eap.count {
            if rounds > 0 { answer = [] } else if !script.provesBeforeEAP { answer.removeLast() }
            guard let packet = EAPPayload(script.eap[rounds]) else { throw WireError.badLength }
            rounds += 1
            return try seal(.ikeAuth, answer + [.eap(packet)], id: id, response: true)
        }
        if let child = script.childPayloads {
            answer += child
        } else {
            let offer = proposals[script.espProposal]
            clientSPI = offer.spi.reduce(0) { $0 << 8 | UInt32($1) }
            let transforms = Set(offer.transforms.map(\.type)).compactMap { type in
                offer.transforms.first { $0.type == type }
            }
            var spi: [UInt8] = []
            spi.append(bigEndian: espSPI)
            let chosen = Proposal(number: offer.number, protocolID: .esp, spi: spi, transforms: transforms)
            chosenESP = chosen
            answer += [
                .configuration(
                    ConfigurationPayload(
                        type: .reply,
                        attributes: [
                            ConfigurationAttribute(type: .internalIP4Address, value: script.innerAddress),
                            ConfigurationAttribute(type: .internalIP4DNS, value: [10, 9, 0, 53]),
                        ])),
                .securityAssociation(SecurityAssociationPayload(proposals: [chosen])),
                .initiatorTrafficSelectors(TrafficSelectorPayload(selectors: script.narrowedLocal)),
                .responderTrafficSelectors(TrafficSelectorPayload(selectors: script.narrowedRemote)),
            ]
        }
        return try seal(.ikeAuth, answer, id: id, response: true)
    }

    /// KEYMAT of the first Child SA.
    func childKeys(_ suite: ProtectionSuite) -> (ei: [UInt8], ai: [UInt8], er: [UInt8], ar: [UInt8]) {
        var stream = expand(keys["d"]!, ni + nr, 2 * (suite.encryptionKeyLength + suite.integrityKeyLength))
        func take(_ count: Int) -> [UInt8] {
            defer { stream.removeFirst(count) }
            return [UInt8](stream.prefix(count))
        }
        let ei = take(suite.encryptionKeyLength)
        let ai = take(suite.integrityKeyLength)
        let er = take(suite.encryptionKeyLength)
        return (ei, ai, er, take(suite.integrityKeyLength))
    }
}

extension TrafficSelector {
    /// Any protocol and port within a prefix.
    static func range(_ text: String) -> TrafficSelector {
        TrafficSelector(ipProtocol: 0, startPort: 0, endPort: 65535, addresses: IPPrefix(text)!.range)
    }
}

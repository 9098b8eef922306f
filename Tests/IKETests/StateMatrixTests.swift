import GatewayCrypto
import GatewayTesting
import Glibc
import IKE
import IKEMessages
import RoadWarrior
import Testing
import Wire

/// The stages of an IKE SA as a peer can bring them about, each with a client that still holds its keys.
enum StageUnderTest: String, CaseIterable, Sendable {
    case halfOpen, keysDerived, awaitingPeer, awaitingSignature, awaitingAddress, awaitingInstall, established, deleting, lingering, closed
    /// The client's turn, the turn of who knows it, and the client's AUTH after EAP-Success.
    case awaitingEAP, askingEAP, awaitingFinalAuth

    func pair(knowsKey: Bool = true) throws -> Pair {
        let isEAP = self == .awaitingEAP || self == .askingEAP || self == .awaitingFinalAuth
        if isEAP { return try eapPair() }
        let pair = try Pair { if !knowsKey { $0.presharedKey = Secret([1]) } }
        switch self {
        case .halfOpen, .keysDerived:
            pair.wire.fate = { $0.is(.ikeAuth, response: false) ? .drop : .deliver }
            pair.connect()
            guard self == .keysDerived else { break }
            // What has the right form and a wrong ICV makes the gateway compute the secret.
            var junk = pair.wire.sent.last?.octets ?? []
            if let last = junk.indices.last { junk[last] ^= 1 }
            pair.inject(junk)
        case .awaitingPeer, .awaitingAddress, .awaitingInstall:
            pair.gateway.holds = [self == .awaitingPeer ? .peer : self == .awaitingAddress ? .address : .install]
            pair.connect()
        case .awaitingSignature:
            pair.gateway.credential = { _ in
                .credentials(
                    Credentials(
                        identity: Pair.gatewayIdentity, peer: .sharedKey(Secret(Pair.sharedKey)), own: .certificate([[0x30, 0]], .ed25519)))
            }
            pair.gateway.holdsSignature = true
            pair.connect()
        case .awaitingEAP, .askingEAP, .awaitingFinalAuth, .established: pair.connect()
        case .deleting:
            pair.connect()
            pair.wire.fate = { _ in .drop }
            pair.closeFromGateway()
        case .lingering, .closed:
            pair.connect()
            pair.wire.fate = { _ in .drop }
            let delete = pair.client.forge(.informational, [.delete(DeletePayload(protocolID: .ike, spis: []))], id: 2)
            pair.inject(delete ?? [], origin: .peer)
            if self == .closed { pair.gateway.strike(at: pair.now + .seconds(11)) }
        }
        pair.wire.fate = { _ in .drop }
        return pair
    }

    private func eapPair() throws -> Pair {
        let pair = try Pair.eap()
        pair.gateway.aaa.rounds = 1
        if self == .askingEAP { pair.gateway.holds = [.eap] }
        let last = expectedID
        pair.wire.fate = { $0.is(.ikeAuth, response: false) && $0.header?.messageID == last ? .drop : .deliver }
        pair.connect()
        pair.wire.fate = { _ in .drop }
        return pair
    }

    /// The message ID of the next request that counts.
    var expectedID: UInt32 {
        switch self {
        case .halfOpen, .keysDerived: 1
        case .awaitingPeer, .awaitingSignature, .awaitingAddress, .awaitingInstall: 2
        case .established, .deleting, .awaitingEAP, .askingEAP: 2
        case .awaitingFinalAuth: 3
        case .lingering, .closed: 3
        }
    }
}

@Suite("Every stage and every message has a defined answer; threats.md C1")
struct StateMatrixTests {
    enum Seal: CaseIterable { case right, wrongICV, clear }
    enum Answer: Equatable { case dropped, answered, ended }

    static let exchanges = [34, 35, 36, 37, 38, 43, 44, 0, 255].map { ExchangeType(rawValue: $0) }

    /// What a gateway saw of one message.
    struct Effect {
        let drops: Int
        let sent: Int
        let stage: String
        let expected: UInt32?

        init(_ pair: Pair) {
            drops = pair.gateway.drops.values.reduce(0, +) + pair.gateway.doorDrops.values.reduce(0, +)
            sent = pair.wire.sent.count
            stage = pair.gateway.entries[pair.client.responderSPI]?.stage ?? "gone"
            expected = pair.gateway.entries[pair.client.responderSPI]?.messageIDs?.expected
        }
    }

    private func message(_ pair: Pair, _ exchange: ExchangeType, _ flags: IKEHeader.Flags, _ id: UInt32, _ seal: Seal) throws -> [UInt8] {
        if seal == .clear {
            return IKEMessage(
                header: IKEHeader(
                    initiatorSPI: pair.client.initiatorSPI, responderSPI: pair.client.responderSPI, exchange: exchange, flags: flags, messageID: id),
                payloads: [.notify(NotifyPayload(.authenticationFailed))]
            ).encoded()
        }
        var octets = try #require(pair.client.forge(exchange, [], id: id, flags: flags))
        if seal == .wrongICV { octets[octets.count - 1] ^= 0x80 }
        return octets
    }

    /// What an empty message must come to.
    private func answer(
        in stage: StageUnderTest, _ exchange: ExchangeType, response: Bool, initiator: Bool, id: UInt32, _ seal: Seal
    ) -> Answer {
        guard seal == .right, initiator else { return .dropped }
        if response {
            // The answer to the one request that is out: our Delete with ID 0.
            return stage == .deleting && exchange == .informational && id == 0 ? .ended : .dropped
        }
        guard id == stage.expectedID else { return .dropped }
        switch (stage, exchange) {
        case (.halfOpen, .ikeAuth), (.keysDerived, .ikeAuth), (.awaitingEAP, .ikeAuth), (.awaitingFinalAuth, .ikeAuth): return .ended
        case (.established, .informational), (.deleting, .informational), (.deleting, .createChildSA): return .answered
        case (.established, .createChildSA): return .ended
        default: return .dropped
        }
    }

    @Test("stage by exchange, flags, message ID and protection", arguments: StageUnderTest.allCases)
    func threat_C1_headers(_ stage: StageUnderTest) throws {
        var pair = try stage.pair()
        let ids: [UInt32] = [stage.expectedID, 0, 1, 2, 3, 4, 100, .max]
        for exchange in Self.exchanges {
            for response in [false, true] {
                for initiator in [true, false] {
                    for id in ids {
                        for seal in Seal.allCases {
                            var flags: IKEHeader.Flags = response ? .response : []
                            if initiator { flags.insert(.initiator) }
                            let octets = try message(pair, exchange, flags, id, seal)
                            let expected = answer(in: stage, exchange, response: response, initiator: initiator, id: id, seal)
                            let before = Effect(pair)
                            pair.inject(octets, origin: expected == .dropped ? .stranger : .peer)
                            let after = Effect(pair)
                            let what: Comment =
                                "\(stage): exchange \(exchange.rawValue), response \(response), initiator \(initiator), id \(id), \(seal)"
                            switch expected {
                            case .dropped:
                                #expect(after.drops == before.drops + 1 && after.sent == before.sent && after.stage == before.stage, what)
                                #expect(after.expected == before.expected, what)
                            case .answered: #expect(after.drops == before.drops && after.sent == before.sent + 1, what)
                            case .ended: #expect(after.stage == "lingering" || after.stage == "gone", what)
                            }
                            // Each message finds the stage as it was made.
                            if expected != .dropped || after.stage != before.stage {
                                expectSound(pair)
                                pair = try stage.pair()
                            }
                            pair.now = pair.now + .milliseconds(1)
                        }
                    }
                }
            }
        }
        expectSound(pair)
        pair.drain()
        pair.gateway.closeAll(.shutdown, at: pair.now)
        pair.drain()
        expectNothingLeft(pair)
    }

    /// The payloads of an IKE_AUTH request that is right in another IKE SA.
    private func rightRequest() throws -> [Payload] {
        let pair = try Pair(seed: 4242)
        let box = Box()
        pair.client.warrior.tamper = { outgoing in
            if outgoing.header.exchange == .ikeAuth { box.payloads = outgoing.payloads }
            return outgoing
        }
        pair.connect()
        return box.payloads
    }

    private final class Box: @unchecked Sendable { var payloads: [Payload] = [] }

    /// Every payload missing, doubled, in 256 copies, cut, padded, unknown or critical.
    static func variants(of base: [Payload]) -> [(String, [Payload])] {
        var variants: [(String, [Payload])] = [("none", []), ("all twice", base + base), ("reversed", base.reversed())]
        for (index, payload) in base.enumerated() {
            let type = payload.type.rawValue
            let body = Array(PayloadChain.encode([payload]).octets.dropFirst(4))
            func replaced(_ body: [UInt8]) -> [Payload] {
                var changed = base
                changed[index] = .unknown(UnknownPayload(type: payload.type, isCritical: false, body: body))
                return changed
            }
            var without = base
            without.remove(at: index)
            variants.append(("without \(type)", without))
            variants.append(("\(type) twice", base + [payload]))
            variants.append(("\(type) 256 times", base + [Payload](repeating: payload, count: 256)))
            variants.append(("\(type) empty", replaced([])))
            variants.append(("\(type) cut", replaced(Array(body.dropLast()))))
            variants.append(("\(type) with more", replaced(body + [0, 0, 0])))
            variants.append(("\(type) alone", [payload]))
            variants.append(("\(type) in ones", replaced([UInt8](repeating: 0xff, count: body.count))))
            variants.append(("\(type) in noughts", replaced([UInt8](repeating: 0, count: body.count))))
        }
        for type: UInt8 in [1, 49, 53, 46, 48, 128, 255] {
            for critical in [false, true] {
                let unknown = Payload.unknown(UnknownPayload(type: PayloadType(rawValue: type), isCritical: critical, body: [1, 2, 3]))
                variants.append(("\(critical ? "critical " : "")\(type) first", [unknown] + base))
                variants.append(("\(critical ? "critical " : "")\(type) last", base + [unknown]))
            }
        }
        return variants
    }

    @Test("IKE_AUTH with payloads missing, doubled, in 256 copies, unknown and critical", arguments: [StageUnderTest.halfOpen, .keysDerived])
    func threat_C1_authPayloads(_ stage: StageUnderTest) throws {
        let base = try rightRequest()
        for (name, payloads) in Self.variants(of: base) {
            let pair = try stage.pair(knowsKey: false)
            let sent = pair.wire.sent.count
            // AUTH is of another SA: whatever else is in the message, nobody is let in.
            pair.inject(try #require(pair.client.forge(.ikeAuth, payloads, id: 1)), origin: .peer)
            #expect(pair.gateway.established == 0, "\(name)")
            #expect(pair.lastEntry?.ended.count == 1, "\(name)")
            #expect(pair.wire.sent.count == sent + 1, "\(name): one answer")
            #expect(pair.lastEntry?.questions.isEmpty == true, "\(name): no address")
            pair.drain()
            expectNothingLeft(pair)
        }
    }

    @Test(
        "later IKE_AUTH requests with payloads missing, doubled, in 256 copies, unknown and critical",
        arguments: [StageUnderTest.awaitingEAP, .awaitingFinalAuth])
    func threat_C1_eapPayloads(_ stage: StageUnderTest) throws {
        let packet = try #require(EAPPayload([2, 101, 0, 6, 255, 1]))
        let authentication = AuthenticationPayload(method: .sharedKey, data: [UInt8](repeating: 7, count: 32))
        for base in [[Payload.eap(packet)], [.authentication(authentication)], [.eap(packet), .notify(NotifyPayload(.initialContact))]] {
            for (name, payloads) in Self.variants(of: base) {
                let pair = try stage.pair()
                let sent = pair.wire.sent.count
                pair.inject(try #require(pair.client.forge(.ikeAuth, payloads, id: stage.expectedID)), origin: .peer)
                #expect(pair.gateway.established == 0, "\(name)")
                #expect(pair.lastEntry?.ended.count == 1, "\(name)")
                #expect(pair.wire.sent.count == sent + 1, "\(name): one answer")
                #expect(pair.lastEntry?.questions.isEmpty == true, "\(name): no address")
                pair.drain()
                expectNothingLeft(pair)
            }
        }
    }

    @Test("an unknown payload is passed over unless it is critical; RFC 7296 section 2.5", arguments: [false, true])
    func unknownPayload(_ critical: Bool) throws {
        let pair = try Pair()
        pair.client.warrior.tamper = tampering(.ikeAuth) {
            $0.insert(.unknown(UnknownPayload(type: PayloadType(rawValue: 200), isCritical: critical, body: [1])), at: 0)
        }
        pair.connect()
        #expect(pair.client.isEstablished == !critical)
        if critical {
            #expect(pair.gatewaySaidBeforeEnd == [.unsupportedCriticalPayload])
            #expect(pair.lastEntry?.ended == [.protocolError])
        }
        expectSound(pair)
    }

    @Test("an unknown critical payload in IKE_SA_INIT is answered and keeps no state")
    func unknownCriticalInInit() throws {
        let pair = try Pair()
        pair.client.warrior.tamper = tampering(.ikeSAInit) {
            $0.append(.unknown(UnknownPayload(type: PayloadType(rawValue: 201), isCritical: true, body: [])))
        }
        pair.connect()
        #expect(pair.initResponse?.notify(.unsupportedCriticalPayload)?.data == [201])
        expectNothingLeft(pair)
    }

    @Test("protected requests of every form to an established SA, and one that dies", arguments: [StageUnderTest.established, .deleting])
    func threat_C1_protectedPayloads(_ stage: StageUnderTest) throws {
        let base = try rightRequest()
        var rekey = NotifyPayload(.rekeySA)
        rekey.protocolID = 3
        rekey.spi = [1, 2, 3, 4]
        let child: [Payload] = [
            .notify(rekey), .securityAssociation(SecurityAssociationPayload(proposals: ProposalText.ikeDefault)),
            .nonce(NoncePayload(octets: [UInt8](repeating: 1, count: 32))),
            .keyExchange(KeyExchangePayload(method: KeyExchangeMethod(rawValue: 1025), data: [])),
        ]
        let informational: [Payload] = [
            .delete(DeletePayload(protocolID: .esp, spis: [[1, 2, 3, 4]])), .notify(NotifyPayload(.authenticationFailed)),
            .configuration(ConfigurationPayload(type: .request, attributes: [])),
        ]
        for (exchange, payloads) in [
            (ExchangeType.createChildSA, child), (.informational, informational), (.createChildSA, base), (.informational, base),
        ] {
            for (name, variant) in Self.variants(of: payloads) {
                let pair = try stage.pair()
                let before = Effect(pair)
                pair.inject(try #require(pair.client.forge(exchange, variant, id: stage.expectedID)), origin: .peer)
                let after = Effect(pair)
                #expect(after.sent == before.sent + 1, "\(exchange.rawValue) \(name): \(stage) gave \(after.sent - before.sent) answers")
                #expect(pair.gateway.established == 1)
                pair.gateway.closeAll(.shutdown, at: pair.now)
                pair.drain()
                expectNothingLeft(pair)
            }
        }
    }

    @Test("an IKE_SA_INIT request with payloads missing, doubled, in 256 copies, unknown and critical")
    func threat_C1_initPayloads() throws {
        let pair = try Pair()
        pair.start()
        let request = try IKEMessage(parsing: pair.wire.sent[0].octets)
        for (name, payloads) in Self.variants(of: request.payloads) {
            let pair = try Pair()
            let octets = IKEMessage(header: request.header, payloads: payloads).encoded()
            pair.inject(octets)
            #expect(pair.gateway.entries.count <= 1, "\(name)")
            #expect(pair.gateway.octetsOut <= 3 * octets.count, "\(name)")
            pair.drain()
            expectNothingLeft(pair)
        }
    }

    @Test("random octets inside a right ICV", arguments: [UInt64](0..<200))
    func threat_C1_innerFuzz(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let stage: StageUnderTest = [.halfOpen, .established, .deleting][Int(seed % 3)]
        let pair = try stage.pair()
        var base = try rightRequest()
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let index = Int.random(in: 0..<base.count, using: &random)
            var body = Array(PayloadChain.encode([base[index]]).octets.dropFirst(4))
            for _ in 0..<Int.random(in: 1...4, using: &random) where !body.isEmpty {
                body[Int.random(in: 0..<body.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            base[index] = .unknown(UnknownPayload(type: base[index].type, isCritical: false, body: body))
        }
        let exchange: ExchangeType = stage == .halfOpen ? .ikeAuth : seed % 2 == 0 ? .informational : .createChildSA
        pair.inject(try #require(pair.client.forge(exchange, base, id: stage.expectedID)), origin: .peer)
        #expect(stage != .halfOpen || pair.gateway.established == 0, "seed \(seed): AUTH was of another SA")
        pair.gateway.closeAll(.shutdown, at: pair.now)
        pair.drain()
        expectNothingLeft(pair)
    }

    /// Offsets of the payload headers of a clear message.
    private func headers(_ octets: [UInt8]) -> [Int] {
        var offsets: [Int] = []
        var offset = 28
        while offset + 4 <= octets.count {
            offsets.append(offset)
            let length = Int(octets[offset + 2]) << 8 | Int(octets[offset + 3])
            guard length >= 4 else { break }
            offset += length
        }
        return offsets
    }

    @Test("lengths that lie, in every payload and substructure of IKE_SA_INIT; threats.md C2")
    func threat_C2_lengths() throws {
        let pair = try Pair()
        pair.checksEveryStep = false
        pair.start()
        let request = pair.wire.sent[0].octets
        // The proposals' and transforms' own length fields lie behind the SA payload's header.
        let places = headers(request).map { $0 + 2 } + Array(30..<120)
        for place in places where place + 1 < request.count {
            let right = UInt16(request[place]) << 8 | UInt16(request[place + 1])
            for length in Set([0, 1, 2, 3, 4, 5, 7, 8, right &- 1, right &+ 1, 0x7fff, 0xffff]) where length != right {
                var octets = request
                octets[place] = UInt8(length >> 8)
                octets[place + 1] = UInt8(length & 0xff)
                pair.inject(octets)
            }
        }
        #expect(pair.gateway.costliest <= .milliseconds(5), "\(pair.gateway.costliest)")
        pair.drain()
        expectNothingLeft(pair)
    }

    /// `IPSEC_GW_MALFORMED` makes it longer (make soak: millions).
    static let malformed = getenv("IPSEC_GW_MALFORMED").flatMap { Int(String(cString: $0)) } ?? 30_000

    @Test("malformed messages leave nothing behind; threats.md C5")
    func threat_C5_leaks() throws {
        let pair = try Pair()
        pair.checksEveryStep = false
        pair.connect()
        var random = SeededGenerator(seed: 5)
        var requests = try Requests()
        let protected = try #require(
            pair.client.forge(.informational, [.notify(NotifyPayload(.initialContact, data: [UInt8](repeating: 1, count: 3000)))], id: 2))
        func round(_ count: Int) {
            for number in 0..<count {
                var octets = number % 4 == 0 ? requests.next() + [UInt8](repeating: 0, count: 3000) : protected
                for _ in 0..<3 { octets[Int.random(in: 28..<octets.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random) }
                pair.inject(octets)
            }
        }
        round(2000)
        let before = ResidentMemory.octets
        round(Self.malformed)
        // 90 MB of malformed messages and more: none of it may stay. Other tests of this process come and go beside it.
        #expect(ResidentMemory.octets - before < 48_000_000)
        #expect(pair.gateway.entries.count == 1)
        #expect(pair.entry?.isEstablished == true)
        pair.close()
        pair.drain()
        expectNothingLeft(pair)
    }
}

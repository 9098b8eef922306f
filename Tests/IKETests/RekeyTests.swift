import GatewayCrypto
import GatewayTesting
import IKE
import IKEMessages
import RoadWarrior
import Testing
import Wire

/// The client's side of an IKE SA that replaced another, with keys derived here once more (RFC 7296 section 2.18): AES-128-GCM, HMAC-SHA256, X25519.
final class ReplacedSA {
    let initiatorSPI: IKESPI = 0xabcd_0000_0000_0001
    private(set) var responderSPI: IKESPI = 0
    let nonce = [UInt8](repeating: 0x77, count: 32)
    private let key: KeyBox
    private var sealer: CipherBox?
    private var opener: CipherBox?
    private var count: UInt64 = 0

    // Classes, so that what cannot be copied can be kept in an Optional and reached from closures.
    private final class KeyBox {
        let key: KeyExchange
        init(_ key: consuming KeyExchange) { self.key = key }
    }

    private final class CipherBox {
        var cipher: RecordCipher
        init(_ cipher: consuming RecordCipher) { self.cipher = cipher }
    }

    init(seed: UInt64 = 9) throws {
        key = KeyBox(try KeyExchange(.x25519, entropy: SeededEntropy(seed: seed)))
    }

    /// SA, Ni, KEi.
    func request(spi: [UInt8]? = nil, group: KeyExchangeMethod = .x25519, withKey: Bool = true) throws -> [Payload] {
        var own: [UInt8] = []
        own.append(bigEndian: initiatorSPI)
        let proposals = try ProposalText.ike("aes128gcm16-prfsha256-x25519-ecp256").map {
            Proposal(number: $0.number, protocolID: .ike, spi: spi ?? own, transforms: $0.transforms)
        }
        return [
            .securityAssociation(SecurityAssociationPayload(proposals: proposals)), .nonce(NoncePayload(octets: nonce)),
        ] + (withKey ? [.keyExchange(KeyExchangePayload(method: group, data: key.key.publicValue))] : [])
    }

    /// Derives the keys from the response; false when it is none.
    func accept(_ response: [Payload], old: [UInt8]) throws -> Bool {
        var answer: (spi: [UInt8], nonce: [UInt8], key: [UInt8]) = ([], [], [])
        for payload in response {
            switch payload {
            case .securityAssociation(let sa): answer.spi = sa.proposals.first?.spi ?? []
            case .nonce(let value): answer.nonce = value.octets
            case .keyExchange(let value): answer.key = value.data
            default: continue
            }
        }
        guard answer.spi.count == 8, let prf = PRF(.hmacSHA256),
            let suite = ProtectionSuite(encryption: .aesGCM16, keyBits: 128, integrity: .none)
        else { return false }
        responderSPI = answer.spi.reduce(0) { $0 << 8 | IKESPI($1) }
        // SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr)
        let shared = try key.key.sharedSecret(with: answer.key).exposed()
        let seed = try prf(key: SecretOctets(copying: old), shared + nonce + answer.nonce)
        let encryption = suite.encryptionKeyLength
        let all = try Derivation.material(
            prf, seed: seed, initiatorNonce: nonce, responderNonce: answer.nonce, initiatorSPI: initiatorSPI, responderSPI: responderSPI,
            count: 3 * prf.keyLength + 2 * encryption)
        let begin = prf.keyLength
        let none = SecretOctets(copying: [UInt8]())
        sealer = CipherBox(
            try RecordCipher(suite, encryptionKey: all.slice(begin..<begin + encryption), integrityKey: none, direction: .seal))
        opener = CipherBox(
            try RecordCipher(
                suite, encryptionKey: all.slice(begin + encryption..<begin + 2 * encryption), integrityKey: none, direction: .open))
        return true
    }

    func seal(_ exchange: ExchangeType, _ payloads: [Payload], id: UInt32, flags: IKEHeader.Flags = [.initiator]) -> [UInt8] {
        let header = IKEHeader(initiatorSPI: initiatorSPI, responderSPI: responderSPI, exchange: exchange, flags: flags, messageID: id)
        let layout = EncryptedMessageLayout(header: header, payloads: payloads, ivLength: 8, blockLength: 1, icvLength: 16)
        var octets = layout.octets
        var iv: [UInt8] = []
        iv.append(bigEndian: count)
        count += 1
        octets.replaceSubrange(layout.iv, with: iv)
        _ = octets.withUnsafeMutableBytes { all in
            sealer?.cipher.seal(
                aad: UnsafeRawBufferPointer(rebasing: all[layout.aad]), iv: UnsafeRawBufferPointer(rebasing: all[layout.iv]),
                text: UnsafeMutableRawBufferPointer(rebasing: all[layout.text]), macTrailer: UnsafeRawBufferPointer(start: nil, count: 0),
                icv: UnsafeMutableRawBufferPointer(rebasing: all[layout.icv]))
        }
        return octets
    }

    /// The payloads of a message of the gateway; nil when it is not of this SA.
    func open(_ octets: [UInt8]) -> [Payload]? {
        guard let message = try? IKEMessage(parsing: octets), message.header.responderSPI == responderSPI, let sk = message.encryptedPayload
        else { return nil }
        var text = Array(octets[sk.content.lowerBound + 8..<octets.count - 16])
        let opened = octets.withUnsafeBytes { all in
            text.withUnsafeMutableBytes { text in
                opener?.cipher.open(
                    aad: UnsafeRawBufferPointer(rebasing: all[0..<sk.content.lowerBound]),
                    iv: UnsafeRawBufferPointer(rebasing: all[sk.content.lowerBound..<sk.content.lowerBound + 8]), text: text,
                    macTrailer: UnsafeRawBufferPointer(start: nil, count: 0),
                    icv: UnsafeRawBufferPointer(rebasing: all[(octets.count - 16)...])) ?? false
            }
        }
        return opened ? try? sk.innerPayloads(decrypted: text) : nil
    }
}

@Suite("An IKE SA is replaced by the client: RFC 7296 sections 1.3.2, 2.18 and 2.25.2")
struct RekeyTests {
    private static let profile = EndingTests.dpd(10, retries: 3)

    private func rekeyed(_ pair: Pair) throws -> ReplacedSA {
        let fresh = try ReplacedSA()
        pair.request(.createChildSA, try fresh.request())
        pair.settle()
        let old = try #require(pair.client.keys).d
        let accepted = try fresh.accept(try #require(pair.client.responses.last), old: old)
        try #require(accepted, "\(pair.client.refusals)")
        return fresh
    }

    private func established() throws -> Pair {
        // The road warrior's PRF is taken for the old SA's.
        try Pair.established(profile: Self.profile) { $0.ikeProposals = (try? ProposalText.ike("aes128gcm16-prfsha256-x25519")) ?? [] }
    }

    private func last(_ pair: Pair) -> [UInt8] { pair.wire.sent.last?.octets ?? [] }

    @Test("the new SA has its own keys and message IDs, and the Child SA moves to it")
    func replaced() throws {
        let pair = try established()
        let children = pair.entry?.children
        let fresh = try rekeyed(pair)
        #expect(pair.entry?.spis.count == 2 && pair.entry?.messageIDs?.expected == 0)
        pair.inject(fresh.seal(.informational, [], id: 0), origin: .peer)
        #expect(fresh.open(last(pair)) == [])
        #expect(pair.entry?.children == children)
        // The old SA is deleted by the client, its answer repeated for a while, and then its SPI is nobody's.
        let delete = try #require(pair.client.forge(.informational, [.delete(DeletePayload(protocolID: .ike, spis: []))], id: 3))
        pair.inject(delete, origin: .peer)
        #expect(pair.client.warriorReveals(last(pair)) == [])
        let answer = last(pair)
        pair.inject(delete, origin: .peer)
        #expect(last(pair) == answer)
        #expect(pair.entry?.isEstablished == true && pair.entry?.ended == [])
        pair.client.isSilent = true
        pair.run(for: .milliseconds(10_500))
        #expect(pair.entry?.spis == [fresh.responderSPI])
        // The new SA is deleted on its own.
        pair.inject(fresh.seal(.informational, [.delete(DeletePayload(protocolID: .ike, spis: []))], id: 1), origin: .peer)
        #expect(pair.lastEntry?.ended == [.peerDelete])
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("an old SA that nobody deletes is forgotten after a minute, and liveness is asked on the new one")
    func forgotten() throws {
        let pair = try established()
        let fresh = try rekeyed(pair)
        pair.client.isSilent = true
        pair.run(for: .seconds(11))
        #expect(fresh.open(last(pair)) == [], "a liveness check")
        for second in 0..<60 {
            pair.entry?.activity = pair.now
            if second == 0 { pair.inject(fresh.seal(.informational, [], id: 0, flags: [.initiator, .response]), origin: .peer) }
            pair.run(for: .seconds(1))
        }
        #expect(pair.entry?.spis == [fresh.responderSPI])
        pair.entry?.activity = nil
        pair.drain()
        #expect(pair.lastEntry?.ended == [.deadPeer])
        expectNothingLeft(pair)
    }

    @Test("the gateway deletes the new SA, with its keys and the first message ID, while the client deletes the old one", arguments: [true, false])
    func deletedByGateway(answersFirst: Bool) throws {
        let pair = try established()
        let fresh = try rekeyed(pair)
        pair.closeFromGateway()
        #expect(fresh.open(last(pair))?.deletes == [DeletePayload(protocolID: .ike, spis: [])])
        // The client's Delete of the old SA crosses ours, and is answered whichever comes first.
        let delete = try #require(pair.client.forge(.informational, [.delete(DeletePayload(protocolID: .ike, spis: []))], id: 3))
        if !answersFirst { pair.inject(delete, origin: .peer) }
        pair.inject(fresh.seal(.informational, [], id: 0, flags: [.initiator, .response]), origin: .peer)
        if answersFirst { pair.inject(delete, origin: .peer) }
        #expect(pair.client.warriorReveals(last(pair)) == [])
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("the response is repeated octet for octet, on the old SA")
    func repeated() throws {
        let pair = try established()
        pair.lose { $0.is(.createChildSA, response: true) }
        let fresh = try ReplacedSA()
        pair.request(.createChildSA, try fresh.request())
        pair.run(for: .seconds(2))
        let answers = pair.flights(.createChildSA, response: true, fromClient: false)
        #expect(answers.count == 2 && answers[0].octets == answers[1].octets)
        #expect(pair.entry?.spis.count == 2)
        expectSound(pair)
    }

    @Test("what the old SA still asks for is refused: TEMPORARY_FAILURE")
    func requestsOnOld() throws {
        let pair = try established()
        _ = try rekeyed(pair)
        pair.request(.createChildSA, try ReplacedSA(seed: 10).request())
        pair.settle()
        #expect(pair.client.refusals == [.temporaryFailure])
        pair.request(.informational, [.notify(NotifyPayload(.authenticationFailed))])
        pair.settle()
        #expect(pair.entry?.isEstablished == true)
        expectSound(pair)
    }

    @Test("a replaced SA must be gone before the new one is replaced")
    func twice() throws {
        let pair = try established()
        let fresh = try rekeyed(pair)
        pair.inject(fresh.seal(.createChildSA, try ReplacedSA(seed: 11).request(), id: 0), origin: .peer)
        #expect(fresh.open(last(pair))?.notifyTypes == [.temporaryFailure])
        expectSound(pair)
    }

    @Test("not while a Child SA is being closed: its Delete would be lost (section 2.25.2)")
    func whileClosingChild() throws {
        let pair = try established()
        pair.wire.fate = { $0.is(.informational, response: false, fromClient: false) ? .drop : .deliver }
        pair.feed(.childExhausted(spi: try #require(pair.entry?.children.first).inboundSPI))
        pair.request(.createChildSA, try ReplacedSA().request())
        pair.settle()
        #expect(pair.client.refusals == [.temporaryFailure])
        pair.wire.fate = { _ in .deliver }
        pair.run(for: .seconds(2))
        #expect(pair.client.childSA == nil)
        expectSound(pair)
    }

    @Test("requests that cannot be granted leave the SA or end it, as section 2.21.3 says")
    func refused() throws {
        let refusals: [([Payload], NotifyType, Bool)] = [
            (try ReplacedSA().request(group: .ecp256), .invalidKEPayload, false), (try ReplacedSA().request(withKey: false), .invalidSyntax, true),
            (try ReplacedSA().request(spi: [UInt8](repeating: 0, count: 8)), .invalidSyntax, true),
            (try ReplacedSA().request(spi: []), .noProposalChosen, false),
        ]
        for (payloads, notify, ends) in refusals {
            let pair = try established()
            let noughts = notify == .invalidKEPayload
            pair.request(.createChildSA, payloads)
            pair.settle()
            // A key of 32 octets under the name of ECP-256 may be called what it is: malformed.
            #expect(pair.client.refusals == [notify] || noughts && pair.client.refusals == [.invalidSyntax], "\(pair.client.refusals)")
            if !noughts { #expect((pair.lastEntry?.ended == []) == !ends) }
            #expect(pair.entry.map { $0.spis.count } ?? 0 <= 2)
            pair.gateway.closeAll(.shutdown, at: pair.now)
            pair.drain()
            expectNothingLeft(pair)
        }
    }
}

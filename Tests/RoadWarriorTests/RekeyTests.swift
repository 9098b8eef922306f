import GatewayCrypto
import GatewayTesting
import IKE
import IKEMessages
import RoadWarrior
import Testing
import Wire

/// Rekeys between the client and the gateway's machine in memory: two implementations that share nothing but messages and ciphers.
struct RekeyTests {
    private func pair(
        seed: UInt64 = 1, esp: String = "aes256gcm16-noesn", gatewayPFS: Bool = false,
        _ change: (inout RoadWarrior.Settings) -> Void = { _ in }
    ) throws -> Pair {
        let proposals = try ProposalText.esp(esp)
        let profile = Pair.profile { profile in
            for index in profile.childTransforms.indices { profile.childTransforms[index].prefersPFS = gatewayPFS }
        }
        return try Pair.established(seed: seed, profile: profile) {
            $0.espProposals = proposals
            change(&$0)
        }
    }

    private func rekeyChild(_ pair: Pair) { pair.act(pair.client) { $0.rekeyChild(at: $1, into: &$2) } }
    private func rekeyIKE(_ pair: Pair) { pair.act(pair.client) { $0.rekeyIKE(at: $1, into: &$2) } }

    private func childRekeys(_ pair: Pair) -> [Bool] {
        pair.client.events.compactMap { if case .childRekeyed(_, _, let byUs) = $0 { byUs } else { nil } }
    }
    private func ikeRekeys(_ pair: Pair) -> [Bool] {
        pair.client.events.compactMap { if case .ikeRekeyed(_, _, let byUs) = $0 { byUs } else { nil } }
    }
    private func delivered(_ pair: Pair) -> [[UInt8]] {
        pair.client.events.compactMap { if case .delivered(let packet) = $0 { packet } else { nil } }
    }

    /// Both sides have one Child SA, the same, and packets sealed on one side open with the keys of the other.
    private func expectOneChild(_ pair: Pair, _ entry: PairGateway.Entry, _ note: Comment) throws {
        let child = try #require(pair.client.childSA, note)
        #expect(pair.client.childSAs == [child], note)
        #expect(entry.children.map(\.inboundSPI) == [child.outboundSPI] && entry.children.map(\.outboundSPI) == [child.inboundSPI], note)
        let keys = try #require(pair.gateway.exposedKeys[child.outboundSPI], note)
        let packet = try #require(pair.client.seal(anything: [UInt8](repeating: 0x45, count: 40)), note)
        var octets = packet
        var opener = try RecordCipher(
            child.protection, encryptionKey: SecretOctets(copying: keys.inboundEncryption),
            integrityKey: SecretOctets(copying: keys.inboundIntegrity), direction: .open)
        let opened = octets.withUnsafeMutableBytes { all in
            opener.open(
                aad: UnsafeRawBufferPointer(rebasing: all[0..<8]), iv: UnsafeRawBufferPointer(rebasing: all[8..<16]),
                text: UnsafeMutableRawBufferPointer(rebasing: all[16..<all.count - 16]), macTrailer: UnsafeRawBufferPointer(start: nil, count: 0),
                icv: UnsafeRawBufferPointer(rebasing: all[all.count - 16..<all.count]))
        }
        #expect(opened, note)
        let before = delivered(pair).count
        let inner = try self.packet(to: pair)
        let sealed = try seal(inner, child, keys)
        pair.act(pair.client) { $0.receive(packet: sealed, from: Pair.gatewayAddress, at: $1, into: &$2) }
        #expect(delivered(pair).dropFirst(before) == [inner], note)
        #expect(pair.checkNow().isEmpty, note)
    }

    /// An IPv4 packet to the client's inner address.
    private func packet(to pair: Pair) throws -> [UInt8] {
        let address = try #require(pair.client.establishment?.innerAddresses.first)
        return [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 59, 0, 0, 10, 0, 0, 9] + address.octets
    }

    /// As the gateway's datapath seals, with its first sequence number.
    private func seal(_ inner: [UInt8], _ child: RoadWarrior.ChildEstablished, _ keys: PairGateway.ExposedChildKeys) throws -> [UInt8] {
        var packet: [UInt8] = []
        packet.append(bigEndian: child.inboundSPI)
        packet.append(bigEndian: UInt32(1))
        packet.append(bigEndian: UInt64(1))
        packet += inner + [1, 2, 2, 4] + [UInt8](repeating: 0, count: 16)
        var sealer = try RecordCipher(
            child.protection, encryptionKey: SecretOctets(copying: keys.outboundEncryption),
            integrityKey: SecretOctets(copying: keys.outboundIntegrity), direction: .seal)
        let sealed = packet.withUnsafeMutableBytes { all in
            sealer.seal(
                aad: UnsafeRawBufferPointer(rebasing: all[0..<8]), iv: UnsafeRawBufferPointer(rebasing: all[8..<16]),
                text: UnsafeMutableRawBufferPointer(rebasing: all[16..<all.count - 16]), macTrailer: UnsafeRawBufferPointer(start: nil, count: 0),
                icv: UnsafeMutableRawBufferPointer(rebasing: all[all.count - 16..<all.count]))
        }
        guard sealed else { throw CryptoError.library }
        return packet
    }

    @Test(arguments: ["aes256gcm16-noesn", "aes256gcm16-x25519-noesn", "aes128gcm16-ecp256-noesn"])
    func RFC7296_1_3_3_childByUs(esp: String) throws {
        let pair = try pair(esp: esp)
        let entry = try #require(pair.entry)
        for round in 1...3 {
            rekeyChild(pair)
            pair.settle()
            // The gateway does no more than two key exchanges a second for one client.
            pair.run(for: .seconds(2))
            #expect(childRekeys(pair) == [Bool](repeating: true, count: round))
            try expectOneChild(pair, entry, "round \(round)")
        }
        #expect(pair.client.isEstablished)
    }

    /// The network may let the answer to a Delete overtake the last packets of the SA: they are taken once, and for five seconds.
    @Test(arguments: [(seconds: 4, isTaken: true), (seconds: 6, isTaken: false)])
    func RFC7296_1_4_1_packetsBehindTheAnswerToOurDelete(seconds: Int, isTaken: Bool) throws {
        let pair = try pair()
        let old = try #require(pair.client.childSA)
        let keys = try #require(pair.gateway.exposedKeys[old.outboundSPI])
        rekeyChild(pair)
        pair.settle()
        let new = try #require(pair.client.childSA)
        #expect(new != old && pair.client.childSAs == [new])
        pair.run(for: .seconds(seconds))
        let inner = try packet(to: pair)
        let sealed = try seal(inner, old, keys)
        for _ in 0..<2 { pair.act(pair.client) { $0.receive(packet: sealed, from: Pair.gatewayAddress, at: $1, into: &$2) } }
        #expect(delivered(pair) == (isTaken ? [inner] : []))
        #expect(pair.client.childSA == new)
    }

    @Test func RFC7296_2_18_ikeByUsKeepsTheChildSA() throws {
        let pair = try pair()
        let entry = try #require(pair.entry)
        let child = pair.client.childSA
        for round in 1...3 {
            let spis = [pair.client.initiatorSPI, pair.client.responderSPI]
            rekeyIKE(pair)
            pair.settle()
            pair.run(for: .seconds(2))
            #expect(ikeRekeys(pair) == [Bool](repeating: true, count: round) && entry.rekeys == round)
            #expect(pair.client.initiatorSPI != spis[0] && pair.client.responderSPI != spis[1])
            #expect(pair.client.childSA == child)
        }
        try expectOneChild(pair, entry, "after IKE rekeys")
        rekeyChild(pair)
        pair.settle()
        try expectOneChild(pair, entry, "a Child SA from the new SK_d")
        pair.close()
        pair.settle()
        #expect(pair.client.closure == .deletedByUs(answered: true) && !entry.ended.isEmpty)
    }

    /// The gateway's rekeys with a key exchange of their own, where the client asks for it and where it does not.
    @Test(arguments: [("aes256gcm16-noesn", false), ("aes256gcm16-x25519-noesn", true), ("aes256gcm16-noesn", true)])
    func RFC7296_1_3_3_childByTheGateway(esp: String, gatewayPFS: Bool) throws {
        let pair = try pair(esp: esp, gatewayPFS: gatewayPFS)
        let entry = try #require(pair.entry)
        for round in 1...3 {
            let old = try #require(pair.client.childSA)
            pair.feed(.childAging(spi: old.outboundSPI))
            pair.settle()
            pair.run(for: .seconds(20))
            #expect(childRekeys(pair) == [Bool](repeating: false, count: round))
            try expectOneChild(pair, entry, "round \(round)")
        }
    }

    /// threats.md section 4, collision: both start at once, and of the four nonces the lowest says whose SA is redundant.
    @Test func RFC7296_2_8_1_childCollisions() throws {
        var winners: Set<Bool> = []
        for seed in UInt64(1)...24 {
            let pair = try pair(seed: seed)
            let entry = try #require(pair.entry)
            let old = try #require(pair.client.childSA)
            rekeyChild(pair)
            pair.feed(.childAging(spi: old.outboundSPI))
            pair.settle()
            pair.run(for: .seconds(20))
            try expectOneChild(pair, entry, "seed \(seed)")
            #expect(pair.client.isEstablished && pair.client.childSA != old, "seed \(seed)")
            winners.insert(childRekeys(pair).contains(true))
        }
        #expect(winners.count == 2, "nonces never fell both ways")
    }

    /// threats.md section 4: both replace the IKE SA at once; the gateway by its lifetime, and we before we have heard of it.
    @Test func RFC7296_2_8_2_ikeCollisions() throws {
        var winners: Set<Bool> = []
        let profile = Pair.profile { profile in
            profile.policy.transforms = profile.policy.transforms.map {
                var transform = $0
                transform.lifetime = .seconds(100)
                return transform
            }
        }
        let proposals = try ProposalText.esp("aes256gcm16-noesn")
        for seed in UInt64(1)...24 {
            let pair = try Pair.established(seed: seed, profile: profile) { $0.espProposals = proposals }
            let entry = try #require(pair.entry)
            pair.wire.fate = { $0.is(.createChildSA, response: false, fromClient: false) ? .hold : .deliver }
            for _ in 0..<96 where pair.wire.held.isEmpty { pair.run(for: .seconds(1)) }
            #expect(!pair.wire.held.isEmpty, "seed \(seed)")
            rekeyIKE(pair)
            pair.wire.fate = { _ in .deliver }
            pair.releaseHeld()
            pair.settle()
            pair.run(for: .seconds(30))
            #expect(pair.client.isEstablished && entry.ended.isEmpty, "seed \(seed): \(String(describing: pair.client.closure))")
            #expect(ikeRekeys(pair).count == 1, "seed \(seed)")
            winners.formUnion(ikeRekeys(pair))
            pair.probe()
            pair.run(for: .seconds(5))
            #expect(pair.client.isEstablished, "seed \(seed)")
            try expectOneChild(pair, entry, "seed \(seed)")
        }
        #expect(winners.count == 2, "nonces never fell both ways")
    }

    /// Two days of the gateway's lifetimes: Child SAs by the hour, the IKE SA by the day; the client follows.
    @Test func RFC7296_2_8_twoDays() throws {
        let pair = try pair()
        let entry = try #require(pair.entry)
        pair.run(for: .seconds(180_000))
        #expect(pair.client.isEstablished, "\(String(describing: pair.client.closure))")
        #expect(childRekeys(pair).count >= 45 && childRekeys(pair).allSatisfy { !$0 })
        #expect(ikeRekeys(pair).count >= 2 && ikeRekeys(pair).allSatisfy { !$0 })
        try expectOneChild(pair, entry, "after two days")
    }

    @Test func programs_rekeyByTimeAndByPackets() throws {
        let timed = try pair {
            $0.childRekey = .seconds(60)
            $0.ikeRekey = .seconds(150)
        }
        timed.run(for: .seconds(605))
        #expect((8...10).contains(childRekeys(timed).filter { $0 }.count) && ikeRekeys(timed).filter { $0 }.count == 4)
        let counted = try pair { $0.childRekeyPackets = 5 }
        for _ in 0..<11 {
            _ = counted.client.seal(anything: [0x45])
            counted.run(for: .seconds(1))
        }
        #expect(childRekeys(counted) == [true, true])
    }

    /// RFC 7296 section 2.25.1: the Child SA is unknown to the gateway, or refused for now.
    @Test func RFC7296_2_25_1_lostAndBusy() throws {
        let pair = try Pairing.established()
        var outputs: [RoadWarrior.Output] = []
        pair.warrior.rekeyChild(at: pair.now, into: &outputs)
        pair.take(outputs)
        pair.gateway.createChildAnswer = .temporaryFailure
        try pair.run()
        #expect(pair.childSA == pair.child)
        // Later, once more; now the gateway says that there is no such Child SA, and gets asked for another.
        pair.gateway.createChildAnswer = .childSANotFound
        let asked = pair.gateway.opened.count
        #expect(pair.strike())
        try pair.run()
        let requests = pair.gateway.opened.dropFirst(asked).filter { $0.0.exchange == .createChildSA }
        #expect(requests.count == 2)
        func hasRekey(_ payloads: [Payload]) -> Bool {
            payloads.contains { if case .notify(let notify) = $0 { notify.type == .rekeySA } else { false } }
        }
        #expect(requests.map { hasRekey($0.1) } == [true, false])
        #expect(pair.childSA == nil)
        #expect(pair.refusals.last?.notify.type == .childSANotFound)
    }

    @Test func RFC7296_2_25_requestsThatComeAtTheWrongTime() throws {
        let pair = try Pairing.established()
        func rekey(_ spi: UInt32, id: UInt32) throws -> NotifyType? {
            var notify = NotifyPayload(.rekeySA)
            notify.protocolID = 3
            notify.spi.append(bigEndian: spi)
            let answer = try pair.request(
                .createChildSA, [.notify(notify), .nonce(NoncePayload(octets: [UInt8](repeating: 1, count: 32)))], id: id)
            guard case .notify(let notify)? = answer?.1.first else { return nil }
            return notify.type
        }
        #expect(try rekey(0x1234_5678, id: 0) == .childSANotFound)
        #expect(try rekey(pair.gateway.espSPI, id: 1) == .invalidSyntax)
        // While our own request for a new IKE SA is under way.
        var outputs: [RoadWarrior.Output] = []
        pair.warrior.rekeyIKE(at: pair.now, into: &outputs)
        #expect(try rekey(pair.gateway.espSPI, id: 2) == .temporaryFailure)
        #expect(pair.closure == nil)
    }
}

extension PairClient {
    var childSAs: [RoadWarrior.ChildEstablished] { warrior.childSAs }
}

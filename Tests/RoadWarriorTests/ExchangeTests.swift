import GatewayCrypto
import IKEMessages
import RoadWarrior
import Testing
import Wire

/// The message window, retransmission, liveness and Deletes, RFC 7296 sections 1.4, 2.1 to 2.4.
struct ExchangeTests {
    @Test func threat_I5_retransmissionsAreTheSameOctetsWithLongerWaits() throws {
        let pair = Pairing { $0.retransmission = .init(first: .seconds(1), attempts: 5) }
        pair.lost = Set(0..<100)
        let began = pair.now
        pair.start()
        var times = [pair.now]
        while pair.closure == nil, pair.strike() { times.append(pair.now) }
        #expect(pair.closure == .noAnswer(.ikeSAInit))
        #expect(pair.sent.count == 5 && Set(pair.sent.map(\.octets)).count == 1)
        #expect(times.map { ($0 - began).components.seconds } == [0, 1, 3, 7, 15, 31])
    }

    @Test func RFC7296_2_1_aLostRequestIsMadeUpFor() throws {
        let pair = Pairing()
        pair.lost = [0, 2]
        try pair.connect()
        while pair.child == nil, pair.strike() { try pair.run() }
        #expect(pair.child != nil && pair.sent.count == 4)
        #expect(pair.sent[0].octets == pair.sent[1].octets && pair.sent[2].octets == pair.sent[3].octets)
    }

    @Test func RFC7296_2_4_aQuestionIsAnsweredAndAnsweredTheSameAgain() throws {
        let pair = Pairing()
        try pair.connect()
        let question = try pair.gateway.seal(.informational, [], id: 0, response: false)
        pair.deliver(question)
        let first = try #require(pair.sent.last)
        let message = try IKEMessage(parsing: first.octets)
        #expect(message.header.isResponse && message.header.isFromInitiator && message.header.messageID == 0)
        #expect(try pair.gateway.open(message, first.octets).isEmpty)
        let count = pair.sent.count
        pair.deliver(question)
        #expect(pair.sent.count == count + 1 && pair.sent.last?.octets == first.octets)
        #expect(pair.expectedMessageID == 1)
    }

    @Test(arguments: [UInt32(1), 2, 7, .max])
    func threat_P7_requestsOutsideTheWindowHaveNoEffect(id: UInt32) throws {
        let pair = Pairing()
        try pair.connect()
        let count = pair.sent.count
        #expect(try pair.request(.informational, [.delete(DeletePayload(protocolID: .ike, spis: []))], id: id) == nil)
        #expect(pair.sent.count == count && pair.closure == nil && pair.drops.outsideWindow == 1)
    }

    @Test func RFC7296_1_4_1_deleteByUs() throws {
        let pair = Pairing()
        try pair.connect()
        pair.close()
        try pair.run()
        #expect(pair.gateway.opened.last?.1 == [.delete(DeletePayload(protocolID: .ike, spis: []))])
        #expect(pair.closure == .deletedByUs(answered: true))
        #expect(pair.nextDeadline == nil)
    }

    @Test func RFC7296_1_4_1_anUnansweredDeleteEndsToo() throws {
        let pair = Pairing()
        try pair.connect()
        pair.lost = Set(0..<100)
        pair.close()
        while pair.closure == nil, pair.strike() {}
        #expect(pair.closure == .deletedByUs(answered: false))
    }

    @Test func RFC7296_2_25_2_deletesThatCross() throws {
        let pair = Pairing()
        try pair.connect()
        pair.lost = [pair.sent.count]
        pair.close()
        let answer = try pair.request(.informational, [.delete(DeletePayload(protocolID: .ike, spis: []))], id: 0)
        #expect(answer?.1.isEmpty == true && pair.closure == .deletedByPeer)
    }

    @Test func RFC7296_1_4_1_theChildSAAloneIsDeletedWithItsOtherHalf() throws {
        let pair = Pairing()
        try pair.connect()
        let child = try #require(pair.child)
        func octets(_ spi: UInt32) -> [UInt8] {
            var result: [UInt8] = []
            result.append(bigEndian: spi)
            return result
        }
        let answer = try pair.request(
            .informational, [.delete(DeletePayload(protocolID: .esp, spis: [octets(child.outboundSPI)]))], id: 0)
        #expect(answer?.1 == [.delete(DeletePayload(protocolID: .esp, spis: [octets(child.inboundSPI)]))])
        #expect(pair.events.contains(.childClosed(child.inboundSPI)) && pair.closure == nil)
        #expect(pair.childSA == nil)
    }

    @Test func RFC7296_1_3_furtherChildSAsAreDeclined() throws {
        let pair = Pairing()
        try pair.connect()
        let answer = try pair.request(.createChildSA, [.nonce(NoncePayload(octets: [UInt8](repeating: 1, count: 32)))], id: 0)
        #expect(answer?.1 == [.notify(NotifyPayload(.noAdditionalSAs))])
    }

    @Test func RFC7296_2_4_silenceIsAskedAboutAndEnds() throws {
        let pair = Pairing { $0.liveness = .seconds(30) }
        try pair.connect()
        let before = pair.sent.count
        let began = pair.now
        #expect(pair.strike())
        #expect((pair.now - began).components.seconds == 30)
        try pair.run()
        #expect(pair.sent.count == before + 1 && pair.gateway.opened.last?.1.isEmpty == true && pair.closure == nil)
        pair.lost = Set(0..<1000)
        while pair.closure == nil, pair.strike() {}
        #expect(pair.closure == .noAnswer(.informational))
    }

    @Test func RFC3948_2_3_keepaliveBehindANAT() throws {
        let pair = Pairing { $0.natClaim = .behindNAT }
        try pair.connect()
        #expect(pair.strike())
        let last = try #require(pair.sent.last)
        #expect(last.content == .keepalive && last.payload == [0xff] && last.remote.port == 4500)
    }

    @Test func threat_P11_unprotectedMessagesChangeNothing() throws {
        let pair = Pairing()
        try pair.connect()
        let header = IKEHeader(
            initiatorSPI: pair.warrior.initiatorSPI, responderSPI: pair.warrior.responderSPI, exchange: .informational,
            flags: [], messageID: 0)
        let count = pair.sent.count
        pair.deliver(IKEMessage(header: header, payloads: [.delete(DeletePayload(protocolID: .ike, spis: []))]).encoded())
        #expect(pair.closure == nil && pair.sent.count == count && pair.drops.unprotected == 1)
    }

    /// Every single bit of a protected message that is changed makes it nothing.
    @Test func threat_C6_noChangedOctetIsAccepted() throws {
        let pair = Pairing()
        try pair.connect()
        let delete = try pair.gateway.seal(
            .informational, [.delete(DeletePayload(protocolID: .ike, spis: []))], id: 0, response: false)
        for index in delete.indices {
            for bit in 0..<8 {
                var changed = delete
                changed[index] ^= 1 << UInt8(bit)
                pair.deliver(changed)
            }
        }
        #expect(pair.closure == nil && pair.drops.total == UInt64(delete.count * 8))
        pair.deliver(delete)
        #expect(pair.closure == .deletedByPeer)
    }

    @Test func threat_P13_ourOwnMessagesReflected() throws {
        let pair = Pairing()
        try pair.connect()
        let own = pair.sent.map(\.octets)
        for octets in own { pair.deliver(octets) }
        #expect(pair.closure == nil && pair.drops.total == UInt64(own.count))
    }

    @Test func forgedMessagesAreProperlyProtected() throws {
        let pair = Pairing()
        try pair.connect()
        let forged = try #require(pair.forge(.createChildSA, [.notify(NotifyPayload(.cookie))], messageID: 77))
        let message = try IKEMessage(parsing: forged)
        #expect(message.header.messageID == 77 && message.header.exchange == .createChildSA)
        #expect(try pair.gateway.open(message, forged) == [.notify(NotifyPayload(.cookie))])
        #expect(pair.nextMessageID == 2)
    }

    @Test func requestsQueueBehindTheOneUnderWay() throws {
        let pair = Pairing()
        try pair.connect()
        var outputs: [RoadWarrior.Output] = []
        pair.warrior.request(.informational, [.notify(NotifyPayload(.cookie))], at: pair.now, into: &outputs)
        pair.warrior.request(.informational, [], at: pair.now, into: &outputs)
        #expect(outputs.count == 1)
        pair.take(outputs)
        try pair.run()
        #expect(pair.gateway.opened.suffix(2).map(\.0.messageID) == [2, 3])
        let responses = pair.events.compactMap { if case .response(_, let id, _) = $0 { id } else { nil } }
        #expect(responses == [2, 3])
    }

    /// Random octets, and parts of real messages, from the gateway's address at every stage.
    @Test(arguments: [UInt64(1), 2, 3, 4])
    func threat_C1_noiseNeitherTrapsNorChangesAnything(seed: UInt64) throws {
        let noise = SeededEntropy(seed: seed)
        func hail(_ pair: Pairing) {
            let valid = pair.answers + pair.sent.map(\.octets)
            for round in 0..<400 {
                var octets = noise.octets(Int(noise.octets(1)[0]))
                if round.isMultiple(of: 2), let base = valid.randomPick(noise) {
                    octets = base
                    for _ in 0...Int(noise.octets(1)[0] % 4) {
                        guard !octets.isEmpty else { break }
                        let at = Int(noise.octets(2).reduce(0) { $0 << 8 | UInt($1) } % UInt(octets.count))
                        switch noise.octets(1)[0] % 3 {
                        case 0: octets[at] = noise.octets(1)[0]
                        case 1: octets.removeSubrange(at...)
                        default: octets.insert(contentsOf: noise.octets(3), at: at)
                        }
                    }
                }
                if valid.contains(octets) { continue }
                pair.deliver(octets, encapsulated: round % 4 < 2)
            }
        }
        // Unprotected, so a changed answer may well refuse us; it must not trap.
        let beginning = Pairing()
        beginning.start()
        hail(beginning)
        let pair = Pairing()
        try pair.connect()
        hail(pair)
        #expect(pair.closure == nil)
        pair.deliver(try pair.gateway.seal(.informational, [], id: 0, response: false))
        #expect(pair.expectedMessageID == 1)
    }
}

extension [[UInt8]] {
    fileprivate func randomPick(_ noise: SeededEntropy) -> [UInt8]? {
        isEmpty ? nil : self[Int(noise.octets(1)[0]) % count]
    }
}

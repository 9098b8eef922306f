import GatewayTesting
import IKE
import IKEMessages
import RoadWarrior
import Testing
import Wire

@Suite("How an IKE SA ends: RFC 7296 sections 1.4, 2.4, 2.8 and 2.21")
struct EndingTests {
    static func dpd(_ seconds: Int, retries: Int, replyOnly: Bool = false) -> GatewayProfile {
        Pair.policy {
            var detection = IKEPolicy.DeadPeerDetection()
            detection.interval = .seconds(seconds)
            detection.maximumRetries = retries
            detection.replyOnly = replyOnly
            $0.deadPeerDetection = detection
        }
    }

    static let quiet = Pair.policy { $0.deadPeerDetection = nil }

    /// Requests that the gateway sent, with the seconds since `start`.
    private func requests(_ pair: Pair, since start: Instant) -> [Duration] {
        pair.flights(.informational, response: false, fromClient: false).map { $0.arrival - start - LossyWire.latency }
    }

    // MARK: Delete

    @Test("the client deletes the IKE SA: an empty answer, everything goes")
    func clientDeletes() throws {
        let pair = try Pair.established()
        pair.close()
        pair.settle()
        #expect(pair.client.closure == .deletedByUs(answered: true))
        #expect(pair.lastEntry?.ended == [.peerDelete])
        #expect(pair.lastEntry?.stage == "lingering")
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("the answer to a Delete is repeated while it may be needed")
    func lostDeleteAnswer() throws {
        let pair = try Pair.established()
        pair.lose(2) { $0.is(.informational, response: true) }
        pair.close()
        pair.run(for: .seconds(5))
        #expect(pair.client.closure == .deletedByUs(answered: true))
        let answers = pair.flights(.informational, response: true, fromClient: false)
        #expect(answers.count == 3 && Set(answers.map(\.octets)).count == 1)
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("the gateway deletes the IKE SA", arguments: ClosingReason.allCases)
    func gatewayDeletes(_ reason: ClosingReason) throws {
        let pair = try Pair.established()
        pair.closeFromGateway(reason)
        #expect(pair.entry?.stage == "deleting")
        #expect(pair.entry?.ended == [reason])
        #expect(pair.entry?.installed.isEmpty == true)
        pair.settle()
        #expect(pair.client.closure == .deletedByPeer)
        #expect(pair.lastEntry?.ended == [reason])
        expectNothingLeft(pair)
    }

    @Test("a Delete without an answer is sent at 0, 1 and 3 s, and the SA is gone after 7 s")
    func unansweredDelete() throws {
        let pair = try Pair.established()
        pair.client.isSilent = true
        let start = pair.now
        pair.closeFromGateway()
        pair.drain()
        #expect(requests(pair, since: start) == [.zero, .seconds(1), .seconds(3)])
        #expect(pair.now - start >= .seconds(7))
        expectNothingLeft(pair)
    }

    @Test("Deletes that cross are both answered; section 1.4.1", arguments: [false, true])
    func crossingDeletes(_ reversed: Bool) throws {
        let pair = try Pair.established()
        pair.wire.fate = { _ in .hold }
        pair.close()
        pair.closeFromGateway()
        pair.wire.fate = { _ in .deliver }
        pair.releaseHeld(reversed: reversed)
        pair.settle()
        #expect(pair.client.closure == .deletedByUs(answered: true) || pair.client.closure == .deletedByPeer)
        #expect(pair.lastEntry?.ended == [.operatorRequest])
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("a liveness check under way does not keep a Delete waiting")
    func deleteDuringLiveness() throws {
        let pair = try Pair.established(profile: Self.dpd(30, retries: 3))
        pair.lose { $0.is(.informational, response: false, fromClient: false) }
        pair.run(for: .seconds(31))
        let start = pair.now
        pair.closeFromGateway()
        pair.run(for: .seconds(2))
        #expect(pair.client.closure == .deletedByPeer)
        #expect(pair.now - start <= .seconds(2))
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("nobody answers: an SA that is closed in the middle of a liveness check is gone within seconds")
    func deleteDuringLivenessUnanswered() throws {
        let pair = try Pair.established(profile: Self.dpd(30, retries: 3))
        pair.client.isSilent = true
        pair.run(for: .seconds(31))
        pair.closeFromGateway()
        pair.run(for: .seconds(8))
        expectNothingLeft(pair)
    }

    @Test("CREATE_CHILD_SA to a dying IKE SA: TEMPORARY_FAILURE (section 2.25.2); INFORMATIONAL is answered")
    func requestsWhileDeleting() throws {
        let pair = try Pair.established()
        pair.wire.fate = { $0.is(.informational, response: false, fromClient: false) ? .drop : .deliver }
        pair.closeFromGateway()
        pair.request(.createChildSA, [])
        pair.settle()
        #expect(pair.client.refusals == [.temporaryFailure])
        pair.probe()
        pair.settle()
        #expect(pair.gatewaySaid(.informational, response: true) == [])
        pair.drain()
        expectNothingLeft(pair)
    }

    // MARK: Child SAs

    @Test("the client deletes its Child SA: ours goes with it, and the IKE SA soon after")
    func clientDeletesChild() throws {
        let pair = try Pair.established()
        let child = try #require(pair.entry?.children.first)
        pair.request(.informational, [.delete(DeletePayload(protocolID: .esp, spis: [octets(child.outboundSPI)]))])
        pair.settle()
        #expect(pair.client.responses.last?.deletes == [DeletePayload(protocolID: .esp, spis: [octets(child.inboundSPI)])])
        #expect(pair.entry?.installed.isEmpty == true && pair.entry?.isEstablished == true)
        pair.run(for: .seconds(59))
        #expect(pair.entry?.isEstablished == true)
        pair.run(for: .seconds(2))
        #expect(pair.lastEntry?.ended == [.childless])
        #expect(pair.client.closure == .deletedByPeer)
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("a Delete of a Child SA that is unknown, ours, of AH, or named twice")
    func strangeChildDeletes() throws {
        let pair = try Pair.established()
        let child = try #require(pair.entry?.children.first)
        let deletes: [DeletePayload] = [
            DeletePayload(protocolID: .esp, spis: [[9, 9, 9, 9]]), DeletePayload(protocolID: .esp, spis: [octets(child.inboundSPI)]),
            DeletePayload(protocolID: .ah, spis: [octets(child.outboundSPI)]),
        ]
        pair.request(.informational, deletes.map { .delete($0) })
        pair.settle()
        #expect(pair.client.responses.last == [])
        #expect(pair.entry?.installed.count == 1)
        let twice = DeletePayload(protocolID: .esp, spis: [octets(child.outboundSPI), octets(child.outboundSPI)])
        pair.request(.informational, [.delete(twice), .delete(twice)])
        pair.settle()
        #expect(pair.client.responses.last?.deletes == [DeletePayload(protocolID: .esp, spis: [octets(child.inboundSPI)])])
        #expect(pair.entry?.installed.isEmpty == true)
        pair.request(.informational, [.delete(twice)])
        pair.settle()
        #expect(pair.client.responses.last == [], "a second Delete of what is gone, CVE-2023-38712")
        expectSound(pair)
    }

    @Test("a used-up Child SA is deleted with the client's consent (threats.md P25)")
    func exhaustedChild() throws {
        let pair = try Pair.established()
        let child = try #require(pair.entry?.children.first)
        pair.feed(.childExhausted(spi: 1))
        #expect(pair.entry?.installed.count == 1)
        pair.feed(.childExhausted(spi: child.inboundSPI))
        #expect(pair.entry?.installed.isEmpty == true)
        pair.settle()
        #expect(pair.client.childSA == nil && pair.client.isEstablished)
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("Child Deletes that cross")
    func crossingChildDeletes() throws {
        let pair = try Pair.established()
        let child = try #require(pair.entry?.children.first)
        pair.wire.fate = { _ in .hold }
        pair.request(.informational, [.delete(DeletePayload(protocolID: .esp, spis: [octets(child.outboundSPI)]))])
        pair.feed(.childExhausted(spi: child.inboundSPI))
        pair.wire.fate = { _ in .deliver }
        pair.releaseHeld()
        pair.settle()
        // The client's Delete found nothing any more: an answer without a Delete (section 1.4.1).
        #expect(pair.client.responses.last == [])
        #expect(pair.client.childSA == nil)
        #expect(pair.entry?.isEstablished == true)
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("requests without an answer go out after 1, 2, 4, 8 and 16 s, then the peer is dead; section 2.1")
    func retransmission() throws {
        let pair = try Pair.established(profile: Self.quiet)
        pair.client.isSilent = true
        let start = pair.now
        pair.feed(.childExhausted(spi: try #require(pair.entry?.children.first).inboundSPI))
        pair.drain()
        #expect(requests(pair, since: start) == [0, 1, 3, 7, 15, 31].map { .seconds($0) })
        #expect(Set(pair.flights(.informational, response: false, fromClient: false).map(\.octets)).count == 1)
        #expect(pair.now - start == .seconds(47))
        #expect(pair.lastEntry?.ended == [.deadPeer])
        expectNothingLeft(pair)
    }

    // MARK: Liveness

    @Test("a silent client is asked each interval and dead after the last one; section 2.4")
    func deadPeer() throws {
        let pair = try Pair.established(profile: Self.dpd(10, retries: 3))
        let start = pair.entry.map { _ in pair.now } ?? pair.now
        pair.client.isSilent = true
        pair.drain()
        let asked = requests(pair, since: start)
        #expect(asked.count == 3)
        #expect(asked.allSatisfy { abs(Double($0.components.seconds % 10)) <= 9 })
        #expect(pair.lastEntry?.ended == [.deadPeer])
        #expect(pair.now - start > .seconds(38) && pair.now - start <= .seconds(40))
        expectNothingLeft(pair)
    }

    @Test("a client that answers lives on")
    func livePeer() throws {
        let pair = try Pair.established(profile: Self.dpd(10, retries: 3))
        pair.run(for: .seconds(301))
        #expect(pair.entry?.isEstablished == true)
        let count = pair.flights(.informational, response: false, fromClient: false).count
        #expect((29...31).contains(count))
        expectSound(pair)
    }

    @Test("traffic is as good as an answer: no requests while packets come (section 2.4)")
    func trafficCounts() throws {
        let pair = try Pair.established(profile: Self.dpd(10, retries: 3))
        for _ in 0..<20 {
            pair.entry?.activity = pair.now
            pair.run(for: .seconds(8))
        }
        #expect(pair.flights(.informational, response: false, fromClient: false).isEmpty)
        // A lie about the future gives no credit beyond now.
        pair.entry?.activity = pair.now + .seconds(3600)
        pair.client.isSilent = true
        pair.run(for: .seconds(12))
        pair.entry?.activity = nil
        pair.drain()
        #expect(pair.lastEntry?.ended == [.deadPeer])
        expectNothingLeft(pair)
    }

    @Test("the client's own requests count as well")
    func requestsCount() throws {
        let pair = try Pair.established(profile: Self.dpd(10, retries: 3))
        for _ in 0..<10 {
            pair.probe()
            pair.run(for: .seconds(8))
        }
        #expect(pair.flights(.informational, response: false, fromClient: false).isEmpty)
    }

    @Test("reply-only, or no detection at all: nothing is asked, everything is answered", arguments: [true, false])
    func replyOnly(_ off: Bool) throws {
        let pair = try Pair.established(profile: off ? Self.quiet : Self.dpd(10, retries: 3, replyOnly: true))
        pair.run(for: .seconds(600))
        #expect(pair.entry?.isEstablished == true)
        #expect(pair.flights(.informational, response: false, fromClient: false).isEmpty)
        pair.probe()
        pair.settle()
        #expect(pair.gatewaySaid(.informational, response: true) == [])
        expectSound(pair)
    }

    @Test("the client finds a dead gateway too: an SA that was forgotten is not answered")
    func forgottenSA() throws {
        let pair = try Pair.established(profile: Self.quiet) { $0.liveness = .seconds(10) }
        pair.wire.fate = { $0.isFromClient ? .deliver : .drop }
        pair.closeFromGateway()
        pair.run(for: .seconds(8))
        pair.wire.fate = { _ in .deliver }
        pair.drain()
        #expect(pair.client.closure == .noAnswer(.informational))
        #expect(pair.gateway.doorDrops[.unknownSPI, default: 0] > 0)
        expectNothingLeft(pair)
    }

    // MARK: Lifetimes

    private static func lifetimes(ike: Int, child: Int) -> GatewayProfile {
        Pair.profile { profile in
            profile.policy.transforms = profile.policy.transforms.map {
                var transform = $0
                transform.lifetime = .seconds(ike)
                return transform
            }
            profile.policy.ipsecLifetime = .seconds(child)
        }
    }

    @Test("the hard lifetime of the IKE SA ends it, however lively the client (invariant I9)")
    func ikeLifetime() throws {
        let pair = try Pair.established(profile: Self.lifetimes(ike: 300, child: 3600)) { $0.declinesRekeys = true }
        pair.run(for: .seconds(299))
        #expect(pair.entry?.isEstablished == true)
        pair.run(for: .seconds(2))
        #expect(pair.lastEntry?.ended == [.lifetime])
        #expect(pair.client.closure == .deletedByPeer)
        expectNothingLeft(pair)
    }

    @Test("the hard lifetime of the Child SA deletes it, and the IKE SA follows a minute later")
    func childLifetime() throws {
        let pair = try Pair.established(profile: Self.lifetimes(ike: 86_400, child: 300)) { $0.declinesRekeys = true }
        pair.run(for: .seconds(299))
        #expect(pair.client.childSA != nil)
        pair.run(for: .seconds(2))
        #expect(pair.client.childSA == nil && pair.client.isEstablished)
        #expect(pair.entry?.installed.isEmpty == true)
        pair.run(for: .seconds(61))
        #expect(pair.lastEntry?.ended == [.childless])
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("a transform's own lifetime comes before the policy's")
    func transformLifetime() throws {
        let pair = try Pair.established(
            profile: Pair.profile { profile in
                profile.childTransforms = [IPsecTransform(encryption: DefaultProposals.aead, lifetime: .seconds(120))]
            })
        #expect(pair.entry?.children.first?.lifetime == .seconds(120))
    }

    @Test("both lifetimes at once, and a clock that jumps over everything; threats.md P40")
    func threat_P40_clockJump() throws {
        let pair = try Pair.established(profile: Self.lifetimes(ike: 300, child: 300))
        pair.client.isSilent = true
        pair.now = pair.now + .seconds(1_000_000)
        pair.run(for: .seconds(60))
        #expect(pair.lastEntry?.ended.count == 1)
        expectNothingLeft(pair)
    }

    @Test("a deadline that is fed too early does nothing; threats.md P40")
    func threat_P40_earlyDeadline() throws {
        let pair = try Pair.established()
        let sent = pair.wire.sent.count
        for _ in 0..<100 { pair.feed(.deadline) }
        #expect(pair.wire.sent.count == sent)
        #expect(pair.entry?.isEstablished == true)
        // A clock that stands still or goes back: the machine is told what time it is and believes it.
        pair.now = Instant(nanoseconds: pair.now.nanoseconds - 600_000_000_000)
        pair.feed(.deadline)
        pair.probe()
        pair.settle()
        #expect(pair.entry?.isEstablished == true)
        expectSound(pair)
    }

    @Test("every reason is told once, whatever else is asked of an SA that ends")
    func closingTwice() throws {
        let pair = try Pair.established()
        pair.wire.fate = { _ in .drop }
        for reason in ClosingReason.allCases { pair.closeFromGateway(reason) }
        pair.feed(.childExhausted(spi: 1))
        pair.feed(.installed(1, true))
        pair.feed(.moved(Endpoint(ip("198.18.0.1"), port: 1)))
        #expect(pair.entry?.ended == [ClosingReason.allCases[0]])
        pair.drain()
        expectNothingLeft(pair)
    }
}

func octets(_ spi: UInt32) -> [UInt8] {
    var octets: [UInt8] = []
    octets.append(bigEndian: spi)
    return octets
}

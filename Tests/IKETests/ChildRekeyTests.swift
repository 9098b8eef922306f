import GatewayTesting
import IKEMessages
import Testing
import Wire

@testable import IKE

/// Which of four nonces is the lowest, where both sides replace one SA: the exchange it belongs to loses (RFC 7296 sections 2.8.1 and 2.8.2).
enum LowestNonce: String, CaseIterable, Sendable {
    case gatewaysRequest, clientsResponse, clientsRequest, gatewaysResponse

    /// The side whose exchange has it.
    var loser: Side { self == .gatewaysRequest || self == .clientsResponse ? .gateway : .client }

    /// Makes the next nonces come out so. Each side draws for its request first, then for its response.
    func script(_ peers: Peers) {
        let octets: ([UInt8], [UInt8]) =
            switch self {
            case .gatewaysRequest: ([0x00, 0xff], [0xff, 0xff])
            case .clientsResponse: ([0xff, 0xff], [0xff, 0x00])
            case .clientsRequest: ([0xff, 0xff], [0x00, 0xff])
            case .gatewaysResponse: ([0xff, 0x00], [0xff, 0xff])
            }
        peers.gateway.entropy.firsts = octets.0
        peers.client.entropy.firsts = octets.1
    }
}

/// The cases of threats.md section 4, CHILD rekey. Comments show what is on the wire; `-->` is from the side that begins.
@Suite("A Child SA is replaced: threats.md P23 and section 4, RFC 7296 sections 1.3.3, 2.8, 2.8.1 and 2.25.1")
struct ChildRekeyTests {
    /// Both have the group that the other guesses wrong at first.
    private static let pfs = Peers.profile {
        $0.childTransforms[0].keyExchange = [.x25519, .ecp256]
        $0.childTransforms[0].prefersPFS = true
    }
    private static let otherPFS = Peers.profile {
        $0.childTransforms[0].keyExchange = [.ecp256, .x25519]
        $0.childTransforms[0].requiresPFS = true
        $0.childTransforms[0].prefersPFS = true
    }

    private func requests(_ peers: Peers, _ exchange: ExchangeType, from side: Side) -> Int {
        Set(peers.everything.filter { $0.from == side && $0.is(exchange, response: false) }.map(\.datagram.octets)).count
    }

    @Test("regular: the new one carries traffic before the old one goes, and whoever asked deletes the old one", arguments: Side.allCases)
    func childRekey_regular(_ side: Side) throws {
        let peers = try Peers()
        let old = peers[side].children
        peers.rekeyChild(side)
        // CREATE_CHILD_SA { N(REKEY_SA), SA, Ni, TSi, TSr } -->
        try peers.pass(side)
        #expect(peers[side.other].installed.count == 2)
        #expect(peers[side.other].outbound?.sa.inboundSPI == peers[side.other].installed.first?.sa.inboundSPI, "not before it is used")
        // <-- CREATE_CHILD_SA { SA, Nr, TSi, TSr }
        try peers.pass(side.other)
        #expect(peers[side].installed.count == 2 && peers[side].outbound?.sa.inboundSPI != old.first)
        #expect(peers.packet(from: side) && peers.packet(from: side.other))
        // INFORMATIONAL { D } -->
        try peers.pass(side)
        #expect(peers[side.other].installed.count == 1 && peers[side].installed.count == 2, "what is on its way is still received")
        // <-- INFORMATIONAL { D }
        try peers.pass(side.other)
        expectAgreement(peers)
        #expect(peers[side].children != old && requests(peers, .informational, from: side.other) == 0)
    }

    @Test("a lost response loses no packet", arguments: Side.allCases)
    func childRekey_regularWithLosses(_ side: Side) throws {
        let peers = try Peers()
        peers.rekeyChild(side)
        try peers.pass(side)
        try peers.take(side.other)
        peers.packet(from: side.other)
        peers.packet(from: side)
        peers.run(for: .seconds(3))
        expectAgreement(peers)
    }

    @Test("with a key exchange of its own, whose group need not be the other side's favourite", arguments: Side.allCases)
    func childRekey_regularWithKeyExchange(_ side: Side) throws {
        let profiles = side == .gateway ? (Self.pfs, Self.otherPFS) : (Self.otherPFS, Self.pfs)
        let peers = try Peers(gateway: profiles.0, client: profiles.1)
        let old = peers[side].children
        peers.rekeyChild(side)
        peers.settle()
        expectAgreement(peers)
        #expect(peers[side].children != old)
        #expect(requests(peers, .createChildSA, from: side) == 1)
    }

    @Test(
        "ke_invalid: the group that the other side asks for is taken once, and only if we offered it; threats.md P9", arguments: Side.allCases,
        [true, false])
    func threat_P9_childRekey_ke_invalid(_ side: Side, offered: Bool) throws {
        let theirs = Peers.profile {
            $0.childTransforms[0].keyExchange = [.ecp256]
            $0.childTransforms[0].requiresPFS = true
        }
        let ours = Peers.profile {
            $0.childTransforms[0].keyExchange = offered ? [.x25519, .ecp256] : [.x25519]
            $0.childTransforms[0].prefersPFS = true
        }
        let peers = try Peers(gateway: side == .gateway ? ours : theirs, client: side == .gateway ? theirs : ours)
        let old = peers[side].children
        peers.rekeyChild(side)
        peers.settle()
        expectAgreement(peers)
        #expect((peers[side].children != old) == offered)
        #expect(requests(peers, .createChildSA, from: side) == (offered ? 2 : 1))
        peers.run(for: .seconds(60))
        // Refused for good: no further attempt before the hard lifetime.
        #expect(requests(peers, .createChildSA, from: side) == (offered ? 2 : 1))
    }

    @Test("responder_ignore_soft_expire: what is replaced already is not replaced again", arguments: Side.allCases)
    func childRekey_responder_ignore_soft_expire(_ side: Side) throws {
        let peers = try Peers()
        let old = try #require(peers[side.other].children.first)
        peers.rekeyChild(side)
        try peers.pass(side)
        // The response is on its way, and the old one's soft limit strikes at the other side.
        peers.rekeyChild(side.other, old)
        #expect(requests(peers, .createChildSA, from: side.other) == 0)
        expectAgreement(peers)
        #expect(requests(peers, .createChildSA, from: side.other) == 0)
    }

    @Test("responder_handle_hard_expire: the responder deletes the old one itself, and both Deletes are answered", arguments: Side.allCases)
    func childRekey_responder_handle_hard_expire(_ side: Side) throws {
        let peers = try Peers()
        let old = try #require(peers[side.other].children.first)
        peers.rekeyChild(side)
        try peers.pass(side)
        // <-- CREATE_CHILD_SA { SA, Nr, TSi, TSr }, then INFORMATIONAL { D } -->, and at once <-- INFORMATIONAL { D }
        try peers.pass(side.other)
        peers.deleteChild(side.other, old)
        expectAgreement(peers)
        let answers = peers.everything.filter { $0.is(.informational, response: true) }
        #expect(answers.count == 2, "each Delete is answered")
        #expect(peers[side].installed.count == 1 && peers[side.other].installed.count == 1)
    }

    @Test("responder_delete: the responder deletes the new one before we have answered for it", arguments: Side.allCases, [true, false])
    func childRekey_responder_delete(_ side: Side, whileInstalling: Bool) throws {
        let peers = try Peers()
        if whileInstalling { peers[side].delay = { .seconds(1) } }
        peers.rekeyChild(side)
        try peers.pass(side)
        try peers.pass(side.other)
        // <-- INFORMATIONAL { D (new) }
        peers.deleteChild(side.other, peers[side.other].children.last)
        peers.run(for: .seconds(3))
        peers.settle()
        #expect(peers.violations + peers.disagreement == [])
        #expect(peers[side].isIdle && peers[side].installed.count == peers[side.other].installed.count)
    }

    @Test("responder_lost_sa: CHILD_SA_NOT_FOUND, the old one goes without a word and another is made from scratch", arguments: Side.allCases)
    func childRekey_responder_lost_sa(_ side: Side) throws {
        let peers = try Peers()
        let old = peers[side].children
        // The other side's Child SA is gone, and nobody was told.
        peers.isLossless = false
        peers.deleteChild(side.other)
        try peers.take(side.other)
        peers[side.other].takeBack()
        peers.rekeyChild(side)
        peers.settle()
        #expect(requests(peers, .createChildSA, from: side) == 2)
        #expect(peers.violations + peers.disagreement == [])
        #expect(peers[side].children.count == 1 && peers[side].children != old)
        #expect(peers.packet(from: side) && peers.packet(from: side.other))
    }

    @Test("responder_incorrect_delete: the responder deletes the old one although we asked", arguments: Side.allCases, [true, false])
    func childRekey_responder_incorrect_delete(_ side: Side, beforeResponse: Bool) throws {
        let peers = try Peers()
        let old = try #require(peers[side.other].children.first)
        peers.rekeyChild(side)
        try peers.pass(side)
        // <-- CREATE_CHILD_SA { SA, Nr, TSi, TSr } and <-- INFORMATIONAL { D (old) } change places.
        let response = try peers.take(side.other)
        peers.deleteChild(side.other, old)
        let delete = try peers.take(side.other)
        for message in beforeResponse ? [delete, response] : [response, delete] { peers.give(message) }
        expectAgreement(peers)
        #expect(peers[side].children != [old])
    }

    @Test("delete_timeout: the other side never deletes what it has replaced; after a minute we do", arguments: Side.allCases)
    func childRekey_delete_timeout(_ side: Side) throws {
        let peers = try Peers()
        peers.rekeyChild(side)
        try peers.pass(side)
        try peers.pass(side.other)
        // The Delete is lost, and with it the side that should repeat it forgets it.
        try peers.take(side)
        peers[side].takeBack()
        peers.run(for: .seconds(59))
        #expect(peers[side.other].installed.count == 2)
        peers.run(for: .seconds(2))
        #expect(peers[side.other].installed.count == 1 && requests(peers, .informational, from: side.other) == 1)
        #expect(peers[side.other].isIdle)
    }

    @Test("the peer replaces a Child SA twice before it deletes it", arguments: Side.allCases)
    func childRekey_twice(_ side: Side) throws {
        let peers = try Peers()
        peers.rekeyChild(side)
        try peers.pass(side)
        try peers.pass(side.other)
        // The Delete is not sent; the same Child SA is asked for again.
        try peers.take(side)
        let old = try #require(peers[side].installed.first).sa
        peers[side].takeBack()
        peers[side].change { $0.add(old, origin: nil, at: peers.now) }
        peers.rekeyChild(side, old.inboundSPI)
        try peers.pass(side)
        #expect(peers[side.other].installed.count == 3)
        peers.settle()
        #expect(peers.violations == [] && peers[side.other].isEstablished)
        peers.run(for: .seconds(70))
        #expect(peers.violations + peers.disagreement.filter { !$0.contains("instead of one") } == [])
    }

    @Test(
        "collision: that with the lowest of four nonces is closed by whoever made it, the winner deletes the old one", arguments: LowestNonce.allCases
    )
    func childRekey_collision(_ lowest: LowestNonce) throws {
        let peers = try Peers()
        let old = [peers.gateway.children, peers.client.children]
        lowest.script(peers)
        peers.rekeyChild(.gateway)
        peers.rekeyChild(.client)
        // CREATE_CHILD_SA --> and <-- CREATE_CHILD_SA
        try peers.pass(.gateway)
        try peers.pass(.client)
        // <-- and --> their responses: each side knows all four nonces.
        try peers.pass(.client)
        try peers.pass(.gateway)
        let deletes = Side.allCases.map { requests(peers, .informational, from: $0) }
        #expect(deletes == [1, 1], "one deletes the old one, the other what it has made")
        let winner = lowest.loser.other
        expectAgreement(peers)
        #expect([peers.gateway.children, peers.client.children] != old)
        #expect(peers[winner].children == [peers[winner].firstSPI], "what the winner asked for stays")
        #expect(Side.allCases.map { requests(peers, .informational, from: $0) } == [1, 1])
    }

    @Test("collision_mixed: one of the two exchanges has its own key exchange", arguments: LowestNonce.allCases, Side.allCases)
    func childRekey_collision_mixed(_ lowest: LowestNonce, withKey: Side) throws {
        let plain = Peers.profile { $0.childTransforms[0].keyExchange = [.x25519, .ecp256] }
        let peers = try Peers(gateway: withKey == .gateway ? Self.pfs : plain, client: withKey == .client ? Self.pfs : plain)
        lowest.script(peers)
        for side in Side.allCases { peers.rekeyChild(side) }
        expectAgreement(peers)
        #expect(peers[lowest.loser.other].children == [peers[lowest.loser.other].firstSPI])
    }

    @Test("collision_delayed_response: the other side's Delete comes before its response", arguments: LowestNonce.allCases, Side.allCases)
    func childRekey_collision_delayed_response(_ lowest: LowestNonce, delayed: Side) throws {
        let peers = try Peers()
        lowest.script(peers)
        for side in Side.allCases { peers.rekeyChild(side) }
        try peers.pass(.gateway)
        try peers.pass(.client)
        // The response to `delayed` is held back; the other side has all four nonces and acts.
        let response = try peers.take(delayed.other)
        try peers.pass(delayed)
        try peers.pass(delayed.other)
        peers.packet(from: delayed)
        try peers.pass(delayed)
        peers.packet(from: delayed.other)
        peers.give(response)
        expectAgreement(peers)
        #expect(peers[lowest.loser.other].children == [peers[lowest.loser.other].firstSPI])
    }

    @Test("collision_delayed_response: another exchange comes to nothing meanwhile, and the nonces count all the same", arguments: Side.allCases)
    func childRekey_collision_delayed_response_refused(_ delayed: Side) throws {
        let peers = try Peers()
        // The exchange of the side whose response is late has lost.
        (delayed == .gateway ? LowestNonce.gatewaysRequest : .clientsRequest).script(peers)
        for side in Side.allCases { peers.rekeyChild(side) }
        try peers.pass(.gateway)
        try peers.pass(.client)
        let response = try peers.take(delayed.other)
        peers.settle()
        peers[delayed].hasSPIs = false
        peers.rekeyChild(delayed.other, peers[delayed.other].firstSPI)
        peers.settle()
        #expect(requests(peers, .createChildSA, from: delayed.other) == 2)
        peers[delayed].hasSPIs = true
        peers.give(response)
        expectAgreement(peers)
        #expect(peers[delayed.other].children == [peers[delayed.other].firstSPI])
    }

    @Test("collision_delayed_response_delete: and after it the new one is deleted too", arguments: LowestNonce.allCases, Side.allCases)
    func childRekey_collision_delayed_response_delete(_ lowest: LowestNonce, delayed: Side) throws {
        let peers = try Peers()
        lowest.script(peers)
        for side in Side.allCases { peers.rekeyChild(side) }
        try peers.pass(.gateway)
        try peers.pass(.client)
        let response = try peers.take(delayed.other)
        try peers.pass(delayed)
        try peers.pass(delayed.other)
        try peers.pass(delayed)
        // Everything of the other side is deleted before the response that was on its way.
        for spi in peers[delayed.other].children { peers.deleteChild(delayed.other, spi) }
        peers.settle()
        peers.give(response)
        peers.settle()
        #expect(peers.violations + peers.disagreement == [])
        #expect(peers.gateway.isIdle && peers.client.isIdle)
    }

    @Test(
        "collision_delayed_request: it comes while the old one is being deleted: TEMPORARY_FAILURE, and nothing is left over",
        arguments: Side.allCases)
    func childRekey_collision_delayed_request(_ delayed: Side) throws {
        let peers = try Peers()
        for side in Side.allCases { peers.rekeyChild(side) }
        let request = try peers.take(delayed)
        // The other exchange is complete at both sides.
        try peers.pass(delayed.other)
        try peers.pass(delayed)
        #expect(requests(peers, .informational, from: delayed.other) == 1)
        peers.give(request)
        expectAgreement(peers)
        #expect(peers[delayed.other].children == [peers[delayed.other].firstSPI])
        peers.run(for: .seconds(60))
        #expect(requests(peers, .createChildSA, from: delayed) == 1, "what is gone is not tried again")
    }

    @Test("collision_delayed_request_more: it comes when the old one is gone: CHILD_SA_NOT_FOUND", arguments: Side.allCases)
    func childRekey_collision_delayed_request_more(_ delayed: Side) throws {
        let peers = try Peers()
        for side in Side.allCases { peers.rekeyChild(side) }
        let request = try peers.take(delayed)
        for _ in 0..<2 {
            try peers.pass(delayed.other)
            try peers.pass(delayed)
        }
        peers.give(request)
        expectAgreement(peers)
        #expect(peers[delayed.other].children == [peers[delayed.other].firstSPI])
        #expect(requests(peers, .createChildSA, from: delayed) == 1, "nothing from scratch: there is another already")
    }

    @Test("collision_delayed_request_more_delete: the answer to the Delete is late too", arguments: Side.allCases, [true, false])
    func childRekey_collision_delayed_request_more_delete(_ delayed: Side, requestFirst: Bool) throws {
        let peers = try Peers()
        for side in Side.allCases { peers.rekeyChild(side) }
        let request = try peers.take(delayed)
        try peers.pass(delayed.other)
        try peers.pass(delayed)
        try peers.pass(delayed.other)
        let answer = try peers.take(delayed)
        for message in requestFirst ? [request, answer] : [answer, request] { peers.give(message) }
        expectAgreement(peers)
        #expect(peers[delayed.other].children == [peers[delayed.other].firstSPI])
    }

    /// Both sides ask with a group that the other one refuses at first; their second requests are on the wire.
    private func refused(_ lowest: LowestNonce) throws -> Peers {
        func profile(_ groups: [KeyExchangeMethod]) -> GatewayProfile {
            Peers.profile {
                $0.childTransforms[0].keyExchange = groups
                $0.childTransforms[0].requiresPFS = true
            }
        }
        let peers = try Peers(gateway: profile([.x25519, .ecp256]), client: profile([.ecp384, .ecp521]))
        lowest.script(peers)
        for side in Side.allCases { peers.rekeyChild(side) }
        peers.gateway.allow([.ecp521])
        peers.client.allow([.ecp256])
        // CREATE_CHILD_SA --> and <-- the same, then <-- N(INVALID_KE_PAYLOAD) and -->
        try peers.pass(.gateway)
        try peers.pass(.client)
        for side in Side.allCases { peers[side].allow([.x25519, .ecp256, .ecp384, .ecp521]) }
        try peers.pass(.gateway)
        try peers.pass(.client)
        #expect(Side.allCases.map { requests(peers, .createChildSA, from: $0) } == [2, 2])
        return peers
    }

    @Test("collision_ke_invalid: both are refused once, both try again, and nonces decide", arguments: LowestNonce.allCases)
    func childRekey_collision_ke_invalid(_ lowest: LowestNonce) throws {
        let peers = try refused(lowest)
        expectAgreement(peers)
        #expect(peers[lowest.loser.other].children == [peers[lowest.loser.other].firstSPI])
    }

    @Test("collision_ke_invalid_delayed_retry: one side's second attempt comes when all is over", arguments: Side.allCases, LowestNonce.allCases)
    func childRekey_collision_ke_invalid_delayed_retry(_ delayed: Side, lowest: LowestNonce) throws {
        let peers = try refused(lowest)
        let retry = try peers.take(delayed)
        try peers.pass(delayed.other)
        try peers.pass(delayed)
        peers.give(retry)
        expectAgreement(peers)
        #expect(peers[delayed.other].children == [peers[delayed.other].firstSPI])
    }

    /// `rekeyer` replaces a Child SA, the other side deletes it at the same time.
    private func deleteCollision(_ rekeyer: Side) throws -> Peers {
        let peers = try Peers()
        peers.rekeyChild(rekeyer)
        peers.deleteChild(rekeyer.other)
        return peers
    }

    @Test("collision_delete: replaced by one side, deleted by the other at once", arguments: Side.allCases, [true, false])
    func childRekey_collision_delete(_ rekeyer: Side, rekeyFirst: Bool) throws {
        let peers = try deleteCollision(rekeyer)
        // CREATE_CHILD_SA { N(REKEY_SA) .. } --> meets a Child SA that is being closed: <-- TEMPORARY_FAILURE; <-- INFORMATIONAL { D } is answered.
        try peers.pass(rekeyFirst ? rekeyer : rekeyer.other)
        try peers.pass(rekeyFirst ? rekeyer.other : rekeyer)
        expectAgreement(peers, children: 0)
        peers.run(for: .seconds(30))
        #expect(requests(peers, .createChildSA, from: rekeyer) == 1, "there is nothing to try again for")
    }

    @Test("collision_delete_drop_delete: the Delete is lost and comes again", arguments: Side.allCases)
    func childRekey_collision_delete_drop_delete(_ rekeyer: Side) throws {
        let peers = try deleteCollision(rekeyer)
        try peers.take(rekeyer.other)
        peers.settle()
        peers.run(for: .seconds(3))
        expectAgreement(peers, children: 0)
        peers.run(for: .seconds(30))
        #expect(requests(peers, .createChildSA, from: rekeyer) == 1)
    }

    @Test("collision_delete_drop_rekey: the rekey is lost and comes again when the Child SA is gone", arguments: Side.allCases)
    func childRekey_collision_delete_drop_rekey(_ rekeyer: Side) throws {
        let peers = try deleteCollision(rekeyer)
        try peers.take(rekeyer)
        peers.settle()
        peers.run(for: .seconds(3))
        expectAgreement(peers, children: 0)
        #expect(peers[rekeyer].furtherChildren == 0, "a Child SA that was deleted on purpose does not come back")
    }

    @Test("collision_delete_delayed_response: the refusal comes after the Delete", arguments: Side.allCases)
    func childRekey_collision_delete_delayed_response(_ rekeyer: Side) throws {
        let peers = try deleteCollision(rekeyer)
        try peers.pass(rekeyer)
        // <-- INFORMATIONAL { D } overtakes <-- CREATE_CHILD_SA { N(TEMPORARY_FAILURE) }
        let delete = try peers.take(rekeyer.other)
        let refusal = try peers.take(rekeyer.other)
        peers.give(delete)
        peers.give(refusal)
        expectAgreement(peers, children: 0)
        peers.run(for: .seconds(30))
        #expect(peers[rekeyer].furtherChildren == 0)
    }

    @Test("collision_ike_rekey: both are refused with TEMPORARY_FAILURE, and both come about later", arguments: Side.allCases)
    func childRekey_collision_ike_rekey(_ rekeyer: Side) throws {
        let peers = try Peers()
        let (children, ike) = (peers.gateway.children, peers.gateway.ikeSPIs)
        peers.rekeyChild(rekeyer)
        peers.rekeyIKE(rekeyer.other)
        peers.settle()
        #expect(peers.gateway.children == children && peers.gateway.ikeSPIs == ike, "neither came about")
        #expect(peers.gateway.isIdle && peers.client.isIdle)
        peers.run(for: .seconds(60))
        expectAgreement(peers)
        #expect(peers.gateway.children != children && peers.gateway.ikeSPIs != ike)
    }

    @Test("collision_ike_delete: the IKE SA is deleted by the other side", arguments: Side.allCases, [true, false])
    func childRekey_collision_ike_delete(_ rekeyer: Side, rekeyFirst: Bool) throws {
        let peers = try Peers()
        peers.rekeyChild(rekeyer)
        peers.deleteIKE(rekeyer.other)
        try peers.pass(rekeyFirst ? rekeyer : rekeyer.other)
        peers.settle()
        peers.run(for: .seconds(30))
        #expect(peers.violations + peers.leftovers == [])
        #expect(peers[rekeyer].ended == [.peerDelete])
    }
}

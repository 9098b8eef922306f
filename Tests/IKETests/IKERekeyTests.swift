import GatewayTesting
import IKEMessages
import Testing
import Wire

@testable import IKE

/// The cases of threats.md section 4, IKE rekey and Delete. Comments show what is on the wire.
@Suite("An IKE SA is replaced: threats.md P23 and section 4, RFC 7296 sections 1.3.2, 2.8.2, 2.18 and 2.25.2")
struct IKERekeyTests {
    private func requests(_ peers: Peers, _ exchange: ExchangeType, from side: Side) -> Int {
        Set(peers.everything.filter { $0.from == side && $0.is(exchange, response: false) }.map(\.datagram.octets)).count
    }

    /// One IKE SA at both sides, and whether `initiator` asked for it; the old ones are gone, and so are their SPIs after a while.
    private func expectOne(_ peers: Peers, by initiator: Side?, rekeys: Int = 1, sourceLocation: SourceLocation = #_sourceLocation) {
        expectAgreement(peers, sourceLocation: sourceLocation)
        if let initiator {
            #expect(peers[initiator].isInitiator && !peers[initiator.other].isInitiator, sourceLocation: sourceLocation)
        }
        #expect(Side.allCases.map { peers[$0].rekeys } == [rekeys, rekeys], sourceLocation: sourceLocation)
        peers.run(for: .seconds(75))
        #expect(peers.gateway.spis.count == 1 && peers.client.spis.count == 1, sourceLocation: sourceLocation)
        // The new one works in both directions.
        for side in Side.allCases { peers.rekeyChild(side) }
        expectAgreement(peers, sourceLocation: sourceLocation)
    }

    @Test("regular: Child SAs stay, whoever asked deletes the old one", arguments: Side.allCases)
    func ikeRekey_regular(_ side: Side) throws {
        let peers = try Peers()
        let children = peers.gateway.children
        peers.rekeyIKE(side)
        // CREATE_CHILD_SA { SA, Ni, KEi } --> and <-- CREATE_CHILD_SA { SA, Nr, KEr }
        try peers.pass(side)
        try peers.pass(side.other)
        #expect(peers.gateway.ikeSPIs == peers.client.ikeSPIs && !peers.gateway.ikeSPIs.contains(0x1111))
        // INFORMATIONAL { D } --> and <-- INFORMATIONAL { }, on the old one
        let delete = try #require(peers.waiting(side).first)
        #expect(delete.datagram.header?.initiatorSPI == 0x1111)
        peers.settle()
        #expect(peers.gateway.children == children && peers.gateway.furtherChildren == 0)
        expectOne(peers, by: side)
        #expect(peers.gateway.children != children)
    }

    @Test("each side in turn: roles, flags and message IDs follow", arguments: Side.allCases)
    func ikeRekey_inTurn(_ first: Side) throws {
        let peers = try Peers()
        for (round, side) in [first, first.other, first.other, first].enumerated() {
            peers.rekeyIKE(side)
            peers.settle()
            #expect(peers[side].isInitiator && peers[side].rekeys == round + 1)
            for side in Side.allCases {
                peers.rekeyChild(side)
                peers.settle()
            }
            peers.run(for: .seconds(20))
        }
        expectAgreement(peers)
    }

    @Test(
        "ke_invalid: the group that the other side asks for is taken once, and only if we offered it; threats.md P9", arguments: Side.allCases,
        [true, false])
    func threat_P9_ikeRekey_ke_invalid(_ side: Side, offered: Bool) throws {
        let peers = try Peers(
            gateway: Peers.profile { $0.policy.transforms[0].keyExchange = [.x25519, .ecp256] },
            client: Peers.profile { $0.policy.transforms[0].keyExchange = [.x25519, .ecp256] })
        if !offered { peers[side].allow([.x25519]) }
        peers[side.other].allow([.ecp256])
        peers.rekeyIKE(side)
        peers.settle()
        #expect(requests(peers, .createChildSA, from: side) == (offered ? 2 : 1))
        #expect(peers.gateway.rekeys == (offered ? 1 : 0) && peers.client.rekeys == (offered ? 1 : 0))
        peers[side.other].allow([.x25519, .ecp256])
        expectAgreement(peers)
    }

    @Test(
        "collision: that with the lowest of four nonces is deleted by whoever made it, Child SAs move to the other", arguments: LowestNonce.allCases)
    func ikeRekey_collision(_ lowest: LowestNonce) throws {
        let peers = try Peers()
        let children = peers.gateway.children
        lowest.script(peers)
        peers.rekeyIKE(.gateway)
        peers.rekeyIKE(.client)
        // CREATE_CHILD_SA --> and <-- the same; <-- and --> their responses
        for _ in 0..<2 {
            try peers.pass(.gateway)
            try peers.pass(.client)
        }
        // The winner deletes the old one, the loser what it has made.
        let old = peers.waiting(lowest.loser.other).compactMap { $0.datagram.header?.initiatorSPI }
        let redundant = peers.waiting(lowest.loser).compactMap { $0.datagram.header?.initiatorSPI }
        #expect(old == [0x1111] && redundant.count == 1 && redundant != [0x1111])
        peers.settle()
        #expect(peers.gateway.children == children)
        expectOne(peers, by: lowest.loser.other)
        #expect(requests(peers, .informational, from: .gateway) == 2 && requests(peers, .informational, from: .client) == 2)
    }

    @Test("collision_mixed: one side has another favourite group", arguments: LowestNonce.allCases)
    func ikeRekey_collision_mixed(_ lowest: LowestNonce) throws {
        let peers = try Peers(
            gateway: Peers.profile { $0.policy.transforms[0].keyExchange = [.x25519, .ecp256] },
            client: Peers.profile { $0.policy.transforms[0].keyExchange = [.ecp256, .x25519] })
        lowest.script(peers)
        for side in Side.allCases { peers.rekeyIKE(side) }
        expectOne(peers, by: lowest.loser.other)
    }

    @Test("collision_delayed_response: the Deletes come before one of the responses", arguments: LowestNonce.allCases, Side.allCases)
    func ikeRekey_collision_delayed_response(_ lowest: LowestNonce, delayed: Side) throws {
        let peers = try Peers()
        lowest.script(peers)
        for side in Side.allCases { peers.rekeyIKE(side) }
        try peers.pass(.gateway)
        try peers.pass(.client)
        let response = try peers.take(delayed.other)
        // The other side has all four nonces and acts; what it deletes is answered.
        try peers.pass(delayed)
        try peers.pass(delayed.other)
        try peers.pass(delayed)
        #expect(peers[delayed].isEstablished)
        peers.give(response)
        peers.run(for: .seconds(8))
        expectAgreement(peers)
        expectOne(peers, by: lowest.loser.other)
    }

    @Test(
        "collision_dropped_request: one request is lost; the other side does not notice, and ours is forgotten with its Delete",
        arguments: Side.allCases)
    func ikeRekey_collision_dropped_request(_ dropped: Side) throws {
        let peers = try Peers()
        for side in Side.allCases { peers.rekeyIKE(side) }
        try peers.take(dropped)
        // <-- CREATE_CHILD_SA, CREATE_CHILD_SA -->, <-- INFORMATIONAL { D } on the old one
        try peers.pass(dropped.other)
        try peers.pass(dropped)
        #expect(peers[dropped].isEstablished && peers[dropped].rekeys == 0, "not decided yet")
        try peers.pass(dropped.other)
        #expect(peers[dropped].rekeys == 1)
        expectOne(peers, by: dropped.other)
        #expect(requests(peers, .createChildSA, from: dropped) == 2, "the one that was lost, and that of the Child SA afterwards")
    }

    @Test("collision_delayed_request: it meets an IKE SA that is being replaced: TEMPORARY_FAILURE", arguments: Side.allCases)
    func ikeRekey_collision_delayed_request(_ delayed: Side) throws {
        let peers = try Peers()
        for side in Side.allCases { peers.rekeyIKE(side) }
        let request = try peers.take(delayed)
        try peers.pass(delayed.other)
        try peers.pass(delayed)
        peers.give(request)
        // <-- INFORMATIONAL { D } and <-- N(TEMPORARY_FAILURE), in either order
        let delete = try peers.take(delayed.other)
        let refusal = try peers.take(delayed.other)
        peers.give(refusal)
        peers.give(delete)
        expectOne(peers, by: delayed.other)
    }

    @Test("collision_delayed_request_and_delete: the Delete comes first, then the refusal", arguments: Side.allCases, [true, false])
    func ikeRekey_collision_delayed_request_and_delete(_ delayed: Side, answered: Bool) throws {
        let peers = try Peers()
        for side in Side.allCases { peers.rekeyIKE(side) }
        let request = try peers.take(delayed)
        try peers.pass(delayed.other)
        try peers.pass(delayed)
        // The Delete is answered, or its answer is late too, before the request comes.
        try peers.pass(delayed.other)
        if answered { try peers.pass(delayed) }
        peers.give(request)
        expectOne(peers, by: delayed.other)
    }

    /// Both sides ask with a group that the other one refuses at first; their second requests are on the wire.
    private func refused(_ lowest: LowestNonce) throws -> Peers {
        let groups: [KeyExchangeMethod] = [.x25519, .ecp256, .ecp384]
        let profile = Peers.profile { $0.policy.transforms[0].keyExchange = groups }
        let peers = try Peers(gateway: profile, client: profile)
        lowest.script(peers)
        for side in Side.allCases { peers.rekeyIKE(side) }
        peers.gateway.allow([.ecp384])
        peers.client.allow([.ecp256])
        try peers.pass(.gateway)
        try peers.pass(.client)
        for side in Side.allCases { peers[side].allow(groups) }
        try peers.pass(.gateway)
        try peers.pass(.client)
        #expect(Side.allCases.map { requests(peers, .createChildSA, from: $0) } == [2, 2])
        return peers
    }

    @Test("collision_ke_invalid: both are refused once, both try again, and nonces decide", arguments: LowestNonce.allCases)
    func ikeRekey_collision_ke_invalid(_ lowest: LowestNonce) throws {
        let peers = try refused(lowest)
        expectOne(peers, by: lowest.loser.other)
    }

    @Test("collision_ke_invalid_delayed_retry: one side's second attempt comes when all is over", arguments: Side.allCases)
    func ikeRekey_collision_ke_invalid_delayed_retry(_ delayed: Side) throws {
        let peers = try refused(.gatewaysRequest)
        let retry = try peers.take(delayed)
        try peers.pass(delayed.other)
        try peers.pass(delayed)
        peers.give(retry)
        expectOne(peers, by: delayed.other)
    }

    @Test("collision_delete: replaced by one side, deleted by the other at once", arguments: Side.allCases, [true, false])
    func ikeRekey_collision_delete(_ rekeyer: Side, rekeyFirst: Bool) throws {
        let peers = try Peers()
        peers.rekeyIKE(rekeyer)
        peers.deleteIKE(rekeyer.other)
        // CREATE_CHILD_SA { SA, Ni, KEi } --> meets an IKE SA that is being closed: <-- N(TEMPORARY_FAILURE)
        try peers.pass(rekeyFirst ? rekeyer : rekeyer.other)
        try peers.pass(rekeyFirst ? rekeyer.other : rekeyer)
        peers.settle()
        peers.run(for: .seconds(20))
        #expect(peers.violations + peers.leftovers == [])
        #expect(peers[rekeyer].ended == [.peerDelete] && peers[rekeyer.other].ended == [.operatorRequest])
    }

    @Test("collision_delete_drop_delete: the Delete is lost and comes again", arguments: Side.allCases)
    func ikeRekey_collision_delete_drop_delete(_ rekeyer: Side) throws {
        let peers = try Peers()
        peers.rekeyIKE(rekeyer)
        peers.deleteIKE(rekeyer.other)
        try peers.take(rekeyer.other)
        peers.settle()
        peers.run(for: .seconds(20))
        #expect(peers.violations + peers.leftovers == [])
    }

    @Test("collision_delete_drop_rekey: the rekey is lost and comes again when all is over", arguments: Side.allCases)
    func ikeRekey_collision_delete_drop_rekey(_ rekeyer: Side) throws {
        let peers = try Peers()
        peers.rekeyIKE(rekeyer)
        peers.deleteIKE(rekeyer.other)
        try peers.take(rekeyer)
        peers.settle()
        peers.run(for: .seconds(20))
        #expect(peers.violations + peers.leftovers == [])
    }

    @Test(
        "collision_delete_delayed_response: we close while our request is granted; the new IKE SA is closed too", arguments: Side.allCases,
        [true, false])
    func ikeRekey_collision_delete_delayed_response(_ rekeyer: Side, deliver: Bool) throws {
        let peers = try Peers()
        peers.rekeyIKE(rekeyer)
        try peers.pass(rekeyer)
        let response = try peers.take(rekeyer.other)
        peers.deleteIKE(rekeyer)
        if deliver { peers.give(response) }
        peers.run(for: .seconds(40))
        #expect(peers.violations + peers.leftovers == [])
        #expect(peers[rekeyer.other].ended == [.peerDelete])
    }

    @Test("collision of three: both replace it, and one closes it", arguments: Side.allCases, LowestNonce.allCases)
    func ikeRekey_collision_and_delete(_ closer: Side, lowest: LowestNonce) throws {
        let peers = try Peers()
        lowest.script(peers)
        for side in Side.allCases { peers.rekeyIKE(side) }
        try peers.pass(.gateway)
        try peers.pass(.client)
        peers.deleteIKE(closer)
        peers.settle()
        peers.run(for: .seconds(80))
        #expect(peers.violations + peers.leftovers == [])
    }

    @Test(
        "a Child SA is deleted while the IKE SA is replaced: answered as usual, and again on the new one if need be", arguments: Side.allCases,
        Side.allCases)
    func ikeRekey_childDelete(_ rekeyer: Side, deleter: Side) throws {
        let peers = try Peers()
        peers.rekeyIKE(rekeyer)
        peers.deleteChild(deleter)
        peers.settle()
        peers.run(for: .seconds(30))
        expectAgreement(peers, children: 0)
        #expect(peers.gateway.rekeys == 1 && peers.client.rekeys == 1)
    }

    @Test("a peer that never deletes the old IKE SA loses it after a minute", arguments: Side.allCases)
    func ikeRekey_delete_timeout(_ side: Side) throws {
        let peers = try Peers()
        peers.rekeyIKE(side)
        try peers.pass(side)
        try peers.pass(side.other)
        peers.fate = { $0.datagram.header?.initiatorSPI == 0x1111 ? [] : [.milliseconds(10)] }
        try peers.take(side)
        peers.run(for: .seconds(59))
        #expect(peers[side.other].spis.count == 2)
        peers.run(for: .seconds(62))
        #expect(peers.gateway.spis.count == 1 && peers.client.spis.count == 1)
        expectAgreement(peers)
    }
}

/// The cases of threats.md section 4, Delete.
@Suite("An IKE SA or a Child SA is deleted: threats.md section 4, RFC 7296 sections 1.4.1 and 2.25")
struct DeleteTests {
    @Test("regular: the IKE SA", arguments: Side.allCases)
    func delete_regular(_ side: Side) throws {
        let peers = try Peers()
        peers.deleteIKE(side)
        try peers.pass(side)
        try peers.pass(side.other)
        #expect(peers[side].isClosed && peers[side.other].ended == [.peerDelete])
        peers.run(for: .seconds(15))
        #expect(peers.violations + peers.leftovers == [])
    }

    @Test("regular: a Child SA", arguments: Side.allCases)
    func delete_regularChild(_ side: Side) throws {
        let peers = try Peers()
        peers.deleteChild(side)
        expectAgreement(peers, children: 0)
    }

    @Test("collision: both sides delete the IKE SA at once", arguments: Side.allCases)
    func delete_collision(_ first: Side) throws {
        let peers = try Peers()
        for side in Side.allCases { peers.deleteIKE(side) }
        try peers.pass(first)
        try peers.pass(first.other)
        peers.settle()
        peers.run(for: .seconds(15))
        #expect(peers.violations + peers.leftovers == [])
    }

    @Test("collision: both sides delete one Child SA at once; neither answers with it (section 1.4.1)", arguments: Side.allCases)
    func delete_collisionChild(_ first: Side) throws {
        let peers = try Peers()
        for side in Side.allCases { peers.deleteChild(side) }
        try peers.pass(first)
        try peers.pass(first.other)
        expectAgreement(peers, children: 0)
        let answers = peers.everything.filter { $0.is(.informational, response: true) }.map(\.datagram.octets.count)
        // Header, SK header, IV, pad length, ICV.
        #expect(answers == [57, 57], "empty answers")
    }

    @Test("drop: a Delete is lost, or its answer", arguments: Side.allCases, [true, false])
    func delete_drop(_ side: Side, answer: Bool) throws {
        let peers = try Peers()
        peers.deleteIKE(side)
        if answer { try peers.pass(side) }
        try peers.take(answer ? side.other : side)
        peers.run(for: .seconds(15))
        #expect(peers.violations + peers.leftovers == [])
        #expect(peers[side.other].ended == [.peerDelete])
    }

    @Test("ike_rekey: a Delete of the Child SA and a rekey of the IKE SA at once", arguments: Side.allCases, [true, false])
    func delete_ike_rekey(_ deleter: Side, deleteFirst: Bool) throws {
        let peers = try Peers()
        peers.deleteChild(deleter)
        peers.rekeyIKE(deleter.other)
        // INFORMATIONAL { D } --> and <-- CREATE_CHILD_SA { SA, Ni, KEi }: refused while a Child SA is being closed, and tried again.
        try peers.pass(deleteFirst ? deleter : deleter.other)
        peers.settle()
        #expect(peers.gateway.children.isEmpty && peers.client.children.isEmpty)
        peers.run(for: .seconds(30))
        expectAgreement(peers, children: 0)
        #expect(peers.gateway.rekeys == 1 && peers.client.rekeys == 1)
    }

    @Test("ike_delete: a Delete of the Child SA and one of the IKE SA at once", arguments: Side.allCases, [true, false])
    func delete_ike_delete(_ deleter: Side, deleteFirst: Bool) throws {
        let peers = try Peers()
        peers.deleteChild(deleter)
        peers.deleteIKE(deleter.other)
        try peers.pass(deleteFirst ? deleter : deleter.other)
        peers.settle()
        peers.run(for: .seconds(20))
        #expect(peers.violations + peers.leftovers == [])
    }
}

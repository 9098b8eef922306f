import GatewayCrypto
import GatewayTesting
import IKEMessages
import Testing
import Wire

@testable import IKE

@Suite("A reload reaches IKE SAs that stand: configuration.md (new settings hold for the next rekey), features.md TS-6, X-9")
struct ReloadTests {
    private static let (gcm128, gcm256) = (EncryptionChoice(.aesGCM16, keyBits: 128), EncryptionChoice(.aesGCM16, keyBits: 256))
    /// The client takes all that the tests change to, and has no lifetimes of its own to speak of.
    private static let client = Peers.profile {
        $0.policy.ipsecLifetime = .seconds(360_000)
        $0.policy.transforms[0].lifetime = .seconds(3_600_000)
        $0.policy.transforms[0].encryption = [gcm128, gcm256]
        $0.policy.transforms[0].keyExchange = [.x25519, .ecp256]
        $0.childTransforms[0].encryption = [gcm128, gcm256]
        $0.childTransforms[0].keyExchange = [.x25519, .ecp256]
    }

    /// Reloads the gateway with other settings than it has.
    private func reload(_ peers: Peers, _ change: (inout GatewayProfile) -> Void) {
        var profile: GatewayProfile?
        peers.gateway.change { profile = $0.newest }
        guard var profile else { return }
        change(&profile)
        peers.feed(.profile(profile), to: .gateway)
    }

    private func look<Value>(_ peers: Peers, _ body: (borrowing Established) -> Value) throws -> Value {
        var value: Value?
        peers.gateway.change { value = body($0) }
        return try #require(value)
    }

    private func child(_ peers: Peers) throws -> ChildSA { try #require(peers.gateway.installed.last).sa }

    // MARK: Child SAs

    @Test("other ESP algorithms: untouched until the next rekey, by either side, which has them", arguments: Side.allCases)
    func reload_childAlgorithms(_ side: Side) throws {
        let peers = try Peers(client: Self.client)
        let before = peers.gateway.children
        reload(peers) { $0.childTransforms[0].encryption = [Self.gcm256] }
        peers.settle()
        #expect(peers.everything.isEmpty && peers.gateway.children == before)
        peers.rekeyChild(side)
        expectAgreement(peers)
        #expect(try child(peers).suite.suite.keyBits == 256)
    }

    @Test("an algorithm that is preferred now, and the old one still allowed: our own rekey asks for the new one first; unchanged, for the old one")
    func reload_childPreference() throws {
        for isChanged in [true, false] {
            let peers = try Peers(
                gateway: Peers.profile { $0.childTransforms[0].encryption = isChanged ? [Self.gcm128] : [Self.gcm256, Self.gcm128] },
                client: Peers.profile {
                    // It takes what comes first.
                    $0.childTransforms[0].encryption = [Self.gcm256, Self.gcm128]
                })
            if isChanged { reload(peers) { $0.childTransforms[0].encryption = [Self.gcm256, Self.gcm128] } }
            peers.gateway.change { established in
                let (aging, allowed) = (established.children.live.first, established.newest.childTransforms)
                guard let aging else { return }
                let offers = Offers.esp(current: aging.sa.suite, allowing: allowed, isShy: false, isOutdated: aging.isOutdated)
                #expect(aging.isOutdated == isChanged)
                #expect(offers.proposals.first?.transforms.first?.keyLength == (isChanged ? 256 : 128))
            }
            peers.rekeyChild(.gateway)
            expectAgreement(peers)
            #expect(try look(peers) { $0.children.live.first?.isOutdated } == false)
        }
    }

    @Test("what is not allowed any more is not offered any more, even to a client that knows nothing else: it stays until its lifetime ends")
    func reload_childWithoutCommonAlgorithm() throws {
        let peers = try Peers(gateway: Peers.profile { $0.policy.ipsecLifetime = .seconds(3600) }, client: Peers.profile())
        reload(peers) { $0.childTransforms[0].encryption = [Self.gcm256] }
        peers.rekeyChild(.client)
        peers.settle()
        #expect(peers.gateway.furtherChildren == 0 && peers.gateway.children.count == 1, "NO_PROPOSAL_CHOSEN")
        peers.run(for: .seconds(3550))
        #expect(peers.gateway.furtherChildren == 0 && peers.gateway.children.count == 1)
        peers.isLossless = false
        peers.run(for: .seconds(51))
        #expect(peers.gateway.children.isEmpty && peers.client.children.isEmpty)
        #expect(peers.violations == [])
    }

    @Test("lifetimes: what stands keeps its own, what replaces it has the new one", arguments: [nil, Duration.seconds(900)])
    func reload_childLifetime(ofTransform lifetime: Duration?) throws {
        let peers = try Peers(gateway: Peers.profile { $0.policy.ipsecLifetime = .seconds(3600) }, client: Self.client)
        reload(peers) {
            $0.policy.ipsecLifetime = .seconds(1200)
            $0.childTransforms[0].lifetime = lifetime
            $0.packetLifetime = 5000
        }
        peers.run(for: .seconds(3200))
        #expect(peers.gateway.furtherChildren == 0)
        peers.run(for: .seconds(250))
        #expect(peers.gateway.furtherChildren == 1)
        #expect(try child(peers).lifetime == lifetime ?? .seconds(1200))
        #expect(try #require(try child(peers).soft).packets <= 5000)
        expectAgreement(peers)
    }

    @Test("PFS required from now on: the client's rekey without a key exchange is refused, ours has one; and one that is not wanted is left out")
    func reload_pfs() throws {
        let peers = try Peers(client: Self.client)
        reload(peers) {
            $0.childTransforms[0].requiresPFS = true
            $0.childTransforms[0].prefersPFS = true
        }
        peers.rekeyChild(.client)
        peers.settle()
        #expect(peers.gateway.furtherChildren == 0)
        peers.rekeyChild(.gateway)
        expectAgreement(peers)
        #expect(try child(peers).suite.keyExchange == .x25519)
        reload(peers) {
            $0.childTransforms[0].requiresPFS = false
            $0.childTransforms[0].prefersPFS = false
        }
        peers.rekeyChild(.gateway)
        expectAgreement(peers)
        #expect(try child(peers).suite.keyExchange == nil)
    }

    @Test("TS-6: a Child SA in the place of another keeps its selectors whatever the ts-list is now", arguments: Side.allCases)
    func TS6_reload(_ side: Side) throws {
        let peers = try Peers(client: Self.client)
        let before = try child(peers)
        reload(peers) { $0.selectors = tsList("192.0.2.0/24") }
        peers.rekeyChild(side)
        expectAgreement(peers)
        let after = try child(peers)
        #expect(after.inboundSPI != before.inboundSPI && after.localSelectors == before.localSelectors)
    }

    @Test("X-9: whether ESP goes inside UDP was settled at the login, and no reload changes it", arguments: [true, false])
    func X9_reload(forced: Bool) throws {
        let peers = try Peers(gateway: Peers.profile { $0.policy.natTraversal.force = forced }, client: Self.client)
        reload(peers) {
            $0.policy.natTraversal.force = !forced
            $0.childTransforms[0].encryption = [Self.gcm256]
        }
        peers.rekeyChild(.gateway)
        expectAgreement(peers)
        peers.rekeyIKE(.gateway)
        expectAgreement(peers)
        peers.rekeyChild(.gateway)
        expectAgreement(peers)
        #expect(try child(peers).isEncapsulated == forced && child(peers).suite.suite.keyBits == 256)
    }

    // MARK: In the middle of an exchange

    @Test("a reload while our own request is out: its answer is measured by what it asked for, and the next rekey has the new settings")
    func reload_betweenRequestAndAnswer() throws {
        let peers = try Peers(client: Self.client)
        peers.rekeyChild(.gateway)
        reload(peers) { $0.childTransforms[0].encryption = [Self.gcm256] }
        expectAgreement(peers)
        #expect(try peers.gateway.furtherChildren == 1 && child(peers).suite.suite.keyBits == 128)
        peers.rekeyChild(.gateway)
        expectAgreement(peers)
        #expect(try child(peers).suite.suite.keyBits == 256)

        peers.rekeyIKE(.gateway)
        reload(peers) { $0.policy.transforms[0].encryption = [Self.gcm256] }
        expectAgreement(peers)
        #expect(try peers.gateway.rekeys == 1 && look(peers) { $0.proposal.suite.keyBits } == 128)
        peers.rekeyIKE(.gateway)
        expectAgreement(peers)
        #expect(try look(peers) { $0.proposal.suite.keyBits } == 256)
    }

    @Test("a reload while both sides replace one Child SA, or the IKE SA: one stands in the end", arguments: [true, false])
    func reload_inACollision(ofChildren: Bool) throws {
        for seed in [UInt64](1...20) {
            let peers = try Peers(seed: seed, client: Self.client)
            for side in Side.allCases { ofChildren ? peers.rekeyChild(side) : peers.rekeyIKE(side) }
            reload(peers) {
                $0.childTransforms[0].encryption = [Self.gcm256]
                $0.policy.transforms[0].encryption = [Self.gcm256]
            }
            peers.run(for: .seconds(90))
            expectAgreement(peers)
            peers.rekeyChild(.gateway)
            expectAgreement(peers)
            #expect(try child(peers).suite.suite.keyBits == 256, "seed \(seed)")
        }
    }

    // MARK: IKE SAs

    @Test("other IKE algorithms, group and lifetime: with the next IKE SA, whoever asks for it", arguments: Side.allCases)
    func reload_ikeAlgorithms(_ side: Side) throws {
        let peers = try Peers(client: Self.client)
        let children = peers.gateway.children
        reload(peers) {
            $0.policy.transforms[0].encryption = [Self.gcm256]
            $0.policy.transforms[0].keyExchange = [.ecp256]
            $0.policy.transforms[0].lifetime = .seconds(7200)
        }
        #expect(try look(peers) { $0.proposal.keyExchange } == .x25519)
        peers.rekeyIKE(side)
        expectAgreement(peers)
        let proposal = try look(peers) { $0.proposal }
        #expect(peers.gateway.rekeys == 1 && peers.gateway.children == children)
        #expect(proposal.suite.keyBits == 256 && proposal.keyExchange == .ecp256 && proposal.lifetime == .seconds(7200))
        #expect(try look(peers) { $0.channel.deadlines[.ageOut] } == peers.now + .seconds(7200))
    }

    @Test("dpd, fragments and keepalives: of the IKE SA that comes next, not of the one that stands")
    func reload_upkeep() throws {
        let peers = try Peers(client: Self.client)
        peers.gateway.change { $0.channel.fragmentation = Fragmentation(IKEPolicy.Fragmentation(), budget: ReassemblyBudget()) }
        reload(peers) {
            $0.policy.deadPeerDetection = IKEPolicy.DeadPeerDetection()
            $0.policy.deadPeerDetection?.interval = .seconds(40)
            $0.policy.fragmentation.mtu = 900
            $0.policy.fragmentation.reassemblyTimeout = .seconds(9)
            $0.policy.natTraversal.keepAliveInterval = .seconds(25)
        }
        peers.run(for: .seconds(100))
        #expect(peers.everything.isEmpty)
        peers.rekeyIKE(.client)
        peers.settle()
        #expect(try look(peers) { $0.channel.fragmentation?.mtu } == 900)
        #expect(try look(peers) { $0.channel.fragmentation?.timeout } == .seconds(9))
        #expect(try look(peers) { $0.channel.keepAliveInterval } == .seconds(25))
        let before = peers.everything.count
        peers.run(for: .seconds(41))
        #expect(peers.everything.count == before + 2, "a liveness check and its answer")
        // And off again.
        reload(peers) { $0.policy.deadPeerDetection = nil }
        peers.rekeyIKE(.client)
        peers.run(for: .seconds(20))
        let quiet = peers.everything.count
        peers.run(for: .seconds(200))
        #expect(peers.everything.count == quiet)
        expectAgreement(peers)
    }

    @Test("a reload after the end changes nothing, and one without changes asks for nothing")
    func reload_nothing() throws {
        let peers = try Peers(client: Self.client)
        reload(peers) { _ in }
        #expect(try look(peers) { $0.isOutdated || $0.children.live.contains { $0.isOutdated } } == false)
        peers.deleteIKE(.gateway)
        peers.feed(.profile(Self.client), to: .gateway)
        peers.run(for: .seconds(30))
        peers.feed(.profile(Self.client), to: .gateway)
        #expect(peers.violations + peers.leftovers == [])
    }
}

import GatewayCrypto
import GatewayTesting
import IKEMessages
import Testing
import Wire

@testable import IKE

@Suite("Lifetimes, and what a rekey of ours asks for: threats.md P9, P24, P25; features.md IKE-16, TS-6, X-7, X-13")
struct LifetimeTests {
    private static func profile(_ change: (inout GatewayProfile) -> Void = { _ in }) -> GatewayProfile {
        Peers.profile {
            $0.policy.ipsecLifetime = .seconds(3600)
            $0.policy.transforms[0].lifetime = .seconds(86_400)
            change(&$0)
        }
    }

    /// The client's own lifetimes never end.
    private static let patient = Peers.profile {
        $0.policy.ipsecLifetime = .seconds(360_000)
        $0.policy.transforms[0].lifetime = .seconds(3_600_000)
    }

    private func times(_ peers: Peers, _ exchange: ExchangeType, from side: Side = .gateway) -> [Duration] {
        var seen: Set<[UInt8]> = []
        return peers.everything.filter { $0.from == side && $0.is(exchange, response: false) && seen.insert($0.datagram.octets).inserted }
            .map { $0.arrival - Instant(nanoseconds: 1_000_000_000_000) }
    }

    @Test("IKE-16: a Child SA is replaced in the last tenth of its lifetime, each at another moment", arguments: [UInt64](1...8))
    func IKE16_childLifetime(seed: UInt64) throws {
        let peers = try Peers(seed: seed, gateway: Self.profile(), client: Self.patient)
        peers.run(for: .seconds(3239))
        #expect(times(peers, .createChildSA) == [])
        peers.run(for: .seconds(200))
        let first = try #require(times(peers, .createChildSA).first)
        #expect(first >= .seconds(3240) && first <= .seconds(3420))
        peers.run(for: .seconds(3600))
        #expect(times(peers, .createChildSA).count == 2)
        #expect(Set(times(peers, .createChildSA).map { $0.components.attoseconds }).count == 2, "drawn anew")
        expectAgreement(peers)
    }

    @Test("IKE-16: so is the IKE SA, and its hard lifetime begins anew")
    func IKE16_ikeLifetime() throws {
        let peers = try Peers(
            gateway: Self.profile {
                $0.policy.ipsecLifetime = .seconds(864_000)
                $0.policy.transforms[0].lifetime = .seconds(36_000)
            }, client: Self.patient)
        peers.run(for: .seconds(100_000))
        let rekeys = times(peers, .createChildSA)
        #expect(peers.gateway.rekeys == rekeys.count && rekeys.count >= 2)
        for (index, time) in rekeys.enumerated() {
            let since = index == 0 ? time : time - rekeys[index - 1]
            #expect(since >= .seconds(32_400) && since <= .seconds(34_201))
        }
        expectAgreement(peers)
    }

    @Test("what cannot be replaced is deleted when its lifetime ends, and not asked for twice")
    func hardLifetime() throws {
        let peers = try Peers(gateway: Self.profile(), client: Self.patient)
        peers.client.hasSPIs = false
        peers.run(for: .seconds(3599))
        #expect(times(peers, .createChildSA).count == 1, "NO_ADDITIONAL_SAS is an answer")
        #expect(peers.gateway.children.count == 1)
        peers.isLossless = false
        peers.run(for: .seconds(2))
        #expect(peers.gateway.children.isEmpty && peers.client.children.isEmpty)
        #expect(times(peers, .informational).count == 1)
        peers.run(for: .seconds(61))
        #expect(peers.gateway.ended == [.childless])
        peers.run(for: .seconds(20))
        #expect(peers.violations + peers.leftovers == [])
    }

    @Test("TEMPORARY_FAILURE is tried again after 8 to 16 s, for as long as the lifetime lasts; RFC 7296 section 2.25")
    func temporaryFailure() throws {
        let peers = try Peers(gateway: Self.profile(), client: Self.patient)
        peers.client.installs = false
        peers.rekeyChild(.gateway)
        peers.run(for: .seconds(60))
        let attempts = times(peers, .createChildSA)
        #expect(attempts.count >= 4)
        for (earlier, later) in zip(attempts, attempts.dropFirst()) {
            #expect(later - earlier >= .seconds(8) && later - earlier <= .seconds(17))
        }
        peers.client.installs = true
        peers.run(for: .seconds(20))
        expectAgreement(peers)
        #expect(peers.gateway.furtherChildren == 1)
    }

    @Test(
        "a short lifetime leaves room for a request that is lost twice, and a pause never outlasts it",
        arguments: [(10, 6, 7), (20, 13, 14), (27, 20, 20), (60, 53, 53), (1200, 1080, 1140)])
    func shortLifetime(seconds: Int, from: Int, to: Int) {
        let entropy = SeededEntropy(seed: UInt64(seconds))
        let (now, end) = (Instant(nanoseconds: 1_000_000_000), Instant(nanoseconds: 1_000_000_000) + .seconds(seconds))
        for _ in 1...20 {
            let soft = Lifetimes.soft(.seconds(seconds), entropy: entropy)
            #expect(soft >= .seconds(from) && soft <= .seconds(to))
            let again = Lifetimes.retry(before: end, at: now, entropy: entropy) - now
            #expect(again >= min(.seconds(8), .seconds(seconds) / 2) && again <= min(.seconds(16), .seconds(seconds) / 2))
        }
        #expect(Lifetimes.retry(before: end, at: end + .milliseconds(-10), entropy: entropy) == end + .milliseconds(990))
        #expect(Lifetimes.retry(before: nil, at: now, entropy: entropy) >= now + .seconds(8))
    }

    @Test("P25: 2^31 packets less a random part, and 2^29 octets with blocks of 64 bits", arguments: [UInt64](1...20))
    func threat_P25_softLimits(seed: UInt64) throws {
        let entropy = SeededEntropy(seed: seed)
        let aead = Lifetimes.traffic(Peer.espSuite, packets: 1 << 31, entropy: entropy)
        #expect(aead.packets <= 1 << 31 && aead.packets >= (1 << 31) / 16 * 15 && aead.octets == nil)
        #expect(aead.packets != Lifetimes.traffic(Peer.espSuite, packets: 1 << 31, entropy: entropy).packets)
        let short = try #require(ProtectionSuite(encryption: .tripleDES, keyBits: 0, integrity: .hmacSHA256_128))
        let octets = try #require(Lifetimes.traffic(short, packets: 1 << 31, entropy: entropy).octets)
        #expect(octets <= 1 << 29 && octets >= (1 << 29) / 16 * 15)
    }

    @Test("P25: the datapath's limits: the soft one replaces, the hard one deletes")
    func threat_P25_datapathLimits() throws {
        let peers = try Peers(gateway: Self.profile(), client: Self.patient)
        let old = peers.gateway.children
        peers.feed(.childAging(spi: 1), to: .gateway)
        #expect(peers.everything.isEmpty)
        peers.feed(.childAging(spi: try #require(old.first)), to: .gateway)
        // Told twice, it is replaced once.
        peers.feed(.childAging(spi: try #require(old.first)), to: .gateway)
        expectAgreement(peers)
        #expect(peers.gateway.children != old && times(peers, .createChildSA).count == 1)
        #expect(peers.gateway.installed.first?.sa.soft?.packets ?? 0 > 1 << 30)
        peers.deleteChild(.gateway)
        expectAgreement(peers, children: 0)
    }

    // MARK: X-13

    private static func windows(_ vendor: [UInt8]) -> [UInt8] {
        IKEMessage(
            header: IKEHeader(initiatorSPI: 1, responderSPI: 0, exchange: .ikeSAInit, flags: .initiator, messageID: 0),
            payloads: [.vendorID(VendorIDPayload(octets: vendor))]
        ).encoded()
    }
    /// MS NT5 ISAKMPOAKLEY with version 9.
    private static let vendor: [UInt8] = [
        0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4, 0x61, 0, 0, 0, 9,
    ]

    @Test("X-13: Windows is given time for its own rekeys, and has none of ours behind a NAT", arguments: [true, false])
    func X13_windows(behindNAT: Bool) throws {
        let peers = try Peers(
            gateway: Self.profile(), client: Self.patient, initRequest: Self.windows(Self.vendor),
            nat: NATState(supported: true, peerBehindNAT: behindNAT, weBehindNAT: false))
        peers.run(for: .seconds(3490))
        #expect(times(peers, .createChildSA) == [])
        peers.run(for: .seconds(85))
        #expect(times(peers, .createChildSA).count == (behindNAT ? 0 : 1))
        if behindNAT {
            peers.feed(.childAging(spi: try #require(peers.gateway.children.first)), to: .gateway)
            #expect(times(peers, .createChildSA) == [], "nor by packets")
            // Its own are as welcome as ever.
            peers.rekeyChild(.client)
        }
        expectAgreement(peers)
        #expect(peers.gateway.furtherChildren == 1)
    }

    @Test("X-13: other vendor IDs, and none")
    func X13_others() {
        #expect(ClientSoftware.isWindows(initRequest: Self.windows(Self.vendor)))
        #expect(ClientSoftware.isWindows(initRequest: Self.windows(Array(Self.vendor.prefix(16)))))
        #expect(!ClientSoftware.isWindows(initRequest: Self.windows(Array(Self.vendor.prefix(15)))))
        #expect(!ClientSoftware.isWindows(initRequest: Self.windows([0x88, 0x2f, 0xe5, 0x6d])))
        #expect(!ClientSoftware.isWindows(initRequest: []))
    }

    // MARK: X-7

    private func transform(_ change: (inout IPsecTransform) -> Void) -> IPsecTransform {
        var transform = IPsecTransform(encryption: DefaultProposals.aead, keyExchange: [.ecp256, .x25519])
        change(&transform)
        return transform
    }

    private var current: ESPProposal {
        ESPProposal(number: 1, spi: 256, suite: Peer.espSuite, extendedSequenceNumbers: true, lifetime: nil)
    }

    @Test("X-7: pfs-dh-group none: no KE; a group: preferred; pfs-required: insisted on; and none for Windows but that")
    func X7_offers() {
        func groups(_ offers: Offers<IPsecTransform>) -> [[UInt16]] {
            offers.proposals.map { $0.transforms.filter { $0.type == .keyExchange }.map(\.id) }
        }
        let none = Offers.esp(current: current, allowing: [transform { _ in }], isShy: false)
        #expect(none.group == nil && groups(none) == [[], []])
        let preferred = Offers.esp(current: current, allowing: [transform { $0.prefersPFS = true }], isShy: false)
        #expect(preferred.group == .ecp256 && groups(preferred) == [[19, 31, 0], [19, 31, 0]])
        let required = transform {
            $0.prefersPFS = true
            $0.requiresPFS = true
        }
        #expect(groups(Offers.esp(current: current, allowing: [required], isShy: false)) == [[19, 31], [19, 31]])
        #expect(Offers.esp(current: current, allowing: [transform { $0.prefersPFS = true }], isShy: true).group == nil)
        #expect(Offers.esp(current: current, allowing: [required], isShy: true).group == .ecp256)
        // What the Child SA has comes first, with nothing beside it.
        #expect(
            none.proposals.first?.transforms == [
                Transform(.encryption, id: EncryptionAlgorithm.aesGCM16.rawValue, keyLength: 128), Transform(.sequenceNumbers, id: 1),
            ])
        #expect(none.proposals.map(\.number) == [1, 2])
    }

    @Test("threats.md P9: INVALID_KE_PAYLOAD is followed within our own proposals, with those alone that have the group")
    func threat_P9_groups() {
        let offers = Offers.esp(current: current, allowing: [transform { $0.prefersPFS = true }], isShy: false)
        #expect(offers.with(group: .x25519)?.group == .x25519)
        #expect(offers.with(group: .ecp256) == nil, "that is what was refused")
        for group in [KeyExchangeMethod.modp1024, .modp2048, .none] { #expect(offers.with(group: group) == nil) }
        let ike = Offers.ike(current: Peer.ikeSuite, allowing: DefaultProposals.ike)
        #expect(ike.group == .x25519 && ike.proposals.count == 3)
        #expect(ike.with(group: .modp2048)?.proposals.map(\.number) == [1, 2])
    }

    @Test("an answer takes one of our proposals, and one transform of each type")
    func answers() {
        let offers = Offers.esp(current: current, allowing: [transform { $0.prefersPFS = true }], isShy: false)
        let cipher = Transform(.encryption, id: EncryptionAlgorithm.aesGCM16.rawValue, keyLength: 128)
        let numbers = Transform(.sequenceNumbers, id: 1)
        func holds(_ number: UInt8, _ transforms: [Transform]) -> Bool {
            offers.hold(Proposal(number: number, protocolID: .esp, spi: [1, 2, 3, 4], transforms: transforms))
        }
        #expect(holds(1, [cipher, numbers]) && holds(1, [cipher, numbers, Transform(.keyExchange, id: 19)]))
        #expect(!holds(1, [cipher]) && !holds(1, [numbers]) && !holds(3, [cipher, numbers]) && !holds(0, [cipher, numbers]))
        #expect(!holds(1, [cipher, numbers, Transform(.keyExchange, id: 14)]))
        #expect(!holds(1, [cipher, cipher, numbers]) && !holds(1, [cipher, numbers, Transform(.integrity, id: 12)]))
        #expect(!holds(1, [Transform(.encryption, id: EncryptionAlgorithm.aesGCM16.rawValue, keyLength: 256), numbers]))
        #expect(holds(2, [Transform(.encryption, id: EncryptionAlgorithm.aesGCM16.rawValue, keyLength: 256), Transform(.sequenceNumbers, id: 0)]))
    }

    // MARK: P24

    @Test("P24: an answer that is narrower than the traffic in use, wider, or of other algorithms is not taken", arguments: 0..<7)
    func threat_P24_narrowerAnswer(_ variant: Int) throws {
        let peers = try Peers()
        let old = try #require(peers.gateway.installed.first).sa
        var wide = old.localSelectors
        wide[0].addresses = try #require(IPPrefix("10.1.0.0/30")).range
        let current = try #require(
            ChildSA(
                inboundSPI: 77, outboundSPI: 78, suite: old.suite, localSelectors: wide, remoteSelectors: old.remoteSelectors,
                lifetime: old.lifetime, grant: old.grant, local: old.local, remote: old.remote, peerBehindNAT: false) as ChildSA?)
        let transforms = [IPsecTransform(encryption: DefaultProposals.aead)]
        let ours = try OurChildExchange(
            replacing: current, fromScratch: false, offers: Offers.esp(current: current.suite, allowing: transforms, isShy: false),
            entropy: SeededEntropy(seed: 1))
        var proposal = current.suite.response(spi: 0x1234_5678)
        var (local, remote) = (wide, old.remoteSelectors)
        switch variant {
        case 1: local = old.localSelectors
        case 2: remote = [.all(.ipv4)]
        case 3: local = []
        case 4: proposal.transforms[0].keyLength = 192
        case 5: proposal.spi = [0, 0, 0, 1]
        case 6: proposal.spi = [1, 2, 3]
        default: break
        }
        let payloads: [Payload] = [
            .securityAssociation(SecurityAssociationPayload(proposals: [proposal])), .nonce(NoncePayload(octets: [UInt8](repeating: 7, count: 32))),
            .initiatorTrafficSelectors(TrafficSelectorPayload(selectors: local)),
            .responderTrafficSelectors(TrafficSelectorPayload(selectors: remote)),
        ]
        guard case .accepted(let accepted) = try CreateChildSAResponse(payloads: payloads) else {
            Issue.record("not an answer")
            return
        }
        switch ours.measure(accepted) {
        case .agreed(let suite, _, _, _): #expect(variant == 0 && suite.spi == 0x1234_5678)
        case .unacceptable(let spi):
            #expect(variant > 0)
            // What the client has made is deleted, where it said what that is.
            #expect((spi == nil) == (variant == 6))
        }
    }
}

import GatewayCrypto
import GatewayTesting
import IKE
import IKEMessages
import RoadWarrior
import Testing
import Wire

/// What RADIUS says of one session, as `AddressGrant.terms` brings it: RAD-5, X-3.
@Suite("Terms of one session: features.md RAD-5, X-3, TS-5")
struct ChildTermsTests {
    static let address = ip("10.9.0.7")

    private func pair(
        _ profile: GatewayProfile = Pair.profile(), _ change: (inout ChildTerms) -> Void, settings: (inout RoadWarrior.Settings) -> Void = { _ in }
    ) throws -> Pair {
        let pair = try Pair.eap(profile: profile, settings)
        var terms = ChildTerms()
        change(&terms)
        let grant = AddressGrant(ipv4: Self.address, terms: terms)
        pair.gateway.address = { _ in .granted(grant) }
        pair.connect()
        return pair
    }

    private func child(_ pair: Pair) throws -> ChildSA { try #require(pair.entry?.children.last) }

    private static let cbc = IPsecTransform(
        encryption: [EncryptionChoice(.aesCBC, keyBits: 256)], integrity: [.hmacSHA512_256], lifetime: .seconds(5000))

    @Test("transforms in the place of the template's, also where the template's would not have done")
    func RAD_5_transforms() throws {
        let profile = Pair.profile { $0.childTransforms = [IPsecTransform(encryption: [EncryptionChoice(.aesGCM8, keyBits: 256)])] }
        let pair = try pair(profile, { $0.transforms = [Self.cbc] })
        pair.expectEAPLogin()
        let sa = try child(pair)
        #expect(sa.suite.suite.encryption == .aesCBC && sa.suite.suite.keyBits == 256 && sa.suite.suite.integrity == .hmacSHA512_256)
        #expect(sa.lifetime == .seconds(5000))
    }

    @Test("transforms that the client does not offer: no Child SA, and the IKE SA is deleted")
    func RAD_5_transformsUnknown() throws {
        let pair = try pair { $0.transforms = [IPsecTransform(encryption: [EncryptionChoice(.aesGCM8, keyBits: 256)])] }
        #expect(pair.client.refusals == [.noProposalChosen])
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("a lifetime goes before the transform's and the policy's", arguments: [false, true])
    func RAD_5_lifetime(_ ofTransform: Bool) throws {
        let pair = try pair {
            if ofTransform { $0.transforms = [Self.cbc] }
            $0.lifetime = .seconds(1234)
        }
        #expect(try child(pair).lifetime == .seconds(1234))
        pair.run(for: .seconds(1235))
        #expect(pair.entry?.furtherChildren == 1, "replaced within its time")
        #expect(try child(pair).lifetime == .seconds(1234))
        expectSound(pair)
    }

    @Test("a group for rekeys, or none", arguments: [KeyExchangeMethod.ecp384, .none])
    func RAD_5_group(_ group: KeyExchangeMethod) throws {
        let profile = Pair.profile { profile in
            for index in profile.childTransforms.indices {
                profile.childTransforms[index].prefersPFS = group == .none
                profile.childTransforms[index].keyExchange = [.x25519]
            }
        }
        let pair = try pair(profile, { $0.keyExchange = group }) { settings in
            settings.espProposals = (try? ProposalText.esp("aes128gcm16-x25519-ecp384-noesn")) ?? []
        }
        pair.expectEAPLogin()
        pair.feed(.childAging(spi: try child(pair).inboundSPI))
        pair.settle()
        let offered = try #require(
            pair.flights(.createChildSA, response: false, fromClient: false).last.flatMap { pair.client.warrior.reveal($0.octets) })
        let key = offered.lazy.compactMap { if case .keyExchange(let value) = $0 { value } else { nil } }.first
        #expect(key?.method == (group == .none ? nil : group))
        expectSound(pair)
    }

    @Test("Filter-Id narrows TSr further, of the first Child SA, a further one and a rekeyed one")
    func X_3_selectors() throws {
        let profile = Pair.profile { $0.selectors = tsList("10.20.0.0/16", "10.30.0.0/16") }
        let pair = try pair(profile, { $0.selectors = tsList("10.20.5.0/24", "192.168.0.0/24") })
        pair.expectEAPLogin()
        #expect(try child(pair).localSelectors == [selector("10.20.5.0/24")])
        #expect(pair.client.childSA?.remoteSelectors == [selector("10.20.5.0/24")])
        pair.request(.createChildSA, Self.furtherChild)
        pair.settle()
        #expect(pair.entry?.children.count == 2)
        #expect(pair.entry?.children.allSatisfy { $0.localSelectors == [selector("10.20.5.0/24")] } == true)
        expectSound(pair)
    }

    @Test("Filter-Id that leaves nothing: TS_UNACCEPTABLE")
    func X_3_nothingLeft() throws {
        let profile = Pair.profile { $0.selectors = tsList("10.20.0.0/16") }
        let pair = try pair(profile, { $0.selectors = tsList("192.168.0.0/24") })
        #expect(pair.client.refusals == [.tsUnacceptable])
        pair.drain()
        expectNothingLeft(pair)
    }

    @Test("networks behind the client may stand in TSi beside its address, and nothing else may", arguments: [false, true])
    func X_3_clientNetworks(_ asks: Bool) throws {
        let networks = [IPPrefix("192.168.77.0/24"), IPPrefix("2001:db8:77::/56")].compactMap { $0 }
        let pair = try pair(Pair.profile(), { $0.clientNetworks = networks }) { settings in
            settings.localSelectors =
                asks ? [.all(.ipv4), .all(.ipv6)] : [selector("192.168.77.8/29"), selector("192.168.78.0/24"), selector("10.9.0.0/24")]
            if asks { settings.remoteSelectors = [.all(.ipv4), .all(.ipv6)] }
        }
        pair.expectEAPLogin()
        let expected =
            asks
            ? [selector("10.9.0.7"), selector("192.168.77.0/24"), selector("2001:db8:77::/56")] : [selector("10.9.0.7"), selector("192.168.77.8/29")]
        #expect(Set(try child(pair).remoteSelectors) == Set(expected))
        // A family that the client has a network of is one it may reach.
        #expect(try child(pair).localSelectors == (asks ? [.all(.ipv4), .all(.ipv6)] : [.all(.ipv4)]))
    }

    @Test("no more than 16 networks of one client (C3)")
    func threat_C3_networks() throws {
        let networks = (0..<40).compactMap { IPPrefix("192.168.\($0 * 2).0/24") }
        let pair = try pair { $0.clientNetworks = networks }
        pair.expectEAPLogin()
        #expect(try child(pair).remoteSelectors.count == 17)
    }

    @Test(
        "AUTH_LIFETIME says the shorter of the policy's and the session's, and is not sent unless the policy has one",
        arguments: [nil, 600, 3000] as [Int?], [nil, 900] as [Int?])
    func sessionLifetime(_ policy: Int?, _ session: Int?) throws {
        let profile = Pair.policy { $0.authentication.lifetime = policy.map { .seconds($0) } }
        let pair = try pair(profile, { $0.sessionLifetime = session.map { .seconds($0) } })
        pair.expectEAPLogin()
        let said = pair.client.establishment?.notifies.first { $0.type == .authLifetime }?.data.reduce(0) { $0 << 8 | Int($1) }
        #expect(said == policy.map { min($0, session ?? $0) })
    }

    private static var furtherChild: [Payload] {
        let spi: [UInt8] = [9, 9, 9, 9]
        let proposals = ProposalText.espDefault.map { Proposal(number: $0.number, protocolID: .esp, spi: spi, transforms: $0.transforms) }
        return [
            .securityAssociation(SecurityAssociationPayload(proposals: proposals)), .nonce(NoncePayload(octets: [UInt8](repeating: 3, count: 32))),
            .initiatorTrafficSelectors(TrafficSelectorPayload(selectors: [.all(.ipv4)])),
            .responderTrafficSelectors(TrafficSelectorPayload(selectors: [.all(.ipv4)])),
        ]
    }

    // MARK: Ends

    @Test("RAD-7: every end from outside is a Delete, and says why", arguments: ClosingReason.allCases)
    func RAD_7_endings(_ reason: ClosingReason) throws {
        let pair = try Pair.eap()
        pair.connect()
        pair.closeFromGateway(reason)
        pair.settle()
        #expect(pair.client.closure == .deletedByPeer)
        #expect(pair.lastEntry?.ended == [reason])
        pair.drain()
        expectNothingLeft(pair)
    }
}

import GatewayCrypto
import GatewayTesting
import IKE
import IKEMessages
import RoadWarrior
import Testing
import Wire

@Suite("The Child SA of IKE_AUTH: RFC 7296 sections 1.2, 2.9 and 2.19")
struct ChildTests {
    /// The gateway refused the Child SA: the IKE SA stands, and the gateway deletes it (TS-3).
    private func expectChildless(
        _ pair: Pair, _ error: NotifyType, leased: Bool = false, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(pair.client.establishment != nil, "AUTH and IDr stand beside the error", sourceLocation: sourceLocation)
        #expect(pair.client.refusals == [error], sourceLocation: sourceLocation)
        #expect(pair.client.childSA == nil, sourceLocation: sourceLocation)
        #expect(pair.client.closure == .deletedByPeer, sourceLocation: sourceLocation)
        #expect(pair.lastEntry?.establishment == nil, "no session, no accounting", sourceLocation: sourceLocation)
        #expect(pair.lastEntry?.ended == [.childless], sourceLocation: sourceLocation)
        #expect(pair.lastEntry?.refusal?.error.notify.type == error, sourceLocation: sourceLocation)
        #expect((pair.lastEntry?.questions.isEmpty == false) == leased, sourceLocation: sourceLocation)
        pair.drain()
        expectNothingLeft(pair, sourceLocation: sourceLocation)
    }

    @Test(
        "FAILED_CP_REQUIRED without a CFG_REQUEST, or without an address in it (TS-5)",
        arguments: [nil, [], [ConfigurationAttributeType.internalIP4DNS]])
    func failedCPRequired(_ types: [ConfigurationAttributeType]?) throws {
        let pair = try Pair { $0.configuration = types?.map { ConfigurationAttribute(type: $0, value: []) } }
        pair.connect()
        expectChildless(pair, .failedCPRequired)
    }

    @Test("FAILED_CP_REQUIRED for a CFG_SET")
    func configurationSet() throws {
        let pair = try Pair()
        pair.client.warrior.tamper = tampering(.ikeAuth) { payloads in
            payloads = payloads.map {
                guard case .configuration(let value) = $0 else { return $0 }
                return .configuration(ConfigurationPayload(type: .set, attributes: value.attributes))
            }
        }
        pair.connect()
        expectChildless(pair, .failedCPRequired)
    }

    @Test("INTERNAL_ADDRESS_FAILURE when no address is to be had")
    func internalAddressFailure() throws {
        let pair = try Pair()
        pair.gateway.address = { _ in .unavailable("the pool is full") }
        pair.connect()
        #expect(pair.lastEntry?.refusal?.cause == "the pool is full")
        expectChildless(pair, .internalAddressFailure, leased: true)
    }

    @Test("TS_UNACCEPTABLE when nothing is left of TSr (TS-3)")
    func tsUnacceptable() throws {
        let pair = try Pair(profile: Pair.profile { $0.selectors = tsList("10.0.0.0/8") }) { $0.remoteSelectors = [selector("192.168.0.0/16")] }
        pair.connect()
        expectChildless(pair, .tsUnacceptable, leased: true)
    }

    @Test("TS_UNACCEPTABLE when the client asks for no Child SA at all")
    func noChild() throws {
        let pair = try Pair()
        pair.client.warrior.tamper = tampering(.ikeAuth) { payloads in
            payloads.removeAll { [.securityAssociation, .initiatorTrafficSelectors, .responderTrafficSelectors].contains($0.type) }
        }
        pair.connect()
        expectChildless(pair, .tsUnacceptable)
    }

    @Test("NO_PROPOSAL_CHOSEN for ESP", arguments: ["3des-sha256", "null-sha256", "aes128-md5", "aes128gcm8"])
    func noProposalChosen(_ text: String) throws {
        let pair = try Pair { $0.espProposals = (try? ProposalText.esp(text)) ?? [] }
        pair.connect()
        expectChildless(pair, .noProposalChosen)
    }

    @Test("NO_ADDITIONAL_SAS when the datapath is full or takes no SA", arguments: [true, false])
    func noPlace(_ spis: Bool) throws {
        let pair = try Pair()
        pair.gateway.hasSPIs = spis
        pair.gateway.installs = false
        pair.connect()
        expectChildless(pair, .noAdditionalSAs, leased: true)
    }

    @Test("a lost refusal is repeated, and the Delete that overtook it too")
    func lostRefusal() throws {
        let pair = try Pair { $0.configuration = nil }
        pair.lose { $0.is(.ikeAuth, response: true) }
        pair.start()
        pair.run(for: .seconds(3))
        expectChildless(pair, .failedCPRequired)
    }

    // MARK: Keys

    @Test("the keys of both sides agree, and each direction has its own (RFC 7296 section 2.17)")
    func keys() throws {
        let pair = try Pair.established()
        let child = try #require(pair.entry?.children.first)
        let keys = try #require(pair.gateway.exposedKeys[child.inboundSPI])
        let packet: [UInt8] = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 1, 0, 0] + (child.grant.ipv4?.octets ?? []) + [10, 1, 1, 1]
        let sealed = try #require(pair.client.seal(anything: packet))
        var opener = try RecordCipher(
            child.suite.suite, encryptionKey: SecretOctets(copying: keys.inboundEncryption),
            integrityKey: SecretOctets(copying: keys.inboundIntegrity), direction: .open)
        // ESN: SPI, high word, low word (RFC 4106 section 5).
        var aad = Array(sealed[0..<4])
        if child.suite.extendedSequenceNumbers { aad += [0, 0, 0, 0] }
        aad += sealed[4..<8]
        let end = sealed.count - child.suite.suite.icvLength
        var text = Array(sealed[(8 + child.suite.suite.ivLength)..<end])
        let opened = sealed.withUnsafeBytes { all in
            aad.withUnsafeBytes { aad in
                text.withUnsafeMutableBytes { text in
                    opener.open(
                        aad: aad, iv: UnsafeRawBufferPointer(rebasing: all[8..<8 + child.suite.suite.ivLength]), text: text,
                        macTrailer: UnsafeRawBufferPointer(start: nil, count: 0), icv: UnsafeRawBufferPointer(rebasing: all[end...]))
                }
            }
        }
        #expect(opened)
        #expect(Array(text.prefix(packet.count)) == packet)
        #expect(keys.inboundEncryption != keys.outboundEncryption)
    }

    // MARK: CFG_REPLY

    private func reply(
        _ asked: [ConfigurationAttributeType], _ change: (Pair) -> Void, _ profile: GatewayProfile = Pair.profile()
    ) throws -> [ConfigurationAttribute] {
        let pair = try Pair(profile: profile) { $0.configuration = asked.map { ConfigurationAttribute(type: $0, value: []) } }
        change(pair)
        pair.connect()
        expectSound(pair)
        return try #require(pair.client.establishment).attributes
    }

    @Test("only what was asked is in the CFG_REPLY (RAD-11)")
    func onlyWhatWasAsked() throws {
        let attributes = try reply([.internalIP4Address]) { $0.gateway.netmask = ip("255.255.255.0") }
        #expect(attributes.map(\.type) == [.internalIP4Address])
        #expect(attributes.first?.value == [10, 9, 0, 2])
    }

    @Test("address, netmask, two DNS servers and the prefixes of TSr")
    func everything() throws {
        let attributes = try reply(
            [
                .internalIP4Address, .internalIP4Netmask, .internalIP4DNS, .internalIP4Subnet, .internalIP6DNS, .applicationVersion,
                .internalDNSDomain,
            ],
            {
                $0.gateway.netmask = ip("255.255.255.0")
                $0.gateway.dns = [ip("10.9.0.1"), ip("fd00::1"), ip("10.9.0.3"), ip("10.9.0.4")]
            }, Pair.profile { $0.selectors = tsList("10.1.0.0/16", "10.9.0.0-10.9.0.6") })
        #expect(
            attributes == [
                ConfigurationAttribute(type: .internalIP4Address, value: [10, 9, 0, 2]),
                ConfigurationAttribute(type: .internalIP4Netmask, value: [255, 255, 255, 0]),
                ConfigurationAttribute(type: .internalIP4DNS, value: [10, 9, 0, 1]),
                ConfigurationAttribute(type: .internalIP4DNS, value: [10, 9, 0, 3]),
                ConfigurationAttribute(type: .internalIP6DNS, value: ip("fd00::1").octets),
                ConfigurationAttribute(type: .internalIP4Subnet, value: [10, 1, 0, 0, 255, 255, 0, 0]),
            ])
    }

    @Test("relay-unsolicited-cfg-attribute sends the netmask and DNS unasked (RAD-11)")
    func unsolicited() throws {
        let profile = Pair.policy {
            $0.relayUnsolicited.ip4DNS = true
            $0.relayUnsolicited.ip4Netmask = true
        }
        let attributes = try reply([.internalIP4Address], { $0.gateway.netmask = ip("255.255.255.0") }, profile)
        #expect(attributes.map(\.type) == [.internalIP4Address, .internalIP4Netmask, .internalIP4DNS])
    }

    @Test("both families asked, one granted: success, and the other family is dropped from the selectors (TS-5)")
    func oneFamily() throws {
        let pair = try Pair.established {
            $0.configuration = [
                ConfigurationAttribute(type: .internalIP4Address, value: []), ConfigurationAttribute(type: .internalIP6Address, value: []),
            ]
            $0.localSelectors = [.all(.ipv4), .all(.ipv6)]
            $0.remoteSelectors = [.all(.ipv4), .all(.ipv6)]
        }
        let child = try #require(pair.entry?.children.first)
        #expect(child.remoteSelectors == [selector("10.9.0.2")])
        #expect(child.localSelectors == [.all(.ipv4)])
        expectSound(pair)
    }

    @Test("both families granted (ADDR-12)")
    func bothFamilies() throws {
        let pair = try Pair {
            $0.configuration = [
                ConfigurationAttribute(type: .internalIP4Address, value: []), ConfigurationAttribute(type: .internalIP6Address, value: []),
                ConfigurationAttribute(type: .internalIP6DNS, value: []),
            ]
            $0.localSelectors = [.all(.ipv4), .all(.ipv6)]
            $0.remoteSelectors = [.all(.ipv4), .all(.ipv6)]
        }
        pair.gateway.address = { _ in .granted(AddressGrant(ipv4: ip("10.9.0.2"), ipv6: ip("fd00::2"), dns: [ip("fd00::53")])) }
        pair.connect()
        let child = try #require(pair.entry?.children.first)
        #expect(child.remoteSelectors == [selector("10.9.0.2"), selector("fd00::2")])
        #expect(child.localSelectors == [.all(.ipv4), .all(.ipv6)])
        #expect(pair.client.establishment?.innerAddresses == [ip("10.9.0.2"), ip("fd00::2")])
        #expect(pair.client.establishment?.attributes.first { $0.type == .internalIP6Address }?.value == ip("fd00::2").octets + [128])
        expectSound(pair)
    }

    @Test("the address that the client would like is passed on")
    func preferredAddress() throws {
        let pair = try Pair.established { $0.configuration = [ConfigurationAttribute(type: .internalIP4Address, value: [10, 9, 0, 77])] }
        #expect(pair.entry?.questions.first?.wish.preferredIPv4 == ip("10.9.0.77"))
        #expect(pair.client.establishment?.innerAddresses == [ip("10.9.0.77")])
    }
}

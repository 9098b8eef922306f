import GatewayCrypto
import RADIUS
import Testing
import Wire

@Suite("Packets against octets made elsewhere")
struct PacketTests {
    init() throws { try #require(Dictionary.isLoaded) }

    @Test(
        "RFC 2865 section 7: the examples",
        arguments: [
            ("7.1", PacketVectors.rfc2865_7_1_request, PacketVectors.rfc2865_7_1_accept, 3),
            ("7.2", PacketVectors.rfc2865_7_2_request, PacketVectors.rfc2865_7_2_accept, 6),
            ("7.3", PacketVectors.rfc2865_7_3_request, PacketVectors.rfc2865_7_3_challenge, 2),
            ("7.3, second", PacketVectors.rfc2865_7_3_second, PacketVectors.rfc2865_7_3_reject, 0),
        ])
    func RFC2865_7_examples(name: String, request: [UInt8], answer: [UInt8], count: Int) throws {
        let asked = try decoded(request, request: nil, required: false)
        #expect(asked.code == .accessRequest)
        #expect(asked.first(.nasIPAddress)?.ipv4Address == IPAddress("192.168.1.16"))
        let answered = try decoded(answer, request: asked.authenticator, required: false)
        #expect(answered.attributes.count == count && !answered.hadMessageAuthenticator)
        #expect(throws: RADIUSError.missingMessageAuthenticator) { try decoded(answer, request: asked.authenticator) }
        #expect(throws: RADIUSError.badAuthenticator) { try decoded(answer, request: vector, required: false) }
    }

    @Test("RFC 2865 section 7.1: the request, octet for octet, and its password back")
    func RFC2865_5_2_userPassword() throws {
        let expected = PacketVectors.rfc2865_7_1_request
        let packet = RADIUSPacket(
            .accessRequest, identifier: 0, authenticator: Array(expected[4..<20]),
            attributes: [
                .init(.userName, "nemo"), .init(.userPassword, "arctangent"), .init(.nasIPAddress, IPAddress(v4: 0xc0a8_0110)), .init(.nasPort, 3),
            ])
        #expect(try packet.encode(secret: secret, signed: false) == expected)
        #expect(try decoded(expected, request: nil, required: false).first(.userPassword)?.text == "arctangent")
    }

    @Test("X-4: Message-Authenticator first, the password hidden over two blocks")
    func X_4_accessRequest() throws {
        let packet = RADIUSPacket(
            .accessRequest, identifier: 7, authenticator: vector,
            attributes: [
                .init(.userName, "alice"), .init(.userPassword, "open sesame, said the second one"), .init(.serviceType, 2), .init(.nasPortType, 5),
                .init(.nasIdentifier, "gateway"), .init(.replyMessage, ""), .init(.messageAuthenticator, [1, 2, 3]),
            ])
        let encoded = try packet.encode(secret: secret)
        #expect(encoded == PacketVectors.accessRequest)
        #expect(encoded[20] == 80)
    }

    @Test("RFC 3579 section 3.1: an EAP message over 253 octets is split, in order, and joined")
    func RFC3579_3_1_eapMessage() throws {
        let eap = [2, 1, 2, 88, 13] + (0..<595).map { UInt8(truncatingIfNeeded: $0) }
        let packet = RADIUSPacket(
            .accessRequest, identifier: 8, authenticator: vector,
            attributes: [.init(.userName, "alice"), .init(.eapMessage, eap), .init(.state, "state-1")])
        #expect(try packet.encode(secret: secret) == PacketVectors.eapRequest)
        let challenge = try decoded(PacketVectors.eapChallenge)
        #expect(challenge.code == .accessChallenge && challenge.first(.eapMessage)?.value == eap && challenge.all(.eapMessage).count == 1)
        #expect(challenge.first(.state)?.text == "state-2")
        #expect(challenge.hadMessageAuthenticator)
    }

    @Test("RFC 2548 section 2.4: keys are decrypted; MSK is Recv, then Send, then zeros")
    func RFC2548_2_4_keys() throws {
        let long = try decoded(PacketVectors.acceptWithKeys)
        let keys = try #require(long.keys)
        #expect(exposed(keys) == [UInt8](0..<32) + [UInt8](100..<132))
        #expect(long.first(.msMPPERecvKey) == nil && long.first(.msMPPESendKey) == nil)
        #expect(long.attributes.map(\.type) == [.userName, .eapMessage, .class])
        let short = try #require(try decoded(PacketVectors.acceptWithShortKeys).keys)
        #expect(exposed(short).prefix(16).allSatisfy { $0 == 7 } && exposed(short)[16..<32].allSatisfy { $0 == 9 })
        #expect(exposed(short).count == 64 && exposed(short).suffix(32).allSatisfy { $0 == 0 })
    }

    @Test("RFC 2866 section 3: an accounting request signs itself; its response, with a Message-Authenticator of either kind or none")
    func RFC2866_3_accounting() throws {
        let packet = RADIUSPacket(.accountingRequest, identifier: 3, attributes: [.init(.acctStatusType, 1), .init(.acctSessionID, "session")])
        let encoded = try packet.encode(secret: secret)
        #expect(encoded == PacketVectors.accountingRequest)
        let own = RADIUSPacket.authenticator(of: encoded)
        for response in [
            PacketVectors.accountingResponse, PacketVectors.accountingResponseOverZeros, PacketVectors.accountingResponseOverRequest,
        ] {
            #expect(try decoded(response, request: own, required: false).code == .accountingResponse)
        }
        #expect(throws: RADIUSError.badAuthenticator) { try decoded(PacketVectors.accountingResponse, required: false) }
    }

    @Test("RFC 5176 section 2.3: Disconnect and CoA requests verified, answers signed")
    func RFC5176_2_3_dynamicAuthorization() throws {
        let request = try decoded(PacketVectors.disconnectRequest, request: nil)
        #expect(request.code == .disconnectRequest && request.first(.acctSessionID)?.text == "session" && request.hadMessageAuthenticator)
        let answer = RADIUSPacket(
            .disconnectNAK, identifier: request.identifier, attributes: [.init(.errorCause, 503)] + request.all(.proxyState))
        #expect(try answer.encode(secret: secret, request: request.authenticator) == PacketVectors.disconnectNAK)
        for acknowledged in [PacketVectors.disconnectACKOverRequest, PacketVectors.disconnectACKOverZeros] {
            #expect(try decoded(acknowledged, request: request.authenticator).hadMessageAuthenticator)
        }
        #expect(try !decoded(PacketVectors.coaRequestUnsigned, request: nil, required: false).hadMessageAuthenticator)
        #expect(throws: RADIUSError.missingMessageAuthenticator) { try decoded(PacketVectors.coaRequestUnsigned, request: nil) }
        let other = Secret(Array("other".utf8))
        #expect(throws: RADIUSError.badMessageAuthenticator) { try decoded(PacketVectors.disconnectRequest, request: nil, secret: other) }
        #expect(throws: RADIUSError.badAuthenticator) {
            try decoded(PacketVectors.coaRequestUnsigned, request: nil, secret: other, required: false)
        }
        // what we send, were we the server, is what we accept
        let own = RADIUSPacket(.disconnectRequest, identifier: 5, attributes: [.init(.acctSessionID, "session"), .init(.proxyState, "proxy")])
        #expect(try own.encode(secret: secret) == PacketVectors.disconnectRequest)
    }

    @Test("RFC 2865 section 3: what follows the length is padding")
    func RFC2865_3_padding() throws {
        #expect(try decoded(PacketVectors.acceptWithKeys + [1, 0, 99]).code == .accessAccept)
    }

    @Test("values that fit no attribute are refused, never cut off")
    func valuesThatDoNotFit() throws {
        func encode(_ attributes: RADIUSAttribute..., secret: Secret<[UInt8]> = secret) throws {
            _ = try RADIUSPacket(.accessRequest, identifier: 1, authenticator: vector, attributes: attributes).encode(secret: secret)
        }
        let long = [UInt8](repeating: 65, count: 254)
        #expect(throws: RADIUSError.valueTooLong(.userName)) { try encode(.init(.userName, long)) }
        try encode(.init(.userName, Array(long.dropLast())))
        #expect(throws: RADIUSError.valueTooLong(.alcIPsecInterface)) { try encode(.init(.alcIPsecInterface, Array(long.prefix(248)))) }
        try encode(.init(.alcIPsecInterface, Array(long.prefix(247))))
        #expect(throws: RADIUSError.valueTooLong(.userPassword)) { try encode(.init(.userPassword, Array(long.prefix(129)))) }
        try encode(.init(.userPassword, Array(long.prefix(128))))
        let state = RADIUSAttribute(.proxyState, Array(long.dropLast()))
        #expect(throws: RADIUSError.packetTooLong) {
            try encode(state, state, state, state, state, state, state, state, state, state, state, state, state, state, state, state)
        }
        for octets in [[], [65, 0, 66]] as [[UInt8]] {
            #expect(throws: RADIUSError.unusableSecret) { try encode(.init(.userName, "a"), secret: Secret(octets)) }
            #expect(throws: RADIUSError.unusableSecret) { try decoded(PacketVectors.acceptWithKeys, secret: Secret(octets)) }
            #expect(!RADIUSPacket.isUsable(octets))
        }
    }

    @Test("values by type")
    func values() {
        #expect(RADIUSAttribute(.sessionTimeout, [0, 0, 1, 0]).integer == 256)
        #expect(RADIUSAttribute(.sessionTimeout, [0, 1, 0]).integer == nil)
        #expect(RADIUSAttribute(.framedIPAddress, [10, 0, 0, 1]).ipv4Address == IPAddress("10.0.0.1"))
        #expect(RADIUSAttribute(.framedIPAddress, [10, 0, 0]).ipv4Address == nil)
        #expect(RADIUSAttribute(.filterID, [65, 0]).text == nil && RADIUSAttribute(.filterID, [0xff]).text == nil)
        let prefix = IPPrefix("2001:db8:1::/48")
        #expect(prefix.map { RADIUSAttribute(.framedIPv6Prefix, $0).ipv6Prefix } == prefix)
        #expect(RADIUSAttribute(.framedIPv6Prefix, [0, 48, 0x20, 1, 0x0d, 0xb8, 0, 1]).ipv6Prefix == prefix)
        for bad in [[], [0], [0, 129] + [UInt8](repeating: 0, count: 16), [0, 64, 1], [UInt8](repeating: 0, count: 19)] as [[UInt8]] {
            #expect(RADIUSAttribute(.framedIPv6Prefix, bad).ipv6Prefix == nil)
        }
    }

    @Test("the dictionary knows the attributes by name")
    func dictionary() throws {
        #expect(RADIUSDictionary.name(of: .alcIPsecServID) == "Alc-IPsec-Serv-Id")
        #expect(RADIUSDictionary.type(named: "Framed-IPv6-Address") == .framedIPv6Address)
        #expect(RADIUSDictionary.type(named: "Nonsense") == nil)
        #expect(RADIUSAttributeType(250, vendor: 99999).description == "attribute 99999.250")
        try RADIUSDictionary.load()
    }

    @Test("libfreeradius is entered by one thread at a time: eight threads, no packet wrong")
    func threads() async throws {
        let wrong = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    (0..<200).count { _ in
                        let good = try? RADIUSPacket(
                            decoding: PacketVectors.acceptWithKeys, secret: secret, request: vector, requiresMessageAuthenticator: true)
                        return good?.first(.userName)?.text != "alice" || good?.keys == nil
                    }
                }
            }
            return await group.reduce(0, +)
        }
        #expect(wrong == 0)
    }
}

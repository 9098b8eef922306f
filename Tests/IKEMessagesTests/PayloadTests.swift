import IKEMessages
import Testing
import Wire

/// A payload as a value, and its body as RFC 7296 draws it, written down by hand.
struct PayloadSample: CustomTestStringConvertible, Sendable {
    let name: String
    let payload: Payload
    let body: String

    init(_ name: String, _ payload: Payload, _ body: String) {
        self.name = name
        self.payload = payload
        self.body = body
    }

    var testDescription: String { name }

    static let nonce: [UInt8] = (0..<16).map { $0 }
    static let ike = Proposal(
        number: 1, protocolID: .ike, spi: [],
        transforms: [
            Transform(.encryption, id: 12, keyLength: 256), Transform(.integrity, id: 12), Transform(.pseudorandomFunction, id: 5),
            Transform(.keyExchange, id: 14),
        ])
    static let esp = Proposal(
        number: 2, protocolID: .esp, spi: [0xc0, 0xff, 0xee, 0x01],
        transforms: [Transform(.encryption, id: 20, keyLength: 128), Transform(.sequenceNumbers, id: 0)])
    static let ikeOctets = "0101 0004  0300000c 0100000c 800e0100  03000008 0300000c  03000008 02000005  00000008 0400000e"
    static let espOctets = "0203 0402 c0ffee01  0300000c 01000014 800e0080  00000008 05000000"
    static let selectors = TrafficSelectorPayload(selectors: [
        TrafficSelector(ipProtocol: 0, startPort: 0, endPort: .max, addresses: AddressRange(IPAddress("10.20.0.0")!, IPAddress("10.20.0.255")!)!),
        TrafficSelector(ipProtocol: 6, startPort: 443, endPort: 444, addresses: IPPrefix("2001:db8::/64")!.range),
    ])
    static let selectorOctets = """
        02000000  07000010 0000ffff 0a140000 0a1400ff
        08060028 01bb01bc 20010db8000000000000000000000000 20010db800000000ffffffffffffffff
        """

    static let all: [PayloadSample] = [
        PayloadSample("SA of IKE", .securityAssociation(SecurityAssociationPayload(proposals: [ike])), "0000002c" + ikeOctets),
        PayloadSample(
            "SA of IKE and ESP", .securityAssociation(SecurityAssociationPayload(proposals: [ike, esp])),
            "0200002c" + ikeOctets + "00000020" + espOctets),
        PayloadSample(
            "KE", .keyExchange(KeyExchangePayload(method: .x25519, data: Array(repeating: 9, count: 32))),
            "001f 0000" + String(repeating: "09", count: 32)),
        PayloadSample(
            "IDi", .initiatorIdentification(IdentificationPayload(type: .fqdn, data: Array("gw.test".utf8))), "02000000 67772e74657374"),
        PayloadSample(
            "IDr", .responderIdentification(IdentificationPayload(type: .ipv4Address, data: [192, 0, 2, 1])), "01000000 c0000201"),
        PayloadSample("ID_NULL", .initiatorIdentification(IdentificationPayload(type: .null, data: [])), "0d000000"),
        PayloadSample("CERT", .certificate(CertificatePayload(encoding: .x509Signature, data: [0x30, 0])), "04 3000"),
        PayloadSample(
            "CERTREQ", .certificateRequest(CertificateRequestPayload(encoding: .x509Signature, authorities: Array(repeating: 7, count: 40))),
            "04" + String(repeating: "07", count: 40)),
        PayloadSample(
            "CERTREQ without authorities", .certificateRequest(CertificateRequestPayload(encoding: .x509Signature, authorities: [])), "04"),
        PayloadSample(
            "AUTH", .authentication(AuthenticationPayload(method: .digitalSignature, data: [1, 2, 3])), "0e000000 010203"),
        PayloadSample("Nonce", .nonce(NoncePayload(octets: nonce)), "000102030405060708090a0b0c0d0e0f"),
        PayloadSample("N", .notify(NotifyPayload(.cookie, data: [0xaa, 0xbb])), "0000 4006 aabb"),
        PayloadSample(
            "N with an SPI",
            .notify(
                {
                    var notify = NotifyPayload(.rekeySA)
                    (notify.protocolID, notify.spi) = (3, [1, 2, 3, 4])
                    return notify
                }()), "0304 4009 01020304"),
        PayloadSample("D of the IKE SA", .delete(DeletePayload(protocolID: .ike, spis: [])), "01000000"),
        PayloadSample(
            "D of two Child SAs", .delete(DeletePayload(protocolID: .esp, spis: [[1, 2, 3, 4], [5, 6, 7, 8]])), "03040002 01020304 05060708"),
        PayloadSample("V", .vendorID(VendorIDPayload(octets: [0xde, 0xad])), "dead"),
        PayloadSample("empty V", .vendorID(VendorIDPayload(octets: [])), ""),
        PayloadSample("TSi", .initiatorTrafficSelectors(selectors), selectorOctets),
        PayloadSample("TSr", .responderTrafficSelectors(selectors), selectorOctets),
        PayloadSample(
            "TS with OPAQUE ports",
            .initiatorTrafficSelectors(
                TrafficSelectorPayload(selectors: [
                    TrafficSelector(ipProtocol: 50, startPort: .max, endPort: 0, addresses: IPPrefix("10.0.0.1")!.range)
                ])), "01000000 07320010 ffff0000 0a000001 0a000001"),
        PayloadSample(
            "CP",
            .configuration(
                ConfigurationPayload(
                    type: .reply,
                    attributes: [
                        ConfigurationAttribute(type: .internalIP4Address, value: [10, 0, 0, 1]),
                        ConfigurationAttribute(type: .internalIP4DNS, value: []),
                    ])), "02000000 0001 0004 0a000001 0003 0000"),
        PayloadSample(
            "unknown", .unknown(UnknownPayload(type: PayloadType(rawValue: 200), isCritical: false, body: [1, 2, 3])), "010203"),
    ]
}

@Suite("Payloads: values to octets and back")
struct PayloadTests {
    @Test("RFC 7296 section 3: the octets are the RFC's, both ways", arguments: PayloadSample.all)
    func roundTrip(sample: PayloadSample) {
        let body = octets(sample.body)
        let (first, chain) = PayloadChain.encode([sample.payload])
        #expect(first == sample.payload.type)
        #expect(chain == [0, 0] + bigEndian(UInt16(body.count + 4)) + body)
        #expect(parse(sample.payload.type, body).payloads == [sample.payload])
    }

    @Test(
        "RFC 7296 section 3.16: EAP packets",
        arguments: [
            ("0205000a01626f6221 21", UInt8(2), UInt8?(1)), ("01060016 04 10000102030405060708090a0b0c0d0e0f", 1, 4), ("03070004", 3, nil),
            ("04080004", 4, nil),
        ])
    func eap(text: String, code: UInt8, type: UInt8?) throws {
        let body = octets(text)
        guard case .eap(let eap) = parse(.eap, body).payloads?.first else {
            Issue.record("\(text) is no EAP packet")
            return
        }
        #expect(eap.octets == body && eap.code == code && eap.identifier == body[1] && eap.type == type)
        #expect(PayloadChain.encode([.eap(eap)]).octets.dropFirst(4) == body[...])
    }

    @Test("all payloads in one chain keep their order")
    func chain() throws {
        let payloads = PayloadSample.all.map(\.payload)
        let (first, chain) = PayloadChain.encode(payloads)
        #expect(try PayloadChain.parse(first: first, chain) == payloads)
        let message = IKEMessage(
            header: IKEHeader(initiatorSPI: 1, responderSPI: 2, exchange: .ikeAuth, flags: [.initiator, .response], messageID: 7),
            payloads: payloads)
        let octets = message.encoded()
        let parsed = try IKEMessage(parsing: octets)
        #expect(parsed.payloads == payloads && parsed.header.messageID == 7 && parsed.header.length == UInt32(octets.count))
        #expect(parsed.header.nextPayload == payloads.first?.type && parsed.encoded() == octets)
    }

    @Test("RFC 7296 section 3.1: the header")
    func header() throws {
        let text = "0102030405060708 1112131415161718 21 20 22 08 0000002a 0000001c"
        var span = octets(text).span.bytes
        let header = try IKEHeader(parsing: &span)
        #expect(header.initiatorSPI == 0x0102_0304_0506_0708 && header.responderSPI == 0x1112_1314_1516_1718)
        #expect(header.majorVersion == 2 && header.isFromInitiator && !header.isResponse && header.messageID == 42)
        #expect(header.nextPayload == .securityAssociation && header.exchange == .ikeSAInit && header.length == 28)
        var encoded: [UInt8] = []
        header.encode(into: &encoded)
        #expect(encoded == octets(text) && encoded.count == IKEHeader.length)
        // An empty message is a message.
        #expect(parse(Raw.message([], exchange: .informational)).payloads == [])
    }

    @Test("P12 reserved octets of an identity stay what they were, since AUTH covers them")
    func threat_P12_reservedOctets() throws {
        let body = octets("02 a1b2c3 67772e74657374")
        guard case .initiatorIdentification(let identity) = parse(.initiatorIdentification, body).payloads?.first else {
            Issue.record("no identity")
            return
        }
        #expect(identity.body == body && identity.reserved == [0xa1, 0xb2, 0xc3])
        #expect(PayloadChain.encode([.initiatorIdentification(identity)]).octets.dropFirst(4) == body[...])
    }

    @Test("RFC 7296 section 3.2: reserved bits and the critical bit of known payloads are ignored", arguments: PayloadSample.all)
    func ignoredBits(sample: PayloadSample) throws {
        guard sample.payload.type != PayloadType(rawValue: 200) else { return }
        let chain = Raw.chain([Raw.Part(sample.payload.type, octets(sample.body), flags: 0xff)])
        #expect(try PayloadChain.parse(first: sample.payload.type, chain) == [sample.payload])
    }

    @Test("RFC 7296 section 3.3.5: attributes we do not know make a transform unacceptable and are kept")
    func unknownAttributes() throws {
        let attributes = octets("800e0100 9234 0007 1234 0003 616263 800e0080")
        let transform = Raw.transform(.encryption, 12, attributes: attributes, last: true)
        let body = Raw.proposal(transforms: [transform])
        guard case .securityAssociation(let sa) = parse(.securityAssociation, body).payloads?.first, let read = sa.proposals.first?.transforms.first
        else {
            Issue.record("no transform")
            return
        }
        #expect(read.keyLength == 256 && read.unknownAttributes)
        #expect(PayloadChain.encode([.securityAssociation(sa)]).octets.dropFirst(4) == body[...])
        #expect(!Transform(.encryption, id: 12, keyLength: 256).unknownAttributes)
    }

    @Test("RFC 7296 section 3.13: selectors of unknown types are passed over and kept")
    func unknownSelectors() throws {
        let body = Raw.selectors(count: 2, [Raw.selector(), [9, 6, 0, 8, 1, 2, 3, 4]])
        guard case .initiatorTrafficSelectors(let payload) = parse(.initiatorTrafficSelectors, body).payloads?.first else {
            Issue.record("no selectors")
            return
        }
        #expect(payload.selectors.map(\.description) == ["10.0.0.0/24"] && payload.others == [[9, 6, 0, 8, 1, 2, 3, 4]])
        #expect(PayloadChain.encode([.initiatorTrafficSelectors(payload)]).octets.dropFirst(4) == body[...])
    }

    @Test("RFC 7296 section 3.15.1: the reserved bit of a configuration attribute is ignored")
    func attributeReservedBit() {
        let outcome = parse(.configuration, octets("01000000 8001 0000"))
        #expect(
            outcome.payloads == [
                .configuration(ConfigurationPayload(type: .request, attributes: [ConfigurationAttribute(type: .internalIP4Address, value: [])]))
            ])
    }

    @Test("errors and types have names for the log, without anything of the peer's octets")
    func descriptions() {
        #expect(NotifyType.noProposalChosen.description == "NO_PROPOSAL_CHOSEN" && NotifyType(rawValue: 60000).description == "notify 60000")
        #expect(NotifyType.temporaryFailure.isError && !NotifyType.initialContact.isError)
        let faults: [MessageError] = [
            .malformedHeader, .unsupportedMajorVersion(3), .unsupportedCriticalPayload(200),
            .invalidSyntax(.payload(.nonce, .badLength)), .invalidSyntax(.chain(.truncated)), .invalidSyntax(.tooManyPayloads),
            .invalidSyntax(.missing(.nonce)), .invalidSyntax(.duplicate(.nonce)), .invalidSyntax(.misplaced(.eap)), .invalidSyntax(.padding),
            .invalidSyntax(.contradiction),
        ]
        #expect(Set(faults.map(\.description)).count == faults.count)
    }
}

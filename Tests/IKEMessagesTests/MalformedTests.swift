import IKEMessages
import Testing
import Wire

/// A body that some implementation once died of, and what we say of it.
struct MalformedBody: CustomTestStringConvertible, Sendable {
    let name: String
    let type: PayloadType
    let body: [UInt8]
    let error: WireError

    init(_ name: String, _ type: PayloadType, _ body: [UInt8], _ error: WireError) {
        self.name = name
        self.type = type
        self.body = body
        self.error = error
    }

    var testDescription: String { name }

    private static let transform = Raw.transform(.encryption, 12, last: true)
    private static let more = Raw.transform(.encryption, 12, last: false)

    static let all: [MalformedBody] = [
        // KE
        MalformedBody("KE without octets", .keyExchange, [], .truncated),
        MalformedBody("KE without data", .keyExchange, octets("0013 0000"), .truncated),
        MalformedBody("KE shorter than its header", .keyExchange, octets("0013 00"), .truncated),
        // Nonce
        MalformedBody("nonce of 0", .nonce, [], .badLength),
        MalformedBody("nonce of 15", .nonce, Array(repeating: 1, count: 15), .badLength),
        MalformedBody("nonce of 257", .nonce, Array(repeating: 1, count: 257), .badLength),
        // SA
        MalformedBody("SA without proposals", .securityAssociation, [], .truncated),
        MalformedBody("proposal without transforms", .securityAssociation, Raw.proposal(transforms: []), .badValue),
        MalformedBody("proposal that promises a second transform", .securityAssociation, Raw.proposal(count: 2, transforms: [transform]), .badValue),
        MalformedBody("proposal whose second transform is missing", .securityAssociation, Raw.proposal(count: 2, transforms: [more]), .truncated),
        MalformedBody("proposal with a transform too many", .securityAssociation, Raw.proposal(count: 1, transforms: [more, transform]), .badValue),
        MalformedBody(
            "proposal with a transform behind its last", .securityAssociation, Raw.proposal(count: 1, transforms: [transform, transform]),
            .trailingOctets),
        MalformedBody("last proposal that says it is not", .securityAssociation, Raw.proposal(transforms: [transform], last: false), .truncated),
        MalformedBody(
            "proposal behind the last", .securityAssociation, Raw.proposal(transforms: [transform]) + Raw.proposal(transforms: [transform]),
            .trailingOctets),
        MalformedBody("proposal marker 1", .securityAssociation, [1] + Raw.proposal(transforms: [transform]).dropFirst(), .badValue),
        MalformedBody(
            "SPI of 4 for IKE", .securityAssociation, Raw.proposal(spi: [1, 2, 3, 4], transforms: [transform]), .badLength),
        MalformedBody(
            "SPI of 0 for ESP", .securityAssociation, Raw.proposal(protocolID: .esp, transforms: [transform]), .badLength),
        MalformedBody(
            "SPI of 8 for ESP", .securityAssociation, Raw.proposal(protocolID: .esp, spi: Array(repeating: 1, count: 8), transforms: [transform]),
            .badLength),
        MalformedBody("SPI longer than the proposal", .securityAssociation, octets("00000008 0109 ff01"), .truncated),
        MalformedBody(
            "attribute longer than its transform", .securityAssociation,
            Raw.proposal(transforms: [Raw.transform(.encryption, 12, attributes: octets("000e 0005 0100"), last: true)]), .truncated),
        MalformedBody(
            "attribute cut in two", .securityAssociation,
            Raw.proposal(transforms: [Raw.transform(.encryption, 12, attributes: octets("800e 01"), last: true)]), .truncated),
        // ID
        MalformedBody("identity without octets", .initiatorIdentification, [], .truncated),
        MalformedBody("identity of two reserved octets", .initiatorIdentification, octets("02 0000"), .truncated),
        MalformedBody("empty FQDN", .initiatorIdentification, octets("02000000"), .badLength),
        MalformedBody("IPv4 identity of 3", .initiatorIdentification, octets("01000000 0a0000"), .badLength),
        MalformedBody("IPv4 identity of 16", .initiatorIdentification, octets("01000000") + Array(repeating: 0, count: 16), .badLength),
        MalformedBody("IPv6 identity of 4", .responderIdentification, octets("05000000 0a000001"), .badLength),
        MalformedBody("IPv6 identity of 17", .responderIdentification, octets("05000000") + Array(repeating: 0, count: 17), .badLength),
        // CERT, CERTREQ, AUTH
        MalformedBody("certificate without encoding", .certificate, [], .truncated),
        MalformedBody("certificate without data", .certificate, [4], .truncated),
        MalformedBody("certificate request without encoding", .certificateRequest, [], .truncated),
        MalformedBody("certificate request of half a hash", .certificateRequest, [4] + Array(repeating: 1, count: 30), .badLength),
        MalformedBody("AUTH without data", .authentication, octets("02000000"), .truncated),
        MalformedBody("AUTH shorter than its header", .authentication, octets("0200"), .truncated),
        // N, D
        MalformedBody("notify of 3", .notify, octets("000040"), .truncated),
        MalformedBody("notify whose SPI is cut off", .notify, Raw.notify(.rekeySA, protocolID: 3, spi: [1, 2], spiSize: 4), .truncated),
        MalformedBody("notify whose SPI of 255 is missing", .notify, Raw.notify(.invalidSPI, spiSize: 255), .truncated),
        MalformedBody("delete of protocol 0", .delete, octets("00000000"), .badValue),
        MalformedBody("delete of protocol 4", .delete, octets("04040001 01020304"), .badValue),
        MalformedBody("delete of the IKE SA with an SPI size", .delete, octets("01080000"), .badLength),
        MalformedBody("delete of the IKE SA with an SPI", .delete, octets("01080001 0102030405060708"), .badLength),
        MalformedBody("delete of ESP with an SPI size of 0", .delete, octets("03000004"), .badLength),
        MalformedBody("delete of ESP with an SPI size of 8", .delete, octets("03080001 0102030405060708"), .badLength),
        MalformedBody("delete without SPIs", .delete, octets("03040000"), .badLength),
        MalformedBody("delete with an SPI too few", .delete, octets("03040002 01020304"), .truncated),
        MalformedBody("delete with an SPI too many", .delete, octets("03040001 01020304 05060708"), .trailingOctets),
        MalformedBody("delete of 65535 SPIs", .delete, octets("0304ffff 01020304"), .tooMany),
        // TS
        MalformedBody("no selectors", .initiatorTrafficSelectors, octets("00000000"), .badValue),
        MalformedBody("selector missing", .initiatorTrafficSelectors, Raw.selectors(count: 2, [Raw.selector()]), .truncated),
        MalformedBody("selector too many", .responderTrafficSelectors, Raw.selectors(count: 1, [Raw.selector(), Raw.selector()]), .trailingOctets),
        MalformedBody("selector of length 15", .initiatorTrafficSelectors, Raw.selectors(count: 1, [Raw.selector(length: 15)]), .badLength),
        MalformedBody("selector of length 17", .initiatorTrafficSelectors, Raw.selectors(count: 1, [Raw.selector(length: 17)]), .badLength),
        MalformedBody("selector of length 65535", .initiatorTrafficSelectors, Raw.selectors(count: 1, [Raw.selector(length: 65535)]), .badLength),
        MalformedBody(
            "IPv6 selector of IPv4 length", .initiatorTrafficSelectors, Raw.selectors(count: 1, [Raw.selector(type: 8)]), .badLength),
        MalformedBody(
            "IPv4 selector of IPv6 length", .initiatorTrafficSelectors,
            Raw.selectors(count: 1, [Raw.selector(addresses: Array(repeating: 1, count: 32))]), .badLength),
        MalformedBody(
            "selector cut off", .initiatorTrafficSelectors, Array(Raw.selectors(count: 1, [Raw.selector()]).dropLast(3)), .truncated),
        MalformedBody(
            "unknown selector of length 3", .initiatorTrafficSelectors, Raw.selectors(count: 1, [[9, 0, 0, 3, 1, 2, 3]]), .badLength),
        MalformedBody(
            "unknown selector longer than the payload", .initiatorTrafficSelectors, Raw.selectors(count: 1, [[9, 0, 0, 9, 1, 2, 3]]), .truncated),
        MalformedBody(
            "addresses backwards", .initiatorTrafficSelectors,
            Raw.selectors(count: 1, [Raw.selector(addresses: [10, 0, 0, 9, 10, 0, 0, 1])]), .badValue),
        MalformedBody(
            "ports backwards", .initiatorTrafficSelectors, Raw.selectors(count: 1, [Raw.selector(ports: (9, 1))]), .badValue),
        // CP, EAP
        MalformedBody("CP of 3", .configuration, octets("010000"), .truncated),
        MalformedBody("attribute of 3", .configuration, octets("01000000 000100"), .truncated),
        MalformedBody("attribute longer than CP", .configuration, octets("01000000 0001 0005 0a000001"), .truncated),
        MalformedBody("EAP without octets", .eap, [], .truncated),
        MalformedBody("EAP of 3", .eap, octets("020100"), .truncated),
        MalformedBody("EAP that says less than it is", .eap, octets("02010005 01 626f62"), .badLength),
        MalformedBody("EAP that says more than it is", .eap, octets("02010009 01 626f62"), .badLength),
        MalformedBody("EAP of length 0", .eap, octets("02010000 01"), .badLength),
        MalformedBody("EAP response without type", .eap, octets("02010004"), .badLength),
        MalformedBody("EAP request without type", .eap, octets("01010004"), .badLength),
        MalformedBody("EAP success with data", .eap, octets("03010006 0102"), .badLength),
        MalformedBody("EAP of code 0", .eap, octets("00010005 01"), .badValue),
        MalformedBody("EAP of code 5", .eap, octets("05010005 01"), .badValue),
    ]
}

@Suite("C1: malformed payloads are typed errors")
struct MalformedTests {
    @Test("C1 malformed bodies", arguments: MalformedBody.all)
    func threat_C1_body(sample: MalformedBody) {
        #expect(parse(sample.type, sample.body) == .refused(.invalidSyntax(.payload(sample.type, sample.error))))
        // In the clear, where nobody is authenticated yet, just the same.
        #expect(parse(Raw.message([Raw.Part(sample.type, sample.body)])).fault == .payload(sample.type, sample.error))
    }

    @Test("C1 nonces of 16 and of 256 octets are the shortest and the longest", arguments: [16, 17, 255, 256])
    func threat_C1_nonceLengths(count: Int) {
        #expect(parse(.nonce, Array(repeating: 3, count: count)).payloads != nil)
    }

    @Test("C1 a key exchange of a group nobody has is a value, not a fault", arguments: [UInt16(0), 1, 22, 1025, 65535])
    func threat_C1_keyExchangeGroup(group: UInt16) {
        let expected = KeyExchangePayload(method: KeyExchangeMethod(rawValue: group), data: [1])
        #expect(parse(.keyExchange, bigEndian(group) + [0, 0, 1]).payloads == [.keyExchange(expected)])
    }

    @Test("C1 the header's length is the datagram's", arguments: [0, 1, 27, 28, 43, 45, 60, 65535, 65536 + 44, -1])
    func threat_C1_headerLength(length: Int) {
        let vendor = Raw.Part(.vendorID, Array(repeating: 1, count: 12))
        let message = Raw.message([vendor], length: length)
        #expect(message.count == 44)
        #expect(parse(message) == .refused(.malformedHeader))
        #expect(parse(Raw.message([vendor])).payloads?.count == 1)
    }

    @Test("C1 shorter than a header", arguments: 0..<28)
    func threat_C1_shortDatagram(count: Int) {
        #expect(parse(Array(Raw.message([]).prefix(count))) == .refused(.malformedHeader))
    }

    @Test("RFC 7296 section 2.5: major versions", arguments: [UInt8(0x00), 0x10, 0x1f, 0x30, 0xf0])
    func majorVersion(version: UInt8) {
        let octets = Raw.header(next: 0, version: version, length: 28)
        #expect(parse(octets) == .refused(.unsupportedMajorVersion(version >> 4)))
    }

    @Test("RFC 7296 section 2.5: a minor version is ignored", arguments: [UInt8(0x20), 0x21, 0x2f])
    func minorVersion(version: UInt8) {
        #expect(parse(Raw.header(next: 0, version: version, length: 28)).payloads == [])
    }

    @Test("C1 octets behind the last payload")
    func threat_C1_trailing() {
        let message = Raw.message([Raw.Part(.vendorID, [1])])
        var longer = message + [0]
        longer.patch(bigEndian: UInt32(longer.count), at: 24)
        #expect(parse(longer).fault == .chain(.trailingOctets))
        #expect(refusal { () throws(MessageError) in try PayloadChain.parse(first: .none, [0]) } == .invalidSyntax(.chain(.trailingOctets)))
    }

    @Test("RFC 7296 section 2.5: payloads nobody knows, of either IKE version", arguments: [UInt8(1), 5, 13, 32, 49, 54, 128, 200, 255])
    func unknownPayloads(type: UInt8) {
        let type = PayloadType(rawValue: type)
        #expect(parse(type, [1, 2]).payloads == [.unknown(UnknownPayload(type: type, isCritical: false, body: [1, 2]))])
        // Reserved bits make nothing critical.
        let reserved = Raw.message([Raw.Part(type, [], flags: 0x7f)])
        #expect(parse(reserved).payloads == [.unknown(UnknownPayload(type: type, isCritical: false, body: []))])
        let critical = Raw.message([Raw.Part(.vendorID, [9]), Raw.Part(type, [1, 2], flags: 0x80), Raw.Part(.vendorID, [9])])
        #expect(parse(critical) == .refused(.unsupportedCriticalPayload(type.rawValue)))
    }

    @Test("C1 SK is last, fills the message, and holds no other", arguments: [PayloadType.encrypted, .encryptedFragment])
    func threat_C1_encryptedPlace(type: PayloadType) throws {
        let content: [UInt8] = [0, 1, 0, 1] + Array(repeating: 5, count: 30)
        let good = try IKEMessage(parsing: Raw.message([Raw.Part(.vendorID, [1]), Raw.Part(type, content)]))
        #expect(good.payloads.map(\.type) == [.vendorID, type] && (good.encryptedPayload != nil) == (type == .encrypted))
        // What follows it is its own content, whatever its next payload says: here it is too short for the message.
        let early = Raw.message([Raw.Part(type, content), Raw.Part(.vendorID, [1])])
        #expect(parse(early).fault == .payload(type, .badLength))
        for length in [0, 3, content.count + 3, content.count + 5, 65535] {
            #expect(parse(Raw.message([Raw.Part(type, content, length: length)])).fault == .payload(type, .badLength))
        }
        let inner = Raw.chain([Raw.Part(.vendorID, []), Raw.Part(type, content)])
        #expect(refusal { () throws(MessageError) in try PayloadChain.parse(first: .vendorID, inner) } == .invalidSyntax(.misplaced(type)))
    }

    @Test(
        "C1 P5 fragment numbers",
        arguments: [
            (0, 0, false), (0, 1, false), (1, 0, false), (2, 1, false), (65535, 65534, false), (1, 1, true), (2, 2, true), (1, 65535, true),
            (65535, 65535, true),
        ])
    func threat_C1_fragmentNumbers(number: UInt16, total: UInt16, isGood: Bool) throws {
        let message = Raw.message([Raw.Part(.encryptedFragment, bigEndian(number) + bigEndian(total) + [1, 2, 3])])
        if isGood {
            guard case .encryptedFragment(let fragment) = try IKEMessage(parsing: message).payloads.last else {
                Issue.record("no fragment")
                return
            }
            #expect(fragment.fragmentNumber == number && fragment.totalFragments == total)
            #expect(message[fragment.content] == [1, 2, 3])
        } else {
            #expect(parse(message).fault == .payload(.encryptedFragment, .badValue))
        }
    }

    @Test("C1 a fragment without its numbers", arguments: 0..<4)
    func threat_C1_shortFragment(count: Int) {
        let message = Raw.message([Raw.Part(.encryptedFragment, Array(repeating: 1, count: count))])
        #expect(parse(message).fault == .payload(.encryptedFragment, .truncated))
    }

    @Test("RFC 7383 section 2.6: the next payload of a later fragment is not looked at")
    func laterFragmentNextPayload() throws {
        var message = Raw.message([Raw.Part(.encryptedFragment, bigEndian(UInt16(2)) + bigEndian(UInt16(2)) + [7])])
        message[28] = PayloadType.notify.rawValue
        #expect(try IKEMessage(parsing: message).payloads.count == 1)
    }
}

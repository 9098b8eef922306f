import IKEMessages
import Testing
import Wire

/// A message with `count` of something that is capped at `limit`.
struct CapSample: CustomTestStringConvertible, Sendable {
    let name: String
    let limit: Int
    let type: PayloadType
    let body: @Sendable (Int) -> [UInt8]

    init(_ name: String, _ limit: Int, _ type: PayloadType, _ body: @escaping @Sendable (Int) -> [UInt8]) {
        self.name = name
        self.limit = limit
        self.type = type
        self.body = body
    }

    var testDescription: String { name }

    static let all: [CapSample] = [
        CapSample("proposals", 32, .securityAssociation) { count in
            (0..<count).flatMap { index in
                Raw.proposal(
                    number: UInt8(truncatingIfNeeded: index + 1), transforms: [Raw.transform(.encryption, 12, last: true)], last: index + 1 == count)
            }
        },
        CapSample("transforms of a proposal", 64, .securityAssociation) { count in
            Raw.proposal(
                count: UInt8(truncatingIfNeeded: count),
                transforms: (0..<count).map { Raw.transform(.encryption, UInt16($0), last: $0 + 1 == count) })
        },
        CapSample("attributes of a transform", 16, .securityAssociation) { count in
            Raw.proposal(transforms: [
                Raw.transform(.encryption, 12, attributes: (0..<count).flatMap { _ in octets("800e0100") }, last: true)
            ])
        },
        CapSample("selectors", 32, .initiatorTrafficSelectors) { count in
            Raw.selectors(count: UInt8(truncatingIfNeeded: count), (0..<count).map { _ in Raw.selector() })
        },
        CapSample("selectors of unknown type", 32, .responderTrafficSelectors) { count in
            Raw.selectors(count: UInt8(truncatingIfNeeded: count), (0..<count).map { _ in [9, 0, 0, 4] })
        },
        CapSample("deleted SPIs", 128, .delete) { count in
            [3, 4] + bigEndian(UInt16(count)) + (0..<count).flatMap { bigEndian(UInt32($0)) }
        },
        CapSample("configuration attributes", 64, .configuration) { count in
            [1, 0, 0, 0] + (0..<count).flatMap { bigEndian(UInt16(truncatingIfNeeded: $0)) + [0, 0] }
        },
        CapSample("octets of a certificate", 16384, .certificate) { count in [4] + Array(repeating: 0x30, count: count) },
        CapSample("octets of an identity", 2048, .initiatorIdentification) { count in [2, 0, 0, 0] + Array(repeating: 0x61, count: count) },
        CapSample("octets of a key identity", 2048, .responderIdentification) { count in [11, 0, 0, 0] + Array(repeating: 0, count: count) },
    ]
}

@Suite("C3: caps on everything that repeats", .serialized)
struct CapTests {
    @Test("C3 as many as the cap allows, and not one more", arguments: CapSample.all)
    func threat_C3_cap(sample: CapSample) {
        #expect(parse(sample.type, sample.body(sample.limit)).payloads?.count == 1)
        #expect(parse(sample.type, sample.body(sample.limit + 1)).fault == .payload(sample.type, .tooMany))
        // The most that a payload holds; one-octet counts wrap, which is another fault.
        let most = sample.limit > 255 ? 65000 : 255
        #expect(parse(sample.type, sample.body(most)).fault == .payload(sample.type, .tooMany))
    }

    @Test("C3 the caps are those of threats.md")
    func threat_C3_values() {
        #expect(MessageLimits.payloads == 64 && MessageLimits.proposals == 32 && MessageLimits.transformsPerProposal == 64)
        #expect(MessageLimits.trafficSelectors == 32 && MessageLimits.notifies == 32 && MessageLimits.certificates == 10)
        #expect(MessageLimits.certificateSize == 16 * 1024)
    }

    @Test("C3 payloads of a message, SK counted")
    func threat_C3_payloads() {
        let vendors = { (count: Int) in Array(repeating: Raw.Part(.vendorID, []), count: count) }
        #expect(parse(Raw.message(vendors(64))).payloads?.count == 64)
        #expect(parse(Raw.message(vendors(65))).fault == .tooManyPayloads)
        #expect(parse(Raw.message(vendors(256))).fault == .tooManyPayloads)
        let encrypted = Raw.Part(.encrypted, Array(repeating: 0, count: 32))
        #expect(parse(Raw.message(vendors(63) + [encrypted])).payloads?.count == 64)
        #expect(parse(Raw.message(vendors(64) + [encrypted])).fault == .tooManyPayloads)
        let inner = refusal { () throws(MessageError) in try PayloadChain.parse(first: .vendorID, Raw.chain(vendors(65))) }
        #expect(inner == .invalidSyntax(.tooManyPayloads))
    }

    @Test("C3 a message of 65535 octets is read, a longer one is not looked at")
    func threat_C3_messageSize() {
        let whole = Raw.message([Raw.Part(.vendorID, Array(repeating: 1, count: 65535 - 32))])
        #expect(whole.count == 65535 && parse(whole).payloads?.count == 1)
        let longer = Raw.message([Raw.Part(.vendorID, Array(repeating: 1, count: 65535 - 32)), Raw.Part(.vendorID, [])])
        #expect(parse(longer) == .refused(.malformedHeader))
    }

    @Test(
        "C3 the worst that fits into a message costs little time",
        arguments: [
            "transforms", "attributes", "notifies", "selectors", "unknown", "octets",
        ])
    func threat_C3_worstCase(kind: String) {
        let attributes = (0..<16).flatMap { _ in octets("9234 0007") }
        let message: [UInt8]
        switch kind {
        case "transforms", "attributes":
            let transforms = (0..<64).map {
                Raw.transform(.encryption, UInt16($0), attributes: kind == "attributes" ? attributes : [], last: $0 == 63)
            }
            let proposals = (0..<(kind == "attributes" ? 14 : 32))
            let body = proposals.flatMap { Raw.proposal(number: UInt8($0 + 1), transforms: transforms, last: $0 + 1 == proposals.count) }
            message = Raw.message([Raw.Part(.securityAssociation, body)])
        case "notifies": message = Raw.message(Array(repeating: Raw.Part(.notify, Raw.notify(.cookie)), count: 64))
        case "selectors":
            let selectors = Raw.selectors(count: 32, (0..<32).map { _ in Raw.selector(type: 8, addresses: Array(repeating: 1, count: 32)) })
            message = Raw.message(Array(repeating: Raw.Part(.initiatorTrafficSelectors, selectors), count: 49))
        case "unknown": message = Raw.message((0..<64).map { Raw.Part(PayloadType(rawValue: 128 + $0), Array(repeating: 1, count: 1000)) })
        default: message = Raw.message([Raw.Part(.vendorID, Array(repeating: 1, count: 65000))])
        }
        #expect(message.count <= 65535)
        let clock = ContinuousClock()
        var outcome = Outcome.payloads([])
        let quickest = (0..<3).map { _ in clock.measure { outcome = parse(message) } }.min() ?? .zero
        #expect(outcome.payloads != nil)
        // 5 ms optimised (I10); a debug build is about twenty times slower.
        #expect(quickest < .milliseconds(100), "\(quickest)")
    }
}

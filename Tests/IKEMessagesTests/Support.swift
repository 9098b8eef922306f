import IKEMessages
import Testing
import Wire

/// Octets of a test; blanks are passed over. A wrong digit fails the test that uses it.
func octets(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) -> [UInt8] {
    guard let octets = [UInt8](hexadecimal: text) else {
        Issue.record("not hexadecimal: \(text)", sourceLocation: sourceLocation)
        return []
    }
    return octets
}

func bigEndian<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    var octets: [UInt8] = []
    octets.append(bigEndian: number)
    return octets
}

/// Random numbers that repeat with their seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func octets(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &self) }
    }
}

/// Octets put together by hand, so that what is wrong with them is meant.
enum Raw {
    /// A payload of a chain: generic header, then the body. `length` overrides what the header says.
    struct Part {
        var type: UInt8
        var body: [UInt8]
        var flags: UInt8 = 0
        var length: Int?

        init(_ type: PayloadType, _ body: [UInt8], flags: UInt8 = 0, length: Int? = nil) {
            self.type = type.rawValue
            self.body = body
            self.flags = flags
            self.length = length
        }
    }

    static func chain(_ parts: [Part]) -> [UInt8] {
        var octets: [UInt8] = []
        for (index, part) in parts.enumerated() {
            octets += [index + 1 < parts.count ? parts[index + 1].type : 0, part.flags]
            octets += bigEndian(UInt16(truncatingIfNeeded: part.length ?? part.body.count + 4)) + part.body
        }
        return octets
    }

    static func header(
        next: UInt8, exchange: ExchangeType = .ikeSAInit, flags: IKEHeader.Flags = .initiator, version: UInt8 = 0x20, length: Int
    ) -> [UInt8] {
        bigEndian(UInt64(0x0102_0304_0506_0708)) + bigEndian(UInt64(0)) + [next, version, exchange.rawValue, flags.rawValue]
            + bigEndian(UInt32(0)) + bigEndian(UInt32(truncatingIfNeeded: length))
    }

    /// A whole message; `length` overrides what the header says.
    static func message(_ parts: [Part], exchange: ExchangeType = .ikeSAInit, length: Int? = nil) -> [UInt8] {
        let body = chain(parts)
        return header(next: parts.first?.type ?? 0, exchange: exchange, length: length ?? 28 + body.count) + body
    }

    /// A transform substructure; the marker says whether another follows.
    static func transform(_ type: TransformType, _ id: UInt16, attributes: [UInt8] = [], last: Bool, length: Int? = nil) -> [UInt8] {
        [last ? 0 : 3, 0] + bigEndian(UInt16(truncatingIfNeeded: length ?? 8 + attributes.count)) + [type.rawValue, 0] + bigEndian(id)
            + attributes
    }

    /// A proposal substructure around transforms that are octets already.
    static func proposal(
        number: UInt8 = 1, protocolID: SecurityProtocol = .ike, spi: [UInt8] = [], count: UInt8? = nil, transforms: [[UInt8]], last: Bool = true,
        length: Int? = nil
    ) -> [UInt8] {
        let body = spi + transforms.flatMap { $0 }
        return [last ? 0 : 2, 0] + bigEndian(UInt16(truncatingIfNeeded: length ?? 8 + body.count))
            + [number, protocolID.rawValue, UInt8(truncatingIfNeeded: spi.count), count ?? UInt8(truncatingIfNeeded: transforms.count)] + body
    }

    static func notify(_ type: NotifyType, protocolID: UInt8 = 0, spi: [UInt8] = [], spiSize: UInt8? = nil, data: [UInt8] = []) -> [UInt8] {
        [protocolID, spiSize ?? UInt8(truncatingIfNeeded: spi.count)] + bigEndian(type.rawValue) + spi + data
    }

    static func selectors(count: UInt8, _ selectors: [[UInt8]]) -> [UInt8] { [count, 0, 0, 0] + selectors.flatMap { $0 } }

    static func selector(
        type: UInt8 = 7, ipProtocol: UInt8 = 0, ports: (UInt16, UInt16) = (0, .max), addresses: [UInt8] = [10, 0, 0, 0, 10, 0, 0, 255],
        length: Int? = nil
    ) -> [UInt8] {
        [type, ipProtocol] + bigEndian(UInt16(truncatingIfNeeded: length ?? 8 + addresses.count)) + bigEndian(ports.0) + bigEndian(ports.1)
            + addresses
    }
}

/// What parsing came to, as a value that a test can compare.
enum Outcome: Equatable {
    case payloads([Payload])
    case refused(MessageError)

    var error: MessageError? { if case .refused(let error) = self { error } else { nil } }
    var payloads: [Payload]? { if case .payloads(let payloads) = self { payloads } else { nil } }

    /// The fault of a message that is to be answered with INVALID_SYNTAX.
    var fault: SyntaxFault? { if case .refused(.invalidSyntax(let fault)) = self { fault } else { nil } }
}

func parse(_ message: [UInt8]) -> Outcome {
    do throws(MessageError) { return .payloads(try IKEMessage(parsing: message).payloads) } catch { return .refused(error) }
}

/// One payload of this type and body, parsed as the only one of a chain.
func parse(_ type: PayloadType, _ body: [UInt8]) -> Outcome {
    do throws(MessageError) {
        return .payloads(try PayloadChain.parse(first: type, Raw.chain([Raw.Part(type, body)])))
    } catch {
        return .refused(error)
    }
}

func refusal<Exchange>(_ make: () throws(MessageError) -> Exchange) -> MessageError? {
    do throws(MessageError) {
        _ = try make()
        return nil
    } catch {
        return error
    }
}

extension IKEMessage {
    /// The octets again, with the content of SK or SKF taken from the original: nothing but whoever holds the keys can write that.
    func encoded(around original: [UInt8]) -> [UInt8] {
        let octets = encoded()
        let first: PayloadType
        let content: Range<Int>
        var numbers: [UInt8] = []
        switch payloads.last {
        case .encrypted(let payload): (first, content) = (payload.firstInner, payload.content)
        case .encryptedFragment(let payload):
            (first, content) = (payload.firstInner, payload.content)
            numbers = bigEndian(payload.fragmentNumber) + bigEndian(payload.totalFragments)
        default: return octets
        }
        let body = numbers + original[content]
        var whole = Array(octets.dropLast(4)) + [first.rawValue, 0] + bigEndian(UInt16(clamping: body.count + 4)) + body
        whole.patch(bigEndian: UInt32(clamping: whole.count), at: 24)
        return whole
    }
}

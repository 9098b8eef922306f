import IKEMessages
import Wire

/// What can be wrong with a message.
enum Malformation: String, CaseIterable {
    /// Cut off somewhere.
    case truncated
    /// The header's length is not the datagram's.
    case messageLength
    /// A payload's length ends within its header, in the middle of another, or past the end.
    case payloadLength
    /// A payload says that another kind follows it than does.
    case nextPayload
    case flippedBits
    /// Version, exchange, flags, message ID of anything.
    case header
    /// Octets in the place of a payload's body.
    case scrambledPayload
    /// More behind the end.
    case trailing
    /// Nothing of it is IKE.
    case noise
    /// Fragments (RFC 7383) of no IKE SA, or of one that has just begun, with numbers that cannot be.
    case fragment
    /// IKE_AUTH whose content nobody has encrypted.
    case unauthentic
    /// ESP and markers of the NAT port: too short, or with an SPI of nobody.
    case packet

    /// The same of the same generator. `live`: the SPIs of IKE SAs that the gateway has begun, if there are any.
    func message(
        from base: [UInt8], live: (initiator: UInt64, responder: UInt64)?, using generator: inout SplitMix64
    ) -> (octets: [UInt8], isForNATPort: Bool) {
        var octets = base
        let places = PayloadChain(base).places
        func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }
        func noise(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) } }
        switch self {
        case .truncated: return (Array(octets.prefix(number(0...max(0, octets.count - 1)))), false)
        case .messageLength:
            let lengths = [0, 1, 27, 28, octets.count - 1, octets.count + 1, 65_535, Int(UInt32.max)]
            octets.patch(bigEndian: UInt32(truncatingIfNeeded: lengths[number(0...lengths.count - 1)]), at: 24)
        case .payloadLength:
            guard let place = places.randomElement(using: &generator) else { break }
            let lengths = [0, 1, 3, 4, place.range.count - 1, place.range.count + 1, octets.count, 65_535]
            octets.patch(bigEndian: UInt16(clamping: lengths[number(0...lengths.count - 1)]), at: place.range.lowerBound + 2)
        case .nextPayload:
            guard let place = places.randomElement(using: &generator) else { break }
            octets[place.range.lowerBound] = UInt8(number(0...255))
        case .flippedBits:
            for _ in 0..<number(1...16) where !octets.isEmpty { octets[number(0...octets.count - 1)] ^= 1 << UInt8(number(0...7)) }
        case .header:
            octets.replaceSubrange(16..<24, with: noise(8))
            if number(0...1) == 0 { octets.replaceSubrange(8..<16, with: noise(8)) }
        case .scrambledPayload:
            guard let place = places.randomElement(using: &generator) else { break }
            let body = place.range.lowerBound + 4..<place.range.upperBound
            octets.replaceSubrange(body, with: noise(body.count))
        case .trailing: octets += noise(number(1...400))
        case .noise: return (noise(number(0...1400)), number(0...1) == 1)
        case .fragment:
            let (fragment, total) = [(0, 0), (0, 1), (2, 1), (1, 65_535), (65_535, 65_535), (1, 2)][number(0...5)]
            var body: [UInt8] = []
            body.append(bigEndian: UInt16(fragment))
            body.append(bigEndian: UInt16(total))
            return (protected(.encryptedFragment, body + noise(number(0...600)), live, using: &generator), true)
        case .unauthentic: return (protected(.encrypted, noise(number(0...600)), live, using: &generator), true)
        case .packet:
            let shapes: [[UInt8]] = [[], [0xff], [0, 0, 0, 0], [0, 0, 0, 0, 0], noise(7), noise(8), noise(number(9...1400))]
            return (shapes[number(0...shapes.count - 1)], true)
        }
        return (octets, false)
    }

    /// An IKE_AUTH request behind a non-ESP marker.
    private func protected(
        _ type: PayloadType, _ body: [UInt8], _ live: (initiator: UInt64, responder: UInt64)?, using generator: inout SplitMix64
    ) -> [UInt8] {
        let spis = live ?? (UInt64.random(in: 1 ... .max, using: &generator), UInt64.random(in: 1 ... .max, using: &generator))
        var header = IKEHeader(
            initiatorSPI: spis.0, responderSPI: spis.1, exchange: .ikeAuth, flags: [.initiator],
            messageID: UInt32.random(in: 0...2, using: &generator))
        header.nextPayload = type
        header.length = UInt32(IKEHeader.length + 4 + body.count)
        var octets: [UInt8] = [0, 0, 0, 0]
        header.encode(into: &octets)
        octets += [UInt8.random(in: 33...48, using: &generator), 0]
        octets.append(bigEndian: UInt16(4 + body.count))
        return octets + body
    }
}

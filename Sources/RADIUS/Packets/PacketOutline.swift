import Wire

/// A packet's header and the bounds of its attributes, checked before anything else looks at the octets: each step of the walk consumes at
/// least an attribute's header (threats.md C2), so libfreeradius never sees a length that lies.
///
///      0                   1                   2                   3
///     |     Code      |  Identifier   |            Length             |
///     |                  Authenticator, 16 octets                     |
///     |  Attributes: Type, Length (its two octets included), Value ...
struct PacketOutline: Sendable {
    static let lengths = 20...4096
    /// More than any server sends; a packet of 4,096 octets could hold 2,038.
    static let maximumAttributes = 512

    let code: RADIUSCode
    let identifier: UInt8
    let authenticator: [UInt8]
    /// The packet without what followed it in the datagram (RFC 2865 section 3: padding).
    let octets: [UInt8]
    /// Where the Message-Authenticator's value begins.
    private(set) var messageAuthenticator: Int?
    private(set) var hasEAPMessage = false
    /// What is wrong inside an attribute: told only once the packet is known to be the server's, so that nobody else can end a login with it.
    private(set) var contentError: RADIUSError?
    /// The salts of MS-MPPE keys.
    private var salts: Set<[UInt8]> = []

    /// Throws what RADIUSError lists under octets, and `.badMessageAuthenticator`.
    init(parsing datagram: [UInt8]) throws(RADIUSError) {
        guard datagram.count >= Self.lengths.lowerBound else { throw .truncated }
        let length = Int(datagram[2]) << 8 | Int(datagram[3])
        guard Self.lengths.contains(length) else { throw .badPacketLength }
        guard datagram.count >= length else { throw .truncated }
        code = RADIUSCode(rawValue: datagram[0])
        identifier = datagram[1]
        authenticator = Array(datagram[4..<20])
        octets = Array(datagram[..<length])
        guard code.isKnown else { throw .unknownCode }
        var count = 0
        try Self.walk(octets, 20..<length, orElse: .badAttributeLength) { number, value throws(RADIUSError) in
            count += 1
            guard count <= Self.maximumAttributes else { throw .tooManyAttributes }
            try check(number, value)
        }
    }

    /// Hands out number and place of the value of each attribute.
    private static func walk(
        _ octets: [UInt8], _ range: Range<Int>, orElse error: RADIUSError, _ body: (UInt8, Range<Int>) throws(RADIUSError) -> Void
    ) throws(RADIUSError) {
        var place = range.lowerBound
        while place < range.upperBound {
            guard range.upperBound - place >= 2 else { throw error }
            let length = Int(octets[place + 1])
            guard length >= 2, length <= range.upperBound - place else { throw error }
            try body(octets[place], place + 2..<place + length)
            place += length
        }
    }

    private mutating func check(_ number: UInt8, _ value: Range<Int>) throws(RADIUSError) {
        switch RADIUSAttributeType(UInt32(number)) {
        case .messageAuthenticator:
            guard value.count == 16, messageAuthenticator == nil else { throw .badMessageAuthenticator }
            messageAuthenticator = value.lowerBound
        case .eapMessage: hasEAPMessage = true
        case .vendorSpecific:
            do {
                try checkVendor(value)
            } catch {
                contentError = contentError ?? error
            }
        default: return
        }
    }

    /// Vendors whose attributes we use have one octet each for number and length (RFC 2865 section 5.26); others write what they like.
    private mutating func checkVendor(_ value: Range<Int>) throws(RADIUSError) {
        guard value.count >= 4 else { throw .badVendorAttribute }
        let vendor = octets[value.prefix(4)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard vendor == RADIUSAttributeType.microsoft || vendor == RADIUSAttributeType.alcatel else { return }
        guard value.count > 4 else { throw .badVendorAttribute }
        let octets = self.octets
        try Self.walk(octets, value.dropFirst(4), orElse: .badVendorAttribute) { number, value throws(RADIUSError) in
            let type = RADIUSAttributeType(UInt32(number), vendor: vendor)
            guard type == .msMPPERecvKey || type == .msMPPESendKey, code == .accessAccept else { return }
            try checkKey(Array(octets[value]))
        }
    }

    /// RFC 2548 section 2.4: a salt of two octets, the first bit set, no two alike; then blocks of 16 octets.
    private mutating func checkKey(_ value: [UInt8]) throws(RADIUSError) {
        guard value.count >= 18, (value.count - 2) % 16 == 0, value[0] & 0x80 != 0, salts.insert(Array(value[..<2])).inserted else { throw .badKey }
    }
}

import Wire

/// What `traffic` and `reflect` say to each other, as the payload of UDP packets inside the tunnel.
///
///      0               1               2               3
///     +---------------+---------------+---------------+---------------+
///     |          0x6C 0x70            |     kind      |       0       |
///     |                             run                               |
///     |                            client                             |
///     |                           sequence                            |
///     |                   sent, ns by CLOCK_MONOTONIC                  |
///     |                                                               |
///     |             content, as run, client, sequence say             |
///     +---------------------------------------------------------------+
struct Probe: Equatable {
    enum Kind: UInt8 {
        /// Numbered packets, from the client and to it.
        case up = 1, down = 2
        /// The client wants packets, as its content says, and says so again before the lease is over; the answer has the machine's mark.
        case start = 3, started = 4
        case stop = 5
        /// What came of a run at the other end.
        case ask = 6, told = 7
    }

    static let headerLength = 24
    /// Octets of a datagram of ours.
    static let longest = 9000

    let kind: Kind
    let run: UInt32
    let client: UInt32
    /// From 0 on, of each client and direction.
    let sequence: UInt32
    let sent: UInt64

    /// Nil for what is none of ours.
    init?(_ octets: ArraySlice<UInt8>) {
        guard octets.count >= Self.headerLength, octets.count <= Self.longest else { return nil }
        func number(_ at: Int, _ count: Int) -> UInt64 {
            octets[octets.startIndex + at..<octets.startIndex + at + count].reduce(0) { $0 << 8 | UInt64($1) }
        }
        guard number(0, 2) == 0x6c70, let kind = Kind(rawValue: UInt8(truncatingIfNeeded: number(2, 1))) else { return nil }
        self.kind = kind
        run = UInt32(truncatingIfNeeded: number(4, 4))
        client = UInt32(truncatingIfNeeded: number(8, 4))
        sequence = UInt32(truncatingIfNeeded: number(12, 4))
        sent = number(16, 8)
    }

    init(_ kind: Kind, run: UInt32, client: UInt32, sequence: UInt32 = 0, sent: UInt64 = 0) {
        self.kind = kind
        self.run = run
        self.client = client
        self.sequence = sequence
        self.sent = sent
    }

    /// With the content behind it.
    func encode(_ content: [UInt8] = [], into datagram: inout [UInt8]) {
        datagram += [0x6c, 0x70, kind.rawValue, 0]
        datagram.append(bigEndian: run)
        datagram.append(bigEndian: client)
        datagram.append(bigEndian: sequence)
        datagram.append(bigEndian: sent)
        datagram += content
    }

    /// With content that fills it up to `length` octets.
    func encode(length: Int, into datagram: inout [UInt8]) {
        encode(into: &datagram)
        var generator = generator
        var left = length - Self.headerLength
        while left > 0 {
            let word = generator.next()
            for index in 0..<min(8, left) { datagram.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * index))) }
            left -= 8
        }
    }

    /// Whether the datagram that it was read from has its content and its length.
    func isIntact(_ datagram: ArraySlice<UInt8>, length: Int) -> Bool {
        guard datagram.count == length else { return false }
        var generator = generator
        var index = datagram.startIndex + Self.headerLength
        while index < datagram.endIndex {
            var word = generator.next()
            for _ in 0..<min(8, datagram.endIndex - index) {
                guard datagram[index] == UInt8(truncatingIfNeeded: word) else { return false }
                word >>= 8
                index += 1
            }
        }
        return true
    }

    private var generator: SplitMix64 {
        SplitMix64(seed: UInt64(run) << 32 ^ UInt64(client) &* 0x9e37_79b1 ^ UInt64(sequence) << 8 ^ UInt64(kind.rawValue))
    }
}

/// Repeatable random numbers; for load, never for keys.
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ word >> 30) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ word >> 27) &* 0x94d0_49bb_1331_11eb
        return word ^ word >> 31
    }
}

/// Sizes that packets have in turn, in octets of the inner packet.
struct PacketSizes: Equatable {
    let octets: [Int]

    /// `64`, `64,1400`: in the tunnel, IP header included; nil where one is not 72 (IPv6) or 52 (IPv4) to 9000, or there are more than 16.
    init?(_ text: String, family: AddressFamily) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
        let least = InnerDatagram.headers(family) + Probe.headerLength
        let octets = parts.compactMap { $0 }
        guard (1...16).contains(parts.count), octets.count == parts.count, octets.allSatisfy({ (least...9000).contains($0) }) else { return nil }
        self.octets = octets
    }

    init(_ octets: [Int]) { self.octets = octets }

    /// Of the UDP payload.
    func payload(_ sequence: UInt32, family: AddressFamily) -> Int {
        max(octets[Int(sequence) % octets.count] - InnerDatagram.headers(family), Probe.headerLength)
    }
}

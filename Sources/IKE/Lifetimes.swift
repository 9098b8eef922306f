import GatewayCrypto
import IKEMessages
import Wire

/// When SAs are replaced before their lifetimes end: late, so that a client with the same lifetimes is mostly first, and not all at once.
enum Lifetimes {
    /// Between 90 and 95 parts of a hundred, and early enough for a request that is lost twice before it is answered.
    static func soft(_ lifetime: Duration, entropy: any Entropy) -> Duration {
        min(within(lifetime, from: 900, to: 950, entropy), max(lifetime - .seconds(7), lifetime * 2 / 3))
    }

    /// For Windows, which refuses much of what others begin: between 97 and 99 parts of a hundred (features.md X-13).
    static func late(_ lifetime: Duration, entropy: any Entropy) -> Duration { within(lifetime, from: 970, to: 990, entropy) }

    /// By traffic: packets as the profile says, and octets where blocks of 64 bits begin to repeat themselves long before (RFC 7296 has no limit of its
    /// own; 2^29 octets are 2^26 blocks). Less up to a sixteenth.
    static func traffic(_ suite: ProtectionSuite, packets: UInt64, entropy: any Entropy) -> TrafficLifetime {
        let random = entropy.octets(2).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        func less(_ whole: UInt64) -> UInt64 { max(1, whole - whole / 16 / 65_536 * random) }
        let hasShortBlocks = !suite.isAEAD && suite.encrypts && suite.blockLength == 8
        return TrafficLifetime(packets: less(packets), octets: hasShortBlocks ? less(1 << 29) : nil)
    }

    /// When to try again after TEMPORARY_FAILURE: in 8 to 16 s, so that two sides that refuse each other do not meet again (RFC 7296 section 2.25), but
    /// never past the half of what is left until `end`.
    static func retry(before end: Instant?, at now: Instant, entropy: any Entropy) -> Instant {
        let pause = within(.seconds(16), from: 500, to: 1000, entropy)
        guard let end, end > now else { return now + pause }
        return now + min(pause, max(.seconds(1), (end - now) / 2))
    }

    private static func within(_ whole: Duration, from low: Int, to high: Int, _ entropy: any Entropy) -> Duration {
        let random = entropy.octets(4).reduce(0) { $0 << 8 | Int($1) }
        return whole / 1_000_000 * (low * 1000 + random % ((high - low) * 1000))
    }
}

/// What is known of the client's software by its vendor IDs.
enum ClientSoftware {
    /// The vendor IDs of Windows 7 to 11; the first is followed by a version.
    private static let windows: [[UInt8]] = [
        [0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4, 0x61],
        [0xfb, 0x1d, 0xe3, 0xcd, 0xf3, 0x41, 0xb7, 0xea, 0x16, 0xb7, 0xe5, 0xbe, 0x08, 0x55, 0xf1, 0x20],
        [0x26, 0x24, 0x4d, 0x38, 0xed, 0xdb, 0x61, 0xb3, 0x17, 0x2a, 0x36, 0xe3, 0xd0, 0xcf, 0xb8, 0x19],
        [0x01, 0x52, 0x8b, 0xbb, 0xc0, 0x06, 0x96, 0x12, 0x18, 0x49, 0xab, 0x9a, 0x1c, 0x5b, 0x2a, 0x51, 0, 0, 0, 0x02],
    ]

    /// Whether an IKE_SA_INIT request comes from Windows.
    static func isWindows(initRequest: [UInt8]) -> Bool {
        guard let message = try? IKEMessage(parsing: initRequest) else { return false }
        return message.payloads.contains { payload in
            guard case .vendorID(let vendor) = payload else { return false }
            return windows.contains { vendor.octets.starts(with: $0) }
        }
    }
}

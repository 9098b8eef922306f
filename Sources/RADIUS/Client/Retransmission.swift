import GatewayCrypto
import Wire

/// When a request is sent again, RFC 5080 section 2.2.1: each wait twice the one before, none above MRT, all with a tenth of jitter.
struct Retransmission: Sendable {
    /// MRT.
    static let maximum: Duration = .seconds(16)

    /// How often the request was sent again.
    private(set) var count = 0
    private var wait: Duration

    /// The first wait: IRT + RAND * IRT.
    init(initial: Duration, entropy: any Entropy) {
        wait = Self.jittered(initial, around: initial, entropy)
    }

    /// When to look again at a request that is sent now.
    func deadline(from now: Instant) -> Instant { now + wait }

    /// The request goes out once more: RT = 2 * RT + RAND * RT.
    mutating func again(entropy: any Entropy) {
        count += 1
        let next = Self.jittered(wait * 2, around: wait, entropy)
        wait = next > Self.maximum ? Self.jittered(Self.maximum, around: Self.maximum, entropy) : next
    }

    /// `base` + RAND * `step`, RAND from -0.1 to 0.1.
    private static func jittered(_ base: Duration, around step: Duration, _ entropy: any Entropy) -> Duration {
        let random = entropy.octets(2).reduce(0) { $0 << 8 | Int($1) }
        return base + step * (random - 32768) / 327_680
    }
}

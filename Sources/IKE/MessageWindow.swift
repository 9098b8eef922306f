import GatewayCrypto
import IKEMessages
import Wire

/// What a request's message ID says about it, RFC 7296 sections 2.1 to 2.3 (threats.md P7); window size 1.
enum RequestPlace: Equatable {
    /// The next one: to be processed.
    case expected
    /// The one answered last, octet for octet: the same response again, with all its fragments.
    case repeated([[UInt8]])
    /// Old, ahead of the window, still in work, or a changed copy of the last one.
    case outside
}

/// The responder's half of the window: what is expected, and the last response as it was sent.
struct RequestWindow: Sendable {
    /// The message ID of the next request.
    private(set) var expected: UInt32
    /// No further request is taken: message ID 2^32 - 1 was used (RFC 7296 section 2.2).
    private(set) var isExhausted = false
    /// Its digest; that of the first fragment where it came in fragments.
    private var lastRequest: [UInt8]?
    private var lastResponse: [[UInt8]]?

    init(expected: UInt32) {
        self.expected = expected
    }

    func place(of id: UInt32, request: [UInt8]) -> RequestPlace {
        if id == expected, !isExhausted, lastRequest == nil || lastResponse != nil { return .expected }
        if let lastResponse = response(to: id), lastRequest == Digest.sha256(request) { return .repeated(lastResponse) }
        return .outside
    }

    /// The response that was sent to this request; nil unless it is the last one.
    func response(to id: UInt32) -> [[UInt8]]? {
        id == expected &- 1 || (isExhausted && id == .max) ? lastResponse : nil
    }

    /// A request was authenticated and is being worked on: its copies are dropped until it is answered.
    /// `digest`: of its octets, or of its first fragment's.
    mutating func accept(digest: [UInt8]) {
        lastRequest = digest
        lastResponse = nil
        if expected == .max { isExhausted = true } else { expected += 1 }
    }

    /// Keeps the response for byte-identical repetition (invariant I5).
    mutating func answered(_ response: [[UInt8]]) {
        lastResponse = response
    }

    /// Whether a request waits for its answer.
    var isBusy: Bool { lastRequest != nil && lastResponse == nil }
}

/// A request of our own that waits for its response.
struct OutstandingRequest: Sendable {
    let id: UInt32
    let exchange: ExchangeType
    let purpose: RequestPurpose
    /// One, or its fragments.
    let messages: [[UInt8]]
    /// Times it was sent.
    var attempts: Int
}

/// Why we sent a request.
package enum RequestPurpose: Hashable, Sendable {
    case liveness
    case deleteIKESA
    case deleteChildSA(spi: UInt32)
    /// A Child SA in the place of another, or one from scratch.
    case createChildSA
    /// An IKE SA in the place of this one.
    case rekeyIKESA
    /// This IKE SA was replaced, or is one too many after a collision; the session goes on.
    case deleteReplaced

    var exchange: ExchangeType {
        switch self {
        case .liveness, .deleteIKESA, .deleteChildSA, .deleteReplaced: .informational
        case .createChildSA, .rekeyIKESA: .createChildSA
        }
    }
}

/// When a request without an answer is sent again, and when the peer counts as dead.
package struct RetransmissionSchedule: Hashable, Sendable {
    /// Pauses after each sending; the last one ends in giving up.
    package let pauses: [Duration]

    /// Again after 1, 2, 4, 8 and 16 s (configuration.md); what was sent last has 16 s to be answered.
    package static let request = RetransmissionSchedule(
        pauses: [.seconds(1), .seconds(2), .seconds(4), .seconds(8), .seconds(16), .seconds(16)])

    /// A liveness check: each `interval`, dead after `maxRetries` of them.
    package static func liveness(interval: Duration, maxRetries: Int) -> RetransmissionSchedule {
        RetransmissionSchedule(pauses: [Duration](repeating: interval, count: max(1, maxRetries)))
    }

    /// An IKE SA that is being deleted waits less: the peer may well be gone.
    package static let delete = RetransmissionSchedule(pauses: [.seconds(1), .seconds(2), .seconds(4)])

    /// The pause after the `attempts`th sending; nil when it was the last.
    func pause(after attempts: Int) -> Duration? {
        attempts >= 1 && attempts <= pauses.count ? pauses[attempts - 1] : nil
    }
}

import Glibc

/// What can be fuzzed. Each takes any octets, keeps nothing of them for the next ones, and ends the program when something is found.
enum FuzzTarget: String, CaseIterable {
    /// IKE messages in the clear: the parser, the door, and what strangers may do to an IKE SA.
    case messages
    /// Payloads inside a right ICV: the parser, and IKE SAs in several stages.
    case inner
    /// RFC 7383 fragments inside a right ICV, through the reassembly of an IKE SA.
    case fragments
    /// ESP packets inside a right ICV, and packets to clients.
    case esp
    /// Certificates, names, keys, chains and identities.
    case certificates
    /// RADIUS replies and requests, forged and rightly signed, and EAP messages of clients.
    case radius
    /// Whole lives of IKE SAs, invariants after each step.
    case sequences

    nonisolated(unsafe) static var current = FuzzTarget.messages

    func run(_ octets: [UInt8]) {
        switch self {
        case .messages: ClearMessages.run(octets)
        case .inner: InnerPayloads.run(octets)
        case .fragments: FragmentedMessages.run(octets)
        case .esp: ESPPackets.run(octets)
        case .certificates: Certificates.run(octets)
        case .radius: RADIUSReplies.run(octets)
        case .sequences: Sequences.run(octets)
        }
    }
}

/// Ends the program as libFuzzer expects of a finding: it keeps the octets that led here.
func found(_ what: String) -> Never {
    let line = Array("FINDING: \(what)\n".utf8)
    _ = line.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    abort()
}

func expect(_ isTrue: Bool, _ what: @autoclosure () -> String) {
    if !isTrue { found(what()) }
}

/// Finds what takes too long: threats.md C2 and I10 allow a datagram five milliseconds of processor time; the fuzzer's counters in every branch
/// make code several times slower.
func bounded<Result>(_ what: String, milliseconds: Int = 50, _ body: () throws -> Result) rethrows -> Result {
    func spent() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return time.tv_sec * 1_000_000 + time.tv_nsec / 1000
    }
    let start = spent()
    let result = try body()
    let duration = spent() - start
    expect(duration <= milliseconds * 1000, "\(what) took \(duration) us")
    return result
}

/// Reads decisions and octets from the fuzzer's input; noughts after its end.
struct Script {
    private let octets: [UInt8]
    private var place = 0

    init(_ octets: [UInt8]) { self.octets = octets }

    var isAtEnd: Bool { place >= octets.count }

    mutating func octet() -> UInt8 {
        guard place < octets.count else { return 0 }
        place += 1
        return octets[place - 1]
    }

    mutating func number() -> UInt16 { UInt16(octet()) << 8 | UInt16(octet()) }

    /// 0 ..< count.
    mutating func choice(_ count: Int) -> Int { count > 0 ? Int(octet()) % count : 0 }

    mutating func octets(_ count: Int) -> [UInt8] {
        let end = min(octets.count, place + max(0, count))
        defer { place = end }
        return Array(octets[place..<end])
    }

    mutating func rest() -> [UInt8] { octets(octets.count - place) }
}

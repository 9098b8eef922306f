import ArgumentParser
import IKEMessages
import LinuxIO
import RoadWarrior
import Wire

struct Flood: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "A flood of beginnings that come to nothing, to see what a gateway of your own makes of it.",
        discussion: """
            spoofed: IKE_SA_INIT requests of random addresses of --from, each with a real key, an SPI and a nonce of its own; nobody ever answers. Answers are
            counted where the addresses are routed to this network namespace. Needs CAP_NET_RAW.
            half-open: the same from our own addresses, which return cookies and never come to IKE_AUTH.
            malformed: messages of which something is wrong, some of them for IKE SAs that have just begun; the same of the same --seed.
            Run `setup` beside it to see what becomes of those who mean it.
            """)

    enum Kind: String, ExpressibleByArgument, CaseIterable {
        case spoofed, malformed
        case halfOpen = "half-open"
    }

    @OptionGroup var peer: PeerOptions
    @OptionGroup var own: AddressOptions

    @Option(help: "spoofed, half-open or malformed.")
    var kind: Kind

    @Option(help: "Messages per second.")
    var rate: Double

    @Option(name: .customLong("for"), help: "How long: 30s, 500ms, 2m.")
    var length: String = "10s"

    @Option(help: "What SPIs, nonces, addresses and mistakes are made from; told in the result.")
    var seed: UInt64?

    @OptionGroup var output: ReportOptions

    func run() throws {
        guard rate > 0, rate <= 10_000_000 else { throw ValidationError("--rate: more than 0, at most 10000000") }
        let length = try Time.duration(length, option: "--for")
        let remote = try peer.endpoint()
        let proposals = try peer.proposals()
        let seed = seed ?? UInt64.random(in: 1...UInt64(UInt32.max))
        let strangers = kind == .spoofed ? try own.prefix(toward: remote.address) : nil
        let range = kind == .spoofed ? nil : try own.range(toward: remote.address)
        guard range.map({ $0.count <= 4096 }) ?? true else { throw ValidationError("--from: at most 4096 addresses that are ours") }
        try Safety.check(target: remote.address, confirmed: peer.confirmed)
        StopSignal.install()
        let templates = InitTemplates(count: 64, seed: seed, remote: remote, proposals: proposals)
        guard templates.templates.count == 64 else { throw ValidationError("--ike: no key can be made for that") }
        do {
            var book = FloodBook(kind: kind, rate: rate, seed: seed)
            let progress = Progress(output, from: MonotonicClock.now)
            if let strangers {
                var run = FloodRun(try SpoofedFlood(templates, remote: remote, prefix: strangers), progress: progress)
                try run.run(&book, for: length)
            } else {
                let sources = Sources(family: remote.address.family, addresses: range, ports: nil, share: 1)
                let endpoints = (0..<Int(range?.count ?? 1)).map { sources.endpoint(ofSocket: $0) }
                let flood = try OwnFlood(
                    templates, remote: remote, natPort: peer.natPort, sources: endpoints, isMalformed: kind == .malformed)
                var run = FloodRun(flood, progress: progress)
                try run.run(&book, for: length)
            }
            output.print(book.summary)
        } catch {
            report("ipsec-load: \(error)")
            throw ExitCode(1)
        }
    }
}

/// What a flood sent and what came back.
struct FloodBook {
    let kind: Flood.Kind
    let rate: Double
    let seed: UInt64
    var elapsed = Duration.zero
    var sent = 0
    /// IP packets, headers included.
    var octetsSent = 0
    /// Not sent in time.
    var skipped = 0
    var answers = Answers()
    var missedAnswers = 0
    var cookiesReturned = 0
    var malformations: [String: Int] = [:]

    init(kind: Flood.Kind, rate: Double, seed: UInt64) {
        self.kind = kind
        self.rate = rate
        self.seed = seed
    }

    /// Octets that came back for each that was sent; more than 1 would make the gateway somebody's weapon.
    var amplification: Double? { octetsSent > 0 ? Double(answers.octets) / Double(octetsSent) : nil }

    var line: String {
        "sent \(sent), answers \(answers.count), octets back per octet sent \(amplification.map { SetupRun.rounded($0 * 100) } ?? "-") %"
    }

    var summary: Summary {
        let seconds = Time.seconds(elapsed)
        var summary = Summary()
        summary.add("kind", "kind", .text(kind.rawValue))
        summary.add("seed", "seed", .text(String(seed)))
        summary.add("rate", "asked per second", .number(rate))
        summary.add("seconds", "seconds", .number(seconds))
        summary.add("sent", "messages sent", sent)
        summary.add("perSecond", "sent per second", .number(seconds > 0 ? Double(sent) / seconds : 0))
        summary.add("skipped", "not sent in time", skipped)
        summary.add("octetsSent", "octets sent, IP headers included", octetsSent)
        summary.add("answered", "answers", answers.count)
        summary.add("answers", "  of them, by kind", .causes(answers.kinds))
        summary.add("octetsReceived", "octets received", answers.octets)
        summary.add("amplification", "octets received per octet sent", .number(amplification))
        summary.add("missedAnswers", "answers seen too late to count", missedAnswers)
        summary.add("cookiesReturned", "cookies returned", cookiesReturned)
        summary.add("malformations", "messages by what is wrong", .causes(malformations))
        summary.addOwnUse()
        return summary
    }
}

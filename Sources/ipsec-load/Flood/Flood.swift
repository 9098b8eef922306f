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

    @Option(help: "Address of the gateway.")
    var gateway: String

    @Option(help: "spoofed, half-open or malformed.")
    var kind: Kind

    @Option(help: "Messages per second.")
    var rate: Double

    @Option(name: .customLong("for"), help: "How long: 30s, 500ms, 2m.")
    var length: String = "10s"

    @Option(
        name: .customLong("from"),
        help:
            "Our addresses: A, A-B or A/LENGTH. Spoofed: a prefix, to be drawn from at random; without it 198.18.0.0/15 or 2001:db8::/32. Otherwise up to 4096 that are ours."
    )
    var addresses: String?

    @Option(help: "IKE proposals, as with connect.")
    var ike: String?

    @Option(help: "The gateway's IKE port.")
    var port: UInt16 = 500

    @Option(name: .customLong("nat-port"), help: "The gateway's port for IKE and ESP in UDP.")
    var natPort: UInt16 = 4500

    @Option(help: "What SPIs, nonces, addresses and mistakes are made from; told in the result.")
    var seed: UInt64?

    @Flag(
        name: .customLong("yes-this-is-my-gateway"), help: "Go on although the target is not loopback and this is the host's own network namespace.")
    var confirmed = false

    @OptionGroup var output: ReportOptions

    func run() throws {
        guard let address = IPAddress(gateway) else { throw ValidationError("--gateway: \"\(gateway)\" is not an IP address") }
        guard rate > 0, rate <= 10_000_000 else { throw ValidationError("--rate: more than 0, at most 10000000") }
        let length = try Time.duration(length, option: "--for")
        let proposals: [Proposal]
        do {
            proposals = try ike.map { text throws(ProposalText.Fault) in try ProposalText.ike(text) } ?? ProposalText.ikeDefault
        } catch {
            throw ValidationError("\(error)")
        }
        let remote = Endpoint(address, port: port)
        let seed = seed ?? UInt64.random(in: 1...UInt64(UInt32.max))
        let sources = try sources(toward: address)
        try Safety.check(target: address, confirmed: confirmed)
        StopSignal.install()
        let templates = InitTemplates(count: 64, seed: seed, remote: remote, proposals: proposals)
        guard templates.templates.count == 64 else { throw ValidationError("--ike: no key can be made for that") }
        do {
            var book = FloodBook(kind: kind, rate: rate, seed: seed)
            let progress = Progress(output, from: MonotonicClock.now)
            switch sources {
            case .prefix(let prefix):
                var run = try SpoofedFlood(templates, remote: remote, prefix: prefix, progress: progress)
                try run.run(&book, for: length)
            case .own(let sources):
                var run = try OwnFlood(
                    templates, remote: remote, natPort: natPort, sources: sources, isMalformed: kind == .malformed, progress: progress)
                try run.run(&book, for: length)
            }
            output.print(book.summary)
        } catch {
            report("ipsec-load: \(error)")
            throw ExitCode(1)
        }
    }

    private enum Origin {
        case prefix(IPPrefix)
        case own([Endpoint])
    }

    /// Throws a `ValidationError`.
    private func sources(toward gateway: IPAddress) throws -> Origin {
        if kind == .spoofed {
            let text = addresses ?? (gateway.family == .ipv4 ? "198.18.0.0/15" : "2001:db8::/32")
            guard let prefix = IPPrefix(text), prefix.family == gateway.family else {
                throw ValidationError("--from: \"\(text)\" is no prefix of the gateway's family")
            }
            return .prefix(prefix)
        }
        guard let addresses else { return .own([Endpoint(IPAddress(family: gateway.family, value: 0), port: 0)]) }
        guard let range = Sources.range(addresses), range.family == gateway.family, range.count <= 4096 else {
            throw ValidationError("--from: \"\(addresses)\" is no range of up to 4096 addresses of the gateway's family")
        }
        return .own((0..<range.count).map { Endpoint(IPAddress(family: range.family, value: range.begin.value + $0), port: 0) })
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

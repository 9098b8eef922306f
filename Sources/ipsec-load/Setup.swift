import ArgumentParser
import Glibc
import LinuxIO
import Wire

struct Setup: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Logins at a given rate, whatever the gateway makes of them; each is deleted once it stands.")

    @OptionGroup var gateway: GatewayOptions

    @Option(help: "Logins to begin per second.")
    var rate: Double

    @Option(help: "Clients, each with a source port of its own; a login that finds none free fails.")
    var clients: Int = 100

    @Option(name: .customLong("for"), help: "How long to begin logins: 30s, 500ms, 2m.")
    var length: String = "10s"

    @Flag(help: "Print the result as JSON.")
    var json = false

    func run() throws {
        guard rate > 0, rate <= 1_000_000 else { throw ValidationError("--rate: more than 0, at most 1000000") }
        guard (1...50_000).contains(clients) else { throw ValidationError("--clients: 1 to 50000") }
        let target = try gateway.target(clients: clients)
        guard let duration = Self.duration(length) else { throw ValidationError("--for: \"\(length)\" is no time such as 30s") }
        if let objection = Safety.objection(target: target.remote.address, confirmed: gateway.confirmed) {
            report("ipsec-load: " + objection)
            throw ExitCode(1)
        }
        StopSignal.install()
        do {
            try Self.raiseDescriptorLimit(to: clients + 64)
            var run = try SetupRun(target: target, rate: rate, clients: clients, length: duration)
            try run.run()
            say(json ? run.result.json : run.result.table)
        } catch {
            report("ipsec-load: \(error)")
            throw ExitCode(1)
        }
    }

    /// A time with its unit; without one it is seconds.
    static func duration(_ text: String) -> Duration? {
        for (suffix, milliseconds) in [("ms", 1.0), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("", 1000)]
        where text.hasSuffix(suffix) {
            guard let number = Double(text.dropLast(suffix.count)), number > 0, number * milliseconds < 1e12 else { return nil }
            return .milliseconds(Int64(number * milliseconds))
        }
        return nil
    }

    private static func raiseDescriptorLimit(to count: Int) throws(SystemError) {
        var limit = rlimit()
        _ = unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        guard limit.rlim_cur < rlim_t(count) else { return }
        limit.rlim_cur = rlim_t(count)
        limit.rlim_max = max(limit.rlim_max, limit.rlim_cur)
        guard unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            throw SystemError(
                errno, call: "setrlimit", subject: "\(count) open sockets", hint: "raise `ulimit -n`, or use fewer --clients")
        }
    }
}

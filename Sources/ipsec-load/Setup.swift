import ArgumentParser
import LinuxIO
import Wire

struct Setup: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Logins at a given rate, whatever the gateway makes of them; each is deleted once it stands.")

    @OptionGroup var gateway: GatewayOptions
    @OptionGroup var origin: SourceOptions
    @OptionGroup var output: ReportOptions

    @Option(help: "Logins to begin per second.")
    var rate: Double

    @Option(help: "Clients, each with a source port of its own; a login that finds none free fails.")
    var clients: Int = 100

    @Option(name: .customLong("for"), help: "How long to begin logins: 30s, 500ms, 2m.")
    var length: String = "10s"

    func run() throws {
        guard rate > 0, rate <= 1_000_000 else { throw ValidationError("--rate: more than 0, at most 1000000") }
        guard (1...50_000).contains(clients) else { throw ValidationError("--clients: 1 to 50000") }
        let target = try gateway.target(clients: clients)
        let sources = try origin.sources(for: clients, toward: target.remote.address)
        let duration = try Time.duration(length, option: "--for")
        try Safety.check(target: target.remote.address, confirmed: gateway.peer.confirmed)
        StopSignal.install()
        do {
            let crowd = try Crowd(target: target, sources: sources, clients: clients)
            var run = SetupRun(crowd, rate: rate, length: duration, progress: Progress(output, from: MonotonicClock.now))
            try run.run()
            let result = run.result
            say(output.json ? result.json : result.table)
        } catch {
            report("ipsec-load: \(error)")
            throw ExitCode(1)
        }
    }
}

import ArgumentParser
import LinuxIO
import RoadWarrior
import Wire

struct Hold: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Many clients that stay: liveness, rekeys and keepalives; told is who was lost, and why.",
        discussion: """
            The clients log in at --ramp a second and stay until SIGINT or SIGTERM, or for --for after the last has begun; then each deletes its IKE SA
            (a second signal does not wait for that). --rekey-child and --rekey-ike are our own rekeys; the gateway's are followed.
            """)

    @OptionGroup var gateway: GatewayOptions
    @OptionGroup var origin: SourceOptions
    @OptionGroup var output: ReportOptions
    @OptionGroup var staying: StayingOptions

    @Option(help: "Clients to hold.")
    var clients: Int

    @Option(name: .customLong("for"), help: "How long to hold once all have begun: 30s, 10m, 2h; without it until a signal.")
    var length: String?

    @Flag(help: "Log in again who was refused or lost, at the rate of --ramp.")
    var reconnect = false

    func run() throws {
        guard (1...100_000).contains(clients) else { throw ValidationError("--clients: 1 to 100000") }
        let length = try length.map { try Time.duration($0, option: "--for") }
        let ramp = try staying.checkedRamp()
        do {
            let crowd = try staying.crowd(gateway, origin, clients: clients)
            var run = HoldRun(
                crowd, ramp: ramp, length: length, reconnects: reconnect, progress: Progress(output, from: MonotonicClock.now))
            try run.run()
            output.print(run.summary)
        } catch let error as SystemError {
            report("ipsec-load: \(error)")
            throw ExitCode(1)
        }
    }
}

/// How clients come and stay.
struct StayingOptions: ParsableArguments {
    @Option(help: "Logins to begin per second.")
    var ramp: Double = 100

    @Option(help: "Ask whether the gateway lives after so many seconds of silence; 0 never.")
    var liveness: Int = 30

    @Option(help: "Seconds without sending after which a NAT is kept open; 0 never.")
    var keepalive: Int = 20

    func checkedRamp() throws -> Double {
        guard ramp > 0, ramp <= 100_000 else { throw ValidationError("--ramp: more than 0, at most 100000") }
        return ramp
    }

    /// The clients, none of whom has begun; throws a `ValidationError`, a `SystemError`, or the refusal of a target that is not ours.
    func crowd(_ gateway: GatewayOptions, _ origin: SourceOptions, clients: Int) throws -> Crowd {
        guard liveness >= 0, keepalive >= 0 else { throw ValidationError("--liveness, --keepalive: 0 or more") }
        guard !gateway.nativeESP else { throw ValidationError("--native-esp: of connect and setup alone") }
        let target = try gateway.target(clients: clients)
        let sources = try origin.sources(for: clients, toward: target.remote.address)
        try Safety.check(target: target.remote.address, confirmed: gateway.peer.confirmed)
        StopSignal.install()
        var crowd = try Crowd(target: target, sources: sources, clients: clients)
        let (liveness, keepalive) = (liveness, keepalive)
        crowd.adjust = { settings in
            settings.liveness = liveness > 0 ? .seconds(liveness) : nil
            settings.natKeepalive = keepalive > 0 ? .seconds(keepalive) : nil
        }
        return crowd
    }
}

import ArgumentParser
import LinuxIO
import Wire

struct Reflect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The far side of `traffic`, behind the gateway: takes packets and looks at them, and sends packets to clients that ask.",
        discussion: """
            Runs on a host of the private network, or in its namespace, until SIGINT or SIGTERM; prints `reflecting on A:P` once it listens. Whoever reaches it
            can ask for packets, so it is for networks that carry load alone.
            """)

    @Option(help: "Address and port to listen on: 10.20.0.2:7007, [2001:db8::2]:7007.")
    var listen: String

    @Flag(
        name: .customLong("yes-this-is-my-gateway"), help: "Go on although the address is not loopback and this is the host's own network namespace.")
    var confirmed = false

    @OptionGroup var output: ReportOptions

    func run() throws {
        guard let local = Endpoint(text: listen), local.port > 0 else {
            throw ValidationError("--listen: \"\(listen)\" is no address with a port such as 10.20.0.2:7007")
        }
        try Safety.check(target: local.address, confirmed: confirmed)
        StopSignal.install()
        do {
            var reflector = try Reflector(local, progress: Progress(output, from: MonotonicClock.now))
            say("reflecting on \(local)")
            try reflector.run()
            output.print(reflector.summary)
        } catch {
            report("ipsec-load: \(error)")
            throw ExitCode(1)
        }
    }
}

extension Endpoint {
    /// `A:P`, `[A]:P`.
    init?(text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() } else if host.contains(":") { return nil }
        guard let address = IPAddress(String(host)) else { return nil }
        self.init(address, port: port)
    }
}

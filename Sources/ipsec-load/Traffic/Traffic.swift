import ArgumentParser
import LinuxIO
import Wire

struct Traffic: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Packets of given sizes through many clients, both ways; every octet is compared, and loss, duplicates and order are counted.",
        discussion: """
            The far side is `ipsec-load reflect --listen A:P` on a host behind the gateway; --to is its address. Both directions have --rate packets a second
            in all, spread over the clients; --up and --down change one of them, and 0 leaves it out. Latencies are one way, from the sending program to the
            receiving one, and there are none where the two are not on one machine.
            """)

    @OptionGroup var gateway: GatewayOptions
    @OptionGroup var origin: SourceOptions
    @OptionGroup var output: ReportOptions
    @OptionGroup var staying: StayingOptions

    @Option(help: "Where `ipsec-load reflect` listens, behind the gateway: 10.20.0.2:7007.")
    var to: String

    @Option(help: "Clients to send through.")
    var clients: Int = 1

    @Option(help: "Octets of the packets inside the tunnel, IP header included; S,S,... in turn.")
    var size: String = "1400"

    @Option(help: "Packets per second and direction, of all clients together.")
    var rate: Double = 1000

    @Option(help: "Packets per second from the clients; without it as --rate.")
    var up: Double?

    @Option(help: "Packets per second to the clients; without it as --rate.")
    var down: Double?

    @Option(name: .customLong("for"), help: "How long to send: 30s, 500ms, 2m.")
    var length: String = "10s"

    @Option(help: "What the packets' contents are made from; told in the result.")
    var seed: UInt32?

    func run() throws {
        guard (1...100_000).contains(clients) else { throw ValidationError("--clients: 1 to 100000") }
        guard let far = Endpoint(text: to), far.port > 0 else {
            throw ValidationError("--to: \"\(to)\" is no address with a port such as 10.20.0.2:7007")
        }
        let rates = (up: up ?? rate, down: down ?? rate)
        for rate in [rates.up, rates.down] {
            guard rate >= 0, rate <= 10_000_000 else { throw ValidationError("--rate, --up, --down: 0 to 10000000") }
        }
        guard rates.up > 0 || rates.down > 0 else { throw ValidationError("--up and --down are both 0") }
        guard let sizes = PacketSizes(size, family: far.address.family) else {
            throw ValidationError("--size: \"\(size)\": 52 (IPv6: 72) to 9000 octets, up to 16 sizes with commas between them")
        }
        guard gateway.inner.families.contains(far.address.family) else {
            throw ValidationError("--to: clients get no inner address of that family; --inner gives them one")
        }
        let load = TrafficRun.Load(
            far: far, sizes: sizes, up: rates.up, down: rates.down, length: try Time.duration(length, option: "--for"),
            seed: seed ?? UInt32.random(in: 1 ... .max))
        let ramp = try staying.checkedRamp()
        do {
            let crowd = try staying.crowd(gateway, origin, clients: clients)
            var run = TrafficRun(crowd, load, ramp: ramp, progress: Progress(output, from: MonotonicClock.now))
            let failure = try run.run()
            output.print(run.summary)
            if let failure {
                report("ipsec-load: " + failure)
                throw ExitCode(1)
            }
        } catch let error as SystemError {
            report("ipsec-load: \(error)")
            throw ExitCode(1)
        }
    }
}

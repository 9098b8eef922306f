import ArgumentParser
import Datapath
import LinuxIO
import RoadWarrior
import Wire

struct Connect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "One client in the foreground, until SIGTERM or until the gateway ends it.")

    @OptionGroup var gateway: GatewayOptions

    @Option(defaultAsFlag: "ipsec0", help: "Carry packets through a TUN device of this name.")
    var tun: String?

    @Option(parsing: .upToNextOption, help: "Prefixes to route into the device.")
    var route: [String] = []

    @Option(help: "MTU of the device.")
    var mtu: Int = 1400

    @Option(help: "What the kernel does with many packets in one: tun (the device), udp (ESP in UDP), all or none.")
    var offloads: Datapath.Offloads = .all

    @Option(help: "Threads for packets; one client has use for one.")
    var workers: Int = 1

    @Option(help: "Ask whether the gateway lives after so many seconds of silence; 0 never.")
    var liveness: Int = 30

    @Flag(name: .customLong("initial-contact"), help: "Tell the gateway to forget earlier connections of this identity.")
    var initialContact = false

    @Option(name: .customLong("key-log"), help: "Append the keys of each Child SA to this file, for Wireshark and Scapy.")
    var keyLog: String?

    /// The TUN device that is wanted.
    struct Device {
        let name: String
        let routes: [IPPrefix]
        let mtu: Int
        let offloads: Datapath.Offloads
        let workers: Int
    }

    /// What the flags say of the IKE SA.
    struct Wishes {
        let liveness: Duration?
        let initialContact: Bool
        let keyLog: RoadWarrior.ChildKeyLog?

        func apply(to settings: inout RoadWarrior.Settings) {
            settings.liveness = liveness
            settings.initialContact = initialContact
            settings.childKeyLog = keyLog
        }
    }

    func run() async throws {
        let target = try gateway.target()
        let routes = try route.map { text in
            guard let prefix = IPPrefix(text) else { throw ValidationError("--route: \"\(text)\" is not a prefix") }
            guard !prefix.contains(target.remote.address) else {
                throw ValidationError("--route: \(prefix) contains the gateway itself, so nothing would reach it")
            }
            return prefix
        }
        guard routes.isEmpty || tun != nil else { throw ValidationError("--route needs --tun") }
        guard (576...9000).contains(mtu) else { throw ValidationError("--mtu: 576 to 9000") }
        guard mtu >= 1280 || tun == nil || gateway.inner == .ipv4 else { throw ValidationError("--mtu: 1280 or more with IPv6 inside the tunnel") }
        guard (1...64).contains(workers) else { throw ValidationError("--workers: 1 to 64") }
        if let objection = Safety.objection(target: target.remote.address, confirmed: gateway.peer.confirmed) {
            report("ipsec-load: " + objection)
            throw ExitCode(1)
        }
        let wishes = Wishes(
            liveness: liveness > 0 ? .seconds(liveness) : nil, initialContact: initialContact, keyLog: try keyLog.map { try KeyLog.opened($0) })
        StopSignal.install()
        let outcome: Ending.Outcome
        do {
            if let tun {
                let device = Device(name: tun, routes: routes, mtu: mtu, offloads: offloads, workers: workers)
                var connection = try TunnelConnection(target: target, wishes, device)
                outcome = try await connection.run()
            } else {
                var connection = try Connection(target: target, wishes)
                outcome = try connection.run()
            }
        } catch let error as SystemError {
            report("ipsec-load: \(error)")
            throw ExitCode(1)
        } catch let error as DatapathError {
            report("ipsec-load: \(error.words)")
            throw ExitCode(1)
        }
        if let cause = outcome.failure {
            report("ipsec-load: " + cause)
            throw ExitCode(1)
        }
    }
}

extension Datapath.Offloads: ExpressibleByArgument {}

extension DatapathError {
    /// What the user can do something about is in the text of the first.
    fileprivate var words: String {
        switch self {
        case .system(let text), .settings(let text): text
        case .keys: "the datapath cannot use the keys of a Child SA"
        case .noSuchTunnel, .noSuchSPI, .tooManyChildSAs, .noRoom, .stopped: "the datapath did not take a Child SA: \(self)"
        }
    }
}

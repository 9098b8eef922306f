import ArgumentParser
import Glibc
import LinuxIO
import RoadWarrior
import Wire

struct Connect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "One client in the foreground, until SIGTERM or until the gateway ends it.")

    @OptionGroup var gateway: GatewayOptions

    @Option(defaultAsFlag: "ipsec0", help: "Carry packets through a TUN device of this name.")
    var tun: String?

    @Option(parsing: .upToNextOption, help: "Prefixes to route into the device.")
    var route: [String] = []

    @Option(help: "MTU of the device.")
    var mtu: Int = 1400

    @Option(help: "Ask whether the gateway lives after so many seconds of silence; 0 never.")
    var liveness: Int = 30

    @Flag(name: .customLong("initial-contact"), help: "Tell the gateway to forget earlier connections of this identity.")
    var initialContact = false

    @Option(name: .customLong("key-log"), help: "Append the keys of each Child SA to this file, for Wireshark and Scapy.")
    var keyLog: String?

    func run() throws {
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
        if let objection = Safety.objection(target: target.remote.address, confirmed: gateway.confirmed) {
            report("ipsec-load: " + objection)
            throw ExitCode(1)
        }
        let log = try keyLog.map { try KeyLog.opened($0) }
        StopSignal.install()
        do {
            var connection = try Connection(
                target: target, device: tun, routes: routes, mtu: mtu, liveness: liveness, initialContact: initialContact, keyLog: log)
            let end = try connection.run()
            if let cause = end.failure {
                report("ipsec-load: " + cause)
                throw ExitCode(1)
            }
        } catch let error as SystemError {
            report("ipsec-load: \(error)")
            throw ExitCode(1)
        }
    }
}

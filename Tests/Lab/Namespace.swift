import Foundation

/// A network namespace: one machine of a topology.
package final class Namespace: Sendable {
    package let name: String
    private let scenario: Scenario

    init(scenario: Scenario, name: String) { (self.scenario, self.name) = (scenario, name) }

    func create() async throws {
        try await scenario.run(["/sbin/ip", "netns", "add", name]).required()
        try await ip("link set lo up")
    }

    func remove() async { await Sweep.removeNamespace(name) }

    /// `ip` commands, one a line, all in this namespace.
    package func ip(_ commands: String...) async throws {
        try await scenario.run(
            ["/sbin/ip", "-n", name, "-batch", "-"], input: commands.map { $0 + "\n" }.joined()
        ).required()
    }

    /// What `ip` prints.
    package func show(_ arguments: String) async throws -> String {
        try await run("/sbin/ip \(arguments)").required()
    }

    /// Runs a command here; words are split at spaces.
    package func run(_ command: String, timeout: Duration = .seconds(30)) async throws -> CommandResult {
        try await scenario.run(command.split(separator: " ").map(String.init), in: self, timeout: timeout)
    }

    package func start(_ name: String, _ command: [String], environment: [String: String] = [:]) async throws -> LabProcess {
        try await scenario.start(name, command, in: self, environment: environment)
    }

    package func sysctl(_ settings: String...) async throws {
        try await scenario.run(["/sbin/sysctl", "-qw"] + settings, in: self).required()
    }

    /// Forwards packets between its links.
    package func forwards() async throws {
        try await sysctl(
            "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0", "net.ipv6.conf.all.forwarding=1")
    }

    /// Hands datagrams to these ports of an own address on to another host, as a router with forwarded ports does.
    package func forwards(_ ports: [UInt16], of address: String, to host: String) async throws {
        let set = ports.map(String.init).joined(separator: ", ")
        try await scenario.run(
            ["/usr/sbin/nft", "-f", "-"], in: self,
            input: """
                table ip forwarded {
                    chain prerouting {
                        type nat hook prerouting priority -100; policy accept;
                        ip daddr \(address) udp dport { \(set) } dnat to \(host)
                    }
                }

                """
        ).required()
    }

    /// Rewrites the source of what leaves by `link`, as a home router does. `ports` narrows the mapped UDP ports.
    package func masquerades(out link: String, ports: ClosedRange<UInt16>? = nil) async throws {
        let udp = ports.map { "oifname \"\(link)\" meta l4proto udp masquerade to :\($0.lowerBound)-\($0.upperBound)\n" } ?? ""
        try await scenario.run(
            ["/usr/sbin/nft", "-f", "-"], in: self,
            input: """
                table ip lab {
                    chain postrouting {
                        type nat hook postrouting priority 100; policy accept;
                        \(udp)oifname "\(link)" masquerade
                    }
                }

                """
        ).required()
    }

    /// A cable between two namespaces. An address may be empty.
    package static func connect(
        _ left: Namespace, _ leftLink: String, _ leftAddress: String, to right: Namespace, _ rightLink: String, _ rightAddress: String
    ) async throws {
        try await left.scenario.run([
            "/sbin/ip", "link", "add", leftLink, "netns", left.name, "type", "veth", "peer", "name", rightLink, "netns", right.name,
        ]).required()
        for (namespace, link, address) in [(left, leftLink, leftAddress), (right, rightLink, rightAddress)] {
            let addressed = address.isEmpty ? "" : "address add \(address) dev \(link)"
            try await namespace.ip(addressed, "link set \(link) up")
        }
    }

    /// Runs `body` on a thread of its own whose network namespace is this one. Sockets opened there stay here.
    package func onThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        let path = "/run/netns/\(name)"
        return try await withCheckedThrowingContinuation { continuation in
            let thread = Thread {
                let descriptor = open(path, O_RDONLY | O_CLOEXEC)
                defer { if descriptor >= 0 { close(descriptor) } }
                guard descriptor >= 0, setns(descriptor, CLONE_NEWNET) == 0 else {
                    continuation.resume(throwing: LabError("cannot enter \(path): \(String(cString: strerror(errno)))"))
                    return
                }
                do { continuation.resume(returning: try body()) } catch { continuation.resume(throwing: error) }
            }
            thread.start()
        }
    }
}

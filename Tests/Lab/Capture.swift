import Glibc

/// tcpdump on a link of a namespace.
package final class Capture: Sendable {
    private let process: LabProcess
    /// The packets as tcpdump writes them.
    package let file: String
    private let namespace: Namespace

    private init(process: LabProcess, file: String, namespace: Namespace) {
        (self.process, self.file, self.namespace) = (process, file, namespace)
    }

    /// Starts and waits until packets are being taken.
    package static func start(_ scenario: Scenario, in namespace: Namespace, link: String, filter: String = "") async throws -> Capture {
        let file = "\(scenario.folder)/\(scenario.uniqueName("pcap"))"
        let process = try await namespace.start(
            "tcpdump",
            ["/usr/bin/tcpdump", "-Z", "root", "-n", "-U", "--immediate-mode", "-i", link, "-w", file]
                + filter.split(separator: " ").map(String.init))
        try await process.waitForLine(containing: "listening on", timeout: .seconds(10))
        return Capture(process: process, file: file, namespace: namespace)
    }

    /// Ends the capture and returns tcpdump's line for each packet, narrowed by another filter if wanted.
    package func stop(filter: String = "") async throws -> [String] {
        // what the link had last is still on its way to tcpdump
        try await Task.sleep(for: .milliseconds(300))
        process.signal(SIGINT)
        try await process.wait(timeout: .seconds(10))
        let shown = try await namespace.run("/usr/bin/tcpdump -n -v -r \(file) \(filter)").required()
        return shown.split(separator: "\n").map(String.init).filter { !$0.hasPrefix("reading from") }
    }
}

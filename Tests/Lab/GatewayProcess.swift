import Foundation

/// `ipsec-gw run` in a namespace, with files of its own, and `ipsec-gwctl` beside it.
package final class GatewayProcess: Sendable {
    package let namespace: Namespace
    package let process: LabProcess
    package let configuration: String
    package let socket: String
    package let folder: String
    private let scenario: Scenario

    private init(scenario: Scenario, namespace: Namespace, folder: String, process: LabProcess) {
        self.scenario = scenario
        self.namespace = namespace
        self.folder = folder
        self.process = process
        configuration = "\(folder)/ipsec-gw.yaml"
        socket = "\(folder)/control.sock"
    }

    /// Writes the configuration, starts the gateway and waits for `ready`.
    ///
    /// - Parameter folder: of an earlier gateway of this scenario, whose state is to be found again.
    package static func start(
        _ scenario: Scenario, in namespace: Namespace, _ settings: GatewaySettings = GatewaySettings(), folder: String? = nil
    ) async throws -> GatewayProcess {
        let folder = folder ?? "\(scenario.folder)/gw\(scenario.uniqueName("gw").split(separator: "-")[3])"
        try FileManager.default.createDirectory(atPath: "\(folder)/state", withIntermediateDirectories: true)
        try settings.yaml(folder: folder).write(toFile: "\(folder)/ipsec-gw.yaml", atomically: true, encoding: .utf8)
        return try await start(scenario, in: namespace, configuredIn: folder, environment: settings.environment)
    }

    /// Starts the gateway with a file that is there already: `ipsec-gw.yaml` in the folder, with the control socket `control.sock` beside it.
    package static func start(
        _ scenario: Scenario, in namespace: Namespace, configuredIn folder: String, environment variables: [String] = []
    ) async throws -> GatewayProcess {
        let file = "\(folder)/ipsec-gw.yaml"
        let environment = variables.isEmpty ? [] : ["/usr/bin/env"] + variables
        let process = try await scenario.start(
            "ipsec-gw", environment + [try Programs.path("ipsec-gw"), "run", "--config", file], in: namespace)
        let gateway = GatewayProcess(scenario: scenario, namespace: namespace, folder: folder, process: process)
        do { try await process.waitForLine(containing: "ready", timeout: .seconds(20)) } catch {
            throw LabError("the gateway did not get ready: \(error)\n\(process.output)")
        }
        return gateway
    }

    /// Writes another configuration in place; `reload` makes it count.
    package func rewrite(_ settings: GatewaySettings) throws {
        try settings.yaml(folder: folder).write(toFile: configuration, atomically: true, encoding: .utf8)
    }

    package func rewrite(text: String) throws {
        try text.write(toFile: configuration, atomically: true, encoding: .utf8)
    }

    /// Runs ipsec-gwctl.
    package func ctl(_ arguments: String...) async throws -> CommandResult {
        try await scenario.run([try Programs.path("ipsec-gwctl"), "--socket", socket] + arguments, in: namespace)
    }

    /// Sessions as `ipsec-gwctl --json sessions` lists them.
    package func sessions() async throws -> [GatewaySession] {
        try await report("sessions")
    }

    /// Address pools as `ipsec-gwctl --json pools` lists them.
    package func pools() async throws -> [GatewayPool] { try await report("pools") }

    /// Counters as `ipsec-gwctl --json counters` prints them.
    package func counters() async throws -> GatewayCounters { try await report("counters") }

    /// IKE and Child SAs as `ipsec-gwctl --json sas` lists them.
    package func sas() async throws -> [GatewaySA] { try await report("sas") }

    /// RADIUS servers and accounting as `ipsec-gwctl --json radius` prints them.
    package func radius() async throws -> GatewayRADIUS { try await report("radius") }

    private func report<Answer: Decodable>(_ command: String) async throws -> Answer {
        let output = try await ctl("--json", command).required()
        do { return try JSONDecoder().decode(Answer.self, from: Data(output.utf8)) } catch {
            throw LabError("ipsec-gwctl \(command): \(error)\n\(output)")
        }
    }

    /// Waits until there are `count` sessions. Throws when that does not come.
    @discardableResult
    package func waitForSessions(_ count: Int, timeout: Duration = .seconds(5)) async throws -> [GatewaySession] {
        let found = try await eventually(within: timeout) {
            let sessions = try await self.sessions()
            return sessions.count == count ? sessions : nil
        }
        guard let found else { throw LabError("not \(count) sessions within \(timeout): \(try await sessions())") }
        return found
    }

    /// Routes that lead into the private interface.
    package func routes(family: Int = 4) async throws -> [String] {
        let shown = try await namespace.run("/sbin/ip -\(family) route show dev \(GatewaySettings.interfaceName)")
        return shown.succeeded ? shown.output.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) } : []
    }

    /// Network devices of the gateway's machine.
    package func devices() async throws -> [String] {
        let text = try await namespace.show("-brief link show")
        return text.split(separator: "\n").compactMap { $0.split(whereSeparator: { $0 == " " || $0 == "@" }).first.map(String.init) }
    }
}

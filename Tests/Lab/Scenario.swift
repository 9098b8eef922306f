import Foundation
import Synchronization
import Testing

/// One scenario's world: its namespaces, processes and files, all gone when it ends, whatever the end.
///
/// Names carry the test run's process id. What a killed run left behind is swept away by the next one.
package final class Scenario: Sendable {
    package let name: String
    /// Scratch folder: configurations, logs, sockets.
    package let folder: String
    let prefix: String
    private let slots: Int

    private struct Contents {
        var namespaces: [Namespace] = []
        var processes: [LabProcess] = []
        var closers: [@Sendable () async -> Void] = []
        var counter = 0
        var hasFailed = false
    }
    private let contents = Mutex(Contents())

    /// The scenario that the running task belongs to.
    @TaskLocal package static var current: Scenario?

    private static let number = Atomic<Int>(0)

    private init(name: String, slots: Int) throws {
        self.name = name
        self.slots = slots
        let count = Self.number.wrappingAdd(1, ordering: .relaxed).newValue
        prefix = "gwlab-\(getpid())-\(count)"
        folder = "\(Sweep.root)/\(prefix)"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    /// Runs `body` in a world of its own. At most four run at once (two cores, and each starts several daemons).
    package static func run<Result>(
        _ name: String = #function, slots: Int = 1, quietly: Bool = false, sourceLocation: SourceLocation = #_sourceLocation,
        _ body: (Scenario) async throws -> Result
    ) async throws -> Result {
        try Requirements.check()
        await Sweep.once.value
        await Slots.shared.take(slots)
        let begin = ContinuousClock.now
        defer { print("scenario \(name): \(((ContinuousClock.now - begin) / .milliseconds(100)).rounded() / 10) s") }
        let scenario: Scenario
        do { scenario = try Scenario(name: name, slots: slots) } catch {
            await Slots.shared.giveBack(slots)
            throw error
        }
        do {
            let result = try await $current.withValue(scenario) { try await body(scenario) }
            await scenario.end(sourceLocation)
            await Slots.shared.giveBack(slots)
            return result
        } catch {
            if !quietly { scenario.noteFailure() }
            await scenario.end(sourceLocation)
            await Slots.shared.giveBack(slots)
            throw error
        }
    }

    /// Waits while nothing happens that needs a processor; another scenario may take this one's place meanwhile.
    package func rest(for duration: Duration) async throws {
        await Slots.shared.giveBack(slots)
        let result: Result<Void, any Error>
        do { result = .success(try await Task.sleep(for: duration)) } catch { result = .failure(error) }
        await Slots.shared.take(slots)
        try result.get()
    }

    /// Remembers that an expectation failed, so that the logs are printed at the end.
    package func noteFailure() { contents.withLock { $0.hasFailed = true } }

    /// A name that nothing else on this machine has.
    func uniqueName(_ role: String) -> String {
        let count = contents.withLock { contents in
            contents.counter += 1
            return contents.counter
        }
        return "\(prefix)-\(count)-\(role)"
    }

    // MARK: Things of this world

    package func namespace(_ role: String) async throws -> Namespace {
        let namespace = Namespace(scenario: self, name: uniqueName(role))
        contents.withLock { $0.namespaces.append(namespace) }
        try await namespace.create()
        return namespace
    }

    /// Starts a process that lives until it is stopped or the scenario ends.
    package func start(
        _ name: String, _ command: [String], in namespace: Namespace? = nil, environment: [String: String] = [:]
    ) async throws -> LabProcess {
        let log = "\(folder)/\(uniqueName(name)).log"
        let prefix = namespace.map { ["/sbin/ip", "netns", "exec", $0.name] } ?? []
        let process = try await LabProcess.start(
            name: name, SpawnOrder(command: prefix + command, environment: environment, log: log))
        contents.withLock { $0.processes.append(process) }
        return process
    }

    /// Runs a command to its end.
    package func run(
        _ command: [String], in namespace: Namespace? = nil, environment: [String: String] = [:], input: String? = nil,
        timeout: Duration = .seconds(30)
    ) async throws -> CommandResult {
        let name = uniqueName("run")
        let log = "\(folder)/\(name)"
        var order = SpawnOrder(
            command: (namespace.map { ["/sbin/ip", "netns", "exec", $0.name] } ?? []) + command, environment: environment, log: log)
        if let input {
            order.input = "\(log).in"
            try input.write(toFile: "\(log).in", atomically: false, encoding: .utf8)
        }
        let process = try await LabProcess.start(name: command[0], order)
        defer {
            unlink(log)
            unlink("\(log).in")
        }
        do {
            let status = try await process.wait(timeout: timeout)
            return CommandResult(command: command, status: status, output: process.output)
        } catch {
            let output = process.output
            await process.killNow()
            throw LabError("\(command.joined(separator: " ")): \(error)\n\(output)")
        }
    }

    /// Called when the scenario ends, before its namespaces go.
    package func atEnd(_ close: @escaping @Sendable () async -> Void) { contents.withLock { $0.closers.append(close) } }

    package func write(_ text: String, to file: String, permissions: Int = 0o600) throws -> String {
        let path = "\(folder)/\(file)"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        chmod(path, mode_t(permissions))
        return path
    }

    // MARK: The end

    private func end(_ sourceLocation: SourceLocation) async {
        let (namespaces, processes, closers, hasFailed) = contents.withLock { ($0.namespaces, $0.processes, $0.closers, $0.hasFailed) }
        for close in closers.reversed() { await close() }
        // As long as programs.md gives the gateway: it waits for clients that are gone already.
        for process in processes.reversed() { await process.stop(grace: .seconds(10)) }
        for namespace in namespaces.reversed() { await namespace.remove() }
        if hasFailed { printLogs(of: processes) }
        if ProcessInfo.processInfo.environment["IPSEC_GW_LAB_KEEP"] == nil || !hasFailed {
            try? FileManager.default.removeItem(atPath: folder)
        } else {
            print("kept: \(folder)")
        }
        let left = await Sweep.leftovers(of: prefix, processes: processes, folder: hasFailed ? nil : folder)
        if !left.isEmpty {
            Issue.record("\(name) left behind: \(left.joined(separator: ", "))", sourceLocation: sourceLocation)
        }
    }

    private func printLogs(of processes: [LabProcess]) {
        var text = "\n=== \(name): logs\n"
        for process in processes {
            text += "--- \(process.name) (\(process.exitStatus.map { "\($0)" } ?? "runs"))\n"
            text += process.output.split(separator: "\n").suffix(120).map { "    \($0)\n" }.joined()
        }
        FileHandle.standardError.write(Data(text.utf8))
    }
}

/// A finished command.
package struct CommandResult: Sendable {
    package let command: [String]
    package let status: LabProcess.ExitStatus
    package let output: String

    package var succeeded: Bool { status == .exited(0) }
    package var exitCode: Int32? { if case .exited(let code) = status { code } else { nil } }

    /// The output, of a command that must succeed.
    @discardableResult
    package func required() throws -> String {
        guard succeeded else { throw LabError("\(command.joined(separator: " ")): \(status)\n\(output)") }
        return output
    }
}

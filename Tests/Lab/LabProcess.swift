import Foundation
import Synchronization

/// A process of a scenario: its output goes to a file, it dies with the test run, and it is reaped.
package final class LabProcess: Sendable {
    package let name: String
    package let pid: pid_t
    package let log: String
    private let status = Mutex<ExitStatus?>(nil)

    /// How a process ended.
    package enum ExitStatus: Equatable, Sendable {
        case exited(Int32)
        case signalled(Int32)
    }

    private init(name: String, pid: pid_t, log: String) {
        (self.name, self.pid, self.log) = (name, pid, log)
    }

    static func start(name: String, _ order: SpawnOrder) async throws(LabError) -> LabProcess {
        LabProcess(name: name, pid: try await Spawner.shared.spawn(order), log: order.log)
    }

    /// The status of a process that has ended; nil while it runs.
    package var exitStatus: ExitStatus? {
        status.withLock { status in
            if status == nil {
                var raw: Int32 = 0
                if waitpid(pid, &raw, WNOHANG) == pid {
                    status = raw & 0x7f == 0 ? .exited(raw >> 8 & 0xff) : .signalled(raw & 0x7f)
                }
            }
            return status
        }
    }

    package var isRunning: Bool { exitStatus == nil }

    /// Everything written so far.
    package var output: String {
        guard let data = FileManager.default.contents(atPath: log) else { return "" }
        return String(decoding: data, as: UTF8.self)
    }

    /// Resident memory, in KiB.
    package var residentKiB: Int? {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8) else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
    }

    /// Waits for the end. Throws when `timeout` passes first.
    @discardableResult
    package func wait(timeout: Duration = .seconds(30)) async throws -> ExitStatus {
        let ended = await eventually(within: timeout, every: .milliseconds(5)) { self.exitStatus }
        guard let ended else { throw LabError("\(name) still runs after \(timeout)") }
        return ended
    }

    /// Waits for a line that contains `text`, beginning at octet `offset` of the log. Throws when the process ends or time is up without it.
    @discardableResult
    package func waitForLine(containing text: String, after offset: Int = 0, timeout: Duration = .seconds(15)) async throws -> String {
        let found: Result<String, LabError>? = await eventually(within: timeout) {
            let running = self.isRunning
            if let line = self.lines(after: offset).first(where: { $0.contains(text) }) { return .success(line) }
            return running ? nil : .failure(LabError("\(self.name) ended (\(self.exitStatus as Any)) without “\(text)”"))
        }
        guard let found else { throw LabError("\(name): no “\(text)” within \(timeout)") }
        return try found.get()
    }

    /// Octets written so far: a mark for `waitForLine(after:)`.
    package var logLength: Int { output.utf8.count }

    package func lines(after offset: Int = 0) -> [String] {
        String(decoding: output.utf8.dropFirst(offset), as: UTF8.self)
            .split(separator: "\n", omittingEmptySubsequences: true).map(String.init)
    }

    package func signal(_ number: Int32) {
        if isRunning { kill(pid, number) }
    }

    /// SIGTERM, and SIGKILL when the process is still there after `grace`.
    @discardableResult
    package func stop(grace: Duration = .seconds(10)) async -> ExitStatus? {
        signal(SIGTERM)
        if await eventually(within: grace, every: .milliseconds(5), { self.exitStatus }) == nil { return await killNow() }
        return exitStatus
    }

    /// SIGKILL, and the end of it: the kernel takes devices and sockets down first, one network namespace after another.
    @discardableResult
    package func killNow() async -> ExitStatus? {
        signal(SIGKILL)
        return await eventually(within: .seconds(30), every: .milliseconds(2)) { self.exitStatus }
    }
}

/// Asks again and again until there is an answer, or `limit` has passed.
package func eventually<Answer>(
    within limit: Duration, every pause: Duration = .milliseconds(50), _ question: () async throws -> Answer?
) async rethrows -> Answer? {
    let end = ContinuousClock.now + limit
    while true {
        if let answer = try await question() { return answer }
        guard ContinuousClock.now < end, !Task.isCancelled else { return nil }
        try? await Task.sleep(for: pause)
    }
}

/// Waits until `condition` holds. False when it does not within `limit`.
package func becomesTrue(
    within limit: Duration, every pause: Duration = .milliseconds(50), _ condition: () async throws -> Bool
) async rethrows -> Bool {
    try await eventually(within: limit, every: pause) { try await condition() ? true : nil } ?? false
}

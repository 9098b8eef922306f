import Config
import Foundation
import IKE
package import ManagementAPI
import StateStore
import Synchronization
import Wire

/// One reload at a time.
actor ReloadGate {
    private var running: Task<ReloadAnswer, Never>?

    func run(_ work: @escaping @Sendable () async -> ReloadAnswer) async -> ReloadAnswer {
        while let running { _ = await running.value }
        let task = Task { await work() }
        running = task
        defer { running = nil }
        return await task.value
    }
}

extension Gateway {
    /// Reads the file again. It is validated whole; a broken one changes nothing. Sessions stay as they are, and new settings hold for new logins
    /// (configuration.md).
    package func reloadConfiguration() async -> ReloadAnswer {
        let answer = await reloading.run { await self.reloadOnce() }
        log.reloaded(answer)
        return answer
    }

    private func reloadOnce() async -> ReloadAnswer {
        let before = current.withLock { $0 }
        let text: String
        do throws(ConfigurationFile.Unreadable) {
            text = try ConfigurationFile.text(before.file)
        } catch {
            let problem = ReloadProblem(severity: .error, file: before.file, line: 1, column: 1, key: "", message: error.description)
            return ReloadAnswer(applied: false, problems: [problem], needRestart: [])
        }
        let (loaded, problems) = Configuration.load(text: text, file: before.file)
        var report = problems.map(ReloadProblem.init)
        guard var next = loaded, !problems.contains(where: { $0.severity == .error }) else {
            return ReloadAnswer(applied: false, problems: report, needRestart: [])
        }
        let further = next.unsupported + next.resolveSecrets()
        report += further.map(ReloadProblem.init)
        guard !further.contains(where: { $0.severity == .error }) else {
            return ReloadAnswer(applied: false, problems: report, needRestart: [])
        }
        let certificates = CertificateInventory(next)
        report += certificates.problems.map(ReloadProblem.init)
        guard !certificates.problems.contains(where: { $0.severity == .error }) else {
            return ReloadAnswer(applied: false, problems: report, needRestart: [])
        }
        let plan: Plan
        do throws(StartupError) {
            plan = try Plan(next, certificates)
        } catch {
            report.append(ReloadProblem(severity: .error, file: next.file, line: 1, column: 1, key: "", message: error.description))
            return ReloadAnswer(applied: false, problems: report, needRestart: [])
        }
        let difference = next.difference(from: before)
        // Addresses that no listener has yet come with the next start; the difference says so.
        let served = plan.gateways.filter { self.plan.gateways[$0.key] != nil }
        do throws(StateStoreError) {
            try await parts.addresses.configure(next.poolsInUse, restoring: true)
        } catch {
            report.append(ReloadProblem(severity: .error, file: next.file, line: 1, column: 1, key: "local-dhcp-server", message: "\(error)"))
            return ReloadAnswer(applied: false, problems: report, needRestart: [])
        }
        for engine in parts.engines { await engine.replaceGateways(served) }
        parts.door.notify(.limits(served.mapValues(\.profile.policy)))
        if let time = plan.reassemblyTime, self.plan.reassemblyTime != nil {
            report += outerReassembly.apply(time, families: self.plan.families).map { text in
                ReloadProblem(severity: .warning, file: next.file, line: 1, column: 1, key: "tunnel-group", message: text)
            }
        }
        current.withLock { $0 = next }
        let warning = next.pki.certificateExpiration
        await expiry.use(lead: warning.before, repetition: warning.repetition, certificates.watched, at: .now)
        self.served.withLock { $0 = served }
        await endSessions(of: Set(difference.removedGateways))
        gatewayLog.level = LogLevel(rawValue: next.management.logLevel.rawValue) ?? gatewayLog.level
        return ReloadAnswer(applied: true, problems: report, needRestart: difference.restarts)
    }
}

extension Gateway {
    /// A gateway that is gone, or disabled, serves nobody: its clients get a Delete.
    private func endSessions(of gateways: Set<String>) async {
        for session in await parts.sessions.all where gateways.contains(session.gateway.name) {
            await parts.engines[session.sa.shard].close(session.sa.id, .configuration)
            await parts.sessions.end(session.id, .configuration)
        }
    }
}

extension ReloadProblem {
    init(_ problem: Problem) {
        self.init(
            severity: problem.severity == .error ? .error : .warning, file: problem.file, line: problem.line, column: problem.column,
            key: problem.keyPath, message: problem.message)
    }
}

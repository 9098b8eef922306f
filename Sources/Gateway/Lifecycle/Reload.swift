import Config
import Foundation
import IKE
package import ManagementAPI
import RADIUS
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
    /// Reads the file again. It is validated whole; a broken one changes nothing. Sessions stay as they are; new settings hold for new
    /// logins and the next rekey (configuration.md).
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
            if !plan.radius.isEmpty { try Startup.loadDictionary() }
        } catch {
            report.append(ReloadProblem(severity: .error, file: next.file, line: 1, column: 1, key: "", message: error.description))
            return ReloadAnswer(applied: false, problems: report, needRestart: [])
        }
        let difference = next.difference(from: before)
        let placement = Placement(of: plan.gateways, running: served.withLock { $0 }, listeners: Set(self.plan.gateways.keys))
        guard !placement.served.isEmpty else {
            let message = "no gateway that is left has an address that the daemon listens at: restart it, or leave one where it is"
            report.append(ReloadProblem(severity: .error, file: next.file, line: 1, column: 1, key: "ipsec-gateway", message: message))
            return ReloadAnswer(applied: false, problems: report, needRestart: [])
        }
        do throws(StateStoreError) {
            try await parts.addresses.configure(next.poolsInUse, restoring: true)
        } catch {
            report.append(ReloadProblem(severity: .error, file: next.file, line: 1, column: 1, key: "local-dhcp-server", message: "\(error)"))
            return ReloadAnswer(applied: false, problems: report, needRestart: [])
        }
        await parts.sessions.replaceGateways(placement.served)
        for engine in parts.engines { await engine.replaceGateways(placement.served) }
        await parts.aaa.configure(plan.radius)
        await parts.accounting.configure(plan.radius, nas: plan.nas, spool: plan.spool)
        // Without the section nobody may ask any more, though the port stays open until the next start.
        await parts.dynamicAuthorization?.configure(plan.dynamicAuthorization?.settings ?? DynamicAuthorization.Settings(clients: [], nas: plan.nas))
        parts.door.notify(.limits(placement.served.mapValues(\.profile.policy)))
        if let time = plan.reassemblyTime, self.plan.reassemblyTime != nil {
            report += outerReassembly.apply(time, families: self.plan.families).map { text in
                ReloadProblem(severity: .warning, file: next.file, line: 1, column: 1, key: "tunnel-group", message: text)
            }
        }
        current.withLock { $0 = next }
        let warning = next.pki.certificateExpiration
        await expiry.use(lead: warning.before, repetition: warning.repetition, certificates.watched, at: .now)
        served.withLock { $0 = placement.served }
        gatewayLog.level = LogLevel(rawValue: next.management.logLevel.rawValue) ?? gatewayLog.level
        return ReloadAnswer(applied: true, problems: report, needRestart: difference.restarts + placement.restarts(beside: difference.restarts))
    }
}

extension ReloadProblem {
    init(_ problem: Problem) {
        self.init(
            severity: problem.severity == .error ? .error : .warning, file: problem.file, line: problem.line, column: problem.column,
            key: problem.keyPath, message: problem.message)
    }
}

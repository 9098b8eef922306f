import Foundation

/// Removes what an earlier, killed test run left behind, and finds what a scenario left.
enum Sweep {
    /// Scratch folders of all scenarios. Short, since UNIX socket paths below it end at 107 octets.
    static let root = "/tmp/ipsec-gw-lab"

    /// Runs before the first scenario of this process.
    static let once = Task { await sweep() }

    private static func sweep() async {
        for name in namespaces() where isOrphan(name) { await removeNamespace(name) }
        for name in (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? [] where isOrphan(name) {
            try? FileManager.default.removeItem(atPath: "\(root)/\(name)")
        }
    }

    /// Whether the process that `gwlab-PID-…` names is gone.
    private static func isOrphan(_ name: String) -> Bool {
        let parts = name.split(separator: "-")
        guard parts.count >= 3, parts[0] == "gwlab", let pid = pid_t(parts[1]) else { return false }
        return pid != getpid() && kill(pid, 0) != 0
    }

    static func namespaces() -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: "/run/netns")) ?? []
    }

    /// Kills what runs in a namespace and removes it.
    static func removeNamespace(_ name: String) async {
        for _ in 0..<50 {
            let pids = processes(in: name)
            if pids.isEmpty { break }
            for pid in pids { kill(pid, SIGKILL) }
            try? await Task.sleep(for: .milliseconds(20))
        }
        // what `ip netns delete` does: unmount, unlink
        let path = "/run/netns/\(name)"
        umount2(path, Int32(MNT_DETACH))
        unlink(path)
    }

    /// Processes whose network namespace is the named one, this process excepted.
    static func processes(in name: String) -> [pid_t] {
        var wanted = stat()
        guard stat("/run/netns/\(name)", &wanted) == 0 else { return [] }
        let all = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { pid_t($0) }
        return all.filter { pid in
            var own = stat()
            return pid != getpid() && stat("/proc/\(pid)/ns/net", &own) == 0 && own.st_ino == wanted.st_ino && own.st_dev == wanted.st_dev
        }
    }

    /// What is still there of a scenario that has ended.
    static func leftovers(of prefix: String, processes: [LabProcess], folder: String?) async -> [String] {
        var left = namespaces().filter { $0.hasPrefix(prefix + "-") }.map { "namespace \($0)" }
        left += processes.filter(\.isRunning).map { "process \($0.name) (\($0.pid))" }
        if let folder, FileManager.default.fileExists(atPath: folder) { left.append("folder \(folder)") }
        return left
    }
}

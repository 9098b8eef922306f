import Foundation
import Synchronization

/// Starts every child process from one thread that never ends.
///
/// A child asks the kernel to be killed when its parent goes (PR_SET_PDEATHSIG), and the kernel takes "parent" to be the thread
/// that forked it, not the process. Threads of the concurrency pool come and go, so children must not be started from there.
final class Spawner: Sendable {
    static let shared = Spawner()

    private struct Job: Sendable {
        let order: SpawnOrder
        let done: CheckedContinuation<Result<pid_t, LabError>, Never>
    }

    private let jobs = Mutex<[Job]>([])
    private let pending = DispatchSemaphore(value: 0)

    private init() {
        let thread = Thread { [self] in
            while true {
                pending.wait()
                guard let job = jobs.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) else { continue }
                job.done.resume(returning: Self.spawn(job.order))
            }
        }
        thread.name = "lab-spawner"
        thread.start()
    }

    func spawn(_ order: SpawnOrder) async throws(LabError) -> pid_t {
        let result = await withCheckedContinuation { continuation in
            jobs.withLock { $0.append(Job(order: order, done: continuation)) }
            pending.signal()
        }
        return try result.get()
    }

    private static func spawn(_ order: SpawnOrder) -> Result<pid_t, LabError> {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, order.input ?? "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, order.log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // nothing of the test's own (sockets of a relay, of another scenario) may live on in a child
        posix_spawn_file_actions_addclosefrom_np(&actions, 3)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))

        let command = ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--"] + order.command
        var environment = ProcessInfo.processInfo.environment
        environment.merge(order.environment) { _, new in new }
        let arguments = command.map { strdup($0) } + [nil]
        let variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (arguments + variables).forEach { free($0) } }

        var pid: pid_t = 0
        let error = posix_spawn(&pid, "/usr/bin/setpriv", &actions, &attributes, arguments, variables)
        guard error == 0 else {
            return .failure(LabError("cannot start \(order.command.joined(separator: " ")): \(String(cString: strerror(error)))"))
        }
        return .success(pid)
    }
}

/// What a child process is started with.
struct SpawnOrder: Sendable {
    var command: [String]
    var environment: [String: String] = [:]
    /// File that takes standard output and standard error.
    var log: String
    /// File on standard input; nothing when nil.
    var input: String?
}

/// The one error of the Lab: a sentence that says what did not happen.
package struct LabError: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

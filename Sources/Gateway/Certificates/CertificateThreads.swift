import NIOPosix
import Synchronization

/// Where signatures are made and certificate paths validated: milliseconds each with RSA, and so on no thread that serves logins.
final class CertificateThreads: Sendable {
    /// What may wait; beyond it logins are refused rather than the queue grown (threats.md rule 7).
    static let most = 4096

    private let pool: NIOThreadPool
    private let waiting = Atomic<Int>(0)

    init(threads: Int) {
        pool = NIOThreadPool(numberOfThreads: max(1, threads))
        pool.start()
    }

    /// Work that is done or waits.
    var inUse: Int { waiting.load(ordering: .relaxed) }

    /// nil when too much waits already, or at the end.
    func run<Result: Sendable>(_ work: @escaping @Sendable () -> Result) async -> Result? {
        defer { waiting.subtract(1, ordering: .relaxed) }
        guard waiting.add(1, ordering: .relaxed).newValue <= Self.most else { return nil }
        return try? await pool.runIfActive { work() }
    }

    func stop() async {
        try? await pool.shutdownGracefully()
    }
}

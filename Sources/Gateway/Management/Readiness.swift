internal import Synchronization

/// Whether all listeners are open, for those who wait for it.
final class Readiness: Sendable {
    private struct State {
        var missing: Int
        var failure: ManagementServerError?
        var metricsPort: UInt16?
        var waiting: [CheckedContinuation<Result<Void, ManagementServerError>, Never>] = []

        /// What a waiting task is told; nil while it must wait.
        var verdict: Result<Void, ManagementServerError>? {
            failure.map { .failure($0) } ?? (missing <= 0 ? .success(()) : nil)
        }

        /// Those who can go on now.
        mutating func released() -> [CheckedContinuation<Result<Void, ManagementServerError>, Never>] {
            guard verdict != nil else { return [] }
            defer { waiting = [] }
            return waiting
        }
    }

    private let state: Mutex<State>

    init(listeners: Int) { state = Mutex(State(missing: listeners)) }

    var failure: ManagementServerError? { state.withLock { $0.failure } }
    var metricsPort: UInt16? { state.withLock { $0.metricsPort } }

    /// A listener is open.
    func opened(metricsPort: UInt16? = nil) {
        change { state in
            state.missing -= 1
            if let metricsPort { state.metricsPort = metricsPort }
        }
    }

    /// The first failure counts.
    func fail(_ error: ManagementServerError) {
        change { $0.failure = $0.failure ?? error }
    }

    func wait() async throws(ManagementServerError) {
        let result = await withCheckedContinuation { continuation in
            let verdict = state.withLock { state in
                if state.verdict == nil { state.waiting.append(continuation) }
                return state.verdict
            }
            if let verdict { continuation.resume(returning: verdict) }
        }
        try result.get()
    }

    private func change(_ body: (inout State) -> Void) {
        let (verdict, released) = state.withLock { state in
            body(&state)
            return (state.verdict, state.released())
        }
        guard let verdict else { return }
        for continuation in released { continuation.resume(returning: verdict) }
    }
}

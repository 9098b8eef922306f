import Glibc
import Synchronization

/// SIGTERM and SIGINT as a count that the loop looks at; a signal also ends its wait.
enum StopSignal {
    private static let raised = Atomic<Int>(0)

    static func install() {
        // Who started us may have had them blocked, and a mask is inherited.
        var wanted = sigset_t()
        _ = unsafe sigemptyset(&wanted)
        for number in [SIGTERM, SIGINT] {
            _ = unsafe sigaddset(&wanted, number)
            var action = sigaction()
            unsafe action.__sigaction_handler.sa_handler = { _ in StopSignal.raised.wrappingAdd(1, ordering: .relaxed) }
            _ = unsafe sigaction(number, &action, nil)
        }
        _ = unsafe pthread_sigmask(SIG_UNBLOCK, &wanted, nil)
    }

    static var isRaised: Bool { raised.load(ordering: .relaxed) > 0 }

    /// Somebody asks again: do not wait for anybody's answer any more.
    static var isUrgent: Bool { raised.load(ordering: .relaxed) > 1 }
}

/// A line on standard error.
func report(_ text: String) { line(text + "\n", to: STDERR_FILENO) }

/// A line on standard output, at once: scripts wait for it.
func say(_ text: String) { line(text + "\n", to: STDOUT_FILENO) }

/// A line on standard error in the place of the one before it.
func reportInPlace(_ text: String) { line("\r\u{1B}[K" + text, to: STDERR_FILENO) }

private func line(_ text: String, to descriptor: Int32) {
    var octets = ([UInt8](text.utf8))[...]
    while !octets.isEmpty {
        let written = unsafe octets.withUnsafeBytes { rest in unsafe write(descriptor, rest.baseAddress, rest.count) }
        guard written > 0 else { return }
        octets = octets.dropFirst(written)
    }
}

import Glibc
import Synchronization

/// SIGTERM and SIGINT as a flag that the loop looks at; a signal also ends its wait.
enum StopSignal {
    private static let raised = Atomic<Bool>(false)

    static func install() {
        // Who started us may have had them blocked, and a mask is inherited.
        var wanted = sigset_t()
        _ = unsafe sigemptyset(&wanted)
        for number in [SIGTERM, SIGINT] {
            _ = unsafe sigaddset(&wanted, number)
            var action = sigaction()
            unsafe action.__sigaction_handler.sa_handler = { _ in StopSignal.raised.store(true, ordering: .relaxed) }
            _ = unsafe sigaction(number, &action, nil)
        }
        _ = unsafe pthread_sigmask(SIG_UNBLOCK, &wanted, nil)
    }

    static var isRaised: Bool { raised.load(ordering: .relaxed) }
}

/// A line on standard error.
func report(_ text: String) { line(text, to: STDERR_FILENO) }

/// A line on standard output, at once: scripts wait for it.
func say(_ text: String) { line(text, to: STDOUT_FILENO) }

private func line(_ text: String, to descriptor: Int32) {
    var octets = ([UInt8](text.utf8) + [10])[...]
    while !octets.isEmpty {
        let written = unsafe octets.withUnsafeBytes { rest in unsafe write(descriptor, rest.baseAddress, rest.count) }
        guard written > 0 else { return }
        octets = octets.dropFirst(written)
    }
}

import Glibc
import Synchronization

/// SIGTERM and SIGINT as a flag that the loop looks at; a signal also ends its wait.
enum StopSignal {
    private static let raised = Atomic<Bool>(false)

    static func install() {
        for number in [SIGTERM, SIGINT] {
            var action = sigaction()
            unsafe action.__sigaction_handler.sa_handler = { _ in StopSignal.raised.store(true, ordering: .relaxed) }
            _ = unsafe sigaction(number, &action, nil)
        }
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

import Glibc

/// One second of processor time for one input, threats.md C2. libFuzzer's own `-timeout` is of the clock on the wall, which runs on while a busy
/// machine does something else; it stays, longer, for what blocks.
enum ProcessorTime {
    static let seconds = 1

    /// Makes the end of the second a finding: SIGABRT, on which libFuzzer keeps the input.
    static func watch() {
        signal(SIGPROF) { _ in
            // Of what a handler may call: write and abort.
            let line: StaticString = "FINDING: an input took a second of processor time\n"
            _ = write(STDERR_FILENO, line.utf8Start, line.utf8CodeUnitCount)
            abort()
        }
    }

    /// The second begins anew.
    static func restart() {
        var timer = itimerval(it_interval: timeval(), it_value: timeval(tv_sec: seconds, tv_usec: 0))
        setitimer(ITIMER_PROF, &timer, nil)
    }

    /// What is between two inputs is libFuzzer's.
    static func pause() {
        var timer = itimerval()
        setitimer(ITIMER_PROF, &timer, nil)
    }
}

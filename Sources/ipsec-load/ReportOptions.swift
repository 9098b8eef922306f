import ArgumentParser
import Foundation
import Glibc
import LinuxIO
import Wire

/// How a run tells what it does and what it came to.
struct ReportOptions: ParsableArguments {
    @Flag(help: "Print the result as JSON.")
    var json = false

    @Flag(help: "A line of progress every second on standard error, also where that is no terminal.")
    var progress = false

    func print(_ summary: Summary) { say(json ? summary.json : summary.table) }
}

/// The live line: on a terminal one that changes, with `--progress` elsewhere a line a second, otherwise nothing.
struct Progress {
    private let isTerminal: Bool
    private let isWanted: Bool
    private var due: Instant
    private var hasLine = false

    init(_ options: ReportOptions, from now: Instant) {
        isTerminal = isatty(STDERR_FILENO) == 1
        isWanted = options.progress || isTerminal
        due = now + .seconds(1)
    }

    /// When it wants to be shown again.
    var next: Instant? { isWanted ? due : nil }

    mutating func show(at now: Instant, _ line: () -> String) {
        guard isWanted, now >= due else { return }
        due = now + .seconds(1)
        guard isTerminal else { return report(line()) }
        reportInPlace(String(line().prefix(120)))
        hasLine = true
    }

    /// What follows stands on a line of its own.
    mutating func finish() {
        if hasLine { report("") }
        hasLine = false
    }
}

/// Time in the forms that results have it in.
enum Time {
    static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }

    /// A time with its unit; without one it is seconds.
    static func duration(_ text: String) -> Duration? {
        for (suffix, milliseconds) in [("ms", 1.0), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("", 1000)]
        where text.hasSuffix(suffix) {
            guard let number = Double(text.dropLast(suffix.count)), number > 0, number * milliseconds < 1e12 else { return nil }
            return .milliseconds(Int64(number * milliseconds))
        }
        return nil
    }

    /// The same of an option's value; throws a `ValidationError` that names the option.
    static func duration(_ text: String, option: String) throws -> Duration {
        guard let duration = duration(text) else { throw ValidationError("\(option): \"\(text)\" is no time such as 30s") }
        return duration
    }
}

/// What we ourselves have used: whether it is us who are the bottleneck.
enum OwnUse {
    /// Of user and system, since the start of the process.
    static var processorSeconds: Double {
        var usage = rusage()
        _ = unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
    }

    /// The most that we ever had. What getrusage says is also of who started us.
    static var residentKiB: Int {
        let status = FileManager.default.contents(atPath: "/proc/self/status").map { String(decoding: $0, as: UTF8.self) } ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) } ?? 0
    }

    /// As many open files as we need; throws what to do where we may not.
    static func raiseDescriptorLimit(to count: Int) throws(SystemError) {
        var limit = rlimit()
        _ = unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        guard limit.rlim_cur < rlim_t(count) else { return }
        limit.rlim_cur = rlim_t(count)
        limit.rlim_max = max(limit.rlim_max, limit.rlim_cur)
        guard unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            throw SystemError(
                errno, call: "setrlimit", subject: "\(count) open sockets", hint: "raise `ulimit -n`, use fewer --clients, or --share")
        }
    }
}

internal import FoundationEssentials

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// Memory, CPU time and open files of this process under the names that Prometheus' own libraries use.
enum ProcessMetrics {
    static func write(to exposition: inout Exposition) {
        let page = Double(sysconf(CInt(_SC_PAGESIZE)))
        if let fields = words("/proc/self/statm"), fields.count > 1, let size = Double(fields[0]), let resident = Double(fields[1]) {
            exposition.gauge("process_virtual_memory_bytes", help: "Virtual memory.", size * page)
            exposition.gauge("process_resident_memory_bytes", help: "Resident memory.", resident * page)
        }
        var usage = rusage()
        if unsafe getrusage(RUSAGE_SELF, &usage) == 0 {
            let times = [usage.ru_utime, usage.ru_stime].map { Double($0.tv_sec) + Double($0.tv_usec) / 1e6 }
            exposition.sample(
                "process_cpu_seconds_total", .counter, help: "User and system CPU time.", labels: "",
                value: MetricText.number(times.reduce(0, +)))
        }
        if let open = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count {
            exposition.gauge("process_open_fds", help: "Open file descriptors.", Double(open))
        }
        var limit = rlimit()
        if unsafe getrlimit(RLIMIT_NOFILE, &limit) == 0 {
            exposition.gauge("process_max_fds", help: "The limit on open file descriptors.", Double(limit.rlim_cur))
        }
    }

    /// The blank-separated words of a small file under /proc.
    private static func words(_ path: String) -> [Substring]? {
        (try? String(contentsOfFile: path, encoding: .utf8))?.split(whereSeparator: \.isWhitespace)
    }
}

internal import Dispatch
internal import FoundationEssentials
internal import Logging
internal import Synchronization

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// Where lines end up. Called from one thread at a time, which may block.
protocol LogSink: Sendable {
    func write(_ line: LogLine)
}

/// Takes lines from any thread without blocking it, and writes them in order on a queue of its own. When the reader of the
/// log is too slow, lines are lost rather than logins; a line then says how many.
final class LogWriter: Sendable {
    private let sink: any LogSink
    private let capacity: Int
    private let queue = DispatchQueue(label: "ipsec-gw.log")
    private let waiting = Atomic<Int>(0)
    private let lost = Atomic<Int>(0)

    init(sink: any LogSink, capacity: Int) {
        self.sink = sink
        self.capacity = capacity
    }

    func write(_ line: LogLine) {
        guard waiting.wrappingAdd(1, ordering: .relaxed).newValue <= capacity else {
            waiting.wrappingSubtract(1, ordering: .relaxed)
            lost.wrappingAdd(1, ordering: .relaxed)
            return
        }
        queue.async {
            self.sink.write(line)
            self.waiting.wrappingSubtract(1, ordering: .relaxed)
            self.reportLost()
        }
    }

    func flush() {
        queue.sync { reportLost() }
    }

    private func reportLost() {
        let count = lost.exchange(0, ordering: .relaxed)
        guard count > 0 else { return }
        sink.write(
            LogLine(
                time: Date(), level: .warning, message: "log lines were lost: the log is read too slowly",
                metadata: ["event": "log-lost", "count": "\(count)"]))
    }
}

/// Lines on a stream, each in one `write`.
struct StreamSink: LogSink {
    let descriptor: CInt
    let render: @Sendable (LogLine) -> String

    func write(_ line: LogLine) {
        let octets = Array(render(line).utf8)
        var done = 0
        while done < octets.count {
            let count = unsafe octets[done...].withUnsafeBytes { unsafe Self.write(descriptor, $0) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            done += count
        }
    }

    /// `write(2)`, which the method's name hides.
    private static func write(_ descriptor: CInt, _ octets: UnsafeRawBufferPointer) -> Int {
        #if canImport(Glibc)
        unsafe Glibc.write(descriptor, octets.baseAddress, octets.count)
        #else
        unsafe Musl.write(descriptor, octets.baseAddress, octets.count)
        #endif
    }

    /// Whether standard error leads into the journal: systemd names its device and inode.
    static var standardErrorIsJournal: Bool {
        guard let value = ProcessInfo.processInfo.environment["JOURNAL_STREAM"] else { return false }
        var status = stat()
        guard unsafe fstat(STDERR_FILENO, &status) == 0 else { return false }
        return value == "\(status.st_dev):\(status.st_ino)"
    }
}

/// The journal's native protocol: one datagram per line to its socket. Falls back to another sink while the journal is away.
final class Journal: LogSink {
    static let socketPath = "/run/systemd/journal/socket"

    private let path: String
    private let otherwise: any LogSink
    /// Connected, or -1.
    private let descriptor = Mutex<CInt>(-1)

    init(path: String = Journal.socketPath, otherwise: any LogSink) {
        self.path = path
        self.otherwise = otherwise
    }

    deinit {
        descriptor.withLock { if $0 >= 0 { close($0) } }
    }

    func write(_ line: LogLine) {
        let octets = Array(line.journal.utf8)
        let sent = descriptor.withLock { descriptor in
            // The second try is for a journal that was started again.
            for _ in 0..<2 {
                if descriptor < 0 { descriptor = Self.connected(path) }
                guard descriptor >= 0 else { return false }
                if unsafe send(descriptor, octets, octets.count, CInt(MSG_NOSIGNAL)) == octets.count { return true }
                close(descriptor)
                descriptor = -1
            }
            return false
        }
        if !sent { otherwise.write(line) }
    }

    /// A datagram socket connected to the path, or -1.
    private static func connected(_ path: String) -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let octets = Array(path.utf8)
        let fits = unsafe withUnsafeMutableBytes(of: &address.sun_path) { room in
            guard octets.count < room.count else { return false }
            unsafe room.copyBytes(from: octets)
            return true
        }
        guard fits else { return -1 }
        let descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return -1 }
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(descriptor, __CONST_SOCKADDR_ARG(__sockaddr__: $0), socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        if result != 0 {
            close(descriptor)
            return -1
        }
        return descriptor
    }
}

internal import CLinux
internal import Glibc

/// The right to a state directory: held by one process at a time, and gone with it however it ends (flock).
package struct StateDirectoryLock: ~Copyable, Sendable {
    /// The directory.
    package let directory: String
    private let file: FileDescriptor

    /// Takes the lock, making the directory (mode 0700) where it is missing. Throws EWOULDBLOCK, naming the process, when another holds it.
    package init(directory: String) throws(SystemError) {
        let subject = "state directory \(directory)"
        guard unsafe mkdir(directory, 0o700) == 0 || errno == EEXIST else {
            throw .last("mkdir", subject, hint: errno == ENOENT ? "create the directory above it" : "")
        }
        let path = Self.path(directory)
        let file = try FileDescriptor(unsafe gw_open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600), "open \(path)", subject)
        var result: Int32
        repeat { result = flock(file.rawValue, LOCK_EX | LOCK_NB) } while result != 0 && errno == EINTR
        guard result == 0 else {
            let number = errno
            guard number == EWOULDBLOCK else { throw SystemError(number, call: "flock", subject: subject) }
            let holder = Self.holder(directory: directory).map(\.description) ?? "another process"
            throw SystemError(
                number, call: "flock", subject: subject,
                hint: "\(holder) uses it; stop that one, or give this gateway a state directory of its own")
        }
        let text = Array("\(getpid())\n".utf8)
        let written = unsafe text.withUnsafeBytes { buffer in
            ftruncate(file.rawValue, 0) == 0 ? unsafe pwrite(file.rawValue, buffer.baseAddress, buffer.count, 0) : -1
        }
        guard written == text.count else { throw .last("write \(path)", subject, hint: errno == ENOSPC ? "the disk is full" : "") }
        self.directory = directory
        self.file = file
    }

    /// The process that last took the lock, as it wrote itself down; nil when nobody did or it is no more.
    package static func holder(directory: String) -> ProcessName? {
        guard let text = try? SmallFile.text(path(directory), limit: 32), let pid = Int32(text.prefix { $0 != "\n" }), pid > 0,
            kill(pid, 0) == 0 || errno == EPERM
        else { return nil }
        return ProcessName(pid: pid)
    }

    private static func path(_ directory: String) -> String { directory + "/lock" }
}

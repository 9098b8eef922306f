internal import CLinux
internal import Glibc

/// Small files of the kernel's (/proc, /sys) and of our own.
package enum SmallFile {
    /// The whole content, at most `limit` octets.
    static func read(_ path: String, limit: Int = 1 << 20) throws(SystemError) -> [UInt8] {
        let file = try FileDescriptor(unsafe gw_open(path, O_RDONLY | O_CLOEXEC, 0), "open", path)
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while content.count < limit {
            let got = unsafe chunk.withUnsafeMutableBytes { buffer in unsafe Glibc.read(file.rawValue, buffer.baseAddress, buffer.count) }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw .last("read", path) }
            guard got > 0 else { break }
            content.append(contentsOf: chunk[..<got])
        }
        return content
    }

    /// Writes to a file that is there already, all at once.
    static func write(_ text: String, to path: String) throws(SystemError) {
        let file = try FileDescriptor(unsafe gw_open(path, O_WRONLY | O_CLOEXEC, 0), "open", path)
        let octets = Array(text.utf8)
        let written = unsafe octets.withUnsafeBytes { bytes in unsafe Glibc.write(file.rawValue, bytes.baseAddress, bytes.count) }
        guard written == octets.count else { throw .last("write", path) }
    }

    /// The content as text.
    package static func text(_ path: String, limit: Int = 1 << 20) throws(SystemError) -> String {
        String(decoding: try read(path, limit: limit), as: UTF8.self)
    }

    /// Names in a directory, without `.` and `..`; nothing where it cannot be read.
    static func names(in directory: String) -> [String] {
        guard let stream = unsafe opendir(directory) else { return [] }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            guard let text = unsafe gw_entry_name(entry) else { continue }
            let name = unsafe String(cString: text)
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Where a symbolic link points; nil when it is none or may not be read.
    static func target(ofLink path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let length = unsafe buffer.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return -1 }
            return unsafe readlink(path, base.assumingMemoryBound(to: CChar.self), bytes.count)
        }
        return length > 0 ? String(decoding: buffer[..<length], as: UTF8.self) : nil
    }
}

/// A process as an operator knows it.
package struct ProcessName: Hashable, Sendable, CustomStringConvertible {
    package let pid: Int32
    /// The command's short name; empty where it cannot be read.
    package let command: String

    package init(pid: Int32) {
        self.pid = pid
        let text = (try? SmallFile.text("/proc/\(pid)/comm", limit: 64)) ?? ""
        command = String(text.prefix { $0 != "\n" })
    }

    /// `process 812 (charon)`.
    package var description: String { "process \(pid)" + (command.isEmpty ? "" : " (\(command))") }
}

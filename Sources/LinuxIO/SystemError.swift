internal import Glibc

/// A system call that failed: which, on what, why, and what an operator can do about it.
package struct SystemError: Error, Hashable, Sendable {
    /// The value of errno.
    package let number: Int32
    /// The system call, such as `bind`.
    package let call: String
    /// What it was about, such as `UDP 192.0.2.1:4500`; may be empty.
    package let subject: String
    /// What to do about it, in plain words; empty where nothing helps that we know of.
    package let hint: String

    package init(_ number: Int32, call: String, subject: String = "", hint: String = "") {
        self.number = number
        self.call = call
        self.subject = subject
        self.hint = hint.isEmpty ? Self.commonHint(number) : hint
    }

    /// The error of the call that has just failed on this thread.
    package static func last(_ call: String, _ subject: String = "", hint: String = "") -> SystemError {
        SystemError(errno, call: call, subject: subject, hint: hint)
    }

    /// The C library's words for the number.
    package var reason: String {
        var text = [CChar](repeating: 0, count: 128)
        return unsafe text.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress, let words = unsafe strerror_r(number, base, 128) else { return "error \(number)" }
            return unsafe String(cString: words)
        }
    }

    /// What helps against an error whatever the call was.
    private static func commonHint(_ number: Int32) -> String {
        switch number {
        case EPERM, EACCES: "run as root, or give the process the capability that is missing"
        case EMFILE: "raise the limit of open files (LimitNOFILE= in the systemd unit, ulimit -n in a shell)"
        case ENFILE: "raise the sysctl fs.file-max"
        case ENOMEM, ENOBUFS: "the kernel is short of memory"
        default: ""
        }
    }
}

extension SystemError: CustomStringConvertible {
    /// `UDP 192.0.2.1:500: bind: Address already in use; stop the process that holds the port`.
    package var description: String {
        (subject.isEmpty ? "" : subject + ": ") + "\(call): \(reason)" + (hint.isEmpty ? "" : "; " + hint)
    }
}

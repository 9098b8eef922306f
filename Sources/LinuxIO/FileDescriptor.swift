internal import CLinux
internal import Glibc

/// An open file, socket or device of ours; closed when its owner goes.
package struct FileDescriptor: ~Copyable, Sendable {
    /// The number to give to system calls, valid as long as this value lives.
    package let rawValue: Int32

    /// Takes over a descriptor that nobody else will close.
    package init(owning rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// Takes over what a system call returned, or throws its errno when that is negative.
    package init(_ result: Int32, _ call: String, _ subject: String = "", hint: String = "") throws(SystemError) {
        guard result >= 0 else { throw .last(call, subject, hint: hint) }
        rawValue = result
    }

    deinit {
        _ = close(rawValue)
    }

    /// Gives the descriptor away: from here on the caller closes it.
    package consuming func released() -> Int32 {
        let number = rawValue
        discard self
        return number
    }
}

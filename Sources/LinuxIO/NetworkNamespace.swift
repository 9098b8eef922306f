internal import CLinux
internal import Glibc

/// A network namespace. Sockets and devices belong to the namespace of the thread that opened them, for as long as they live.
package struct NetworkNamespace: ~Copyable, Sendable {
    private let file: FileDescriptor
    /// How messages call it: its name or path.
    package let name: String

    /// A namespace that `ip netns add NAME` made.
    package init(named name: String) throws(SystemError) {
        guard !name.isEmpty, name != ".", name != "..", !name.utf8.contains(UInt8(ascii: "/")), !name.utf8.contains(0) else {
            throw SystemError(EINVAL, call: "open", subject: "network namespace `\(name)`", hint: "a namespace's name holds no `/`")
        }
        try self.init(path: "/run/netns/" + name, name: name)
    }

    /// A namespace by the path that stands for it, such as `/proc/1/ns/net`.
    package init(path: String) throws(SystemError) {
        try self.init(path: path, name: path)
    }

    private init(path: String, name: String) throws(SystemError) {
        let result = unsafe gw_open(path, O_RDONLY | O_CLOEXEC, 0)
        file = try FileDescriptor(
            result, "open", "network namespace \(name)",
            hint: result < 0 && errno == ENOENT ? "create it: `ip netns add \(name)`; `ip netns list` lists what there is" : "")
        self.name = name
    }

    /// The calling thread's.
    package static func current() throws(SystemError) -> NetworkNamespace {
        try NetworkNamespace(path: "/proc/thread-self/ns/net", name: "the current one")
    }

    /// A new one without a name: it is gone with the last descriptor, socket and device that stands in it.
    package static func unnamed() throws(SystemError) -> NetworkNamespace {
        try OwnThread.run("netns") { () throws(SystemError) in
            guard unshare(CLONE_NEWNET) == 0 else { throw .last("unshare", "network namespace", hint: needsAdmin) }
            return try NetworkNamespace(path: "/proc/thread-self/ns/net", name: "unnamed")
        }
    }

    /// The descriptor, for a request that moves a device here.
    package var descriptor: Int32 { file.rawValue }

    /// Moves the calling thread here for good. For threads of our own only, never one of the cooperative pool.
    package func enter() throws(SystemError) {
        guard setns(file.rawValue, CLONE_NEWNET) == 0 else { throw .last("setns", "network namespace \(name)", hint: Self.needsAdmin) }
    }

    /// Runs `body` here, on a thread of its own so that the caller's never changes, and waits for it.
    package func within<Result: ~Copyable>(_ body: () throws(SystemError) -> Result) throws(SystemError) -> Result {
        try OwnThread.run("netns") { () throws(SystemError) in
            try enter()
            return try body()
        }
    }

    private static var needsAdmin: String { "changing the network namespace needs root or CAP_SYS_ADMIN" }
}

/// A thread that lives for one call.
enum OwnThread {
    /// Runs `body` on a new thread while the caller waits.
    static func run<Value: ~Copyable>(_ name: String, _ body: () throws(SystemError) -> Value) throws(SystemError) -> Value {
        var outcome: Result<Value, SystemError>?
        let failure = unsafe withUnsafeMutablePointer(to: &outcome) { slot -> SystemError? in
            withoutActuallyEscaping(body) { body in
                do throws(SystemError) {
                    let thread = try PinnedThread.start(name, nil) {
                        do throws(SystemError) {
                            unsafe slot.pointee = .success(try body())
                        } catch {
                            unsafe slot.pointee = .failure(error)
                        }
                    }
                    _ = pthread_join(thread.value, nil)
                    return nil
                } catch {
                    return error
                }
            }
        }
        if let failure { throw failure }
        guard let outcome = consume outcome else { throw SystemError(ECANCELED, call: "pthread_join", subject: "thread \(name)") }
        return try outcome.get()
    }
}

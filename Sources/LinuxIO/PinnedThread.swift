internal import CLinux
internal import Glibc
internal import Synchronization

/// A thread of our own: named, on one processor if wanted, with all signals blocked, never part of the cooperative pool.
package final class PinnedThread: Sendable {
    private let thread: Mutex<ThreadHandle?>

    /// Starts a thread that runs `body` and ends. `name` is cut to 15 octets; `cpu` is a processor's number.
    package init(name: String, cpu: Int? = nil, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        thread = Mutex(try Self.start(name, cpu, body))
    }

    /// Starts a thread that takes `context` over, such as a worker with its ports, and runs `body` with it.
    package convenience init<Context: ~Copyable>(
        name: String, cpu: Int? = nil, context: consuming sending Context, _ body: @escaping @Sendable (consuming Context) -> Void
    ) throws(SystemError) {
        let parcel = Parcel(context)
        do {
            try self.init(name: name, cpu: cpu) { body(parcel.open()) }
        } catch {
            parcel.discard()
            throw error
        }
    }

    deinit {
        // not joined: the thread cleans up after itself
        thread.withLock { if let handle = $0 { _ = pthread_detach(handle.value) } }
    }

    /// Waits until the body has ended; at once when it was joined before. Never from the thread itself.
    package func join() {
        let handle = thread.withLock { current in
            let taken = current
            current = nil
            return taken
        }
        if let handle { _ = pthread_join(handle.value, nil) }
    }

    /// The name of the calling thread.
    package static var currentName: String {
        var name = [CChar](repeating: 0, count: 16)
        _ = unsafe pthread_getname_np(pthread_self(), &name, 16)
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Whether the calling thread may run on a processor.
    package static func mayRun(on cpu: Int) -> Bool {
        gw_may_run_on(Int32(clamping: cpu)) != 0
    }

    struct ThreadHandle: Sendable { let value: pthread_t }

    private final class Body {
        let name: String
        private let body: () -> Void
        #if DEBUG
        // What a test takes from a thread's kernel it takes from the threads that this one starts
        private let kernel = LackingKernel.here
        #endif

        init(_ name: String, _ body: @escaping () -> Void) {
            self.name = name
            self.body = body
        }

        func run() {
            #if DEBUG
            if let kernel { return kernel.run(body) }
            #endif
            body()
        }
    }

    /// Starts a thread; the caller joins or detaches it.
    static func start(_ name: String, _ cpu: Int?, _ run: @escaping () -> Void) throws(SystemError) -> ThreadHandle {
        var attributes = pthread_attr_t()
        _ = unsafe pthread_attr_init(&attributes)
        defer { _ = unsafe pthread_attr_destroy(&attributes) }
        let noSuchCPU = "the processor is not there, or not among those this process may use (taskset, cpuset)"
        if let cpu {
            let result = unsafe gw_thread_attributes_pin(&attributes, Int32(clamping: cpu))
            guard result == 0 else {
                throw SystemError(result, call: "pthread_attr_setaffinity_np", subject: "thread \(name) on processor \(cpu)", hint: noSuchCPU)
            }
        }
        // signals are for the main thread: one that a worker took would end its system call and reach nobody
        var all = sigset_t()
        var before = sigset_t()
        _ = unsafe sigfillset(&all)
        for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS] { _ = unsafe sigdelset(&all, fault) }
        _ = unsafe pthread_sigmask(SIG_BLOCK, &all, &before)
        defer { _ = unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }

        let body = unsafe Unmanaged.passRetained(Body(name, run))
        var thread = pthread_t()
        let result = unsafe pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument = unsafe argument else { return nil }
                let body = unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                let name = body.name.utf8.prefix(15).map { CChar(bitPattern: $0) } + [0]
                _ = unsafe pthread_setname_np(pthread_self(), name)
                body.run()
                return nil
            }, body.toOpaque())
        guard result == 0 else {
            unsafe body.release()
            throw SystemError(
                result, call: "pthread_create", subject: "thread \(name)",
                hint: result == EINVAL && cpu != nil ? noSuchCPU : "raise the limit of threads (TasksMax= in the systemd unit)")
        }
        return ThreadHandle(value: thread)
    }
}

/// A value on its way into a thread; opened once, there.
@safe
private struct Parcel<Content: ~Copyable>: @unchecked Sendable {
    private let memory: UnsafeMutablePointer<Content>

    init(_ content: consuming sending Content) {
        unsafe memory = .allocate(capacity: 1)
        unsafe memory.initialize(to: content)
    }

    func open() -> Content {
        defer { unsafe memory.deallocate() }
        return unsafe memory.move()
    }

    func discard() {
        _ = open()
    }
}

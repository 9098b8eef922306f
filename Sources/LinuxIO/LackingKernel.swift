// Debug builds alone: no release build can be made to lack something.
#if DEBUG
internal import CLinux
internal import Glibc
internal import Synchronization

/// A kernel that lacks some of what ours does with many packets in one, or loses it later: for tests. So it is to what `run` calls, and to the threads
/// that this starts, for as long as they live.
package final class LackingKernel: Sendable {
    /// What can be lacking.
    package struct Offloads: OptionSet, Sendable {
        package let rawValue: Int
        package init(rawValue: Int) { self.rawValue = rawValue }

        /// `IFF_VNET_HDR` of a TUN device.
        package static let headers = Self(rawValue: 1)
        /// `TUN_F_TSO4` and `TUN_F_TSO6`.
        package static let tcp = Self(rawValue: 2)
        /// `TUN_F_USO4` and `TUN_F_USO6`.
        package static let udp = Self(rawValue: 4)
        /// `UDP_SEGMENT` of a socket.
        package static let cuts = Self(rawValue: 8)
        /// `UDP_GRO` of a socket.
        package static let joins = Self(rawValue: 16)
    }

    private struct Refusal {
        let number: Int32
        /// Calls or messages that pass before.
        var passing: Int
        /// Refusals after which it is over.
        var left = Int.max
    }

    private struct State {
        var rows: Refusal?
        var writes: Refusal?
        var refused = 0
    }

    private let lacking: Offloads
    private let state = Mutex(State())

    package init(lacking: Offloads = []) {
        self.lacking = lacking
    }

    /// Lets rows of segments (`UDP_SEGMENT` beside a message) fail from now on, once so many messages more have gone.
    package func refuseRows(_ number: Int32, after messages: Int = 0) {
        state.withLock { $0.rows = Refusal(number: number, passing: messages) }
    }

    /// Lets so many writes to TUN devices fail, once others have gone.
    package func refuseWrites(_ number: Int32, times: Int = .max, after writes: Int = 0) {
        state.withLock { $0.writes = Refusal(number: number, passing: writes, left: times) }
    }

    /// Refuses nothing any more but what is lacking.
    package func relent() {
        state.withLock { ($0.rows, $0.writes) = (nil, nil) }
    }

    /// Calls of `refuseRows` and `refuseWrites` that failed so far.
    package var refused: Int { state.withLock { $0.refused } }

    // MARK: Who is in it

    private static let place = TaskLocal<LackingKernel?>(wrappedValue: nil)

    /// What `IPSEC_GW_LACKING` names, for a daemon in a test: `headers`, `tcp`, `udp`, `cuts`, `joins`, and `rows`, which is a device that turns out to cut
    /// none with the first row that it gets.
    private static let ofProcess: LackingKernel? = {
        guard let text = unsafe getenv("IPSEC_GW_LACKING") else { return nil }
        let words = unsafe String(cString: text).split(separator: ",")
        let names: [Substring: Offloads] = ["headers": .headers, "tcp": .tcp, "udp": .udp, "cuts": .cuts, "joins": .joins]
        let kernel = LackingKernel(lacking: Offloads(words.compactMap { names[$0] }))
        if words.contains("rows") { kernel.refuseRows(EIO) }
        return kernel
    }()

    /// The calling task's or thread's, else the process's; nil: the kernel as it is.
    static var here: LackingKernel? { place.get() ?? ofProcess }

    package func run<Value: ~Copyable, Failure: Error>(_ body: () throws(Failure) -> Value) throws(Failure) -> Value {
        var outcome: Result<Value, Failure>?
        Self.place.withValue(self) {
            do throws(Failure) {
                outcome = .success(try body())
            } catch {
                outcome = .failure(error)
            }
        }
        guard let result = outcome.take() else { preconditionFailure("the body was not run") }
        return try result.get()
    }

    // MARK: What it does

    func limit(_ features: inout UInt32) {
        if lacking.contains(.headers) { features &= ~UInt32(IFF_VNET_HDR) }
    }

    func refuses(offloads: UInt32) -> Bool {
        lacking.contains(.tcp) && offloads & UInt32(TUN_F_TSO4 | TUN_F_TSO6) != 0
            || lacking.contains(.udp) && offloads & UInt32(TUN_F_USO4 | TUN_F_USO6) != 0
    }

    func refuses(option: Int32, level: Int32) -> Bool {
        guard level == Int32(IPPROTO_UDP) else { return false }
        return option == UDP_SEGMENT && lacking.contains(.cuts) || option == UDP_GRO && lacking.contains(.joins)
    }

    /// As the kernel: what stands before a message that is refused goes, and the next call meets the refusal.
    func sendmmsg(_ socket: Int32, _ messages: UnsafeMutablePointer<mmsghdr>, _ count: UInt32, _ flags: Int32) -> Int32 {
        var (passing, number) = (count, Int32(0))
        state.withLock { state in
            guard let refusal = state.rows else { return }
            passing = 0
            while passing < count {
                if Int(passing) >= refusal.passing, unsafe Self.isRow(messages + Int(passing)) { break }
                passing += 1
            }
            number = refusal.number
            if passing == 0, count > 0 { state.refused += 1 }
        }
        guard passing > 0 || count == 0 else {
            errno = number
            return -1
        }
        let sent = unsafe Glibc.sendmmsg(socket, messages, passing, flags)
        let failure = errno
        state.withLock { if let before = $0.rows?.passing { $0.rows?.passing = max(before - max(Int(sent), 0), 0) } }
        errno = failure
        return sent
    }

    private static func isRow(_ header: UnsafeMutablePointer<mmsghdr>) -> Bool {
        // a msghdr is what it begins with
        let message = unsafe UnsafeMutableRawPointer(header).assumingMemoryBound(to: msghdr.self)
        var control = unsafe gw_cmsg_first(message)
        while let current = unsafe control {
            if unsafe current.pointee.cmsg_level == Int32(IPPROTO_UDP), unsafe current.pointee.cmsg_type == UDP_SEGMENT { return true }
            unsafe control = gw_cmsg_next(message, current)
        }
        return false
    }

    func refusalOfWrite() -> Int32? {
        state.withLock { state in
            guard var refusal = state.writes, refusal.left > 0 else { return nil }
            defer { state.writes = refusal }
            guard refusal.passing == 0 else {
                refusal.passing -= 1
                return nil
            }
            refusal.left -= 1
            state.refused += 1
            return refusal.number
        }
    }
}
#endif

import CLinux
import Glibc
import LinuxIO
import Testing
import Wire

/// Tests here open devices and namespaces. They are not skipped without the right to: that would prove nothing and look green.
struct NeedsRoot: Error, CustomStringConvertible {
    let description = "these tests make network namespaces and TUN devices: run them as root (sudo swift test)"
}

func requireRoot() throws {
    guard geteuid() == 0 else { throw NeedsRoot() }
}

/// A namespace without a name, with its loopback up: it goes with the test, however that ends.
func freshNamespace() throws -> NetworkNamespace {
    try requireRoot()
    let namespace = try NetworkNamespace.unnamed()
    try namespace.within { () throws(SystemError) in
        var netlink = try Netlink()
        guard let loopback = try netlink.link(named: "lo") else { throw SystemError(ENODEV, call: "lo") }
        try netlink.setUp(loopback.index)
    }
    return namespace
}

extension NetworkNamespace {
    /// Runs `body` here on the test's own thread, so that what fails in it is reported under the test's name.
    func visit<Result: ~Copyable>(_ body: () throws(SystemError) -> Result) throws(SystemError) -> Result {
        let home = try NetworkNamespace.current()
        try enter()
        defer {
            // a thread of the pool must not stay: whatever ran on it next would be elsewhere
            do { try home.enter() } catch { fatalError("the thread did not come back from its namespace: \(error)") }
        }
        return try body()
    }
}

/// Two namespaces with a veth pair between them: `left` (192.0.2.1, 2001:db8::1) --- `right` (192.0.2.2, 2001:db8::2).
struct Wire2: ~Copyable {
    let left: NetworkNamespace
    let right: NetworkNamespace

    init() throws {
        let left = try freshNamespace()
        let right = try freshNamespace()
        try left.within { () throws(SystemError) in
            try shell("ip link add left type veth peer name right")
            var netlink = try Netlink()
            guard let peer = try netlink.link(named: "right") else { throw SystemError(ENODEV, call: "veth") }
            try netlink.move(peer.index, to: right)
        }
        try left.within { () throws(SystemError) in try Self.address("left", 1) }
        try right.within { () throws(SystemError) in try Self.address("right", 2) }
        self.left = left
        self.right = right
    }

    private static func address(_ name: String, _ last: UInt32) throws(SystemError) {
        var netlink = try Netlink()
        guard let link = try netlink.link(named: name) else { throw SystemError(ENODEV, call: name) }
        try netlink.setUp(link.index)
        try netlink.addAddress(IPAddress(v4: 0xc000_0200 + last), prefixLength: 24, to: link.index)
        try netlink.addAddress(
            IPAddress(family: .ipv6, value: 0x2001_0db8 << 96 + UInt128(last)), prefixLength: 64, to: link.index)
    }

    static func leftAddress(_ family: AddressFamily) -> IPAddress { IPAddress(family == .ipv4 ? "192.0.2.1" : "2001:db8::1")! }
    static func rightAddress(_ family: AddressFamily) -> IPAddress { IPAddress(family == .ipv4 ? "192.0.2.2" : "2001:db8::2")! }
}

func loopback(_ family: AddressFamily) -> IPAddress { IPAddress(family == .ipv4 ? "127.0.0.1" : "::1")! }

/// Runs a command in the calling thread's namespace and returns what it printed.
@discardableResult
func shell(_ command: String) throws(SystemError) -> String {
    var pipe: [Int32] = [0, 0]
    guard pipe2(&pipe, O_CLOEXEC) == 0 else { throw .last("pipe2") }
    let reading = FileDescriptor(owning: pipe[0])
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, pipe[1], 1)
    posix_spawn_file_actions_adddup2(&actions, pipe[1], 2)
    let words: [String] = ["/bin/sh", "-c", command]
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { (word: String) in strdup(word) } + [nil]
    var environment: [UnsafeMutablePointer<CChar>?] = [strdup("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), nil]
    defer { for text in arguments + environment { free(text) } }
    var pid = pid_t()
    let result = posix_spawn(&pid, "/bin/sh", &actions, nil, &arguments, &environment)
    close(pipe[1])
    guard result == 0 else { throw SystemError(result, call: "posix_spawn", subject: command) }
    var output: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
        let got = read(reading.rawValue, &chunk, chunk.count)
        if got < 0, errno == EINTR { continue }
        guard got > 0 else { break }
        output.append(contentsOf: chunk[..<got])
    }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    let text = String(decoding: output, as: UTF8.self)
    guard status == 0 else { throw SystemError(EINVAL, call: command, subject: "status \(status)", hint: text) }
    return text
}

/// The error that `body` throws.
func failure(_ body: () throws(SystemError) -> Void) -> SystemError? {
    do throws(SystemError) {
        try body()
        return nil
    } catch {
        return error
    }
}

/// Whether `condition` holds within two seconds. What a descriptor holds can outlive its close for a moment: a test beside this one that
/// starts a process has all our descriptors in the child until its exec.
func eventually(_ condition: () throws(SystemError) -> Bool) throws(SystemError) -> Bool {
    let deadline = MonotonicClock.now + .seconds(2)
    while MonotonicClock.now < deadline {
        if try condition() { return true }
        usleep(2_000)
    }
    return try condition()
}

/// Receives until `count` entries came or `seconds` passed: (octets, entry) of each.
func receive<Port: PacketPort & ~Copyable>(
    _ count: Int, from port: inout Port, into batch: inout Batch, seconds: Double = 3
) throws(SystemError) -> [(octets: [UInt8], entry: Batch.Entry)] {
    var found: [(octets: [UInt8], entry: Batch.Entry)] = []
    let deadline = MonotonicClock.now + .seconds(seconds)
    var poller = try Poller()
    try poller.add(port.descriptor, token: 1)
    while found.count < count, MonotonicClock.now < deadline {
        let got = try port.receive(into: &batch)
        for index in 0..<got { found.append(([UInt8](batch.octets(index)), batch[index])) }
        if got == 0 { _ = try poller.wait(until: deadline) }
    }
    return found
}

/// A seeded generator (SplitMix64).
struct Seeded: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
    mutating func octets(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) } }
}

/// Where a test's files go.
var temporaryFolder: String { getenv("TMPDIR").map { String(cString: $0) } ?? P_tmpdir }

import CLinux
import Glibc
import Testing
import Wire

@testable import LinuxIO

/// A directory of the test's own.
func withDirectory<Result>(_ name: String, _ body: (String) throws -> Result) throws -> Result {
    let path = temporaryFolder + "/ipsecgw-\(name)-\(getpid())"
    mkdir(path, 0o700)
    defer { _ = try? shell("rm -rf \(path)") }
    return try body(path)
}

@Suite struct StateDirectoryLockTests {
    @Test func theSecondIsRefusedAndToldTheHolder() throws {
        try withDirectory("lock") { directory in
            let state = directory + "/state"
            do {
                let lock = try StateDirectoryLock(directory: state)
                #expect(lock.directory == state)
                let second = failure { () throws(SystemError) in _ = try StateDirectoryLock(directory: state) }
                #expect(second?.number == EWOULDBLOCK)
                #expect(second?.hint.contains("process \(getpid()) (") == true)
                #expect(second?.description.contains("state directory \(state): flock: ") == true)
                #expect(StateDirectoryLock.holder(directory: state)?.pid == getpid())
            }
            // given back, taken again; the file stays
            let again = try eventually { () throws(SystemError) in
                failure { () throws(SystemError) in _ = try StateDirectoryLock(directory: state) } == nil
            }
            #expect(again && access(state + "/lock", F_OK) == 0)
            var status = stat()
            #expect(stat(state, &status) == 0 && status.st_mode & 0o777 == 0o700)
        }
    }

    @Test func aLockOfADeadProcessIsFree() throws {
        try withDirectory("dead") { directory in
            try shell("echo 4194300 > \(directory)/lock")
            #expect(StateDirectoryLock.holder(directory: directory) == nil)
            let lock = try StateDirectoryLock(directory: directory)
            #expect(lock.directory == directory)
            let text = try SmallFile.text(directory + "/lock")
            #expect(text == "\(getpid())\n")
        }
    }

    @Test func strangePlacesAreRefused() throws {
        try withDirectory("odd") { directory in
            let nowhere = failure { () throws(SystemError) in _ = try StateDirectoryLock(directory: directory + "/a/b") }
            #expect(nowhere?.number == ENOENT && nowhere?.hint.contains("above") == true)
            try shell("ln -s /etc/passwd \(directory)/lock")
            let link = failure { () throws(SystemError) in _ = try StateDirectoryLock(directory: directory) }
            #expect(link?.number == ELOOP)
        }
    }
}

@Suite(.serialized) struct ProcessTests {
    @Test func capabilitiesAreReadFromTheStatus() throws {
        try requireRoot()
        let missing = try Capability.missing(of: Capability.allCases)
        #expect(missing == [])
        #expect(Capability.effective(inStatus: "Name:\tx\nCapPrm:\t0\nCapEff:\t0000000000003000\n") == 1 << 12 | 1 << 13)
        #expect(Capability.effective(inStatus: "Name:\tx\n") == nil)
        #expect(Capability.allCases.map(\.description) == ["CAP_NET_BIND_SERVICE", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_ADMIN"])
    }

    /// Runs in a process without the right, since a test cannot take back its own.
    @Test func capabilityNumbersAreTheKernels() throws {
        try requireRoot()
        for capability in Capability.allCases {
            let name = capability.description.lowercased().dropFirst("cap_".count)
            let text = try shell("setpriv --bounding-set=-\(name) cat /proc/self/status")
            let effective = try #require(Capability.effective(inStatus: text))
            #expect(effective >> UInt64(capability.rawValue) & 1 == 0)
        }
    }

    @Test func threat_P28_memoryIsNotDumped() throws {
        let before = ProcessHardening.isDumpable
        defer { _ = gw_set_dumpable(before ? 1 : 0) }
        try ProcessHardening.forbidDumps()
        #expect(!ProcessHardening.isDumpable)
        let limits = try SmallFile.text("/proc/self/limits")
        let core = limits.split(separator: "\n").first { $0.hasPrefix("Max core file size") }
        #expect(core?.split(separator: " ").dropFirst(4).prefix(2) == ["0", "0"])
    }

    @Test func theFileLimitRises() throws {
        var before = rlimit()
        getrlimit(RLIMIT_NOFILE, &before)
        defer { setrlimit(RLIMIT_NOFILE, &before) }
        var low = rlimit(rlim_cur: 512, rlim_max: before.rlim_max)
        setrlimit(RLIMIT_NOFILE, &low)
        let kept = try ProcessHardening.raiseFileLimit(to: 100)
        #expect(kept == 512)
        let raised = try ProcessHardening.raiseFileLimit(to: 1024)
        #expect(raised == 1024)
        var now = rlimit()
        getrlimit(RLIMIT_NOFILE, &now)
        #expect(now.rlim_cur == 1024)
    }

    @Test(arguments: ["", "@"])
    func supervisorsAreTold(prefix: String) throws {
        try withDirectory("notify") { directory in
            let name = prefix + directory + "/socket"
            let receiver = try FileDescriptor(socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0), "socket")
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            var path = Array(name.utf8)
            if !prefix.isEmpty { path[0] = 0 }
            withUnsafeMutableBytes(of: &address) { memory in
                for (index, octet) in path.enumerated() { memory[2 + index] = octet }
            }
            #expect(gw_bind(receiver.rawValue, &address, socklen_t(2 + path.count)) == 0)
            setenv("NOTIFY_SOCKET", name, 1)
            let told = try ServiceNotification.send("READY=1\nSTATUS=2 sessions")
            unsetenv("NOTIFY_SOCKET")
            var buffer = [UInt8](repeating: 0, count: 100)
            let got = recv(receiver.rawValue, &buffer, 100, Int32(MSG_DONTWAIT))
            #expect(told && String(decoding: buffer.prefix(max(got, 0)), as: UTF8.self) == "READY=1\nSTATUS=2 sessions")
            let alone = try ServiceNotification.send("READY=1")
            #expect(!alone)
        }
    }

    @Test func aBadNotificationSocketIsAnErrorNotACrash() {
        for name in ["relative", "/" + String(repeating: "x", count: 200), "/nonexistent/socket"] {
            let error = failure { () throws(SystemError) in _ = try ServiceNotification.send("READY=1", to: name) }
            #expect(error != nil)
        }
    }

    @Test func descriptorsCloseWithTheirOwner() throws {
        var ends: [Int32] = [0, 0]
        #expect(pipe2(&ends, O_CLOEXEC | O_NONBLOCK) == 0)
        let reading = FileDescriptor(owning: ends[0])
        var octet: UInt8 = 0
        do {
            let writing = FileDescriptor(owning: ends[1])
            #expect(writing.rawValue == ends[1])
            let open = read(reading.rawValue, &octet, 1)
            #expect(open == -1 && errno == EAGAIN)
        }
        #expect(read(reading.rawValue, &octet, 1) == 0)
        // given away, it stays open
        var more: [Int32] = [0, 0]
        #expect(pipe2(&more, O_CLOEXEC | O_NONBLOCK) == 0)
        let released = FileDescriptor(owning: more[1]).released()
        #expect(released == more[1] && write(released, "x", 1) == 1)
        close(more[0])
        close(more[1])
    }

    @Test func errorsSpeakPlainly() {
        let plain = SystemError(ENOENT, call: "open", subject: "file x")
        #expect(plain.description == "file x: open: No such file or directory")
        #expect(SystemError(EMFILE, call: "socket").description.contains("; raise the limit of open files"))
        #expect(SystemError(EPERM, call: "socket").hint.contains("root"))
        #expect(SystemError(EPERM, call: "socket", hint: "special").hint == "special")
        #expect(SystemError(99_999, call: "x").description.contains("99999"))
    }

    @Test func clocksGoForward() {
        var last = MonotonicClock.now
        for _ in 0..<1000 {
            let now = MonotonicClock.now
            #expect(now >= last)
            last = now
        }
        #expect(abs(WallClock.nanoseconds / 1_000_000_000 - WallClock.seconds) <= 1 && WallClock.seconds > 1_600_000_000)
    }
}

import CLinux
import Glibc
import LinuxIO
import Synchronization
import Testing
import Wire

@Suite struct PollerTests {
    static func pipe() throws -> (FileDescriptorBox, FileDescriptorBox) {
        var ends: [Int32] = [0, 0]
        guard pipe2(&ends, O_CLOEXEC | O_NONBLOCK) == 0 else { throw SystemError.last("pipe2") }
        return (FileDescriptorBox(ends[0]), FileDescriptorBox(ends[1]))
    }

    final class FileDescriptorBox {
        let descriptor: FileDescriptor
        init(_ number: Int32) { descriptor = FileDescriptor(owning: number) }
        var number: Int32 { descriptor.rawValue }
    }

    @Test func readinessCarriesTheToken() throws {
        var poller = try Poller()
        let (reading, writing) = try Self.pipe()
        try poller.add(reading.number, token: 7)
        try poller.add(writing.number, token: 8, for: .writable)
        var ready = try poller.wait(milliseconds: 0)
        var event = poller[0]
        #expect(ready == 1 && event.token == 8 && event.readiness == .writable)
        try poller.modify(writing.number, token: 8, for: [])
        _ = write(writing.number, "x", 1)
        ready = try poller.wait(milliseconds: 1000)
        event = poller[0]
        #expect(ready == 1 && event.token == 7 && event.readiness == .readable)
        let woken = poller.wasWoken
        #expect(!woken)
        try poller.remove(reading.number)
        ready = try poller.wait(milliseconds: 0)
        #expect(ready == 0)
        let twice = failure { () throws(SystemError) in try poller.remove(reading.number) }
        #expect(twice?.number == ENOENT)
    }

    @Test func aLostPeerIsReported() throws {
        var poller = try Poller()
        var (reading, writing): (FileDescriptorBox, FileDescriptorBox?) = try Self.pipe()
        try poller.add(reading.number, token: 1)
        #expect(writing != nil)
        writing = nil
        let ready = try poller.wait(milliseconds: 1000)
        let event = poller[0]
        #expect(ready == 1 && event.readiness.contains(.failed))
        _ = consume reading
    }

    @Test func threat_P40_deadlinesAreOfTheMonotonicClock() throws {
        var poller = try Poller()
        let start = MonotonicClock.now
        var ready = try poller.wait(until: start + .milliseconds(30))
        let took = MonotonicClock.now - start
        #expect(ready == 0 && took >= .milliseconds(30) && took < .seconds(5))
        ready = try poller.wait(until: Instant(nanoseconds: 0))
        #expect(ready == 0 && MonotonicClock.now > start)
    }

    @Test func wakesEndAWaitFromAnotherThread() throws {
        var poller = try Poller()
        let waker = poller.waker
        let thread = try PinnedThread(name: "waker") {
            usleep(20_000)
            for _ in 0..<1000 { waker.wake() }
        }
        let ready = try poller.wait(until: MonotonicClock.now + .seconds(10))
        let woken = poller.wasWoken
        #expect(ready == 0 && woken)
        thread.join()
        // what was left of the thousand is one wake at most, and then there is none
        _ = try poller.wait(milliseconds: 0)
        _ = try poller.wait(milliseconds: 0)
        let again = poller.wasWoken
        #expect(!again)
        waker.wake()
        _ = try poller.wait(milliseconds: 0)
        let once = poller.wasWoken
        #expect(once)
    }

    /// No wake is lost: each number is put down before its wake, and the waiting side sees the last one.
    @Test func noWakeIsLost() throws {
        var poller = try Poller()
        let waker = poller.waker
        let count = 20_000
        let box = WakeBox()
        let thread = try PinnedThread(name: "producer") {
            for number in 1...count {
                box.value.store(number, ordering: .relaxed)
                waker.wake()
            }
        }
        var seen = 0
        while seen < count {
            let before = MonotonicClock.now
            _ = try poller.wait(until: before + .seconds(5))
            let woken = poller.wasWoken
            guard woken else {
                Issue.record("a wake was lost at \(seen)")
                break
            }
            seen = box.value.load(ordering: .relaxed)
        }
        thread.join()
        #expect(seen == count)
    }

    final class WakeBox: Sendable { let value = Atomic<Int>(0) }
}

@Suite struct PinnedThreadTests {
    final class Seen: Sendable {
        let name = Mutex("")
        let blocked = Mutex(false)
        let elsewhere = Mutex(true)
        let octets = Mutex<[UInt8]>([])
    }

    @Test func aThreadHasItsNameProcessorAndNoSignals() throws {
        let seen = Seen()
        var before = sigset_t()
        pthread_sigmask(SIG_BLOCK, nil, &before)
        let cpu = try #require((0..<1024).first { PinnedThread.mayRun(on: $0) })
        let thread = try PinnedThread(name: "ipsec-worker-0-and-more", cpu: cpu) {
            seen.name.withLock { $0 = PinnedThread.currentName }
            seen.elsewhere.withLock { $0 = (0..<1024).contains { $0 != cpu && PinnedThread.mayRun(on: $0) } }
            var mask = sigset_t()
            pthread_sigmask(SIG_BLOCK, nil, &mask)
            let all = [SIGTERM, SIGINT, SIGHUP, SIGPIPE].allSatisfy { sigismember(&mask, $0) == 1 } && sigismember(&mask, SIGSEGV) == 0
            seen.blocked.withLock { $0 = all }
        }
        thread.join()
        thread.join()
        #expect(seen.name.withLock { $0 } == "ipsec-worker-0-")
        #expect(seen.blocked.withLock { $0 })
        #expect(!seen.elsewhere.withLock { $0 })
        var mask = sigset_t()
        pthread_sigmask(SIG_BLOCK, nil, &mask)
        // and ours is what it was
        #expect((1...64).allSatisfy { sigismember(&mask, $0) == sigismember(&before, $0) })
    }

    /// What cannot be copied is moved in: a port with its batch.
    @Test func aPortMovesIntoItsThread() throws {
        try requireRoot()
        let seen = Seen()
        let port = try UDPPort(Endpoint(loopback(.ipv4), port: 0))
        let local = port.local
        let thread = try PinnedThread(name: "port", context: port) { (port: consuming UDPPort) in
            var port = port
            var batch = Batch(capacity: 4, room: 100)
            let found = try? receive(1, from: &port, into: &batch)
            seen.octets.withLock { $0 = found?.first?.octets ?? [] }
        }
        var sender = try UDPPort(Endpoint(loopback(.ipv4), port: 0))
        let sent = sender.send([4, 2], to: local)
        #expect(sent)
        thread.join()
        #expect(seen.octets.withLock { $0 } == [4, 2])
        // the thread closed it
        let free = try eventually { () throws(SystemError) in failure { () throws(SystemError) in _ = try UDPPort(local) } == nil }
        #expect(free)
    }

    @Test(arguments: [-1, 1023, 1024, 1 << 40])
    func aProcessorThatIsNotThereIsExplained(cpu: Int) throws {
        guard !PinnedThread.mayRun(on: cpu) else { return }
        let error = failure { () throws(SystemError) in _ = try PinnedThread(name: "nowhere", cpu: cpu) {} }
        #expect(error?.number == EINVAL && error?.hint.contains("processor") == true)
    }
}

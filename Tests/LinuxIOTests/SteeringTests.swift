import CLinux
import Glibc
import LinuxIO
import Testing
import Wire

/// architecture.md, "A packet": the kernel sorts the datagrams of port 4500 by their first word.
@Suite struct SteeringTests {
    static func spi(worker: Int, slot: UInt32, tag: UInt32) -> [UInt8] {
        var octets: [UInt8] = []
        octets.append(bigEndian: UInt32(worker) | slot << 6 | tag << 24)
        return octets + [0, 0, 0, 1, 0xab]
    }

    /// A door and three workers, 40 senders (whom a hash would scatter).
    @Test(arguments: AddressFamily.allCases)
    func aDatagramReachesTheSocketThatItsFirstWordNames(family: AddressFamily) throws {
        let seed = UInt64.random(in: 0 ... .max)
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            var random = Seeded(seed)
            var group = try SteeredPorts(Endpoint(loopback(family), port: 4500), workers: 3)
            var expected: [[[UInt8]]] = [[], [], [], []]
            for _ in 0..<40 {
                var sender = try UDPPort(Endpoint(loopback(family), port: 0))
                var toDoor: [[UInt8]] = [[0xff], [1, 2], [0, 0, 3], [], [0, 0, 0, 0], [0, 0, 0, 0] + random.octets(28)]
                toDoor.shuffle(using: &random)
                for octets in toDoor {
                    let sent = sender.send(octets, to: group.local)
                    #expect(sent)
                }
                expected[0] += toDoor
                for worker in 0..<3 {
                    let slot = UInt32.random(in: 0..<1 << 18, using: &random)
                    let octets = Self.spi(worker: worker, slot: slot, tag: UInt32.random(in: 1...255, using: &random))
                    let sent = sender.send(octets, to: group.local)
                    #expect(sent)
                    expected[1 + worker].append(octets)
                }
            }
            var batch = Batch(capacity: 64, room: 2048)
            for index in 0..<4 {
                guard var port = index == 0 ? group.takeDoor() : group.takeWorker(index - 1) else {
                    Issue.record("socket \(index) was not there")
                    return
                }
                let found = try receive(expected[index].count, from: &port, into: &batch)
                #expect(found.map(\.octets) == expected[index], "socket \(index), seed \(seed)")
                let more = try port.receive(into: &batch)
                #expect(more == 0, "socket \(index) got what was another's, seed \(seed)")
            }
        }
    }

    /// All 64 worker numbers, each at its own socket.
    @Test func theWholeNumberSpaceIsUsable() throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            var group = try SteeredPorts(Endpoint(loopback(.ipv4), port: 4500), workers: 64)
            var sender = try UDPPort(Endpoint(loopback(.ipv4), port: 0))
            for worker in 0..<64 { _ = sender.send(Self.spi(worker: worker, slot: 9, tag: 200), to: group.local) }
            var batch = Batch(capacity: 4, room: 100)
            for worker in 0..<64 {
                guard var port = group.takeWorker(worker) else {
                    Issue.record("worker \(worker) has no socket")
                    return
                }
                let found = try receive(1, from: &port, into: &batch)
                #expect(found.map(\.octets) == [Self.spi(worker: worker, slot: 9, tag: 200)])
            }
        }
    }

    /// An SPI of a worker that is not there goes to one socket, by the hash, and nowhere twice.
    @Test func anUnknownWorkerFallsToTheHash() throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            var group = try SteeredPorts(Endpoint(loopback(.ipv4), port: 4500), workers: 2)
            guard var door = group.takeDoor(), var first = group.takeWorker(0), var second = group.takeWorker(1) else {
                Issue.record("a socket was not there")
                return
            }
            for _ in 0..<30 {
                var sender = try UDPPort(Endpoint(loopback(.ipv4), port: 0))
                let sent = sender.send(Self.spi(worker: 5, slot: 1, tag: 1), to: group.local)
                #expect(sent)
            }
            var batch = Batch(capacity: 64, room: 100)
            let total = try door.receive(into: &batch) + first.receive(into: &batch) + second.receive(into: &batch)
            #expect(total == 30)
        }
    }

    @Test func portsAreTakenOnceAndThePortIsFreeAfterwards() throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            let local = Endpoint(loopback(.ipv4), port: 4500)
            do {
                var group = try SteeredPorts(local, workers: 1)
                let door = group.takeDoor()
                let (hasDoor, again) = (door != nil, group.takeDoor() == nil)
                let (beyond, before) = (group.takeWorker(1) == nil, group.takeWorker(-2) == nil)
                #expect(hasDoor && again && beyond && before)
                // a private socket cannot join
                let stranger = failure { () throws(SystemError) in _ = try UDPPort(local) }
                #expect(stranger?.number == EADDRINUSE)
            }
            let free = try eventually { () throws(SystemError) in failure { () throws(SystemError) in _ = try UDPPort(local) } == nil }
            #expect(free)
            let tooMany = failure { () throws(SystemError) in _ = try SteeredPorts(local, workers: 65) }
            #expect(tooMany?.number == EINVAL)
        }
    }
}

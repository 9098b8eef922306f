import CLinux
import Glibc
import LinuxIO
import Testing
import Wire

/// A UDP packet with right checksums, RFC 768, 791, 8200.
func udpPacket(from source: Endpoint, to destination: Endpoint, _ payload: [UInt8]) -> [UInt8] {
    func sum(_ octets: [UInt8]) -> UInt32 {
        stride(from: 0, to: octets.count, by: 2).reduce(0) {
            $0 + UInt32(octets[$1]) << 8 + ($1 + 1 < octets.count ? UInt32(octets[$1 + 1]) : 0)
        }
    }
    func folded(_ sum: UInt32) -> UInt16 {
        var sum = sum
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        return ~UInt16(sum)
    }
    let length = UInt16(8 + payload.count)
    var udp: [UInt8] = []
    udp.append(bigEndian: source.port)
    udp.append(bigEndian: destination.port)
    udp.append(bigEndian: length)
    udp.append(bigEndian: UInt16(0))
    udp += payload
    let pseudo = source.address.octets + destination.address.octets + [0, 17, UInt8(length >> 8), UInt8(length & 0xff)]
    udp.patch(bigEndian: folded(sum(pseudo) + sum(udp)), at: 6)
    var header: [UInt8] = []
    switch source.address.family {
    case .ipv4:
        header = [0x45, 0]
        header.append(bigEndian: UInt16(20) + length)
        header += [0, 0, 0x40, 0, 64, 17, 0, 0] + source.address.octets + destination.address.octets
        header.patch(bigEndian: folded(sum(header)), at: 10)
    case .ipv6:
        header = [0x60, 0, 0, 0]
        header.append(bigEndian: length)
        header += [17, 64] + source.address.octets + destination.address.octets
    }
    return header + udp
}

@Suite struct TUNPortTests {
    static func inner(_ family: AddressFamily, _ last: UInt8) -> IPAddress {
        IPAddress(family == .ipv4 ? "10.77.0.\(last)" : "2001:db8:77::\(last)")!
    }

    static func configuration() -> TUNConfiguration {
        var wanted = TUNConfiguration()
        wanted.addresses = [(inner(.ipv4, 1), 24), (inner(.ipv6, 1), 64)]
        wanted.routes = [IPPrefix("10.88.0.0/16")!, IPPrefix("2001:db8:88::/48")!, IPPrefix("10.77.0.0/24")!]
        return wanted
    }

    /// A socket of the host sends through the device; we read the packet, answer it, and the socket gets the answer.
    @Test(arguments: AddressFamily.allCases, ["", "10.88.5.6", "2001:db8:88::6"])
    func DP_packetsPassBothWays(family: AddressFamily, routed: String) throws {
        let remote = routed.isEmpty ? Self.inner(family, 9) : try #require(IPAddress(routed))
        guard remote.family == family else { return }
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            var device = try TUNDevice("tun-test", queues: 1)
            let index = try device.configure(Self.configuration())
            guard var port = device.take(queue: 0) else {
                Issue.record("no queue")
                return
            }
            var socket = try UDPPort(Endpoint(Self.inner(family, 1), port: 7000))
            let peer = Endpoint(remote, port: 7001)
            let payload = (0..<1300).map { UInt8(truncatingIfNeeded: $0) }
            let went = socket.send(payload, to: peer)
            #expect(went)
            var batch = Batch(capacity: 8, room: 9000)
            let packets = try receive(1, from: &port, into: &batch)
            let packet = packets.first?.octets ?? []
            let header = family == .ipv4 ? 20 : 40
            #expect(packet.count == header + 8 + payload.count)
            #expect(packet.first.map { $0 >> 4 } == (family == .ipv4 ? 4 : 6))
            #expect(Array(packet.dropFirst(header + 8)) == payload)
            #expect(
                Array(packet.dropFirst(family == .ipv4 ? 12 : 8).prefix(header - (family == .ipv4 ? 12 : 8))) == socket.local.address.octets
                    + remote.octets)

            batch.removeAll()
            for answer in [[1, 2, 3], [4]] as [[UInt8]] {
                _ = udpPacket(from: peer, to: socket.local, answer).withUnsafeBytes { batch.append(copying: $0, to: peer, from: peer) }
            }
            let written = try port.send(batch)
            #expect(written == 2)
            let answers = try receive(2, from: &socket, into: &batch)
            #expect(answers.map(\.octets) == [[1, 2, 3], [4]])
            #expect(answers.allSatisfy { $0.entry.peer == peer })
            // the kernel's and the tool's view agree with ours
            let shown = try shell("ip address show dev tun-test; ip link show dev tun-test")
            #expect(shown.contains("mtu 9000") && shown.contains("inet 10.77.0.1/24") && shown.contains("inet6 2001:db8:77::1/64"))
            #expect(!shown.contains("fe80") && shown.contains("\(index): tun-test"))
        }
    }

    @Test func theDeviceGoesWithItsLastQueue() throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            var netlink = try Netlink()
            do {
                var device = try TUNDevice("tun-test", queues: 3)
                let taken = device.take(queue: 1)
                let (has, again, beyond, before) = (
                    taken != nil, device.take(queue: 1) == nil, device.take(queue: 3) == nil, device.take(queue: -1) == nil
                )
                #expect(has && again && beyond && before)
                let there = try netlink.link(named: "tun-test")
                #expect(there?.isUp == false)
            }
            let gone = try eventually { () throws(SystemError) in try netlink.link(named: "tun-test") == nil }
            #expect(gone)
        }
    }

    /// Made in one namespace, used in another; gone from the first at once, from the second with its queues.
    @Test func aMovedDeviceServesItsNamespace() throws {
        try requireRoot()
        let name = "ipsecgw-test-\(getpid())"
        try shell("ip netns add \(name)")
        defer { _ = try? shell("ip netns delete \(name)") }
        let home = try freshNamespace()
        let target = try NetworkNamespace(named: name)
        try home.visit { () throws(SystemError) in
            var wanted = Self.configuration()
            wanted.namespace = name
            var device = try TUNDevice("tun-test", queues: 2)
            let index = try device.configure(wanted)
            var here = try Netlink()
            let gone = try here.link(named: "tun-test")
            #expect(gone == nil)
            let moved = try target.visit { () throws(SystemError) in
                var there = try Netlink()
                return try there.link(named: "tun-test")
            }
            #expect(moved?.index == index && moved?.isUp == true && moved?.mtu == 9000)
            guard var first = device.take(queue: 0), var second = device.take(queue: 1) else {
                Issue.record("no queue")
                return
            }
            var socket = try target.visit { () throws(SystemError) in try UDPPort(Endpoint(Self.inner(.ipv4, 1), port: 0)) }
            _ = socket.send([1, 2, 3], to: Endpoint(Self.inner(.ipv4, 2), port: 9))
            var batch = Batch(capacity: 4, room: 9000)
            let found = try receive(1, from: &first, into: &batch, seconds: 0.3) + receive(1, from: &second, into: &batch, seconds: 0.3)
            #expect(found.map { $0.octets.suffix(3) } == [[1, 2, 3]])
        }
        let gone = try target.visit { () throws(SystemError) in
            var there = try Netlink()
            return try eventually { () throws(SystemError) in try there.link(named: "tun-test") == nil }
        }
        #expect(gone)
    }

    @Test func badPacketsAndADeviceDownCostOnePacketEach() throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            var device = try TUNDevice("tun-test", queues: 1)
            let index = try device.configure(Self.configuration())
            guard var port = device.take(queue: 0) else { return }
            var socket = try UDPPort(Endpoint(Self.inner(.ipv4, 1), port: 7000))
            let peer = Endpoint(Self.inner(.ipv4, 9), port: 7001)
            var batch = Batch(capacity: 8, room: 9000)
            // neither version 4 nor 6; nothing at all; a good one
            for octets in [[0x15, 0, 0, 0], [], udpPacket(from: peer, to: socket.local, [9])] as [[UInt8]] {
                _ = octets.withUnsafeBytes { batch.append(copying: $0, to: peer, from: peer) }
            }
            let done = try port.send(batch)
            let counters = port.counters
            #expect(done == 3 && counters.sent == 1 && counters.refused == 1 && counters.lastRefusal == EINVAL)
            let found = try receive(1, from: &socket, into: &batch)
            #expect(found.map(\.octets) == [[9]])

            var netlink = try Netlink()
            try netlink.setUp(index, false)
            batch.removeAll()
            _ = udpPacket(from: peer, to: socket.local, [9]).withUnsafeBytes { batch.append(copying: $0, to: peer, from: peer) }
            _ = try port.send(batch)
            let down = port.counters
            #expect(down.refused == 2 && down.lastRefusal == EIO)
        }
    }

    @Test func threat_C2_aPacketLongerThanTheRoomIsCountedNotCut() throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            var device = try TUNDevice("tun-test", queues: 1)
            _ = try device.configure(Self.configuration())
            guard var port = device.take(queue: 0) else { return }
            var socket = try UDPPort(Endpoint(Self.inner(.ipv4, 1), port: 7000))
            let peer = Endpoint(Self.inner(.ipv4, 9), port: 7001)
            for length in [473, 472, 474, 2000] { _ = socket.send([UInt8](repeating: 5, count: length), to: peer) }
            var batch = Batch(capacity: 8, room: 500)
            let found = try receive(1, from: &port, into: &batch)
            let counters = port.counters
            #expect(found.map(\.octets.count) == [500])
            #expect(counters.received == 4 && counters.oversized == 3)
        }
    }

    @Test func nothingWaitingIsZeroAndADeletedDeviceIsAnError() throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            var device = try TUNDevice("tun-test", queues: 1)
            guard var port = device.take(queue: 0),
                let link = try Netlink.here({ (netlink) throws(SystemError) in try netlink.link(named: "tun-test") })
            else {
                Issue.record("no device")
                return
            }
            var batch = Batch(capacity: 8, room: 500)
            let nothing = try port.receive(into: &batch)
            #expect(nothing == 0)
            try Netlink.here { (netlink) throws(SystemError) in try netlink.delete(link.index) }
            let reading = failure { () throws(SystemError) in _ = try port.receive(into: &batch) }
            #expect(reading?.number == EBADFD && reading?.hint.contains("start the gateway again") == true)
            batch.removeAll()
            _ = [UInt8](repeating: 0x45, count: 20).withUnsafeBytes {
                batch.append(copying: $0, to: Endpoint(loopback(.ipv4), port: 0), from: Endpoint(loopback(.ipv4), port: 0))
            }
            let writing = failure { () throws(SystemError) in _ = try port.send(batch) }
            #expect(writing?.number == EBADFD)
        }
    }

    /// programs.md: the offloads that `ipsec-gw version` lists are those that a device and a socket then have.
    @Test func theKernelIsAskedForItsOffloads() throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            let offloads = KernelOffloads()
            #expect(offloads.device == (try TUNDevice("tun-test", queues: 2, offloads: .all).offloads))
            #expect(offloads.device?.contains([.header, .tcp]) == true)
            #expect(offloads.cutsDatagrams && offloads.joinsDatagrams)
            let link = try Netlink.here { netlink throws(SystemError) in try netlink.link(named: "gwask\(getpid())")?.index }
            #expect(link == nil, "what was asked by is gone")
        }
    }

    @Test func aForeignDeviceIsNotJoined() throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            let first = try TUNDevice("tun-test", queues: 2)
            let second = failure { () throws(SystemError) in _ = try TUNDevice("tun-test", queues: 1) }
            #expect(second?.number == EBUSY && second?.hint.contains("ip link show tun-test") == true)
            let loopback = failure { () throws(SystemError) in _ = try TUNDevice("lo", queues: 1) }
            #expect(loopback != nil)
            #expect(first.queues == 2)
        }
    }

    @Test(arguments: ["", "sixteen-letters-", "a/b", "a b", ".", "..", "a:b", "tun%d", "t\u{0}n", "tün"])
    func badNamesAreRefused(name: String) throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            let error = failure { () throws(SystemError) in _ = try TUNDevice(name, queues: 1) }
            #expect(error?.number == EINVAL && error?.hint.contains("1 to 15 characters") == true)
        }
    }
}

extension Netlink {
    /// One use of netlink in the calling thread's namespace.
    static func here<Result>(_ body: (inout Netlink) throws(SystemError) -> Result) throws(SystemError) -> Result {
        var netlink = try Netlink()
        return try body(&netlink)
    }
}

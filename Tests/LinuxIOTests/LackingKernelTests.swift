// What a kernel lacks is taken from this one in debug builds alone.
#if DEBUG
import CLinux
import Glibc
import LinuxIO
import Testing
import Wire

/// Issue "falls back by itself": kernels without offloads, with some, and with some that they lose in the middle of traffic.
@Suite struct LackingKernelTests {
    /// A row: so many datagrams in one entry, the last of half the length.
    private static func row(_ count: Int, _ size: Int, fill: UInt8) -> [[UInt8]] {
        (0..<count).map { number in
            [UInt8](repeating: fill &+ UInt8(truncatingIfNeeded: number), count: number == count - 1 && count > 1 ? size / 2 : size)
        }
    }

    private static func append(_ row: [[UInt8]], to batch: inout Batch, from local: Endpoint, to peer: Endpoint) {
        let index = row.flatMap { $0 }.withUnsafeBytes { batch.append(copying: $0, to: peer, from: local) }
        if let index, row.count > 1 { batch[index].segmentSize = row[0].count }
    }

    // MARK: At the start

    struct Device: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let lacking: LackingKernel.Offloads
        let left: SegmentOffloads
    }

    static let devices = [
        Device(testDescription: "without USO (Linux before 6.2)", lacking: .udp, left: [.header, .tcp]),
        Device(testDescription: "without TSO", lacking: .tcp, left: .header),
        Device(testDescription: "without TSO and USO", lacking: [.tcp, .udp], left: .header),
        Device(testDescription: "without IFF_VNET_HDR", lacking: .headers, left: []),
        Device(testDescription: "without any", lacking: [.headers, .tcp, .udp], left: []),
    ]

    /// What a device has less than this one's is read and written one by one, and is right.
    @Test(arguments: devices, AddressFamily.allCases)
    func aDeviceOfAKernelThatLacks(device: Device, family: AddressFamily) throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            let kernel = LackingKernel(lacking: device.lacking)
            var made = try kernel.run { () throws(SystemError) in try TUNDevice("tun-test", queues: 1, offloads: .all) }
            // What this very kernel lacks is lacking as well
            let left = device.left.intersection(KernelOffloads().device ?? [])
            #expect(made.offloads == left)
            let found = try kernel.run { () throws(SystemError) in KernelOffloads() }
            #expect(found.device == left && found.cutsDatagrams && found.joinsDatagrams, "and so says `ipsec-gw version`")
            _ = try made.configure(TUNPortTests.configuration())
            guard var port = made.take(queue: 0) else {
                Issue.record("no queue")
                return
            }
            #expect(port.offloads == left)

            // Out of the device: a row that its kernel has to cut before we read it
            var socket = try UDPPort(Endpoint(TUNPortTests.inner(family, 1), port: 7000))
            let peer = Endpoint(TUNPortTests.inner(family, 9), port: 7001)
            let row = Self.row(10, 1000, fill: 1)
            var batch = Batch(capacity: 16, room: 65_535)
            Self.append(row, to: &batch, from: socket.local, to: peer)
            let sent = try socket.send(batch)
            #expect(sent == 1)
            let packets = try receive(10, from: &port, into: &batch)
            #expect(packets.allSatisfy { $0.entry.offload.kind == 0 })
            let header = family == .ipv4 ? 20 : 40
            for (packet, datagram) in zip(packets, row) {
                var (got, wanted) = (Array(packet.octets.dropFirst(header)), Array(udpPacket(from: socket.local, to: peer, datagram)[header...]))
                if packet.entry.offload.flags & OffloadHeader.needsChecksum != 0, got.count >= 8 {
                    // The sum of the pseudo-header: the rest is left to us
                    #expect(left.contains(.tcp), "TUN_F_CSUM was not asked for")
                    got.patch(bigEndian: UInt16(0), at: 6)
                    wanted.patch(bigEndian: UInt16(0), at: 6)
                }
                #expect(got == wanted)
            }
            #expect(packets.count == 10)

            // Into the device
            batch.removeAll()
            let answers: [[UInt8]] = [[1, 2, 3], [4], [UInt8](repeating: 5, count: 1400)]
            for answer in answers {
                _ = udpPacket(from: peer, to: socket.local, answer).withUnsafeBytes { batch.append(copying: $0, to: peer, from: peer) }
            }
            let written = try port.send(batch)
            #expect(written == 3 && port.counters.refused == 0)
            let heard = try receive(3, from: &socket, into: &batch)
            #expect(heard.map(\.octets) == answers)
        }
    }

    /// A socket that cannot cut has us cut; one that cannot join is given datagrams one by one.
    @Test(arguments: [LackingKernel.Offloads.cuts, .joins, [.cuts, .joins]], AddressFamily.allCases)
    func aSocketOfAKernelThatLacks(lacking: LackingKernel.Offloads, family: AddressFamily) throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            let kernel = LackingKernel(lacking: lacking)
            let (cuts, joins) = (!lacking.contains(.cuts), !lacking.contains(.joins))
            let found = try kernel.run { () throws(SystemError) in KernelOffloads() }
            #expect(found.cutsDatagrams == cuts && found.joinsDatagrams == joins)
            var joining = UDPOptions()
            joining.coalesces = true
            let options = joining
            var sender = try kernel.run { () throws(SystemError) in try UDPPort(Endpoint(loopback(family), port: 0)) }
            var receiver = try kernel.run { () throws(SystemError) in try UDPPort(Endpoint(loopback(family), port: 0), options: options) }
            // Steered ones are made in another way
            let steered = try kernel.run { () throws(SystemError) in
                var ports = try SteeredPorts(Endpoint(loopback(family), port: 0), workers: 1, options: options)
                return ports.takeWorker(0)
            }
            guard let worker = steered else {
                Issue.record("no socket")
                return
            }
            #expect(sender.offloads == (cuts ? .udp : []) && worker.offloads == (cuts ? .udp : []))
            #expect(receiver.joins == joins && worker.joins == joins)

            let row = Self.row(10, 1000, fill: 1)
            var batch = Batch(capacity: 16, room: 65_535)
            Self.append(row, to: &batch, from: sender.local, to: receiver.local)
            let sent = try sender.send(batch)
            #expect(sent == 1 && sender.counters.sent == (cuts ? 1 : 10) && sender.counters.refused == 0 && batch[0].unsent == 0)
            let entries = try receive(cuts && joins ? 1 : 10, from: &receiver, into: &batch)
            #expect(entries.flatMap(\.octets) == row.flatMap { $0 })
            if !joins { #expect(entries.map(\.octets) == row && entries.allSatisfy { $0.entry.segmentSize == 0 }) }
        }
    }

    // MARK: Under way

    struct Loss: Sendable, CustomTestStringConvertible {
        let number: Int32
        /// Messages that go before.
        let after: Int
        let packetsPerCall: Int
        var testDescription: String { "errno \(number) after \(after) messages, \(packetsPerCall) a call" }
    }

    static let losses = [EIO, EOPNOTSUPP].flatMap { number in
        [(0, 64), (3, 64), (3, 4), (5, 1)].map { Loss(number: number, after: $0.0, packetsPerCall: $0.1) }
    }

    /// A device that cannot cut says so when messages are on their way already: each packet arrives once and in its order, and that was the last row.
    @Test(arguments: losses, AddressFamily.allCases)
    func aDeviceThatCannotCutInTheMiddleOfABatch(loss: Loss, family: AddressFamily) throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            var options = UDPOptions()
            options.packetsPerCall = loss.packetsPerCall
            var sender = try UDPPort(Endpoint(loopback(family), port: 0), options: options)
            var receiver = try UDPPort(Endpoint(loopback(family), port: 0))
            let kernel = LackingKernel()
            var batch = Batch(capacity: 16, room: 65_535)
            // Rows and single packets in turn
            let rows = (0..<12).map { Self.row($0 % 3 == 1 ? 1 : 10, 100, fill: UInt8($0 * 20)) }
            let packets = rows.flatMap { $0 }
            var total = 0
            for round in 0..<4 {
                // In the first nothing is lost
                if round == 1 { kernel.refuseRows(loss.number, after: loss.after) }
                let (refused, before) = (kernel.refused, sender.counters.sent)
                batch.removeAll()
                for row in rows { Self.append(row, to: &batch, from: sender.local, to: receiver.local) }
                let done = try kernel.run { () throws(SystemError) in try sender.send(batch) }
                #expect(done == rows.count && sender.counters.refused == 0 && sender.counters.lastRefusal == 0)
                let unsent = (0..<batch.count).map { batch[$0].unsent }
                #expect(unsent.allSatisfy { $0 == 0 })
                let sent = Int(sender.counters.sent - before)
                switch round {
                case 0: #expect(sent == rows.count && kernel.refused == 0 && sender.offloads == .udp)
                case 1: #expect(kernel.refused > 0 && sender.offloads.isEmpty && sent > rows.count)
                default: #expect(sent == packets.count && kernel.refused == refused, "packet by packet, without a row")
                }
                let found = try receive(packets.count, from: &receiver, into: &batch)
                #expect(found.map(\.octets) == packets, "round \(round)")
                total += found.count
            }
            // Nothing came twice
            let more = try receive(1, from: &receiver, into: &batch, seconds: 0.05)
            #expect(more.isEmpty && total == 4 * packets.count)
        }
    }

    /// Issue "Bad input": EIO and ENOBUFS of the TUN device in the middle of a batch. Each packet that it stands for is counted, and the next ones go.
    @Test(arguments: [EIO, ENOBUFS])
    func threat_theDeviceRefusesSomeOfABatch(number: Int32) throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            var device = try TUNDevice("tun-test", queues: 1, offloads: .all)
            _ = try device.configure(TUNPortTests.configuration())
            guard var port = device.take(queue: 0) else {
                Issue.record("no queue")
                return
            }
            var socket = try UDPPort(Endpoint(TUNPortTests.inner(.ipv4, 1), port: 7000))
            let peer = Endpoint(TUNPortTests.inner(.ipv4, 9), port: 7001)
            var batch = Batch(capacity: 8, room: 65_535)
            for fill in UInt8(1)...5 {
                let packet = udpPacket(from: peer, to: socket.local, [UInt8](repeating: fill, count: 950))
                _ = packet.withUnsafeBytes { batch.append(copying: $0, to: peer, from: peer) }
            }
            // The second stands for ten
            batch[1].offload.kind = OffloadHeader.udp
            batch[1].offload.headerLength = 28
            batch[1].offload.segmentSize = 100
            let kernel = LackingKernel()
            kernel.refuseWrites(number, times: 2, after: 1)
            let done = try kernel.run { () throws(SystemError) in try port.send(batch) }
            #expect(done == 5 && kernel.refused == 2)
            #expect(port.counters.sent == 3 && port.counters.refused == 11 && port.counters.lastRefusal == number)
            let found = try receive(3, from: &socket, into: &batch)
            #expect(found.map { $0.octets.first } == [1, 4, 5])
        }
    }
}
#endif

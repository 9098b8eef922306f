import CLinux
import Glibc
import LinuxIO
import Testing
import Wire

@Suite struct UDPPortTests {
    /// 100 datagrams of all sizes in one batch, against sockets that take 32 a call.
    @Test(arguments: AddressFamily.allCases)
    func batchesPassOverLoopback(family: AddressFamily) throws {
        let seed = UInt64.random(in: 0 ... .max)
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            var random = Seeded(seed)
            var options = UDPOptions()
            options.packetsPerCall = 32
            var sender = try UDPPort(Endpoint(loopback(family), port: 0), options: options)
            var receiver = try UDPPort(Endpoint(loopback(family), port: 4500), options: options)
            #expect(receiver.local.port == 4500 && sender.local.port != 0)
            var batch = Batch(capacity: 100, room: 2048)
            var sent: [[UInt8]] = []
            for index in 0..<100 {
                let octets = random.octets(index == 0 ? 1 : Int.random(in: 1...1400, using: &random))
                let slot = octets.withUnsafeBytes { batch.append(copying: $0, to: receiver.local, from: sender.local) }
                #expect(slot == index)
                // every tenth is taken out again: an entry of length 0 is passed over
                if index % 10 == 9 { _ = batch.place(index, start: 0, length: 0) } else { sent.append(octets) }
            }
            let done = try sender.send(batch)
            #expect(done == 100)
            let counters = sender.counters
            #expect(counters.sent == 90 && counters.refused == 0)
            let found = try receive(90, from: &receiver, into: &batch)
            #expect(found.map(\.octets) == sent, "seed \(seed)")
            #expect(found.allSatisfy { $0.entry.peer == sender.local && $0.entry.local == receiver.local && $0.entry.start == batch.headroom })
        }
    }

    @Test(arguments: AddressFamily.allCases)
    func batchesPassAcrossAWire(family: AddressFamily) throws {
        let wire = try Wire2()
        var sender = try wire.left.visit { () throws(SystemError) in try UDPPort(Endpoint(Wire2.leftAddress(family), port: 4500)) }
        var receiver = try wire.right.visit { () throws(SystemError) in try UDPPort(Endpoint(Wire2.rightAddress(family), port: 4500)) }
        var batch = Batch(capacity: 64, room: 2048)
        for fill in UInt8(1)...64 {
            _ = [UInt8](repeating: fill, count: 1200).withUnsafeBytes { batch.append(copying: $0, to: receiver.local, from: sender.local) }
        }
        let done = try sender.send(batch)
        #expect(done == 64)
        let found = try receive(64, from: &receiver, into: &batch)
        #expect(found.map { $0.octets } == (UInt8(1)...64).map { [UInt8](repeating: $0, count: 1200) })
        #expect(found.allSatisfy { $0.entry.peer == Endpoint(Wire2.leftAddress(family), port: 4500) })
        // and back, with the very batch
        let answered = try receiver.send(batch)
        #expect(answered == batch.count)
        let echoed = try receive(answered, from: &sender, into: &batch)
        #expect(echoed.map { $0.octets } == found.suffix(answered).map { $0.octets })
    }

    @Test(arguments: AddressFamily.allCases)
    func nothingWaitingIsZeroAndEmptyDatagramsAreEntries(family: AddressFamily) throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            var sender = try UDPPort(Endpoint(loopback(family), port: 0))
            var receiver = try UDPPort(Endpoint(loopback(family), port: 0))
            var batch = Batch(capacity: 8, room: 100)
            _ = batch.append(length: 5)
            let nothing = try receiver.receive(into: &batch)
            let count = batch.count
            #expect(nothing == 0 && count == 0)
            for octets in [[], [0xff], [1, 2, 3]] as [[UInt8]] {
                let sent = sender.send(octets, to: receiver.local)
                #expect(sent)
            }
            let found = try receive(3, from: &receiver, into: &batch)
            #expect(found.map(\.octets) == [[], [0xff], [1, 2, 3]])
            let nobody = try sender.send(batch, from: 99)
            #expect(nobody == batch.count)
        }
    }

    @Test(arguments: AddressFamily.allCases)
    func threat_C2_aDatagramLongerThanTheRoomIsCountedNotCut(family: AddressFamily) throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            var sender = try UDPPort(Endpoint(loopback(family), port: 0))
            var receiver = try UDPPort(Endpoint(loopback(family), port: 0))
            for length in [101, 100, 65_000] { _ = sender.send([UInt8](repeating: 7, count: length), to: receiver.local) }
            var batch = Batch(capacity: 8, room: 100)
            let found = try receive(3, from: &receiver, into: &batch)
            #expect(found.map(\.octets.count) == [0, 100, 0])
            let counters = receiver.counters
            #expect(counters.oversized == 2 && counters.received == 3)
        }
    }

    /// A packet without a route costs itself only.
    @Test(arguments: AddressFamily.allCases)
    func refusedPacketsAreCountedAndPassedOver(family: AddressFamily) throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            var sender = try UDPPort(Endpoint(loopback(family), port: 0))
            var receiver = try UDPPort(Endpoint(loopback(family), port: 0))
            let nowhere = Endpoint(IPAddress(family == .ipv4 ? "198.51.100.1" : "2001:db8:ffff::1")!, port: 9)
            var batch = Batch(capacity: 8, room: 100)
            for index in UInt8(0)..<6 {
                let peer = index % 2 == 0 ? nowhere : receiver.local
                _ = [index].withUnsafeBytes { batch.append(copying: $0, to: peer, from: sender.local) }
            }
            // an entry that was given no peer at all
            _ = batch.append(length: 1)
            let done = try sender.send(batch)
            #expect(done == 7)
            let counters = sender.counters
            #expect(counters.sent == 3 && counters.refused == 4)
            let found = try receive(3, from: &receiver, into: &batch)
            #expect(found.map(\.octets) == [[1], [3], [5]])
        }
    }

    @Test(arguments: AddressFamily.allCases)
    func aFullQueueSaysWhereItStopped(family: AddressFamily) throws {
        let wire = try Wire2()
        try wire.left.visit { () throws(SystemError) in
            // packets stand in the queue, so the socket's buffer fills
            try shell("tc qdisc add dev left root tbf rate 8kbit burst 2000 limit 10000000")
            var options = UDPOptions()
            options.sendBuffer = 8192
            var sender = try UDPPort(Endpoint(Wire2.leftAddress(family), port: 0), options: options)
            var batch = Batch(capacity: 200, room: 1500)
            let peer = Endpoint(Wire2.rightAddress(family), port: 9)
            for _ in 0..<200 { _ = [UInt8](repeating: 1, count: 1000).withUnsafeBytes { batch.append(copying: $0, to: peer, from: sender.local) } }
            let stopped = try sender.send(batch)
            let counters = sender.counters
            #expect(stopped > 0 && stopped < 200)
            #expect(counters.sent == UInt64(stopped) && counters.refused == 0)
            let again = try sender.send(batch, from: stopped)
            #expect(again >= stopped && again < 200)
        }
    }

    @Test(arguments: AddressFamily.allCases, [UInt8(0), 0x02, 0xb8, 0xff])
    func DP8_trafficClassTravels(family: AddressFamily, mark: UInt8) throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            var options = UDPOptions()
            options.receivesTrafficClass = true
            var sender = try UDPPort(Endpoint(loopback(family), port: 0), options: options)
            var receiver = try UDPPort(Endpoint(loopback(family), port: 0), options: options)
            var batch = Batch(capacity: 4, room: 100)
            _ = [UInt8](repeating: 1, count: 9).withUnsafeBytes { batch.append(copying: $0, to: receiver.local, from: sender.local) }
            batch[0].trafficClass = mark
            _ = try sender.send(batch)
            let found = try receive(1, from: &receiver, into: &batch)
            #expect(found.map(\.entry.trafficClass) == [mark])
        }
    }

    /// One entry of ten segments: ten datagrams for whoever does not coalesce, one entry for whoever does.
    @Test(arguments: AddressFamily.allCases)
    func segmentsAreSplitAndJoined(family: AddressFamily) throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            var joining = UDPOptions()
            joining.coalesces = true
            var sender = try UDPPort(Endpoint(loopback(family), port: 0))
            var single = try UDPPort(Endpoint(loopback(family), port: 0))
            var joined = try UDPPort(Endpoint(loopback(family), port: 0), options: joining)
            let octets = (0..<9_500).map { UInt8($0 / 1000 + 1) }
            var batch = Batch(capacity: 16, room: 65_535)
            for peer in [single.local, joined.local] {
                let index = octets.withUnsafeBytes { batch.append(copying: $0, to: peer, from: sender.local) }
                if let index { batch[index].segmentSize = 1000 }
            }
            let done = try sender.send(batch)
            let counters = sender.counters
            #expect(done == 2 && counters.refused == 0)
            let apart = try receive(10, from: &single, into: &batch)
            #expect(apart.map(\.octets.count) == [Int](repeating: 1000, count: 9) + [500])
            #expect(apart.flatMap(\.octets) == octets)
            #expect(apart.allSatisfy { $0.entry.segmentSize == 0 })
            let together = try receive(1, from: &joined, into: &batch)
            #expect(together.map(\.octets) == [octets])
            #expect(together.map(\.entry.segmentSize) == [1000])
        }
    }

    /// RAD-8: a socket that is full in the middle of a row, which nobody answers for at the link layer, so that its packets stay where they are. What has
    /// left is known to the packet: where we cut the row ourselves, and where the kernel would not cut that many.
    @Test(arguments: [true, false])
    func aRowThatFillsTheSocket(asksTheKernel: Bool) throws {
        let wire = try Wire2()
        try wire.left.visit { () throws(SystemError) in
            var options = UDPOptions()
            options.segments = asksTheKernel
            options.sendBuffer = 20_000
            var sender = try UDPPort(Endpoint(IPAddress(v4: 0xc000_0201), port: 0), options: options)
            var batch = Batch(capacity: 4, room: 65_535)
            for _ in 0..<2 {
                if let index = batch.append(length: 30_000) {
                    batch[index].peer = Endpoint(IPAddress(v4: 0xc000_024d), port: 9)
                    batch[index].segmentSize = 100
                }
            }
            let done = try sender.send(batch)
            let gone = Int(sender.counters.sent)
            #expect(done == 1 && gone > 0 && gone < 300, "\(gone) of 300")
            #expect(batch[0].unsent == 300 - gone && batch[1].unsent == 0)
            // Nothing has left of the second: it may be sent again as it is, and as much of it leaves as there is room for by then
            let again = try sender.send(batch, from: 1)
            let more = Int(sender.counters.sent) - gone
            #expect(again == (more > 0 ? 2 : 1) && batch[1].unsent == (more > 0 ? 300 - more : 0) && sender.counters.refused == 0)
        }
    }

    /// Packets longer than the link, with DF: the first says what becomes of the others.
    @Test func aRowThatIsTooLongForTheLink() throws {
        let wire = try Wire2()
        try wire.left.visit { () throws(SystemError) in
            var options = UDPOptions()
            options.pathMTU = .probe
            var sender = try UDPPort(Endpoint(IPAddress(v4: 0xc000_0201), port: 0), options: options)
            var batch = Batch(capacity: 4, room: 65_535)
            for size in [1600, 1000] {
                if let index = batch.append(length: 16_000) {
                    batch[index].peer = Endpoint(IPAddress(v4: 0xc000_0202), port: 9)
                    batch[index].segmentSize = size
                }
            }
            let done = try sender.send(batch)
            #expect(done == 2 && batch[0].unsent == 10 && batch[1].unsent == 0)
            #expect(sender.counters.refused == 10 && sender.counters.sent == 1 && sender.counters.lastRefusal == EMSGSIZE)
        }
    }

    /// Joined datagrams of 50,000 octets: the port learns how long they are, leaves off when it has read what a cache holds, and says so.
    @Test(arguments: AddressFamily.allCases)
    func aReadLeavesOffBeforeTheCacheIsFull(family: AddressFamily) throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            var joining = UDPOptions()
            joining.coalesces = true
            var sender = try UDPPort(Endpoint(loopback(family), port: 0))
            var joined = try UDPPort(Endpoint(loopback(family), port: 0), options: joining)
            var batch = Batch(capacity: 32, room: 65_535)
            var reads: [[Int]] = []
            var endings: [Bool] = []
            for _ in 0..<2 {
                for _ in 0..<16 {
                    if let index = batch.append(length: 50_000) {
                        batch[index].peer = joined.local
                        batch[index].segmentSize = 1000
                    }
                }
                let done = try sender.send(batch)
                #expect(done == 16)
                var counts: [Int] = []
                repeat {
                    counts.append(try joined.receive(into: &batch))
                    if counts.last != 0 { endings.append(batch.leavesMore) }
                } while counts.last != 0 && counts.count < 100
                reads.append(counts)
                batch.removeAll()
            }
            #expect(reads[0] == [16, 0] && !endings[0], "nothing was known of their length")
            #expect(reads[1].reduce(0, +) == 16 && reads[1].allSatisfy { $0 * 50_000 <= 300_000 }, "\(reads[1])")
            #expect(endings[1])
        }
    }

    /// DF and fragments: 4,000 octets over a wire of 1,500.
    @Test(arguments: AddressFamily.allCases, PathMTUDiscovery.allCases)
    func DP5_longPacketsAreFragmentedOrRefused(family: AddressFamily, discovery: PathMTUDiscovery) throws {
        let wire = try Wire2()
        var options = UDPOptions()
        options.pathMTU = discovery
        var sender = try wire.left.visit { () throws(SystemError) in try UDPPort(Endpoint(Wire2.leftAddress(family), port: 0), options: options) }
        var receiver = try wire.right.visit { () throws(SystemError) in try UDPPort(Endpoint(Wire2.rightAddress(family), port: 0)) }
        var batch = Batch(capacity: 1, room: 5000)
        _ = [UInt8](repeating: 3, count: 4000).withUnsafeBytes { batch.append(copying: $0, to: receiver.local, from: sender.local) }
        let done = try sender.send(batch)
        #expect(done == 1)
        let counters = sender.counters
        switch discovery {
        case .dont, .want, .omit:
            #expect(counters.sent == 1)
            let found = try receive(1, from: &receiver, into: &batch)
            #expect(found.map(\.octets.count) == [4000])
        case .always, .probe, .interface:
            #expect(counters.refused == 1 && counters.lastRefusal == EMSGSIZE)
        }
    }

    @Test func openingSaysWhatToDo() throws {
        let namespace = try freshNamespace()
        try namespace.visit { () throws(SystemError) in
            let foreign = failure { () throws(SystemError) in _ = try UDPPort(Endpoint(IPAddress("192.0.2.77")!, port: 500)) }
            #expect(foreign?.number == EADDRNOTAVAIL && foreign?.hint.contains("192.0.2.77") == true)
            let holder = try UDPPort(Endpoint(loopback(.ipv4), port: 500))
            let taken = failure { () throws(SystemError) in _ = try UDPPort(holder.local) }
            #expect(taken?.number == EADDRINUSE && taken?.hint.contains("ss -lunp") == true)
            #expect(taken?.description.hasPrefix("UDP 127.0.0.1:500: bind: Address already in use; another process") == true)
        }
    }
}

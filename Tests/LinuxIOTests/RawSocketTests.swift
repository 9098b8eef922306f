import CLinux
import Glibc
import LinuxIO
import Testing
import Wire

/// ESP as an IP protocol of its own, and IP packets with headers of ours.
@Suite struct RawSocketTests {
    static func packet(worker: UInt32, number: UInt8) -> [UInt8] {
        var packet: [UInt8] = []
        packet.append(bigEndian: UInt32(0x8100_0000) | UInt32(number) << 6 | worker)
        return packet + [0, 0, 0, number] + [UInt8](repeating: number, count: 40 + Int(number))
    }

    static func open(_ wire: borrowing NetworkNamespace, _ address: IPAddress, _ share: DatagramPort.ESPShare) throws -> DatagramPort {
        var options = UDPOptions()
        options.receivesTrafficClass = true
        return try wire.visit { () throws(SystemError) in try DatagramPort.esp(address, taking: share, options: options) }
    }

    @Test(arguments: AddressFamily.allCases)
    func nativeESPReachesTheWorkerThatTheSPINames(family: AddressFamily) throws {
        let wire = try Wire2()
        let (left, right) = (Wire2.leftAddress(family), Wire2.rightAddress(family))
        var sender = try Self.open(wire.left, left, .all)
        var first = try Self.open(wire.right, right, .worker(0))
        var second = try Self.open(wire.right, right, .worker(5))
        var mute = try Self.open(wire.right, right, .none)
        var batch = Batch(capacity: 64, room: 2048)
        for number in UInt8(1)...12 {
            let index = Self.packet(worker: number % 2 == 0 ? 0 : 5, number: number).withUnsafeBytes {
                batch.append(copying: $0, to: Endpoint(right, port: 0), from: Endpoint(left, port: 0))
            }
            if let index { batch[index].trafficClass = 0xb9 }
        }
        // shorter than an SPI
        _ = [UInt8(1), 2].withUnsafeBytes { batch.append(copying: $0, to: Endpoint(right, port: 0), from: Endpoint(left, port: 0)) }
        let done = try sender.send(batch)
        let counters = sender.counters
        #expect(done == 13 && counters.sent == 13 && counters.refused == 0)
        let even = try receive(6, from: &first, into: &batch)
        #expect(even.map(\.octets) == stride(from: UInt8(2), through: 12, by: 2).map { Self.packet(worker: 0, number: $0) })
        #expect(even.allSatisfy { $0.entry.peer == Endpoint(left, port: 0) && $0.entry.local == Endpoint(right, port: 0) })
        #expect(even.allSatisfy { $0.entry.trafficClass == 0xb9 })
        let odd = try receive(6, from: &second, into: &batch)
        #expect(odd.map(\.octets) == stride(from: UInt8(1), through: 11, by: 2).map { Self.packet(worker: 5, number: $0) })
        let nothing = try mute.receive(into: &batch) + first.receive(into: &batch) + second.receive(into: &batch)
        #expect(nothing == 0)
        // one that takes nothing sends all the same
        _ = batch.append(length: 0)
        let isSent = mute.send(Self.packet(worker: 0, number: 3), to: Endpoint(left, port: 0))
        #expect(isSent)
        let back = try receive(1, from: &sender, into: &batch)
        #expect(back.map(\.octets) == [Self.packet(worker: 0, number: 3)])
    }

    /// Another address of the host is another gateway's.
    @Test(arguments: AddressFamily.allCases)
    func nativeESPIsOfOneAddress(family: AddressFamily) throws {
        let wire = try Wire2()
        let other = IPAddress(family == .ipv4 ? "192.0.2.3" : "2001:db8::3")!
        try wire.right.visit { () throws(SystemError) in
            var netlink = try Netlink()
            guard let link = try netlink.link(named: "right") else { throw SystemError(ENODEV, call: "veth") }
            try netlink.addAddress(other, prefixLength: family == .ipv4 ? 24 : 64, to: link.index)
        }
        var sender = try Self.open(wire.left, Wire2.leftAddress(family), .none)
        var port = try Self.open(wire.right, Wire2.rightAddress(family), .all)
        var beside = try Self.open(wire.right, other, .all)
        let isSent = sender.send(Self.packet(worker: 0, number: 9), to: Endpoint(other, port: 0))
        #expect(isSent)
        var batch = Batch(capacity: 4, room: 2048)
        let found = try receive(1, from: &beside, into: &batch)
        #expect(found.count == 1)
        let nothing = try port.receive(into: &batch)
        #expect(nothing == 0)
    }

    /// A datagram that the kernel fragmented says so on arrival, one that came whole does not: UDP and ESP, both families.
    @Test(arguments: AddressFamily.allCases, [true, false])
    func DP6_fragmentsAreTold(family: AddressFamily, isUDP: Bool) throws {
        let wire = try Wire2()
        var options = UDPOptions()
        options.receivesFragmentSize = true
        let (left, right) = (Wire2.leftAddress(family), Wire2.rightAddress(family))
        func port(_ address: IPAddress) throws(SystemError) -> DatagramPort {
            isUDP
                ? try UDPPort(Endpoint(address, port: 4500), options: options).datagramPort()
                : try DatagramPort.esp(address, taking: .all, options: options)
        }
        var sender = try wire.left.visit { () throws(SystemError) in try port(left) }
        var receiver = try wire.right.visit { () throws(SystemError) in try port(right) }
        for length in [1000, 4000] {
            let isSent = sender.send([UInt8](repeating: 0x81, count: length), to: Endpoint(right, port: isUDP ? 4500 : 0))
            #expect(isSent)
        }
        var batch = Batch(capacity: 4, room: 9000)
        let found = try receive(2, from: &receiver, into: &batch)
        #expect(found.map(\.octets.count) == [1000, 4000])
        #expect(found.map(\.entry.wasFragmented) == [false, true])
    }

    /// Two IPv4 fragments with headers of ours arrive as one datagram; nothing ever comes in by such a socket.
    @Test func DP5_wholePacketsOfOurOwn() throws {
        let wire = try Wire2()
        let (left, right) = (Wire2.leftAddress(.ipv4), Wire2.rightAddress(.ipv4))
        var sender = try wire.left.visit { () throws(SystemError) in try DatagramPort.wholePackets(.ipv4) }
        var receiver = try wire.right.visit { () throws(SystemError) in try UDPPort(Endpoint(right, port: 4500)) }
        let payload: [UInt8] = [0xee, 0x48, 0x11, 0x94, 0, 208, 0, 0] + [UInt8](repeating: 7, count: 200)
        var batch = Batch(capacity: 4, room: 1500)
        for (offset, part) in [(0, payload[..<104]), (13, payload[104...])] {
            let total = UInt8(20 + part.count)
            let header: [UInt8] =
                [0x45, 0, 0, total, 0x77, 0x77, offset == 0 ? 0x20 : 0, UInt8(offset), 64, 17, 0, 0] + left.octets + right.octets
            _ = (header + part).withUnsafeBytes { batch.append(copying: $0, to: Endpoint(right, port: 4500), from: Endpoint(left, port: 4500)) }
        }
        let done = try sender.send(batch)
        let counters = sender.counters
        #expect(done == 2 && counters.sent == 2)
        let found = try receive(1, from: &receiver, into: &batch)
        #expect(found.map(\.octets) == [[UInt8](repeating: 7, count: 200)] && found.map(\.entry.peer) == [Endpoint(left, port: 61_000)])
        let descriptor = sender.descriptor
        #expect(descriptor < 0)
    }

    static func checksum(_ octets: [UInt8]) -> [UInt8] {
        var sum: UInt32 = 0
        for at in stride(from: 0, to: octets.count, by: 2) {
            sum += UInt32(octets[at]) << 8 | UInt32(at + 1 < octets.count ? octets[at + 1] : 0)
        }
        while sum >> 16 != 0 { sum = sum & 0xffff + sum >> 16 }
        return [UInt8(~sum >> 8 & 0xff), UInt8(~sum & 0xff)]
    }

    /// "Your packet to us does not fit": what anybody can say who knows addresses and port 4500.
    static func packetTooBig(_ mtu: UInt16, from sender: IPAddress, to victim: IPAddress, quoting content: [UInt8], ipProtocol: UInt8) -> [UInt8] {
        let mtuOctets = [UInt8(mtu >> 8), UInt8(mtu & 0xff)]
        if sender.family == .ipv4 {
            let quoted: [UInt8] = [0x45, 0, 0x05, 0xdc, 0, 1, 0x40, 0, 64, ipProtocol, 0, 0] + victim.octets + sender.octets + content
            var message: [UInt8] = [3, 4, 0, 0, 0, 0] + mtuOctets + quoted
            message.replaceSubrange(2..<4, with: checksum(message))
            let total = UInt8(20 + message.count)
            return [0x45, 0, 0, total, 0, 9, 0, 0, 64, 1, 0, 0] + sender.octets + victim.octets + message
        }
        let quoted: [UInt8] = [0x60, 0, 0, 0, 0x05, 0xb4, ipProtocol, 64] + victim.octets + sender.octets + content
        var message: [UInt8] = [2, 0, 0, 0, 0, 0] + mtuOctets + quoted
        let pseudo: [UInt8] = sender.octets + victim.octets + [0, 0, 0, UInt8(message.count), 0, 0, 0, 58]
        message.replaceSubrange(2..<4, with: checksum(pseudo + message))
        return [0x60, 0, 0, 0, 0, UInt8(message.count), 58, 64] + sender.octets + victim.octets + message
    }

    /// A forged "packet too big" of 68 changes nothing over IPv4; over IPv6 what every link carries still leaves whole.
    @Test(arguments: AddressFamily.allCases, [true, false])
    func threat_P33_forgedPacketTooBig(family: AddressFamily, isUDP: Bool) throws {
        let wire = try Wire2()
        let (left, right) = (Wire2.leftAddress(family), Wire2.rightAddress(family))
        var options = UDPOptions()
        options.receivesFragmentSize = true
        func port(_ address: IPAddress) throws(SystemError) -> DatagramPort {
            isUDP
                ? try UDPPort(Endpoint(address, port: 4500), options: options).datagramPort()
                : try DatagramPort.esp(address, taking: .all, options: options)
        }
        var gateway = try wire.left.visit { () throws(SystemError) in try port(left) }
        var client = try wire.right.visit { () throws(SystemError) in try port(right) }
        var forger = try wire.right.visit { () throws(SystemError) in try DatagramPort.wholePackets(family) }
        let to = Endpoint(right, port: isUDP ? 4500 : 0)
        let length = family == .ipv4 ? 1400 : 1200
        let first = gateway.send([UInt8](repeating: 0x81, count: length), to: to)
        #expect(first)
        var batch = Batch(capacity: 4, room: 9000)
        let before = try receive(1, from: &client, into: &batch)
        #expect(before.map(\.octets.count) == [length] && before.map(\.entry.wasFragmented) == [false])
        let quoted: [UInt8] = isUDP ? [0x11, 0x94, 0x11, 0x94, 5, 0, 0, 0] : [0x81, 0x81, 0x81, 0x81, 0, 0, 0, 1]
        for mtu in [68, 576, 1279, 1280] as [UInt16] {
            let forged = Self.packetTooBig(mtu, from: right, to: left, quoting: quoted, ipProtocol: isUDP ? 17 : 50)
            let isSent = forger.send(forged, to: Endpoint(left, port: 0))
            #expect(isSent)
        }
        usleep(50_000)
        let second = gateway.send([UInt8](repeating: 0x82, count: length), to: to)
        #expect(second)
        let after = try receive(1, from: &client, into: &batch)
        #expect(after.map(\.octets.count) == [length] && after.map(\.entry.wasFragmented) == [false])
    }
}

/// What routers say of packets from one of our addresses (threats.md P33).
@Suite struct PathMTUReportSocketTests {
    private static func message(_ family: AddressFamily, type: UInt8, code: UInt8) -> [UInt8] {
        var message: [UInt8] = [type, code, 0, 0, 0, 0, 5, 0] + [UInt8](repeating: 0x45, count: 60)
        if family == .ipv4 {
            var sum = 0
            for at in stride(from: 0, to: message.count, by: 2) { sum += Int(message[at]) << 8 | Int(message[at + 1]) }
            while sum >> 16 != 0 { sum = sum & 0xffff + sum >> 16 }
            message[2] = ~UInt8(truncatingIfNeeded: sum >> 8)
            message[3] = ~UInt8(truncatingIfNeeded: sum)
        }
        return message
    }

    /// Sends ICMP with a header of the kernel's; over IPv6 it writes the checksum too.
    private static func send(_ messages: [[UInt8]], _ family: AddressFamily, to address: IPAddress) throws(SystemError) {
        let number = Int32(family == .ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)
        let domain = family == .ipv4 ? AF_INET : AF_INET6
        let socket = FileDescriptor(owning: Glibc.socket(domain, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), number))
        for message in messages {
            var target = sockaddr_storage()
            let length: socklen_t
            if family == .ipv4 {
                length = withUnsafeMutableBytes(of: &target) { memory in
                    var name = sockaddr_in()
                    name.sin_family = sa_family_t(AF_INET)
                    name.sin_addr.s_addr = UInt32(truncatingIfNeeded: address.value).bigEndian
                    memory.storeBytes(of: name, as: sockaddr_in.self)
                    return socklen_t(MemoryLayout<sockaddr_in>.size)
                }
            } else {
                length = withUnsafeMutableBytes(of: &target) { memory in
                    var name = sockaddr_in6()
                    name.sin6_family = sa_family_t(AF_INET6)
                    withUnsafeMutableBytes(of: &name.sin6_addr) { $0.copyBytes(from: address.octets) }
                    memory.storeBytes(of: name, as: sockaddr_in6.self)
                    return socklen_t(MemoryLayout<sockaddr_in6>.size)
                }
            }
            let sent = message.withUnsafeBytes { gw_sendto(socket.rawValue, $0.baseAddress, $0.count, 0, &target, length) }
            guard sent == message.count else { throw .last("sendto") }
        }
    }

    @Test("nothing but `fragmentation needed` and `packet too big` comes in, from the ICMP header on", arguments: AddressFamily.allCases)
    func threat_P33_onlyReportsComeIn(family: AddressFamily) throws {
        let wire = try Wire2()
        var port = try wire.right.visit { () throws(SystemError) in try DatagramPort.pathMTUReports(Wire2.rightAddress(family)) }
        let wanted = family == .ipv4 ? (UInt8(3), UInt8(4)) : (2, 0)
        let others: [(UInt8, UInt8)] = family == .ipv4 ? [(3, 3), (3, 0), (8, 0), (11, 0), (4, 3)] : [(1, 4), (3, 0), (128, 0), (2, 1)]
        let messages = others.map { Self.message(family, type: $0.0, code: $0.1) } + [Self.message(family, type: wanted.0, code: wanted.1)]
        try wire.left.visit { () throws(SystemError) in try Self.send(messages, family, to: Wire2.rightAddress(family)) }
        var batch = Batch(capacity: 16, room: 2048)
        let found = try receive(1, from: &port, into: &batch)
        #expect(found.count == 1)
        var octets = try #require(found.first).octets
        #expect((octets[0], octets[1]) == wanted)
        octets.replaceSubrange(2..<4, with: messages[messages.count - 1][2..<4])
        #expect(octets == messages[messages.count - 1])
        #expect(found[0].entry.local == Endpoint(Wire2.rightAddress(family), port: 0))
        // The last one sent has come: none of the others will
        let more = try port.receive(into: &batch)
        #expect(more == 0)
    }
}

import LinuxIO
import Wire

/// IKE_SA_INIT requests of addresses that are not ours.
struct SpoofedFlood: FloodOrigin, ~Copyable {
    private let templates: InitTemplates
    private let remote: Endpoint
    private let prefix: IPPrefix
    private var port: DatagramPort
    private let tap: AnswerTap
    private var poller: Poller
    private var batch = Batch(capacity: 256, room: 2048)
    private var generator: SplitMix64

    init(_ templates: InitTemplates, remote: Endpoint, prefix: IPPrefix) throws(SystemError) {
        self.templates = templates
        self.remote = remote
        self.prefix = prefix
        generator = SplitMix64(seed: templates.seed)
        var options = UDPOptions()
        options.packetsPerCall = 256
        options.sendBuffer = 32 << 20
        let port = try DatagramPort.wholePackets(remote.address.family, options: options)
        let tap = try AnswerTap(gateway: remote.address, sources: prefix)
        let poller = try Poller()
        try poller.add(tap.descriptor, token: 1)
        self.port = port
        self.tap = tap
        self.poller = poller
    }

    var turn: Int { batch.capacity }
    var missed: Int { tap.missed }

    mutating func read(until deadline: Instant, isOver: Bool, _ book: inout FloodBook) throws(SystemError) {
        tap.drain(atMost: 1024, into: &book.answers)
        if deadline > MonotonicClock.now { _ = try poller.wait(until: deadline) }
    }

    mutating func send(_ count: Int, _ book: inout FloodBook) {
        batch.removeAll()
        var octets = 0
        for _ in 0..<count {
            let spi = generator.next() | 1
            let template = templates[spi]
            let source = SpoofedPacket.address(in: prefix, using: &generator)
            let length = SpoofedPacket.headers(remote.address.family) + template.octets.count
            guard let index = batch.append(length: length) else { break }
            let sourcePort = UInt16.random(in: 1024 ... .max, using: &generator)
            unsafe SpoofedPacket.write(
                template, spi: spi, seed: templates.seed, from: Endpoint(source, port: sourcePort), to: remote, into: batch.octets(index))
            batch[index].peer = Endpoint(remote.address, port: 0)
            octets += length
        }
        let refused = port.counters.refused
        let reached = port.sendAll(batch) - Int(port.counters.refused - refused)
        book.sent += reached
        book.octetsSent += batch.isEmpty ? 0 : octets * reached / batch.count
    }
}

/// A whole IP packet around an IKE_SA_INIT request.
enum SpoofedPacket {
    static func headers(_ family: AddressFamily) -> Int { family == .ipv4 ? 28 : 48 }

    /// Any address of the prefix.
    static func address(in prefix: IPPrefix, using generator: inout SplitMix64) -> IPAddress {
        let random = UInt128(generator.next()) << 64 | UInt128(generator.next())
        let host = random & ~prefix.netmask.value & prefix.family.maximum
        return IPAddress(family: prefix.family, value: prefix.address.value | host)
    }

    /// Into memory of headers and template. The kernel fills in the checksum of an IPv4 header.
    static func write(
        _ template: InitTemplate, spi: UInt64, seed: UInt64, from source: Endpoint, to remote: Endpoint, into memory: UnsafeMutableRawBufferPointer
    ) {
        let family = remote.address.family
        let udp = headers(family) - 8
        let udpLength = UInt16(clamping: 8 + template.octets.count)
        let addresses: Range<Int>
        switch family {
        case .ipv4:
            unsafe memory.storeBytes(of: UInt32(0x4500_0000 | UInt32(memory.count)).bigEndian, as: UInt32.self)
            // A number of our own: for 0 the kernel draws one, which is a sixth of what a packet costs
            unsafe memory.storeBytes(of: (UInt32(truncatingIfNeeded: spi | 1) << 16).bigEndian, toByteOffset: 4, as: UInt32.self)
            unsafe memory.storeBytes(of: UInt32(0x4011_0000).bigEndian, toByteOffset: 8, as: UInt32.self)
            addresses = 12..<20
            unsafe memory.storeBytes(of: UInt32(truncatingIfNeeded: source.address.value).bigEndian, toByteOffset: 12, as: UInt32.self)
            unsafe memory.storeBytes(of: UInt32(truncatingIfNeeded: remote.address.value).bigEndian, toByteOffset: 16, as: UInt32.self)
        case .ipv6:
            unsafe memory.storeBytes(of: UInt32(0x6000_0000).bigEndian, as: UInt32.self)
            unsafe memory.storeBytes(of: (UInt32(udpLength) << 16 | 0x1140).bigEndian, toByteOffset: 4, as: UInt32.self)
            addresses = 8..<40
            for (place, address) in [(8, source.address), (24, remote.address)] {
                unsafe memory.storeBytes(of: UInt64(truncatingIfNeeded: address.value >> 64).bigEndian, toByteOffset: place, as: UInt64.self)
                unsafe memory.storeBytes(of: UInt64(truncatingIfNeeded: address.value).bigEndian, toByteOffset: place + 8, as: UInt64.self)
            }
        }
        unsafe memory.storeBytes(of: source.port.bigEndian, toByteOffset: udp, as: UInt16.self)
        unsafe memory.storeBytes(of: remote.port.bigEndian, toByteOffset: udp + 2, as: UInt16.self)
        unsafe memory.storeBytes(of: udpLength.bigEndian, toByteOffset: udp + 4, as: UInt16.self)
        unsafe memory.storeBytes(of: 0, toByteOffset: udp + 6, as: UInt16.self)
        unsafe template.write(spi: spi, seed: seed, into: UnsafeMutableRawBufferPointer(rebasing: memory[(udp + 8)...]))
        let sum = unsafe InternetChecksum.sum(UnsafeRawBufferPointer(rebasing: memory[udp...]))
        let pseudo = unsafe InternetChecksum.sum(UnsafeRawBufferPointer(rebasing: memory[addresses]))
        let checksum = ~InternetChecksum.folded(sum &+ pseudo &+ 17 &+ UInt64(udpLength))
        unsafe memory.storeBytes(of: (checksum == 0 ? 0xffff : checksum).bigEndian, toByteOffset: udp + 6, as: UInt16.self)
    }
}

import Testing
import Wire

@testable import ipsec_load

/// What `traffic` and `reflect` count, and how they know what they have got.
struct LoadTrafficTests {
    @Test(arguments: [24, 25, 31, 32, 33, 1372, 9000])
    func aPacketIsComparedOctetByOctet(length: Int) throws {
        let probe = Probe(.up, run: 7, client: 3, sequence: 41, sent: 1_000)
        var datagram: [UInt8] = []
        probe.encode(length: length, into: &datagram)
        #expect(datagram.count == length)
        let read = try #require(Probe(datagram[...]))
        #expect(read == probe && read.isIntact(datagram[...], length: length))
        #expect(!read.isIntact(datagram[...], length: length + 1) && !read.isIntact(datagram.dropLast(), length: length))
        for index in Set([Probe.headerLength, length / 2, length - 1]) where index >= Probe.headerLength && index < length {
            var wrong = datagram
            wrong[index] ^= 0x10
            let damaged = try #require(Probe(wrong[...]))
            #expect(!damaged.isIntact(wrong[...], length: length), "octet \(index)")
        }
    }

    /// Another client's packet, another number, the other direction: none of them has the content of this one.
    @Test(arguments: [
        Probe(.up, run: 8, client: 3, sequence: 41), Probe(.up, run: 7, client: 4, sequence: 41), Probe(.up, run: 7, client: 3, sequence: 42),
        Probe(.down, run: 7, client: 3, sequence: 41),
    ])
    func contentIsOfOnePacketAlone(_ other: Probe) throws {
        var (own, wrong): ([UInt8], [UInt8]) = ([], [])
        Probe(.up, run: 7, client: 3, sequence: 41).encode(length: 200, into: &own)
        other.encode(into: &wrong)
        wrong += own.dropFirst(Probe.headerLength)
        #expect(!(try #require(Probe(wrong[...])).isIntact(wrong[...], length: 200)))
    }

    @Test func strangersAreNoProbes() {
        var datagram: [UInt8] = []
        Probe(.up, run: 7, client: 3).encode(into: &datagram)
        #expect(Probe(datagram.dropLast()) == nil && Probe([]) == nil)
        datagram[2] = 99
        #expect(Probe(datagram[...]) == nil)
        datagram[2] = 1
        datagram[0] = 0
        #expect(Probe(datagram[...]) == nil)
    }

    private func outcome(_ numbers: [UInt32]) -> [Int] {
        var arrivals = Arrivals()
        for number in numbers { arrivals.note(number) }
        return [arrivals.received, arrivals.duplicated, arrivals.reordered]
    }

    @Test func lossDuplicatesAndOrder() {
        #expect(outcome([0, 1, 2, 3]) == [4, 0, 0])
        #expect(outcome([0, 2, 1, 3]) == [4, 0, 1])
        #expect(outcome([0, 0, 1, 1, 1]) == [2, 3, 0])
        #expect(outcome([5]) == [1, 0, 0])
        // A gap wider than the window, and what comes out of it later.
        #expect(outcome([0, 5000, 5000, 4999, 4999, 1]) == [4, 2, 2])
        #expect(outcome(Array(0..<3000) + [2999, 1976]) == [3000, 2, 0])
        #expect(outcome([.max, .max - 1, .max]) == [2, 1, 1])
    }

    /// Against a set that forgets nothing.
    @Test func arrivalsAgreeWithASet() {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        var generator = SplitMix64(seed: seed)
        var (arrivals, seen, duplicated) = (Arrivals(), Set<UInt32>(), 0)
        var base: UInt32 = 0
        for _ in 0..<20_000 {
            base += UInt32.random(in: 0...3, using: &generator)
            let number = base + UInt32.random(in: 0...900, using: &generator)
            if !seen.insert(number).inserted { duplicated += 1 }
            arrivals.note(number)
        }
        #expect(arrivals.received == seen.count && arrivals.duplicated == duplicated)
    }

    @Test func latencyClasses() throws {
        var classes = LatencyClasses()
        #expect(classes.percentile(0.5) == nil)
        for microseconds in 1...1000 { classes.note(nanoseconds: UInt64(microseconds) * 1000) }
        let (p50, p99) = (try #require(classes.percentile(0.5)), try #require(classes.percentile(0.99)))
        // An eighth of an octave wide.
        #expect((500...570).contains(p50) && (990...1120).contains(p99), "\(p50), \(p99)")
        var content: [UInt8] = []
        classes.encode(into: &content)
        #expect(LatencyClasses(content[...]) == classes)
        #expect(LatencyClasses(content.dropLast()) == nil && LatencyClasses([200, 0, 0, 0, 1]) == nil)
        for value in [UInt64(0), 1, 4095, 1 << 34, .max] { #expect((0..<LatencyClasses.count).contains(LatencyClasses.place(value))) }
    }

    @Test func aTallyGoesThroughAPacket() throws {
        var tally = DirectionTally()
        (tally.sent, tally.received, tally.duplicated, tally.reordered, tally.corrupted, tally.octets) = (10, 7, 1, 2, 1, 900)
        tally.latencies.note(nanoseconds: 50_000)
        let content = tally.encode()
        #expect(DirectionTally(content[...]) == tally && tally.lost == 2)
        #expect(DirectionTally(content.dropLast(6)) == nil)
        // With every class in use it still fits into a packet of any link.
        for octave in 12..<34 { for eighth in 0..<8 { tally.latencies.note(nanoseconds: (8 + UInt64(eighth)) << UInt64(octave - 3)) } }
        #expect(tally.encode().count + Probe.headerLength + InnerDatagram.headers(.ipv6) <= 1280)
    }

    @Test(arguments: [
        (Lease(interval: 1000, sizes: [24], boot: 5), true), (Lease(interval: 0, sizes: [1372, 64], boot: 5), true),
        (Lease(interval: 999, sizes: [24], boot: 5), false), (Lease(interval: 1000, sizes: [23], boot: 5), false),
        (Lease(interval: 1000, sizes: [], boot: 5), false), (Lease(interval: 1000, sizes: [9001], boot: 5), false),
    ])
    func leases(_ lease: Lease, isTaken: Bool) {
        #expect((Lease(lease.encode()[...]) == lease) == isTaken)
    }

    @Test(arguments: [("10.0.0.2", "10.20.0.2", 28), ("2001:db8::5", "2001:db8:20::2", 48)])
    func innerDatagrams(from: String, to: String, headers: Int) throws {
        let (source, destination) = (Endpoint(try #require(IPAddress(from)), port: 7008), Endpoint(try #require(IPAddress(to)), port: 7007))
        let packet = InnerDatagram.packet(from: source, to: destination, payload: 5) { $0 += [1, 2, 3, 4, 5] }
        #expect(packet.count == headers + 5)
        let read = try #require(InnerDatagram(packet))
        #expect(read.source == source && read.destination == destination && read.payload == [1, 2, 3, 4, 5])
        // Verified as a receiver does: everything with its checksum adds up to nothing.
        let addresses = packet[(headers == 28 ? 12 : 8)..<(headers - 8)]
        #expect(InternetChecksum.ofUDP(packet[(headers - 8)...], addresses: addresses) == 0xffff)
        if headers == 28 { #expect(InternetChecksum.of(packet[..<20]) == 0) }
        for count in 0..<packet.count { #expect(InnerDatagram(Array(packet.prefix(count))) == nil) }
        var fragment = packet
        if headers == 28 {
            fragment[6] = 0x20
            #expect(InnerDatagram(fragment) == nil)
        }
    }

    @Test(arguments: [
        ("64", AddressFamily.ipv4, [64] as [Int]?), ("64,1400", .ipv4, [64, 1400]), ("51", .ipv4, nil), ("64", .ipv6, nil), ("72", .ipv6, [72]),
        ("9001", .ipv4, nil), ("64,", .ipv4, nil), ("", .ipv4, nil), ("a", .ipv4, nil),
    ])
    func sizes(text: String, family: AddressFamily, expected: [Int]?) {
        #expect(PacketSizes(text, family: family)?.octets == expected)
    }

    @Test func endpointsAsText() {
        #expect(Endpoint(text: "10.0.0.1:7") == IPAddress("10.0.0.1").map { Endpoint($0, port: 7) })
        #expect(Endpoint(text: "[2001:db8::1]:7007") == IPAddress("2001:db8::1").map { Endpoint($0, port: 7007) })
        for wrong in ["", "10.0.0.1", "10.0.0.1:", "2001:db8::1:7007", "[::1]", "host:1", "10.0.0.1:65536"] { #expect(Endpoint(text: wrong) == nil) }
    }
}

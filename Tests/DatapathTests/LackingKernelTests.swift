// What a kernel lacks is taken from this one in debug builds alone.
#if DEBUG
import Datapath
import ESP
import Foundation
import GatewayCrypto
import LinuxIO
import PacketFixtures
import Synchronization
import Testing
import Wire

/// Issue "falls back by itself, and says so once", on a real device and real sockets:
///
///     client 127.0.0.2:40000 --ESP in UDP--> 127.0.0.1:4500 [door, worker] priv0 10.99.0.1/24 <-- program 10.99.0.1:7777
@Suite(.serialized, .enabled(if: geteuid() == 0 || getenv("CI") != nil, "needs root: it makes a network namespace and a TUN device"))
struct LackingKernelTests {
    struct Lack: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let lacking: LackingKernel.Offloads
        let shortcomings: [String]

        init(_ name: String, _ lacking: LackingKernel.Offloads, _ shortcomings: [String]) {
            testDescription = name
            self.lacking = lacking
            self.shortcomings = shortcomings
        }
    }

    static let cuts = "no UDP segmentation offload (UDP_SEGMENT, Linux 4.18): each ESP packet is sent on its own"
    static let joins = "no UDP receive offload (UDP_GRO, Linux 5.0): each ESP packet is received on its own"
    static let device = "TUN device priv0 has no segmentation offload: each packet is read and written on its own"
    static let datagrams = "TUN device priv0 has no UDP segmentation offload (Linux 6.2): each datagram is written on its own"

    static let lacks = [
        Lack("USO", .udp, [datagrams]),
        Lack("TSO", .tcp, [device]),
        Lack("IFF_VNET_HDR", .headers, [device]),
        Lack("UDP_SEGMENT", .cuts, [cuts]),
        Lack("UDP_GRO", .joins, [joins]),
        Lack("USO and UDP_GRO", [.udp, .joins], [joins, datagrams]),
        Lack("all", [.headers, .tcp, .udp, .cuts, .joins], [cuts, joins, device]),
    ]

    /// Whatever is lacking at the start: packets pass both ways, and each thing is said once, however many workers and addresses lack it.
    @Test(arguments: lacks)
    func whatTheKernelLacksIsToldOnce(lack: Lack) async throws {
        let stage = try await Stage(LackingKernel(lacking: lack.lacking), workers: 2, besides: [Packets.address("127.0.0.3")])
        defer { stage.datapath.stop() }
        // What this very kernel lacks is lacking as well
        let lacksUSO = stage.kernel.device?.contains(.udp) == false && lack.lacking.isDisjoint(with: [.headers, .tcp, .udp])
        #expect(stage.datapath.shortcomings == lack.shortcomings + (lacksUSO ? [Self.datagrams] : []))
        for number in 0..<3 {
            try await stage.passDown(seed: UInt64(number), rows: 4)
            try await stage.passUp(number, packets: 40)
        }
        #expect(stage.losses.isEmpty)
    }

    /// A device that can cut rows no more when packets are on their way: no packet is lost, told twice or out of order, and it is told once.
    @Test(arguments: [EIO, EOPNOTSUPP])
    func anOffloadIsLostUnderTraffic(number: Int32) async throws {
        let kernel = LackingKernel()
        let stage = try await Stage(kernel, workers: 1)
        defer { stage.datapath.stop() }
        let datapath = stage.datapath
        let heard = Heard()
        async let listening: Void = heard.listen(to: datapath)
        for round in 0..<6 {
            if round == 2 { kernel.refuseRows(number, after: 1) }
            let refused = kernel.refused
            try await stage.passDown(seed: UInt64(round), rows: 20)
            switch round {
            case 0, 1: #expect(kernel.refused == 0 && heard.events.isEmpty)
            case 2: #expect(kernel.refused > 0, "rows were on their way")
            default: #expect(kernel.refused == refused, "no row is tried again")
            }
        }
        // An event behind it, so that none is on its way any more
        try stage.moveClient()
        for _ in 0..<10_000 where !heard.hasMoved { try await Task.sleep(for: .milliseconds(1)) }
        let events = heard.events
        #expect(events.count == 2, "\(events)")
        guard case .offloadLost(worker: 0, let loss)? = events.first else {
            Issue.record("\(events)")
            return
        }
        #expect(loss == "the kernel no longer cuts rows of packets (UDP_SEGMENT): each ESP packet is sent on its own")
        #expect(stage.losses.isEmpty)
        datapath.stop()
        await listening
    }

    /// Issue "Bad input": EIO and ENOBUFS of the TUN device. Each packet is counted, joined or not, and the next ones go their way.
    @Test(arguments: [EIO, ENOBUFS])
    func threat_theDeviceTakesNothing(number: Int32) async throws {
        let kernel = LackingKernel()
        let stage = try await Stage(kernel, workers: 1)
        defer { stage.datapath.stop() }
        try await stage.passUp(0, packets: 10)
        kernel.refuseWrites(number)
        try stage.sendUp(1, packets: 30)
        for _ in 0..<10_000 where stage.datapath.dropCounters()[.sendFailed] != 30 { try await Task.sleep(for: .milliseconds(1)) }
        #expect(stage.datapath.dropCounters()[.sendFailed] == 30 && (1...30).contains(kernel.refused))
        kernel.relent()
        try await stage.passUp(2, packets: 10)
        #expect(stage.datapath.dropCounters()[.sendFailed] == 30)
    }
}

/// What a datapath has told.
private final class Heard: Sendable {
    private let all = Mutex<[DatapathEvent]>([])

    var events: [DatapathEvent] { all.withLock { $0 } }
    var hasMoved: Bool { events.contains { if case .moved = $0 { true } else { false } } }

    func listen(to datapath: Datapath) async {
        for await event in datapath.events { all.withLock { $0.append(event) } }
    }
}

/// A datapath with one client, and a program on the private side.
private final class Stage {
    static let natTraversal = Endpoint(DeviceTests.gateway, port: 4500)
    static let inner = "10.99.0.10"
    static let own = "10.99.0.1"

    let datapath: Datapath
    /// What the kernel really has.
    let kernel: KernelOffloads
    private let namespace: NetworkNamespace
    private var client: UDPPort
    private var program: UDPPort
    private var out: OutboundSA
    private var back: InboundSA
    private var batch = Batch(capacity: 64, room: 65_535)

    /// The kernel is so from the start, and for all threads of the datapath; not for client and program. (No settings are handed over: see `Rig.session`.)
    init(_ kernel: LackingKernel, workers: Int, besides addresses: [IPAddress] = []) async throws {
        let namespace = try DeviceTests.namespace()
        var settings = try DeviceTests.settings(workers: workers)
        settings.gateways += addresses.map { GatewayListener(address: $0) }
        let wanted = settings
        let made: Result<Datapath, DatapathError> = try namespace.within { () throws(SystemError) in
            kernel.run { Self.datapath(wanted) }
        }
        let datapath = try made.get()
        let here = Endpoint(Packets.address("127.0.0.2"), port: 40_000)
        client = try namespace.within { () throws(SystemError) in try UDPPort(here) }
        program = try namespace.within { () throws(SystemError) in try UDPPort(Endpoint(Packets.address(Self.own), port: 7777)) }
        guard let spi = datapath.allocateSPI(worker: 0) else { throw DatapathError.noSuchSPI }
        out = try Rig.client(spi)
        back = try Rig.clientIn()
        self.kernel = try namespace.within { () throws(SystemError) in KernelOffloads() }
        self.datapath = datapath
        self.namespace = namespace
        // Its threads have the kernel of who starts them
        try kernel.run { () throws(DatapathError) in try datapath.start() }
        let spec = TunnelSpec(
            worker: 0, interface: "priv0", innerAddresses: [Packets.address(Self.inner)], settings: TunnelSettings(), peer: here,
            local: Self.natTraversal)
        guard let id = datapath.open(tunnel: spec) else { throw DatapathError.noSuchTunnel }
        let all = [Selectors.Entry(.all(.ipv4))]
        try await datapath.install(
            ChildSASpec(
                tunnel: id, inbound: spi, outbound: 0xcafe, suite: Rig.suite,
                keys: ChildSAKeys(
                    inboundEncryption: Rig.key(Rig.suite, 1), inboundIntegrity: SecretOctets(count: 0),
                    outboundEncryption: Rig.key(Rig.suite, 0x81), outboundIntegrity: SecretOctets(count: 0)),
                selectors: Selectors(local: all, remote: all)))
    }

    private static func datapath(_ settings: Datapath.Settings) -> Result<Datapath, DatapathError> {
        do throws(DatapathError) {
            return .success(try Datapath(settings, door: Visitors(), entropy: SystemEntropy()))
        } catch {
            return .failure(error)
        }
    }

    /// Drops so far; the host may have said something to nobody on the device.
    var losses: [Drop: UInt64] { datapath.dropCounters().filter { $0.value > 0 && $0.key != .noRoute } }

    /// The program sends rows of ten datagrams to the client; all arrive, once and in order.
    func passDown(seed: UInt64, rows: Int) async throws {
        let payload = FlowShape.payload(rows * 5000, seed: seed)
        batch.removeAll()
        for start in stride(from: 0, to: payload.count, by: 5000) {
            let place = payload[start..<start + 5000].withUnsafeBytes {
                batch.append(copying: $0, to: Endpoint(Packets.address(Self.inner), port: 5000), from: program.local)
            }
            if let place { batch[place].segmentSize = 500 }
        }
        let sent = try program.send(batch)
        #expect(sent == rows && program.counters.refused == 0)
        var found: [[UInt8]] = []
        for _ in 0..<10_000 where found.count < rows * 10 {
            let count = try client.receive(into: &batch)
            for index in 0..<count { found.append(Array(try back.open([UInt8](batch.octets(index))).dropFirst(28))) }
            if count == 0 { try await Task.sleep(for: .milliseconds(1)) }
        }
        #expect(found.count == rows * 10 && found.joined().elementsEqual(payload), "round \(seed): \(found.count) packets")
    }

    /// The client sends datagrams of one flow to the program; all arrive, once and in order.
    func passUp(_ round: Int, packets: Int) async throws {
        try sendUp(round, packets: packets)
        var found: [[UInt8]] = []
        for _ in 0..<10_000 where found.count < packets {
            let count = try program.receive(into: &batch)
            for index in 0..<count { found.append([UInt8](batch.octets(index))) }
            if count == 0 { try await Task.sleep(for: .milliseconds(1)) }
        }
        #expect(found == (0..<packets).map { Self.payload(round, $0) }, "round \(round): \(found.count) packets")
    }

    /// The same, without a look at what becomes of them.
    func sendUp(_ round: Int, packets: Int) throws {
        // A row, so that they are there at once
        var row: [UInt8] = []
        var size = 0
        for number in 0..<packets {
            let sealed = try out.seal(Self.up(Self.payload(round, number)))
            size = sealed.count
            row += sealed
        }
        batch.removeAll()
        let place = row.withUnsafeBytes { batch.append(copying: $0, to: Self.natTraversal, from: client.local) }
        if let place { batch[place].segmentSize = size }
        let sent = try client.send(batch)
        #expect(sent == 1 && client.counters.refused == 0)
    }

    /// The client is heard from another port.
    func moveClient() throws {
        var other = try namespace.within { () throws(SystemError) in try UDPPort(Endpoint(Packets.address("127.0.0.2"), port: 40_001)) }
        let isSent = other.send(try out.seal(Self.up([1])), to: Self.natTraversal)
        #expect(isSent)
    }

    private static func payload(_ round: Int, _ number: Int) -> [UInt8] { FlowShape.payload(500, seed: UInt64(round * 1000 + number)) }

    /// A datagram that may be joined with its neighbours.
    private static func up(_ payload: [UInt8]) -> [UInt8] {
        var packet = Packets.ipv4(inner, own, flags: 2, payload: Packets.udp(5000, 7777, octets: 0) + payload)
        packet.patch(bigEndian: UInt16(8 + payload.count), at: 24)
        FlowShape.finish(&packet)
        return packet
    }
}
#endif

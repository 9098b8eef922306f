import Datapath
import ESP
import GatewayCrypto
import LinuxIO
import Wire

/// Two workers' cores, of which one seals for the other.
struct WorkerPair: ~Copyable {
    private var near: WorkerCore
    private var far: WorkerCore
    private let suite: ProtectionSuite
    private let now = Instant(nanoseconds: 1_000_000_000)

    private static let server = IPAddress(v4: 0x0a01_0203)
    private static let client = IPAddress(v4: 0x0a63_000a)
    private static let gateway = Endpoint(IPAddress(v4: 0xc000_0201), port: 4500)
    private static let peer = Endpoint(IPAddress(v4: 0xc633_6407), port: 61_000)
    private static let segments = 40
    private static let payload = 1360

    init(_ suite: ProtectionSuite, _ engine: CryptoEngine) throws {
        self.init(suite, try Self.core(suite, engine, owner: Self.client), try Self.core(suite, engine, owner: Self.server))
    }

    private init(_ suite: ProtectionSuite, _ near: consuming WorkerCore, _ far: consuming WorkerCore) {
        self.suite = suite
        self.near = near
        self.far = far
    }

    private static func core(_ suite: ProtectionSuite, _ engine: CryptoEngine, owner: IPAddress) throws -> WorkerCore {
        let routes = InnerRoutes(capacity: 16, seed: 1)
        let prefix = IPPrefix(host: owner)
        guard routes.insert(prefix, RouteTarget(worker: 0, tunnel: 0, generation: 1)), let spi = LocalSPI(worker: 0, slot: 0, tag: 1) else {
            fatalError("no route or SPI")
        }
        let esp = ESPSuite(protection: suite, extendedSequenceNumbers: true)
        let entropy = SeededEntropy(seed: 1)
        let key = entropy.secret(suite.encryptionKeyLength)
        let macKey = entropy.secret(suite.integrityKeyLength)
        let all = Selectors(local: [Selectors.Entry(.all(.ipv4))], remote: [Selectors.Entry(.all(.ipv4))])
        let pair = SAPair(
            inbound: try InboundSA(
                spi: spi.rawValue, suite: esp, encryptionKey: key, integrityKey: macKey, replayWindow: 2048, engine: engine),
            outbound: try OutboundSA(
                spi: spi.rawValue, suite: esp, encryptionKey: key, integrityKey: macKey, entropy: entropy, engine: engine),
            selectors: all, lifetimes: SALifetimes(), tunnel: 0, supersedes: nil)
        var core = WorkerCore(
            index: 0, sad: SAD(worker: 0, board: CounterBoard(tunnelCapacity: 2, saCapacity: 2), forbidden: []),
            rings: RingMemory(workers: 1, ringSize: 4096), routes: [routes], sources: [(ipv4: 0, ipv6: 0)], ports: OuterPorts(locals: [Self.gateway]),
            engine: engine)
        let tunnel = Tunnel(
            interface: 0, generation: 1, settings: TunnelSettings(), sources: [prefix.range], peer: Self.peer, local: Self.gateway)
        guard core.sad.open(tunnel: tunnel, at: 0), core.sad.insert(pair) else { fatalError("no tunnel or SA") }
        return core
    }

    /// TCP as the kernel hands it over: 40 segments of 1,400 octets.
    private static func read() -> (octets: [UInt8], offload: OffloadHeader) {
        let total = 40 + segments * payload
        var octets: [UInt8] = [0x45, 0, UInt8(total >> 8), UInt8(total & 0xff), 0, 1, 0x40, 0, 64, 6, 0, 0]
        octets += server.octets + client.octets
        let checksum = octets.withUnsafeMutableBytes { Checksum.of(PacketView($0)) }
        octets[10] = UInt8(checksum >> 8)
        octets[11] = UInt8(checksum & 0xff)
        octets += [1, 187, 156, 64, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]
        octets += [UInt8](repeating: 0x5a, count: segments * payload)
        var offload = OffloadHeader()
        offload.flags = OffloadHeader.needsChecksum
        offload.kind = OffloadHeader.tcpIPv4
        offload.headerLength = 40
        offload.segmentSize = UInt16(payload)
        offload.checksumStart = 20
        offload.checksumOffset = 16
        return (octets, offload)
    }

    /// Nanoseconds of a packet to the client, and from one: medians.
    mutating func measure() -> (out: Double, back: Double) {
        let read = Self.read()
        let reads = 8
        var fetched = Batch(capacity: reads, room: 65_535)
        for _ in 0..<reads {
            let place = read.octets.withUnsafeBytes { fetched.append(copying: $0, to: Self.peer, from: Self.gateway) }
            guard let place else { fatalError("no room") }
            fetched[place].offload = read.offload
        }
        var departures = Batch(capacity: 256, room: 65_535)
        var replies = Batch(capacity: 4, room: 1280)
        var arrivals = Batch(capacity: 512, room: 2048)
        var outs: [Double] = []
        var backs: [Double] = []
        let packets = Double(reads * Self.segments)
        for _ in 0..<60 {
            departures.removeAll()
            arrivals.removeAll()
            var cursor = WorkerCore.Cursor()
            let start = seconds()
            guard near.depart(fetched, &departures, &replies, &cursor, interface: 0, now: now) else { fatalError("no room for departures") }
            let sealed = seconds()
            for index in 0..<departures.count {
                departures[index].peer = Self.peer
                departures[index].local = Self.gateway
            }
            cursor = WorkerCore.Cursor()
            let begun = seconds()
            guard far.admit(departures, &arrivals, &cursor, isRelayed: false, now: now), arrivals.count == reads * Self.segments else {
                fatalError("\(arrivals.count) packets came through")
            }
            backs.append((seconds() - begun) / packets * 1e9)
            outs.append((sealed - start) / packets * 1e9)
        }
        return (outs.sorted()[outs.count / 2], backs.sorted()[backs.count / 2])
    }
}

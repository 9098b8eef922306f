import Datapath
import ESP
import GatewayCrypto
import LinuxIO
import PacketFixtures
import Wire

/// One worker's core with one session, and the client's keys.
struct BudgetRig: ~Copyable {
    static let client = "10.99.0.10"
    static let server = "10.1.2.3"
    static let nowhere = Endpoint(IPAddress(v4: 0), port: 0)
    static let peer = Endpoint(Packets.address("198.51.100.7"), port: 61_000)
    static let gateway = Endpoint(Packets.address("192.0.2.1"), port: 4500)
    private static let now = Instant(nanoseconds: 1_000_000_000)

    var core: WorkerCore
    private var clientOut: OutboundSA
    private var out = Batch(capacity: 256, room: 65_535)
    private var replies = Batch(capacity: 64, room: 1280)
    private let board: CounterBoard

    /// `joins`: whether the private side takes super-packets.
    init(_ engine: CryptoEngine, joins: Bool) throws {
        board = CounterBoard(tunnelCapacity: 4, saCapacity: 4)
        guard let spi = LocalSPI(worker: 0, slot: 1, tag: 7),
            let gcm = ProtectionSuite(encryption: .aesGCM16, keyBits: 128, integrity: .none)
        else { preconditionFailure("no SPI or no AES-GCM") }
        let suite = ESPSuite(protection: gcm, extendedSequenceNumbers: true)
        let up = Self.key(suite, 1)
        let down = Self.key(suite, 2)
        let none = SecretOctets(copying: [])
        let inbound = try InboundSA(spi: spi.rawValue, suite: suite, encryptionKey: up, integrityKey: none, replayWindow: 512, engine: engine)
        let outbound = try OutboundSA(
            spi: 0xcafe, suite: suite, encryptionKey: down, integrityKey: none, entropy: SeededEntropy(seed: 1), engine: engine)
        clientOut = try OutboundSA(spi: spi.rawValue, suite: suite, encryptionKey: up, integrityKey: none, entropy: SeededEntropy(seed: 2))
        let all = [Selectors.Entry(.all(.ipv4))]
        var sad = SAD(worker: 0, board: board, forbidden: [Self.gateway.address])
        let host = IPPrefix(host: Packets.address(Self.client))
        let isOpen = sad.open(
            tunnel: Tunnel(
                interface: 0, generation: 1, settings: TunnelSettings(), sources: [host.range], peer: Self.peer, local: Self.gateway), at: 0)
        let isIn = sad.insert(
            SAPair(
                inbound: inbound, outbound: outbound, selectors: Selectors(local: all, remote: all), lifetimes: SALifetimes(), tunnel: 0,
                supersedes: nil))
        let routes = InnerRoutes(capacity: 16, seed: 1)
        let isRouted = routes.insert(host, RouteTarget(worker: 0, tunnel: 0, generation: 1))
        precondition(isOpen && isIn && isRouted, "the session could not be installed")
        core = WorkerCore(
            index: 0, sad: sad, rings: RingMemory(workers: 1, ringSize: 1 << 16), routes: [routes],
            sources: [(ipv4: Packets.address("10.99.0.1").value, ipv6: 0)], ports: OuterPorts(locals: [Self.gateway]), engine: engine)
        if joins { core.setOffloads(.all, ofInterface: 0) }
    }

    private static func key(_ suite: ESPSuite, _ seed: UInt8) -> SecretOctets {
        SecretOctets(copying: [UInt8](repeating: seed, count: suite.protection.encryptionKeyLength))
    }

    /// Batches as the ports would fill them. Sealed packets are used up when they are opened, so each batch has its own.
    mutating func batches(_ wanted: BudgetCase, _ count: Int) throws -> UnsafeMutablePointer<Batch> {
        let made = UnsafeMutablePointer<Batch>.allocate(capacity: count)
        let packets = try wanted.singlePackets()
        for number in 0..<count {
            var batch = Batch(capacity: wanted.entriesPerBatch, room: wanted.isSuper ? 65_535 : 2048)
            for _ in 0..<wanted.entriesPerBatch {
                switch wanted.way {
                case .seal: try wanted.append(fromInsideTo: &batch)
                case .open:
                    var sealed: [UInt8] = []
                    for packet in packets { sealed += try clientOut.seal(packet) }
                    let place = sealed.withUnsafeBytes { batch.append(copying: $0, to: Self.peer, from: Self.gateway) }
                    guard let place else { preconditionFailure("a datagram is too long") }
                    if wanted.isSuper { batch[place].segmentSize = sealed.count / packets.count }
                }
            }
            (made + number).initialize(to: batch)
        }
        return made
    }

    /// What `Worker` does with a batch, without its ports. Returns the packets that would have left.
    @inline(never)
    mutating func pass(_ way: BudgetCase.Way, _ batch: borrowing Batch) -> Int {
        var cursor = WorkerCore.Cursor()
        var packets = 0
        var isDone = false
        while !isDone {
            switch way {
            case .seal:
                isDone = core.depart(batch, &out, &replies, &cursor, interface: 0, now: Self.now)
                for index in 0..<out.count { core.countSent(out[index]) }
            case .open: isDone = core.admit(batch, &out, &cursor, isRelayed: false, now: Self.now)
            }
            for index in 0..<out.count where out[index].length > 0 { packets &+= out[index].packetCount }
            out.removeAll()
            replies.removeAll()
        }
        return packets
    }

    /// Drops for any reason: there must be none.
    var drops: UInt64 { Drop.allCases.reduce(0) { $0 + board.drops($1) } }
}

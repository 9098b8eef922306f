import ESP
import GatewayCrypto
import LinuxIO
import PacketFixtures
import Wire

@testable import Datapath

/// A worker's core without threads or ports, with sessions whose clients do their cryptography with OpenSSL.
struct CoreRig: ~Copyable {
    /// A session's number decides all of it.
    struct Client: ~Copyable {
        var out: OutboundSA
        var back: InboundSA
    }

    var core: WorkerCore
    let clients: [Held<Client>]
    let routes: InnerRoutes
    let board: CounterBoard
    let now = Instant(nanoseconds: 1_000_000_000)

    /// What a test keeps in an array.
    final class Held<Value: ~Copyable> {
        var value: Value
        init(_ value: consuming Value) { self.value = value }
    }

    /// A session for each suite.
    init(_ suites: [ESPSuite], engine: CryptoEngine, lifetimes: SALifetimes = SALifetimes()) throws {
        let board = CounterBoard(tunnelCapacity: max(8, suites.count), saCapacity: max(32, suites.count))
        let routes = InnerRoutes(capacity: 64 + 2 * suites.count, seed: 1)
        let ports = OuterPorts(locals: [Rig.gateway, Rig.gateway6])
        var core = WorkerCore(
            index: 0, sad: SAD(worker: 0, board: board, forbidden: []), rings: RingMemory(workers: 1, ringSize: 1 << 14), routes: [routes],
            sources: [(ipv4: 0, ipv6: 0)], ports: ports, engine: engine)
        var clients: [Held<Client>] = []
        for (number, suite) in suites.enumerated() {
            let addresses = [Packets.address(Self.address4(number)), Packets.address(Self.address6(number))]
            let prefixes = addresses.map { IPPrefix(host: $0) }
            let target = RouteTarget(worker: 0, tunnel: number, generation: 1)
            for prefix in prefixes { guard routes.insert(prefix, target) else { throw DatapathError.noSuchTunnel } }
            let tunnel = Tunnel(
                interface: 0, generation: 1, settings: TunnelSettings(), sources: prefixes.map(\.range), peer: Self.peer(number), local: Rig.gateway)
            let spi = Self.spi(number)
            let all = [Selectors.Entry(.all(.ipv4)), Selectors.Entry(.all(.ipv6))]
            let pair = SAPair(
                inbound: try Self.inbound(spi, suite, key: 1, engine), outbound: try Self.outbound(0xcafe, suite, key: 2, engine),
                selectors: Selectors(local: all, remote: all), lifetimes: lifetimes, tunnel: number, supersedes: nil)
            guard core.sad.open(tunnel: tunnel, at: number), core.sad.insert(pair) else { throw DatapathError.noSuchSPI }
            clients.append(
                Held(Client(out: try Self.outbound(spi, suite, key: 1, .openSSL), back: try Self.inbound(0xcafe, suite, key: 2, .openSSL))))
        }
        self.init(core: core, clients: clients, routes: routes, board: board)
    }

    private init(core: consuming WorkerCore, clients: [Held<Client>], routes: InnerRoutes, board: CounterBoard) {
        self.core = core
        self.clients = clients
        self.routes = routes
        self.board = board
    }

    static func address4(_ number: Int) -> String { "10.99.0.\(10 + number)" }
    static func address6(_ number: Int) -> String { "2001:db8:99::\(10 + number)" }
    static func peer(_ number: Int) -> Endpoint { Endpoint(Packets.address("198.51.100.\(7 + number)"), port: 61_000) }
    static func spi(_ number: Int) -> UInt32 { LocalSPI(worker: 0, slot: number, tag: 0x91)?.rawValue ?? 0 }

    private static func inbound(_ spi: UInt32, _ suite: ESPSuite, key: UInt8, _ engine: CryptoEngine) throws -> InboundSA {
        try InboundSA(
            spi: spi, suite: suite, encryptionKey: Rig.key(suite, key), integrityKey: Rig.integrity(suite, key), replayWindow: 1024, engine: engine)
    }

    private static func outbound(_ spi: UInt32, _ suite: ESPSuite, key: UInt8, _ engine: CryptoEngine) throws -> OutboundSA {
        try OutboundSA(
            spi: spi, suite: suite, encryptionKey: Rig.key(suite, key), integrityKey: Rig.integrity(suite, key), entropy: SeededEntropy(seed: 5),
            engine: engine)
    }

    /// A datagram to or from a session, of either family in turn, of which no two are alike.
    static func inner(_ session: Int, _ number: Int, octets: Int, up: Bool) -> [UInt8] {
        let isIPv6 = number % 3 == 2
        var shape = FlowShape(family: isIPv6 ? .ipv6 : .ipv4, isTCP: false, towardsClient: !up)
        shape.sourcePort = UInt16(1000 + number)
        var packet = shape.packet(FlowShape.payload(octets, seed: UInt64(number)))
        // The session's own address in place of the shape's
        let address = Packets.address(isIPv6 ? address6(session) : address4(session)).octets
        let offset = isIPv6 ? (up ? 8 : 24) : (up ? 12 : 16)
        packet.replaceSubrange(offset..<offset + address.count, with: address)
        FlowShape.finish(&packet)
        return packet
    }

    func drops(_ reason: Drop) -> UInt64 { board.drops(reason) }
    var allDrops: UInt64 { Drop.allCases.reduce(0) { $0 + board.drops($1) } }

    /// Everything sent for a batch of inner packets, entry by entry as the kernel cuts it.
    mutating func depart(_ packets: [[UInt8]], room: Int = 256) -> [(peer: Endpoint, octets: [UInt8])] {
        var batch = Batch(capacity: 1024, room: 65_535)
        for packet in packets { packet.withUnsafeBytes { _ = batch.append(copying: $0, to: Rig.peer, from: Rig.gateway) } }
        return depart(batch, room: room)
    }

    mutating func depart(_ batch: borrowing Batch, room: Int = 256) -> [(peer: Endpoint, octets: [UInt8])] {
        rows(batch, room: room).flatMap { row in row.packets.map { (row.peer, $0) } }
    }

    /// Each entry sent for a batch of inner packets, as the kernel cuts it; counted as sent.
    mutating func rows(_ batch: borrowing Batch, room: Int = 256) -> [(peer: Endpoint, packets: [[UInt8]])] {
        var out = Batch(capacity: room, room: 65_535)
        var replies = Batch(capacity: 8, room: 1280)
        var cursor = WorkerCore.Cursor()
        var sent: [(peer: Endpoint, packets: [[UInt8]])] = []
        while true {
            let isDone = core.depart(batch, &out, &replies, &cursor, interface: 0, now: now)
            for index in 0..<out.count where out[index].length > 0 {
                let octets = [UInt8](out.octets(index))
                let size = out[index].isSegmented ? out[index].segmentSize : max(octets.count, 1)
                let packets = stride(from: 0, to: octets.count, by: size).map { Array(octets[$0..<min($0 + size, octets.count)]) }
                sent.append((out[index].peer, packets))
                core.countSent(out[index])
            }
            out.removeAll()
            replies.removeAll()
            if isDone { return sent }
        }
    }

    /// What goes on to the private side of a batch from outside, when that takes `room` packets at a time.
    mutating func admit(_ packets: [(session: Int, octets: [UInt8])], room: Int = 64) -> [[UInt8]] {
        var batch = Batch(capacity: 1024, room: 2048)
        for packet in packets {
            packet.octets.withUnsafeBytes { _ = batch.append(copying: $0, to: Self.peer(packet.session), from: Rig.gateway) }
        }
        var arrivals = Batch(capacity: room, room: 65_535)
        var cursor = WorkerCore.Cursor()
        var found: [[UInt8]] = []
        while true {
            let isDone = core.admit(batch, &arrivals, &cursor, isRelayed: false, now: now)
            for index in 0..<arrivals.count { found.append([UInt8](arrivals.octets(index))) }
            arrivals.removeAll()
            if isDone { return found }
        }
    }
}

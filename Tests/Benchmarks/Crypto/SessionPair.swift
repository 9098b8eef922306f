import Datapath
import ESP
import GatewayCrypto
import Glibc
import LinuxIO
import Wire

/// Two workers' cores with many sessions, whose packets come one of each in turn: what the number of sessions costs a packet.
struct SessionPair: ~Copyable {
    private var near: WorkerCore
    private var far: WorkerCore
    private let sessions: Int
    private let now = Instant(nanoseconds: 1_000_000_000)

    private static let server = IPAddress(v4: 0x0a01_0203)
    private static let gateway = Endpoint(IPAddress(v4: 0xc000_0201), port: 4500)
    private static let length = 1400
    private static let perBatch = 64

    private static func client(_ number: Int) -> IPAddress { IPAddress(v4: 0x0b00_0000 + UInt32(number)) }
    private static func peer(_ number: Int) -> Endpoint { Endpoint(IPAddress(v4: 0xc612_0000 + UInt32(number)), port: 61_000) }

    init(_ sessions: Int) throws {
        self.init(sessions, try Self.core(sessions, isNear: true), try Self.core(sessions, isNear: false))
    }

    private init(_ sessions: Int, _ near: consuming WorkerCore, _ far: consuming WorkerCore) {
        self.sessions = sessions
        self.near = near
        self.far = far
    }

    /// The near one has the clients behind its tunnels, the far one the server behind each.
    private static func core(_ sessions: Int, isNear: Bool) throws -> WorkerCore {
        guard let gcm = ProtectionSuite(encryption: .aesGCM16, keyBits: 128, integrity: .none) else { fatalError("no AES-GCM") }
        let esp = ESPSuite(protection: gcm, extendedSequenceNumbers: true)
        let entropy = SeededEntropy(seed: 1)
        let key = entropy.secret(gcm.encryptionKeyLength)
        let none = entropy.secret(0)
        let all = Selectors(local: [Selectors.Entry(.all(.ipv4))], remote: [Selectors.Entry(.all(.ipv4))])
        let routes = InnerRoutes(capacity: sessions + 1, seed: 1)
        var sad = SAD(worker: 0, board: CounterBoard(tunnelCapacity: sessions, saCapacity: sessions), forbidden: [Self.gateway.address])
        for number in 0..<sessions {
            guard let spi = LocalSPI(worker: 0, slot: number, tag: 1) else { fatalError("no SPI") }
            let owner = IPPrefix(host: isNear ? client(number) : server)
            let tunnel = Tunnel(
                interface: 0, generation: 1, settings: TunnelSettings(), sources: [owner.range], peer: peer(number), local: gateway)
            let pair = SAPair(
                inbound: try InboundSA(spi: spi.rawValue, suite: esp, encryptionKey: key, integrityKey: none, replayWindow: 512),
                outbound: try OutboundSA(spi: spi.rawValue, suite: esp, encryptionKey: key, integrityKey: none, entropy: entropy),
                selectors: all, lifetimes: SALifetimes(), tunnel: number, supersedes: nil)
            let isRouted = !isNear || routes.insert(owner, RouteTarget(worker: 0, tunnel: number, generation: 1))
            guard isRouted, sad.open(tunnel: tunnel, at: number), sad.insert(pair) else { fatalError("no session") }
        }
        return WorkerCore(
            index: 0, sad: sad, rings: RingMemory(workers: 1, ringSize: 4096), routes: [routes], sources: [(ipv4: 0, ipv6: 0)],
            ports: OuterPorts(locals: [gateway]), engine: .preferred)
    }

    private static func datagram(to client: IPAddress) -> [UInt8] {
        var octets: [UInt8] = [0x45, 0, UInt8(length >> 8), UInt8(length & 0xff), 0, 1, 0x40, 0, 64, 17, 0, 0]
        octets += server.octets + client.octets
        let checksum = octets.withUnsafeMutableBytes { Checksum.of(PacketView($0)) }
        octets[10] = UInt8(checksum >> 8)
        octets[11] = UInt8(checksum & 0xff)
        octets += [1, 187, 156, 64, UInt8((length - 20) >> 8), UInt8((length - 20) & 0xff), 0, 0]
        return octets + [UInt8](repeating: 0x5a, count: length - octets.count)
    }

    /// Nanoseconds of a packet to a client, and from one: medians of batches.
    mutating func measure() -> (out: Double, back: Double) {
        var fetched = Batch(capacity: Self.perBatch, room: 2048)
        var departures = Batch(capacity: 256, room: 65_535)
        var replies = Batch(capacity: 4, room: 1280)
        var arrivals = Batch(capacity: 256, room: 2048)
        var (outs, backs): ([Double], [Double]) = ([], [])
        var next = 0
        for _ in 0..<max(400, 3 * sessions / Self.perBatch) {
            fetched.removeAll()
            departures.removeAll()
            arrivals.removeAll()
            for _ in 0..<Self.perBatch {
                let octets = Self.datagram(to: Self.client(next))
                let place = octets.withUnsafeBytes { fetched.append(copying: $0, to: Self.gateway, from: Self.gateway) }
                guard place != nil else { fatalError("no room") }
                // Not in the order in which they lie in memory
                next = (next + 7919) % sessions
            }
            var cursor = WorkerCore.Cursor()
            let start = seconds()
            guard near.depart(fetched, &departures, &replies, &cursor, interface: 0, now: now) else { fatalError("no room for departures") }
            let sealed = seconds()
            cursor = WorkerCore.Cursor()
            let begun = seconds()
            guard far.admit(departures, &arrivals, &cursor, isRelayed: false, now: now), arrivals.count == Self.perBatch else {
                fatalError("\(arrivals.count) packets came through")
            }
            backs.append((seconds() - begun) / Double(Self.perBatch) * 1e9)
            outs.append((sealed - start) / Double(Self.perBatch) * 1e9)
        }
        // What the first pass over them costs is not theirs
        let half = outs.count / 2
        return (outs[half...].sorted()[half / 2], backs[half...].sorted()[half / 2])
    }
}

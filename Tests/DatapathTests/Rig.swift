import Datapath
import ESP
import Foundation
import GatewayCrypto
import LinuxIO
import PacketFixtures
import Synchronization
import Wire

/// What came to the door.
final class Visitors: DoorReceiver {
    struct Visit: Equatable, Sendable {
        var octets: [UInt8]
        var from: Endpoint
        var to: Endpoint
    }

    let visits = Mutex<[Visit]>([])
    let drains = Mutex(0)
    let wakes = Mutex(0)
    /// Whether each message is answered with itself.
    let echoes: Bool

    init(echoes: Bool = false) { self.echoes = echoes }

    func receive(
        _ datagram: UnsafeRawBufferPointer, from remote: Endpoint, to local: Endpoint, at now: Instant, reply: (UnsafeRawBufferPointer) -> Void
    ) {
        let octets = [UInt8](datagram)
        visits.withLock { $0.append(Visit(octets: octets, from: remote, to: local)) }
        if echoes { reply(datagram) }
    }

    func drained(at now: Instant) { drains.withLock { $0 += 1 } }
    func woken(at now: Instant) { wakes.withLock { $0 += 1 } }
    var seen: [Visit] { visits.withLock { $0 } }
}

/// Workers and a door over memory, each on a thread of its own; what a test needs to talk to them.
final class Rig: Sendable {
    typealias TestWorker = Worker<FaultyPort<MemoryPort>, MemoryPort>

    static let gateway = Endpoint(Packets.address("192.0.2.1"), port: 4500)
    static let ike = Endpoint(Packets.address("192.0.2.1"), port: 500)
    static let peer = Endpoint(Packets.address("198.51.100.7"), port: 61_000)
    static let gateway6 = Endpoint(Packets.address("2001:db8:1::1"), port: 4500)
    static let peer6 = Endpoint(Packets.address("2001:db8:7::7"), port: 61_000)

    let control: Control
    let outbox = Outbox()
    let visitors: Visitors
    let outer: [MemoryWire]
    /// UDP over IPv6, ESP without UDP, and whole IP packets of each family.
    let outer6: [MemoryWire]
    let native: [MemoryWire]
    let whole4: [MemoryWire]
    let whole6: [MemoryWire]
    let doorWhole = MemoryWire()
    /// What routers say of our packets, by family.
    let reports4 = MemoryWire()
    let reports6 = MemoryWire()
    let inner: [MemoryWire]
    let doorIKE = MemoryWire()
    let doorNAT = MemoryWire()
    let faults: [FaultyPort<MemoryPort>.Plan]
    let doorBoard = CounterBoard(tunnelCapacity: 1, saCapacity: 1)
    private let isStopping = Mutex(false)
    private let threads: Mutex<[PinnedThread]>

    init(
        workers: Int, tunnels: Int = 64, sas: Int = 128, echoes: Bool = false, ringSize: Int = 1 << 17, reassembles: Bool = true,
        encapsulatedMTU: Int = 0, offloads: SegmentOffloads = [], engine: CryptoEngine = .preferred,
        clock: @escaping @Sendable () -> Instant = { MonotonicClock.now }
    ) throws {
        let bells = (0...workers).map { _ in Bell {} }
        control = Control(
            interfaces: ["priv0", "priv1"], bells: bells, tunnelsPerWorker: tunnels, childSAsPerWorker: sas, engine: engine,
            entropy: SeededEntropy(seed: 11))
        visitors = Visitors(echoes: echoes)
        outer = (0..<workers).map { _ in MemoryWire() }
        outer6 = (0..<workers).map { _ in MemoryWire() }
        native = (0..<workers).map { _ in MemoryWire() }
        whole4 = (0..<workers).map { _ in MemoryWire() }
        whole6 = (0..<workers).map { _ in MemoryWire() }
        inner = (0..<workers).map { _ in MemoryWire() }
        for wire in inner + outer { wire.offloads = offloads }
        faults = (0..<workers).map { _ in FaultyPort<MemoryPort>.Plan() }
        threads = Mutex([])
        let rings = RingMemory(workers: workers, ringSize: ringSize)
        var started: [PinnedThread] = []
        var numbers = OuterPorts(locals: [Self.gateway, Self.gateway6, Endpoint(Self.gateway.address, port: 0)])
        numbers.wholeIPv4 = 3
        numbers.wholeIPv6 = 4
        numbers.reassembles = reassembles
        for index in 0..<workers {
            var outerRow = PortRow<FaultyPort<MemoryPort>>(capacity: 5)
            for wire in [outer[index], outer6[index], native[index], whole4[index], whole6[index]] {
                _ = outerRow.append(FaultyPort(inner: MemoryPort(wire), plan: faults[index]))
            }
            var innerRow = PortRow<MemoryPort>(capacity: 2)
            _ = innerRow.append(MemoryPort(inner[index]))
            _ = innerRow.append(MemoryPort(MemoryWire()))
            let worker = control.worker(
                index, outer: outerRow, ports: numbers, inner: innerRow,
                sources: [(ipv4: Packets.address("10.99.0.1").value, ipv6: 0), (ipv4: 0, ipv6: 0)], rings: rings, batchSize: 16)
            started.append(
                try PinnedThread(name: "w\(index)", context: worker) { [self] worker in
                    var worker = worker
                    while !ends {
                        _ = worker.pass(now: clock())
                        usleep(50)
                    }
                })
        }
        var ports = PortRow<MemoryPort>(capacity: 5)
        for wire in [doorIKE, doorNAT, reports4, reports6] { _ = ports.append(MemoryPort(wire)) }
        _ = ports.append(MemoryPort(doorWhole))
        var doorNumbers = OuterPorts(
            locals: [Self.ike, Self.gateway, Endpoint(Self.gateway.address, port: 0), Endpoint(Self.gateway6.address, port: 0)])
        doorNumbers.firstReport = 2
        doorNumbers.wholeIPv4 = 4
        doorNumbers.reassembles = reassembles
        let door = Door(
            ports: ports, outer: doorNumbers, marked: [false, true, false, false], encapsulatedMTUs: [encapsulatedMTU, encapsulatedMTU],
            receiver: visitors,
            control: control, outbox: outbox, board: doorBoard, rings: rings, batchSize: 16)
        started.append(
            try PinnedThread(name: "door", context: door) { [self] door in
                var door = door
                while !ends {
                    _ = door.pass(now: clock())
                    usleep(50)
                }
            })
        threads.withLock { $0 = started }
    }

    private var ends: Bool { isStopping.withLock { $0 } }

    func stop() {
        isStopping.withLock { $0 = true }
        let running = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in running { thread.join() }
        control.stop()
    }

    /// Waits until the condition holds; false after ten seconds.
    func wait(_ condition: () -> Bool) async -> Bool {
        for _ in 0..<10_000 {
            if condition() { return true }
            try? await Task.sleep(for: .milliseconds(1))
        }
        return condition()
    }

    func drops(_ reason: Drop) -> UInt64 { control.dropCounters(and: [doorBoard])[reason] ?? 0 }

    /// A session with one Child SA on a worker. (An async function with settings and endpoints as parameters of its own crashes with Swift 6.3.)
    func session(
        _ address: String, worker: Int, key: UInt8 = 1, outbound: UInt32 = 0xcafe, suite: ESPSuite = Rig.suite,
        _ change: (inout TunnelSpec) -> Void = { _ in }
    ) async throws -> (id: TunnelID, spi: LocalSPI) {
        var spec = TunnelSpec(
            worker: worker, interface: "priv0", innerAddresses: [Packets.address(address)], settings: TunnelSettings(), peer: Self.peer,
            local: Self.gateway)
        change(&spec)
        guard let id = control.open(tunnel: spec) else { throw DatapathError.noSuchTunnel }
        guard let spi = control.allocateSPI(worker: worker) else { throw DatapathError.noSuchSPI }
        try await control.install(child(id, spi, key: key, outbound: outbound, suite: suite))
        return (id, spi)
    }

    func child(_ id: TunnelID, _ spi: LocalSPI, key: UInt8 = 1, outbound: UInt32 = 0xcafe, suite: ESPSuite = Rig.suite) -> ChildSASpec {
        let all = [Selectors.Entry(.all(.ipv4)), Selectors.Entry(.all(.ipv6))]
        return ChildSASpec(
            tunnel: id, inbound: spi, outbound: outbound, suite: suite,
            keys: ChildSAKeys(
                inboundEncryption: Self.key(suite, key), inboundIntegrity: Self.integrity(suite, key),
                outboundEncryption: Self.key(suite, key ^ 0x80),
                outboundIntegrity: Self.integrity(suite, key ^ 0x80)),
            selectors: Selectors(local: all, remote: all))
    }

    static let suite: ESPSuite = {
        guard let protection = ProtectionSuite(encryption: .aesGCM16, keyBits: 128, integrity: .none) else { preconditionFailure("no GCM") }
        return ESPSuite(protection: protection, extendedSequenceNumbers: true)
    }()

    static func key(_ suite: ESPSuite, _ key: UInt8) -> SecretOctets {
        SecretOctets(copying: [UInt8](repeating: key, count: suite.protection.encryptionKeyLength))
    }

    static func integrity(_ suite: ESPSuite, _ key: UInt8) -> SecretOctets {
        SecretOctets(copying: [UInt8](repeating: key, count: suite.protection.integrityKeyLength))
    }

    /// The client's two ends of a session.
    static func client(
        _ spi: LocalSPI, key: UInt8 = 1, suite: ESPSuite = Rig.suite, engine: CryptoEngine = .openSSL
    ) throws -> OutboundSA {
        try OutboundSA(
            spi: spi.rawValue, suite: suite, encryptionKey: Self.key(suite, key), integrityKey: integrity(suite, key),
            entropy: SeededEntropy(seed: 5), engine: engine)
    }

    static func clientIn(
        _ outbound: UInt32 = 0xcafe, key: UInt8 = 1, suite: ESPSuite = Rig.suite, engine: CryptoEngine = .openSSL
    ) throws -> InboundSA {
        try InboundSA(
            spi: outbound, suite: suite, encryptionKey: Self.key(suite, key ^ 0x80), integrityKey: integrity(suite, key ^ 0x80),
            replayWindow: 2048, engine: engine)
    }

    static func outside(_ octets: [UInt8], segmentSize: Int = 0) -> MemoryWire.Packet {
        MemoryWire.Packet(octets: octets, peer: peer, local: gateway, segmentSize: segmentSize)
    }
}

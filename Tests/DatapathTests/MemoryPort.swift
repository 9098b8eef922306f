import LinuxIO
import Synchronization
import Wire

/// One end of a wire in memory: what a test puts in a port receives, what a port sends a test takes out.
final class MemoryWire: Sendable {
    struct Packet: Sendable, Equatable {
        var octets: [UInt8]
        var peer = Endpoint(IPAddress(v4: 0), port: 0)
        var local = Endpoint(IPAddress(v4: 0), port: 0)
        var segmentSize = 0
        var trafficClass: UInt8 = 0
        var wasFragmented = false
        var offload = OffloadHeader()
    }

    private let incoming = Mutex<[Packet]>([])
    private let outgoing = Mutex<[Packet]>([])
    /// Packets of each entry that was sent.
    private let sizes = Mutex<[Int]>([])
    /// Whether the device takes nothing: the kernel's EIO of one that is down, ENOBUFS.
    let isDown = Mutex(false)
    /// What the port says that it can do.
    private let offered = Mutex<SegmentOffloads>([])

    func put(_ packet: Packet) { incoming.withLock { $0.append(packet) } }
    func put(_ packets: [Packet]) { incoming.withLock { $0 += packets } }
    func take() -> [Packet] {
        outgoing.withLock { packets in
            defer { packets = [] }
            return packets
        }
    }

    var waiting: Int { incoming.withLock { $0.count } }
    var sentCount: Int { outgoing.withLock { $0.count } }

    fileprivate func receive(_ limit: Int) -> [Packet] {
        incoming.withLock { packets in
            let taken = Array(packets.prefix(limit))
            packets.removeFirst(taken.count)
            return taken
        }
    }

    var entrySizes: [Int] { sizes.withLock { $0 } }
    var offloads: SegmentOffloads {
        get { offered.withLock { $0 } }
        set { offered.withLock { $0 = newValue } }
    }

    /// As the kernel does: segments of one entry are datagrams.
    fileprivate func send(_ packet: Packet, packets: Int) {
        sizes.withLock { $0.append(packets) }
        outgoing.withLock { out in
            guard packet.segmentSize > 0, packet.segmentSize < packet.octets.count else {
                out.append(packet)
                return
            }
            for start in stride(from: 0, to: packet.octets.count, by: packet.segmentSize) {
                var one = packet
                one.octets = Array(packet.octets[start..<min(start + packet.segmentSize, packet.octets.count)])
                out.append(one)
            }
        }
    }
}

struct MemoryPort: PacketPort, ~Copyable {
    let wire: MemoryWire
    private(set) var counters = PortCounters()

    init(_ wire: MemoryWire) { self.wire = wire }

    var descriptor: Int32 { -1 }
    var offloads: SegmentOffloads { wire.offloads }

    mutating func receive(into batch: inout Batch) throws(SystemError) -> Int {
        batch.removeAll()
        for packet in wire.receive(batch.capacity) {
            packet.octets.withUnsafeBytes { octets in
                guard let index = batch.append(copying: octets, to: packet.peer, from: packet.local) else { return }
                batch[index].segmentSize = packet.segmentSize
                batch[index].trafficClass = packet.trafficClass
                batch[index].wasFragmented = packet.wasFragmented
                batch[index].offload = packet.offload
            }
        }
        counters.received += UInt64(batch.count)
        return batch.count
    }

    mutating func send(_ batch: borrowing Batch, from first: Int) throws(SystemError) -> Int {
        for index in first..<batch.count where batch[index].length > 0 {
            let entry = batch[index]
            if wire.isDown.withLock({ $0 }) {
                counters.refused += UInt64(entry.packetCount)
                batch.leave(index, unsent: entry.packetCount)
                continue
            }
            wire.send(
                MemoryWire.Packet(
                    octets: [UInt8](batch.octets(index)), peer: entry.peer, local: entry.local, segmentSize: entry.segmentSize,
                    trafficClass: entry.trafficClass, offload: entry.offload), packets: entry.packetCount)
            counters.sent += 1
        }
        return batch.count
    }
}

/// Puts trouble before a port: room for so many packets per send, and an error that ends it.
struct FaultyPort<Inner: PacketPort & ~Copyable>: PacketPort, ~Copyable {
    final class Plan: Sendable {
        let roomPerSend = Mutex(Int.max)
        /// Packets of the first entry without room that have some, if it is a row.
        let roomInRow = Mutex(0)
        let isBroken = Mutex(false)
    }

    var inner: Inner
    let plan: Plan

    var descriptor: Int32 { inner.descriptor }
    var counters: PortCounters { inner.counters }
    var offloads: SegmentOffloads { inner.offloads }

    mutating func receive(into batch: inout Batch) throws(SystemError) -> Int {
        if plan.isBroken.withLock({ $0 }) { throw SystemError(19, call: "read", subject: "a port that the test broke") }
        return try inner.receive(into: &batch)
    }

    mutating func send(_ batch: borrowing Batch, from first: Int) throws(SystemError) -> Int {
        let room = plan.roomPerSend.withLock { $0 }
        guard room < batch.count - first else { return try inner.send(batch, from: first) }
        // The rest finds no room: sent one by one up to there
        var part = Batch(capacity: room + 1, room: 65_535)
        for index in first...first + room {
            let entry = batch[index]
            let packets = index < first + room ? entry.packetCount : min(plan.roomInRow.withLock { $0 }, entry.packetCount)
            let octets = UnsafeRawBufferPointer(batch.octets(index)).prefix(entry.isSegmented ? packets * entry.segmentSize : entry.length)
            guard packets > 0, let place = part.append(copying: UnsafeRawBufferPointer(rebasing: octets), to: entry.peer, from: entry.local) else {
                continue
            }
            part[place].segmentSize = entry.segmentSize
            if packets < entry.packetCount { batch.leave(index, unsent: entry.packetCount - packets) }
        }
        guard !part.isEmpty else { return first }
        _ = try inner.send(part, from: 0)
        return first + part.count
    }
}

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
    }

    private let incoming = Mutex<[Packet]>([])
    private let outgoing = Mutex<[Packet]>([])

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

    fileprivate func send(_ packet: Packet) { outgoing.withLock { $0.append(packet) } }
}

struct MemoryPort: PacketPort, ~Copyable {
    let wire: MemoryWire
    private(set) var counters = PortCounters()

    init(_ wire: MemoryWire) { self.wire = wire }

    var descriptor: Int32 { -1 }

    mutating func receive(into batch: inout Batch) throws(SystemError) -> Int {
        batch.removeAll()
        for packet in wire.receive(batch.capacity) {
            packet.octets.withUnsafeBytes { octets in
                guard let index = batch.append(copying: octets, to: packet.peer, from: packet.local) else { return }
                batch[index].segmentSize = packet.segmentSize
                batch[index].trafficClass = packet.trafficClass
                batch[index].wasFragmented = packet.wasFragmented
            }
        }
        counters.received += UInt64(batch.count)
        return batch.count
    }

    mutating func send(_ batch: borrowing Batch, from first: Int) throws(SystemError) -> Int {
        for index in first..<batch.count where batch[index].length > 0 {
            let entry = batch[index]
            wire.send(
                MemoryWire.Packet(octets: [UInt8](batch.octets(index)), peer: entry.peer, local: entry.local, trafficClass: entry.trafficClass))
            counters.sent += 1
        }
        return batch.count
    }
}

/// Puts trouble before a port: room for so many packets per send, and an error that ends it.
struct FaultyPort<Inner: PacketPort & ~Copyable>: PacketPort, ~Copyable {
    final class Plan: Sendable {
        let roomPerSend = Mutex(Int.max)
        let isBroken = Mutex(false)
    }

    var inner: Inner
    let plan: Plan

    var descriptor: Int32 { inner.descriptor }
    var counters: PortCounters { inner.counters }

    mutating func receive(into batch: inout Batch) throws(SystemError) -> Int {
        if plan.isBroken.withLock({ $0 }) { throw SystemError(19, call: "read", subject: "a port that the test broke") }
        return try inner.receive(into: &batch)
    }

    mutating func send(_ batch: borrowing Batch, from first: Int) throws(SystemError) -> Int {
        let room = plan.roomPerSend.withLock { $0 }
        guard room < batch.count - first else { return try inner.send(batch, from: first) }
        // The rest finds no room: sent one by one up to there
        var part = Batch(capacity: max(room, 1), room: 65_535)
        for index in first..<first + room {
            let entry = batch[index]
            _ = part.append(copying: UnsafeRawBufferPointer(batch.octets(index)), to: entry.peer, from: entry.local)
        }
        if room > 0 { _ = try inner.send(part, from: 0) }
        return first + room
    }
}

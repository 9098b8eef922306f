internal import Synchronization
package import Wire

/// A number with one writer and any readers. Reading is no message to the writer.
package struct Counter: ~Copyable, Sendable {
    private let storage = Atomic<UInt64>(0)

    package init() {}

    package var value: UInt64 {
        @_noLocks get { storage.load(ordering: .relaxed) }
    }

    /// By the one writer only: no read-modify-write is needed.
    @_noLocks
    package func add(_ amount: UInt64) {
        storage.store(storage.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    @_noLocks
    package func set(_ value: UInt64) {
        storage.store(value, ordering: .relaxed)
    }
}

/// What has passed through one session: inner octets and packets. In is from the client (features.md RAD-7).
package struct TunnelCounters: Equatable, Sendable {
    package var octetsIn: UInt64 = 0
    package var packetsIn: UInt64 = 0
    package var octetsOut: UInt64 = 0
    package var packetsOut: UInt64 = 0
    /// Packets of the session that went no further, of both directions.
    package var drops: UInt64 = 0
    /// Those of them whose inner source was not the session's (threats.md P29).
    package var spoofed: UInt64 = 0
    /// When the last authentic packet came from the peer; nil before the first.
    package var lastInbound: Instant?

    package init() {}
}

/// What has passed through one Child SA: inner octets and packets.
package struct SACounters: Equatable, Sendable {
    package var octetsIn: UInt64 = 0
    package var packetsIn: UInt64 = 0
    package var octetsOut: UInt64 = 0
    package var packetsOut: UInt64 = 0

    package init() {}
}

/// What a worker has carried, both directions: inner octets and packets.
package struct WorkerLoad: Equatable, Sendable {
    package var octets: UInt64 = 0
    package var packets: UInt64 = 0

    package init(octets: UInt64 = 0, packets: UInt64 = 0) {
        self.octets = octets
        self.packets = packets
    }
}

/// The counters of one worker, in memory that outlives every SA: the worker writes, anyone reads.
@safe
package final class CounterBoard: @unchecked Sendable {
    struct TunnelCells: ~Copyable {
        let octetsIn = Counter(), packetsIn = Counter(), octetsOut = Counter(), packetsOut = Counter()
        let drops = Counter(), spoofed = Counter(), lastInbound = Counter()

        @_noLocks
        func reset() {
            octetsIn.set(0)
            packetsIn.set(0)
            octetsOut.set(0)
            packetsOut.set(0)
            drops.set(0)
            spoofed.set(0)
            lastInbound.set(0)
        }
    }

    struct LoadCells: ~Copyable {
        let octets = Counter(), packets = Counter()
    }

    struct SACells: ~Copyable {
        let octetsIn = Counter(), packetsIn = Counter(), octetsOut = Counter(), packetsOut = Counter()
        let highestIn = Counter(), recentIn = Counter(), sequenceOut = Counter()

        @_noLocks
        func reset() {
            octetsIn.set(0)
            packetsIn.set(0)
            octetsOut.set(0)
            packetsOut.set(0)
            highestIn.set(0)
            recentIn.set(0)
            sequenceOut.set(0)
        }
    }

    package let tunnelCapacity: Int
    package let saCapacity: Int
    let tunnels: UnsafeMutablePointer<TunnelCells>
    let sas: UnsafeMutablePointer<SACells>
    let drops: UnsafeMutablePointer<Counter>
    let loads: UnsafeMutablePointer<LoadCells>

    package init(tunnelCapacity: Int, saCapacity: Int) {
        self.tunnelCapacity = max(tunnelCapacity, 1)
        self.saCapacity = min(max(saCapacity, 1), LocalSPI.maximumSlots)
        unsafe tunnels = .allocate(capacity: self.tunnelCapacity)
        unsafe sas = .allocate(capacity: self.saCapacity)
        unsafe drops = .allocate(capacity: Drop.allCases.count)
        unsafe loads = .allocate(capacity: 1)
        unsafe loads.initialize(to: LoadCells())
        for index in 0..<self.tunnelCapacity { unsafe (tunnels + index).initialize(to: TunnelCells()) }
        for index in 0..<self.saCapacity { unsafe (sas + index).initialize(to: SACells()) }
        for index in Drop.allCases.indices { unsafe (drops + index).initialize(to: Counter()) }
    }

    deinit {
        unsafe tunnels.deinitialize(count: tunnelCapacity)
        unsafe sas.deinitialize(count: saCapacity)
        unsafe drops.deinitialize(count: Drop.allCases.count)
        unsafe tunnels.deallocate()
        unsafe sas.deallocate()
        unsafe drops.deallocate()
        unsafe loads.deinitialize(count: 1)
        unsafe loads.deallocate()
    }

    /// Zero when there is no such session.
    package func tunnel(_ index: Int) -> TunnelCounters {
        guard index >= 0, index < tunnelCapacity else { return TunnelCounters() }
        var result = TunnelCounters()
        unsafe result.octetsIn = tunnels[index].octetsIn.value
        unsafe result.packetsIn = tunnels[index].packetsIn.value
        unsafe result.octetsOut = tunnels[index].octetsOut.value
        unsafe result.packetsOut = tunnels[index].packetsOut.value
        unsafe result.drops = tunnels[index].drops.value
        unsafe result.spoofed = tunnels[index].spoofed.value
        let last = unsafe tunnels[index].lastInbound.value
        result.lastInbound = last == 0 ? nil : Instant(nanoseconds: last)
        return result
    }

    package func sa(_ slot: Int) -> SACounters {
        guard slot >= 0, slot < saCapacity else { return SACounters() }
        var result = SACounters()
        unsafe result.octetsIn = sas[slot].octetsIn.value
        unsafe result.packetsIn = sas[slot].packetsIn.value
        unsafe result.octetsOut = sas[slot].octetsOut.value
        unsafe result.packetsOut = sas[slot].packetsOut.value
        return result
    }

    /// The highest number received, which of the 64 up to it were, and the last number sent.
    package func sequences(_ slot: Int) -> (highestIn: UInt64, recentIn: UInt64, lastOut: UInt64) {
        guard slot >= 0, slot < saCapacity else { return (0, 0, 0) }
        return unsafe (sas[slot].highestIn.value, sas[slot].recentIn.value, sas[slot].sequenceOut.value)
    }

    /// Of all sessions that the worker has had.
    package var load: WorkerLoad { unsafe WorkerLoad(octets: loads.pointee.octets.value, packets: loads.pointee.packets.value) }

    package func drops(_ reason: Drop) -> UInt64 {
        unsafe drops[reason.index].value
    }

    /// By the counting thread only.
    package func count(_ reason: Drop) {
        unsafe drops[reason.index].add(1)
    }
}

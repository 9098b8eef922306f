internal import GatewayCrypto

extension SAD {
    // What packets to come will need is sent for, into the core's cache. Nothing is believed of those packets, and nothing changes.

    /// Whether there are more Child SAs than the cache has room for beside all else: a few kilobytes each.
    package var isCrowded: Bool { @_noLocks get { pairCount > 64 } }

    /// The record of the SA that an ESP packet names.
    @_noLocks
    package func sendForRecord(of packet: PacketView) {
        let slot = Int(truncatingIfNeeded: packet.u32(0) >> 6 & 0x3_ffff)
        guard slot < slotCapacity else { return }
        unsafe CacheHint.sendFor(spis + slot, octets: 4)
        unsafe CacheHint.sendFor(pairs + slot, octets: SAPair.commonOctets + InboundSA.hotOctets)
    }

    /// What that record points to, where it is there.
    @_noLocks
    package func sendForKeys(of packet: PacketView) {
        let spi = packet.u32(0)
        let slot = Int(truncatingIfNeeded: spi >> 6 & 0x3_ffff)
        guard spi != 0, slot < slotCapacity, unsafe spis[slot] == spi else { return }
        unsafe pairs[slot].inbound.sendForKeys()
        sendForSurroundings(ofSlot: slot)
        sendForTunnel(unsafe pairs[slot].tunnel)
    }

    @_noLocks
    private func sendForSurroundings(ofSlot slot: Int) {
        unsafe pairs[slot].table.sendFor()
        unsafe CacheHint.sendFor(saCells + slot, octets: MemoryLayout<CounterBoard.SACells>.size)
    }

    /// A tunnel; below 0: none.
    @_noLocks
    package func sendForTunnel(_ tunnel: Int) {
        guard tunnel >= 0, tunnel < tunnelCapacity else { return }
        unsafe CacheHint.sendFor(generations + tunnel, octets: 4)
        unsafe CacheHint.sendFor(tunnels + tunnel, octets: MemoryLayout<Tunnel>.size)
        unsafe CacheHint.sendFor(tunnelCells + tunnel, octets: MemoryLayout<CounterBoard.TunnelCells>.size)
    }

    /// The record of a tunnel's newest Child SA, as far as sealing needs it. Returns its slot; below 0: there is none.
    @_noLocks
    package func sendForChild(ofTunnel tunnel: Int) -> Int {
        guard tunnel >= 0, tunnel < tunnelCapacity, unsafe generations[tunnel] != 0 else { return -1 }
        let slot = unsafe tunnels[tunnel].newestChild
        guard slot >= 0, slot < slotCapacity else { return -1 }
        unsafe CacheHint.sendFor(pairs + slot, octets: SAPair.commonOctets)
        unsafe CacheHint.sendFor(UnsafeRawPointer(pairs + slot) + SAPair.outboundOffset, octets: OutboundSA.hotOctets)
        return slot
    }

    /// What sealing needs beside the record in a slot; below 0: none.
    @_noLocks
    package func sendForKeys(ofSlot slot: Int) {
        guard slot >= 0, slot < slotCapacity, unsafe spis[slot] != 0 else { return }
        unsafe pairs[slot].outbound.sendForKeys()
        sendForSurroundings(ofSlot: slot)
    }
}

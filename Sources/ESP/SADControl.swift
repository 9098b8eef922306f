package import Wire

extension SAD {
    // What commands do; by the worker's thread, between two packets.

    /// Puts a tunnel at an index that is free; false when it is not.
    package mutating func open(tunnel: consuming Tunnel, at index: Int) -> Bool {
        guard index >= 0, index < tunnelCapacity, unsafe generations[index] == 0, tunnel.generation != 0 else { return false }
        unsafe generations[index] = tunnel.generation
        unsafe tunnelCells[index].reset()
        unsafe (tunnels + index).initialize(to: tunnel)
        return true
    }

    /// Takes a tunnel out. Its Child SAs must be gone.
    package mutating func close(tunnel index: Int, generation: UInt32) -> Tunnel? {
        guard holds(tunnel: index, generation: generation) else { return nil }
        unsafe generations[index] = 0
        return unsafe (tunnels + index).move()
    }

    package func holds(tunnel index: Int, generation: UInt32) -> Bool {
        unsafe index >= 0 && index < tunnelCapacity && generation != 0 && generations[index] == generation
    }

    /// Puts a Child SA into the slot of its SPI; false when that is taken, or the tunnel is not there or full.
    package mutating func insert(_ pair: consuming SAPair) -> Bool {
        let spi = pair.inbound.spi
        let slot = Int(spi >> 6 & 0x3_ffff)
        let tunnel = pair.tunnel
        guard slot < slotCapacity, unsafe spis[slot] == 0, spi >> 24 != 0, Int(spi & 0x3f) == worker, tunnel >= 0, tunnel < tunnelCapacity,
            unsafe generations[tunnel] != 0, unsafe tunnels[tunnel].add(child: slot)
        else { return false }
        unsafe saCells[slot].reset()
        unsafe (pairs + slot).initialize(to: pair)
        unsafe spis[slot] = spi
        pairCount += 1
        // Nothing to wait for when what it replaces has gone already; or is another worker's, from which the routes lead here when it is time
        let old = unsafe pairs[slot].supersedes
        if old != 0, !holds(spi: old, in: tunnel) { unsafe pairs[slot].isOutboundReady = true }
        return true
    }

    private func holds(spi: UInt32, in tunnel: Int) -> Bool {
        let slot = Int(spi >> 6 & 0x3_ffff)
        guard slot < slotCapacity, unsafe spis[slot] == spi else { return false }
        return unsafe pairs[slot].tunnel == tunnel
    }

    /// Takes a Child SA out. A successor that waited for the peer's first packet takes over at once.
    package mutating func remove(_ spi: LocalSPI) -> SAPair? {
        let slot = spi.slot
        guard slot < slotCapacity, unsafe spis[slot] == spi.rawValue else { return nil }
        unsafe spis[slot] = 0
        pairCount -= 1
        let pair = unsafe (pairs + slot).move()
        unsafe tunnels[pair.tunnel].remove(child: slot)
        let children = unsafe tunnels[pair.tunnel].childCount
        for index in 0..<children {
            let other = unsafe tunnels[pair.tunnel].child(index)
            if unsafe pairs[other].supersedes == spi.rawValue { unsafe pairs[other].isOutboundReady = true }
        }
        return pair
    }

    /// The inbound SPI of the newest Child SA of a tunnel; nil when it has none.
    package func lastChild(ofTunnel index: Int) -> LocalSPI? {
        guard index >= 0, index < tunnelCapacity, unsafe generations[index] != 0 else { return nil }
        let slot = unsafe tunnels[index].child(tunnels[index].childCount - 1)
        return slot >= 0 ? LocalSPI(rawValue: unsafe spis[slot]) : nil
    }

    /// The SPI in a slot; nil when it is empty.
    package func spi(inSlot slot: Int) -> LocalSPI? {
        slot >= 0 && slot < slotCapacity ? LocalSPI(rawValue: unsafe spis[slot]) : nil
    }

    /// The generation of the tunnel at an index; 0 when there is none.
    package func generation(ofTunnel index: Int) -> UInt32 {
        unsafe index >= 0 && index < tunnelCapacity ? generations[index] : 0
    }

    /// Sends to another endpoint of the peer from now on.
    package mutating func move(tunnel index: Int, generation: UInt32, to peer: Endpoint, from local: Endpoint?) {
        guard holds(tunnel: index, generation: generation) else { return }
        unsafe tunnels[index].peer = peer
        if let local { unsafe tunnels[index].local = local }
        unsafe tunnels[index].path = OuterPath()
    }
}

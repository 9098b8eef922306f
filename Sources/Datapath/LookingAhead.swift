internal import ESP
internal import LinuxIO

extension WorkerCore {
    // Packets of many sessions in turn find nothing of theirs in the core's cache: record, keys, counters, selectors come from far, one after the other.
    // While one packet is worked on, what the next ones need is sent for; nothing is decided here.

    /// Entries that are remembered; a power of two.
    static var aheadCount: Int { @_noLocks get { 8 } }

    /// Sends for what the entries behind this one need that came from outside: far ahead the record of the SA, near what that points to.
    @_noLocks
    func lookAhead(_ batch: borrowing Batch, behind entry: Int) {
        var far = entry == 0 ? 1 : entry &+ 4
        while far <= entry &+ 4, far < batch.count {
            sad.sendForRecord(of: unsafe PacketView(batch.octets(far)))
            far &+= 1
        }
        if entry &+ 2 < batch.count { sad.sendForKeys(of: unsafe PacketView(batch.octets(entry &+ 2))) }
    }

    /// The same for entries from the private side: the tunnel, then its newest Child SA, then the keys of that.
    @_noLocks
    func lookAhead(_ batch: borrowing Batch, behind entry: Int, interface: Int) {
        guard interface >= 0, interface < interfaces else { return }
        let mask = Self.aheadCount &- 1
        var far = entry == 0 ? 1 : entry &+ 4
        while far <= entry &+ 4, far < batch.count {
            let octets = unsafe PacketView(batch.octets(far))
            let isIPv6 = octets.u8(0) >> 4 == 6
            let to = isIPv6 ? UInt128(octets.u64(24)) << 64 | UInt128(octets.u64(32)) : UInt128(octets.u32(16))
            let target = target(of: to, isIPv6: isIPv6, interface: interface)
            let tunnel = target?.worker == index ? target?.tunnel ?? -1 : -1
            unsafe ahead[far & mask] = tunnel
            unsafe ahead[Self.aheadCount &+ (far & mask)] = -1
            sad.sendForTunnel(tunnel)
            far &+= 1
        }
        if entry &+ 3 < batch.count {
            let place = (entry &+ 3) & mask
            unsafe ahead[Self.aheadCount &+ place] = unsafe sad.sendForChild(ofTunnel: ahead[place])
        }
        if entry &+ 2 < batch.count { unsafe sad.sendForKeys(ofSlot: ahead[Self.aheadCount &+ ((entry &+ 2) & mask)]) }
    }
}

/// Room for what an extended sequence number adds to what is authenticated.
typealias ExtendedHeader = (UInt64, UInt64)

/// What the cipher is given of an ESP packet, RFC 4303 section 3.3.2.
struct CipherParts {
    let aad, iv, text, icv, trailer: PacketView

    /// The packet must be long enough for prefix and ICV: that was asked of its length. Where the sequence number is extended, associated data (SPI,
    /// high half, low half) or trailer (high half) stand in `memory`, an `ExtendedHeader` that is needed as long as the parts are.
    @_noLocks
    @unsafe init(of packet: PacketView, _ layout: PacketLayout, _ sequence: UInt64, _ memory: UnsafeMutableRawPointer) {
        let room = unsafe PacketView(UnsafeMutableRawBufferPointer(start: memory, count: MemoryLayout<ExtendedHeader>.size))
        let prefix = layout.prefixLength
        let textLength = packet.count &- prefix &- layout.icvLength
        unsafe iv = packet.provenPart(ESPSuite.headerLength, layout.ivLength)
        unsafe text = packet.provenPart(prefix, textLength)
        unsafe icv = packet.provenPart(prefix &+ textLength, layout.icvLength)
        guard layout.isExtended else {
            unsafe aad = packet.provenPart(0, ESPSuite.headerLength)
            unsafe trailer = room.provenPart(0, 0)
            return
        }
        let high = UInt32(truncatingIfNeeded: sequence >> 32)
        if layout.isAEAD {
            room.put(packet.u32(0), at: 0)
            room.put(high, at: 4)
            room.put(packet.u32(4), at: 8)
            unsafe aad = room.provenPart(0, 12)
            unsafe trailer = room.provenPart(0, 0)
        } else {
            room.put(high, at: 0)
            unsafe aad = packet.provenPart(0, ESPSuite.headerLength)
            unsafe trailer = room.provenPart(0, 4)
        }
    }
}

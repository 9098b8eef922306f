/// How one IPv4 packet is cut so that each piece fits ip-mtu, RFC 791 section 3.2 (features.md DP-3).
package struct Fragmentation: Sendable {
    /// Pieces.
    package let count: Int
    private let packet: InnerPacket
    private let identification: UInt16
    private let firstPayload: Int
    private let laterPayload: Int
    private let laterHeader: Int
    private let copiedOptions: Int

    /// A plan, or nil when `mtu` leaves no room for eight octets behind the header. `identification` is given to packets whose DF is cleared: they may
    /// all have had the same one (RFC 6864).
    @_noLocks
    init?(_ packet: InnerPacket, _ octets: PacketView, mtu: Int, identification: UInt16) {
        guard !packet.isIPv6 else { return nil }
        let header = packet.headerLength
        copiedOptions = Self.copiedLength(octets.part(20, header &- 20))
        laterHeader = 20 &+ (copiedOptions &+ 3) / 4 &* 4
        firstPayload = (mtu &- header) / 8 &* 8
        laterPayload = (mtu &- laterHeader) / 8 &* 8
        guard mtu > header, mtu > laterHeader, firstPayload >= 8, laterPayload >= 8 else { return nil }
        let payload = packet.length &- header
        count = payload <= firstPayload ? 1 : 1 &+ (payload &- firstPayload &+ laterPayload &- 1) / laterPayload
        self.packet = packet
        self.identification = packet.mayNotFragment ? identification : octets.u16(4)
    }

    /// Writes piece `index` to the beginning of `output` and returns its length; 0 when it does not fit.
    @_noLocks
    package func write(_ index: Int, of octets: PacketView, to output: PacketView) -> Int {
        let header = packet.headerLength
        let payload = packet.length &- header
        let from = index == 0 ? 0 : firstPayload &+ (index &- 1) &* laterPayload
        guard index >= 0, index < count, from < payload || payload == 0 else { return 0 }
        let size = min(index == 0 ? firstPayload : laterPayload, payload &- from)
        let ownHeader = index == 0 ? header : laterHeader
        let total = ownHeader &+ size
        guard output.holds(0, total), output.copy(from: octets, 0, to: 0, 20) else { return 0 }
        if index == 0 {
            output.copy(from: octets, 20, to: 20, header &- 20)
        } else {
            copyOptions(octets.part(20, header &- 20), to: output.part(20, laterHeader &- 20))
        }
        let word = octets.u16(6)
        let more = word & 0x2000 != 0 || index &+ 1 < count
        let offset = (word & 0x1fff) &+ UInt16(truncatingIfNeeded: from / 8)
        output.put(UInt8(0x40 | UInt8(truncatingIfNeeded: ownHeader / 4)), at: 0)
        output.put(UInt16(truncatingIfNeeded: total), at: 2)
        output.put(identification, at: 4)
        output.put((more ? 0x2000 : 0) | (offset & 0x1fff), at: 6)
        output.put(UInt16(0), at: 10)
        output.put(Checksum.of(output.part(0, ownHeader)), at: 10)
        output.copy(from: octets, header &+ from, to: ownHeader, size)
        return total
    }

    /// Octets of the options whose copied flag is set.
    @_noLocks
    private static func copiedLength(_ options: PacketView) -> Int {
        var at = 0
        var length = 0
        while at < options.count {
            let kind = options.u8(at)
            if kind == 0 { break }
            let size = kind == 1 ? 1 : Int(options.u8(at &+ 1))
            guard size >= 1, options.holds(at, size) else { break }
            if kind & 0x80 != 0 { length &+= size }
            at &+= size
        }
        return length
    }

    @_noLocks
    private func copyOptions(_ options: PacketView, to output: PacketView) {
        var at = 0
        var to = 0
        while at < options.count {
            let kind = options.u8(at)
            if kind == 0 { break }
            let size = kind == 1 ? 1 : Int(options.u8(at &+ 1))
            guard size >= 1, options.holds(at, size) else { break }
            if kind & 0x80 != 0 {
                output.copy(from: options, at, to: to, size)
                to &+= size
            }
            at &+= size
        }
        while to < output.count {
            output.put(UInt8(0), at: to)
            to &+= 1
        }
    }
}

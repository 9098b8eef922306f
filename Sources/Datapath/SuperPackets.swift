internal import ESP
internal import LinuxIO

extension Segmentation {
    /// What the kernel says of a super-packet, against the packet; throws where the two do not agree.
    @_noLocks
    init(_ packet: InnerPacket, _ octets: PacketView, _ offload: OffloadHeader) throws(Drop) {
        let kind = offload.kind & ~OffloadHeader.ecn
        let isTCP = kind == OffloadHeader.tcpIPv4 || kind == OffloadHeader.tcpIPv6
        guard isTCP ? packet.isIPv6 == (kind == OffloadHeader.tcpIPv6) : kind == OffloadHeader.udp else { throw .malformed }
        try self.init(packet, octets, isTCP: isTCP, size: Int(offload.segmentSize))
    }

    /// Packets that would leave for what a device gave us. Its headers tell, not the kernel's `hdr_len`, which is all of a super-packet that lies in one
    /// piece. What cannot be cut is one drop, whenever it is dropped.
    @_noLocks
    static func count(_ octets: PacketView, _ offload: OffloadHeader) -> Int {
        guard offload.kind != 0 else { return 1 }
        do throws(Drop) {
            return try Segmentation(InnerPacket(octets), octets, offload).count
        } catch {
            return 1
        }
    }
}

extension WorkerCore {
    /// Counts as many drops of nobody's as there are packets in what is dropped.
    @_noLocks
    func count(_ drop: Drop, times: Int) {
        var left = times
        while left > 0 {
            sad.count(drop)
            left &-= 1
        }
    }
}

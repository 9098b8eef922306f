/// What the kernel does for a port with many packets in one: cutting what we send or write, joining what we receive or read.
package struct SegmentOffloads: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8
    @_noLocks
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package static var none: Self { @_noLocks get { Self(rawValue: 0) } }
    /// Each packet of a TUN device has an `OffloadHeader` before it (`IFF_VNET_HDR`).
    package static var header: Self { @_noLocks get { Self(rawValue: 1) } }
    /// Many TCP segments in one (TSO).
    package static var tcp: Self { @_noLocks get { Self(rawValue: 2) } }
    /// Many UDP datagrams in one (USO of a TUN device, from Linux 6.2 on; `UDP_SEGMENT` of a socket).
    package static var udp: Self { @_noLocks get { Self(rawValue: 4) } }
    package static var all: Self { @_noLocks get { Self(rawValue: 7) } }
}

/// What stands before each packet of a TUN device with `IFF_VNET_HDR` (`struct virtio_net_hdr`): what one side leaves to the other. From the kernel it is
/// a hint, and read as if it could lie.
package struct OffloadHeader: Equatable, Sendable, BitwiseCopyable {
    /// `needsChecksum`, `isVerified`.
    package var flags: UInt8 = 0
    /// `tcpIPv4`, `tcpIPv6`, `udp`; 0: one packet.
    package var kind: UInt8 = 0
    /// Octets of IP and transport headers.
    package var headerLength: UInt16 = 0
    /// Payload octets of every packet but the last.
    package var segmentSize: UInt16 = 0
    /// Where the checksum begins to count, and where it is written, from there.
    package var checksumStart: UInt16 = 0
    package var checksumOffset: UInt16 = 0

    @_noLocks
    package init() {}

    /// Octets before a packet.
    package static var size: Int { @_noLocks get { 10 } }
    package static var needsChecksum: UInt8 { @_noLocks get { 1 } }
    package static var isVerified: UInt8 { @_noLocks get { 2 } }
    package static var tcpIPv4: UInt8 { @_noLocks get { 1 } }
    package static var tcpIPv6: UInt8 { @_noLocks get { 4 } }
    package static var udp: UInt8 { @_noLocks get { 5 } }
    /// Set beside a kind: the first packet has CWR.
    package static var ecn: UInt8 { @_noLocks get { 0x80 } }
}

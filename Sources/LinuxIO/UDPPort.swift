internal import CLinux
internal import Glibc
package import Wire

/// A UDP socket bound to one local address: datagrams in batches, with segment offloads where an entry has a `segmentSize`.
package struct UDPPort: ~Copyable, PacketPort, Sendable {
    private var port: DatagramPort

    /// Opens and binds a socket of its own; port 0 lets the kernel choose.
    package init(_ local: Endpoint, options: UDPOptions = UDPOptions()) throws(SystemError) {
        let socket = try UDPSocket.open(local, shared: false, options: options)
        self.init(socket, local, options)
    }

    init(_ socket: consuming FileDescriptor, _ local: Endpoint, _ options: UDPOptions) {
        // before the socket is given away; 0 changes nothing
        let canSegment = (try? UDPSocket.set(socket.rawValue, Int32(IPPROTO_UDP), UDP_SEGMENT, 0, "UDP_SEGMENT", "UDP \(local)")) != nil
        let joins =
            options.coalesces && (try? UDPSocket.set(socket.rawValue, Int32(IPPROTO_UDP), UDP_GRO, 1, "UDP_GRO", "UDP \(local)")) != nil
        let bound = UDPSocket.local(socket.rawValue) ?? local
        port = DatagramPort(
            socket, .udp, local: bound, packetsPerCall: options.packetsPerCall,
            wantsControl: options.receivesTrafficClass || options.receivesFragmentSize || joins,
            segments: options.segments && canSegment, joins: joins)
    }

    /// The address and port it is bound to; the `local` of received entries.
    package var local: Endpoint { port.local }
    package var counters: PortCounters { port.counters }
    package var descriptor: Int32 { port.descriptor }
    package var offloads: SegmentOffloads { port.offloads }
    /// Whether the kernel joins equal datagrams that come in (`UDP_GRO`).
    package var joins: Bool { port.joins }

    package mutating func receive(into batch: inout Batch) throws(SystemError) -> Int { try port.receive(into: &batch) }

    package mutating func send(_ batch: borrowing Batch, from first: Int) throws(SystemError) -> Int { try port.send(batch, from: first) }

    /// Sends one datagram; false when the kernel has no room or refuses it.
    package mutating func send(_ octets: [UInt8], to peer: Endpoint) -> Bool { port.send(octets, to: peer) }

    /// The same socket, to stand in a row with those of other protocols.
    package consuming func datagramPort() -> DatagramPort { port }
}

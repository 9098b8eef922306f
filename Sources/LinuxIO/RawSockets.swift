internal import CLinux
internal import Glibc
package import Wire

/// ESP as an IP protocol of its own (RFC 4303), and whole IP packets that we have cut ourselves. All of it needs CAP_NET_RAW.
extension DatagramPort {
    /// Which of the ESP packets for an address a socket takes; every raw socket sees them all.
    package enum ESPShare: Sendable, Equatable {
        case all
        /// None: for sending alone.
        case none
        /// Those whose SPI has this number in its low 6 bits, the worker's.
        case worker(Int)
    }

    /// A socket for ESP packets from and to one of our addresses. Entries begin at the SPI; their endpoints have port 0.
    package static func esp(_ address: IPAddress, taking share: ESPShare, options: UDPOptions = UDPOptions()) throws(SystemError) -> DatagramPort {
        let local = Endpoint(address, port: 0)
        let subject = "ESP \(address)"
        let socket = try raw(address.family, protocolNumber: 50, subject)
        // The kernel hands over packets from the first moment on; those of others that slip in before the filter are theirs by their SPI
        try attach(filter(share, address.family), to: socket.rawValue, subject)
        try UDPSocket.prepare(socket.rawValue, address.family, options, subject)
        let result = unsafe SocketAddress.with(local) { address, length in unsafe gw_bind(socket.rawValue, address, length) }
        guard result == 0 else { throw UDPSocket.bindError(errno, local) }
        return DatagramPort(
            socket, address.family == .ipv4 ? .espIPv4 : .espIPv6, local: local, packetsPerCall: options.packetsPerCall,
            wantsControl: options.receivesTrafficClass || options.receivesFragmentSize)
    }

    /// A socket that sends IP packets of one family with the header they bring, fragments among them. Nothing comes in.
    package static func wholePackets(_ family: AddressFamily, options: UDPOptions = UDPOptions()) throws(SystemError) -> DatagramPort {
        let subject = "raw IPv\(family.rawValue)"
        // IPPROTO_RAW: the header is ours, and no packet is ever received
        let socket = try raw(family, protocolNumber: Int32(IPPROTO_RAW), subject)
        if family == .ipv4 {
            // Connection tracking would put the fragments together again
            try UDPSocket.set(socket.rawValue, Int32(IPPROTO_IP), IP_NODEFRAG, 1, "IP_NODEFRAG", subject)
        }
        try UDPSocket.prepare(socket.rawValue, family, options, subject)
        return DatagramPort(
            socket, .wholePackets, local: Endpoint(IPAddress(family: family, value: 0), port: 0), packetsPerCall: options.packetsPerCall,
            wantsControl: false)
    }

    /// A socket for what routers say of packets from one of our addresses: ICMP "fragmentation needed", ICMPv6 "packet too big" and nothing else.
    /// Entries begin at the ICMP header. The queues of errors that sockets have (IP_RECVERR) are no substitute: they stop other peers' packets.
    package static func pathMTUReports(_ address: IPAddress) throws(SystemError) -> DatagramPort {
        let local = Endpoint(address, port: 0)
        let subject = "ICMP \(address)"
        let number: Int32 = address.family == .ipv4 ? Int32(IPPROTO_ICMP) : Int32(IPPROTO_ICMPV6)
        let socket = try raw(address.family, protocolNumber: number, subject)
        try attach(reportFilter(address.family), to: socket.rawValue, subject)
        var options = UDPOptions()
        // Strangers may fill it: what does not fit is lost, and comes again
        options.receiveBuffer = 256 << 10
        options.sendBuffer = 16 << 10
        try UDPSocket.prepare(socket.rawValue, address.family, options, subject)
        let result = unsafe SocketAddress.with(local) { address, length in unsafe gw_bind(socket.rawValue, address, length) }
        guard result == 0 else { throw UDPSocket.bindError(errno, local) }
        return DatagramPort(
            socket, address.family == .ipv4 ? .icmpIPv4 : .icmpIPv6, local: local, packetsPerCall: options.packetsPerCall, wantsControl: false)
    }

    /// Type 3 code 4 of ICMP, behind the IP header; type 2 of ICMPv6.
    static func reportFilter(_ family: AddressFamily) -> [sock_filter] {
        let take = sock_filter(code: UInt16(BPF_RET | BPF_K), jt: 0, jf: 0, k: .max)
        let leave = sock_filter(code: UInt16(BPF_RET | BPF_K), jt: 0, jf: 0, k: 0)
        let load: [sock_filter] =
            family == .ipv4
            ? [
                sock_filter(code: UInt16(BPF_LDX | BPF_B | BPF_MSH), jt: 0, jf: 0, k: 0),
                sock_filter(code: UInt16(BPF_LD | BPF_H | BPF_IND), jt: 0, jf: 0, k: 0),
            ] : [sock_filter(code: UInt16(BPF_LD | BPF_H | BPF_ABS), jt: 0, jf: 0, k: 0)]
        return load + [
            sock_filter(code: UInt16(BPF_JMP | BPF_JEQ | BPF_K), jt: 0, jf: 1, k: family == .ipv4 ? 0x0304 : 0x0200), take, leave,
        ]
    }

    private static func raw(_ family: AddressFamily, protocolNumber: Int32, _ subject: String) throws(SystemError) -> FileDescriptor {
        let type = Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        return try FileDescriptor(
            Glibc.socket(SocketAddress.domain(family), type, protocolNumber), "socket", subject,
            hint: errno == EPERM || errno == EACCES ? "raw sockets need root or CAP_NET_RAW" : "")
    }

    /// The filter of a share. IPv4 raw sockets see the IP header, IPv6 ones begin at the SPI; a load past the end takes nothing.
    static func filter(_ share: ESPShare, _ family: AddressFamily) -> [sock_filter] {
        let take = sock_filter(code: UInt16(BPF_RET | BPF_K), jt: 0, jf: 0, k: .max)
        let leave = sock_filter(code: UInt16(BPF_RET | BPF_K), jt: 0, jf: 0, k: 0)
        switch share {
        case .all: return [take]
        case .none: return [leave]
        case .worker(let index):
            let load: [sock_filter] =
                family == .ipv4
                ? [
                    sock_filter(code: UInt16(BPF_LDX | BPF_B | BPF_MSH), jt: 0, jf: 0, k: 0),
                    sock_filter(code: UInt16(BPF_LD | BPF_W | BPF_IND), jt: 0, jf: 0, k: 0),
                ] : [sock_filter(code: UInt16(BPF_LD | BPF_W | BPF_ABS), jt: 0, jf: 0, k: 0)]
            return load + [
                sock_filter(code: UInt16(BPF_ALU | BPF_AND | BPF_K), jt: 0, jf: 0, k: 0x3f),
                sock_filter(code: UInt16(BPF_JMP | BPF_JEQ | BPF_K), jt: 0, jf: 1, k: UInt32(truncatingIfNeeded: index)),
                take, leave,
            ]
        }
    }

    private static func attach(_ program: [sock_filter], to socket: Int32, _ subject: String) throws(SystemError) {
        var instructions = program
        let result = unsafe instructions.withUnsafeMutableBufferPointer { buffer in
            var program = unsafe sock_fprog(len: UInt16(buffer.count), filter: buffer.baseAddress)
            return unsafe setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, socklen_t(MemoryLayout<sock_fprog>.size))
        }
        guard result == 0 else { throw .last("setsockopt SO_ATTACH_FILTER", subject) }
    }
}

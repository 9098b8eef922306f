internal import CLinux
internal import Glibc
internal import Wire

/// What the kernel does with the outer path's MTU when it sends: `IP_MTU_DISCOVER`, `IPV6_MTU_DISCOVER`.
package enum PathMTUDiscovery: Int32, Sendable, CaseIterable {
    /// DF clear, fragments where the path's MTU needs it (`IP_PMTUDISC_DONT`).
    case dont = 0
    /// As the path wants it, fragments locally (`IP_PMTUDISC_WANT`).
    case want = 1
    /// DF set, too long is refused (`IP_PMTUDISC_DO`).
    case always = 2
    /// DF set, the learnt MTU ignored (`IP_PMTUDISC_PROBE`).
    case probe = 3
    /// DF clear, the learnt MTU ignored, longer than the interface is refused: a forged PTB changes nothing (`IP_PMTUDISC_INTERFACE`).
    case interface = 4
    /// As `interface`, but longer than the interface is fragmented (`IP_PMTUDISC_OMIT`).
    case omit = 5
}

/// How a UDP socket of ours is set up.
package struct UDPOptions: Sendable, Equatable {
    /// DF and fragmentation of what is sent; nil: as the family needs it, see `pathMTU(_:)`.
    package var pathMTU: PathMTUDiscovery?
    /// Octets the kernel may hold for us; more than the sysctl allows where we have CAP_NET_ADMIN.
    package var receiveBuffer = 8 << 20
    package var sendBuffer = 4 << 20
    /// Whether entries carry the received TOS octet or Traffic Class.
    package var receivesTrafficClass = false
    /// Whether entries tell that the kernel put them together from IP fragments (features.md DP-6).
    package var receivesFragmentSize = false
    /// `UDP_GRO`: equal datagrams of one peer arrive as one entry with a `segmentSize`, where the kernel can. The batch's room must then be 65,535.
    package var coalesces = false
    /// `UDP_SEGMENT`: the kernel cuts entries of many segments; false, or where it cannot: we do.
    package var segments = true
    /// Packets per system call, 1 to 1024.
    package var packetsPerCall = 64

    package init() {}

    /// Right for IKE, and for ESP where nobody else looks after the path. IPv4: routers fragment what is too long for them, so nothing that they
    /// tell is heeded. IPv6: the sender alone fragments, so the path's MTU must be learnt; a forged one brings it down to 1280 at worst (threats.md P33).
    func pathMTU(_ family: AddressFamily) -> PathMTUDiscovery {
        pathMTU ?? (family == .ipv4 ? .omit : .want)
    }
}

/// Sockets as UDP ports use them.
enum UDPSocket {
    /// A bound, non-blocking socket. It is never connected, or it would leave its reuseport group.
    static func open(_ local: Endpoint, shared: Bool, options: UDPOptions) throws(SystemError) -> FileDescriptor {
        let subject = "UDP \(local)"
        let domain = SocketAddress.domain(local.address.family)
        let type = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let socket = try FileDescriptor(Glibc.socket(domain, type, Int32(IPPROTO_UDP)), "socket", subject)
        let number = socket.rawValue
        if local.address.family == .ipv6 { try set(number, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1, "IPV6_V6ONLY", subject) }
        try prepare(number, local.address.family, options, subject)
        if shared { try set(number, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT", subject) }
        try bind(number, to: local)
        return socket
    }

    /// What the sockets of all protocols have in common: DF and fragments, what is told of received packets, buffers.
    static func prepare(_ number: Int32, _ family: AddressFamily, _ options: UDPOptions, _ subject: String) throws(SystemError) {
        switch family {
        case .ipv4:
            try set(number, Int32(IPPROTO_IP), IP_MTU_DISCOVER, options.pathMTU(.ipv4).rawValue, "IP_MTU_DISCOVER", subject)
            if options.receivesTrafficClass { try set(number, Int32(IPPROTO_IP), IP_RECVTOS, 1, "IP_RECVTOS", subject) }
            if options.receivesFragmentSize { try set(number, Int32(IPPROTO_IP), IP_RECVFRAGSIZE, 1, "IP_RECVFRAGSIZE", subject) }
        case .ipv6:
            try set(number, Int32(IPPROTO_IPV6), IPV6_MTU_DISCOVER, options.pathMTU(.ipv6).rawValue, "IPV6_MTU_DISCOVER", subject)
            if options.receivesTrafficClass { try set(number, Int32(IPPROTO_IPV6), IPV6_RECVTCLASS, 1, "IPV6_RECVTCLASS", subject) }
            if options.receivesFragmentSize { try set(number, Int32(IPPROTO_IPV6), IPV6_RECVFRAGSIZE, 1, "IPV6_RECVFRAGSIZE", subject) }
        }
        try setBuffer(number, SO_RCVBUFFORCE, SO_RCVBUF, options.receiveBuffer, "SO_RCVBUF", subject)
        try setBuffer(number, SO_SNDBUFFORCE, SO_SNDBUF, options.sendBuffer, "SO_SNDBUF", subject)
    }

    /// Binds, and says what helps when that fails.
    static func bind(_ socket: Int32, to local: Endpoint) throws(SystemError) {
        let result = unsafe SocketAddress.with(local) { address, length in unsafe gw_bind(socket, address, length) }
        guard result == 0 else { throw bindError(errno, local) }
    }

    static func bindError(_ number: Int32, _ local: Endpoint) -> SystemError {
        let hint =
            switch number {
            case EADDRINUSE: "another process holds the port: `ss -lunp sport = :\(local.port)` names it; stop it or use another address"
            case EADDRNOTAVAIL: "no interface here carries \(local.address): `ip address` lists what there is; correct gateway-address"
            case EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE"
            default: ""
            }
        return SystemError(number, call: "bind", subject: "UDP \(local)", hint: hint)
    }

    /// What the socket is bound to, where port 0 was asked for.
    static func local(_ socket: Int32) -> Endpoint? {
        unsafe SocketAddress.read { address, length in unsafe gw_getsockname(socket, address, length) }
    }

    static func set(
        _ socket: Int32, _ level: Int32, _ option: Int32, _ value: Int32, _ name: String, _ subject: String
    ) throws(SystemError) {
        var value = value
        guard OffloadCalls.setOption(socket, level, option, &value) == 0 else {
            throw .last("setsockopt \(name)", subject)
        }
    }

    /// Past the sysctl's limit where we may, up to it otherwise.
    private static func setBuffer(
        _ socket: Int32, _ forced: Int32, _ plain: Int32, _ octets: Int, _ name: String, _ subject: String
    ) throws(SystemError) {
        var value = Int32(clamping: octets)
        if unsafe setsockopt(socket, SOL_SOCKET, forced, &value, socklen_t(MemoryLayout<Int32>.size)) == 0 { return }
        try set(socket, SOL_SOCKET, plain, value, name, subject)
    }
}

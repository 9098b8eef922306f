import Glibc
import LinuxIO
import Wire

/// ESP as IP protocol 50 between us and the gateway (RFC 4303): a raw socket, for root or CAP_NET_RAW.
final class ESPSocket {
    let descriptor: Int32
    private let family: AddressFamily
    private var room = [UInt8](repeating: 0, count: 1 << 16)

    /// Throws when the kernel does not let us.
    init(local: IPAddress, remote: IPAddress, buffer: Int) throws(SystemError) {
        let domain = remote.family == .ipv4 ? AF_INET : AF_INET6
        let number = socket(domain, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 50)
        guard number >= 0 else {
            throw SystemError(errno, call: "socket", subject: "ESP", hint: "native ESP needs root or CAP_NET_RAW")
        }
        descriptor = number
        family = remote.family
        for option in [SO_RCVBUF, SO_SNDBUF] {
            var size = Int32(clamping: buffer)
            _ = unsafe setsockopt(number, SOL_SOCKET, option, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        // Connected, it hears the gateway alone.
        let bound = unsafe RawAddress(local).with { address, length in
            unsafe bind(number, .init(__sockaddr__: address), length)
        }
        let connected = unsafe RawAddress(remote).with { address, length in
            unsafe connect(number, .init(__sockaddr__: address), length)
        }
        guard bound == 0, connected == 0 else {
            throw SystemError(errno, call: "connect", subject: "ESP \(local) to \(remote)")
        }
    }

    deinit { close(descriptor) }

    /// What the kernel does not take is lost on the way.
    func send(_ packet: [UInt8]) {
        _ = unsafe packet.withUnsafeBytes { octets in
            unsafe Glibc.send(descriptor, octets.baseAddress, octets.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
        }
    }

    /// The next packet from the SPI on; nil when none waits. IPv4 raw sockets hand out the IP header too, IPv6 ones do not.
    func receive() -> [UInt8]? {
        while true {
            let count = unsafe room.withUnsafeMutableBytes { octets in
                unsafe recv(descriptor, octets.baseAddress, octets.count, Int32(MSG_DONTWAIT))
            }
            guard count > 0 else { return nil }
            guard family == .ipv4 else { return [UInt8](room[..<count]) }
            let header = Int(room[0] & 15) * 4
            if header >= 20, header < count { return [UInt8](room[header..<count]) }
        }
    }

    /// Our own address on the way to the gateway, as the routes have it.
    static func localAddress(toward remote: IPAddress) throws(SystemError) -> IPAddress {
        let number = socket(
            remote.family == .ipv4 ? AF_INET : AF_INET6, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), Int32(IPPROTO_UDP))
        defer { close(number) }
        let connected = unsafe RawAddress(remote, port: 500).with { address, length in
            unsafe connect(number, .init(__sockaddr__: address), length)
        }
        guard number >= 0, connected == 0 else {
            throw SystemError(errno, call: "connect", subject: "\(remote)", hint: "is there a route to the gateway?")
        }
        var found = RawAddress(remote)
        let result = unsafe found.read { address, length in unsafe getsockname(number, .init(__sockaddr__: address), length) }
        guard result == 0, let address = found.address else { throw SystemError(errno, call: "getsockname", subject: "\(remote)") }
        return address
    }
}

/// A socket address of either family as octets: sockaddr_in and sockaddr_in6 have the family in front and the port behind it.
private struct RawAddress {
    private var octets: [UInt8]
    private let family: AddressFamily

    init(_ address: IPAddress, port: UInt16 = 0) {
        family = address.family
        let number = UInt16(truncatingIfNeeded: family == .ipv4 ? AF_INET : AF_INET6)
        octets = [UInt8](repeating: 0, count: family == .ipv4 ? 16 : 28)
        unsafe octets.withUnsafeMutableBytes { buffer in unsafe buffer.storeBytes(of: number, as: UInt16.self) }
        octets[2] = UInt8(port >> 8)
        octets[3] = UInt8(port & 0xff)
        octets.replaceSubrange(offset..<offset + address.octets.count, with: address.octets)
    }

    private var offset: Int { family == .ipv4 ? 4 : 8 }

    var address: IPAddress? { IPAddress(octets: octets[offset..<offset + (family == .ipv4 ? 4 : 16)]) }

    func with(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        unsafe octets.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return -1 }
            return unsafe body(base.assumingMemoryBound(to: sockaddr.self), socklen_t(buffer.count))
        }
    }

    mutating func read(_ body: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32) -> Int32 {
        var length = socklen_t(octets.count)
        return unsafe octets.withUnsafeMutableBytes { buffer in
            guard let base = buffer.baseAddress else { return -1 }
            return unsafe body(base.assumingMemoryBound(to: sockaddr.self), &length)
        }
    }
}

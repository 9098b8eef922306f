internal import CLinux
internal import Glibc
package import Wire

/// Whether a UDP port can be had, asked by a bind without SO_REUSEPORT: with it a second daemon would join our group, or we its, silently.
package enum PortProbe {
    /// What holds a port.
    package struct Holder: Hashable, Sendable, CustomStringConvertible {
        /// What its socket is bound to; the unspecified address holds the port of every address.
        package let bound: Endpoint?
        /// The processes with the socket open; empty where we may not look (another user's, without root) or it is the kernel's own.
        package let processes: [ProcessName]

        package var description: String {
            let who = processes.isEmpty ? "a process that cannot be seen from here" : processes.map(\.description).joined(separator: ", ")
            return who + (bound.map { ", bound to \($0)" } ?? "")
        }
    }

    /// Nil when the port is free in the calling thread's namespace, else who holds it.
    /// Throws when it could not be had for another reason: no such address here, or no right to the port.
    package static func holder(of local: Endpoint) throws(SystemError) -> Holder? {
        let type = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue)
        let socket = try FileDescriptor(
            Glibc.socket(SocketAddress.domain(local.address.family), type, Int32(IPPROTO_UDP)), "socket", "UDP \(local)")
        if local.address.family == .ipv6 {
            var on: Int32 = 1
            guard unsafe setsockopt(socket.rawValue, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &on, socklen_t(MemoryLayout<Int32>.size)) == 0 else {
                throw .last("setsockopt IPV6_V6ONLY", "UDP \(local)")
            }
        }
        let result = unsafe SocketAddress.with(local) { address, length in unsafe gw_bind(socket.rawValue, address, length) }
        if result == 0 { return nil }
        guard errno == EADDRINUSE else { throw UDPSocket.bindError(errno, local) }
        return find(local)
    }

    /// The error to show when `holder` found one.
    package static func error(_ local: Endpoint, heldBy holder: Holder) -> SystemError {
        SystemError(
            EADDRINUSE, call: "bind", subject: "UDP \(local)",
            hint: "\(holder) holds the port; stop it, or give this gateway another address")
    }

    private static func find(_ local: Endpoint) -> Holder {
        var inodes: [UInt64: Endpoint] = [:]
        // an IPv6 socket on :: may hold IPv4 ports as well
        for (path, family) in [("/proc/thread-self/net/udp", AddressFamily.ipv4), ("/proc/thread-self/net/udp6", .ipv6)] {
            guard let table = try? SmallFile.text(path, limit: 16 << 20) else { continue }
            for line in table.split(separator: "\n").dropFirst() {
                guard let (bound, inode) = row(line, family), bound.port == local.port else { continue }
                let conflicts =
                    bound.address == local.address || bound.address.isUnspecified
                    || (local.address.isUnspecified && family == local.address.family)
                if conflicts { inodes[inode] = bound }
            }
        }
        // the socket of the very address first, one on the unspecified address else
        let bound = inodes.values.first { $0.address == local.address } ?? inodes.values.first
        return Holder(bound: bound, processes: processes(holding: Set(inodes.keys)))
    }

    /// One line of /proc/net/udp: `sl local_address rem_address st queues timer retransmits uid timeout inode ...`.
    static func row(_ line: some StringProtocol, _ family: AddressFamily) -> (Endpoint, UInt64)? {
        let fields = line.split(separator: " ", omittingEmptySubsequences: true)
        guard fields.count > 9, let inode = UInt64(fields[9]) else { return nil }
        let parts = fields[1].split(separator: ":")
        guard parts.count == 2, let port = UInt16(parts[1], radix: 16), parts[0].utf8.count == family.octetCount * 2,
            let digits = [UInt8](hexadecimal: parts[0])
        else { return nil }
        // each 32-bit word is printed as a number of the host's byte order
        var octets: [UInt8] = []
        for word in stride(from: 0, to: digits.count, by: 4) {
            let number = digits[word..<word + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            octets.append(bigEndian: UInt32(bigEndian: number))
        }
        guard let address = IPAddress(octets: octets) else { return nil }
        return (Endpoint(address, port: port), inode)
    }

    private static func processes(holding inodes: Set<UInt64>) -> [ProcessName] {
        let links = Set(inodes.map { "socket:[\($0)]" })
        var found: [ProcessName] = []
        for name in SmallFile.names(in: "/proc") {
            guard let pid = Int32(name) else { continue }
            let directory = "/proc/\(pid)/fd"
            let holds = SmallFile.names(in: directory).contains { links.contains(SmallFile.target(ofLink: "\(directory)/\($0)") ?? "") }
            if holds { found.append(ProcessName(pid: pid)) }
        }
        return found.sorted { $0.pid < $1.pid }
    }
}

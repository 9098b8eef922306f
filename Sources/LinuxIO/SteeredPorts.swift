internal import CLinux
internal import Glibc
package import Wire

/// The sockets of one gateway address on one port, as one SO_REUSEPORT group that the kernel sorts by the first word:
///
///     0 (the non-ESP marker, RFC 3948 section 2.2), or fewer than 4 octets   -> socket 0, the door
///     an SPI                                                                 -> socket 1 + its low 6 bits, the worker
///
/// BPF numbers sockets in the order of their bind, and closing one renumbers the others: all are opened here, in order, and must be closed
/// together. A worker number without a socket falls to the kernel's hash over all of them, the door included.
package struct SteeredPorts: ~Copyable, Sendable {
    /// The address and port all are bound to.
    package let local: Endpoint
    /// Worker sockets.
    package let workers: Int
    private let options: UDPOptions
    private var sockets: DescriptorRow

    /// Opens the door's socket and those of `workers` (0 to 64) workers. The caller has probed that nobody else holds the port, since a
    /// second group member would join silently.
    /// Its socket may be set up in another way than the workers'.
    package init(_ local: Endpoint, workers: Int, options: UDPOptions = UDPOptions(), door: UDPOptions? = nil) throws(SystemError) {
        guard (0...64).contains(workers) else {
            throw SystemError(EINVAL, call: "SteeredPorts", subject: "UDP \(local)", hint: "between 0 and 64 workers, not \(workers)")
        }
        let doorOptions = door ?? options
        let door = try UDPSocket.open(local, shared: true, options: doorOptions)
        // before the second socket is there, so that no datagram is ever sorted otherwise
        try Self.attachFilter(door.rawValue, local)
        let bound = UDPSocket.local(door.rawValue) ?? local
        var row = DescriptorRow()
        row.append(door)
        for _ in 0..<workers { row.append(try UDPSocket.open(bound, shared: true, options: options)) }
        self.local = bound
        self.workers = workers
        self.options = options
        sockets = row
    }

    /// The port of IKE messages, NAT keepalives and everything else that is no ESP; nil once taken.
    package mutating func takeDoor() -> UDPPort? { take(0) }

    /// The port of worker `index`, from 0; nil once taken or where there is none.
    package mutating func takeWorker(_ index: Int) -> UDPPort? { take(index + 1) }

    private mutating func take(_ index: Int) -> UDPPort? {
        guard let socket = sockets.take(index) else { return nil }
        return UDPPort(socket, local, options)
    }

    /// The filter: five instructions over the UDP payload. A load past its end ends the program with 0.
    static var filter: [sock_filter] {
        [
            sock_filter(code: UInt16(BPF_LD | BPF_W | BPF_ABS), jt: 0, jf: 0, k: 0),
            sock_filter(code: UInt16(BPF_JMP | BPF_JEQ | BPF_K), jt: 2, jf: 0, k: 0),
            sock_filter(code: UInt16(BPF_ALU | BPF_AND | BPF_K), jt: 0, jf: 0, k: 0x3f),
            sock_filter(code: UInt16(BPF_ALU | BPF_ADD | BPF_K), jt: 0, jf: 0, k: 1),
            sock_filter(code: UInt16(BPF_RET | BPF_A), jt: 0, jf: 0, k: 0),
        ]
    }

    private static func attachFilter(_ socket: Int32, _ local: Endpoint) throws(SystemError) {
        var instructions = filter
        let result = unsafe instructions.withUnsafeMutableBufferPointer { buffer in
            var program = unsafe sock_fprog(len: UInt16(buffer.count), filter: buffer.baseAddress)
            return unsafe setsockopt(
                socket, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, socklen_t(MemoryLayout<sock_fprog>.size))
        }
        guard result == 0 else {
            throw .last("setsockopt SO_ATTACH_REUSEPORT_CBPF", "UDP \(local)", hint: "the kernel must be Linux 4.5 or newer")
        }
    }
}

internal import CLinux
internal import Glibc
package import Wire

/// A UDP socket bound to one local address: datagrams in batches, with segment offloads where an entry has a `segmentSize`.
package struct UDPPort: ~Copyable, PacketPort, Sendable {
    /// The address and port it is bound to; the `local` of received entries.
    package let local: Endpoint
    package private(set) var counters = PortCounters()

    private let socket: FileDescriptor
    private let messages: MessageVector
    /// Slot of each message of the call under way.
    private var slots: [Int]
    private let wantsControl: Bool

    /// Opens and binds a socket of its own; port 0 lets the kernel choose.
    package init(_ local: Endpoint, options: UDPOptions = UDPOptions()) throws(SystemError) {
        let socket = try UDPSocket.open(local, shared: false, options: options)
        self.init(socket, local, options)
    }

    init(_ socket: consuming FileDescriptor, _ local: Endpoint, _ options: UDPOptions) {
        self.local = UDPSocket.local(socket.rawValue) ?? local
        self.socket = socket
        messages = MessageVector(count: options.packetsPerCall)
        slots = [Int](repeating: 0, count: messages.count)
        wantsControl = options.receivesTrafficClass || options.coalesces
    }

    package var descriptor: Int32 { socket.rawValue }

    package mutating func receive(into batch: inout Batch) throws(SystemError) -> Int {
        batch.removeAll()
        let wanted = min(batch.capacity, messages.count)
        for index in 0..<wanted {
            unsafe messages.prepareReceive(index, into: batch.receiveBuffer(index), room: batch.room, wantsControl: wantsControl)
        }
        var got: Int32
        repeat {
            got = unsafe recvmmsg(socket.rawValue, messages.headers, UInt32(wanted), Int32(MSG_DONTWAIT), nil)
        } while got < 0 && errno == EINTR
        guard got >= 0 else {
            guard Self.isFatal(errno) else { return 0 }
            throw .last("recvmmsg", "UDP \(local)")
        }
        for index in 0..<Int(got) {
            let message = messages.received(index)
            // a datagram that is cut off, or comes from nowhere, stays as an entry of length 0 so that slots keep their order
            var length = min(message.length, batch.room)
            if message.isTruncated {
                counters.oversized += 1
                length = 0
            }
            batch.admit(
                length: message.peer == nil ? 0 : length, segmentSize: message.segmentSize, peer: message.peer ?? batch.noEndpoint,
                local: local, trafficClass: message.trafficClass)
        }
        counters.received += UInt64(got)
        return Int(got)
    }

    package mutating func send(_ batch: borrowing Batch, from first: Int) throws(SystemError) -> Int {
        var next = max(first, 0)
        while next < batch.count {
            var filled = 0
            while next < batch.count, filled < messages.count {
                let entry = batch[next]
                if entry.length > 0 {
                    unsafe messages.prepareSend(filled, batch.octets(next), entry)
                    slots[filled] = next
                    filled += 1
                }
                next += 1
            }
            var done = 0
            while done < filled {
                let flags = Int32(MSG_DONTWAIT | MSG_NOSIGNAL)
                let sent = unsafe sendmmsg(socket.rawValue, messages.headers + done, UInt32(filled - done), flags)
                if sent > 0 {
                    counters.sent += UInt64(sent)
                    done += Int(sent)
                    continue
                }
                let number = sent == 0 ? EAGAIN : errno
                if number == EINTR { continue }
                if number == EAGAIN { return slots[done] }
                if Self.isFatal(number) { throw SystemError(number, call: "sendmmsg", subject: "UDP \(local)") }
                counters.refused += 1
                counters.lastRefusal = number
                done += 1
            }
        }
        return batch.count
    }

    /// Sends one datagram; false when the kernel has no room or refuses it.
    package mutating func send(_ octets: [UInt8], to peer: Endpoint) -> Bool {
        let sent = unsafe octets.withUnsafeBytes { buffer in
            unsafe SocketAddress.with(peer) { address, length in
                unsafe gw_sendto(
                    socket.rawValue, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL), address,
                    length)
            }
        }
        guard sent == octets.count else {
            counters.refused += 1
            counters.lastRefusal = errno
            return false
        }
        counters.sent += 1
        return true
    }

    /// Errors of the socket itself; all others are about one packet or its peer.
    private static func isFatal(_ number: Int32) -> Bool {
        switch number {
        case EBADF, ENOTSOCK, EFAULT, ENOTCONN, EOPNOTSUPP: true
        default: false
        }
    }
}

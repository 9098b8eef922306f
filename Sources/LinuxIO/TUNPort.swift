internal import CLinux
internal import Glibc
internal import Wire

/// A TUN device of ours with one queue per worker. It exists as long as a queue of it is open, in whatever namespace it was moved to.
package struct TUNDevice: ~Copyable, Sendable {
    /// The device's name, at most 15 octets.
    package let name: String
    /// Queues.
    package let queues: Int
    private var files = DescriptorRow()

    /// Creates the device in the calling thread's namespace, with all queues at once: they must have equal flags, and can be opened only
    /// where the device is. It has no address and is down. A device of that name must not exist.
    package init(_ name: String, queues: Int) throws(SystemError) {
        self.name = name
        self.queues = min(max(queues, 1), 64)
        let subject = "TUN device \(name)"
        guard Self.isName(name) else {
            throw SystemError(EINVAL, call: "TUNSETIFF", subject: subject, hint: "a device name has 1 to 15 characters, no blank, `/` or `:`")
        }
        for queue in 0..<self.queues {
            let file = try FileDescriptor(
                unsafe gw_open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK, 0), "open /dev/net/tun", subject,
                hint: errno == ENOENT || errno == ENODEV || errno == ENXIO
                    ? "load the module: `modprobe tun`; a container needs the device passed in" : "")
            // exclusive for the first, or we would quietly join a device that somebody else made
            let flags = IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE | (queue == 0 ? Int32(IFF_TUN_EXCL) : 0)
            var request = unsafe ifreq()
            guard unsafe gw_ifreq_init(&request, name, Int16(truncatingIfNeeded: flags)) == 0 else {
                throw SystemError(EINVAL, call: "TUNSETIFF", subject: subject)
            }
            guard unsafe gw_tun_set_interface(file.rawValue, &request) == 0 else { throw Self.creationError(errno, subject, name) }
            files.append(file)
        }
    }

    /// The port of one queue, from 0; nil once taken or where there is none.
    package mutating func take(queue: Int) -> TUNPort? {
        guard let file = files.take(queue) else { return nil }
        return TUNPort(file, name)
    }

    package static var noSuchDevice: Int32 { ENODEV }

    private static func isName(_ name: String) -> Bool {
        let octets = name.utf8
        return (1...15).contains(octets.count) && name != "." && name != ".."
            && !octets.contains { $0 <= 32 || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "%") || $0 >= 127 }
    }

    private static func creationError(_ number: Int32, _ subject: String, _ name: String) -> SystemError {
        let hint =
            switch number {
            case EBUSY, EEXIST, EINVAL:
                "a device of that name exists: `ip link show \(name)`; stop who made it, delete it (`ip link delete \(name)`) or rename ours"
            case EPERM: "creating a device needs root or CAP_NET_ADMIN"
            default: ""
            }
        return SystemError(number, call: "TUNSETIFF", subject: subject, hint: hint)
    }
}

/// One queue of a TUN device: an entry is one IP packet, without any header before it.
package struct TUNPort: ~Copyable, PacketPort, Sendable {
    package let name: String
    package private(set) var counters = PortCounters()
    private let file: FileDescriptor

    init(_ file: consuming FileDescriptor, _ name: String) {
        self.file = file
        self.name = name
    }

    package var descriptor: Int32 { file.rawValue }

    package mutating func receive(into batch: inout Batch) throws(SystemError) -> Int {
        batch.removeAll()
        // the driver cuts off silently: one octet more than the room shows it
        let space = min(batch.room + 1, batch.slotSize - batch.headroom)
        while !batch.isFull {
            let got = unsafe read(file.rawValue, batch.receiveBuffer(batch.count), space)
            if got < 0 {
                let number = errno
                if number == EINTR { continue }
                if number == EAGAIN { break }
                // what was read before is delivered; the next call meets the error again
                if batch.isEmpty { throw gone(number, "read") }
                break
            }
            if got == 0 { break }
            counters.received += 1
            guard got <= batch.room else {
                counters.oversized += 1
                continue
            }
            batch.admit(length: got, segmentSize: 0, peer: batch.noEndpoint, local: batch.noEndpoint, trafficClass: 0)
        }
        return batch.count
    }

    package mutating func send(_ batch: borrowing Batch, from first: Int) throws(SystemError) -> Int {
        var next = max(first, 0)
        while next < batch.count {
            let octets = unsafe batch.octets(next)
            guard octets.count > 0 else {
                next += 1
                continue
            }
            let written = unsafe write(file.rawValue, octets.baseAddress, octets.count)
            if written >= 0 {
                counters.sent += 1
                next += 1
                continue
            }
            switch errno {
            case EINTR: continue
            case EAGAIN: return next
            case EBADF, EBADFD, EFAULT, ENXIO, ENODEV: throw gone(errno, "write")
            default:  // no IP packet, device down
                counters.refused += 1
                counters.lastRefusal = errno
                next += 1
            }
        }
        return batch.count
    }

    private func gone(_ number: Int32, _ call: String) -> SystemError {
        SystemError(
            number, call: call, subject: "TUN device \(name)",
            hint: "somebody deleted the device or its namespace; start the gateway again")
    }
}

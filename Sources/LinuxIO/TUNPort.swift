internal import CLinux
internal import Glibc
internal import Wire

/// A TUN device of ours with one queue per worker. It exists as long as a queue of it is open, in whatever namespace it was moved to.
package struct TUNDevice: ~Copyable, Sendable {
    /// The device's name, at most 15 octets.
    package let name: String
    /// Queues.
    package let queues: Int
    /// What of the wanted offloads the kernel has.
    package let offloads: SegmentOffloads
    private var files = DescriptorRow()

    /// Creates the device in the calling thread's namespace, with all queues at once: they must have equal flags, and can be opened only
    /// where the device is. It has no address and is down. A device of that name must not exist. Offloads that the kernel lacks are left out.
    package init(_ name: String, queues: Int, offloads wanted: SegmentOffloads = []) throws(SystemError) {
        self.name = name
        var offloads = wanted.contains(.header) ? wanted : []
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
            if queue == 0, !Self.hasHeaders(file.rawValue) { offloads = [] }
            // exclusive for the first, or we would quietly join a device that somebody else made
            let headers = offloads.contains(.header) ? IFF_VNET_HDR : 0
            let flags = IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE | headers | (queue == 0 ? Int32(IFF_TUN_EXCL) : 0)
            var request = unsafe ifreq()
            guard unsafe gw_ifreq_init(&request, name, Int16(truncatingIfNeeded: flags)) == 0 else {
                throw SystemError(EINVAL, call: "TUNSETIFF", subject: subject)
            }
            guard unsafe gw_tun_set_interface(file.rawValue, &request) == 0 else { throw Self.creationError(errno, subject, name) }
            // The offloads are the device's, not the queue's
            if queue == 0 { offloads = Self.choose(offloads, file.rawValue) }
            files.append(file)
        }
        self.offloads = offloads
    }

    private static func hasHeaders(_ file: Int32) -> Bool {
        var features: UInt32 = 0
        return OffloadCalls.features(of: file, &features) == 0 && features & UInt32(IFF_VNET_HDR) != 0
    }

    /// Turns on what of the offloads the kernel takes: all, or without UDP, or none.
    private static func choose(_ wanted: SegmentOffloads, _ file: Int32) -> SegmentOffloads {
        guard wanted.contains(.header) else { return [] }
        for offloads in [wanted, wanted.subtracting(.udp)] where offloads != .header {
            var bits = UInt32(TUN_F_CSUM)
            if offloads.contains(.tcp) { bits |= UInt32(TUN_F_TSO4 | TUN_F_TSO6) }
            if offloads.contains(.udp) { bits |= UInt32(TUN_F_USO4 | TUN_F_USO6) }
            if OffloadCalls.setOffloads(file, bits) == 0 { return offloads }
        }
        return .header
    }

    /// The port of one queue, from 0; nil once taken or where there is none.
    package mutating func take(queue: Int) -> TUNPort? {
        guard let file = files.take(queue) else { return nil }
        return TUNPort(file, name, offloads)
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

/// One queue of a TUN device: an entry is one IP packet, or many in one where the device has offloads; the header of those is the entry's `offload`.
package struct TUNPort: ~Copyable, PacketPort, Sendable {
    package let name: String
    package private(set) var counters = PortCounters()
    package let offloads: SegmentOffloads
    private let file: FileDescriptor

    init(_ file: consuming FileDescriptor, _ name: String, _ offloads: SegmentOffloads) {
        self.file = file
        self.name = name
        self.offloads = offloads
    }

    package var descriptor: Int32 { file.rawValue }

    /// Octets before each packet.
    private var prefix: Int { offloads.contains(.header) ? OffloadHeader.size : 0 }

    package mutating func receive(into batch: inout Batch) throws(SystemError) -> Int {
        batch.removeAll()
        let prefix = prefix
        guard batch.headroom >= prefix else { throw SystemError(EINVAL, call: "read", subject: "TUN device \(name)") }
        // the driver cuts off silently: one octet more than the room shows it
        let space = min(batch.room + 1, batch.slotSize - batch.headroom)
        var octets = 0
        while !batch.isFull {
            guard octets < Batch.mostOctets else {
                batch.leavesMore = true
                break
            }
            // a header of its own stands in the headroom
            let buffer = unsafe batch.receiveBuffer(batch.count) - prefix
            var got = unsafe read(file.rawValue, buffer, space + prefix)
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
            var offload = OffloadHeader()
            if prefix > 0 {
                guard got > prefix else { continue }
                offload = unsafe buffer.loadUnaligned(as: OffloadHeader.self)
                got -= prefix
            }
            octets += got
            guard got <= batch.room else {
                counters.oversized += 1
                continue
            }
            batch.admit(length: got, segmentSize: 0, peer: batch.noEndpoint, local: batch.noEndpoint, trafficClass: 0, offload: offload)
        }
        return batch.count
    }

    package mutating func send(_ batch: borrowing Batch, from first: Int) throws(SystemError) -> Int {
        let prefix = prefix
        var next = max(first, 0)
        while next < batch.count {
            let entry = batch[next]
            guard entry.length > 0 else {
                next += 1
                continue
            }
            guard entry.start >= prefix, let slot = unsafe batch.slot(next).baseAddress else {
                counters.refused += UInt64(entry.packetCount)
                next += 1
                continue
            }
            let start = unsafe slot + (entry.start - prefix)
            if prefix > 0 { unsafe start.storeBytes(of: entry.offload, as: OffloadHeader.self) }
            let written = unsafe OffloadCalls.write(file.rawValue, start, entry.length + prefix)
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
                counters.lastRefusal = errno
                counters.refused += UInt64(entry.packetCount)
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

internal import CLinux
internal import Glibc
package import Wire

/// A socket of datagrams in batches, whatever the protocol below: UDP, ESP as an IP protocol of its own, or whole IP packets of ours.
package struct DatagramPort: ~Copyable, PacketPort, Sendable {
    /// The `local` of received entries; port 0 where the protocol has no ports.
    package let local: Endpoint
    package private(set) var counters = PortCounters()

    let socket: FileDescriptor
    private let kind: Kind
    private let messages: MessageVector
    /// What each message of the call under way is.
    private var pieces: [Piece]
    private let wantsControl: Bool
    /// Whether the kernel cuts entries of many segments (`UDP_SEGMENT`); we do otherwise.
    private var segments: Bool
    let joins: Bool
    /// Octets of a message, on average of the last call that brought any.
    private var typical = 0

    /// An entry, or a part of one that we cut.
    private struct Piece {
        var entry = 0
        /// Octets of the entry before it.
        var offset = 0
        /// Whether the kernel is to cut it.
        var isRow = false
    }

    /// What lies before the content of a received datagram, and how messages about the socket call it.
    enum Kind: Sendable {
        case udp
        /// IPv4: the kernel gives the IP header with each packet.
        case espIPv4
        case espIPv6
        /// What routers say of our packets: IPv4 with the IP header, as above.
        case icmpIPv4
        case icmpIPv6
        /// For sending alone.
        case wholePackets
    }

    init(
        _ socket: consuming FileDescriptor, _ kind: Kind, local: Endpoint, packetsPerCall: Int, wantsControl: Bool, segments: Bool = false,
        joins: Bool = false
    ) {
        self.local = local
        self.kind = kind
        self.socket = socket
        messages = MessageVector(count: packetsPerCall)
        pieces = [Piece](repeating: Piece(), count: messages.count)
        self.wantsControl = wantsControl
        self.segments = segments
        self.joins = joins
    }

    package var offloads: SegmentOffloads { segments ? .udp : [] }

    /// Negative when nothing ever comes in here.
    package var descriptor: Int32 {
        if case .wholePackets = kind { return -1 }
        return socket.rawValue
    }

    private var hasPorts: Bool {
        if case .udp = kind { return true }
        return false
    }

    private var beginsWithIPv4: Bool {
        switch kind {
        case .espIPv4, .icmpIPv4: true
        case .udp, .espIPv6, .icmpIPv6, .wholePackets: false
        }
    }

    private var subject: String {
        switch kind {
        case .udp: "UDP \(local)"
        case .espIPv4, .espIPv6: "ESP \(local.address)"
        case .icmpIPv4, .icmpIPv6: "ICMP \(local.address)"
        case .wholePackets: "raw IP"
        }
    }

    package mutating func receive(into batch: inout Batch) throws(SystemError) -> Int {
        batch.removeAll()
        // Joined datagrams are long: as many as the cache holds, and no fewer than a system call is worth
        let wanted = min(batch.capacity, messages.count, max(Batch.mostOctets / max(typical, 1), 4))
        for index in 0..<wanted {
            unsafe messages.prepareReceive(index, into: batch.receiveBuffer(index), room: batch.room, wantsControl: wantsControl)
        }
        var got: Int32
        repeat {
            got = unsafe recvmmsg(socket.rawValue, messages.headers, UInt32(wanted), Int32(MSG_DONTWAIT), nil)
        } while got < 0 && errno == EINTR
        guard got >= 0 else {
            guard Self.isFatal(errno) else { return 0 }
            throw .last("recvmmsg", subject)
        }
        var octets = 0
        for index in 0..<Int(got) {
            let message = messages.received(index)
            // a datagram that is cut off, or comes from nowhere, stays as an entry of length 0 so that slots keep their order
            var length = min(message.length, batch.room)
            octets += message.length
            if message.isTruncated {
                counters.oversized += 1
                length = 0
            }
            batch.admit(
                length: message.peer == nil ? 0 : length, segmentSize: message.segmentSize, peer: message.peer ?? batch.noEndpoint,
                local: local, trafficClass: message.trafficClass, wasFragmented: message.wasFragmented)
            if beginsWithIPv4 { Self.dropHeader(&batch, index) }
        }
        counters.received += UInt64(got)
        if got > 0 { typical = octets / Int(got) }
        batch.leavesMore = Int(got) == wanted && !batch.isFull
        return Int(got)
    }

    /// Moves the beginning of an entry behind its IPv4 header, which the kernel has checked.
    private static func dropHeader(_ batch: inout Batch, _ index: Int) {
        let entry = batch[index]
        guard entry.length > 0 else { return }
        let first = unsafe batch.octets(index)[0]
        let header = Int(first & 0x0f) * 4
        let isWhole = first >> 4 == 4 && header >= 20 && header <= entry.length
        _ = batch.place(index, start: entry.start + (isWhole ? header : 0), length: isWhole ? entry.length - header : 0)
    }

    package mutating func send(_ batch: borrowing Batch, from first: Int) throws(SystemError) -> Int {
        var next = max(first, 0)
        // Octets of entry `next` that messages have been made of
        var offset = 0
        while next < batch.count {
            var filled = 0
            while next < batch.count, filled < messages.count {
                let entry = batch[next]
                guard offset < entry.length else {
                    next += 1
                    offset = 0
                    continue
                }
                let length = entry.isSegmented && !segments ? min(entry.segmentSize, entry.length - offset) : entry.length
                unsafe messages.prepareSend(
                    filled, UnsafeMutableRawBufferPointer(rebasing: batch.octets(next)[offset..<offset + length]), entry, hasPort: hasPorts)
                pieces[filled] = Piece(entry: next, offset: offset, isRow: entry.isSegmented && length > entry.segmentSize)
                filled += 1
                offset += length
            }
            var done = 0
            while done < filled {
                let flags = Int32(MSG_DONTWAIT | MSG_NOSIGNAL)
                let sent = unsafe OffloadCalls.sendmmsg(socket.rawValue, messages.headers + done, UInt32(filled - done), flags)
                if sent > 0 {
                    counters.sent += UInt64(sent)
                    done += Int(sent)
                    continue
                }
                let number = sent == 0 ? EAGAIN : errno
                if number == EINTR { continue }
                let piece = pieces[done]
                let index = piece.entry
                // Packets of the entry that have left
                var gone = piece.offset / max(batch[index].segmentSize, 1)
                var isFull = number == EAGAIN
                if piece.isRow, Self.isAboutSegments(number) {
                    // Longer than the link, or a device that cannot: the same packets one by one
                    if number != EINVAL, number != EMSGSIZE { segments = false }
                    (gone, isFull) = try sendSegments(batch, index, message: done)
                } else if !isFull {
                    if Self.isFatal(number) { throw SystemError(number, call: "sendmmsg", subject: subject) }
                    refuse(batch[index].packetCount - gone, number)
                }
                // An entry of which nothing has left, for want of room, can be sent again as it is
                if isFull, gone == 0 { return index }
                let left = batch[index].packetCount - gone
                if left > 0 { batch.leave(index, unsent: left) }
                if isFull { return index + 1 }
                // What we cut of the same entry behind it is dealt with as well
                repeat { done += 1 } while done < filled && pieces[done].entry == index
                if next == index { (next, offset) = (index + 1, 0) }
            }
        }
        return batch.count
    }

    private mutating func refuse(_ packets: Int, _ number: Int32) {
        counters.refused += UInt64(packets)
        counters.lastRefusal = number
    }

    /// Sends an entry's segments one by one. How many have left, the others not because the kernel has no room, or refuses them.
    private mutating func sendSegments(_ batch: borrowing Batch, _ index: Int, message: Int) throws(SystemError) -> (gone: Int, isFull: Bool) {
        let entry = batch[index]
        var (offset, gone) = (0, 0)
        while offset < entry.length {
            let length = min(entry.segmentSize, entry.length - offset)
            unsafe messages.prepareSend(
                message, UnsafeMutableRawBufferPointer(rebasing: batch.octets(index)[offset..<offset + length]), entry, hasPort: hasPorts)
            let sent = unsafe OffloadCalls.sendmmsg(socket.rawValue, messages.headers + message, 1, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
            let number = sent == 0 ? EAGAIN : errno
            if sent < 0, number == EINTR { continue }
            guard sent > 0 else {
                if number == EAGAIN { return (gone, true) }
                if Self.isFatal(number) { throw SystemError(number, call: "sendmmsg", subject: subject) }
                // The others are as long
                refuse(entry.packetCount - gone, number)
                return (gone, false)
            }
            counters.sent += 1
            gone += 1
            offset += length
        }
        return (gone, false)
    }

    /// What the kernel says when it will not cut an entry.
    private static func isAboutSegments(_ number: Int32) -> Bool {
        switch number {
        case EINVAL, EMSGSIZE, EIO, EOPNOTSUPP, ENOPROTOOPT: true
        default: false
        }
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

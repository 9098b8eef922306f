internal import CLinux
internal import Glibc
internal import Wire

/// The arrays that recvmmsg and sendmmsg work on, allocated once per port.
@safe
struct MessageVector: ~Copyable, @unchecked Sendable {
    /// Messages per call.
    let count: Int
    let headers: UnsafeMutablePointer<mmsghdr>
    private let vectors: UnsafeMutablePointer<iovec>
    private let names: UnsafeMutableRawPointer
    private let controls: UnsafeMutableRawPointer

    private static let nameStride = 32
    /// Room for a traffic class, a segment size, a fragment size and one message more.
    private static let controlStride = 96

    init(count: Int) {
        self.count = min(max(count, 1), 1024)
        unsafe headers = .allocate(capacity: self.count)
        unsafe headers.initialize(repeating: mmsghdr(), count: self.count)
        unsafe vectors = .allocate(capacity: self.count)
        unsafe vectors.initialize(repeating: iovec(), count: self.count)
        unsafe names = .allocate(byteCount: self.count * Self.nameStride, alignment: 16)
        unsafe names.initializeMemory(as: UInt8.self, repeating: 0, count: self.count * Self.nameStride)
        unsafe controls = .allocate(byteCount: self.count * Self.controlStride, alignment: 16)
        unsafe controls.initializeMemory(as: UInt8.self, repeating: 0, count: self.count * Self.controlStride)
        for index in 0..<self.count {
            unsafe headers[index].msg_hdr.msg_iov = vectors + index
            unsafe headers[index].msg_hdr.msg_iovlen = 1
            unsafe headers[index].msg_hdr.msg_name = names + index * Self.nameStride
        }
    }

    deinit {
        unsafe headers.deallocate()
        unsafe vectors.deallocate()
        unsafe names.deallocate()
        unsafe controls.deallocate()
    }

    /// Points message `index` at a buffer to be filled.
    func prepareReceive(_ index: Int, into buffer: UnsafeMutableRawPointer, room: Int, wantsControl: Bool) {
        unsafe vectors[index].iov_base = buffer
        unsafe vectors[index].iov_len = room
        unsafe headers[index].msg_hdr.msg_namelen = socklen_t(SocketAddress.size)
        unsafe headers[index].msg_hdr.msg_control = wantsControl ? controls + index * Self.controlStride : nil
        unsafe headers[index].msg_hdr.msg_controllen = wantsControl ? Self.controlStride : 0
        unsafe headers[index].msg_hdr.msg_flags = 0
    }

    /// Points message `index` at the octets of an entry. Raw sockets take a port for the number of a protocol: they get none.
    func prepareSend(_ index: Int, _ octets: UnsafeMutableRawBufferPointer, _ entry: Batch.Entry, hasPort: Bool) {
        unsafe vectors[index].iov_base = octets.baseAddress
        unsafe vectors[index].iov_len = octets.count
        unsafe headers[index].msg_hdr.msg_namelen = SocketAddress.store(entry.peer, at: names + index * Self.nameStride)
        if !hasPort { unsafe names.storeBytes(of: 0, toByteOffset: index * Self.nameStride + 2, as: UInt16.self) }
        unsafe headers[index].msg_hdr.msg_flags = 0
        var used = 0
        if entry.trafficClass != 0 {
            let isIPv4 = entry.peer.address.family == .ipv4
            used += appendControl(
                index, at: used, level: isIPv4 ? Int32(IPPROTO_IP) : Int32(IPPROTO_IPV6), type: isIPv4 ? IP_TOS : IPV6_TCLASS,
                Int32(entry.trafficClass))
        }
        if entry.segmentSize > 0, entry.segmentSize < octets.count {
            used += appendControl(
                index, at: used, level: Int32(IPPROTO_UDP), type: UDP_SEGMENT, UInt16(clamping: entry.segmentSize))
        }
        unsafe headers[index].msg_hdr.msg_control = used == 0 ? nil : controls + index * Self.controlStride
        unsafe headers[index].msg_hdr.msg_controllen = used
    }

    /// Writes one control message and returns the octets it takes up.
    private func appendControl<Value: FixedWidthInteger & BitwiseCopyable>(
        _ index: Int, at offset: Int, level: Int32, type: Int32, _ value: Value
    ) -> Int {
        let memory = unsafe controls + (index * Self.controlStride + offset)
        let header = unsafe memory.assumingMemoryBound(to: cmsghdr.self)
        unsafe header.pointee = cmsghdr()
        unsafe header.pointee.cmsg_len = gw_cmsg_length(MemoryLayout<Value>.size)
        unsafe header.pointee.cmsg_level = level
        unsafe header.pointee.cmsg_type = type
        unsafe gw_cmsg_data(header)?.storeBytes(of: value, as: Value.self)
        return gw_cmsg_space(MemoryLayout<Value>.size)
    }

    /// What came with a received message.
    struct Received {
        var length: Int
        var isTruncated: Bool
        var peer: Endpoint?
        var segmentSize = 0
        var trafficClass: UInt8 = 0
        /// The kernel put it together from IP fragments.
        var wasFragmented = false
    }

    /// Reads the outcome of message `index` after recvmmsg.
    func received(_ index: Int) -> Received {
        let length = Int(unsafe headers[index].msg_len)
        let flags = unsafe headers[index].msg_hdr.msg_flags
        var result = unsafe Received(
            length: length, isTruncated: flags & Int32(MSG_TRUNC) != 0,
            peer: SocketAddress.load(from: names + index * Self.nameStride, length: headers[index].msg_hdr.msg_namelen))
        guard unsafe headers[index].msg_hdr.msg_controllen > 0 else { return result }
        // the header is what a mmsghdr begins with
        let message = unsafe UnsafeMutableRawPointer(headers + index).assumingMemoryBound(to: msghdr.self)
        var control = unsafe gw_cmsg_first(message)
        while let current = unsafe control {
            let payload = unsafe current.pointee.cmsg_len - gw_cmsg_length(0)
            guard let data = unsafe gw_cmsg_data(current) else { break }
            switch unsafe (current.pointee.cmsg_level, current.pointee.cmsg_type) {
            case (Int32(IPPROTO_UDP), UDP_GRO) where payload >= 4:
                let size = Int(unsafe data.load(as: Int32.self))
                if size > 0, size < length { result.segmentSize = size }
            case (Int32(IPPROTO_IP), IP_TOS) where payload >= 1:
                result.trafficClass = unsafe data.load(as: UInt8.self)
            case (Int32(IPPROTO_IPV6), IPV6_TCLASS) where payload >= 4:
                result.trafficClass = UInt8(truncatingIfNeeded: unsafe data.load(as: Int32.self))
            case (Int32(IPPROTO_IP), IP_RECVFRAGSIZE) where payload >= 4, (Int32(IPPROTO_IPV6), IPV6_RECVFRAGSIZE) where payload >= 4:
                result.wasFragmented = unsafe data.load(as: Int32.self) > 0
            default: break
            }
            unsafe control = gw_cmsg_next(message, current)
        }
        return result
    }
}

internal import CLinux
internal import Glibc

/// The calls by which the kernel is asked for offloads and given many packets in one. In debug builds they can meet a kernel that lacks some of it
/// (`LackingKernel`), for tests; in release builds they are the plain calls.
enum OffloadCalls {
    /// TUNGETFEATURES; 0, or -1 and errno.
    @inline(__always)
    static func features(of device: Int32, _ features: inout UInt32) -> Int32 {
        let result = unsafe gw_tun_get_features(device, &features)
        #if DEBUG
        if let kernel = LackingKernel.here { kernel.limit(&features) }
        #endif
        return result
    }

    /// TUNSETOFFLOAD; 0, or -1 and errno.
    @inline(__always)
    static func setOffloads(_ device: Int32, _ offloads: UInt32) -> Int32 {
        #if DEBUG
        if let kernel = LackingKernel.here, kernel.refuses(offloads: offloads) {
            errno = EINVAL
            return -1
        }
        #endif
        return gw_tun_set_offload(device, UInt(offloads))
    }

    /// setsockopt with an int; 0, or -1 and errno.
    @inline(__always)
    static func setOption(_ socket: Int32, _ level: Int32, _ option: Int32, _ value: inout Int32) -> Int32 {
        #if DEBUG
        if let kernel = LackingKernel.here, kernel.refuses(option: option, level: level) {
            errno = ENOPROTOOPT
            return -1
        }
        #endif
        return unsafe setsockopt(socket, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    @inline(__always)
    @unsafe static func sendmmsg(_ socket: Int32, _ messages: UnsafeMutablePointer<mmsghdr>, _ count: UInt32, _ flags: Int32) -> Int32 {
        #if DEBUG
        if let kernel = LackingKernel.here { return unsafe kernel.sendmmsg(socket, messages, count, flags) }
        #endif
        return unsafe Glibc.sendmmsg(socket, messages, count, flags)
    }

    /// write to a TUN device.
    @inline(__always)
    @unsafe static func write(_ device: Int32, _ octets: UnsafeMutableRawPointer, _ count: Int) -> Int {
        #if DEBUG
        if let kernel = LackingKernel.here, let number = kernel.refusalOfWrite() {
            errno = number
            return -1
        }
        #endif
        return unsafe Glibc.write(device, octets, count)
    }
}

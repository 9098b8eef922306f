import Foundation

/// A UDP socket that never blocks; closed when the last reference goes. Lives in the namespace of the thread that opened it.
final class UDPSocket: Sendable {
    let descriptor: Int32
    let port: UInt16

    convenience init(address: String, port: UInt16) throws { try self.init(sockaddr_in(address, port)) }

    init(_ address: sockaddr_in) throws {
        let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var size: Int32 = 4 << 20
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &size, socklen_t(MemoryLayout<Int32>.size))
        var address = address
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, .init(__sockaddr__: $0), socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard bound == 0 else {
            let reason = String(cString: strerror(errno))
            close(descriptor)
            throw LabError("bind UDP port \(UInt16(bigEndian: address.sin_port)): \(reason)")
        }
        // 0 lets the kernel choose
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, .init(__sockaddr__: $0), &length) }
        }
        self.descriptor = descriptor
        port = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(descriptor) }

    /// The next datagram; nil when none waits.
    func receive() -> ([UInt8], sockaddr_in)? {
        var source = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        var count = -1
        let octets = [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, used in
            count = withUnsafeMutablePointer(to: &source) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    recvfrom(descriptor, buffer.baseAddress, buffer.count, 0, .init(__sockaddr__: $0), &length)
                }
            }
            used = max(0, count)
        }
        return count < 0 ? nil : (octets, source)
    }

    static func send(_ octets: [UInt8], _ descriptor: Int32, _ address: sockaddr_in) {
        var address = address
        withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = sendto(descriptor, octets, octets.count, Int32(MSG_NOSIGNAL), .init(__sockaddr__: $0), socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}

extension sockaddr_in {
    init(_ address: String, _ port: UInt16) {
        self.init()
        sin_family = sa_family_t(AF_INET)
        sin_port = port.bigEndian
        inet_pton(AF_INET, address, &sin_addr)
    }

    func isSame(as other: sockaddr_in) -> Bool { sin_port == other.sin_port && sin_addr.s_addr == other.sin_addr.s_addr }
}

/// A small seeded generator (Steele, Lea and Flood, 2014).
package struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64
    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }

    /// 0 ..< 1
    mutating func share() -> Double { Double(next() >> 11) / Double(1 << 53) }
}

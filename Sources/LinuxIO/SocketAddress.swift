internal import CLinux
internal import Glibc
internal import Wire

/// Endpoints as the kernel's `sockaddr_in` and `sockaddr_in6`. An IPv6 address has no zone here: link-local peers are not reachable.
enum SocketAddress {
    /// Octets that hold either.
    static let size = MemoryLayout<sockaddr_in6>.size

    /// Writes an endpoint into `size` octets and returns how many are meaningful.
    static func store(_ endpoint: Endpoint, at memory: UnsafeMutableRawPointer) -> socklen_t {
        unsafe memory.storeBytes(of: endpoint.port.bigEndian, toByteOffset: 2, as: UInt16.self)
        let value = endpoint.address.value
        switch endpoint.address.family {
        case .ipv4:
            unsafe memory.storeBytes(of: UInt16(AF_INET), as: UInt16.self)
            unsafe memory.storeBytes(of: UInt32(truncatingIfNeeded: value).bigEndian, toByteOffset: 4, as: UInt32.self)
            unsafe memory.storeBytes(of: 0, toByteOffset: 8, as: UInt64.self)
            return socklen_t(MemoryLayout<sockaddr_in>.size)
        case .ipv6:
            unsafe memory.storeBytes(of: UInt16(AF_INET6), as: UInt16.self)
            unsafe memory.storeBytes(of: 0, toByteOffset: 4, as: UInt32.self)
            unsafe memory.storeBytes(of: UInt64(truncatingIfNeeded: value >> 64).bigEndian, toByteOffset: 8, as: UInt64.self)
            unsafe memory.storeBytes(of: UInt64(truncatingIfNeeded: value).bigEndian, toByteOffset: 16, as: UInt64.self)
            unsafe memory.storeBytes(of: 0, toByteOffset: 24, as: UInt32.self)
            return socklen_t(MemoryLayout<sockaddr_in6>.size)
        }
    }

    /// Reads an endpoint that the kernel wrote; nil when it is of another family or cut off.
    static func load(from memory: UnsafeRawPointer, length: socklen_t) -> Endpoint? {
        guard length >= 2 else { return nil }
        let family = Int32(unsafe memory.load(as: UInt16.self))
        if family == AF_INET, Int(length) >= MemoryLayout<sockaddr_in>.size {
            let port = UInt16(bigEndian: unsafe memory.load(fromByteOffset: 2, as: UInt16.self))
            let address = UInt32(bigEndian: unsafe memory.load(fromByteOffset: 4, as: UInt32.self))
            return Endpoint(IPAddress(v4: address), port: port)
        }
        if family == AF_INET6, Int(length) >= MemoryLayout<sockaddr_in6>.size {
            let port = UInt16(bigEndian: unsafe memory.load(fromByteOffset: 2, as: UInt16.self))
            let high = UInt64(bigEndian: unsafe memory.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            let low = UInt64(bigEndian: unsafe memory.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
            return Endpoint(IPAddress(family: .ipv6, value: UInt128(high) << 64 | UInt128(low)), port: port)
        }
        return nil
    }

    /// Calls `body` with an endpoint as the kernel wants it.
    static func with<Result>(_ endpoint: Endpoint, _ body: (UnsafeRawPointer, socklen_t) -> Result) -> Result {
        var storage = sockaddr_storage()
        return unsafe withUnsafeMutableBytes(of: &storage) { buffer in
            guard let memory = buffer.baseAddress else { preconditionFailure("sockaddr_storage has octets") }
            let length = unsafe store(endpoint, at: memory)
            return unsafe body(memory, length)
        }
    }

    /// Calls `body`, which asks the kernel for an address, and reads the answer.
    static func read(_ body: (UnsafeMutableRawPointer, UnsafeMutablePointer<socklen_t>) -> Int32) -> Endpoint? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return unsafe withUnsafeMutableBytes(of: &storage) { buffer in
            guard let memory = buffer.baseAddress,
                unsafe body(memory, &length) == 0
            else { return nil }
            return unsafe load(from: memory, length: length)
        }
    }

    /// The socket domain of a family.
    static func domain(_ family: AddressFamily) -> Int32 {
        family == .ipv4 ? AF_INET : AF_INET6
    }
}

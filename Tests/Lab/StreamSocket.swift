import Foundation

/// A blocking TCP socket; closed when the last reference goes. Lives in the namespace of the thread that opened it.
final class StreamSocket: Sendable {
    private let descriptor: Int32
    let port: UInt16

    /// A socket of the family of `address`.
    init(for address: String) throws {
        descriptor = socket(SocketName.family(address), Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        port = 0
        guard descriptor >= 0 else { throw LabError("socket: \(String(cString: strerror(errno)))") }
    }

    private init(descriptor: Int32, port: UInt16) { (self.descriptor, self.port) = (descriptor, port) }

    deinit { close(descriptor) }

    /// A listener on a port that the kernel chooses.
    static func listening(at address: String) throws -> StreamSocket {
        let descriptor = socket(SocketName.family(address), Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var name = SocketName(address, 0)
        let isListening = name.withSockaddr { bind(descriptor, .init(__sockaddr__: $0), $1) == 0 && listen(descriptor, 4) == 0 }
        guard isListening, name.read({ getsockname(descriptor, .init(__sockaddr__: $0), &$1) == 0 }) else {
            let reason = String(cString: strerror(errno))
            close(descriptor)
            throw LabError("listen at \(address): \(reason)")
        }
        return StreamSocket(descriptor: descriptor, port: name.port)
    }

    func connect(_ destination: SocketName) -> Bool {
        destination.withSockaddr { Glibc.connect(descriptor, .init(__sockaddr__: $0), $1) == 0 }
    }

    func accept() -> StreamSocket? {
        let accepted = Glibc.accept4(descriptor, .init(__sockaddr__: nil), nil, Int32(SOCK_CLOEXEC.rawValue))
        return accepted < 0 ? nil : StreamSocket(descriptor: accepted, port: port)
    }

    func send(_ octets: ArraySlice<UInt8>) -> Bool {
        octets.withUnsafeBytes { buffer in
            var done = 0
            while done < buffer.count {
                let count = Glibc.send(descriptor, buffer.baseAddress! + done, buffer.count - done, Int32(MSG_NOSIGNAL))
                if count < 0 { return false }
                done += count
            }
            return true
        }
    }

    /// At most `limit` octets; empty at the end of the stream, nil on an error.
    func receive(_ limit: Int) -> [UInt8]? {
        var count = 0
        let octets = [UInt8](unsafeUninitializedCapacity: limit) { buffer, used in
            count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            used = max(0, count)
        }
        return count < 0 ? nil : octets
    }

    func shutWriting() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Wakes whoever is blocked here.
    func shut() { shutdown(descriptor, Int32(SHUT_RDWR)) }
}

/// An address with a port, of either family, as the socket calls take it.
struct SocketName: Sendable {
    private var storage = sockaddr_in6()
    private let isIPv6: Bool

    static func family(_ address: String) -> Int32 { address.contains(":") ? AF_INET6 : AF_INET }

    init(_ address: String, _ port: UInt16) {
        isIPv6 = Self.family(address) == AF_INET6
        if isIPv6 {
            storage.sin6_family = sa_family_t(AF_INET6)
            storage.sin6_port = port.bigEndian
            inet_pton(AF_INET6, address, &storage.sin6_addr)
        } else {
            var name = sockaddr_in(address, port)
            withUnsafeMutableBytes(of: &storage) { target in withUnsafeBytes(of: &name) { target.copyMemory(from: $0) } }
        }
    }

    private var length: socklen_t { socklen_t(isIPv6 ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size) }

    /// Both families have it in the same place.
    var port: UInt16 { UInt16(bigEndian: storage.sin6_port) }

    func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafePointer(to: storage) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) } }
    }

    /// Lets `body` write another name of the same family.
    mutating func read<Result>(_ body: (UnsafeMutablePointer<sockaddr>, inout socklen_t) -> Result) -> Result {
        var length = length
        return withUnsafeMutablePointer(to: &storage) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, &length) } }
    }
}

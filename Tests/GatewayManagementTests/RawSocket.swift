import Foundation
import Glibc

/// A stream socket that says exactly what the test wants, HTTP or not.
final class RawSocket: Sendable {
    private let descriptor: CInt

    /// Connected to a path, or nil.
    init?(path: String) {
        descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        guard Self.withAddress(path, { connect(descriptor, __CONST_SOCKADDR_ARG(__sockaddr__: $0), $1) }) == 0 else { return nil }
        bePatient()
    }

    /// Connected to a port of this machine, or nil.
    init?(port: UInt16) {
        descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, __CONST_SOCKADDR_ARG(__sockaddr__: $0), socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { return nil }
        bePatient()
    }

    private func bePatient() {
        var patience = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { Glibc.close(descriptor) }

    /// A listening socket at a path, as a daemon that dies leaves one once it is closed.
    static func bound(_ path: String) -> CInt? {
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        let result = withAddress(path) { bind(descriptor, __CONST_SOCKADDR_ARG(__sockaddr__: $0), $1) }
        guard result == 0, listen(descriptor, 5) == 0 else { return nil }
        return descriptor
    }

    /// A datagram socket at a path: a journal.
    static func datagram(_ path: String) -> CInt? {
        let descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue), 0)
        let result = withAddress(path) { bind(descriptor, __CONST_SOCKADDR_ARG(__sockaddr__: $0), $1) }
        return result == 0 ? descriptor : nil
    }

    func send(_ text: String) {
        let octets = Array(text.utf8)
        _ = Glibc.send(descriptor, octets, octets.count, CInt(MSG_NOSIGNAL))
    }

    /// What `read` ends in when nothing came for ten seconds.
    static let silence = "<silence>"

    /// Everything until the other side closes, or `enough` says so.
    func read(until enough: @escaping @Sendable (String) -> Bool = { _ in false }) async -> String {
        await withCheckedContinuation { continuation in
            // A thread of its own: one of the pool's would be missing to the server.
            Thread.detachNewThread {
                var octets: [UInt8] = []
                var buffer = [UInt8](repeating: 0, count: 1 << 16)
                while true {
                    let count = recv(self.descriptor, &buffer, buffer.count, 0)
                    if count < 0, errno == EAGAIN { octets += Self.silence.utf8 }
                    guard count > 0 else { break }
                    octets += buffer.prefix(count)
                    if enough(String(decoding: octets, as: UTF8.self)) { break }
                }
                continuation.resume(returning: String(decoding: octets, as: UTF8.self))
            }
        }
    }

    private static func withAddress<Result>(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }
}

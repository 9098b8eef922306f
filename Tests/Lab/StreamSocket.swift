import Foundation

/// A blocking TCP socket; closed when the last reference goes. Lives in the namespace of the thread that opened it.
final class StreamSocket: Sendable {
    private let descriptor: Int32
    let port: UInt16

    init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        port = 0
        guard descriptor >= 0 else { throw LabError("socket: \(String(cString: strerror(errno)))") }
    }

    private init(descriptor: Int32, port: UInt16) { (self.descriptor, self.port) = (descriptor, port) }

    deinit { close(descriptor) }

    /// A listener on a port that the kernel chooses.
    static func listening(at address: String) throws -> StreamSocket {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var name = sockaddr_in(address, 0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, .init(__sockaddr__: $0), length) == 0 && listen(descriptor, 4) == 0
                    && getsockname(descriptor, .init(__sockaddr__: $0), &length) == 0
            }
        }
        guard bound else {
            let reason = String(cString: strerror(errno))
            close(descriptor)
            throw LabError("listen at \(address): \(reason)")
        }
        return StreamSocket(descriptor: descriptor, port: UInt16(bigEndian: name.sin_port))
    }

    func connect(_ destination: sockaddr_in) -> Bool {
        var destination = destination
        return withUnsafePointer(to: &destination) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, .init(__sockaddr__: $0), socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
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

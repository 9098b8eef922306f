internal import CLinux
internal import Glibc

/// What a service tells its supervisor (systemd's notification protocol, without its library).
package enum ServiceNotification {
    /// Sends assignments such as `READY=1` or `STOPPING=1`, one per line, to the socket that $NOTIFY_SOCKET names.
    /// False when nobody asked to be notified.
    @discardableResult
    package static func send(_ state: String) throws(SystemError) -> Bool {
        guard let value = unsafe getenv("NOTIFY_SOCKET") else { return false }
        return try send(state, to: unsafe String(cString: value))
    }

    static func send(_ state: String, to name: String) throws(SystemError) -> Bool {
        guard !name.isEmpty else { return false }
        let subject = "NOTIFY_SOCKET \(name)"
        var path = Array(name.utf8)
        guard path.count < 108, path[0] == UInt8(ascii: "/") || path[0] == UInt8(ascii: "@") else {
            throw SystemError(EINVAL, call: "sendto", subject: subject, hint: "an absolute path, or @ and an abstract name, is wanted")
        }
        if path[0] == UInt8(ascii: "@") { path[0] = 0 }
        let socket = try FileDescriptor(
            Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0), "socket", subject)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // the family's two octets, then the path without its end mark: abstract names are counted, not ended
        let length = socklen_t(2 + path.count)
        unsafe withUnsafeMutableBytes(of: &address) { memory in
            for (index, octet) in path.enumerated() where 2 + index < memory.count { unsafe memory[2 + index] = octet }
        }
        let text = Array(state.utf8)
        let sent = unsafe text.withUnsafeBytes { buffer in
            unsafe gw_sendto(socket.rawValue, buffer.baseAddress, buffer.count, Int32(MSG_NOSIGNAL), &address, length)
        }
        guard sent == text.count else { throw .last("sendto", subject) }
        return true
    }
}

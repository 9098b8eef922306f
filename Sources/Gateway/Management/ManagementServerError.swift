internal import ManagementAPI

/// Why the management server cannot run; the description says what to do next.
package enum ManagementServerError: Error, Equatable, Sendable {
    /// Something that is no socket has the socket's name.
    case notASocket(path: String)
    /// Another daemon answers on the socket.
    case inUse(path: String)
    /// The path leaves no room for a socket's 107 octets.
    case pathTooLong(path: String)
    /// No such group on this machine.
    case unknownGroup(String)
    /// A system call failed on a file.
    case file(path: String, call: String, reason: String)
    /// The TCP listener for Prometheus could not be opened.
    case metricsListener(address: String, reason: String)
    /// The server ended without being asked to.
    case ended(reason: String)
}

extension ManagementServerError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .notASocket(let path):
            "\(EscapedText.shown(path)) exists and is no socket: remove it, or set management.control-socket to another path"
        case .inUse(let path):
            "another ipsec-gw answers on \(EscapedText.shown(path)): stop it, or set management.control-socket to another path"
        case .pathTooLong(let path):
            "\(EscapedText.shown(path)) is too long for a socket: "
                + "set management.control-socket to a path of at most \(ControlSocket.longestPath) octets"
        case .unknownGroup(let name):
            "this machine has no group \(EscapedText.shown(name)): create it (groupadd), or change management.socket-access.group"
        case .file(let path, let call, let reason):
            "\(call) \(EscapedText.shown(path)): \(reason): start as root, or change management.control-socket and management.socket-access"
        case .metricsListener(let address, let reason):
            "cannot listen on \(address) for Prometheus (\(reason)): free the port, or change management.metrics"
        case .ended(let reason):
            "the management server ended: \(reason)"
        }
    }
}

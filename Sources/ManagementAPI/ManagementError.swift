internal import AsyncHTTPClient
internal import NIOCore

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// Why a call of the HTTP API failed.
package enum ManagementError: Error, Equatable, Sendable {
    /// No daemon answered.
    case unreachable(Unreachable)
    /// The daemon answered, with an HTTP status that is no success.
    case refused(status: Int, ErrorAnswer)
    /// The answer is not what this version understands; the text says where.
    case malformedAnswer(String)
}

/// Why no daemon answered.
package enum Unreachable: Error, Equatable, Sendable {
    /// There is no file of that name.
    case absent
    /// The file is there, nobody listens: the daemon died.
    case refused
    /// The socket's mode or group keeps this user out.
    case forbidden
    /// Longer than a socket's path may be.
    case pathTooLong
    /// No answer in time.
    case timedOut
    /// Something else; the text is the library's.
    case other(String)
}

extension Unreachable {
    init(_ error: any Error) {
        switch error {
        case let error as IOError: self.init(errno: error.errnoCode, "\(error)")
        case let error as HTTPClientError where [.connectTimeout, .deadlineExceeded, .readTimeout].contains(error):
            self = .timedOut
        case is SocketAddressError: self = .pathTooLong
        case ChannelError.connectTimeout: self = .timedOut
        default: self = .other(EscapedText.shown("\(error)"))
        }
    }

    private init(errno code: CInt, _ text: String) {
        switch code {
        case ENOENT, ENOTDIR: self = .absent
        case ECONNREFUSED, ECONNRESET, EPIPE: self = .refused
        case EACCES, EPERM: self = .forbidden
        case ENAMETOOLONG: self = .pathTooLong
        case ETIMEDOUT, EAGAIN: self = .timedOut
        default: self = .other(EscapedText.shown(text))
        }
    }

    /// What is wrong with the socket and what to do next, one line.
    package func explained(socket path: String) -> String {
        let shown = EscapedText.shown(path)
        return switch self {
        case .absent:
            "no daemon: there is no socket \(shown). Start it (systemctl start ipsec-gw), "
                + "or name its socket with --socket or IPSEC_GW_SOCKET"
        case .refused:
            "no daemon: nobody listens on \(shown). It has stopped; start it again (systemctl start ipsec-gw) and look at its log"
        case .forbidden:
            "not allowed to open \(shown). Run as root, or join the group that management.socket-access names"
        case .pathTooLong:
            "\(shown) is too long for a socket, which may have 107 octets. Set management.control-socket to a shorter path"
        case .timedOut:
            "the daemon on \(shown) did not answer in time. Look at its log and its load"
        case .other(let text):
            "cannot talk to the daemon on \(shown): \(text). Check that the path is the daemon's control socket"
        }
    }
}

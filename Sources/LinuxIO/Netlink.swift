internal import CLinux
internal import Glibc
internal import Wire

/// Devices, addresses and routes of one network namespace: that of the thread which makes this value (rtnetlink, RFC 3549).
///
/// Every call is one request and blocks until the kernel has answered, which takes microseconds; not for the packet path.
package struct Netlink: ~Copyable {
    private let socket: FileDescriptor
    private var sequence: UInt32 = 0
    private var buffer = [UInt8](repeating: 0, count: 65_536)

    /// What the kernel is asked about.
    enum Subsystem: Sendable {
        case route, netfilter

        var number: Int32 {
            switch self {
            case .route: NETLINK_ROUTE
            case .netfilter: NETLINK_NETFILTER
            }
        }
    }

    package init() throws(SystemError) {
        try self.init(.route)
    }

    init(_ subsystem: Subsystem) throws(SystemError) {
        socket = try FileDescriptor(
            Glibc.socket(AF_NETLINK, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), subsystem.number), "socket", "netlink")
        var on: Int32 = 1
        // the kernel's own words with a refusal, and dumps that keep to what was asked; both since 4.20 at the latest
        _ = unsafe setsockopt(socket.rawValue, SOL_NETLINK, Int32(NETLINK_EXT_ACK), &on, socklen_t(MemoryLayout<Int32>.size))
        _ = unsafe setsockopt(socket.rawValue, SOL_NETLINK, Int32(NETLINK_GET_STRICT_CHK), &on, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Sends a request that changes something and waits for the kernel's word.
    mutating func change(_ request: NetlinkRequest, _ call: String, _ subject: String, hint: String = "") throws(SystemError) {
        _ = try exchange(request, call, subject, hint, isDump: false)
    }

    /// Asks for one thing.
    mutating func get(_ request: NetlinkRequest, _ call: String, _ subject: String) throws(SystemError) -> [NetlinkMessage] {
        try exchange(request, call, subject, "", isDump: false)
    }

    /// Asks for a list; once more when it changed while it was read.
    mutating func list(_ request: NetlinkRequest, _ call: String, _ subject: String) throws(SystemError) -> [NetlinkMessage] {
        for _ in 0..<16 {
            let messages = try exchange(request, call, subject, "", isDump: true)
            if !messages.contains(where: { $0.flags & UInt16(NLM_F_DUMP_INTR) != 0 }) { return messages }
        }
        throw SystemError(EINTR, call: call, subject: subject, hint: "the list changes faster than it can be read")
    }

    private mutating func exchange(
        _ request: NetlinkRequest, _ call: String, _ subject: String, _ hint: String, isDump: Bool
    ) throws(SystemError) -> [NetlinkMessage] {
        sequence &+= 1
        let octets = request.finished(sequence: sequence)
        // an address of the family and zeros is the kernel's
        var kernel = sockaddr_nl()
        kernel.nl_family = sa_family_t(AF_NETLINK)
        let sent = unsafe octets.withUnsafeBytes { bytes in
            unsafe gw_sendto(socket.rawValue, bytes.baseAddress, bytes.count, 0, &kernel, socklen_t(MemoryLayout<sockaddr_nl>.size))
        }
        guard sent == octets.count else { throw .last(call, subject) }
        var answers: [NetlinkMessage] = []
        while true {
            for message in try receive(call, subject) where message.sequence == sequence {
                switch message.type {
                case Int(NLMSG_ERROR):
                    try check(message, call, subject, hint)
                    return answers
                case Int(NLMSG_DONE):
                    // a dump that failed on its way ends with a negative number
                    let outcome = message.payload.native(Int32.self, at: 0) ?? 0
                    guard outcome >= 0 else { throw SystemError(0 &- outcome, call: call, subject: subject, hint: hint) }
                    return answers
                default: answers.append(message)
                }
            }
        }
    }

    /// One datagram's messages.
    private mutating func receive(_ call: String, _ subject: String) throws(SystemError) -> [NetlinkMessage] {
        while true {
            var sender = sockaddr_nl()
            var length = socklen_t(MemoryLayout<sockaddr_nl>.size)
            let descriptor = socket.rawValue
            let got = unsafe buffer.withUnsafeMutableBytes { bytes in
                unsafe gw_recvfrom(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_TRUNC), &sender, &length)
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw .last(call, subject) }
            guard got <= buffer.count else { throw SystemError(EMSGSIZE, call: call, subject: subject) }
            if sender.nl_pid == 0 { return NetlinkMessage.all(in: buffer[..<got]) }
        }
    }

    /// The outcome of a change: 0, or minus an errno with the kernel's words behind the request it quotes.
    private func check(_ message: NetlinkMessage, _ call: String, _ subject: String, _ hint: String) throws(SystemError) {
        let outcome = message.payload.native(Int32.self, at: 0) ?? -EINVAL
        guard outcome != 0 else { return }
        var words = hint
        if message.flags & UInt16(NLM_F_ACK_TLVS) != 0 {
            // NLM_F_CAPPED: only the header of our request is quoted
            let quoted = message.flags & UInt16(NLM_F_CAPPED) != 0 ? 16 : Int(message.payload.native(UInt32.self, at: 4) ?? 16)
            if let text = message.attributes(after: 4 + min(max(quoted, 16), 1 << 20))[Int(NLMSGERR_ATTR_MSG.rawValue)]?.text, !text.isEmpty {
                words = hint.isEmpty ? "the kernel says: \(text)" : "\(hint) (the kernel says: \(text))"
            }
        }
        let number = outcome == .min ? EINVAL : abs(outcome)
        if number == EPERM { words = "changing devices, addresses and routes needs root or CAP_NET_ADMIN" }
        throw SystemError(number, call: call, subject: subject, hint: words)
    }

    static func family(_ family: AddressFamily) -> UInt8 {
        UInt8(SocketAddress.domain(family))
    }

    static func family(number: UInt8) -> AddressFamily? {
        switch Int32(number) {
        case AF_INET: .ipv4
        case AF_INET6: .ipv6
        default: nil
        }
    }
}

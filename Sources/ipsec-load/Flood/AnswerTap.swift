import Glibc
import LinuxIO
import Wire

/// Sees what a gateway answers to addresses that are nobody's: the beginnings of all IP packets that come to this network namespace.
final class AnswerTap {
    let descriptor: Int32
    private let gateway: IPAddress
    private let sources: IPPrefix
    private let beginning = 96
    private var room: [UInt8]

    /// Throws without CAP_NET_RAW.
    init(gateway: IPAddress, sources: IPPrefix) throws(SystemError) {
        self.gateway = gateway
        self.sources = sources
        let kind: UInt16 = gateway.family == .ipv4 ? 0x0800 : 0x86dd
        // Of one kind of packet such a socket hears those that come, not those that we send.
        let number = socket(
            AF_PACKET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), Int32(kind.bigEndian))
        guard number >= 0 else {
            throw SystemError(errno, call: "socket", subject: "packets of all kinds", hint: "--kind spoofed needs root or CAP_NET_RAW")
        }
        descriptor = number
        room = [UInt8](repeating: 0, count: beginning)
        var size: Int32 = 64 << 20
        _ = unsafe setsockopt(number, SOL_SOCKET, SO_RCVBUFFORCE, &size, socklen_t(MemoryLayout<Int32>.size))
    }

    deinit { close(descriptor) }

    /// Takes what has come, up to a number, into account.
    func drain(atMost limit: Int, into answers: inout Answers) {
        for _ in 0..<limit {
            let count = unsafe room.withUnsafeMutableBytes { octets in
                unsafe recv(descriptor, octets.baseAddress, octets.count, Int32(MSG_DONTWAIT))
            }
            guard count > 0 else { return }
            take(room[..<min(count, beginning)], &answers)
        }
    }

    private func take(_ packet: ArraySlice<UInt8>, _ answers: inout Answers) {
        func word(_ at: Int) -> Int { Int(packet[at]) << 8 | Int(packet[at + 1]) }
        let start: Int
        let size: Int
        switch gateway.family {
        case .ipv4:
            start = Int(packet[0] & 15) * 4
            guard packet.count >= 48, packet[0] >> 4 == 4, start >= 20, start + 28 <= packet.count, packet[9] == 17,
                IPAddress(octets: packet[12..<16]) == gateway, let to = IPAddress(octets: packet[16..<20]), sources.contains(to)
            else { return }
            size = word(2)
        case .ipv6:
            start = 40
            guard packet.count >= 68, packet[0] >> 4 == 6, packet[6] == 17, IPAddress(octets: packet[8..<24]) == gateway,
                let to = IPAddress(octets: packet[24..<40]), sources.contains(to)
            else { return }
            size = 40 + word(4)
        }
        answers.note(packet[(start + 8)...], octets: size)
    }

    /// Packets that came and that the kernel had no room for; asking forgets them.
    var missed: Int {
        var numbers: (UInt32, UInt32) = (0, 0)
        var size = socklen_t(8)
        // SOL_PACKET, PACKET_STATISTICS: packets, drops
        guard unsafe getsockopt(descriptor, 263, 6, &numbers, &size) == 0 else { return 0 }
        return Int(numbers.1)
    }
}

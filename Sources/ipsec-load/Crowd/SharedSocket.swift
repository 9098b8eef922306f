import IKEMessages
import LinuxIO
import Wire

/// A UDP socket, for both of the gateway's ports, and the clients on it.
final class SharedSocket {
    var port: UDPPort
    let members: Range<Int>
    let packetsPerCall: Int
    /// Clients by what was heard for them; a client is asked again before it is believed, since SPIs come and go.
    private(set) var owners: [ReceivedSPI: Int] = [:]

    init(_ local: Endpoint, members: Range<Int>) throws(SystemError) {
        var options = UDPOptions()
        packetsPerCall = members.count > 1 ? 64 : 8
        options.packetsPerCall = packetsPerCall
        // A limit: the kernel takes up memory as datagrams come.
        options.receiveBuffer = members.count > 1 ? 4 << 20 : 256 << 10
        options.sendBuffer = options.receiveBuffer
        port = try UDPPort(local, options: options)
        self.members = members
    }

    func learn(_ spi: ReceivedSPI, of client: Int) {
        if owners.count >= 8 * members.count { owners.removeAll(keepingCapacity: true) }
        owners[spi] = client
    }
}

/// The SPI of ours that a datagram bears.
enum ReceivedSPI: Hashable {
    case ike(IKESPI)
    case esp(UInt32)

    /// Nil for what is neither IKE nor ESP. `isNATPort`: IKE stands behind a non-ESP marker, RFC 3948 section 2.2.
    init?(_ octets: [UInt8], isNATPort: Bool) {
        func number(_ at: Int, _ count: Int) -> UInt64 { octets[at..<at + count].reduce(0) { $0 << 8 | UInt64($1) } }
        var start = 0
        if isNATPort {
            guard octets.count >= 8 else { return nil }
            let first = UInt32(truncatingIfNeeded: number(0, 4))
            guard first == 0 else {
                self = .esp(first)
                return
            }
            start = 4
        }
        guard octets.count >= start + IKEHeader.length else { return nil }
        // Our SPI is the responder's where the gateway began the IKE SA.
        let isFromInitiator = IKEHeader.Flags(rawValue: octets[start + 19]).contains(.initiator)
        self = .ike(number(isFromInitiator ? start + 8 : start, 8))
    }
}

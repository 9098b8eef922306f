import Wire

/// A UDP datagram as an IP packet, as it stands in a tunnel.
struct InnerDatagram {
    let source: Endpoint
    let destination: Endpoint
    let payload: ArraySlice<UInt8>

    /// Octets before the payload.
    static func headers(_ family: AddressFamily) -> Int { family == .ipv4 ? 28 : 48 }

    /// Nil for anything else, fragments among it.
    init?(_ packet: [UInt8]) {
        func word(_ at: Int) -> Int { Int(packet[at]) << 8 | Int(packet[at + 1]) }
        guard let first = packet.first else { return nil }
        let start: Int
        switch first >> 4 {
        case 4:
            start = Int(first & 15) * 4
            guard start >= 20, packet.count >= start + 8, packet[9] == 17, word(6) & 0x3fff == 0,
                let from = IPAddress(octets: packet[12..<16]), let to = IPAddress(octets: packet[16..<20])
            else { return nil }
            source = Endpoint(from, port: UInt16(truncatingIfNeeded: word(start)))
            destination = Endpoint(to, port: UInt16(truncatingIfNeeded: word(start + 2)))
        case 6:
            start = 40
            guard packet.count >= start + 8, packet[6] == 17, let from = IPAddress(octets: packet[8..<24]),
                let to = IPAddress(octets: packet[24..<40])
            else { return nil }
            source = Endpoint(from, port: UInt16(truncatingIfNeeded: word(start)))
            destination = Endpoint(to, port: UInt16(truncatingIfNeeded: word(start + 2)))
        default: return nil
        }
        let length = word(start + 4)
        guard length >= 8, start + length <= packet.count else { return nil }
        payload = packet[start + 8..<start + length]
    }

    /// The packet from one end to the other; both of one family. `write` appends the payload.
    static func packet(from source: Endpoint, to destination: Endpoint, payload length: Int, _ write: (inout [UInt8]) -> Void) -> [UInt8] {
        var packet: [UInt8] = []
        let family = source.address.family
        packet.reserveCapacity(headers(family) + length)
        let udpLength = UInt16(clamping: 8 + length)
        switch family {
        case .ipv4:
            packet += [0x45, 0]
            packet.append(bigEndian: UInt16(clamping: 28 + length))
            packet += [0, 0, 0, 0, 64, 17, 0, 0]
            packet += source.address.octets
            packet += destination.address.octets
            packet.patch(bigEndian: InternetChecksum.of(packet[...]), at: 10)
        case .ipv6:
            packet += [0x60, 0, 0, 0]
            packet.append(bigEndian: udpLength)
            packet += [17, 64]
            packet += source.address.octets
            packet += destination.address.octets
        }
        let udp = packet.count
        packet.append(bigEndian: source.port)
        packet.append(bigEndian: destination.port)
        packet.append(bigEndian: udpLength)
        packet.append(bigEndian: UInt16(0))
        write(&packet)
        let addresses = packet[(family == .ipv4 ? 12 : 8)..<udp]
        packet.patch(bigEndian: InternetChecksum.ofUDP(packet[udp...], addresses: addresses), at: udp + 6)
        return packet
    }
}

/// RFC 1071.
enum InternetChecksum {
    static func of(_ octets: ArraySlice<UInt8>) -> UInt16 { ~folded(sum(octets)) }

    /// Over pseudo-header and datagram, whose own checksum field is zero; never 0, which says that there is none.
    static func ofUDP(_ datagram: ArraySlice<UInt8>, addresses: ArraySlice<UInt8>) -> UInt16 {
        let checksum = ~folded(sum(datagram) + sum(addresses) + 17 + UInt64(datagram.count))
        return checksum == 0 ? 0xffff : checksum
    }

    private static func sum(_ octets: ArraySlice<UInt8>) -> UInt64 {
        unsafe octets.withUnsafeBytes { unsafe sum($0) }
    }

    /// Of 16-bit words, the last of them perhaps half a one. In the machine's own order, eight octets at a time, and turned at the end (RFC 1071 section 2).
    static func sum(_ octets: UnsafeRawBufferPointer) -> UInt64 {
        var sum: UInt64 = 0
        var index = 0
        while index + 8 <= octets.count {
            let words = unsafe octets.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            sum &+= words >> 32 &+ words & 0xffff_ffff
            index += 8
        }
        while index + 2 <= octets.count {
            sum &+= UInt64(unsafe octets.loadUnaligned(fromByteOffset: index, as: UInt16.self))
            index += 2
        }
        if index < octets.count { sum &+= UInt64((UInt16(unsafe octets[index]) << 8).bigEndian) }
        return UInt64(UInt16(bigEndian: folded(sum)))
    }

    static func folded(_ sum: UInt64) -> UInt16 {
        var sum = sum
        while sum >> 16 != 0 { sum = (sum & 0xffff) + sum >> 16 }
        return UInt16(truncatingIfNeeded: sum)
    }
}

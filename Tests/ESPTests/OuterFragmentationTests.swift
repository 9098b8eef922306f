import ESP
import GatewayCrypto
import PacketFixtures
import Testing
import Wire

/// Outer packets cut to encapsulated-ip-mtu: features.md DP-5.
@Suite struct OuterFragmentationTests {
    struct Piece {
        let offset: Int
        let more: Bool
        let payload: [UInt8]
        let identification: UInt32
    }

    /// Reads one outer packet the way a receiver would.
    static func read(_ packet: [UInt8], isIPv6: Bool) throws -> Piece {
        if isIPv6 {
            try #require(packet.count > 48 && packet[0] >> 4 == 6 && packet[6] == 44)
            #expect(Int(packet[4]) << 8 | Int(packet[5]) == packet.count - 40)
            #expect(packet[40] == 17 && packet[41] == 0)
            let word = Int(packet[42]) << 8 | Int(packet[43])
            let id = packet[44..<48].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            return Piece(offset: word & 0xfff8, more: word & 1 == 1, payload: Array(packet[48...]), identification: id)
        }
        try #require(packet.count > 20 && packet[0] == 0x45 && packet[9] == 17)
        #expect(Packets.checksum(Array(packet[..<20])) == 0)
        #expect(Int(packet[2]) << 8 | Int(packet[3]) == packet.count)
        let word = Int(packet[6]) << 8 | Int(packet[7])
        return Piece(
            offset: (word & 0x1fff) * 8, more: word & 0x2000 != 0, payload: Array(packet[20...]),
            identification: UInt32(packet[4]) << 8 | UInt32(packet[5]))
    }

    @Test(arguments: [false, true], [512, 577, 1280, 1400, 1500])
    func DP5_piecesMakeUpTheWhole(isIPv6: Bool, mtu: Int) throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededNumbers(seed: seed)
        let source = Packets.address(isIPv6 ? "2001:db8::1" : "192.0.2.1")
        let destination = Packets.address(isIPv6 ? "2001:db8::2" : "198.51.100.7")
        let limit = isIPv6 ? max(mtu, 1280) : mtu
        let fitting = limit - (isIPv6 ? 40 : 20)
        for length in [8, fitting, fitting + 1, fitting * 2, 9000, 65_000] + (0..<50).map({ _ in Int.random(in: 8...9216, using: &random) }) {
            var payload = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            let header = OuterHeader(
                source: source, destination: destination, ipProtocol: 17, trafficClass: 0xb8, identification: 0x0102_0304)
            guard let cut = OuterFragmentation(payload: length, isIPv6: isIPv6, mtu: mtu) else {
                #expect(length <= fitting, "seed \(seed)")
                continue
            }
            #expect(length > fitting && cut.count > 1, "seed \(seed)")
            var whole: [UInt8] = []
            for index in 0..<cut.count {
                var output = [UInt8](repeating: 0, count: 10_000)
                let size = payload.withUnsafeMutableBytes { payload in
                    output.withUnsafeMutableBytes { cut.write(index, of: PacketView(payload), header, to: PacketView($0)) }
                }
                #expect(size > 0 && size <= limit)
                let piece = try Self.read(Array(output[..<size]), isIPv6: isIPv6)
                #expect(piece.offset == whole.count && piece.more == (index + 1 < cut.count))
                #expect(piece.identification == (isIPv6 ? 0x0102_0304 : 0x0304))
                whole += piece.payload
            }
            #expect(whole == payload, "seed \(seed)")
        }
    }

    @Test func DP5_noneWithoutALimit() {
        #expect(OuterFragmentation(payload: 9000, isIPv6: false, mtu: 0) == nil)
    }

    /// RFC 8200 section 8.1: with IPv6 the checksum is there; RFC 3948 section 2.1: with IPv4 it is zero.
    @Test func DP5_theUDPHeaderIsOurs() {
        var datagram = [UInt8](repeating: 0xa5, count: 8 + 33)
        let (from, to) = (Endpoint(Packets.address("2001:db8::1"), port: 4500), Endpoint(Packets.address("2001:db8::2"), port: 61_000))
        datagram.withUnsafeMutableBytes { OuterFragmentation.writeUDPHeader(PacketView($0), from: from, to: to) }
        var pseudo = from.address.octets + to.address.octets
        pseudo.append(bigEndian: UInt32(datagram.count))
        pseudo.append(bigEndian: UInt32(17))
        #expect(Packets.checksum(pseudo + datagram) == 0)
        #expect(Array(datagram[..<6]) == [0x11, 0x94, 0xee, 0x48, 0, 41])
        let (from4, to4) = (Endpoint(Packets.address("192.0.2.1"), port: 4500), Endpoint(Packets.address("192.0.2.2"), port: 61_000))
        datagram.withUnsafeMutableBytes { OuterFragmentation.writeUDPHeader(PacketView($0), from: from4, to: to4) }
        #expect(Array(datagram[6..<8]) == [0, 0])
    }

    /// What is planned before sealing is what comes out.
    @Test(arguments: SAs.all)
    func DP5_theSealedLengthIsKnownBefore(suite: ESPSuite) throws {
        var sa = try SAs.outbound(suite)
        for length in 20..<200 {
            let sealed = try sa.seal([UInt8](repeating: 0x45, count: length))
            #expect(sealed.count == suite.sealedLength(of: length))
        }
    }
}

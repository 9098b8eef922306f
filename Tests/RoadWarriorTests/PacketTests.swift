import GatewayCrypto
import IKEMessages
import Testing
import Wire

@testable import RoadWarrior

/// ESP of the client, RFC 4303, against packets made here by hand.
struct PacketTests {
    /// The gateway's end of the Child SA: seals what the client opens and the reverse.
    struct Peer {
        let suite: ProtectionSuite
        let extended: Bool
        let keys: (ei: [UInt8], ai: [UInt8], er: [UInt8], ar: [UInt8])
        let spi: UInt32

        init(_ pair: Pairing) throws {
            let child = try #require(pair.child)
            suite = child.protection
            extended = child.extendedSequenceNumbers
            keys = pair.gateway.childKeys(suite)
            spi = child.inboundSPI
        }

        private func parts(_ sequence: UInt64, _ spi: UInt32) -> (header: [UInt8], aad: [UInt8], trailer: [UInt8]) {
            var header: [UInt8] = []
            header.append(bigEndian: spi)
            var aad = header
            var trailer: [UInt8] = []
            header.append(bigEndian: UInt32(truncatingIfNeeded: sequence))
            if extended, suite.isAEAD { aad.append(bigEndian: sequence) } else { aad = header }
            if extended, !suite.isAEAD { trailer.append(bigEndian: UInt32(truncatingIfNeeded: sequence >> 32)) }
            return (header, aad, trailer)
        }

        /// A packet to the client; `padding` in whole blocks more than needed.
        func seal(_ inner: [UInt8], _ sequence: UInt64, next: UInt8 = 4, badPadding: Bool = false) throws -> [UInt8] {
            let (header, aad, trailer) = parts(sequence, spi)
            let alignment = max(4, suite.blockLength)
            let count = (alignment - (inner.count + 2) % alignment) % alignment + alignment
            var padding = (0..<count).map { UInt8($0 + 1) }
            if badPadding { padding[count - 1] ^= 1 }
            var text = inner + padding + [UInt8(count), next]
            var iv: [UInt8] = []
            iv.append(bigEndian: sequence)
            if !suite.isAEAD { iv += iv }
            var icv = [UInt8](repeating: 0, count: suite.icvLength)
            var cipher = try RecordCipher(
                suite, encryptionKey: SecretOctets(copying: keys.er), integrityKey: SecretOctets(copying: keys.ar),
                direction: .seal)
            let done = aad.withUnsafeBytes { aad in
                iv.withUnsafeBytes { iv in
                    text.withUnsafeMutableBytes { text in
                        trailer.withUnsafeBytes { trailer in
                            icv.withUnsafeMutableBytes { icv in
                                cipher.seal(aad: aad, iv: iv, text: text, macTrailer: trailer, icv: icv)
                            }
                        }
                    }
                }
            }
            guard done else { throw CryptoError.library }
            return header + iv + text + icv
        }

        /// The text of a packet from the client.
        func open(_ packet: [UInt8], _ sequence: UInt64, outbound: UInt32) throws -> [UInt8] {
            let (header, aad, trailer) = parts(sequence, outbound)
            guard packet.starts(with: header) else { throw CryptoError.badLength }
            let iv = Array(packet[8..<8 + suite.ivLength])
            var text = Array(packet[(8 + suite.ivLength)..<(packet.count - suite.icvLength)])
            let icv = Array(packet[(packet.count - suite.icvLength)...])
            var cipher = try RecordCipher(
                suite, encryptionKey: SecretOctets(copying: keys.ei), integrityKey: SecretOctets(copying: keys.ai),
                direction: .open)
            let done = aad.withUnsafeBytes { aad in
                iv.withUnsafeBytes { iv in
                    text.withUnsafeMutableBytes { text in
                        trailer.withUnsafeBytes { trailer in
                            icv.withUnsafeBytes { icv in
                                cipher.open(aad: aad, iv: iv, text: text, macTrailer: trailer, icv: icv)
                            }
                        }
                    }
                }
            }
            guard done else { throw CryptoError.authenticationFailed }
            return text
        }
    }

    static func packet(from source: String = "10.9.1.1", to destination: String = "10.0.0.7", octets: Int = 60) -> [UInt8] {
        var packet: [UInt8] = [0x45, 0]
        packet.append(bigEndian: UInt16(octets))
        packet += [0, 1, 0, 0, 64, 17, 0, 0] + IPAddress(source)!.octets + IPAddress(destination)!.octets
        return packet + (0..<(octets - 20)).map { UInt8($0 & 0xff) }
    }

    static let suites = [
        "aes128gcm16-esn", "aes256gcm16-noesn", "aes128-sha256-esn", "aes256-sha384-noesn", "aes256-sha512-esn",
    ]

    private func connected(_ esp: String) throws -> (Pairing, Peer) {
        let proposals = try ProposalText.esp(esp)
        let pair = Pairing {
            $0.espProposals = proposals
            $0.natClaim = .behindNAT
        }
        try pair.connect()
        return (pair, try Peer(pair))
    }

    @Test(arguments: suites, [20, 33, 60, 61, 1400])
    func RFC4303_bothWays(esp: String, octets: Int) throws {
        let (pair, peer) = try connected(esp)
        #expect(peer.extended == !esp.hasSuffix("noesn"))
        let inbound = Self.packet(octets: octets)
        pair.deliver(packet: try peer.seal(inbound, 1))
        #expect(pair.delivered == [inbound])

        let outbound = Self.packet(from: "10.0.0.7", to: "10.9.1.1", octets: octets)
        for sequence in UInt64(1)...3 {
            let datagram = try #require(pair.seal(outbound))
            #expect(datagram.remote.port == 4500 && datagram.payload == datagram.octets)
            let text = try peer.open(datagram.octets, sequence, outbound: pair.gateway.espSPI)
            #expect(text.starts(with: outbound) && text.last == 4)
            let padding = Int(text[text.count - 2])
            #expect(text.count == octets + padding + 2 && text.count.isMultiple(of: 4))
            #expect(Array(text[octets..<octets + padding]) == (0..<padding).map { UInt8($0 + 1) })
        }
    }

    @Test(arguments: suites)
    func threat_P26_replaysAndChangedPackets(esp: String) throws {
        let (pair, peer) = try connected(esp)
        let packet = try peer.seal(Self.packet(), 5)
        for index in packet.indices {
            var changed = packet
            changed[index] ^= 0x10
            pair.deliver(packet: changed)
        }
        #expect(pair.delivered.isEmpty && pair.highestReceived == 0)
        pair.deliver(packet: packet)
        pair.deliver(packet: packet)
        #expect(pair.delivered.count == 1 && pair.drops.replayed == 1)
        pair.deliver(packet: try peer.seal(Self.packet(), 0))
        #expect(pair.delivered.count == 1)
    }

    @Test func RFC4303_2_extendedNumbersCrossTheBorder() throws {
        let (pair, peer) = try connected("aes128gcm16-esn")
        for sequence: UInt64 in [0x7000_0000, 0xffff_fff0, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0005, 0xffff_fffe] {
            pair.deliver(packet: try peer.seal(Self.packet(), sequence))
        }
        #expect(pair.delivered.count == 6 && pair.highestReceived == 0x1_0000_0005)

        pair.sequence = 0xffff_ffff
        let datagram = try #require(pair.seal(Self.packet(from: "10.0.0.7", to: "10.9.1.1")))
        _ = try peer.open(datagram.octets, 0x1_0000_0000, outbound: pair.gateway.espSPI)
    }

    @Test func threat_P25_32BitNumbersEndBeforeTheyRepeat() throws {
        let (pair, _) = try connected("aes128gcm16-noesn")
        pair.sequence = 0xffff_fffe
        let packet = Self.packet(from: "10.0.0.7", to: "10.9.1.1")
        #expect(pair.seal(packet) != nil)
        #expect(pair.seal(packet) == nil && pair.sequence == 0xffff_ffff)
    }

    /// Inner packets that are none, or lie outside the selectors.
    @Test(arguments: [
        ("10.8.1.1", "10.0.0.7"), ("10.9.1.1", "10.0.0.8"), ("10.0.0.7", "10.9.1.1"),
    ])
    func threat_P29_selectorsHoldInbound(source: String, destination: String) throws {
        let (pair, peer) = try connected("aes128gcm16-esn")
        pair.deliver(packet: try peer.seal(Self.packet(from: source, to: destination), 1))
        #expect(pair.delivered.isEmpty && pair.drops.selectors == 1)
    }

    @Test func threat_P29_selectorsHoldOutbound() throws {
        let (pair, _) = try connected("aes128gcm16-esn")
        #expect(pair.seal(Self.packet(from: "10.0.0.8", to: "10.9.1.1")) == nil)
        #expect(pair.seal(Self.packet(from: "10.0.0.7", to: "10.8.1.1")) == nil)
        #expect(pair.seal([1, 2, 3]) == nil && pair.seal([]) == nil)
        // An adversary's client sends it all the same.
        #expect(pair.seal(anything: Self.packet(from: "10.0.0.8", to: "10.9.1.1")) != nil)
    }

    @Test func threat_P32_innerNonsense() throws {
        let (pair, peer) = try connected("aes128-sha256-esn")
        var sequence: UInt64 = 0
        func send(_ inner: [UInt8], next: UInt8 = 4, badPadding: Bool = false) throws {
            sequence += 1
            pair.deliver(packet: try peer.seal(inner, sequence, next: next, badPadding: badPadding))
        }
        try send([])
        try send([0x45])
        try send([0x42] + Self.packet().dropFirst())
        try send(Array(Self.packet().dropLast(10)))
        try send(Self.packet(), next: 41)
        try send(Self.packet(), next: 17)
        try send(Self.packet(), badPadding: true)
        #expect(pair.delivered.isEmpty && pair.drops.malformed == sequence)
        try send([], next: 59)
        #expect(pair.delivered.isEmpty && pair.drops.malformed == sequence - 1)
        // Traffic flow confidentiality padding behind the packet is cut off.
        try send(Self.packet() + [0, 0, 0, 0])
        #expect(pair.delivered == [Self.packet()])
    }

    // MARK: sequence numbers alone

    @Test func threat_P26_windowTable() {
        var window = ReceivedSequences(size: 64)
        func T(_ number: UInt64, _ expected: Bool, line: Int = #line) {
            let admitted = window.admits(number)
            if admitted { window.record(number) }
            #expect(admitted == expected, "line \(line)")
        }
        T(0, false)
        T(1, true)
        T(1, false)
        T(9, true)
        T(8, true)
        T(7, true)
        T(7, false)
        T(64, true)
        T(65, true)
        T(1, false)  // too old
        T(2, true)
        T(2, false)
        T(65 + 63, true)
        T(65, false)
        T(66, true)
        T(66, false)
        T(64, false)
        T(10_000, true)
        T(10_000 - 64, false)
        T(10_000 - 63, true)
        T(10_000 - 63, false)
    }

    @Test(arguments: [
        (UInt64(0x1_0000_0100), UInt32(0x0000_00f0), UInt64(0x1_0000_00f0) as UInt64?),
        (0x1_0000_0100, 0x0000_0200, 0x1_0000_0200),
        (0x1_0000_0100, 0x0000_0010, 0x2_0000_0010),  // behind the window: of the next 2^32
        (0x1_0000_0005, 0xffff_fffe, 0x0_ffff_fffe),
        (0x1_0000_0005, 0x0000_0006, 0x1_0000_0006),
        (0x0_0000_0005, 0xffff_fffe, nil),
    ])
    func RFC4303_A2_highWordIsInferred(highest: UInt64, low: UInt32, expected: UInt64?) {
        var window = ReceivedSequences(size: 64)
        window.record(highest)
        #expect(window.extend(low) == expected)
    }
}

import GatewayCrypto
import IKEMessages
import Wire

/// The client's pair of ESP SAs, RFC 4303, packet by packet; shares nothing with the gateway's datapath but the ciphers.
final class ChildSA {
    let inboundSPI: UInt32
    let outboundSPI: UInt32
    let protection: ProtectionSuite
    let extended: Bool
    let localSelectors: [TrafficSelector]
    let remoteSelectors: [TrafficSelector]
    private var sealer: RecordCipher
    private var opener: RecordCipher
    /// The sequence number of the last packet sent, RFC 4303 section 3.3.3.
    var sent: UInt64 = 0
    private(set) var received: ReceivedSequences
    /// Our Delete is under way.
    var isClosing = false
    /// Our SPI of the Child SA that a rekey of the gateway made in its place.
    var successor: UInt32?

    /// Cuts KEYMAT (RFC 7296 section 2.17): the encryption and integrity keys of the initiator of the exchange, then the responder's.
    init(
        _ choice: ESPChoice, inboundSPI: UInt32, material: borrowing SecretOctets, isInitiator: Bool, localSelectors: [TrafficSelector],
        remoteSelectors: [TrafficSelector], replayWindow: Int, keyLog: RoadWarrior.ChildKeyLog? = nil
    ) throws(CryptoError) {
        let encryption = choice.protection.encryptionKeyLength
        let half = encryption + choice.protection.integrityKeyLength
        let (own, peer) = isInitiator ? (0, half) : (half, 0)
        sealer = try RecordCipher(
            choice.protection, encryptionKey: material.slice(own..<own + encryption),
            integrityKey: material.slice(own + encryption..<own + half), direction: .seal)
        opener = try RecordCipher(
            choice.protection, encryptionKey: material.slice(peer..<peer + encryption),
            integrityKey: material.slice(peer + encryption..<peer + half), direction: .open)
        self.inboundSPI = inboundSPI
        outboundSPI = choice.spi
        self.localSelectors = localSelectors
        self.remoteSelectors = remoteSelectors
        protection = choice.protection
        extended = choice.extended
        received = ReceivedSequences(size: replayWindow)
        if let keyLog { keyLog(try RoadWarrior.ChildKeys(facts, material: material, isInitiator: isInitiator)) }
    }

    static func materialLength(_ choice: ESPChoice) -> Int {
        2 * (choice.protection.encryptionKeyLength + choice.protection.integrityKeyLength)
    }

    /// An ESP packet around an inner packet (or, for tests, around anything); nil when the numbers are used up or the library fails.
    func seal(_ inner: [UInt8], nextHeader: UInt8, entropy: any Entropy) -> [UInt8]? {
        guard sent < (extended ? UInt64.max : UInt64(UInt32.max)) else { return nil }
        sent += 1
        let sequence = sent
        let alignment = max(4, protection.blockLength)
        let padding = (alignment - (inner.count + 2) % alignment) % alignment
        let text = 8 + protection.ivLength..<8 + protection.ivLength + inner.count + padding + 2

        var packet: [UInt8] = []
        packet.reserveCapacity(text.upperBound + protection.icvLength)
        packet.append(bigEndian: outboundSPI)
        packet.append(bigEndian: UInt32(truncatingIfNeeded: sequence))
        if protection.isAEAD {
            packet.append(bigEndian: sequence)
        } else {
            packet += entropy.octets(protection.ivLength)
        }
        packet += inner
        for octet in 0..<padding { packet.append(UInt8(truncatingIfNeeded: octet + 1)) }
        packet.append(UInt8(truncatingIfNeeded: padding))
        packet.append(nextHeader)
        packet.append(contentsOf: repeatElement(0, count: protection.icvLength))

        let (aad, trailer) = covered(sequence, spi: outboundSPI)
        let sealed = unsafe packet.withUnsafeMutableBytes { whole in
            unsafe aad.withUnsafeBytes { aad in
                unsafe trailer.withUnsafeBytes { trailer in
                    unsafe sealer.seal(
                        aad: aad, iv: UnsafeRawBufferPointer(rebasing: whole[8..<text.lowerBound]),
                        text: UnsafeMutableRawBufferPointer(rebasing: whole[text]), macTrailer: trailer,
                        icv: UnsafeMutableRawBufferPointer(rebasing: whole[text.upperBound..<whole.count]))
                }
            }
        }
        return sealed ? packet : nil
    }

    /// What the ICV covers beside IV and text: RFC 4303 section 3.3.2, RFC 4106 section 5.
    private func covered(_ sequence: UInt64, spi: UInt32) -> (aad: [UInt8], trailer: [UInt8]) {
        var aad: [UInt8] = []
        var trailer: [UInt8] = []
        aad.append(bigEndian: spi)
        if extended, protection.isAEAD {
            aad.append(bigEndian: sequence)
        } else {
            aad.append(bigEndian: UInt32(truncatingIfNeeded: sequence))
            if extended { trailer.append(bigEndian: UInt32(truncatingIfNeeded: sequence >> 32)) }
        }
        return (aad, trailer)
    }

    enum Opened { case packet([UInt8]), dummy, malformed, unauthentic, replayed }

    /// The inner packet: sequence checked, then authenticated, then recorded (threats.md P26).
    func open(_ packet: [UInt8]) -> Opened {
        let overhead = 8 + protection.ivLength + protection.icvLength
        guard packet.count >= overhead + 2 else { return .malformed }
        let text = 8 + protection.ivLength..<packet.count - protection.icvLength
        guard text.count.isMultiple(of: max(protection.blockLength, 1)) else { return .malformed }
        let low = packet[4..<8].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard let sequence = extended ? received.extend(low) : UInt64(low), received.admits(sequence) else {
            return .replayed
        }

        var octets = packet
        let (aad, trailer) = covered(sequence, spi: inboundSPI)
        let authentic = unsafe octets.withUnsafeMutableBytes { whole in
            unsafe aad.withUnsafeBytes { aad in
                unsafe trailer.withUnsafeBytes { trailer in
                    unsafe opener.open(
                        aad: aad, iv: UnsafeRawBufferPointer(rebasing: whole[8..<text.lowerBound]),
                        text: UnsafeMutableRawBufferPointer(rebasing: whole[text]), macTrailer: trailer,
                        icv: UnsafeRawBufferPointer(rebasing: whole[text.upperBound..<whole.count]))
                }
            }
        }
        guard authentic else { return .unauthentic }
        received.record(sequence)

        let nextHeader = octets[text.upperBound - 1]
        let padding = Int(octets[text.upperBound - 2])
        guard padding <= text.count - 2 else { return .malformed }
        let end = text.upperBound - 2 - padding
        for (index, octet) in octets[end..<end + padding].enumerated() where Int(octet) != index + 1 { return .malformed }
        switch nextHeader {
        case 59: return .dummy
        case 4, 41:
            guard let header = InnerHeader(octets[text.lowerBound..<end]),
                header.family == (nextHeader == 4 ? .ipv4 : .ipv6)
            else { return .malformed }
            // What lies behind the inner packet is traffic flow confidentiality padding, RFC 4303 section 2.7.
            return .packet([UInt8](octets[text.lowerBound..<text.lowerBound + header.totalLength]))
        default: return .malformed
        }
    }

    /// Whether a packet from us to the gateway lies within the selectors.
    func admitsOutbound(_ header: InnerHeader) -> Bool {
        localSelectors.contains { $0.matches(header.source, header.transport, port: header.sourcePort) }
            && remoteSelectors.contains { $0.matches(header.destination, header.transport, port: header.destinationPort) }
    }

    /// Whether a packet from the gateway to us lies within the selectors.
    func admitsInbound(_ header: InnerHeader) -> Bool {
        remoteSelectors.contains { $0.matches(header.source, header.transport, port: header.sourcePort) }
            && localSelectors.contains { $0.matches(header.destination, header.transport, port: header.destinationPort) }
    }

    var facts: RoadWarrior.ChildEstablished {
        RoadWarrior.ChildEstablished(
            inboundSPI: inboundSPI, outboundSPI: outboundSPI, protection: protection,
            extendedSequenceNumbers: extended, localSelectors: localSelectors, remoteSelectors: remoteSelectors)
    }
}

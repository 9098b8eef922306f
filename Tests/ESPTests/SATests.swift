import ESP
import GatewayCrypto
import PacketFixtures
import Testing
import Wire

@Suite struct SATests {
    static let packet = Packets.ipv4("10.99.0.10", "10.1.2.3", payload: Packets.udp(1, 2))

    @Test func everySuiteOfTheTableIsThere() {
        // configuration.md: 9 of GCM, ChaCha20-Poly1305, 3 of GMAC; AES-CBC, 3DES, DES and NULL with 6 MACs
        #expect(SAs.every.count == 2 * (9 + 1 + 3 + 6 * 6))
    }

    @Test(arguments: SAs.every)
    func whatIsSealedOpens(suite: ESPSuite) throws {
        var outbound = try SAs.outbound(suite)
        var inbound = try SAs.inbound(suite)
        for size in [0, 1, 2, 13, 14, 15, 16, 17, 100, 1400, 9000] {
            let inner = Packets.ipv4("10.99.0.10", "10.1.2.3", payload: [UInt8](repeating: 9, count: size))
            let sealed = try outbound.seal(inner)
            #expect(sealed.count <= suite.prefixLength + inner.count + suite.longestSuffix)
            #expect((sealed[suite.prefixLength..<suite.prefixLength + inner.count].elementsEqual(inner)) == !suite.protection.encrypts)
            // RFC 4303 section 2.4
            #expect((sealed.count - suite.protection.icvLength - suite.protection.ivLength - 8) % max(suite.protection.blockLength, 4) == 0)
            do {
                let opened = try inbound.open(sealed)
                #expect(opened == inner)
            }
            #expect(drop { () throws(Drop) in _ = try inbound.open(sealed) } == .replayed)
        }
        #expect(outbound.sequence == 11 && inbound.window.highest == 11)
    }

    @Test(arguments: SAs.every)
    func threat_P26_theICVComesBeforeTheWindow(suite: ESPSuite) throws {
        var outbound = try SAs.outbound(suite)
        var inbound = try SAs.inbound(suite)
        let sealed = try outbound.seal(Self.packet)
        for bit in 0..<sealed.count * 8 where bit / 8 >= 4 {
            var forged = sealed
            forged[bit / 8] ^= 1 << (bit % 8)
            let result = drop { () throws(Drop) in _ = try inbound.open(forged) }
            #expect(result == .integrity || result == .replayed)
            #expect(inbound.window.highest == 0)
        }
        do {
            let opened = try inbound.open(sealed)
            #expect(opened == Self.packet)
        }
    }

    @Test(arguments: SAs.every)
    func threat_C4_everyLength(suite: ESPSuite) throws {
        var inbound = try SAs.inbound(suite)
        for length in 0..<200 {
            let octets = [UInt8](repeating: 1, count: length)
            let result = drop { () throws(Drop) in _ = try inbound.open(octets) }
            #expect(result == .truncated || result == .integrity)
        }
    }

    @Test(arguments: SAs.all.filter { $0.protection.ivLength > 0 })
    func threat_P27_noVectorComesTwice(suite: ESPSuite) throws {
        var outbound = try SAs.outbound(suite)
        var vectors: Set<[UInt8]> = []
        for _ in 0..<20_000 {
            let sealed = try outbound.seal([0x45])
            #expect(vectors.insert(Array(sealed[8..<8 + suite.protection.ivLength])).inserted)
        }
    }

    @Test func threat_P27_vectorsOfGCMCount() throws {
        var outbound = try SAs.outbound(SAs.gcm)
        for number in 1...100 {
            let sealed = try outbound.seal([0x45])
            #expect(sealed[8..<16].reduce(UInt64(0)) { $0 << 8 | UInt64($1) } == UInt64(number))
        }
    }

    @Test func vectorsOfCBCAreUnpredictable() throws {
        // RFC 3602 section 3: no counter, and other SAs have others
        var first = try SAs.outbound(SAs.cbc)
        let one = try first.seal([0x45])
        let two = try first.seal([0x45])
        let distance = zip(one[8..<24], two[8..<24]).reduce(0) { $0 + ($1.0 ^ $1.1).nonzeroBitCount }
        #expect(distance > 30 && distance < 98)
    }

    @Test func threat_P25_theNumbersEnd() throws {
        for suite in [SAs.gcm32, SAs.cbc32] {
            var outbound = try SAs.outbound(suite, after: UInt64(UInt32.max) - 1000)
            var inbound = try SAs.inbound(suite)
            for _ in 0..<1000 { _ = try inbound.open(try outbound.seal(Self.packet)) }
            #expect(outbound.isExhausted && inbound.window.highest == UInt64(UInt32.max))
            #expect(drop { () throws(Drop) in _ = try outbound.seal(Self.packet) } == .exhausted)
            #expect(outbound.sequence == UInt64(UInt32.max))
        }
    }

    @Test func threat_P25_recordsEndBeforeTheNumbersWithESN() throws {
        var outbound = try SAs.outbound(SAs.gcm, maximumRecords: 1000)
        for _ in 0..<1000 { _ = try outbound.seal([0x45]) }
        #expect(drop { () throws(Drop) in _ = try outbound.seal([0x45]) } == .exhausted)
        #expect(outbound.records == 1000)
    }

    @Test(arguments: [SAs.gcm, SAs.cbc])
    func threat_P25_extendedNumbersPassTheBoundary(suite: ESPSuite) throws {
        var outbound = try SAs.outbound(suite, after: UInt64(UInt32.max) - 10)
        var inbound = try SAs.inbound(suite)
        // Without it a number so near the boundary would lie before the first
        var earlier = try SAs.outbound(suite, after: 1 << 31)
        _ = try inbound.open(try earlier.seal(Self.packet))
        var late: [[UInt8]] = []
        for number in 0..<40 {
            let sealed = try outbound.seal(Self.packet)
            if number % 7 == 3 { late.append(sealed) } else { _ = try inbound.open(sealed) }
        }
        #expect(inbound.window.highest == UInt64(UInt32.max) + 30)
        for sealed in late {
            do {
                let opened = try inbound.open(sealed)
                #expect(opened == Self.packet)
            }
            #expect(drop { () throws(Drop) in _ = try inbound.open(sealed) } == .replayed)
        }
    }

    @Test func threat_P25_aJumpOfAllTheHalf() throws {
        // 2^31 packets lost: still the same subspace or the next, and right
        var inbound = try SAs.inbound(SAs.gcm)
        for sequence in [1, 1 << 31, (1 << 32) - 1, (1 << 32) + (1 << 30), (1 << 33) - 5] as [UInt64] {
            var outbound = try SAs.outbound(SAs.gcm, after: sequence - 1)
            do {
                let opened = try inbound.open(try outbound.seal(Self.packet))
                #expect(opened == Self.packet)
            }
            #expect(inbound.window.highest == sequence)
        }
    }

    @Test(arguments: [UInt64(0)]) func threat_P26_sequenceZeroIsDropped(highest: UInt64) throws {
        var inbound = try SAs.inbound(SAs.gcm32)
        var outbound = try SAs.outbound(SAs.gcm32)
        var sealed = try outbound.seal(Self.packet)
        sealed.replaceSubrange(4..<8, with: [0, 0, 0, 0])
        #expect(drop { () throws(Drop) in _ = try inbound.open(sealed) } == .replayed)
    }

    @Test func keysThatDoNotFitAreRefused() throws {
        #expect(throws: CryptoError.badLength) {
            _ = try InboundSA(
                spi: 1, suite: SAs.gcm, encryptionKey: SecretOctets(copying: [1]), integrityKey: SecretOctets(count: 0), replayWindow: 64)
        }
    }

    @Test func dummyAndUnknownNextHeaders() throws {
        var outbound = try SAs.outbound(SAs.gcm)
        var inbound = try SAs.inbound(SAs.gcm)
        let dummy = try outbound.seal([1, 2, 3], nextHeader: 59)
        #expect(drop { () throws(Drop) in _ = try inbound.open(dummy) } == .dummy)
        let tcp = try outbound.seal([1, 2, 3], nextHeader: 6)
        #expect(drop { () throws(Drop) in _ = try inbound.open(tcp) } == .nextHeader)
    }

    /// Padding of a sender that breaks RFC 4303 section 2.4, sealed by hand.
    @Test func threat_P32_paddingIsInspected() throws {
        for (trailer, expected) in [
            ([1, 2, 3, 3, 4], nil), ([9, 9, 9, 3, 4], Drop.padding), ([0, 0, 0, 3, 4], .padding), ([1, 2, 3, 255, 4], .padding), ([0, 4], nil),
        ] as [([UInt8], Drop?)] {
            let suite = SAs.gcm
            let keys = SAs.keys(suite, seed: 1)
            var cipher = try RecordCipher(suite.protection, encryptionKey: keys.encryption, integrityKey: SecretOctets(count: 0), direction: .seal)
            var text = Self.packet + trailer
            let header: [UInt8] = [1, 0, 0, 0, 0, 0, 0, 1]
            let aad: [UInt8] = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
            let iv: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 1]
            var icv = [UInt8](repeating: 0, count: 16)
            let isSealed = text.withUnsafeMutableBytes { text in
                icv.withUnsafeMutableBytes { icv in
                    aad.withUnsafeBytes { aad in
                        iv.withUnsafeBytes { iv in
                            cipher.seal(aad: aad, iv: iv, text: text, macTrailer: UnsafeRawBufferPointer(start: nil, count: 0), icv: icv)
                        }
                    }
                }
            }
            #expect(isSealed)
            var inbound = try SAs.inbound(suite)
            #expect(drop { () throws(Drop) in _ = try inbound.open(header + iv + text + icv) } == expected)
        }
    }

    @Test func dropNamesAreKebabCaseAndUnique() {
        #expect(Set(Drop.allCases.map(\.name)).count == Drop.allCases.count)
        for (index, drop) in Drop.allCases.enumerated() {
            #expect(drop.index == index)
            #expect(drop.name.utf8.allSatisfy { (97...122).contains($0) || $0 == 45 })
        }
    }
}

import ESP
import PacketFixtures
import Testing

@Suite struct ChecksumTests {
    /// RFC 1071: what is added up in wide words, with what they carry over, is what 16-bit words make; every length to 300 and some longer ones, every
    /// alignment, octets that carry at every step among them.
    @Test func wideSumsAgreeWithWords() {
        let seed: UInt64 = 1071
        print("ChecksumTests seed \(seed)")
        var numbers = SeededNumbers(seed: seed)
        let contents: [[UInt8]] = [
            (0..<70_000).map { _ in UInt8(truncatingIfNeeded: numbers.next()) }, [UInt8](repeating: 0xff, count: 70_000),
            [UInt8](repeating: 0, count: 70_000), (0..<70_000).map { UInt8(truncatingIfNeeded: $0 % 3 == 0 ? 0xff : 0) },
        ]
        for (kind, content) in contents.enumerated() {
            for length in Array(0...300) + [1400, 1401, 1463, 9000, 65_535] {
                for offset in 0..<8 {
                    var octets = Array(content[offset..<offset + length])
                    // Behind what is asked for stands something else
                    let expected = Packets.checksum(octets)
                    octets = [UInt8](repeating: 0xa5, count: offset) + octets + [0x5a, 0xa5]
                    let found = octets.withUnsafeMutableBytes { Checksum.of(PacketView($0).part(offset, length)) }
                    guard found == expected else {
                        Issue.record("content \(kind), \(length) octets from \(offset): \(found), not \(expected)")
                        return
                    }
                }
            }
        }
    }

    /// All that can be carried over, in any part of the sum.
    @Test(arguments: [0, 1, 0xffff, 0x1_0000, 0x1_ffff, 0xffff_ffff, 0x1_0000_0000, 0xffff_0000_ffff_0000, UInt64.max, UInt64.max - 0xffff])
    func folding(sum: UInt64) {
        var expected = sum
        while expected >> 16 != 0 { expected = (expected & 0xffff) + (expected >> 16) }
        #expect(Checksum.fold(sum) == UInt16(expected))
    }
}

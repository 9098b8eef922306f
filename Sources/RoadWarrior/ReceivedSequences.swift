/// The anti-replay service of RFC 4303 section 3.4.3. Each place holds the number that was seen there last, not a bit: larger and slower than
/// a bitmap, and plain to see that it is right.
struct ReceivedSequences {
    private var seen: [UInt64]
    private(set) var highest: UInt64 = 0

    /// Numbers behind the highest that are told apart: 32 to 1024.
    init(size: Int) {
        seen = [UInt64](repeating: 0, count: min(max(size, 32), 1024))
    }

    private func place(_ sequence: UInt64) -> Int { Int(sequence % UInt64(seen.count)) }

    func admits(_ sequence: UInt64) -> Bool {
        guard sequence > 0 else { return false }
        if sequence > highest { return true }
        return highest - sequence < UInt64(seen.count) && seen[place(sequence)] != sequence
    }

    /// Only after the packet was authenticated.
    mutating func record(_ sequence: UInt64) {
        highest = max(highest, sequence)
        seen[place(sequence)] = sequence
    }

    /// The 64-bit number that 32 bits stand for, RFC 4303 appendix A2.2; nil when it would lie before the beginning.
    func extend(_ low: UInt32) -> UInt64? {
        let size = UInt32(seen.count)
        let top = UInt32(truncatingIfNeeded: highest)
        let high = highest >> 32
        let bottom = top &- (size - 1)
        if top >= size - 1 {
            if low >= bottom { return high << 32 | UInt64(low) }
            return high < UInt64(UInt32.max) ? (high + 1) << 32 | UInt64(low) : nil
        }
        // The window reaches back over the border.
        guard low >= bottom else { return high << 32 | UInt64(low) }
        return high > 0 ? (high - 1) << 32 | UInt64(low) : nil
    }
}

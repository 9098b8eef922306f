/// The anti-replay window, RFC 4303 section 3.4.3, as a ring of words (RFC 6479). Checking and recording are apart, since the ICV is verified in
/// between (threats.md P26).
package struct ReplayWindow: Sendable {
    /// Sequence numbers the window spans: 32 to 2048.
    package let size: Int
    /// The highest number recorded; 0 before the first.
    package private(set) var highest: UInt64 = 0
    // 64 words hold 2048 numbers wherever the window stands in its first and last word
    private var words = InlineArray<64, UInt64>(repeating: 0)

    /// A window of `size` numbers, brought into 32...2048.
    package init(size: Int) {
        self.size = min(max(size, 32), 2048)
    }

    /// Whether the number is new and not too old. 0 never is.
    @_noLocks
    package func admits(_ sequence: UInt64) -> Bool {
        guard sequence != 0 else { return false }
        guard sequence <= highest else { return true }
        guard highest &- sequence < UInt64(truncatingIfNeeded: size) else { return false }
        return words[Int(truncatingIfNeeded: sequence >> 6 & 63)] & (1 << (sequence & 63)) == 0
    }

    /// Records a number that was admitted and whose packet proved authentic. Returns whether it is the newest yet.
    @_noLocks
    package mutating func record(_ sequence: UInt64) -> Bool {
        let isNewest = sequence > highest
        if isNewest {
            let last = highest >> 6
            let steps = min((sequence >> 6) &- last, 64)
            var step: UInt64 = 1
            while step <= steps {
                words[Int(truncatingIfNeeded: (last &+ step) & 63)] = 0
                step &+= 1
            }
            highest = sequence
        }
        words[Int(truncatingIfNeeded: sequence >> 6 & 63)] |= 1 << (sequence & 63)
        return isNewest
    }

    /// Which of the newest 64 numbers were recorded, the highest at bit 63; for `ipsec-gwctl sas`.
    package var recent: UInt64 {
        @_noLocks get {
            let bit = highest & 63
            let current = words[Int(truncatingIfNeeded: highest >> 6 & 63)] << (63 &- bit)
            guard bit != 63, highest >= 64 else { return current }
            return current | words[Int(truncatingIfNeeded: (highest >> 6 &- 1) & 63)] >> (bit &+ 1)
        }
    }
}

/// The high half of an extended sequence number, which is not sent, RFC 4303 appendix A2.
package enum SequenceNumber {
    /// The 64-bit number that a packet with low half `low` has, where `highest` is the highest authenticated yet; nil when there is none: it would lie
    /// before the first or after the last number.
    @_noLocks
    package static func infer(low: UInt32, highest: UInt64, window: Int) -> UInt64? {
        let topLow = UInt32(truncatingIfNeeded: highest)
        let topHigh = UInt32(truncatingIfNeeded: highest >> 32)
        let bottom = topLow &- UInt32(truncatingIfNeeded: window) &+ 1
        let high: UInt32
        if topLow >= UInt32(truncatingIfNeeded: window) &- 1 {
            // Case A: the window lies within one subspace
            if low >= bottom {
                high = topHigh
            } else {
                guard topHigh != .max else { return nil }
                high = topHigh &+ 1
            }
        } else if low >= bottom {
            // Case B: it began in the subspace before
            guard topHigh != 0 else { return nil }
            high = topHigh &- 1
        } else {
            high = topHigh
        }
        return UInt64(high) << 32 | UInt64(low)
    }
}

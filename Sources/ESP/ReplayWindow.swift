internal import GatewayCrypto

/// The anti-replay window, RFC 4303 section 3.4.3, as a ring of words (RFC 6479). Checking and recording are apart, since the ICV is verified in
/// between (threats.md P26). It is never copied: the packet path asks it in place.
@safe
package struct ReplayWindow: ~Copyable, @unchecked Sendable {
    /// The highest number recorded; 0 before the first.
    package private(set) var highest: UInt64 = 0
    /// Which of the newest 64 numbers were recorded, the highest at bit 63; for `ipsec-gwctl sas`.
    package private(set) var recent: UInt64 = 0
    /// Sequence numbers the window spans: 32 to 2048.
    package let size: Int
    // One less than there are words; as many as the window reaches into wherever it stands in its first and last, a power of two
    private let mask: UInt64
    private let words: UnsafeMutablePointer<UInt64>

    /// A window of `size` numbers, brought into 32...2048.
    package init(size: Int) {
        self.size = Self.size(size)
        var count = 2
        while count * 64 < self.size + 63 { count *= 2 }
        mask = UInt64(count - 1)
        unsafe words = .allocate(capacity: count)
        unsafe words.initialize(repeating: 0, count: count)
    }

    deinit { unsafe words.deallocate() }

    /// What a wish for so many numbers becomes.
    package static func size(_ wanted: Int) -> Int { min(max(wanted, 32), 2048) }

    /// The word that a number stands in: the mask keeps it within those there are.
    @_noLocks
    private func word(_ number: UInt64) -> UnsafeMutablePointer<UInt64> {
        unsafe words + Int(truncatingIfNeeded: number & mask)
    }

    /// Sends for the words.
    @_noLocks
    func sendFor() { unsafe CacheHint.sendFor(words, octets: Int(truncatingIfNeeded: mask &+ 1) &* 8) }

    /// Whether the number is new and not too old. 0 never is.
    @_noLocks
    package func admits(_ sequence: UInt64) -> Bool {
        guard sequence != 0 else { return false }
        guard sequence <= highest else { return true }
        guard highest &- sequence < UInt64(truncatingIfNeeded: size) else { return false }
        return unsafe word(sequence >> 6).pointee & (1 << (sequence & 63)) == 0
    }

    /// Records a number that was admitted and whose packet proved authentic. Returns whether it is the newest yet.
    @_noLocks
    package mutating func record(_ sequence: UInt64) -> Bool {
        let isNewest = sequence > highest
        if isNewest {
            let last = highest >> 6
            let steps = min((sequence >> 6) &- last, mask &+ 1)
            var step: UInt64 = 1
            while step <= steps {
                unsafe word(last &+ step).pointee = 0
                step &+= 1
            }
            let ahead = sequence &- highest
            recent = (ahead < 64 ? recent >> ahead : 0) | 1 << 63
            highest = sequence
        } else {
            let behind = highest &- sequence
            if behind < 64 { recent |= 1 << (63 &- behind) }
        }
        unsafe word(sequence >> 6).pointee |= 1 << (sequence & 63)
        return isNewest
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

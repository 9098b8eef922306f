/// An SPI that we chose: a place, not a name (architecture.md). `tag:8 | slot:18 | worker:6`.
///
/// The tag is never zero, so the SPIs 0 to 255 that RFC 4303 section 2.1 reserves cannot arise, nor can the non-ESP marker of RFC 3948.
package struct LocalSPI: Hashable, Sendable {
    package let rawValue: UInt32

    package static let maximumWorkers = 64
    package static let maximumSlots = 1 << 18

    /// The SPI of a slot, or nil when worker or slot are out of range or the tag is 0.
    package init?(worker: Int, slot: Int, tag: UInt8) {
        guard (0..<Self.maximumWorkers).contains(worker), (0..<Self.maximumSlots).contains(slot), tag != 0 else { return nil }
        rawValue = UInt32(tag) << 24 | UInt32(slot) << 6 | UInt32(worker)
    }

    /// An SPI as it came in a packet or from a peer; nil when it cannot be one of ours.
    package init?(rawValue: UInt32) {
        guard rawValue >> 24 != 0 else { return nil }
        self.rawValue = rawValue
    }

    /// The worker that holds the SA.
    package var worker: Int { Int(rawValue & 0x3f) }
    /// Its place in that worker's SAD.
    package var slot: Int { Int(rawValue >> 6 & 0x3_ffff) }
    package var tag: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 24) }
}

extension LocalSPI: CustomStringConvertible {
    /// Eight hexadecimal digits.
    package var description: String {
        let digits = String(rawValue, radix: 16)
        return String(repeating: "0", count: 8 - digits.utf8.count) + digits
    }
}

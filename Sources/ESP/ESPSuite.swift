package import GatewayCrypto

/// What a Child SA was negotiated to: how packets are protected, and how they are numbered.
package struct ESPSuite: Hashable, Sendable {
    package let protection: ProtectionSuite
    /// 64-bit sequence numbers of which 32 are sent, RFC 4303 section 2.2.1.
    package let extendedSequenceNumbers: Bool

    package init(protection: ProtectionSuite, extendedSequenceNumbers: Bool) {
        self.protection = protection
        self.extendedSequenceNumbers = extendedSequenceNumbers
    }

    /// SPI and sequence number.
    package static var headerLength: Int { @_noLocks get { 8 } }

    /// Octets of the ESP packet that so many inner octets become.
    @_noLocks
    package func sealedLength(of length: Int) -> Int {
        prefixLength &+ length &+ padLength(of: length) &+ 2 &+ protection.icvLength
    }

    /// The most inner octets that make no longer ESP packet than this.
    package func longestInner(in limit: Int) -> Int {
        let alignment = max(protection.blockLength, 4)
        return max((limit - prefixLength - protection.icvLength) / alignment * alignment - 2, 0)
    }

    /// Padding behind so many inner octets: the trailer ends on a multiple of the block and of four octets (RFC 4303 section 2.4).
    @_noLocks
    func padLength(of length: Int) -> Int {
        PacketLayout(self).padLength(of: length)
    }

    /// Octets before the inner packet: ESP header and IV.
    package var prefixLength: Int { @_noLocks get { 8 &+ protection.ivLength } }
    /// The most octets that may follow the inner packet: padding, its length, next header, ICV.
    package var longestSuffix: Int { @_noLocks get { max(protection.blockLength, 4) &+ 1 &+ protection.icvLength } }
}

/// What each packet asks of a suite, in eight octets: the suite itself would be three lines of the cache.
struct PacketLayout: Sendable {
    private let iv: UInt8
    private let icv: UInt8
    private let blockMask: UInt8
    let isAEAD: Bool
    /// 64-bit sequence numbers.
    let isExtended: Bool

    @_noLocks
    init(_ suite: ESPSuite) {
        iv = UInt8(truncatingIfNeeded: suite.protection.ivLength)
        icv = UInt8(truncatingIfNeeded: suite.protection.icvLength)
        // Blocks are 1, 8 or 16 octets
        blockMask = UInt8(truncatingIfNeeded: suite.protection.blockLength &- 1)
        isAEAD = suite.protection.isAEAD
        isExtended = suite.extendedSequenceNumbers
    }

    var ivLength: Int { @_noLocks get { Int(iv) } }
    var icvLength: Int { @_noLocks get { Int(icv) } }
    /// Octets before the text: ESP header and IV.
    var prefixLength: Int { @_noLocks get { 8 &+ Int(iv) } }

    /// Padding behind so many inner octets: the trailer ends on a multiple of the block and of four octets (RFC 4303 section 2.4).
    @_noLocks
    func padLength(of length: Int) -> Int { (0 &- (length &+ 2)) & Int(blockMask | 3) }

    /// Octets of the ESP packet that so many inner octets become.
    @_noLocks
    func sealedLength(of length: Int) -> Int { prefixLength &+ length &+ padLength(of: length) &+ 2 &+ Int(icv) }

    /// Whether the text of a packet can be so long: a trailer at least, and whole blocks.
    @_noLocks
    func mayBeText(_ length: Int) -> Bool { length >= 2 && length & Int(blockMask) == 0 }
}

/// When an SA must be replaced, and when it must not be used any more. Times are IKE's; these are what only the datapath can count.
package struct SALifetimes: Hashable, Sendable {
    /// Packets in one direction at which `softLimit` is told.
    package var softPackets: UInt64 = 1 << 31
    /// Packets sealed or opened under one key at the most: 2^32 and no more (threats.md P25).
    package var hardPackets: UInt64 = 1 << 32
    /// Inner octets in one direction at which `softLimit` is told; nil: never.
    package var softOctets: UInt64?
    /// Inner octets in one direction after which the SA carries nothing more; nil: no limit.
    package var hardOctets: UInt64?

    package init() {}
}

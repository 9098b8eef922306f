package import GatewayCrypto

/// One outbound ESP SA, RFC 4303 section 3.3: seals packets in place. Keyed once; one owner, one thread.
@safe
package struct OutboundSA: ~Copyable, @unchecked Sendable {
    package let spi: UInt32
    package let suite: ESPSuite
    /// The last sequence number used; 0 before the first.
    package private(set) var sequence: UInt64
    /// Packets sealed under this key, failures included.
    package private(set) var records: UInt64 = 0
    private let lastSequence: UInt64
    private let maximumRecords: UInt64
    private var cipher: RecordCipher
    private var vectors: UnpredictableIV?
    private let scratch: UnsafeMutableRawPointer

    /// `entropy` seeds the IVs of CBC and is not kept. `startingAfter` is the number before the first one sent, 0 but in tests.
    /// Throws `.unsupported` or `.badLength` as the cipher does.
    package init(
        spi: UInt32, suite: ESPSuite, encryptionKey: borrowing SecretOctets, integrityKey: borrowing SecretOctets,
        entropy: any Entropy, maximumRecords: UInt64 = 1 << 32, startingAfter: UInt64 = 0, engine: CryptoEngine = .preferred
    ) throws(CryptoError) {
        let cipher = try RecordCipher(
            suite.protection, encryptionKey: encryptionKey, integrityKey: integrityKey, direction: .seal, engine: engine)
        let vectors = try UnpredictableIV.source(for: suite.protection, entropy: entropy, engine: engine)
        self.init(
            spi: spi, suite: suite, cipher: cipher, vectors: vectors, maximumRecords: maximumRecords, startingAfter: startingAfter)
    }

    private init(
        spi: UInt32, suite: ESPSuite, cipher: consuming RecordCipher, vectors: consuming UnpredictableIV?, maximumRecords: UInt64,
        startingAfter: UInt64
    ) {
        self.cipher = cipher
        self.vectors = vectors
        self.spi = spi
        self.suite = suite
        self.maximumRecords = min(maximumRecords, 1 << 32)
        lastSequence = suite.extendedSequenceNumbers ? .max : UInt64(UInt32.max)
        sequence = startingAfter
        unsafe scratch = .allocate(byteCount: 16, alignment: 16)
        unsafe scratch.initializeMemory(as: UInt8.self, repeating: 0, count: 16)
    }

    deinit {
        unsafe scratch.deallocate()
    }

    /// Whether a further packet may be sealed.
    package var isExhausted: Bool {
        @_noLocks get { sequence >= lastSequence || records >= maximumRecords }
    }

    /// Seals the `length` inner octets at `offset` of the buffer in place, which needs `suite.prefixLength` octets before them and
    /// `suite.longestSuffix` behind. Returns how long the ESP packet is; it begins `suite.prefixLength` octets before `offset`.
    ///
    /// Throws `.exhausted` before a number or an IV would come a second time, `.noRoom`, `.cipher`.
    @_noLocks
    package mutating func seal(_ buffer: PacketView, offset: Int, length: Int, nextHeader: UInt8) throws(Drop) -> Int {
        let prepared = try prepare(buffer, offset: offset, length: length, nextHeader: nextHeader)
        guard seal(prepared) else { throw .cipher }
        return prepared.packet.count
    }

    /// A packet with its number, its IV and its trailer, whose inner octets can still be read. It is sealed once, before it is sent.
    package struct Prepared {
        package let packet: PacketView
        let sequence: UInt64
    }

    /// Where packets of this SA stand in a batch; none: they gain nothing by one.
    package var lane: Lane { @_noLocks get { cipher.lane } }
    package var engine: CryptoEngine { cipher.engine }

    /// The second half of `seal`. False: it must not be sent.
    @_noLocks
    package mutating func seal(_ prepared: Prepared) -> Bool {
        let parts = parts(of: prepared)
        return unsafe cipher.seal(
            aad: parts.aad.readOnly, iv: parts.iv.readOnly, text: parts.text.buffer, macTrailer: parts.trailer.readOnly, icv: parts.icv.buffer)
    }

    /// The same by a batch: the packet is ready to be sent when the batch says so of the ticket, after the flush. Its octets and this SA stay where they
    /// are until then. Nil: the batch takes no more.
    @_noLocks
    package mutating func seal(_ prepared: Prepared, in batch: inout RecordBatch) -> Int? {
        let parts = parts(of: prepared)
        return unsafe batch.seal(
            &cipher, aad: parts.aad.readOnly, iv: parts.iv.readOnly, text: parts.text.buffer, macTrailer: parts.trailer.readOnly,
            icv: parts.icv.buffer)
    }

    /// The first half of `seal`: writes all but ICV and cipher text. Throws as it does, but for `.cipher`, which is an IV that could not be made.
    @_noLocks
    package mutating func prepare(_ buffer: PacketView, offset: Int, length: Int, nextHeader: UInt8) throws(Drop) -> Prepared {
        let protection = suite.protection
        let prefix = suite.prefixLength
        let padLength = suite.padLength(of: length)
        let textLength = length &+ padLength &+ 2
        let total = prefix &+ textLength &+ protection.icvLength
        guard length >= 0, length <= 0xffff, buffer.holds(offset &- prefix, total) else { throw .noRoom }
        guard !isExhausted else { throw .exhausted }
        // Used up whatever happens next: no number and no IV twice under one key
        sequence &+= 1
        records &+= 1

        let packet = buffer.part(offset &- prefix, total)
        let low = UInt32(truncatingIfNeeded: sequence)
        packet.put(spi, at: 0)
        packet.put(low, at: 4)
        let text = packet.part(prefix, textLength)
        var index = 0
        while index < padLength {
            text.put(UInt8(truncatingIfNeeded: index &+ 1), at: length &+ index)
            index &+= 1
        }
        text.put(UInt8(truncatingIfNeeded: padLength), at: textLength &- 2)
        text.put(nextHeader, at: textLength &- 1)
        guard writeIV(packet.part(ESPSuite.headerLength, protection.ivLength)) else { throw .cipher }
        return Prepared(packet: packet, sequence: sequence)
    }

    /// AEAD: the sequence number, which counts and never comes twice (threats.md P27, RFC 4106 section 3.1). CBC: unpredictable, RFC 3602 section 3.
    @_noLocks
    private mutating func writeIV(_ iv: PacketView) -> Bool {
        if suite.protection.isAEAD {
            if iv.count >= 8 { iv.put(sequence, at: iv.count &- 8) }
            return true
        }
        guard iv.count > 0 else { return true }
        return vectors?.write(iv) ?? false
    }

    private struct Parts {
        let aad, iv, text, icv, trailer: PacketView
    }

    /// What the cipher is given. Associated data and trailer stand in `scratch` where the sequence number is extended.
    @_noLocks
    private func parts(of prepared: Prepared) -> Parts {
        let protection = suite.protection
        let packet = prepared.packet
        let textLength = packet.count &- suite.prefixLength &- protection.icvLength
        let scratch = unsafe PacketView(UnsafeMutableRawBufferPointer(start: self.scratch, count: 16))
        var aad = packet.part(0, ESPSuite.headerLength)
        var trailer = scratch.part(0, 0)
        if suite.extendedSequenceNumbers {
            let high = UInt32(truncatingIfNeeded: prepared.sequence >> 32)
            if protection.isAEAD {
                scratch.put(spi, at: 0)
                scratch.put(high, at: 4)
                scratch.put(packet.u32(4), at: 8)
                aad = scratch.part(0, 12)
            } else {
                scratch.put(high, at: 0)
                trailer = scratch.part(0, 4)
            }
        }
        return Parts(
            aad: aad, iv: packet.part(ESPSuite.headerLength, protection.ivLength), text: packet.part(suite.prefixLength, textLength),
            icv: packet.part(packet.count &- protection.icvLength, protection.icvLength), trailer: trailer)
    }

    /// Seals an inner packet that stands alone and returns the ESP packet; for peers in tests and load.
    package mutating func seal(_ inner: [UInt8]) throws(Drop) -> [UInt8] {
        try seal(inner, nextHeader: (inner.first ?? 0x40) >> 4 == 6 ? 41 : 4)
    }

    /// The same with a next header of one's own: 59 makes a dummy.
    package mutating func seal(_ inner: [UInt8], nextHeader: UInt8) throws(Drop) -> [UInt8] {
        let prefix = suite.prefixLength
        var work = [UInt8](repeating: 0, count: prefix) + inner + [UInt8](repeating: 0, count: suite.longestSuffix)
        let sealed: Result<Int, Drop> = unsafe work.withUnsafeMutableBytes { buffer in
            do throws(Drop) {
                return .success(try seal(unsafe PacketView(buffer), offset: prefix, length: inner.count, nextHeader: nextHeader))
            } catch { return .failure(error) }
        }
        return Array(work[..<(try sealed.get())])
    }
}

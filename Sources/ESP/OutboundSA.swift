package import GatewayCrypto

/// One outbound ESP SA, RFC 4303 section 3.3: seals packets in place. Keyed once; one owner, one thread.
@safe
package struct OutboundSA: ~Copyable, @unchecked Sendable {
    package let spi: UInt32
    private let layout: PacketLayout
    /// The last sequence number used; 0 before the first.
    package private(set) var sequence: UInt64
    /// Packets sealed under this key, failures included.
    package private(set) var records: UInt64 = 0
    private let lastSequence: UInt64
    private let maximumRecords: UInt64
    private var cipher: RecordCipher
    private var vectors: UnpredictableIV?
    package let suite: ESPSuite

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

    /// With a cipher and vectors of one's own: tests have some that refuse.
    init(
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
        layout = PacketLayout(suite)
    }

    /// Octets that a packet begins before its inner ones.
    var prefixLength: Int { @_noLocks get { layout.prefixLength } }

    /// Octets of the packet around so many inner ones.
    @_noLocks
    func sealedLength(of length: Int) -> Int { layout.sealedLength(of: length) }

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
        var extended: ExtendedHeader = (0, 0)
        return unsafe seal(prepared, room: &extended)
    }

    /// The same by a batch: the packet is ready to be sent when the batch says so of the ticket, after the flush. Its octets and this SA stay where they
    /// are until then. Nil: the batch takes no more.
    @_noLocks
    package mutating func seal(_ prepared: Prepared, in batch: inout RecordBatch) -> Int? {
        var extended: ExtendedHeader = (0, 0)
        return unsafe seal(prepared, in: &batch, room: &extended)
    }

    /// `room` is of an `ExtendedHeader`: a closure over one would count references.
    @_noLocks
    private mutating func seal(_ prepared: Prepared, room: UnsafeMutableRawPointer) -> Bool {
        let parts = unsafe CipherParts(of: prepared.packet, layout, prepared.sequence, room)
        return unsafe cipher.seal(
            aad: parts.aad.readOnly, iv: parts.iv.readOnly, text: parts.text.buffer, macTrailer: parts.trailer.readOnly, icv: parts.icv.buffer)
    }

    @_noLocks
    private mutating func seal(_ prepared: Prepared, in batch: inout RecordBatch, room: UnsafeMutableRawPointer) -> Int? {
        let parts = unsafe CipherParts(of: prepared.packet, layout, prepared.sequence, room)
        return unsafe batch.seal(
            &cipher, aad: parts.aad.readOnly, iv: parts.iv.readOnly, text: parts.text.buffer, macTrailer: parts.trailer.readOnly,
            icv: parts.icv.buffer)
    }

    /// The first half of `seal`: writes all but ICV and cipher text. Throws as it does, but for `.cipher`, which is an IV that could not be made.
    @_noLocks
    package mutating func prepare(_ buffer: PacketView, offset: Int, length: Int, nextHeader: UInt8) throws(Drop) -> Prepared {
        let prefix = layout.prefixLength
        let padLength = layout.padLength(of: length)
        let textLength = length &+ padLength &+ 2
        let total = prefix &+ textLength &+ layout.icvLength
        guard length >= 0, length <= 0xffff, buffer.holds(offset &- prefix, total) else { throw .noRoom }
        guard !isExhausted else { throw .exhausted }
        // Used up whatever happens next: no number and no IV twice under one key
        sequence &+= 1
        records &+= 1

        // All of `total` lies inside
        let packet = unsafe buffer.provenPart(offset &- prefix, total)
        packet.put(UInt64(spi) << 32 | UInt64(UInt32(truncatingIfNeeded: sequence)), at: 0)
        let trailer = unsafe packet.provenPart(prefix &+ length, padLength &+ 2)
        if padLength > 0 { Self.pad(trailer, padLength) }
        trailer.put(UInt16(truncatingIfNeeded: padLength) << 8 | UInt16(nextHeader), at: padLength)
        guard unsafe writeIV(packet.provenPart(ESPSuite.headerLength, layout.ivLength)) else { throw .cipher }
        return Prepared(packet: packet, sequence: sequence)
    }

    /// 1, 2, 3 and so on, RFC 4303 section 2.4.
    @_noLocks
    private static func pad(_ trailer: PacketView, _ length: Int) {
        var index = 0
        while index < length {
            trailer.put(UInt8(truncatingIfNeeded: index &+ 1), at: index)
            index &+= 1
        }
    }

    /// AEAD: the sequence number, which counts and never comes twice (threats.md P27, RFC 4106 section 3.1). CBC: unpredictable, RFC 3602 section 3.
    @_noLocks
    private mutating func writeIV(_ iv: PacketView) -> Bool {
        if layout.isAEAD {
            if iv.count >= 8 { iv.put(sequence, at: iv.count &- 8) }
            return true
        }
        guard iv.count > 0 else { return true }
        return vectors?.write(iv) ?? false
    }

    /// Octets of it that each packet asks for; the rest is for few.
    static var hotOctets: Int { @_noLocks get { 256 } }

    /// Sends for what it points to.
    @_noLocks
    mutating func sendForKeys() { cipher.sendForKeys() }

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

package import GatewayCrypto

/// One inbound ESP SA, RFC 4303 section 3.4: opens packets in place. Keyed once; one owner, one thread.
@safe
package struct InboundSA: ~Copyable, @unchecked Sendable {
    package let spi: UInt32
    package let suite: ESPSuite
    package private(set) var window: ReplayWindow
    private var cipher: RecordCipher
    // Associated data with an extended sequence number: SPI, high half, low half
    private let scratch: UnsafeMutableRawPointer

    /// What `open` found.
    package struct Opened: Equatable, Sendable {
        /// The trailer's next header: 4, 41 or 59 are left to the caller to tell apart.
        package let nextHeader: UInt8
        /// Where the inner octets begin, from the first octet of the SPI.
        package let offset: Int
        /// Inner octets without padding; TFC padding is still among them.
        package let length: Int
        package let sequence: UInt64
        /// No packet before had so high a sequence number (RFC 7296 section 2.23, threats.md P35).
        package let isNewest: Bool
    }

    /// A packet between `begin` and `finish`.
    package struct Pending: Sendable {
        /// In the batch.
        package let ticket: Int
        package let sequence: UInt64
    }

    /// Throws `.unsupported` or `.badLength` as the cipher does.
    package init(
        spi: UInt32, suite: ESPSuite, encryptionKey: borrowing SecretOctets, integrityKey: borrowing SecretOctets, replayWindow: Int,
        engine: CryptoEngine = .preferred
    ) throws(CryptoError) {
        cipher = try RecordCipher(
            suite.protection, encryptionKey: encryptionKey, integrityKey: integrityKey, direction: .open, engine: engine)
        self.spi = spi
        self.suite = suite
        window = ReplayWindow(size: replayWindow)
        unsafe scratch = .allocate(byteCount: 16, alignment: 16)
        unsafe scratch.initializeMemory(as: UInt8.self, repeating: 0, count: 16)
    }

    deinit {
        unsafe scratch.deallocate()
    }

    /// Opens a packet in place, from its SPI to its ICV. The window is asked before the ICV is verified and moved only afterwards.
    @_noLocks
    package mutating func open(_ packet: PacketView) throws(Drop) -> Opened {
        let sequence = try admit(packet)
        let parts = parts(of: packet, sequence)
        let verified =
            unsafe cipher.open(
                aad: parts.aad.readOnly, iv: parts.iv.readOnly, text: parts.text.buffer, macTrailer: parts.trailer.readOnly,
                icv: parts.icv.readOnly)
        guard verified else { throw .integrity }
        return try accept(packet, sequence)
    }

    /// Where packets of this SA stand in a batch; none: they gain nothing by one.
    package var lane: Lane { @_noLocks get { cipher.lane } }
    package var engine: CryptoEngine { cipher.engine }

    /// The first half of `open`: gives the packet to a batch. Its octets stay where they are until the flush, and this SA does too.
    /// Throws `.noRoom` with nothing done when the batch takes no more.
    @_noLocks
    package mutating func begin(_ packet: PacketView, in batch: inout RecordBatch) throws(Drop) -> Pending {
        let sequence = try admit(packet)
        let parts = parts(of: packet, sequence)
        let ticket = unsafe batch.open(
            &cipher, aad: parts.aad.readOnly, iv: parts.iv.readOnly, text: parts.text.buffer, macTrailer: parts.trailer.readOnly,
            icv: parts.icv.buffer)
        guard let ticket else { throw .noRoom }
        return Pending(ticket: ticket, sequence: sequence)
    }

    /// The second half, after the flush. The window is asked again: what came twice in one batch is taken once.
    @_noLocks
    package mutating func finish(_ packet: PacketView, _ pending: Pending, in batch: borrowing RecordBatch) throws(Drop) -> Opened {
        guard batch.succeeded(pending.ticket) else { throw .integrity }
        guard window.admits(pending.sequence) else { throw .replayed }
        return try accept(packet, pending.sequence)
    }

    /// The packet's whole sequence number, if its length is possible and the window takes it.
    @_noLocks
    private func admit(_ packet: PacketView) throws(Drop) -> UInt64 {
        let textLength = packet.count &- suite.prefixLength &- suite.protection.icvLength
        guard textLength >= 2, suite.protection.blockLength < 2 || textLength % suite.protection.blockLength == 0 else { throw .truncated }
        let low = packet.u32(4)
        let sequence: UInt64
        if suite.extendedSequenceNumbers {
            guard let inferred = SequenceNumber.infer(low: low, highest: window.highest, window: window.size) else { throw .replayed }
            sequence = inferred
        } else {
            sequence = UInt64(low)
        }
        guard window.admits(sequence) else { throw .replayed }
        return sequence
    }

    /// Moves the window and looks at the trailer of a packet whose ICV was right.
    @_noLocks
    private mutating func accept(_ packet: PacketView, _ sequence: UInt64) throws(Drop) -> Opened {
        let prefix = suite.prefixLength
        let textLength = packet.count &- prefix &- suite.protection.icvLength
        let text = packet.part(prefix, textLength)
        let isNewest = window.record(sequence)
        let nextHeader = text.u8(textLength &- 1)
        let padLength = Int(text.u8(textLength &- 2))
        guard padLength <= textLength &- 2 else { throw .padding }
        let length = textLength &- 2 &- padLength
        var index = 0
        while index < padLength {
            guard text.u8(length &+ index) == UInt8(truncatingIfNeeded: index &+ 1) else { throw .padding }
            index &+= 1
        }
        return Opened(nextHeader: nextHeader, offset: prefix, length: length, sequence: sequence, isNewest: isNewest)
    }

    private struct Parts {
        let aad, iv, text, icv, trailer: PacketView
    }

    /// What the cipher is given. Associated data and trailer stand in `scratch` where the sequence number is extended.
    @_noLocks
    private func parts(of packet: PacketView, _ sequence: UInt64) -> Parts {
        let textLength = packet.count &- suite.prefixLength &- suite.protection.icvLength
        let scratch = unsafe PacketView(UnsafeMutableRawBufferPointer(start: self.scratch, count: 16))
        var aad = packet.part(0, ESPSuite.headerLength)
        var trailer = scratch.part(0, 0)
        if suite.extendedSequenceNumbers {
            let high = UInt32(truncatingIfNeeded: sequence >> 32)
            if suite.protection.isAEAD {
                scratch.put(packet.u32(0), at: 0)
                scratch.put(high, at: 4)
                scratch.put(packet.u32(4), at: 8)
                aad = scratch.part(0, 12)
            } else {
                scratch.put(high, at: 0)
                trailer = scratch.part(0, 4)
            }
        }
        return Parts(
            aad: aad, iv: packet.part(ESPSuite.headerLength, suite.protection.ivLength), text: packet.part(suite.prefixLength, textLength),
            icv: packet.part(suite.prefixLength &+ textLength, suite.protection.icvLength), trailer: trailer)
    }

    /// Opens a packet that stands alone and returns its inner octets; for peers in tests and load. Throws `.dummy`, `.nextHeader` too.
    package mutating func open(_ packet: [UInt8]) throws(Drop) -> [UInt8] {
        guard packet.count >= ESPSuite.headerLength else { throw .truncated }
        var work = packet
        let opened: Result<Opened, Drop> = unsafe work.withUnsafeMutableBytes { buffer in
            do throws(Drop) { return .success(try open(unsafe PacketView(buffer))) } catch { return .failure(error) }
        }
        let result = try opened.get()
        guard result.nextHeader != 59 else { throw .dummy }
        guard result.nextHeader == 4 || result.nextHeader == 41 else { throw .nextHeader }
        return Array(work[result.offset..<result.offset + result.length])
    }
}

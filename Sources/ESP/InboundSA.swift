package import GatewayCrypto

/// One inbound ESP SA, RFC 4303 section 3.4: opens packets in place. Keyed once; one owner, one thread.
@safe
package struct InboundSA: ~Copyable, @unchecked Sendable {
    package let spi: UInt32
    private let layout: PacketLayout
    package private(set) var window: ReplayWindow
    private var cipher: RecordCipher
    package let suite: ESPSuite

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
        layout = PacketLayout(suite)
        window = ReplayWindow(size: replayWindow)
    }

    /// Opens a packet in place, from its SPI to its ICV. The window is asked before the ICV is verified and moved only afterwards.
    @_noLocks
    package mutating func open(_ packet: PacketView) throws(Drop) -> Opened {
        let sequence = try admit(packet)
        var extended: ExtendedHeader = (0, 0)
        guard unsafe open(packet, sequence, room: &extended) else { throw .integrity }
        return try accept(packet, sequence)
    }

    /// `room` is of an `ExtendedHeader`: a closure over one would count references.
    @_noLocks
    private mutating func open(_ packet: PacketView, _ sequence: UInt64, room: UnsafeMutableRawPointer) -> Bool {
        let parts = unsafe CipherParts(of: packet, layout, sequence, room)
        return unsafe cipher.open(
            aad: parts.aad.readOnly, iv: parts.iv.readOnly, text: parts.text.buffer, macTrailer: parts.trailer.readOnly, icv: parts.icv.readOnly)
    }

    @_noLocks
    private mutating func open(_ packet: PacketView, _ sequence: UInt64, in batch: inout RecordBatch, room: UnsafeMutableRawPointer) -> Int? {
        let parts = unsafe CipherParts(of: packet, layout, sequence, room)
        return unsafe batch.open(
            &cipher, aad: parts.aad.readOnly, iv: parts.iv.readOnly, text: parts.text.buffer, macTrailer: parts.trailer.readOnly,
            icv: parts.icv.buffer)
    }

    /// Where packets of this SA stand in a batch; none: they gain nothing by one.
    package var lane: Lane { @_noLocks get { cipher.lane } }
    package var engine: CryptoEngine { cipher.engine }

    /// The first half of `open`: gives the packet to a batch. Its octets stay where they are until the flush, and this SA does too.
    /// Throws `.noRoom` with nothing done when the batch takes no more.
    @_noLocks
    package mutating func begin(_ packet: PacketView, in batch: inout RecordBatch) throws(Drop) -> Pending {
        let sequence = try admit(packet)
        var extended: ExtendedHeader = (0, 0)
        guard let ticket = unsafe open(packet, sequence, in: &batch, room: &extended) else { throw .noRoom }
        return Pending(ticket: ticket, sequence: sequence)
    }

    /// The second half, after the flush. The window is asked again: what came twice in one batch is taken once.
    @_noLocks
    package mutating func finish(_ packet: PacketView, _ pending: Pending, in batch: borrowing RecordBatch) throws(Drop) -> Opened {
        guard batch.succeeded(pending.ticket) else { throw .integrity }
        guard window.admits(pending.sequence) else { throw .replayed }
        return try accept(packet, pending.sequence)
    }

    /// The packet's whole sequence number, if its length is possible and the window takes it. It changes nothing; but who only reads is given a copy.
    @_noLocks
    private mutating func admit(_ packet: PacketView) throws(Drop) -> UInt64 {
        guard layout.mayBeText(packet.count &- layout.prefixLength &- layout.icvLength) else { throw .truncated }
        let low = packet.u32(4)
        let sequence: UInt64
        if layout.isExtended {
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
        let prefix = layout.prefixLength
        let textLength = packet.count &- prefix &- layout.icvLength
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

    /// Octets of it that each packet asks for; the rest is for few.
    static var hotOctets: Int { @_noLocks get { 256 } }

    /// Sends for what it points to.
    @_noLocks
    mutating func sendForKeys() {
        window.sendFor()
        cipher.sendForKeys()
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

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

    /// Throws `.unsupported` or `.badLength` as the cipher does.
    package init(
        spi: UInt32, suite: ESPSuite, encryptionKey: borrowing SecretOctets, integrityKey: borrowing SecretOctets, replayWindow: Int
    ) throws(CryptoError) {
        cipher = try RecordCipher(suite.protection, encryptionKey: encryptionKey, integrityKey: integrityKey, direction: .open)
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
        let prefix = suite.prefixLength
        let icvLength = suite.protection.icvLength
        let textLength = packet.count &- prefix &- icvLength
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

        let text = packet.part(prefix, textLength)
        guard verify(packet, text: text, high: UInt32(truncatingIfNeeded: sequence >> 32), low: low) else { throw .integrity }
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

    @_noLocks
    private mutating func verify(_ packet: PacketView, text: PacketView, high: UInt32, low: UInt32) -> Bool {
        let iv = packet.part(ESPSuite.headerLength, suite.protection.ivLength)
        let icv = packet.part(ESPSuite.headerLength &+ suite.protection.ivLength &+ text.count, suite.protection.icvLength)
        let scratch = unsafe PacketView(UnsafeMutableRawBufferPointer(start: self.scratch, count: 16))
        if suite.protection.isAEAD {
            var aad = packet.part(0, ESPSuite.headerLength)
            if suite.extendedSequenceNumbers {
                scratch.put(packet.u32(0), at: 0)
                scratch.put(high, at: 4)
                scratch.put(low, at: 8)
                aad = scratch.part(0, 12)
            }
            return unsafe cipher.open(
                aad: aad.readOnly, iv: iv.readOnly, text: text.buffer, macTrailer: scratch.part(0, 0).readOnly, icv: icv.readOnly)
        }
        scratch.put(high, at: 0)
        return unsafe cipher.open(
            aad: packet.part(0, ESPSuite.headerLength).readOnly, iv: iv.readOnly, text: text.buffer,
            macTrailer: scratch.part(0, suite.extendedSequenceNumbers ? 4 : 0).readOnly, icv: icv.readOnly)
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

/// Seals or opens SK payloads and ESP packets in place: keyed once, nothing allocated, locked or counted per call.
///
/// With an AEAD the nonce is salt | iv, and `aad` is authenticated along; with GMAC aad | iv | text is. With cipher and MAC the MAC covers aad | iv | text | macTrailer
/// (the high half of an extended sequence number, or nothing); it is written after encryption and verified before decryption.
package struct RecordCipher: ~Copyable, Sendable {
    /// What a key is for; never both (threats.md P27).
    package enum Direction: Hashable, Sendable { case seal, open }

    // What each record asks for stands first: few lines of the core's cache
    package let direction: Direction
    private let mode: CipherRow.Mode
    private let isFast: Bool
    private let isAEAD: Bool
    private let ivLength: Int
    private let icvLength: Int
    private let saltLength: Int
    /// Where records of this cipher stand in a batch; none: they gain nothing by one.
    package let lane: Lane
    /// The multi-buffer engine's; OpenSSL's contexts are there where it does not work alone.
    let fast: MultiBufferKeys?
    /// Nil where nothing is enciphered.
    private var cipher: CipherContext?
    private var mac: MAC?
    /// Salt | room for the IV.
    private let nonce: SecretOctets
    package let suite: ProtectionSuite
    private let block: MultiBufferBlock

    /// Throws `.badLength` unless both keys have the suite's lengths, `.unsupported` when this machine has no such engine, else `.library`.
    package init(
        _ suite: ProtectionSuite, encryptionKey: borrowing SecretOctets, integrityKey: borrowing SecretOctets,
        direction: Direction, engine: CryptoEngine = .openSSL
    ) throws(CryptoError) {
        guard encryptionKey.count == suite.encryptionKeyLength, integrityKey.count == suite.integrityKeyLength else {
            throw .badLength
        }
        let row = suite.cipher
        let key = try encryptionKey.slice(0..<row.keyLength)
        var nonce = try encryptionKey.slice(row.keyLength..<suite.encryptionKeyLength)
        nonce.append([UInt8](repeating: 0, count: row.ivLength))
        let block = try MultiBufferBlock(engine, row, mac: suite.mac, key: key, macKey: integrityKey, seals: direction == .seal)
        let keys = block.keys
        let isFast = keys?.worksAlone == true
        let cipher = try Self.cipher(isFast ? nil : row, key: key, seals: direction == .seal)
        let mac = try Self.mac(suite.mac, key: integrityKey)
        self.block = block
        fast = keys
        self.isFast = isFast
        self.suite = suite
        self.direction = direction
        mode = row.mode
        self.cipher = cipher
        self.mac = mac
        saltLength = row.saltLength
        isAEAD = suite.isAEAD
        ivLength = suite.ivLength
        icvLength = suite.icvLength
        lane = keys?.lane ?? Lane.none
        unsafe keys?.setSalt(UnsafeRawBufferPointer(start: nonce.base, count: row.saltLength))
        self.nonce = nonce
    }

    private static func cipher(_ row: CipherRow?, key: borrowing SecretOctets, seals: Bool) throws(CryptoError) -> CipherContext? {
        guard let row, row.function != nil else { return nil }
        return try CipherContext(row, key: key, seals: seals)
    }

    private static func mac(_ row: MACRow?, key: borrowing SecretOctets) throws(CryptoError) -> MAC? {
        guard let row else { return nil }
        return try MAC(row.function, key: key)
    }

    /// Encrypts `text` in place and writes the ICV. False, with nothing to be sent, when a length does not fit the suite.
    @_noLocks package mutating func seal(
        aad: UnsafeRawBufferPointer, iv: UnsafeRawBufferPointer, text: UnsafeMutableRawBufferPointer,
        macTrailer: UnsafeRawBufferPointer, icv: UnsafeMutableRawBufferPointer
    ) -> Bool {
        guard direction == .seal, unsafe fits(iv, text, macTrailer, icvCount: icv.count) else { return false }
        if isFast { return unsafe fast?.seal(saltLength, aad: aad, iv: iv, text: text, icv: icv) == true }
        guard unsafe restart(iv) else { return false }
        switch mode {
        case .aead:
            return unsafe cipher?.authenticate(aad) == true && cipher?.transform(text) == true && cipher?.finish() == true
                && cipher?.writeTag(icv) == true
        case .authenticated:
            return unsafe authenticateAll(aad, iv, UnsafeRawBufferPointer(text)) && cipher?.writeTag(icv) == true
        case .encrypted:
            return unsafe cipher?.transform(text) == true && cipher?.finish() == true
                && compute(aad, iv, UnsafeRawBufferPointer(text), macTrailer) && mac?.copyResult(into: icv) == true
        case .plain:
            return unsafe compute(aad, iv, UnsafeRawBufferPointer(text), macTrailer) && mac?.copyResult(into: icv) == true
        }
    }

    /// Verifies the ICV and decrypts `text` in place. False when the ICV or a length does not fit; `text` then holds what came, or zeros.
    @_noLocks package mutating func open(
        aad: UnsafeRawBufferPointer, iv: UnsafeRawBufferPointer, text: UnsafeMutableRawBufferPointer,
        macTrailer: UnsafeRawBufferPointer, icv: UnsafeRawBufferPointer
    ) -> Bool {
        guard direction == .open, unsafe fits(iv, text, macTrailer, icvCount: icv.count) else { return false }
        if isFast { return unsafe fast?.open(saltLength, aad: aad, iv: iv, text: text, icv: icv) == true }
        guard unsafe restart(iv) else { return false }
        switch mode {
        case .aead:
            let valid =
                unsafe cipher?.expectTag(icv) == true && cipher?.authenticate(aad) == true && cipher?.transform(text) == true
                && cipher?.finish() == true
            if !valid { unsafe LibCrypto.wipe(text) }  // it decrypts before it knows: unverified text goes to nobody
            return valid
        case .authenticated:
            return unsafe cipher?.expectTag(icv) == true && authenticateAll(aad, iv, UnsafeRawBufferPointer(text))
        case .encrypted:
            guard unsafe compute(aad, iv, UnsafeRawBufferPointer(text), macTrailer), unsafe mac?.resultBegins(with: icv) == true
            else { return false }
            return unsafe cipher?.transform(text) == true && cipher?.finish() == true
        case .plain:
            return unsafe compute(aad, iv, UnsafeRawBufferPointer(text), macTrailer) && mac?.resultBegins(with: icv) == true
        }
    }

    @_noLocks func fits(
        _ iv: UnsafeRawBufferPointer, _ text: UnsafeMutableRawBufferPointer, _ macTrailer: UnsafeRawBufferPointer,
        icvCount: Int
    ) -> Bool {
        guard iv.count == ivLength, icvCount == icvLength else { return false }
        // An AEAD has no MAC for a trailer to go into: a caller that passes one would believe it authenticated.
        if isAEAD { return macTrailer.count == 0 }
        return text.count > 0 && text.count % suite.blockLength == 0
    }

    private mutating func restart(_ iv: UnsafeRawBufferPointer) -> Bool {
        guard ivLength > 0 else { return true }
        let room = unsafe UnsafeMutableRawBufferPointer(start: nonce.base + saltLength, count: ivLength)
        guard unsafe LibCrypto.copyPrefix(iv, into: room) else { return false }
        return unsafe cipher?.restart(UnsafeRawBufferPointer(start: nonce.base, count: saltLength + ivLength)) == true
    }

    /// Who does its records; with cipher and MAC those that stand in a batch.
    package var engine: CryptoEngine { fast == nil ? .openSSL : .multiBuffer }

    // MARK: For batches

    /// Sends for the keys of the multi-buffer engine; where OpenSSL's stand only OpenSSL knows.
    @_noLocks package mutating func sendForKeys() { fast?.sendFor() }

    var seals: Bool { @_noLocks get { direction == .seal } }

    /// Salt | IV; the caller saw to the IV's length and to room for 16 octets.
    @_noLocks func writeNonce(_ iv: UnsafeRawBufferPointer, to room: UnsafeMutableRawPointer) -> Bool {
        unsafe LibCrypto.copyPrefix(
            UnsafeRawBufferPointer(start: nonce.base, count: saltLength), into: UnsafeMutableRawBufferPointer(start: room, count: saltLength))
            && LibCrypto.copyPrefix(iv, into: UnsafeMutableRawBufferPointer(start: room + saltLength, count: iv.count))
    }

    /// GMAC: the whole packet is associated data, RFC 4543 section 3.3.
    private mutating func authenticateAll(
        _ aad: UnsafeRawBufferPointer, _ iv: UnsafeRawBufferPointer, _ text: UnsafeRawBufferPointer
    ) -> Bool {
        unsafe cipher?.authenticate(aad) == true && cipher?.authenticate(iv) == true && cipher?.authenticate(text) == true
            && cipher?.finish() == true
    }

    private mutating func compute(
        _ aad: UnsafeRawBufferPointer, _ iv: UnsafeRawBufferPointer, _ text: UnsafeRawBufferPointer,
        _ trailer: UnsafeRawBufferPointer
    ) -> Bool {
        unsafe mac?.begin() == true && mac?.absorb(aad) == true && mac?.absorb(iv) == true && mac?.absorb(text) == true
            && mac?.absorb(trailer) == true && mac?.finish() == true
    }
}

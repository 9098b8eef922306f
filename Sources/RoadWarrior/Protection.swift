import GatewayCrypto
import IKEMessages
import Wire

/// Seals and opens Encrypted payloads, RFC 7296 section 3.14, RFC 5282.
struct Protection: ~Copyable {
    private var sealer: RecordCipher
    private var opener: RecordCipher
    private let suite: ProtectionSuite
    /// The next AEAD initialization vector; counts up and is never set back.
    private var counter: UInt64 = 0

    init(_ keys: IKEKeys, isInitiator: Bool) throws(CryptoError) {
        let suite = keys.suite.protection
        let initiator = try RecordCipher(
            suite, encryptionKey: keys.initiatorEncryption, integrityKey: keys.initiatorIntegrity,
            direction: isInitiator ? .seal : .open)
        let responder = try RecordCipher(
            suite, encryptionKey: keys.responderEncryption, integrityKey: keys.responderIntegrity,
            direction: isInitiator ? .open : .seal)
        self.suite = suite
        if isInitiator {
            sealer = initiator
            opener = responder
        } else {
            sealer = responder
            opener = initiator
        }
    }

    /// A whole message whose payloads are encrypted; nil when the library fails.
    mutating func seal(_ header: IKEHeader, _ payloads: [Payload], entropy: any Entropy) -> [UInt8]? {
        seal(
            EncryptedMessageLayout(
                header: header, payloads: payloads, ivLength: suite.ivLength, blockLength: suite.blockLength,
                icvLength: suite.icvLength), entropy: entropy)
    }

    /// One fragment of a message.
    mutating func seal(_ header: IKEHeader, _ fragment: PlainFragment, entropy: any Entropy) -> [UInt8]? {
        seal(
            EncryptedMessageLayout(
                header: header, fragment: fragment, ivLength: suite.ivLength, blockLength: suite.blockLength,
                icvLength: suite.icvLength), entropy: entropy)
    }

    /// What a protected message or fragment is longer by than what it carries, at the most.
    func overhead(of headers: Int) -> Int { headers + suite.ivLength + suite.blockLength + suite.icvLength }

    private mutating func seal(_ layout: EncryptedMessageLayout, entropy: any Entropy) -> [UInt8]? {
        var octets = layout.octets
        octets.replaceSubrange(layout.iv, with: nextIV(entropy))
        let sealed = unsafe octets.withUnsafeMutableBytes { message in
            unsafe sealer.seal(
                aad: UnsafeRawBufferPointer(rebasing: message[layout.aad]),
                iv: UnsafeRawBufferPointer(rebasing: message[layout.iv]),
                text: UnsafeMutableRawBufferPointer(rebasing: message[layout.text]),
                macTrailer: UnsafeRawBufferPointer(start: nil, count: 0),
                icv: UnsafeMutableRawBufferPointer(rebasing: message[layout.icv]))
        }
        return sealed ? octets : nil
    }

    private mutating func nextIV(_ entropy: any Entropy) -> [UInt8] {
        guard suite.isAEAD else { return entropy.octets(suite.ivLength) }
        var iv: [UInt8] = []
        iv.append(bigEndian: counter)
        counter += 1
        return iv
    }

    /// The decrypted text, padding included, of a message that ends in an Encrypted payload with this content; nil when it is not authentic.
    mutating func open(_ message: [UInt8], _ content: Range<Int>) -> [UInt8]? {
        guard content.lowerBound >= IKEHeader.length, content.upperBound == message.count,
            content.count > suite.ivLength + suite.icvLength
        else { return nil }
        let text = content.lowerBound + suite.ivLength..<content.upperBound - suite.icvLength
        guard text.count.isMultiple(of: suite.blockLength) else { return nil }
        var octets = message
        let authentic = unsafe octets.withUnsafeMutableBytes { whole in
            unsafe opener.open(
                aad: UnsafeRawBufferPointer(rebasing: whole[0..<content.lowerBound]),
                iv: UnsafeRawBufferPointer(rebasing: whole[content.lowerBound..<text.lowerBound]),
                text: UnsafeMutableRawBufferPointer(rebasing: whole[text]),
                macTrailer: UnsafeRawBufferPointer(start: nil, count: 0),
                icv: UnsafeRawBufferPointer(rebasing: whole[text.upperBound..<content.upperBound]))
        }
        return authentic ? [UInt8](octets[text]) : nil
    }
}

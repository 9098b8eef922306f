import GatewayCrypto
import IKEMessages
import Wire

/// What came out of an SK payload, or why nothing did.
enum Unsealed {
    /// The ICV was right and the payloads are well formed.
    case payloads([Payload])
    /// The ICV was right, the peer is who it was, but its payloads are not (answered, RFC 7296 section 2.21.3).
    case faulty(MessageError)
    /// The ICV was wrong or there was no room for it: anyone may have sent this (dropped and counted).
    case unauthentic
    /// A fragment that does not complete its message: kept, or dropped and counted.
    case incomplete
}

/// The SK payload's protection, both directions of one IKE SA; RFC 7296 section 3.14, RFC 5282. Its ciphers are keyed for each message: most SAs have
/// nothing to say most of the time, and a keyed cipher of the library takes a kilobyte.
struct Protection: ~Copyable, Sendable {
    let suite: ProtectionSuite
    private let inbound: Keys
    private let outbound: Keys
    private var sequence: UInt64 = 0

    private struct Keys: ~Copyable, Sendable {
        let encryption: SecretOctets
        let integrity: SecretOctets

        init(_ encryption: borrowing SecretOctets, _ integrity: borrowing SecretOctets) {
            self.encryption = encryption.copy()
            self.integrity = integrity.copy()
        }

        func cipher(_ suite: ProtectionSuite, _ direction: RecordCipher.Direction) throws(CryptoError) -> RecordCipher {
            try RecordCipher(suite, encryptionKey: encryption, integrityKey: integrity, direction: direction)
        }
    }

    /// As responder: opens with the initiator's keys, seals with our own. Throws `.unsupported` for a suite that only authenticates (ENCR_NULL
    /// MUST NOT protect IKE, RFC 7296 section 3.3.2), `.badLength` for keys of another suite.
    init(responder keys: borrowing SAKeys, suite: ProtectionSuite) throws(CryptoError) {
        try self.init(keys, as: .responder, suite: suite)
    }

    /// Opens with the other side's keys, seals with our own.
    init(_ keys: borrowing SAKeys, as role: Role, suite: ProtectionSuite) throws(CryptoError) {
        guard suite.encrypts else { throw .unsupported }
        guard keys.ei.count == suite.encryptionKeyLength, keys.er.count == suite.encryptionKeyLength,
            keys.ai.count == suite.integrityKeyLength, keys.ar.count == suite.integrityKeyLength
        else { throw .badLength }
        self.suite = suite
        inbound = role == .responder ? Keys(keys.ei, keys.ai) : Keys(keys.er, keys.ar)
        outbound = role == .responder ? Keys(keys.er, keys.ar) : Keys(keys.ei, keys.ai)
    }

    /// Opens the SK payload of `message`.
    func open(_ message: [UInt8], _ encrypted: EncryptedPayload) -> Unsealed {
        guard let text = text(of: message, encrypted.content) else { return .unauthentic }
        do throws(MessageError) {
            return .payloads(try encrypted.innerPayloads(decrypted: text))
        } catch {
            return .faulty(error)
        }
    }

    /// The decrypted text of an SK or SKF payload, padding included; nil when it is not authentic.
    func text(of message: [UInt8], _ content: Range<Int>) -> [UInt8]? {
        guard content.lowerBound >= 0, content.upperBound <= message.count,
            content.count > suite.ivLength + suite.icvLength, var cipher = try? inbound.cipher(suite, .open)
        else { return nil }
        let textStart = content.lowerBound + suite.ivLength
        let icvStart = content.upperBound - suite.icvLength
        var text = Array(message[textStart..<icvStart])
        let opened = unsafe message.withUnsafeBytes { all in
            unsafe text.withUnsafeMutableBytes { plain in
                unsafe cipher.open(
                    aad: UnsafeRawBufferPointer(rebasing: all[0..<content.lowerBound]),
                    iv: UnsafeRawBufferPointer(rebasing: all[content.lowerBound..<textStart]),
                    text: plain,
                    macTrailer: UnsafeRawBufferPointer(start: nil, count: 0),
                    icv: UnsafeRawBufferPointer(rebasing: all[icvStart..<content.upperBound]))
            }
        }
        return opened ? text : nil
    }

    /// A protected message, in fragments where it would be longer than `largest` octets (RFC 7383 section 2.5); nil only when the cipher itself
    /// fails, which ends the SA.
    mutating func seal(_ header: IKEHeader, _ payloads: [Payload], largest: Int?, entropy: any Entropy) -> [[UInt8]]? {
        guard var cipher = try? outbound.cipher(suite, .seal) else { return nil }
        let whole = EncryptedMessageLayout(
            header: header, payloads: payloads, ivLength: suite.ivLength, blockLength: suite.blockLength, icvLength: suite.icvLength)
        guard let largest, whole.octets.count > largest, let fragments = Fragments.cut(payloads, largest: largest, suite: suite) else {
            return seal(whole, by: &cipher, entropy: entropy).map { [$0] }
        }
        var messages: [[UInt8]] = []
        for fragment in fragments {
            let layout = EncryptedMessageLayout(
                header: header, fragment: fragment, ivLength: suite.ivLength, blockLength: suite.blockLength, icvLength: suite.icvLength)
            guard let message = seal(layout, by: &cipher, entropy: entropy) else { return nil }
            messages.append(message)
        }
        return messages
    }

    private mutating func seal(_ layout: EncryptedMessageLayout, by cipher: inout RecordCipher, entropy: any Entropy) -> [UInt8]? {
        var octets = layout.octets
        var iv: [UInt8]
        if suite.isAEAD {
            // A counter can never repeat under one key; RFC 5282 section 3.1 asks for nothing more.
            iv = []
            iv.append(bigEndian: sequence)
            let (following, overflow) = sequence.addingReportingOverflow(1)
            guard !overflow else { return nil }
            sequence = following
        } else {
            iv = entropy.octets(suite.ivLength)
        }
        guard iv.count == layout.iv.count, layout.icv.upperBound == octets.count else { return nil }
        octets.replaceSubrange(layout.iv, with: iv)
        let sealed = unsafe octets.withUnsafeMutableBytes { all in
            unsafe cipher.seal(
                aad: UnsafeRawBufferPointer(rebasing: all[layout.aad]),
                iv: UnsafeRawBufferPointer(rebasing: all[layout.iv]),
                text: UnsafeMutableRawBufferPointer(rebasing: all[layout.text]),
                macTrailer: UnsafeRawBufferPointer(start: nil, count: 0),
                icv: UnsafeMutableRawBufferPointer(rebasing: all[layout.icv]))
        }
        return sealed ? octets : nil
    }
}

import IKEMessages
import Testing
import Wire

@Suite("SK: layout, padding, what is inside")
struct EncryptedTests {
    struct Suite: CustomTestStringConvertible, Sendable {
        let name: String
        let iv: Int
        let block: Int
        let icv: Int
        var testDescription: String { name }
    }

    static let suites = [
        Suite(name: "AES-GCM-16", iv: 8, block: 1, icv: 16), Suite(name: "AES-CBC, SHA-256", iv: 16, block: 16, icv: 16),
        Suite(name: "3DES, SHA-1", iv: 8, block: 8, icv: 12), Suite(name: "AES-CBC, SHA-512", iv: 16, block: 16, icv: 32),
    ]

    private func header(_ exchange: ExchangeType = .ikeAuth) -> IKEHeader {
        IKEHeader(initiatorSPI: 0x1122, responderSPI: 0x3344, exchange: exchange, flags: .initiator, messageID: 1)
    }

    @Test("RFC 7296 section 3.14, RFC 5282 section 5: laid out, read again, opened", arguments: suites, 0..<20)
    func layout(suite: Suite, size: Int) throws {
        let inner: [Payload] = [.nonce(NoncePayload(octets: Array(repeating: 1, count: 16 + size))), .notify(NotifyPayload(.initialContact))]
        let layout = EncryptedMessageLayout(
            header: header(), payloads: inner, ivLength: suite.iv, blockLength: suite.block, icvLength: suite.icv)
        #expect(layout.aad == 0..<32 && layout.iv == 32..<32 + suite.iv && layout.text.lowerBound == layout.iv.upperBound)
        #expect(layout.icv.lowerBound == layout.text.upperBound && layout.icv.upperBound == layout.octets.count && layout.icv.count == suite.icv)
        #expect(layout.text.count.isMultiple(of: suite.block))
        let padding = Int(layout.octets[layout.text.upperBound - 1])
        #expect(padding < suite.block && layout.text.count == PayloadChain.encode(inner).octets.count + padding + 1)

        let message = try IKEMessage(parsing: layout.octets)
        let encrypted = try #require(message.encryptedPayload)
        #expect(message.payloads.count == 1 && message.header.nextPayload == .encrypted)
        #expect(encrypted.firstInner == .nonce && encrypted.content == 32..<layout.octets.count)
        #expect(try encrypted.innerPayloads(decrypted: Array(layout.octets[layout.text])) == inner)
        #expect(message.encoded(around: layout.octets) == layout.octets)
    }

    @Test("RFC 7296 section 1.4: an empty SK", arguments: suites)
    func empty(suite: Suite) throws {
        let layout = EncryptedMessageLayout(
            header: header(.informational), payloads: [], ivLength: suite.iv, blockLength: suite.block, icvLength: suite.icv)
        let encrypted = try #require(IKEMessage(parsing: layout.octets).encryptedPayload)
        #expect(encrypted.firstInner == .none)
        #expect(try encrypted.innerPayloads(decrypted: Array(layout.octets[layout.text])) == [])
    }

    private func encrypted(first: PayloadType) throws -> EncryptedPayload {
        var message = Raw.message([Raw.Part(.encrypted, Array(repeating: 0, count: 40))], exchange: .ikeAuth)
        message[28] = first.rawValue
        return try #require(IKEMessage(parsing: message).encryptedPayload)
    }

    private static let paddings: [([UInt8], Bool)] = [
        ([], false), ([1], false), ([255], false), ([0, 0, 3], false), ([0, 0, 2], true), ([0], true), ([9, 9, 9, 3], true),
        (Array(repeating: 255, count: 256), true), (Array(repeating: 255, count: 255), false),
    ]

    @Test("C1 padding that is longer than the text, or no text at all", arguments: paddings)
    func threat_C1_padding(text: [UInt8], isGood: Bool) throws {
        let encrypted = try encrypted(first: .none)
        let error = refusal { () throws(MessageError) in try encrypted.innerPayloads(decrypted: text) }
        #expect(error == (isGood ? nil : .invalidSyntax(.padding)))
    }

    @Test("C1 decrypted text that is no chain")
    func threat_C1_innerChain() throws {
        let notify = try encrypted(first: .notify)
        let nested = try encrypted(first: .encrypted)
        let cases: [([UInt8], MessageError)] = [
            ([0], .invalidSyntax(.chain(.truncated))),
            (octets("00000003 00"), .invalidSyntax(.chain(.badLength))),
            (octets("00000009 00004000 00"), .invalidSyntax(.chain(.badLength))),
            (octets("00000008 00004000 aa 00"), .invalidSyntax(.chain(.trailingOctets))),
            (octets("2e000008 00004000 00"), .invalidSyntax(.misplaced(.encrypted))),
            (octets("35000008 00004000 00"), .invalidSyntax(.misplaced(.encryptedFragment))),
            (octets("c8000008 00004000 00800004 00"), .unsupportedCriticalPayload(200)),
        ]
        for (text, expected) in cases {
            #expect(refusal { () throws(MessageError) in try notify.innerPayloads(decrypted: text) } == expected, "\(text.hexadecimal)")
        }
        #expect(try notify.innerPayloads(decrypted: octets("00000008 00004000 00")) == [.notify(NotifyPayload(.initialContact))])
        #expect(
            refusal { () throws(MessageError) in try nested.innerPayloads(decrypted: [0, 0, 0, 4, 0]) }
                == .invalidSyntax(.misplaced(.encrypted)))
    }
}

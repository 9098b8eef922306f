import GatewayCrypto
import IKE
import IKEMessages
import Testing
import Wire

@Suite("Choice of proposals: RFC 7296 sections 2.7 and 3.3, threats.md P10")
struct ProposalSelectionTests {
    private static func e(_ id: EncryptionAlgorithm, _ bits: UInt16? = nil) -> Transform { Transform(.encryption, id: id.rawValue, keyLength: bits) }
    private static func p(_ id: PseudorandomFunction) -> Transform { Transform(.pseudorandomFunction, id: id.rawValue) }
    private static func i(_ id: IntegrityAlgorithm) -> Transform { Transform(.integrity, id: id.rawValue) }
    private static func k(_ id: KeyExchangeMethod) -> Transform { Transform(.keyExchange, id: id.rawValue) }
    private static func s(_ id: UInt16) -> Transform { Transform(.sequenceNumbers, id: id) }

    struct IKECase: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let offers: [[Transform]]
        var protocolID = SecurityProtocol.ike
        var spi: [UInt8] = []
        var key = KeyExchangeMethod.x25519
        /// Number of the proposal, encryption, key bits, integrity, PRF, group; nil: none.
        let chosen: (UInt8, EncryptionAlgorithm, Int, IntegrityAlgorithm, PseudorandomFunction, KeyExchangeMethod)?
    }

    static let ikeCases: [IKECase] = [
        IKECase(
            testDescription: "the only one", offers: [[e(.aesGCM16, 256), p(.hmacSHA256), k(.x25519)]],
            chosen: (1, .aesGCM16, 256, .none, .hmacSHA256, .x25519)),
        IKECase(
            testDescription: "our order of ciphers, not theirs",
            offers: [[e(.aesCBC, 256), i(.hmacSHA512_256), p(.hmacSHA512), k(.x25519)], [e(.aesGCM16, 128), p(.hmacSHA256), k(.x25519)]],
            chosen: (2, .aesGCM16, 128, .none, .hmacSHA256, .x25519)),
        IKECase(
            testDescription: "our order within one proposal",
            offers: [[e(.chaCha20Poly1305), e(.aesGCM16, 256), e(.aesGCM16, 128), p(.hmacSHA512), p(.hmacSHA256), k(.ecp256), k(.x25519)]],
            chosen: (1, .aesGCM16, 128, .none, .hmacSHA256, .x25519)),
        IKECase(
            testDescription: "the offered key decides among equals",
            offers: [[e(.aesGCM16, 128), p(.hmacSHA256), k(.ecp521), k(.x25519)]], key: .ecp521,
            chosen: (1, .aesGCM16, 128, .none, .hmacSHA256, .ecp521)),
        IKECase(
            testDescription: "a key of a group that is not offered decides nothing",
            offers: [[e(.aesGCM16, 128), p(.hmacSHA256), k(.ecp384)]], key: .x25519,
            chosen: (1, .aesGCM16, 128, .none, .hmacSHA256, .ecp384)),
        IKECase(
            testDescription: "cipher with integrity", offers: [[e(.aesCBC, 128), i(.hmacSHA256_128), p(.hmacSHA256), k(.modp2048)]],
            key: .modp2048, chosen: (1, .aesCBC, 128, .hmacSHA256_128, .hmacSHA256, .modp2048)),
        IKECase(testDescription: "cipher without integrity", offers: [[e(.aesCBC, 128), p(.hmacSHA256), k(.x25519)]], chosen: nil),
        IKECase(
            testDescription: "AEAD beside NONE", offers: [[e(.aesGCM16, 128), i(.none), p(.hmacSHA256), k(.x25519)]],
            chosen: (1, .aesGCM16, 128, .none, .hmacSHA256, .x25519)),
        IKECase(
            testDescription: "AEAD beside an integrity algorithm",
            offers: [[e(.aesGCM16, 128), i(.hmacSHA256_128), p(.hmacSHA256), k(.x25519)]], chosen: nil),
        IKECase(
            testDescription: "AES without a key length", offers: [[e(.aesGCM16), p(.hmacSHA256), k(.x25519)]], chosen: nil),
        IKECase(
            testDescription: "ChaCha20 with a key length", offers: [[e(.chaCha20Poly1305, 256), p(.hmacSHA256), k(.x25519)]], chosen: nil),
        IKECase(testDescription: "no PRF", offers: [[e(.aesGCM16, 128), k(.x25519)]], chosen: nil),
        IKECase(testDescription: "no key exchange", offers: [[e(.aesGCM16, 128), p(.hmacSHA256)]], chosen: nil),
        IKECase(testDescription: "key exchange NONE", offers: [[e(.aesGCM16, 128), p(.hmacSHA256), k(.none)]], chosen: nil),
        IKECase(testDescription: "MODP-1024", offers: [[e(.aesGCM16, 128), p(.hmacSHA256), k(.modp1024)]], chosen: nil),
        IKECase(testDescription: "SHA-1 as PRF", offers: [[e(.aesGCM16, 128), p(.hmacSHA1), k(.x25519)]], chosen: nil),
        IKECase(testDescription: "a PRF nobody has, CVE-2018-10811", offers: [[e(.aesGCM16, 128), p(.aesXCBC), k(.x25519)]], chosen: nil),
        IKECase(
            testDescription: "an internal group number, CVE-2014-9221",
            offers: [[e(.aesGCM16, 128), p(.hmacSHA256), Transform(.keyExchange, id: 1025)]], chosen: nil),
        IKECase(
            testDescription: "ESP is no IKE proposal", offers: [[e(.aesGCM16, 128), p(.hmacSHA256), k(.x25519)]], protocolID: .esp,
            spi: [1, 2, 3, 4], chosen: nil),
        IKECase(
            testDescription: "an SPI in IKE_SA_INIT", offers: [[e(.aesGCM16, 128), p(.hmacSHA256), k(.x25519)]],
            spi: [1, 2, 3, 4, 5, 6, 7, 8], chosen: nil),
        IKECase(
            testDescription: "an unknown transform type refuses the proposal",
            offers: [
                [e(.aesGCM16, 128), p(.hmacSHA256), k(.x25519), Transform(TransformType(rawValue: 6), id: 36)],
                [e(.aesGCM16, 256), p(.hmacSHA256), k(.x25519)],
            ], chosen: (2, .aesGCM16, 256, .none, .hmacSHA256, .x25519)),
        IKECase(
            testDescription: "an unknown transform type with NONE does not",
            offers: [
                [
                    e(.aesGCM16, 128), p(.hmacSHA256), k(.x25519), Transform(TransformType(rawValue: 6), id: 36),
                    Transform(TransformType(rawValue: 6), id: 0),
                ]
            ], chosen: (1, .aesGCM16, 128, .none, .hmacSHA256, .x25519)),
        IKECase(
            testDescription: "an unknown attribute refuses the transform alone",
            offers: [[unknownAttribute(e(.aesGCM16, 128)), e(.aesGCM16, 256), p(.hmacSHA256), k(.x25519)]],
            chosen: (1, .aesGCM16, 256, .none, .hmacSHA256, .x25519)),
        IKECase(testDescription: "nothing", offers: [], chosen: nil),
    ]

    private static func unknownAttribute(_ transform: Transform) -> Transform {
        var transform = transform
        transform.otherAttributes = [0x80, 99, 0, 1]
        return transform
    }

    @Test("of an IKE SA", arguments: ikeCases)
    func ike(_ row: IKECase) {
        let offers = row.offers.enumerated().map {
            Proposal(number: UInt8($0 + 1), protocolID: row.protocolID, spi: row.spi, transforms: $1)
        }
        let chosen = ProposalSelection.ike(from: offers, accepting: DefaultProposals.ike, offeredKey: row.key)
        #expect((chosen == nil) == (row.chosen == nil))
        guard let chosen, let expected = row.chosen else { return }
        #expect(chosen.number == expected.0)
        #expect(chosen.suite == ProtectionSuite(encryption: expected.1, keyBits: expected.2, integrity: expected.3))
        #expect(chosen.prf == expected.4)
        #expect(chosen.keyExchange == expected.5)
    }

    struct ESPCase: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let offers: [[Transform]]
        var spi: [UInt8] = [0, 0, 16, 1]
        var protocolID = SecurityProtocol.esp
        var extended = true
        /// Number, encryption, key bits, integrity, ESN; nil: none.
        let chosen: (UInt8, EncryptionAlgorithm, Int, IntegrityAlgorithm, Bool)?
    }

    static let espCases: [ESPCase] = [
        ESPCase(testDescription: "AES-GCM with ESN", offers: [[e(.aesGCM16, 128), s(1), s(0)]], chosen: (1, .aesGCM16, 128, .none, true)),
        ESPCase(testDescription: "32-bit numbers only", offers: [[e(.aesGCM16, 128), s(0)]], chosen: (1, .aesGCM16, 128, .none, false)),
        ESPCase(testDescription: "ESN only", offers: [[e(.aesGCM16, 128), s(1)]], chosen: (1, .aesGCM16, 128, .none, true)),
        ESPCase(testDescription: "ESN only, where it is switched off", offers: [[e(.aesGCM16, 128), s(1)]], extended: false, chosen: nil),
        ESPCase(
            testDescription: "both, where ESN is switched off", offers: [[e(.aesGCM16, 128), s(1), s(0)]], extended: false,
            chosen: (1, .aesGCM16, 128, .none, false)),
        ESPCase(testDescription: "no sequence number transform", offers: [[e(.aesGCM16, 128)]], chosen: (1, .aesGCM16, 128, .none, false)),
        ESPCase(
            testDescription: "a key exchange is passed over in IKE_AUTH", offers: [[e(.aesGCM16, 128), k(.modp1024), s(0)]],
            chosen: (1, .aesGCM16, 128, .none, false)),
        ESPCase(
            testDescription: "SHA-1 last, for Windows", offers: [[e(.aesCBC, 256), i(.hmacSHA1_96), s(0)]],
            chosen: (1, .aesCBC, 256, .hmacSHA1_96, false)),
        ESPCase(
            testDescription: "SHA-2 before SHA-1",
            offers: [[e(.aesCBC, 256), i(.hmacSHA1_96), s(0)], [e(.aesCBC, 128), i(.hmacSHA256_128), s(0)]],
            chosen: (2, .aesCBC, 128, .hmacSHA256_128, false)),
        ESPCase(testDescription: "ESP NULL", offers: [[e(.null), i(.hmacSHA256_128), s(0)]], chosen: nil),
        ESPCase(testDescription: "3DES", offers: [[e(.tripleDES), i(.hmacSHA256_128), s(0)]], chosen: nil),
        ESPCase(testDescription: "a reserved SPI", offers: [[e(.aesGCM16, 128), s(0)]], spi: [0, 0, 0, 255], chosen: nil),
        ESPCase(testDescription: "no SPI", offers: [[e(.aesGCM16, 128), s(0)]], spi: [], chosen: nil),
        ESPCase(testDescription: "a long SPI", offers: [[e(.aesGCM16, 128), s(0)]], spi: [0, 0, 16, 1, 0], chosen: nil),
        ESPCase(testDescription: "AH", offers: [[i(.hmacSHA256_128), s(0)]], protocolID: .ah, chosen: nil),
    ]

    @Test("of a Child SA", arguments: espCases)
    func esp(_ row: ESPCase) {
        let offers = row.offers.enumerated().map {
            Proposal(number: UInt8($0 + 1), protocolID: row.protocolID, spi: row.spi, transforms: $1)
        }
        let transforms = DefaultProposals.ipsec.map { transform in
            var transform = transform
            transform.extendedSequenceNumbers = row.extended
            return transform
        }
        let chosen = ProposalSelection.esp(from: offers, accepting: transforms)
        #expect((chosen == nil) == (row.chosen == nil))
        guard let chosen, let expected = row.chosen else { return }
        #expect(chosen.number == expected.0)
        #expect(chosen.spi == 0x1001)
        #expect(chosen.suite == ProtectionSuite(encryption: expected.1, keyBits: expected.2, integrity: expected.3))
        #expect(chosen.extendedSequenceNumbers == expected.4)
    }

    /// What nobody can configure, and what would be dangerous if somebody could.
    @Test("a suite that only authenticates never protects IKE, whoever asks: RFC 7296 section 3.3.2, RFC 4543 section 4")
    func threat_P10_nothingThatDoesNotEncrypt() {
        for (choice, integrity, offered) in [
            (EncryptionChoice(.null), [.hmacSHA256_128], [Self.e(.null), Self.i(.hmacSHA256_128)]),
            (EncryptionChoice(.nullAESGMAC, keyBits: 128), [], [Self.e(.nullAESGMAC, 128)]),
        ] as [(EncryptionChoice, [IntegrityAlgorithm], [Transform])] {
            let offers = [
                Proposal(number: 1, protocolID: .ike, spi: [], transforms: offered + [Self.p(.hmacSHA256), Self.k(.x25519)])
            ]
            let ours = IKETransform(encryption: [choice], integrity: integrity, pseudorandomFunctions: [.hmacSHA256], keyExchange: [.x25519])
            #expect(ProposalSelection.ike(from: offers, accepting: [ours], offeredKey: .x25519) == nil)
            let inESP = [Proposal(number: 1, protocolID: .esp, spi: [0, 0, 16, 1], transforms: offered + [Self.s(0)])]
            #expect(
                ProposalSelection.esp(from: inESP, accepting: [IPsecTransform(encryption: [choice], integrity: integrity)])?.suite.encrypts == false)
        }
    }

    @Test("the order of our own transforms decides")
    func order() {
        let offers = [
            Proposal(
                number: 1, protocolID: .ike, spi: [],
                transforms: [Self.e(.aesGCM16, 128), Self.e(.aesGCM16, 256), Self.p(.hmacSHA256), Self.k(.x25519)])
        ]
        let strong = IKETransform(
            encryption: [EncryptionChoice(.aesGCM16, keyBits: 256)], pseudorandomFunctions: [.hmacSHA256], keyExchange: [.x25519])
        let weak = IKETransform(encryption: [EncryptionChoice(.aesGCM16, keyBits: 128)], pseudorandomFunctions: [.hmacSHA256], keyExchange: [.x25519])
        #expect(ProposalSelection.ike(from: offers, accepting: [strong, weak], offeredKey: .x25519)?.suite.keyBits == 256)
        #expect(ProposalSelection.ike(from: offers, accepting: [weak, strong], offeredKey: .x25519)?.suite.keyBits == 128)
    }
}

import IKEMessages
import Testing
import Wire

/// An exchange's message: payloads that make it valid, and what the rules say of each type.
struct ExchangeSample: CustomTestStringConvertible, Sendable {
    let name: String
    let valid: [Payload]
    /// Without one of these it is refused as missing.
    var required: [PayloadType] = []
    /// At most once.
    var single: [PayloadType] = []
    /// At most so often.
    var limits: [(PayloadType, Int)] = []
    /// Never.
    var forbidden: [PayloadType] = []
    let make: @Sendable ([Payload]) throws(MessageError) -> Void

    var testDescription: String { name }

    func outcome(_ payloads: [Payload]) -> MessageError? { refusal { () throws(MessageError) in try make(payloads) } }

    static func message(_ exchange: ExchangeType, _ flags: IKEHeader.Flags, _ payloads: [Payload]) -> IKEMessage {
        IKEMessage(header: IKEHeader(initiatorSPI: 1, responderSPI: 0, exchange: exchange, flags: flags, messageID: 0), payloads: payloads)
    }

    /// A payload of each type, to be put where it belongs or does not.
    static let payloads: [PayloadType: Payload] = {
        var payloads: [PayloadType: Payload] = [:]
        for sample in PayloadSample.all where payloads[sample.payload.type] == nil { payloads[sample.payload.type] = sample.payload }
        var eap = octets("0205000a01626f622121").span.bytes
        payloads[.eap] = (try? EAPPayload(parsing: &eap)).map { .eap($0) }
        for type in [PayloadType.encrypted, .encryptedFragment] {
            let octets = Raw.message([Raw.Part(type, [0, 1, 0, 1] + Array(repeating: 0, count: 28))])
            payloads[type] = try? IKEMessage(parsing: octets).payloads.first
        }
        return payloads
    }()

    static func sample(_ types: [PayloadType]) -> [Payload] { types.compactMap { payloads[$0] } }

    static let ikeSAInitRequest = ExchangeSample(
        name: "IKE_SA_INIT request", valid: sample([.securityAssociation, .keyExchange, .nonce, .notify, .vendorID]),
        required: [.securityAssociation, .keyExchange, .nonce], single: [.securityAssociation, .keyExchange, .nonce],
        limits: [(.notify, 32), (.vendorID, 32)],
        make: { payloads throws(MessageError) in _ = try IKESAInitRequest(message(.ikeSAInit, .initiator, payloads)) })
    static let ikeSAInitResponse = ExchangeSample(
        name: "IKE_SA_INIT response", valid: sample([.securityAssociation, .keyExchange, .nonce, .certificateRequest]),
        required: [.securityAssociation, .nonce], single: [.securityAssociation, .keyExchange, .nonce],
        limits: [(.notify, 32), (.vendorID, 32), (.certificateRequest, 10)],
        make: { payloads throws(MessageError) in _ = try IKESAInitResponse(message(.ikeSAInit, .response, payloads)) })
    static let ikeSAInitRefusal = ExchangeSample(
        name: "IKE_SA_INIT refusal", valid: sample([.notify]), limits: [(.notify, 32), (.vendorID, 32)],
        make: { payloads throws(MessageError) in _ = try IKESAInitResponse(message(.ikeSAInit, .response, payloads)) })
    static let ikeAuthRequest = ExchangeSample(
        name: "first IKE_AUTH request",
        valid: sample([
            .initiatorIdentification, .certificate, .certificateRequest, .responderIdentification, .authentication, .configuration,
            .securityAssociation, .initiatorTrafficSelectors, .responderTrafficSelectors, .notify, .vendorID,
        ]),
        required: [.initiatorIdentification],
        single: [
            .initiatorIdentification, .responderIdentification, .authentication, .configuration, .securityAssociation,
            .initiatorTrafficSelectors, .responderTrafficSelectors,
        ],
        limits: [(.notify, 32), (.vendorID, 32), (.certificate, 10), (.certificateRequest, 10)], forbidden: [.eap],
        make: { payloads throws(MessageError) in _ = try IKEAuthRequest(payloads: payloads) })
    static let ikeAuthContinuation = ExchangeSample(
        name: "later IKE_AUTH request", valid: sample([.eap, .notify]), single: [.eap], limits: [(.notify, 32), (.vendorID, 32)],
        make: { payloads throws(MessageError) in _ = try IKEAuthContinuation(payloads: payloads) })
    static let ikeAuthResponse = ExchangeSample(
        name: "IKE_AUTH response",
        valid: sample([
            .responderIdentification, .certificate, .authentication, .configuration, .securityAssociation, .initiatorTrafficSelectors,
            .responderTrafficSelectors, .notify,
        ]),
        single: [
            .responderIdentification, .authentication, .configuration, .securityAssociation, .initiatorTrafficSelectors,
            .responderTrafficSelectors, .eap,
        ],
        limits: [(.notify, 32), (.vendorID, 32), (.certificate, 10)],
        make: { payloads throws(MessageError) in _ = try IKEAuthResponse(payloads: payloads) })
    static let createChildSARequest = ExchangeSample(
        name: "CREATE_CHILD_SA request",
        valid: sample([.securityAssociation, .nonce, .keyExchange, .initiatorTrafficSelectors, .responderTrafficSelectors, .notify]),
        required: [.securityAssociation, .nonce],
        single: [
            .securityAssociation, .nonce, .keyExchange, .configuration, .initiatorTrafficSelectors, .responderTrafficSelectors,
        ],
        limits: [(.notify, 32), (.vendorID, 32)],
        make: { payloads throws(MessageError) in _ = try CreateChildSARequest(payloads: payloads) })
    static let createChildSAResponse = ExchangeSample(
        name: "CREATE_CHILD_SA response",
        valid: sample([.securityAssociation, .nonce, .keyExchange, .initiatorTrafficSelectors, .responderTrafficSelectors]),
        single: [
            .securityAssociation, .nonce, .keyExchange, .configuration, .initiatorTrafficSelectors, .responderTrafficSelectors,
        ],
        limits: [(.notify, 32), (.vendorID, 32)],
        make: { payloads throws(MessageError) in _ = try CreateChildSAResponse(payloads: payloads) })
    static let informational = ExchangeSample(
        name: "INFORMATIONAL", valid: sample([.notify, .delete, .configuration]), single: [.configuration],
        limits: [(.notify, 32), (.vendorID, 32), (.delete, 8)],
        make: { payloads throws(MessageError) in _ = try InformationalMessage(payloads: payloads) })

    static let all = [
        ikeSAInitRequest, ikeSAInitResponse, ikeSAInitRefusal, ikeAuthRequest, ikeAuthContinuation, ikeAuthResponse, createChildSARequest,
        createChildSAResponse, informational,
    ]
}

@Suite("Exchanges: which payloads may stand how often, RFC 7296 appendix C")
struct ExchangeTests {
    @Test("valid, in any order, with payloads that mean nothing there", arguments: ExchangeSample.all)
    func valid(sample: ExchangeSample) {
        #expect(ExchangeSample.payloads.count == 18)
        #expect(sample.outcome(sample.valid) == nil)
        #expect(sample.outcome(sample.valid.reversed()) == nil)
        let unknown = Payload.unknown(UnknownPayload(type: PayloadType(rawValue: 200), isCritical: false, body: []))
        #expect(sample.outcome(Array(repeating: unknown, count: 40) + sample.valid) == nil)
    }

    @Test("C1 missing payloads", arguments: ExchangeSample.all)
    func threat_C1_missing(sample: ExchangeSample) {
        for type in sample.required {
            #expect(sample.outcome(sample.valid.filter { $0.type != type }) == .invalidSyntax(.missing(type)))
        }
    }

    @Test("C1 duplicated payloads, once and 256 times", arguments: ExchangeSample.all)
    func threat_C1_duplicate(sample: ExchangeSample) throws {
        for type in sample.single {
            let payload = try #require(ExchangeSample.payloads[type])
            let others = sample.valid.filter { $0.type != type }
            for count in [2, 256] {
                #expect(
                    sample.outcome(others + Array(repeating: payload, count: count)) == .invalidSyntax(.duplicate(type)), "\(count) of \(type)")
            }
        }
    }

    @Test("C3 repeated payloads up to their cap", arguments: ExchangeSample.all)
    func threat_C3_repeated(sample: ExchangeSample) throws {
        for (type, limit) in sample.limits {
            let payload = try #require(ExchangeSample.payloads[type])
            let others = sample.valid.filter { $0.type != type }
            #expect(sample.outcome(others + Array(repeating: payload, count: limit)) == nil, "\(limit) of \(type)")
            #expect(sample.outcome(others + Array(repeating: payload, count: limit + 1)) == .invalidSyntax(.duplicate(type)))
        }
    }

    @Test("C1 misplaced payloads", arguments: ExchangeSample.all)
    func threat_C1_misplaced(sample: ExchangeSample) throws {
        for type in sample.forbidden + [.encrypted, .encryptedFragment] {
            let payload = try #require(ExchangeSample.payloads[type])
            #expect(sample.outcome(sample.valid + [payload]) == .invalidSyntax(.misplaced(type)))
            #expect(sample.outcome([payload] + sample.valid) == .invalidSyntax(.misplaced(type)))
        }
    }

    @Test("C1 every set of payload types is a message or a typed error", arguments: ExchangeSample.all)
    func threat_C1_everyPair(sample: ExchangeSample) {
        let all = ExchangeSample.payloads.values.sorted { $0.type.rawValue < $1.type.rawValue }
        var accepted = 0
        for first in all {
            for second in all {
                accepted += sample.outcome([first, second]) == nil ? 1 : 0
                accepted += sample.outcome(sample.valid + [first, second]) == nil ? 1 : 0
            }
        }
        // Some pass, since foreign payloads mean nothing; most do not.
        #expect(accepted > 0 && accepted < 2 * all.count * all.count)
    }
}

@Suite("Exchanges: payloads that need or exclude each other")
struct CombinationTests {
    private typealias Sample = ExchangeSample

    @Test(
        "RFC 7296 section 1.2: SA, TSi and TSr stand together or not at all",
        arguments: [
            PayloadType.securityAssociation, .initiatorTrafficSelectors, .responderTrafficSelectors,
        ])
    func childPayloads(type: PayloadType) throws {
        for sample in [ExchangeSample.ikeAuthRequest, .ikeAuthResponse] {
            #expect(sample.outcome(sample.valid.filter { $0.type != type }) == .invalidSyntax(.contradiction))
        }
        let childless = Sample.ikeAuthRequest.valid.filter {
            ![.securityAssociation, .initiatorTrafficSelectors, .responderTrafficSelectors].contains($0.type)
        }
        #expect(try IKEAuthRequest(payloads: childless).child == nil)
        #expect(try IKEAuthRequest(payloads: Sample.ikeAuthRequest.valid).child?.initiatorSelectors == PayloadSample.selectors.selectors)
    }

    @Test("RFC 7296 section 2.16: a later request holds either EAP or AUTH")
    func eapOrAuthentication() throws {
        let both = Sample.sample([.eap, .authentication])
        #expect(Sample.ikeAuthContinuation.outcome(both) == .invalidSyntax(.contradiction))
        #expect(Sample.ikeAuthContinuation.outcome([]) == .invalidSyntax(.contradiction))
        guard case .authentication(let authentication) = try IKEAuthContinuation(payloads: Sample.sample([.authentication])).content else {
            Issue.record("no AUTH")
            return
        }
        #expect(authentication.method == .digitalSignature)
        #expect(try IKEAuthRequest(payloads: Sample.sample([.initiatorIdentification])).authentication == nil, "a client that wants EAP")
    }

    @Test("RFC 7296 section 2.6: a refusal is notifies without a key exchange")
    func refusal() throws {
        let response = { (payloads: [Payload]) throws(MessageError) in
            try IKESAInitResponse(ExchangeSample.message(.ikeSAInit, .response, payloads))
        }
        let cookie = Payload.notify(NotifyPayload(.cookie, data: [1, 2, 3]))
        #expect(try response([cookie]) == .refused(Notifies([NotifyPayload(.cookie, data: [1, 2, 3])])))
        #expect(Sample.ikeSAInitResponse.outcome([]) == .invalidSyntax(.missing(.keyExchange)))
        #expect(Sample.ikeSAInitResponse.outcome(Sample.sample([.securityAssociation, .nonce])) == .invalidSyntax(.missing(.keyExchange)))
    }

    private func rekey(_ protocolID: UInt8, _ spi: [UInt8]) -> Payload {
        var notify = NotifyPayload(.rekeySA)
        (notify.protocolID, notify.spi) = (protocolID, spi)
        return .notify(notify)
    }

    private static let rekeyNames: [(UInt8, [UInt8])] = [
        (0, []), (0, [1, 2, 3, 4]), (1, []), (1, [1, 2, 3, 4]), (1, [1, 2, 3, 4, 5, 6, 7, 8]), (4, [1, 2, 3, 4]), (3, []),
        (3, [1, 2, 3]), (3, [1, 2, 3, 4, 5]), (255, [1, 2, 3, 4]),
    ]

    @Test("C1 REKEY_SA names a Child SA of ESP or AH by 4 octets, or the request is refused", arguments: rekeyNames)
    func threat_C1_rekeyProtocol(protocolID: UInt8, spi: [UInt8]) {
        let payloads = [rekey(protocolID, spi)] + Sample.createChildSARequest.valid
        #expect(Sample.createChildSARequest.outcome(payloads) == .invalidSyntax(.payload(.notify, .badValue)))
    }

    @Test("RFC 7296 section 1.3: new Child SA, its rekey, the rekey of the IKE SA")
    func createChild() throws {
        let valid = Sample.createChildSARequest.valid
        let new = try CreateChildSARequest(payloads: valid)
        #expect(new.rekeys == nil && new.initiatorSelectors?.count == 2 && new.keyExchange != nil)
        #expect(try CreateChildSARequest(payloads: valid.filter { $0.type != .keyExchange }).keyExchange == nil)
        let rekeyed = try CreateChildSARequest(payloads: [rekey(3, [1, 2, 3, 4])] + valid).rekeys
        #expect(rekeyed?.protocolID == .esp && rekeyed?.spi == [1, 2, 3, 4])

        let ike = Sample.sample([.securityAssociation, .nonce, .keyExchange])
        #expect(try CreateChildSARequest(payloads: ike).initiatorSelectors == nil)
        #expect(Sample.createChildSARequest.outcome(Sample.sample([.securityAssociation, .nonce])) == .invalidSyntax(.missing(.keyExchange)))
        #expect(Sample.createChildSARequest.outcome(ike + [rekey(3, [1, 2, 3, 4])]) == .invalidSyntax(.contradiction))
        for type in [PayloadType.initiatorTrafficSelectors, .responderTrafficSelectors] {
            let one = valid.filter { $0.type != type }
            #expect(Sample.createChildSARequest.outcome(one) == .invalidSyntax(.contradiction))
            #expect(Sample.createChildSAResponse.outcome(one) == .invalidSyntax(.contradiction))
        }
    }

    @Test("RFC 7296 section 1.3: a refused CREATE_CHILD_SA says why")
    func createChildRefusal() throws {
        let reason = NotifyPayload(.noAdditionalSAs)
        #expect(try CreateChildSAResponse(payloads: [.notify(reason)]) == .refused(Notifies([reason])))
        let status = Payload.notify(NotifyPayload(.initialContact))
        #expect(Sample.createChildSAResponse.outcome([status]) == .invalidSyntax(.missing(.securityAssociation)))
        #expect(Sample.createChildSAResponse.outcome([]) == .invalidSyntax(.missing(.securityAssociation)))
    }

    @Test("RFC 7296 section 1.4: an empty INFORMATIONAL is a liveness check, a Delete names what goes")
    func informational() throws {
        #expect(try InformationalMessage(payloads: []) == InformationalMessage(payloads: Sample.sample([.nonce])))
        let message = try InformationalMessage(payloads: Sample.informational.valid)
        #expect(message.deletes == [DeletePayload(protocolID: .ike, spis: [])] && message.notifies.contains(.cookie))
        #expect(message.configuration?.type == .reply)
    }

    @Test("notifies are found by type and in their order")
    func notifies() {
        let notifies = Notifies([
            NotifyPayload(.cookie, data: [1]), NotifyPayload(.tsUnacceptable), NotifyPayload(.cookie, data: [2]), NotifyPayload(.noProposalChosen),
        ])
        #expect(notifies[.cookie]?.data == [1] && notifies.all(.cookie).map(\.data) == [[1], [2]])
        #expect(notifies.firstError?.type == .tsUnacceptable && notifies.contains(.noProposalChosen) && !notifies.contains(.rekeySA))
        #expect(notifies[.rekeySA] == nil && Notifies().firstError == nil)
    }
}

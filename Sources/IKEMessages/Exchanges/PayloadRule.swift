/// How often a payload may stand in a message of an exchange; the tables below are RFC 7296 appendix C.
package struct PayloadRule: Hashable, Sendable {
    package let type: PayloadType
    package let minimum: Int
    package let maximum: Int

    static func one(_ type: PayloadType) -> PayloadRule { PayloadRule(type: type, minimum: 1, maximum: 1) }
    static func optional(_ type: PayloadType) -> PayloadRule { PayloadRule(type: type, minimum: 0, maximum: 1) }
    static func upTo(_ maximum: Int, _ type: PayloadType) -> PayloadRule { PayloadRule(type: type, minimum: 0, maximum: maximum) }

    /// Checks a set of payloads. Types without a rule are passed over when the RFC knows no reason to refuse them: unknown ones, and known ones
    /// that simply have no meaning there.
    static func check(_ payloads: [Payload], _ rules: [PayloadRule]) throws(MessageError) {
        for rule in rules {
            let count = payloads.count { $0.type == rule.type }
            guard count >= rule.minimum else { throw .invalidSyntax(.missing(rule.type)) }
            guard count <= rule.maximum else {
                throw .invalidSyntax(rule.maximum == 0 ? .misplaced(rule.type) : .duplicate(rule.type))
            }
        }
    }

    private static let common: [PayloadRule] = [
        .upTo(MessageLimits.notifies, .notify), .upTo(MessageLimits.vendorIDs, .vendorID),
    ]

    static let initRequest: [PayloadRule] = [.one(.securityAssociation), .one(.keyExchange), .one(.nonce)] + common
    static let initResponse: [PayloadRule] =
        [
            .one(.securityAssociation), .one(.keyExchange), .one(.nonce),
            .upTo(MessageLimits.certificateRequests, .certificateRequest),
        ] + common
    static let initRefusal: [PayloadRule] = [
        .optional(.securityAssociation), .upTo(MessageLimits.notifies, .notify), .upTo(MessageLimits.vendorIDs, .vendorID),
    ]
    static let authRequest: [PayloadRule] =
        [
            .one(.initiatorIdentification), .optional(.responderIdentification),
            .upTo(MessageLimits.certificates, .certificate),
            .upTo(MessageLimits.certificateRequests, .certificateRequest), .optional(.authentication), .optional(.configuration),
            .optional(.securityAssociation), .optional(.initiatorTrafficSelectors), .optional(.responderTrafficSelectors), .upTo(0, .eap),
        ] + common
    static let authContinuation: [PayloadRule] = [.optional(.eap), .optional(.authentication)] + common
    static let authResponse: [PayloadRule] =
        [
            .optional(.responderIdentification), .upTo(MessageLimits.certificates, .certificate), .optional(.authentication),
            .optional(.configuration), .optional(.securityAssociation), .optional(.initiatorTrafficSelectors),
            .optional(.responderTrafficSelectors), .optional(.eap),
        ] + common
    static let createChildSARequest: [PayloadRule] =
        [
            .one(.securityAssociation), .one(.nonce), .optional(.keyExchange), .optional(.initiatorTrafficSelectors),
            .optional(.responderTrafficSelectors), .optional(.configuration),
        ] + common
    static let createChildSAResponse: [PayloadRule] =
        [
            .optional(.securityAssociation), .optional(.nonce), .optional(.keyExchange), .optional(.initiatorTrafficSelectors),
            .optional(.responderTrafficSelectors), .optional(.configuration),
        ] + common
    static let informational: [PayloadRule] = [.upTo(MessageLimits.deletePayloads, .delete), .optional(.configuration)] + common
}

/// Payloads by kind; each rule above has bounded how many there are.
struct SortedPayloads {
    var securityAssociation: SecurityAssociationPayload?
    var keyExchange: KeyExchangePayload?
    var nonce: NoncePayload?
    var initiatorIdentification: IdentificationPayload?
    var responderIdentification: IdentificationPayload?
    var certificates: [CertificatePayload] = []
    var certificateRequests: [CertificateRequestPayload] = []
    var authentication: AuthenticationPayload?
    var initiatorSelectors: TrafficSelectorPayload?
    var responderSelectors: TrafficSelectorPayload?
    var configuration: ConfigurationPayload?
    var eap: EAPPayload?
    var deletes: [DeletePayload] = []
    var notifies = Notifies()
    var vendorIDs: [VendorIDPayload] = []

    init(_ payloads: [Payload], _ rules: [PayloadRule]) throws(MessageError) {
        try PayloadRule.check(payloads, rules)
        var notifies: [NotifyPayload] = []
        for payload in payloads {
            switch payload {
            case .securityAssociation(let value): securityAssociation = value
            case .keyExchange(let value): keyExchange = value
            case .nonce(let value): nonce = value
            case .initiatorIdentification(let value): initiatorIdentification = value
            case .responderIdentification(let value): responderIdentification = value
            case .certificate(let value): certificates.append(value)
            case .certificateRequest(let value): certificateRequests.append(value)
            case .authentication(let value): authentication = value
            case .initiatorTrafficSelectors(let value): initiatorSelectors = value
            case .responderTrafficSelectors(let value): responderSelectors = value
            case .configuration(let value): configuration = value
            case .eap(let value): eap = value
            case .delete(let value): deletes.append(value)
            case .notify(let value): notifies.append(value)
            case .vendorID(let value): vendorIDs.append(value)
            // Opened before an exchange is made of it, so this is one inside another or one in the clear exchange.
            case .encrypted, .encryptedFragment: throw .invalidSyntax(.misplaced(payload.type))
            case .unknown: continue
            }
        }
        self.notifies = Notifies(notifies)
    }
}

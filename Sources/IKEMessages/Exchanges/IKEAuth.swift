/// What a client asks of its first Child SA.
package struct ChildRequest: Equatable, Sendable {
    package let proposals: [Proposal]
    package let initiatorSelectors: [TrafficSelector]
    package let responderSelectors: [TrafficSelector]
}

/// The first IKE_AUTH request, RFC 7296 section 1.2: IDi, [CERT], [CERTREQ], [IDr], [AUTH], [CP], SAi2, TSi, TSr. Without AUTH the client wants EAP.
package struct IKEAuthRequest: Equatable, Sendable {
    package let identity: IdentificationPayload
    package let wantedIdentity: IdentificationPayload?
    package let certificates: [CertificatePayload]
    package let certificateRequests: [CertificateRequestPayload]
    package let authentication: AuthenticationPayload?
    /// nil when SA, TSi and TSr are all absent (RFC 6023).
    package let child: ChildRequest?
    package let configuration: ConfigurationPayload?
    package let notifies: Notifies
    package let vendorIDs: [VendorIDPayload]

    package init(payloads: [Payload]) throws(MessageError) {
        let sorted = try SortedPayloads(payloads, PayloadRule.authRequest)
        guard let identity = sorted.initiatorIdentification else { throw .invalidSyntax(.missing(.initiatorIdentification)) }
        switch (sorted.securityAssociation, sorted.initiatorSelectors, sorted.responderSelectors) {
        case (nil, nil, nil): child = nil
        case (let sa?, let initiator?, let responder?):
            child = ChildRequest(
                proposals: sa.proposals, initiatorSelectors: initiator.selectors, responderSelectors: responder.selectors)
        default: throw .invalidSyntax(.contradiction)
        }
        self.identity = identity
        wantedIdentity = sorted.responderIdentification
        certificates = sorted.certificates
        certificateRequests = sorted.certificateRequests
        authentication = sorted.authentication
        configuration = sorted.configuration
        notifies = sorted.notifies
        vendorIDs = sorted.vendorIDs
    }
}

/// A later IKE_AUTH request of an EAP login, RFC 7296 section 2.16: EAP, or AUTH at the end.
package struct IKEAuthContinuation: Equatable, Sendable {
    package enum Content: Equatable, Sendable {
        case eap(EAPPayload)
        case authentication(AuthenticationPayload)
    }

    package let content: Content
    package let notifies: Notifies

    package init(payloads: [Payload]) throws(MessageError) {
        let sorted = try SortedPayloads(payloads, PayloadRule.authContinuation)
        switch (sorted.eap, sorted.authentication) {
        case (let eap?, nil): content = .eap(eap)
        case (nil, let authentication?): content = .authentication(authentication)
        default: throw .invalidSyntax(.contradiction)
        }
        notifies = sorted.notifies
    }
}

/// An IKE_AUTH response as the initiator sees it; what must be there depends on what came before.
package struct IKEAuthResponse: Equatable, Sendable {
    package let identity: IdentificationPayload?
    package let certificates: [CertificatePayload]
    package let authentication: AuthenticationPayload?
    package let eap: EAPPayload?
    package let configuration: ConfigurationPayload?
    package let child: ChildRequest?
    package let notifies: Notifies

    package init(payloads: [Payload]) throws(MessageError) {
        let sorted = try SortedPayloads(payloads, PayloadRule.authResponse)
        switch (sorted.securityAssociation, sorted.initiatorSelectors, sorted.responderSelectors) {
        case (nil, nil, nil): child = nil
        case (let sa?, let initiator?, let responder?):
            child = ChildRequest(
                proposals: sa.proposals, initiatorSelectors: initiator.selectors, responderSelectors: responder.selectors)
        default: throw .invalidSyntax(.contradiction)
        }
        identity = sorted.responderIdentification
        certificates = sorted.certificates
        authentication = sorted.authentication
        eap = sorted.eap
        configuration = sorted.configuration
        notifies = sorted.notifies
    }
}

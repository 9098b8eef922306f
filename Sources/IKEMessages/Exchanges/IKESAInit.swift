/// IKE_SA_INIT request, RFC 7296 section 1.2: HDR, SAi1, KEi, Ni.
package struct IKESAInitRequest: Equatable, Sendable {
    package let proposals: [Proposal]
    package let keyExchange: KeyExchangePayload
    package let nonce: NoncePayload
    package let notifies: Notifies
    package let vendorIDs: [VendorIDPayload]

    package init(_ message: IKEMessage) throws(MessageError) {
        let sorted = try SortedPayloads(message.payloads, PayloadRule.initRequest)
        guard let sa = sorted.securityAssociation else { throw .invalidSyntax(.missing(.securityAssociation)) }
        guard let keyExchange = sorted.keyExchange else { throw .invalidSyntax(.missing(.keyExchange)) }
        guard let nonce = sorted.nonce else { throw .invalidSyntax(.missing(.nonce)) }
        proposals = sa.proposals
        self.keyExchange = keyExchange
        self.nonce = nonce
        notifies = sorted.notifies
        vendorIDs = sorted.vendorIDs
    }
}

/// IKE_SA_INIT response: HDR, SAr1, KEr, Nr, [CERTREQ]; or notifies alone.
package enum IKESAInitResponse: Equatable, Sendable {
    case accepted(Accepted)
    /// COOKIE, INVALID_KE_PAYLOAD, NO_PROPOSAL_CHOSEN and the like.
    case refused(Notifies)

    package struct Accepted: Equatable, Sendable {
        package let proposals: [Proposal]
        package let keyExchange: KeyExchangePayload
        package let nonce: NoncePayload
        package let certificateRequests: [CertificateRequestPayload]
        package let notifies: Notifies
        package let vendorIDs: [VendorIDPayload]
    }

    package init(_ message: IKEMessage) throws(MessageError) {
        guard message.payloads.contains(where: { $0.type == .keyExchange }) else {
            let sorted = try SortedPayloads(message.payloads, PayloadRule.initRefusal)
            guard !sorted.notifies.list.isEmpty else { throw .invalidSyntax(.missing(.keyExchange)) }
            self = .refused(sorted.notifies)
            return
        }
        let sorted = try SortedPayloads(message.payloads, PayloadRule.initResponse)
        guard let sa = sorted.securityAssociation else { throw .invalidSyntax(.missing(.securityAssociation)) }
        guard let keyExchange = sorted.keyExchange else { throw .invalidSyntax(.missing(.keyExchange)) }
        guard let nonce = sorted.nonce else { throw .invalidSyntax(.missing(.nonce)) }
        self = .accepted(
            Accepted(
                proposals: sa.proposals, keyExchange: keyExchange, nonce: nonce, certificateRequests: sorted.certificateRequests,
                notifies: sorted.notifies, vendorIDs: sorted.vendorIDs))
    }
}

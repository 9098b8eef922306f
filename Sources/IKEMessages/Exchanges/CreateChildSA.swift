import Wire

/// CREATE_CHILD_SA request, RFC 7296 section 1.3: SA, Ni, [KEi], [TSi, TSr], and REKEY_SA when it replaces a Child SA.
package struct CreateChildSARequest: Equatable, Sendable {
    /// The Child SA to be replaced, by the sender's inbound SPI.
    package struct Rekey: Equatable, Sendable {
        package let protocolID: SecurityProtocol
        package let spi: [UInt8]
    }

    package let proposals: [Proposal]
    package let nonce: NoncePayload
    package let keyExchange: KeyExchangePayload?
    package let initiatorSelectors: [TrafficSelector]?
    package let responderSelectors: [TrafficSelector]?
    package let notifies: Notifies
    package let rekeys: Rekey?

    package init(payloads: [Payload]) throws(MessageError) {
        let sorted = try SortedPayloads(payloads, PayloadRule.createChildSARequest)
        guard let sa = sorted.securityAssociation else { throw .invalidSyntax(.missing(.securityAssociation)) }
        guard let nonce = sorted.nonce else { throw .invalidSyntax(.missing(.nonce)) }
        guard (sorted.initiatorSelectors == nil) == (sorted.responderSelectors == nil) else { throw .invalidSyntax(.contradiction) }
        // Without selectors it rekeys the IKE SA, whose key exchange is not optional (RFC 7296 section 1.3.2).
        guard sorted.initiatorSelectors != nil || sorted.keyExchange != nil else { throw .invalidSyntax(.missing(.keyExchange)) }
        guard sorted.initiatorSelectors != nil || !sorted.notifies.contains(.rekeySA) else { throw .invalidSyntax(.contradiction) }
        proposals = sa.proposals
        self.nonce = nonce
        keyExchange = sorted.keyExchange
        initiatorSelectors = sorted.initiatorSelectors?.selectors
        responderSelectors = sorted.responderSelectors?.selectors
        notifies = sorted.notifies
        if let notify = sorted.notifies[.rekeySA] {
            let protocolID = SecurityProtocol(rawValue: notify.protocolID)
            // Only ESP and AH have SPIs that a REKEY_SA can name; anything else must not come back in our own messages.
            guard protocolID == .esp || protocolID == .ah, notify.spi.count == 4 else {
                throw .invalidSyntax(.payload(.notify, .badValue))
            }
            rekeys = Rekey(protocolID: protocolID, spi: notify.spi)
        } else {
            rekeys = nil
        }
    }
}

/// CREATE_CHILD_SA response: the same, or a notify that refuses.
package enum CreateChildSAResponse: Equatable, Sendable {
    case accepted(Accepted)
    case refused(Notifies)

    package struct Accepted: Equatable, Sendable {
        package let proposals: [Proposal]
        package let nonce: NoncePayload
        package let keyExchange: KeyExchangePayload?
        package let initiatorSelectors: [TrafficSelector]?
        package let responderSelectors: [TrafficSelector]?
        package let notifies: Notifies
    }

    package init(payloads: [Payload]) throws(MessageError) {
        let sorted = try SortedPayloads(payloads, PayloadRule.createChildSAResponse)
        guard let sa = sorted.securityAssociation, let nonce = sorted.nonce else {
            guard sorted.notifies.firstError != nil else { throw .invalidSyntax(.missing(.securityAssociation)) }
            self = .refused(sorted.notifies)
            return
        }
        guard (sorted.initiatorSelectors == nil) == (sorted.responderSelectors == nil) else { throw .invalidSyntax(.contradiction) }
        self = .accepted(
            Accepted(
                proposals: sa.proposals, nonce: nonce, keyExchange: sorted.keyExchange,
                initiatorSelectors: sorted.initiatorSelectors?.selectors, responderSelectors: sorted.responderSelectors?.selectors,
                notifies: sorted.notifies))
    }
}

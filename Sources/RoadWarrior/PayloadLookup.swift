import IKEMessages

/// The client reads payload lists as they come: what it demands of the gateway is written at the place that demands it.
extension [Payload] {
    var proposals: [Proposal]? {
        firstMatch { if case .securityAssociation(let payload) = $0 { payload.proposals } else { nil } }
    }
    var keyExchange: KeyExchangePayload? {
        firstMatch { if case .keyExchange(let payload) = $0 { payload } else { nil } }
    }
    var nonce: [UInt8]? {
        firstMatch { if case .nonce(let payload) = $0 { payload.octets } else { nil } }
    }
    var responderIdentification: IdentificationPayload? {
        firstMatch { if case .responderIdentification(let payload) = $0 { payload } else { nil } }
    }
    var authentication: AuthenticationPayload? {
        firstMatch { if case .authentication(let payload) = $0 { payload } else { nil } }
    }
    var eap: EAPPayload? {
        firstMatch { if case .eap(let payload) = $0 { payload } else { nil } }
    }
    /// X.509 certificates, the sender's own first.
    var certificates: [[UInt8]] {
        compactMap { if case .certificate(let payload) = $0, payload.encoding == .x509Signature { payload.data } else { nil } }
    }
    /// SHA-1 hashes of public keys, 20 octets each.
    var requestedAuthorities: [[UInt8]] {
        var hashes: [[UInt8]] = []
        for payload in self {
            guard case .certificateRequest(let request) = payload, request.encoding == .x509Signature else { continue }
            var rest = request.authorities[...]
            while rest.count >= 20 {
                hashes.append([UInt8](rest.prefix(20)))
                rest = rest.dropFirst(20)
            }
        }
        return hashes
    }
    var configurationReply: [ConfigurationAttribute]? {
        firstMatch { if case .configuration(let payload) = $0, payload.type == .reply { payload.attributes } else { nil } }
    }
    var initiatorSelectors: [TrafficSelector]? {
        firstMatch { if case .initiatorTrafficSelectors(let payload) = $0 { payload.selectors } else { nil } }
    }
    var responderSelectors: [TrafficSelector]? {
        firstMatch { if case .responderTrafficSelectors(let payload) = $0 { payload.selectors } else { nil } }
    }
    var encrypted: EncryptedPayload? {
        firstMatch { if case .encrypted(let payload) = $0 { payload } else { nil } }
    }
    var notifies: [NotifyPayload] {
        compactMap { if case .notify(let payload) = $0 { payload } else { nil } }
    }
    var deletes: [DeletePayload] {
        compactMap { if case .delete(let payload) = $0 { payload } else { nil } }
    }

    func notify(_ type: NotifyType) -> NotifyPayload? { notifies.first { $0.type == type } }

    /// The first notification that reports an error: types below 16384, RFC 7296 section 3.10.1.
    var firstError: NotifyPayload? { notifies.first { $0.type.rawValue < 16384 } }

    private func firstMatch<Value>(_ body: (Payload) -> Value?) -> Value? {
        for payload in self {
            if let value = body(payload) { return value }
        }
        return nil
    }
}

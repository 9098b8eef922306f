import Wire

/// Any payload, RFC 7296 section 3.2. Known payloads ignore their critical bit, as the RFC wants.
package enum Payload: Equatable, Sendable {
    case securityAssociation(SecurityAssociationPayload)
    case keyExchange(KeyExchangePayload)
    case initiatorIdentification(IdentificationPayload)
    case responderIdentification(IdentificationPayload)
    case certificate(CertificatePayload)
    case certificateRequest(CertificateRequestPayload)
    case authentication(AuthenticationPayload)
    case nonce(NoncePayload)
    case notify(NotifyPayload)
    case delete(DeletePayload)
    case vendorID(VendorIDPayload)
    case initiatorTrafficSelectors(TrafficSelectorPayload)
    case responderTrafficSelectors(TrafficSelectorPayload)
    case encrypted(EncryptedPayload)
    case encryptedFragment(EncryptedFragmentPayload)
    case configuration(ConfigurationPayload)
    case eap(EAPPayload)
    case unknown(UnknownPayload)

    package var type: PayloadType {
        switch self {
        case .securityAssociation: .securityAssociation
        case .keyExchange: .keyExchange
        case .initiatorIdentification: .initiatorIdentification
        case .responderIdentification: .responderIdentification
        case .certificate: .certificate
        case .certificateRequest: .certificateRequest
        case .authentication: .authentication
        case .nonce: .nonce
        case .notify: .notify
        case .delete: .delete
        case .vendorID: .vendorID
        case .initiatorTrafficSelectors: .initiatorTrafficSelectors
        case .responderTrafficSelectors: .responderTrafficSelectors
        case .encrypted: .encrypted
        case .encryptedFragment: .encryptedFragment
        case .configuration: .configuration
        case .eap: .eap
        case .unknown(let unknown): unknown.type
        }
    }

    /// Parses a body; SK and SKF are not bodies but ranges of the message, and are parsed by `IKEMessage`.
    init(type: PayloadType, critical: Bool, body: inout RawSpan) throws(WireError) {
        switch type {
        case .securityAssociation: self = .securityAssociation(try SecurityAssociationPayload(parsing: &body))
        case .keyExchange: self = .keyExchange(try KeyExchangePayload(parsing: &body))
        case .initiatorIdentification: self = .initiatorIdentification(try IdentificationPayload(parsing: &body))
        case .responderIdentification: self = .responderIdentification(try IdentificationPayload(parsing: &body))
        case .certificate: self = .certificate(try CertificatePayload(parsing: &body))
        case .certificateRequest: self = .certificateRequest(try CertificateRequestPayload(parsing: &body))
        case .authentication: self = .authentication(try AuthenticationPayload(parsing: &body))
        case .nonce: self = .nonce(try NoncePayload(parsing: &body))
        case .notify: self = .notify(try NotifyPayload(parsing: &body))
        case .delete: self = .delete(try DeletePayload(parsing: &body))
        case .vendorID: self = .vendorID(try VendorIDPayload(parsing: &body))
        case .initiatorTrafficSelectors: self = .initiatorTrafficSelectors(try TrafficSelectorPayload(parsing: &body))
        case .responderTrafficSelectors: self = .responderTrafficSelectors(try TrafficSelectorPayload(parsing: &body))
        case .configuration: self = .configuration(try ConfigurationPayload(parsing: &body))
        case .eap: self = .eap(try EAPPayload(parsing: &body))
        default: self = .unknown(UnknownPayload(type: type, isCritical: critical, body: body.rest()))
        }
    }

    /// Appends the body; SK and SKF have none here, since their content is sealed in place by whoever holds the keys.
    func encode(into message: inout [UInt8]) {
        switch self {
        case .securityAssociation(let payload): payload.encode(into: &message)
        case .keyExchange(let payload): payload.encode(into: &message)
        case .initiatorIdentification(let payload), .responderIdentification(let payload): payload.encode(into: &message)
        case .certificate(let payload): payload.encode(into: &message)
        case .certificateRequest(let payload): payload.encode(into: &message)
        case .authentication(let payload): payload.encode(into: &message)
        case .nonce(let payload): payload.encode(into: &message)
        case .notify(let payload): payload.encode(into: &message)
        case .delete(let payload): payload.encode(into: &message)
        case .vendorID(let payload): payload.encode(into: &message)
        case .initiatorTrafficSelectors(let payload), .responderTrafficSelectors(let payload): payload.encode(into: &message)
        case .configuration(let payload): payload.encode(into: &message)
        case .eap(let payload): payload.encode(into: &message)
        case .unknown(let payload): message += payload.body
        case .encrypted, .encryptedFragment: break
        }
    }
}

/// A payload type this gateway does not know and that was not critical: kept, so that the message re-encodes to what it was.
package struct UnknownPayload: Hashable, Sendable {
    package var type: PayloadType
    package var isCritical: Bool
    package var body: [UInt8]

    package init(type: PayloadType, isCritical: Bool, body: [UInt8]) {
        self.type = type
        self.isCritical = isCritical
        self.body = body
    }
}

/// A chain of payloads behind a header or inside SK, RFC 7296 section 3.2.
///
///     +---------------+-+-------------+-------------------------------+
///     | Next Payload  |C|  RESERVED   |         Payload Length        |
///     +---------------+-+-------------+-------------------------------+
package enum PayloadChain {
    static let headerLength = 4

    /// Parses the payloads inside SK; an SK or SKF there is misplaced.
    package static func parse(first: PayloadType, _ octets: [UInt8]) throws(MessageError) -> [Payload] {
        var span = unsafe octets.span.bytes
        let (payloads, ended) = try walk(first: first, &span)
        guard ended == .none else { throw .invalidSyntax(.misplaced(ended)) }
        guard span.isEmpty else { throw .invalidSyntax(.chain(.trailingOctets)) }
        return payloads
    }

    /// Walks a chain to its end, or to an SK or SKF, whose type is returned with the span before its header.
    static func walk(first: PayloadType, _ span: inout RawSpan) throws(MessageError) -> ([Payload], ended: PayloadType) {
        var payloads: [Payload] = []
        var type = first
        while type != .none, type != .encrypted, type != .encryptedFragment {
            guard payloads.count < MessageLimits.payloads else { throw .invalidSyntax(.tooManyPayloads) }
            let next: PayloadType
            let critical: Bool
            let length: Int
            do throws(WireError) {
                next = PayloadType(rawValue: try span.next())
                critical = try span.next(UInt8.self) & 0x80 != 0
                length = Int(try span.next(UInt16.self))
                guard length >= headerLength, length - headerLength <= span.byteCount else { throw .badLength }
            } catch {
                throw .invalidSyntax(.chain(error))
            }
            let payload: Payload
            do throws(WireError) {
                payload = try span.nested(length - headerLength) { (body: inout RawSpan) throws(WireError) in
                    try Payload(type: type, critical: critical, body: &body)
                }
            } catch {
                throw .invalidSyntax(.payload(type, error))
            }
            if case .unknown = payload, critical { throw .unsupportedCriticalPayload(type.rawValue) }
            payloads.append(payload)
            type = next
        }
        return (payloads, type)
    }

    /// The octets of a chain, and the type of its first payload.
    package static func encode(_ payloads: [Payload]) -> (first: PayloadType, octets: [UInt8]) {
        var octets: [UInt8] = []
        for (index, payload) in payloads.enumerated() {
            let start = octets.count
            octets.append(index + 1 < payloads.count ? payloads[index + 1].type.rawValue : 0)
            if case .unknown(let unknown) = payload, unknown.isCritical { octets.append(0x80) } else { octets.append(0) }
            octets.append(bigEndian: UInt16(0))
            payload.encode(into: &octets)
            octets.patch(bigEndian: UInt16(clamping: octets.count - start), at: start + 2)
        }
        return (payloads.first?.type ?? .none, octets)
    }
}

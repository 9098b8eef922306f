/// What a request asks for.
package enum DynamicRequest: Hashable, Sendable {
    /// Disconnect-Request: end these sessions.
    case disconnect(SessionIdentification)
    /// CoA-Request: change these sessions, all of it or nothing.
    case change(SessionIdentification, AuthorizationChange)

    package var identification: SessionIdentification {
        switch self {
        case .disconnect(let identification), .change(let identification, _): identification
        }
    }

    /// The sessions to act on: those of a user may be ended together, but only one is changed at a time.
    package func targets<ID: Sendable>(
        among sessions: some Sequence<(id: ID, session: SessionDescription)>
    ) -> Result<[ID], RefusedRequest> {
        switch self {
        case .disconnect(let identification): identification.targets(among: sessions, many: true)
        case .change(let identification, _): identification.targets(among: sessions, many: false)
        }
    }
}

/// What of a session's authorization changes; nil stays as it is.
package struct AuthorizationChange: Hashable, Sendable {
    /// Seconds from the session's beginning.
    package var sessionTimeout: UInt32?
    /// Seconds.
    package var idleTimeout: UInt32?
    /// Seconds, 60 at least (RFC 2869 section 5.16).
    package var acctInterimInterval: UInt32?
    /// The name of a ts-list.
    package var filterID: String?

    package init() {}

    var isEmpty: Bool { self == AuthorizationChange() }
}

extension DynamicRequest {
    /// Reads an authentic Disconnect- or CoA-Request. Throws the Error-Cause of RAD-10 and X-5: 401 for any attribute that is not named there,
    /// 402 without a complete identification or (CoA) without a change, 403 for another NAS, 404 for contradictions and, when strict, for more
    /// than one way of identification, 405 for Authorize Only, 407 for a value that cannot be.
    init(_ packet: RADIUSPacket, nas: NASDescription, isStrict: Bool) throws(RefusedRequest) {
        var reader = DynamicRequestReader(isChange: packet.code == .coaRequest, nas: nas)
        guard packet.keys == nil else { throw RefusedRequest(.unsupportedAttribute) }
        for attribute in packet.attributes { try reader.take(attribute) }
        if reader.isOtherNAS { throw RefusedRequest(.nasIdentificationMismatch) }
        let identification = reader.identification
        guard identification.completeMethods > 0 else { throw RefusedRequest(.missingAttribute) }
        guard !isStrict || identification.methods == 1 else { throw RefusedRequest(.invalidRequest) }
        guard reader.isChange else {
            self = .disconnect(identification)
            return
        }
        guard !reader.change.isEmpty else { throw RefusedRequest(.missingAttribute) }
        self = .change(identification, reader.change)
    }
}

/// Takes the attributes of a request one by one.
private struct DynamicRequestReader {
    let isChange: Bool
    let nas: NASDescription
    var identification = SessionIdentification()
    var change = AuthorizationChange()
    var isOtherNAS = false

    init(isChange: Bool, nas: NASDescription) {
        self.isChange = isChange
        self.nas = nas
    }

    mutating func take(_ attribute: RADIUSAttribute) throws(RefusedRequest) {
        switch attribute.type {
        case .proxyState, .eventTimestamp, .messageAuthenticator: return
        case .acctSessionID: try set(\.accountingID, to: text(attribute))
        case .userName: try set(\.userName, to: text(attribute))
        case .nasPortID: try set(\.nasPortID, to: text(attribute))
        case .framedIPAddress: try set(\.ipv4Address, to: valid(attribute.ipv4Address))
        case .framedIPv6Prefix: try set(\.ipv6Prefix, to: valid(attribute.ipv6Prefix))
        case .alcIPsecServID: try set(\.service, to: valid(attribute.integer))
        case .nasIdentifier: if attribute.value != Array(nas.identifier.utf8) { isOtherNAS = true }
        case .nasIPAddress: if try valid(attribute.ipv4Address) != nas.address { isOtherNAS = true }
        case .nasIPv6Address: if try valid(attribute.ipv6Address) != nas.address { isOtherNAS = true }
        // Virtual; a port by number is nothing that we have
        case .nasPortType: if try valid(attribute.integer) != 5 { isOtherNAS = true }
        case .nasPort: isOtherNAS = true
        default: try takeChange(attribute)
        }
    }

    private mutating func takeChange(_ attribute: RADIUSAttribute) throws(RefusedRequest) {
        guard isChange else { throw RefusedRequest(.unsupportedAttribute) }
        switch attribute.type {
        case .sessionTimeout: try set(\.sessionTimeout, to: valid(attribute.integer))
        case .idleTimeout: try set(\.idleTimeout, to: valid(attribute.integer))
        case .acctInterimInterval:
            let interval = try valid(attribute.integer)
            guard interval >= 60 else { throw RefusedRequest(.invalidAttributeValue) }
            try set(\.acctInterimInterval, to: interval)
        case .filterID: try set(\.filterID, to: valid(attribute.text))
        // RFC 5176 section 3.2: Authorize Only
        case .serviceType: throw RefusedRequest(.unsupportedService)
        default: throw RefusedRequest(.unsupportedAttribute)
        }
    }

    private func valid<Value>(_ value: Value?) throws(RefusedRequest) -> Value {
        guard let value else { throw RefusedRequest(.invalidAttributeValue) }
        return value
    }

    private func text(_ attribute: RADIUSAttribute) throws(RefusedRequest) -> [UInt8] {
        guard !attribute.value.isEmpty else { throw RefusedRequest(.invalidAttributeValue) }
        return attribute.value
    }

    /// An attribute may come twice only if it says the same.
    private mutating func set<Value: Equatable>(
        _ field: WritableKeyPath<SessionIdentification, Value?>, to value: Value
    ) throws(RefusedRequest) {
        if let old = identification[keyPath: field], old != value { throw RefusedRequest(.invalidRequest) }
        identification[keyPath: field] = value
    }

    private mutating func set<Value: Equatable>(_ field: WritableKeyPath<AuthorizationChange, Value?>, to value: Value) throws(RefusedRequest) {
        if let old = change[keyPath: field], old != value { throw RefusedRequest(.invalidRequest) }
        change[keyPath: field] = value
    }
}

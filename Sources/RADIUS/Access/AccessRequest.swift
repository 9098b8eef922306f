package import Wire

/// Which attributes an Access-Request carries, `ipsec/radius/authentication-policy` of the configuration; all off unless selected (RAD-4).
package struct IncludedAttributes: Equatable, Sendable {
    package var calledStationID: Bool
    package var callingStationID: Bool
    package var nasIdentifier: Bool
    package var nasIPAddress: Bool
    package var nasPortID: Bool

    package init(
        calledStationID: Bool = false, callingStationID: Bool = false, nasIdentifier: Bool = false, nasIPAddress: Bool = false,
        nasPortID: Bool = false
    ) {
        self.calledStationID = calledStationID
        self.callingStationID = callingStationID
        self.nasIdentifier = nasIdentifier
        self.nasIPAddress = nasIPAddress
        self.nasPortID = nasPortID
    }
}

/// Who asks for whom, as far as RADIUS tells servers of it; the same for every request of a login, and for its accounting.
package struct RequestIdentity: Equatable, Sendable {
    /// RAD-3.
    package var acctSessionID: String
    /// The gateway's address that the client talks to.
    package var local: IPAddress
    package var remote: Endpoint
    /// NAS-Identifier.
    package var systemName: String
    /// NAS-IP-Address or NAS-IPv6-Address; nil when none is configured.
    package var systemAddress: IPAddress?
    /// NAS-Port-Id: the public tunnel SAP, such as `tunnel-1.public:100`; nil when none is configured.
    package var portID: String?

    package init(acctSessionID: String, local: IPAddress, remote: Endpoint, systemName: String, systemAddress: IPAddress?, portID: String?) {
        self.acctSessionID = acctSessionID
        self.local = local
        self.remote = remote
        self.systemName = systemName
        self.systemAddress = systemAddress
        self.portID = portID
    }

    /// The selected attributes of RAD-4. Without NAS-IP-Address and NAS-Identifier, NAS-Identifier is sent: RFC 2865 section 4.1 demands one.
    package func attributes(_ included: IncludedAttributes) -> [RADIUSAttribute] {
        var result: [RADIUSAttribute] = []
        var named = false
        if included.nasIPAddress, let address = systemAddress {
            result.append(RADIUSAttribute(address.family == .ipv4 ? .nasIPAddress : .nasIPv6Address, address))
            named = true
        }
        if included.nasIdentifier || !named { result.append(RADIUSAttribute(.nasIdentifier, systemName)) }
        if included.nasPortID, let portID { result.append(RADIUSAttribute(.nasPortID, portID)) }
        if included.calledStationID { result.append(RADIUSAttribute(.calledStationID, "\(local)")) }
        if included.callingStationID { result.append(RADIUSAttribute(.callingStationID, "\(remote)")) }
        return result
    }
}

/// Why no Access-Request can be made for a client; the login is refused.
package enum AccessRequestError: Error, Equatable, Sendable {
    /// Empty, or longer than the 253 octets of a User-Name: never cut off (RAD-1).
    case unusableName
    /// Empty, longer than 128 octets, or with an octet of zero, which hiding cannot carry (RFC 2865 section 5.2).
    case unusablePassword
}

extension AccessRequestError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .unusableName: "the name is empty or longer than 253 octets"
        case .unusablePassword: "the password is empty, longer than 128 octets, or has an octet of zero"
        }
    }
}

/// What every Access-Request of a login carries, RAD-1 to RAD-4.
package struct AccessRequest: Sendable {
    /// EAP messages up to this size reach the client in one UDP packet of 1280 octets: less IPv6, UDP, non-ESP marker, IKE header and SK payload.
    package static let framedMTU: UInt32 = 1136

    package let userName: [UInt8]
    private let password: Secret<[UInt8]>?
    private let common: [RADIUSAttribute]

    /// `userName`: the EAP identity, else IDi as text. `password`: the client's PSK (psk-radius), else the policy's, else nil (RAD-2); none goes
    /// with EAP. Throws AccessRequestError.
    package init(
        userName: [UInt8], password: Secret<[UInt8]>?, identity: RequestIdentity, included: IncludedAttributes
    ) throws(AccessRequestError) {
        guard (1...253).contains(userName.count) else { throw .unusableName }
        if let octets = password?.revealed() {
            guard (1...128).contains(octets.count), !octets.contains(0) else { throw .unusablePassword }
        }
        self.userName = userName
        self.password = password
        // Service-Type Framed, NAS-Port-Type Virtual
        common =
            [RADIUSAttribute(.acctSessionID, identity.acctSessionID), RADIUSAttribute(.serviceType, 2), RADIUSAttribute(.nasPortType, 5)]
            + identity.attributes(included)
    }

    /// A request that is answered once: psk-radius, cert-radius.
    package func draft() -> RequestDraft {
        var attributes = [RADIUSAttribute(.userName, userName)]
        if let password { attributes.append(RADIUSAttribute(.userPassword, password.revealed())) }
        return RequestDraft(attributes + common)
    }

    /// A request of an EAP conversation (RFC 3579 section 3); without a password.
    func draft(eap: [UInt8], state: [UInt8]?, server: String?) -> RequestDraft {
        var attributes = [RADIUSAttribute(.userName, userName)] + common
        attributes.append(RADIUSAttribute(.framedMTU, Self.framedMTU))
        attributes.append(RADIUSAttribute(.eapMessage, eap))
        if let state { attributes.append(RADIUSAttribute(.state, state)) }
        return RequestDraft(attributes, affinity: server)
    }
}

package import Wire

/// What an accounting record may carry beside what it must (features.md RAD-7).
package enum AccountingAttribute: Hashable, Sendable, CaseIterable {
    case calledStationID
    case callingStationID
    case nasIdentifier
    case nasAddress
    case nasPortID
    case framedIPAddress
    case framedIPv6Prefix
    /// Octets, packets and gigawords.
    case statistics
}

/// Why a session cannot be accounted for: its login is to be refused, since nothing of it may be cut off.
package enum AccountingError: Error, Hashable, Sendable {
    /// Longer than 253 octets.
    case tooLong(RADIUSAttributeType)
    /// A session without an Acct-Session-Id or a User-Name.
    case missing(RADIUSAttributeType)
    /// Its records would be longer than the 4096 octets of a packet, such as for too many Class attributes.
    case tooLarge
}

/// Whom records are about: what all records of a session have in common (RFC 2866 section 5; X-2). What was not selected is nil.
package struct AccountingSubject: Hashable, Sendable {
    package let sessionID: String
    package let userName: [UInt8]
    /// As the Access-Accept had them, in its order.
    package let classes: [[UInt8]]
    package let ipv4Address: IPAddress?
    package let ipv6Address: IPAddress?
    package let nasIdentifier: String?
    package let nasAddress: IPAddress?
    package let nasPortID: String?
    package let calledStationID: String?
    package let callingStationID: String?
    /// Whether counters are reported.
    package let hasStatistics: Bool

    /// A session, with what is selected of all that is known; without NAS-IP-Address selected, NAS-Identifier is always there (RAD-4).
    package init(
        sessionID: String, userName: [UInt8], classes: [[UInt8]], addresses: [IPAddress], nas: NASDescription, nasPortID: String?,
        calledStationID: String?, callingStationID: String?, selected: Set<AccountingAttribute>
    ) throws(AccountingError) {
        guard !sessionID.isEmpty else { throw .missing(.acctSessionID) }
        guard !userName.isEmpty else { throw .missing(.userName) }
        self.sessionID = sessionID
        self.userName = userName
        self.classes = classes
        ipv4Address = selected.contains(.framedIPAddress) ? addresses.first { $0.family == .ipv4 } : nil
        ipv6Address = selected.contains(.framedIPv6Prefix) ? addresses.first { $0.family == .ipv6 } : nil
        (nasIdentifier, nasAddress) = nas.selected(identifier: selected.contains(.nasIdentifier), address: selected.contains(.nasAddress))
        self.nasPortID = selected.contains(.nasPortID) ? nasPortID : nil
        self.calledStationID = selected.contains(.calledStationID) ? calledStationID : nil
        self.callingStationID = selected.contains(.callingStationID) ? callingStationID : nil
        hasStatistics = selected.contains(.statistics)
        try check()
    }

    /// A session whose Access-Request had this identity.
    package init(
        _ identity: RequestIdentity, userName: [UInt8], classes: [[UInt8]], addresses: [IPAddress], selected: Set<AccountingAttribute>
    ) throws(AccountingError) {
        try self.init(
            sessionID: identity.acctSessionID, userName: userName, classes: classes, addresses: addresses,
            nas: NASDescription(identifier: identity.systemName, address: identity.systemAddress), nasPortID: identity.portID,
            calledStationID: "\(identity.local)", callingStationID: "\(identity.remote)", selected: selected)
    }

    /// The gateway itself, for Accounting-On and -Off; RFC 2866 section 5.5 wants a session id even there.
    package init(gateway nas: NASDescription, sessionID: String, selected: Set<AccountingAttribute>) throws(AccountingError) {
        guard !sessionID.isEmpty else { throw .missing(.acctSessionID) }
        self.sessionID = sessionID
        userName = []
        classes = []
        ipv4Address = nil
        ipv6Address = nil
        (nasIdentifier, nasAddress) = nas.selected(identifier: selected.contains(.nasIdentifier), address: selected.contains(.nasAddress))
        nasPortID = nil
        calledStationID = nil
        callingStationID = nil
        hasStatistics = false
        try check()
    }

    /// From the spool, where only what was checked before is written.
    init(
        stored sessionID: String, userName: [UInt8], classes: [[UInt8]], ipv4Address: IPAddress?, ipv6Address: IPAddress?, nasIdentifier: String?,
        nasAddress: IPAddress?, nasPortID: String?, calledStationID: String?, callingStationID: String?, hasStatistics: Bool
    ) {
        self.sessionID = sessionID
        self.userName = userName
        self.classes = classes
        self.ipv4Address = ipv4Address
        self.ipv6Address = ipv6Address
        self.nasIdentifier = nasIdentifier
        self.nasAddress = nasAddress
        self.nasPortID = nasPortID
        self.calledStationID = calledStationID
        self.callingStationID = callingStationID
        self.hasStatistics = hasStatistics
    }

    /// The longest record of this subject must be possible.
    private func check() throws(AccountingError) {
        let longest = AccountingRecord(
            kind: .stop, subject: self, eventTime: 0, sessionTime: 0, counters: AccountingCounters(), cause: .userRequest)
        var length = 20
        for attribute in longest.attributes(delay: 0) {
            guard attribute.value.count <= 253 else { throw .tooLong(attribute.type) }
            length += 2 + attribute.value.count
        }
        guard length <= 4096 else { throw .tooLarge }
    }

    /// The name that is accounted for: the one that the Access-Accept returned, else the EAP identity, else IDi (X-2, threats.md P17).
    package static func userName(accepted: [UInt8]?, eapIdentity: [UInt8]?, idi: [UInt8]) -> [UInt8] {
        if let accepted, !accepted.isEmpty { return accepted }
        if let eapIdentity, !eapIdentity.isEmpty { return eapIdentity }
        return idi
    }

    /// The attributes that stand in every record, after Acct-Status-Type.
    var attributes: [RADIUSAttribute] {
        var attributes = [RADIUSAttribute(.acctSessionID, sessionID)]
        if !userName.isEmpty { attributes.append(RADIUSAttribute(.userName, userName)) }
        if let nasIdentifier { attributes.append(RADIUSAttribute(.nasIdentifier, nasIdentifier)) }
        if let nasAddress {
            attributes.append(RADIUSAttribute(nasAddress.family == .ipv4 ? .nasIPAddress : .nasIPv6Address, nasAddress))
        }
        if let nasPortID { attributes.append(RADIUSAttribute(.nasPortID, nasPortID)) }
        if let calledStationID { attributes.append(RADIUSAttribute(.calledStationID, calledStationID)) }
        if let callingStationID { attributes.append(RADIUSAttribute(.callingStationID, callingStationID)) }
        if let ipv4Address { attributes.append(RADIUSAttribute(.framedIPAddress, ipv4Address)) }
        if let ipv6Address {
            attributes.append(RADIUSAttribute(.framedIPv6Prefix, IPPrefix(host: ipv6Address)))
            attributes.append(RADIUSAttribute(.framedIPv6Address, ipv6Address))
        }
        attributes += classes.map { RADIUSAttribute(.class, $0) }
        return attributes
    }
}

/// Who we are to a RADIUS server.
package struct NASDescription: Hashable, Sendable {
    /// NAS-Identifier: the system's name.
    package var identifier: String
    /// NAS-IP-Address or NAS-IPv6-Address: the system's address.
    package var address: IPAddress?

    package init(identifier: String, address: IPAddress?) {
        self.identifier = identifier
        self.address = address
    }

    /// RFC 2865 section 4.1 wants one of the two: without an address, the identifier.
    func selected(identifier wantsIdentifier: Bool, address wantsAddress: Bool) -> (String?, IPAddress?) {
        let address = wantsAddress ? self.address : nil
        return (wantsIdentifier || address == nil ? identifier : nil, address)
    }
}

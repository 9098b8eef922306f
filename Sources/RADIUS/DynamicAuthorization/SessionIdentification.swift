package import Wire

/// What a live session is known by (features.md RAD-10); the gateway supplies one for each.
package struct SessionDescription: Sendable {
    /// nil without RADIUS.
    package var accountingID: String?
    /// As accounting reports it; without RADIUS, IDi.
    package var userName: [UInt8]
    package var nasPortID: String
    /// The inner addresses.
    package var addresses: [IPAddress]
    /// Alc-IPsec-Serv-Id.
    package var service: UInt32?
    /// In a tunnel group that is not active here.
    package var isStandby: Bool

    package init(accountingID: String?, userName: [UInt8], nasPortID: String, addresses: [IPAddress], service: UInt32?, isStandby: Bool = false) {
        self.accountingID = accountingID
        self.userName = userName
        self.nasPortID = nasPortID
        self.addresses = addresses
        self.service = service
        self.isStandby = isStandby
    }
}

/// How a request says which sessions it means; all that is there must fit one and the same session (RFC 5176 section 3).
package struct SessionIdentification: Hashable, Sendable {
    package var accountingID: [UInt8]?
    package var userName: [UInt8]?
    package var nasPortID: [UInt8]?
    package var ipv4Address: IPAddress?
    package var ipv6Prefix: IPPrefix?
    package var service: UInt32?

    package init() {}

    /// Methods of RAD-10 that are complete: Acct-Session-Id; NAS-Port-Id with an address and a service; User-Name.
    var completeMethods: Int {
        (accountingID == nil ? 0 : 1) + (userName == nil ? 0 : 1) + (isPlaceComplete ? 1 : 0)
    }

    /// Methods that are begun at least.
    var methods: Int {
        (accountingID == nil ? 0 : 1) + (userName == nil ? 0 : 1) + (hasPlace ? 1 : 0)
    }

    private var hasPlace: Bool { nasPortID != nil || ipv4Address != nil || ipv6Prefix != nil || service != nil }
    private var isPlaceComplete: Bool { nasPortID != nil && service != nil && (ipv4Address != nil || ipv6Prefix != nil) }

    /// Whether a session is meant.
    package func matches(_ session: SessionDescription) -> Bool {
        if let accountingID, session.accountingID.map({ Array($0.utf8) }) != accountingID { return false }
        if let userName, session.userName != userName { return false }
        if let nasPortID, Array(session.nasPortID.utf8) != nasPortID { return false }
        if let ipv4Address, !session.addresses.contains(ipv4Address) { return false }
        if let ipv6Prefix, !session.addresses.contains(where: { ipv6Prefix.contains($0) }) { return false }
        if let service, session.service != service { return false }
        return true
    }

    /// Sessions that a request means, or why there are none to act on: 503 without a match, 504 when all stand by, 508 when a request for one
    /// session fits several. `many`: User-Name alone may mean all of a user's sessions.
    package func targets<ID: Sendable>(
        among sessions: some Sequence<(id: ID, session: SessionDescription)>, many: Bool
    ) -> Result<[ID], RefusedRequest> {
        let matching = sessions.filter { matches($0.session) }
        guard !matching.isEmpty else { return .failure(RefusedRequest(.sessionContextNotFound)) }
        let active = matching.filter { !$0.session.isStandby }
        guard !active.isEmpty else { return .failure(RefusedRequest(.sessionContextNotRemovable)) }
        guard active.count == 1 || many && accountingID == nil && !isPlaceComplete else {
            return .failure(RefusedRequest(.multipleSessionSelectionUnsupported))
        }
        return .success(active.map(\.id))
    }
}

/// The refusal of a request that is authentic.
package struct RefusedRequest: Error, Hashable, Sendable {
    package let cause: ErrorCause

    package init(_ cause: ErrorCause) {
        self.cause = cause
    }
}

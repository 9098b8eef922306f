package import Wire

/// `router: radius-server`, `aaa: radius` and `ipsec: radius`, as the file has them; RADIUS takes them up when it comes.
package struct RADIUSSettings: Hashable, Sendable {
    package var servers: [RADIUSServer] = []
    package var serverPolicies: [RADIUSServerPolicy] = []
    package var dynamicAuthorization: DynamicAuthorizationSettings?
    package var authenticationPolicies: [RADIUSAuthenticationPolicy] = []
    package var accountingPolicies: [RADIUSAccountingPolicy] = []
    package init() {}
}

package struct RADIUSServer: Hashable, Sendable {
    package var name: String
    package var address: IPAddress
    package var secret: ConfiguredSecret
    package var authenticationPort: UInt16 = 1812
    package var accountingPort: UInt16 = 1813
    /// CoA and Disconnect requests are taken from this address.
    package var acceptsCoA = false
    package var requiresMessageAuthenticator = true
}

package struct RADIUSServerPolicy: Hashable, Sendable {
    package var name: String
    package var servers: [String]
    package var algorithm = Algorithm.direct
    package var timeout: Duration = .seconds(5)
    package var retryCount = 3
    package var holdDownTime: Duration = .seconds(30)

    package enum Algorithm: String, Hashable, Sendable, CaseIterable {
        case direct
        case roundRobin = "round-robin"
    }
}

package struct DynamicAuthorizationSettings: Hashable, Sendable {
    package var port: UInt16 = 3799
    package var eventTimestampWindow: Duration = .seconds(300)
    package var requiresEventTimestamp = false
    package var requiresMessageAuthenticator = false
    package var isStrictAboutIdentification = false
}

/// What a request carries beside what it must (features.md RAD-4, RAD-7).
package enum RADIUSAttributeChoice: String, Hashable, Sendable, CaseIterable {
    case calledStationID = "called-station-id"
    case callingStationID = "calling-station-id"
    case nasIdentifier = "nas-identifier"
    case nasIPAddress = "nas-ip-addr"
    case nasPortID = "nas-port-id"
    case framedIPAddress = "framed-ip-addr"
    case framedIPv6Prefix = "framed-ipv6-prefix"
    case accountingStatistics = "acct-stats"

    package static let inAuthentication: [RADIUSAttributeChoice] = [
        .calledStationID, .callingStationID, .nasIdentifier, .nasIPAddress, .nasPortID,
    ]
}

package struct RADIUSAuthenticationPolicy: Hashable, Sendable {
    package var name: String
    package var serverPolicy: String
    package var password: ConfiguredSecret?
    package var attributes: Set<RADIUSAttributeChoice> = []
}

package struct RADIUSAccountingPolicy: Hashable, Sendable {
    package var name: String
    package var serverPolicy: String
    /// nil: no interim records.
    package var updateInterval: Duration? = .seconds(600)
    package var updateJitter: Duration = .zero
    package var attributes: Set<RADIUSAttributeChoice> = [.accountingStatistics]
}

/// One `client-db`.
package struct ClientDatabase: Hashable, Sendable {
    package var name: String
    package var matchesIDi = true
    package var matchesPeerPrefix = false
    /// In the order of their ids.
    package var clients: [Client]

    package struct Client: Hashable, Sendable {
        package var id: Int
        package var isEnabled = true
        package var name: String?
        package var identity: IdentityMatch?
        package var peerPrefix: IPPrefix?
        package var accepts = true
        package var preSharedKey: ConfiguredSecret?
        package var template: Int?
        package var trafficSelectors: String?
        package var service: String?
        package var interface: String?
    }

    package enum IdentityMatch: Hashable, Sendable {
        case any
        case fqdn(String)
        case fqdnSuffix(String)
        case rfc822(String)
        case rfc822Suffix(String)
        case regularExpression(String)
        case prefix(IPPrefix)
    }
}

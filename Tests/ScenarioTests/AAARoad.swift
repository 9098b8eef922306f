import GatewayTesting
import Lab
import PKI

/// The usual network with FreeRADIUS on the host behind the gateway; clients come by EAP and trust the gateway's certificate.
///
/// ```
///  client n 198.51.(100+n).2 ---- internet ---- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 host: FreeRADIUS (a second one at 10.20.0.3)
///                                               inner addresses 10.99.0.0/24
/// ```
struct AAARoad {
    let road: Road
    let server: FreeRADIUS
    let authority: LabCertificates

    var scenario: Scenario { road.scenario }
    var gateway: GatewayProcess { road.gateway }
    var host: Namespace { road.host }

    static let secondAddress = "10.20.0.3"
    static let password = "alice's password"

    /// What the gateway is started with, before a test changes it: `auth-method: eap`, its own proof by certificate, one RADIUS server.
    static func settings(_ authority: LabCertificates) throws -> GatewaySettings {
        var settings = GatewaySettings()
        settings.certificates = try authority.gateway()
        settings.authentication = ["auth-method: eap", "own-auth-method: cert"]
        settings.radius = GatewayRADIUSSettings(.init("radius-1", address: RoadNetwork.hostAddress))
        return settings
    }

    static func build(
        _ scenario: Scenario, clients: Int = 1, ipv6: Bool = false, folder: String? = nil, _ users: FreeRADIUSSettings.User...,
        gateway adapt: (inout GatewaySettings) throws -> Void = { _ in }, server change: (inout FreeRADIUSSettings) throws -> Void = { _ in }
    ) async throws -> AAARoad {
        let network = try await RoadNetwork.build(scenario, clients: clients, ipv6: ipv6)
        try await network.host.ip("address add \(secondAddress)/24 dev lan")
        let authority = try LabCertificates(scenario)
        var radius = FreeRADIUSSettings()
        radius.users = users
        radius.certificates = try authority.radius()
        if ipv6 {
            radius.address6 = RoadNetwork.hostAddress6
            radius.clients.append(RoadNetwork.gatewayLANAddress6)
        }
        try change(&radius)
        let server = try await FreeRADIUS.start(scenario, in: network.host, radius)
        var settings = try settings(authority)
        try adapt(&settings)
        let gateway = try await GatewayProcess.start(scenario, in: network.gateway, settings, folder: folder)
        return AAARoad(road: Road(scenario: scenario, network: network, gateway: gateway), server: server, authority: authority)
    }

    /// The second server, with the users of the first.
    func secondServer() async throws -> FreeRADIUS {
        var settings = server.settings
        (settings.name, settings.address, settings.address6) = ("radius-2", Self.secondAddress, nil)
        return try await FreeRADIUS.start(scenario, in: host, settings)
    }

    /// strongSwan on the machine of client `number`, not connected yet.
    ///
    /// - Parameters:
    ///   - identity: its EAP identity, and its certificate's name.
    ///   - idi: what it says it is in IKE; nil: a name of the device, so that the gateway must ask for the EAP identity.
    func client(
        _ number: Int = 1, _ identity: String, password: String = password, by method: EAPMethod = .mschapv2, idi: String? = nil,
        settings: Charon.Settings = .init(), _ change: (inout CharonConnection) -> Void = { _ in }
    ) async throws -> Charon {
        let charon = try await Charon.start(scenario, in: road.network.clients[number - 1], settings: settings)
        try charon.trust(authority.root.certificate.pem)
        var connection = CharonConnection()
        connection.remoteAuth = "pubkey"
        // TLS takes the certificate that says it is the EAP identity
        if method.isByCertificate { _ = try authority.install(try authority.client(identity), at: charon) }
        method.apply(to: &connection, identity: identity, password: password, idi: idi ?? "device-\(number).test")
        change(&connection)
        try await charon.load([connection])
        return charon
    }

    /// A client by PSK or certificate, for psk-radius and cert-radius.
    func client(
        _ number: Int = 1, withoutEAP identity: String, byCertificate: Bool, _ change: (inout CharonConnection) -> Void = { _ in }
    ) async throws -> Charon {
        let charon = try await Charon.start(scenario, in: road.network.clients[number - 1])
        try charon.trust(authority.root.certificate.pem)
        var connection = CharonConnection()
        connection.identity = identity
        connection.remoteAuth = "pubkey"
        if byCertificate {
            connection.localAuth = "pubkey"
            connection.certificate = try authority.install(try authority.client(identity), at: charon)
        }
        change(&connection)
        try await charon.load([connection])
        return charon
    }

    /// Many clients in one strongSwan, `user1` to `userN`, by EAP-MSCHAPv2; child SAs `net1` to `netN`, none connected yet.
    func crowd(_ count: Int, on number: Int = 1, from first: Int = 1) async throws -> Charon {
        let charon = try await Charon.start(scenario, in: road.network.clients[number - 1])
        try charon.trust(authority.root.certificate.pem)
        try await charon.load(
            (first..<first + count).map { index in
                var connection = CharonConnection()
                (connection.name, connection.child) = ("rw\(index)", "net\(index)")
                connection.remoteAuth = "pubkey"
                connection.unique = "never"
                EAPMethod.mschapv2.apply(to: &connection, identity: "user\(index)", password: Self.password, idi: "device-\(index).test")
                return connection
            })
        return charon
    }

    static func crowdUsers(_ count: Int) -> [FreeRADIUSSettings.User] {
        (1...count).map { .init("user\($0)", password: password, "Class = \"crowd\"") }
    }

    /// The one session of an authenticated name.
    func session(named name: String) async throws -> GatewaySession {
        let all = try await gateway.sessions()
        let own = all.filter { $0.name == name }
        guard own.count == 1 else { throw LabError("\(own.count) sessions of \(name): \(all)") }
        return own[0]
    }
}

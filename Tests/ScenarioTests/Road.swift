import Lab

/// A running gateway on the usual network, and clients to come.
///
/// ```
///  client n 198.51.(100+n).2 ---- internet ---- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 host
///                                               inner addresses 10.99.0.0/24
/// ```
struct Road {
    let scenario: Scenario
    let network: RoadNetwork
    let gateway: GatewayProcess

    static func build(
        _ scenario: Scenario, clients: Int = 1, behindNAT: Bool = false, ipv6: Bool = false, _ settings: GatewaySettings = GatewaySettings()
    ) async throws -> Road {
        let network = try await RoadNetwork.build(scenario, clients: clients, behindNAT: behindNAT, ipv6: ipv6)
        let gateway = try await GatewayProcess.start(scenario, in: network.gateway, settings)
        return Road(scenario: scenario, network: network, gateway: gateway)
    }

    var host: Namespace { network.host }

    /// strongSwan on the machine of client `number` (from 1), not connected yet.
    func client(
        _ number: Int = 1, _ identity: String?, settings: Charon.Settings = .init(), _ change: (inout CharonConnection) -> Void = { _ in }
    ) async throws -> Charon {
        var connection = CharonConnection()
        connection.identity = identity
        change(&connection)
        return try await Charon.start(scenario, in: network.clients[number - 1], settings: settings, connection)
    }

    /// Whether echo requests from a client are answered by the host behind the gateway.
    func reachesHost(_ client: Charon) async throws -> Bool {
        try await Ping.run(from: client.namespace, to: RoadNetwork.hostAddress).isComplete
    }

    /// The same over IPv6.
    func reachesHost6(_ client: Charon) async throws -> Bool {
        try await Ping.run(from: client.namespace, to: RoadNetwork.hostAddress6).isComplete
    }

    /// The one session of an identity.
    func session(of identity: String) async throws -> GatewaySession {
        let all = try await gateway.sessions()
        let own = all.filter { $0.identity == identity }
        guard own.count == 1 else { throw LabError("\(own.count) sessions of \(identity): \(all)") }
        return own[0]
    }

    /// Whether the gateway's log comes to hold a line with all of these texts: what a client was told may be read before what was logged.
    func logs(_ texts: String...) async -> Bool {
        await becomesTrue(within: .seconds(10)) { !lines(texts).isEmpty }
    }

    /// The first line with all of these texts, once there is one.
    func logLine(with texts: String...) async -> String? {
        await eventually(within: .seconds(10), every: .milliseconds(50)) { lines(texts).first }
    }

    /// Lines of the gateway's log that hold all of these texts, upper and lower case alike.
    func logLines(with texts: String...) -> [String] { lines(texts) }

    private func lines(_ texts: [String]) -> [String] {
        gateway.process.lines().filter { line in texts.allSatisfy { line.lowercased().contains($0.lowercased()) } }
    }
}

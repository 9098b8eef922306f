import Foundation
import Lab
import Testing

/// Disconnect- and CoA-Requests of the RADIUS server (RFC 5176): whom they mean, what they are answered, and who may not ask.
///
/// ```
///  alice's phone  198.51.101.2 --+
///                                +-- internet ---- 192.0.2.1 gateway 10.20.0.1:3799 ---- 10.20.0.2 FreeRADIUS
///  alice's laptop 198.51.102.2 --+                                                       10.20.0.9 a stranger
/// ```
@Suite(.watched)
struct DisconnectTests {
    private static let alice = FreeRADIUSSettings.User("alice", password: AAARoad.password, "Framed-IP-Address = 10.99.0.77", "Class = \"staff\"")
    private static let portID = "NAS-Port-Id = \"\(GatewayRADIUSSettings.nasPortID)\""

    /// One connected client with 10.99.0.77, and its session.
    private static func connected(
        _ scenario: Scenario, gateway adapt: (inout GatewaySettings) -> Void = { _ in }
    ) async throws -> (aaa: AAARoad, client: Charon, session: GatewaySession) {
        let aaa = try await AAARoad.build(scenario, alice) {
            $0.assignsIPv4 = false
            adapt(&$0)
        }
        let client = try await aaa.client(1, "alice")
        try await client.connect()
        try await aaa.server.waitForAccounting { !$0.of("Start").isEmpty }
        return (aaa, client, try await aaa.session(named: "alice"))
    }

    /// How a request says whom it means.
    enum Identification: String, Sendable, CaseIterable {
        case acctSessionID, place, userName, allThree, addressBesideTheName
        func attributes(of session: GatewaySession) -> [String] {
            let accounting = "Acct-Session-Id = \"\(session.acctSessionId)\""
            let place = [DisconnectTests.portID, "Framed-IP-Address = 10.99.0.77", "Alc-IPsec-Serv-Id = 1"]
            let name = "User-Name = \"alice\""
            return switch self {
            case .acctSessionID: [accounting]
            case .place: place
            case .userName: [name]
            case .allThree: [accounting, name] + place
            case .addressBesideTheName: [name, "Framed-IP-Address = 10.99.0.77"]
            }
        }
    }

    @Test(
        "RAD-9, RAD-10: each way to name a session, and several that agree: ACK, an IKE Delete to the client, a Stop with Admin-Reset",
        arguments: Identification.allCases)
    func rad_10_identifications(_ identification: Identification) async throws {
        try await Scenario.run { scenario in
            let (aaa, client, session) = try await Self.connected(scenario)
            let reply = try await aaa.server.request(
                .disconnect, identification.attributes(of: session) + ["Proxy-State = 0x0102", "Proxy-State += 0xff"])
            #expect(reply?.isAcknowledged == true, "\(String(describing: reply))")
            #expect(reply?.attributes.filter { $0.hasPrefix("Proxy-State") } == ["Proxy-State = 0x0102", "Proxy-State = 0xff"])
            #expect(try await becomesTrue(within: .seconds(5)) { try await client.sas().isEmpty })
            try await aaa.gateway.waitForSessions(0)
            let stop = try await aaa.server.waitForAccounting { !$0.of("Stop").isEmpty }.of("Stop")[0]
            #expect(stop.cause == "Admin-Reset" && stop.session == session.acctSessionId)
            #expect(try aaa.server.accounting().of("Stop").count == 1)
        }
    }

    @Test("RAD-10: User-Name means all tunnels of that name, and of nobody else")
    func rad_10_allOfAName() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(
                scenario, clients: 3, .init("alice", password: AAARoad.password), .init("bob", password: AAARoad.password))
            let phone = try await aaa.client(1, "alice")
            let laptop = try await aaa.client(2, "alice")
            let bob = try await aaa.client(3, "bob")
            for client in [phone, laptop, bob] { try await client.connect() }
            try await aaa.gateway.waitForSessions(3)
            #expect(try await aaa.server.request(.disconnect, ["User-Name = \"alice\""])?.isAcknowledged == true)
            for client in [phone, laptop] { #expect(try await becomesTrue(within: .seconds(5)) { try await client.sas().isEmpty }) }
            #expect(try await aaa.gateway.waitForSessions(1).first?.name == "bob")
            #expect(try await aaa.road.reachesHost(bob))
            #expect(
                try await aaa.server.waitForAccounting { $0.of("Stop").count == 2 }.of("Stop").allSatisfy {
                    $0.userName == "alice" && $0.cause == "Admin-Reset"
                })
        }
    }

    /// A request that is refused.
    struct Refusal: Sendable, CustomTestStringConvertible {
        let attributes: [String]
        let cause: String
        var testDescription: String { "\(cause): \(attributes.joined(separator: ", "))" }
    }

    static let refusals = [
        Refusal(attributes: ["User-Name = \"nobody\""], cause: "Session-Context-Not-Found"),
        Refusal(attributes: ["Acct-Session-Id = \"192.0.2.1-198.51.101.2:4500-1\""], cause: "Session-Context-Not-Found"),
        Refusal(attributes: ["User-Name = \"alice\"", "Framed-IP-Address = 10.99.0.78"], cause: "Session-Context-Not-Found"),
        Refusal(
            attributes: ["User-Name = \"bob\"", portID, "Framed-IP-Address = 10.99.0.77", "Alc-IPsec-Serv-Id = 1"], cause: "Session-Context-Not-Found"
        ),
        Refusal(attributes: [portID, "Framed-IP-Address = 10.99.0.77", "Alc-IPsec-Serv-Id = 2"], cause: "Session-Context-Not-Found"),
        Refusal(attributes: ["NAS-Identifier = \"\(GatewayRADIUSSettings.nasIdentifier)\""], cause: "Missing-Attribute"),
        Refusal(attributes: [portID, "Framed-IP-Address = 10.99.0.77"], cause: "Missing-Attribute"),
        Refusal(attributes: ["User-Name = \"alice\"", "Tunnel-Type = ESP"], cause: "Unsupported-Attribute"),
        Refusal(attributes: ["User-Name = \"alice\"", "NAS-Identifier = \"another\""], cause: "NAS-Identification-Mismatch"),
        Refusal(attributes: ["User-Name = \"alice\"", "NAS-IP-Address = 192.0.2.99"], cause: "NAS-Identification-Mismatch"),
    ]

    @Test("RAD-10: what is refused is refused with its Error-Cause, and the session stays; one that names the same NAS is not")
    func rad_10_refusals() async throws {
        try await Scenario.run { scenario in
            let (aaa, client, session) = try await Self.connected(scenario)
            for refusal in Self.refusals {
                let reply = try await aaa.server.request(.disconnect, refusal.attributes + ["Proxy-State = 0x07"])
                #expect(
                    reply?.isAcknowledged == false && reply?.errorCause == refusal.cause, "\(refusal.testDescription): \(String(describing: reply))")
                #expect(reply?.attributes.contains("Proxy-State = 0x07") == true)
            }
            #expect(try await aaa.session(named: "alice").id == session.id)
            #expect(try await aaa.road.reachesHost(client))
            let good = [
                "User-Name = \"alice\"", "NAS-Identifier = \"\(GatewayRADIUSSettings.nasIdentifier)\"",
                "NAS-IP-Address = \(RoadNetwork.gatewayAddress)",
                "Event-Timestamp = \(Int(Date().timeIntervalSince1970))", "Message-Authenticator = 0x00",
            ]
            #expect(try await aaa.server.request(.disconnect, good)?.isAcknowledged == true)
        }
    }

    @Test("RAD-10: strict-identification: more than one way is 404, one is enough")
    func rad_10_strict() async throws {
        try await Scenario.run { scenario in
            let (aaa, _, session) = try await Self.connected(scenario) { $0.radius?.strictIdentification = true }
            let both = ["User-Name = \"alice\"", "Acct-Session-Id = \"\(session.acctSessionId)\""]
            #expect(try await aaa.server.request(.disconnect, both)?.errorCause == "Invalid-Request")
            #expect(try await aaa.session(named: "alice").id == session.id)
            #expect(try await aaa.server.request(.disconnect, [both[1]])?.isAcknowledged == true)
            try await aaa.gateway.waitForSessions(0)
        }
    }

    @Test(
        "P20: a copy of a request gets the same octets again and ends nothing twice; an old Event-Timestamp, a wrong secret, a damaged authenticator get nothing"
    )
    func threat_P20_replayed() async throws {
        try await Scenario.run { scenario in
            let (aaa, client, session) = try await Self.connected(scenario)
            let peer = try await DatagramPeer(in: aaa.host, address: RoadNetwork.hostAddress, port: 40_000)
            func ask(_ octets: [UInt8], within limit: Duration = .seconds(1)) async -> [UInt8]? {
                await peer.ask(octets, to: RoadNetwork.gatewayLANAddress, port: 3799, within: limit)
            }
            let now = Int(Date().timeIntervalSince1970)
            let name = "User-Name = \"alice\""
            for stale in [now - 310, now + 310] {
                #expect(await ask(try await aaa.server.compose(.disconnect, [name, "Event-Timestamp = \(stale)"])) == nil)
            }
            #expect(await ask(try await aaa.server.compose(.disconnect, [name], secret: "another secret")) == nil)
            // the last octets are those of the Message-Authenticator, and the sum over the whole no longer fits either
            var damaged = try await aaa.server.compose(.disconnect, [name, "Message-Authenticator = 0x00"])
            damaged[damaged.count - 1] ^= 1
            #expect(await ask(damaged) == nil)
            #expect(await ask(Array(damaged.prefix(19))) == nil)
            #expect(try await aaa.session(named: "alice").id == session.id)

            let request = try await aaa.server.compose(.disconnect, [name, "Event-Timestamp = \(now)"])
            let first = try #require(await ask(request, within: .seconds(3)))
            #expect(first.first == 41)
            #expect(try await becomesTrue(within: .seconds(5)) { try await client.sas().isEmpty })
            try await client.connect()
            let next = try await aaa.session(named: "alice")
            #expect(await ask(request) == first, "a copy is answered from the cache")
            #expect(try await aaa.session(named: "alice").id == next.id)
            #expect(try await aaa.road.reachesHost(client))
            let dropped = try await aaa.gateway.radius().dynamicAuthorization
            #expect(dropped.values.reduce(0, +) >= 6, "\(dropped)")
        }
    }

    @Test("RAD-9, P20: a source that is no server, and a server without accept-coa, hear nothing", arguments: ["stranger", "no accept-coa"])
    func rad_9_source(_ who: String) async throws {
        try await Scenario.run { scenario in
            let (aaa, client, session) = try await Self.connected(scenario) { $0.radius?.servers[0].acceptsCoA = who == "stranger" }
            try await aaa.host.ip("address add 10.20.0.9/24 dev lan")
            let source = who == "stranger" ? "10.20.0.9" : RoadNetwork.hostAddress
            #expect(try await aaa.server.request(.disconnect, ["User-Name = \"alice\""], from: source, timeout: 1) == nil)
            #expect(try await aaa.session(named: "alice").id == session.id)
            #expect(try await aaa.road.reachesHost(client))
        }
    }

    @Test("RAD-10: everything over IPv6: authentication, accounting, and a Disconnect by NAS-Port-Id, Framed-IPv6-Prefix and Alc-IPsec-Serv-Id")
    func rad_10_overIPv6() async throws {
        try await Scenario.run { scenario in
            let aaa = try await AAARoad.build(
                scenario, ipv6: true,
                .init("alice", password: AAARoad.password, "Framed-IP-Address = 10.99.0.77", "Framed-IPv6-Prefix = 2001:db8:99::77/128")
            ) {
                $0.assignsIPv4 = false
                $0.hasIPv6Interface = true
                $0.radius?.servers[0].address = RoadNetwork.hostAddress6
            }
            let client = try await aaa.client(1, "alice") {
                $0.virtualAddresses = ["0.0.0.0", "::"]
                $0.remoteSelectors = [RoadNetwork.lan, RoadNetwork.lan6]
            }
            try await client.connect()
            try await aaa.server.waitForAccounting { !$0.of("Start").isEmpty }
            let place = [Self.portID, "Framed-IPv6-Prefix = 2001:db8:99::77/128", "Alc-IPsec-Serv-Id = 1"]
            let reply = try await aaa.server.request(.disconnect, place, to: RoadNetwork.gatewayLANAddress6)
            #expect(reply?.isAcknowledged == true, "\(String(describing: reply))")
            #expect(try await becomesTrue(within: .seconds(5)) { try await client.sas().isEmpty })
            #expect(try await aaa.server.waitForAccounting { !$0.of("Stop").isEmpty }.of("Stop")[0].cause == "Admin-Reset")
        }
    }

    @Test("X-5: a CoA-Request changes the session's limits, all or nothing: with an attribute that is not known nothing changes")
    func x_5_change() async throws {
        try await Scenario.run { scenario in
            let (aaa, client, session) = try await Self.connected(scenario)
            let accounting = "Acct-Session-Id = \"\(session.acctSessionId)\""
            let refused = try await aaa.server.request(.changeOfAuthorization, [accounting, "Idle-Timeout = 900", "Tunnel-Type = ESP"])
            #expect(refused?.isAcknowledged == false && refused?.errorCause == "Unsupported-Attribute", "\(String(describing: refused))")
            #expect(try await aaa.session(named: "alice").authorization?.idleTimeoutSeconds == nil)
            let changed = try await aaa.server.request(.changeOfAuthorization, [accounting, "Idle-Timeout = 900", "Acct-Interim-Interval = 120"])
            #expect(changed?.isAcknowledged == true, "\(String(describing: changed))")
            let said = try await aaa.session(named: "alice").authorization
            #expect(said?.idleTimeoutSeconds == 900 && said?.interimIntervalSeconds == 120)
            #expect(try await aaa.road.reachesHost(client))
            #expect(try await aaa.server.request(.changeOfAuthorization, [accounting, "Session-Timeout = 1"])?.isAcknowledged == true)
            #expect(try await becomesTrue(within: .seconds(8)) { try await client.sas().isEmpty })
            #expect(try await aaa.server.waitForAccounting { !$0.of("Stop").isEmpty }.of("Stop")[0].cause == "Session-Timeout")
        }
    }
}

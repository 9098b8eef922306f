import Lab
import Testing

/// Several sessions of one user: what `uniqueness` and `max-sessions-per-user` make of them.
///
/// ```
///  phone, laptop, tablet 198.51.(100+n).2 ---- internet ---- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 host
///  (one identity on all of them)
/// ```
@Suite(.watched)
struct UniquenessTests {
    /// A device of alice; `unique: never` keeps strongSwan from sending INITIAL_CONTACT.
    private func device(_ road: Road, _ number: Int, sendsInitialContact: Bool = false) async throws -> Charon {
        try await road.client(number, "alice.test") { $0.unique = sendsInitialContact ? "replace" : "never" }
    }

    @Test("X-11: uniqueness replace: the second session of one identity ends the first, which hears a Delete")
    func x_11_replace() async throws {
        try await Scenario.run { scenario in
            let road = try await Road.build(scenario, clients: 2)
            let (phone, laptop) = (try await device(road, 1), try await device(road, 2))
            let address = try await phone.connect().virtualAddresses
            #expect(try await laptop.connect().virtualAddresses == address)
            #expect(try await becomesTrue(within: .seconds(5)) { try await phone.sas().isEmpty })
            #expect(try await road.gateway.waitForSessions(1).first?.remote.hasPrefix("198.51.102.2:") == true)
            #expect(try await road.reachesHost(laptop))
        }
    }

    @Test("X-11: uniqueness never: two sessions of one identity live side by side, each with its own address")
    func x_11_never() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.uniqueness = "never"
            let road = try await Road.build(scenario, clients: 2, settings)
            let (phone, laptop) = (try await device(road, 1), try await device(road, 2))
            let first = try await phone.connect().virtualAddresses
            let second = try await laptop.connect().virtualAddresses
            #expect(first.count == 1 && second.count == 1 && first != second)
            try await road.gateway.waitForSessions(2)
            #expect(try await road.reachesHost(phone))
            #expect(try await road.reachesHost(laptop))
        }
    }

    @Test("X-11: uniqueness keep: a second session is refused while the first stands, and comes in after it")
    func x_11_keep() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.uniqueness = "keep"
            let road = try await Road.build(scenario, clients: 2, settings)
            let (phone, laptop) = (try await device(road, 1), try await device(road, 2))
            try await phone.connect()
            let refused = try await laptop.initiate()
            #expect(!refused.succeeded && refused.output.contains("AUTHENTICATION_FAILED"), "\(refused.output)")
            #expect(await road.logs("alice.test", "uniqueness"))
            #expect(try await road.session(of: "alice.test").remote.hasPrefix("198.51.101.2:"))
            #expect(try await road.reachesHost(phone))
            try await phone.terminate()
            try await road.gateway.waitForSessions(0)
            try await laptop.connect()
            #expect(try await road.reachesHost(laptop))
        }
    }

    @Test("max-sessions-per-user with reject: one too many is refused, and the others stay")
    func sessionLimitReject() async throws {
        try await Scenario.run(slots: 2) { scenario in
            var settings = GatewaySettings()
            settings.uniqueness = "never"
            settings.sessionLimit = (count: 2, action: "reject")
            let road = try await Road.build(scenario, clients: 3, settings)
            let (phone, laptop, tablet) = (try await device(road, 1), try await device(road, 2), try await device(road, 3))
            try await phone.connect()
            try await laptop.connect()
            let refused = try await tablet.initiate()
            #expect(!refused.succeeded && refused.output.contains("AUTHENTICATION_FAILED"), "\(refused.output)")
            #expect(await road.logs("alice.test", "max-sessions-per-user"))
            try await road.gateway.waitForSessions(2)
            #expect(try await road.reachesHost(phone))
            #expect(try await road.reachesHost(laptop))
            try await phone.terminate()
            try await road.gateway.waitForSessions(1)
            try await tablet.connect()
            #expect(try await road.reachesHost(tablet))
        }
    }

    @Test("max-sessions-per-user with replace-oldest: one too many ends the oldest alone")
    func sessionLimitReplaceOldest() async throws {
        try await Scenario.run(slots: 2) { scenario in
            var settings = GatewaySettings()
            settings.uniqueness = "never"
            settings.sessionLimit = (count: 2, action: "replace-oldest")
            let road = try await Road.build(scenario, clients: 3, settings)
            let (phone, laptop, tablet) = (try await device(road, 1), try await device(road, 2), try await device(road, 3))
            let oldest = try await phone.connect().virtualAddresses
            let kept = try await laptop.connect().virtualAddresses
            let newest = try await tablet.connect().virtualAddresses
            #expect(kept != newest && oldest != kept)
            #expect(try await becomesTrue(within: .seconds(5)) { try await phone.sas().isEmpty })
            let remotes = try await road.gateway.waitForSessions(2).map { String($0.remote.prefix { $0 != ":" }) }
            #expect(Set(remotes) == ["198.51.102.2", "198.51.103.2"])
            #expect(try await road.reachesHost(laptop))
            #expect(try await road.reachesHost(tablet))
        }
    }
}

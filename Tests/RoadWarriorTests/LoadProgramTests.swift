import ArgumentParser
import IKEMessages
import RoadWarrior
import Testing
import Wire

@testable import ipsec_load

/// What `ipsec-load` decides before it sends anything.
struct LoadProgramTests {
    @Test(arguments: [
        ("127.0.0.1", UInt64(1) as UInt64?, UInt64(1) as UInt64?, false, true),
        ("::1", 1, 1, false, true),
        ("192.0.2.1", 1, 1, false, false),
        ("192.0.2.1", 1, 1, true, true),
        ("192.0.2.1", 2, 1, false, true),
        ("192.0.2.1", nil, 1, false, false),
        ("192.0.2.1", 2, nil, false, false),
    ])
    func programs_refusesStrangersAndTheHostsOwnNamespace(
        target: String, own: UInt64?, host: UInt64?, confirmed: Bool, allowed: Bool
    ) throws {
        let objection = Safety.objection(
            target: try #require(IPAddress(target)), ownNamespace: own, hostNamespace: host, confirmed: confirmed)
        #expect((objection == nil) == allowed)
    }

    @Test(arguments: [
        (["--gateway", "192.0.2.1", "connect", "--psk", "x"], ["connect", "--gateway", "192.0.2.1", "--psk", "x"]),
        (["connect", "--id", "setup"], ["connect", "--id", "setup"]),
        (["--id", "connect", "connect"], ["connect", "--id", "connect"]),
        (["--tun", "connect", "--id", "a"], ["connect", "--tun", "--id", "a"]),
        (["--tun", "t0", "--route", "10.0.0.0/8", "10.9.0.0/16", "connect"], ["connect", "--tun", "t0", "--route", "10.0.0.0/8", "10.9.0.0/16"]),
        (["--json", "setup", "--rate", "5"], ["setup", "--json", "--rate", "5"]),
        (["--yes-this-is-my-gateway", "--psk=a", "setup"], ["setup", "--yes-this-is-my-gateway", "--psk=a"]),
        (["--help"], ["--help"]),
        ([], []),
    ])
    func programs_flagsStandBeforeOrAfterTheSubcommand(given: [String], expected: [String]) {
        #expect(Arguments.ordered(given, commands: ["connect", "setup"]) == expected)
    }

    @Test func programs_connectTakesItsFlags() throws {
        let parsed = try LoadProgram.parseAsRoot([
            "connect", "--gateway", "192.0.2.1", "--psk", "k", "--id", "a@b", "--remote-id", "gw.example.org", "--tun", "--route",
            "10.0.0.0/8", "10.9.0.0/16",
        ])
        let connect = try #require(parsed as? Connect)
        #expect(connect.tun == "ipsec0" && connect.route == ["10.0.0.0/8", "10.9.0.0/16"])
        let target = try connect.gateway.target()
        #expect(target.remoteIdentity == IdentificationPayload(type: .fqdn, data: [UInt8]("gw.example.org".utf8)))
        #expect(target.remote == Endpoint(IPAddress(v4: 0xc000_0201), port: 500))
    }

    @Test func clientsAreNumbered() throws {
        let parsed = try LoadProgram.parseAsRoot([
            "setup", "--gateway", "127.0.0.1", "--psk", "k", "--id", "c%n@b", "--rate", "10",
        ])
        let target = try (try #require(parsed as? Setup)).gateway.target()
        let settings = target.settings(client: 12, local: Endpoint(IPAddress(v4: 0), port: 40_000))
        #expect(settings.identity == IdentificationPayload(type: .rfc822Address, data: [UInt8]("c12@b".utf8)))
        #expect(settings.localNATPort == 40_000 && settings.natClaim == .behindNAT)
    }

    @Test(arguments: [
        ("10s", Duration.seconds(10) as Duration?), ("500ms", .milliseconds(500)), ("2m", .seconds(120)), ("1.5", .milliseconds(1500)),
        ("0s", nil), ("-1s", nil), ("soon", nil), ("", nil),
    ])
    func durations(text: String, expected: Duration?) {
        #expect(Setup.duration(text) == expected)
    }

    @Test func percentilesAndCauses() throws {
        var statistics = Statistics()
        #expect(statistics.percentile(0.5) == nil)
        for milliseconds in (1...100).reversed() { statistics.establish(after: .milliseconds(milliseconds)) }
        #expect(statistics.percentile(0.5) == 50 && statistics.percentile(0.99) == 99 && statistics.percentile(1) == 100)
        statistics.fail("b")
        statistics.fail("a")
        statistics.fail("a")
        let result = SetupResult(
            rate: 10, clients: 3, seconds: 2, started: 103, established: 100, perSecond: 50, failed: statistics.failed,
            p50: statistics.percentile(0.5), p99: nil, failures: statistics.failures)
        #expect(
            result.json
                == #"{"clients":3,"established":100,"failed":3,"failures":[{"cause":"a","count":2},{"cause":"b","count":1}],"#
                + #""p50Milliseconds":50,"p99Milliseconds":null,"perSecond":50,"rate":10,"seconds":2,"started":103}"#)
        #expect(result.table.split(separator: "\n").allSatisfy { $0.count <= 100 })
    }

    @Test func agendaIsInOrder() {
        var agenda = Agenda()
        let times = (0..<200).map { UInt64($0) * 7919 % 997 }
        for (client, time) in times.enumerated() { agenda.add(client, at: Instant(nanoseconds: time)) }
        var taken: [UInt64] = []
        #expect(agenda.next == times.min().map { Instant(nanoseconds: $0) })
        while let client = agenda.take(due: Instant(nanoseconds: 500)) { taken.append(times[client]) }
        #expect(taken == times.filter { $0 <= 500 }.sorted())
    }
}

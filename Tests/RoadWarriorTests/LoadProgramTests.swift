import ArgumentParser
import Datapath
import Foundation
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
        (["--reconnect", "--progress", "hold", "--clients", "3"], ["hold", "--reconnect", "--progress", "--clients", "3"]),
        (["--kind", "malformed", "flood"], ["flood", "--kind", "malformed"]),
        (["--help"], ["--help"]),
        ([], []),
    ])
    func programs_flagsStandBeforeOrAfterTheSubcommand(given: [String], expected: [String]) {
        #expect(Arguments.ordered(given, commands: ["connect", "setup", "hold", "flood"]) == expected)
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

    /// operations.md: what the kernel loses is said once, of however many workers.
    @Test func programs_connectTellsALostOffloadOnce() {
        var losses = LostOffloads()
        let lines = ["no UDP_SEGMENT", "no UDP_SEGMENT", "no USO", "no UDP_SEGMENT"].map { losses.line($0) }
        #expect(lines == ["ipsec-load: no UDP_SEGMENT", nil, "ipsec-load: no USO", nil])
    }

    @Test(arguments: [([], Datapath.Offloads.all, 1), (["--offloads", "udp"], .udp, 1), (["--offloads=none", "--workers", "2"], .none, 2)])
    func programs_offloadsCanBeDoneWithout(more: [String], offloads: Datapath.Offloads, workers: Int) throws {
        let words = Arguments.ordered(["--tun", "t0"] + more + ["connect", "--gateway", "127.0.0.1", "--psk", "k"], commands: ["connect"])
        let connect = try #require(try LoadProgram.parseAsRoot(words) as? Connect)
        #expect(connect.tun == "t0" && connect.offloads == offloads && connect.workers == workers)
        #expect(throws: (any Error).self) { _ = try LoadProgram.parseAsRoot(words + ["--offloads", "some"]) }
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

    static let eap = ["setup", "--gateway", "127.0.0.1", "--psk", "k", "--rate", "10", "--eap-user", "u%n@b"]

    @Test func programs_eachClientHasItsNameAndPassword() throws {
        let setup = try #require(try LoadProgram.parseAsRoot(Self.eap + ["--eap-password", "p-%n"]) as? Setup)
        let settings = try setup.gateway.target().settings(client: 12, local: Endpoint(IPAddress(v4: 0), port: 40_000))
        // IDi is the name where no other is given.
        #expect(settings.identity == IdentificationPayload(type: .rfc822Address, data: [UInt8]("u12@b".utf8)))
        #expect(!settings.allowsEAPOnly && settings.presharedKey == Secret([UInt8]("k".utf8)))
        var peer = try #require(settings.eap)
        #expect(peer.respond(to: [1, 7, 0, 5, 1]) == [2, 7, 0, 10, 1] + "u12@b".utf8)
        // Of the methods MSCHAPv2 alone, unless others are named.
        #expect(peer.respond(to: [1, 8, 0, 5, 6]) == [2, 8, 0, 6, 3, 26])
        var token = try #require(
            try setupPeer(Self.eap + ["--id", "laptop", "--eap-password", "p-%n", "--eap-method", "gtc", "--eap-method", "md5"]))
        #expect(token.respond(to: [1, 7, 0, 5, 26]) == [2, 7, 0, 7, 3, 6, 4])
        #expect(token.respond(to: [1, 8, 0, 5, 6]) == [2, 8, 0, 8, 6] + "p-3".utf8)
    }

    private func setupPeer(_ words: [String]) throws -> (any EAPMethod)? {
        let setup = try #require(try LoadProgram.parseAsRoot(words) as? Setup)
        return try setup.gateway.target().settings(client: 3, local: Endpoint(IPAddress(v4: 0), port: 40_000)).eap
    }

    @Test func programs_aPasswordFromAFileOrTheEnvironment() throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "eap-\(UInt64.random(in: 0...UInt64.max))").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data("of a file %n \n\n".utf8).write(to: URL(filePath: path))
        let filed = try EAPOptions.parse(["--eap-user", "u", "--eap-password-file", path])
        #expect(try filed.login(environment: { _ in "passed over" })?.password.revealed() == "of a file %n \n")
        let bare = try EAPOptions.parse(["--eap-user", "u"])
        let login = try bare.login(environment: { $0 == "IPSEC_LOAD_EAP_PASSWORD" ? "of the environment" : nil })
        #expect(login?.password.revealed() == "of the environment" && login?.methods == [.mschapv2] && login?.provesGateway == false)
        #expect(throws: ValidationError.self) { _ = try bare.login(environment: { _ in nil }) }
        #expect(try EAPOptions.parse([]).login(environment: { _ in "of no use" }) == nil)
        try Data([0xff, 0xfe]).write(to: URL(filePath: path))
        #expect(throws: ValidationError.self) { _ = try filed.login() }
    }

    /// What has no use beside something else, or nothing to prove a side by.
    @Test(arguments: [
        ["--gateway", "127.0.0.1", "--eap-user", "u", "--eap-password", "p"],
        ["--gateway", "127.0.0.1", "--psk", "k", "--id", "a", "--eap-password", "p"],
        ["--gateway", "127.0.0.1", "--psk", "k", "--id", "a", "--eap-only"],
        ["--gateway", "127.0.0.1", "--psk", "k", "--eap-user", "", "--eap-password", "p"],
        ["--gateway", "127.0.0.1", "--psk", "k", "--eap-user", "u", "--eap-password", ""],
        ["--gateway", "127.0.0.1", "--psk", "k", "--eap-user", "u", "--eap-password", "p", "--eap-password-file", "/dev/null"],
        ["--gateway", "127.0.0.1", "--psk", "k", "--eap-user", "u", "--eap-password-file", "/does/not/exist"],
        ["--gateway", "127.0.0.1", "--eap-user", "u", "--eap-password", "p", "--eap-only", "--eap-method", "gtc"],
    ])
    func programs_eapOptionsThatDoNotFit(_ words: [String]) throws {
        let connect = try #require(try LoadProgram.parseAsRoot(["connect"] + words) as? Connect)
        #expect(throws: ValidationError.self) { _ = try connect.gateway.target() }
    }

    @Test func programs_eapAloneProvesTheGateway() throws {
        let words = ["connect", "--gateway", "127.0.0.1", "--eap-user", "u", "--eap-password", "p", "--eap-only"]
        let connect = try #require(try LoadProgram.parseAsRoot(words) as? Connect)
        let settings = try connect.gateway.target().settings(client: 0, local: Endpoint(IPAddress(v4: 0), port: 40_000))
        #expect(settings.allowsEAPOnly && settings.eap != nil && settings.trust == nil)
        #expect(Arguments.ordered(["--eap-only", "connect"], commands: ["connect"]) == ["connect", "--eap-only"])
    }

    @Test(arguments: [
        ("10s", Duration.seconds(10) as Duration?), ("500ms", .milliseconds(500)), ("2m", .seconds(120)), ("1.5", .milliseconds(1500)),
        ("0s", nil), ("-1s", nil), ("soon", nil), ("", nil),
    ])
    func durations(text: String, expected: Duration?) {
        #expect(Time.duration(text) == expected)
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

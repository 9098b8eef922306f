import Foundation
import GatewayTesting
import Testing

/// Load is for any IKEv2 gateway: here one that we did not write.
@Suite(.serialized, .enabled(if: StrongSwanGateway.missing == nil, "needs root and strongSwan with kernel-libipsec"))
struct StrongSwanLoadTests {
    private func words(_ subcommand: String, _ more: [String]) -> [String] {
        [
            subcommand, "--gateway", "198.51.100.1", "--psk", StrongSwanGateway.psk, "--id", "c%n@example.org", "--remote-id", "gw.example.org",
            "--ike", "aes256gcm16-prfsha256-x25519", "--esp", "aes256gcm16-noesn", "--json",
        ] + more
    }

    private struct Outcome: Decodable {
        let established: Int
        let failed: Int
        let lost: Int?
        let held: Int?
        let answered: Int?
        let childRekeysByUs: Int?
        let childRekeysByGateway: Int?
    }

    private func outcome<Figures: Decodable>(_ running: Running) throws -> Figures {
        let line = try #require(running.output.split(separator: "\n").last { $0.hasPrefix("{") }, "\(running.output)")
        print("ipsec-load against strongSwan: \(line)")
        return try JSONDecoder().decode(Figures.self, from: Data(line.utf8))
    }

    @Test func programs_setupAgainstStrongSwan() throws {
        let gateway = try StrongSwanGateway(ike: "aes256gcm16-prfsha256-x25519", esp: "aes256gcm16")
        defer { gateway.remove() }
        let load = try gateway.load(words: words("setup", ["--rate", "10", "--clients", "20", "--for", "3s"]))
        defer { load.stop() }
        #expect(load.end(seconds: 30) == 0, "\(load.output)")
        let outcome: Outcome = try outcome(load)
        #expect(outcome.established >= 28 && outcome.failed == 0, "\(load.output)\n\(gateway.log)")
        #expect(try !gateway.swanctl("--list-sas").output.contains("ESTABLISHED"))
    }

    @Test(arguments: [1, 5]) func programs_holdAgainstStrongSwan(share: Int) throws {
        let gateway = try StrongSwanGateway(ike: "aes256gcm16-prfsha256-x25519", esp: "aes256gcm16", childRekey: "4s")
        defer { gateway.remove() }
        let load = try gateway.load(
            words: words("hold", ["--clients", "10", "--for", "8s", "--share", "\(share)", "--rekey-child", "5", "--rekey-ike", "4"]))
        defer { load.stop() }
        #expect(load.end(seconds: 40) == 0, "\(load.output)")
        let outcome: Outcome = try outcome(load)
        #expect(outcome.established == 10 && outcome.failed == 0 && outcome.lost == 0 && outcome.held == 10, "\(load.output)\n\(gateway.log)")
        // It asks after two seconds of silence whether we live.
        #expect(outcome.childRekeysByGateway ?? 0 > 0 && outcome.answered ?? 0 > 0, "\(load.output)")
        #expect(try !gateway.swanctl("--list-sas").output.contains("ESTABLISHED"))
    }

    @Test func programs_trafficAgainstStrongSwan() throws {
        let gateway = try StrongSwanGateway(ike: "aes256gcm16-prfsha256-x25519", esp: "aes256gcm16")
        defer { gateway.remove() }
        let reflector = try gateway.load(words: ["reflect", "--listen", "10.9.0.1:7007", "--json"], isBehind: true)
        defer { reflector.stop() }
        #expect(reflector.waitFor("reflecting on", seconds: 20), "\(reflector.output)")
        let load = try gateway.load(
            words: words("traffic", ["--clients", "5", "--to", "10.9.0.1:7007", "--size", "64,1300", "--rate", "200", "--for", "4s"]))
        defer { load.stop() }
        #expect(load.end(seconds: 60) == 0, "\(load.output)\n\(gateway.log)")
        let carried: TrafficFigures = try outcome(load)
        #expect(carried.established == 5 && carried.agreed == 5 && carried.others == 0, "\(load.output)\n\(gateway.log)")
        for direction in [carried.up, carried.down] {
            // Whatever it loses under the load of a busy machine, it loses whole
            #expect(direction.received >= 300 && direction.lost * 20 <= direction.sent, "\(load.output)")
            #expect(direction.corrupted == 0 && direction.duplicated == 0, "\(load.output)")
        }
        #expect(try !gateway.swanctl("--list-sas").output.contains("ESTABLISHED"))
    }

    private struct Flooded: Decodable {
        struct Answer: Decodable {
            let cause: String
            let count: Int
        }
        let sent: Int
        let answers: [Answer]
        let cookiesReturned: Int
        let amplification: Double?
    }

    /// From a few half-open IKE SAs on it asks for cookies, which nobody spoofed returns; and who means it comes in.
    @Test(arguments: ["spoofed", "half-open"]) func programs_floodAgainstStrongSwan(kind: String) throws {
        let gateway = try StrongSwanGateway(ike: "aes256gcm16-prfsha256-x25519", esp: "aes256gcm16")
        defer { gateway.remove() }
        try gateway.widenClient()
        let flood = try gateway.load(words: [
            "flood", "--gateway", "198.51.100.1", "--ike", "aes256gcm16-prfsha256-x25519", "--kind", kind, "--rate", "500", "--for", "6s", "--from",
            kind == "spoofed" ? "198.18.0.0/15" : "198.51.100.130-198.51.100.137", "--seed", "1", "--json",
        ])
        defer { flood.stop() }
        let setup = try gateway.load(words: words("setup", ["--rate", "5", "--clients", "5", "--for", "3s"]))
        defer { setup.stop() }
        #expect(flood.end(seconds: 40) == 0, "\(flood.output)")
        #expect(setup.end(seconds: 60) == 0, "\(setup.output)\n\(gateway.log)")
        let flooded: Flooded = try outcome(flood)
        let kinds = flooded.answers.map(\.cause)
        #expect(flooded.sent >= 1000 && kinds.contains("IKE_SA_INIT response") && kinds.contains("COOKIE"), "\(flood.output)")
        #expect((flooded.cookiesReturned > 0) == (kind == "half-open") && flooded.amplification != nil, "\(flood.output)")
        let comers: Outcome = try outcome(setup)
        #expect(comers.established >= 12 && comers.failed == 0, "\(setup.output)")
    }
}

import Foundation
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

    private func outcome(_ running: Running) throws -> Outcome {
        let line = try #require(running.output.split(separator: "\n").last { $0.hasPrefix("{") }, "\(running.output)")
        print("ipsec-load against strongSwan: \(line)")
        return try JSONDecoder().decode(Outcome.self, from: Data(line.utf8))
    }

    @Test func programs_setupAgainstStrongSwan() throws {
        let gateway = try StrongSwanGateway(ike: "aes256gcm16-prfsha256-x25519", esp: "aes256gcm16")
        defer { gateway.remove() }
        let load = try gateway.load(words: words("setup", ["--rate", "10", "--clients", "20", "--for", "3s"]))
        defer { load.stop() }
        #expect(load.end(seconds: 30) == 0, "\(load.output)")
        let outcome = try outcome(load)
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
        let outcome = try outcome(load)
        #expect(outcome.established == 10 && outcome.failed == 0 && outcome.lost == 0 && outcome.held == 10, "\(load.output)\n\(gateway.log)")
        // It asks after two seconds of silence whether we live.
        #expect(outcome.childRekeysByGateway ?? 0 > 0 && outcome.answered ?? 0 > 0, "\(load.output)")
        #expect(try !gateway.swanctl("--list-sas").output.contains("ESTABLISHED"))
    }
}

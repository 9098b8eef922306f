import Foundation
import Testing

/// The client against a gateway that we did not write: neither our derivations nor our ESP can agree with themselves here.
@Suite(.serialized, .enabled(if: StrongSwanGateway.missing == nil, "needs root and strongSwan with kernel-libipsec"))
struct StrongSwanTests {
    /// IKE and ESP proposals of both sides; the last two cost an INVALID_KE_PAYLOAD first.
    static let suites: [(gateway: (String, String), client: (String, String))] = [
        (("aes256gcm16-prfsha256-x25519", "aes256gcm16"), ("aes256gcm16-prfsha256-x25519", "aes256gcm16-noesn")),
        (("aes128-sha256-ecp256", "aes128-sha256"), ("aes128-sha256-x25519-ecp256", "aes128-sha256-noesn")),
        (("aes256-sha384-modp2048", "aes256-sha384"), ("aes256-sha384-ecp384-modp2048", "aes256-sha384-noesn")),
        (("aes256-sha512-ecp384", "aes256-sha512"), ("aes256-sha512-ecp384", "aes256-sha512-noesn")),
    ]

    @Test(arguments: suites.indices)
    func RFC7296_connectsToStrongSwanAndPings(index: Int) throws {
        let suite = Self.suites[index]
        let gateway = try StrongSwanGateway(ike: suite.gateway.0, esp: suite.gateway.1)
        defer { gateway.remove() }
        let load = try gateway.load(
            "connect", "--gateway", "198.51.100.1", "--psk", StrongSwanGateway.psk, "--id", "warrior@example.org", "--remote-id",
            "gw.example.org", "--ike", suite.client.0, "--esp", suite.client.1, "--tun", "rw0", "--route", "10.9.0.0/16")
        defer { load.stop() }
        guard load.waitFor("connected inner=10.8.0.", seconds: 15) else {
            Issue.record("\(load.output)\n\(gateway.log)")
            return
        }
        #expect(load.output.contains("tun=rw0"))
        for size in ["56", "1300"] {
            let ping = try command(
                "ip", "netns", "exec", gateway.client, "ping", "-c", "3", "-i", "0.2", "-W", "2", "-s", size, "10.9.0.1")
            #expect(ping.output.contains(" 0% packet loss"), "\(ping.output)\n\(gateway.log)")
        }
        // The gateway asks after 2 s of silence whether we live.
        Thread.sleep(forTimeInterval: 3)
        #expect(load.isRunning)
        #expect(try gateway.swanctl("--list-sas").output.contains("ESTABLISHED"))

        load.terminate()
        #expect(load.end(seconds: 10) == 0, "\(load.output)")
        #expect(try !gateway.swanctl("--list-sas").output.contains("ESTABLISHED"))
        // charon's log reaches us through a file: it may come a moment after what it tells of
        for _ in 0..<50 where !gateway.log.contains("received DELETE for IKE_SA") { Thread.sleep(forTimeInterval: 0.1) }
        #expect(gateway.log.contains("received DELETE for IKE_SA"))
        #expect(try !command("ip", "-n", gateway.client, "link").output.contains("rw0"))
    }

    @Test func programs_theGatewayEndsItAndARefusalIsTold() throws {
        let gateway = try StrongSwanGateway(ike: "aes256-sha256-x25519", esp: "aes256-sha256")
        defer { gateway.remove() }
        let refused = try gateway.load(
            "connect", "--gateway", "198.51.100.1", "--psk", "a wrong key", "--id", "warrior@example.org")
        #expect(refused.end(seconds: 15) == 1 && refused.output.contains("AUTHENTICATION_FAILED"), "\(refused.output)")
        let unacceptable = try gateway.load(
            "connect", "--gateway", "198.51.100.1", "--psk", StrongSwanGateway.psk, "--id", "warrior@example.org", "--ike",
            "aes128-sha512-modp3072")
        #expect(unacceptable.end(seconds: 15) == 1 && unacceptable.output.contains("NO_PROPOSAL_CHOSEN"), "\(unacceptable.output)")
        let stranger = try gateway.load(
            "connect", "--gateway", "198.51.100.1", "--psk", StrongSwanGateway.psk, "--id", "warrior@example.org", "--remote-id",
            "other.example.org")
        #expect(stranger.end(seconds: 15) == 1, "\(stranger.output)")

        let load = try gateway.load(
            "connect", "--gateway", "198.51.100.1", "--psk", StrongSwanGateway.psk, "--id", "warrior@example.org")
        defer { load.stop() }
        #expect(load.waitFor("connected inner=10.8.0.", seconds: 15), "\(load.output)\n\(gateway.log)")
        #expect(try gateway.swanctl("--terminate", "--ike", "rw").status == 0)
        #expect(load.end(seconds: 10) == 1 && load.output.contains("deleted by the gateway"), "\(load.output)")
    }

    @Test func programs_setupLogsInAgainAndAgain() throws {
        let gateway = try StrongSwanGateway(ike: "aes256gcm16-prfsha256-x25519", esp: "aes256gcm16")
        defer { gateway.remove() }
        let load = try gateway.load(
            "setup", "--gateway", "198.51.100.1", "--psk", StrongSwanGateway.psk, "--id", "c%n@example.org", "--rate", "20",
            "--clients", "10", "--for", "2s", "--json", "--ike", "aes256gcm16-prfsha256-x25519")
        #expect(load.end(seconds: 60) == 0)
        let last = load.output.split(separator: "\n").last.map { Data($0.utf8) } ?? Data()
        let result = try #require(try JSONSerialization.jsonObject(with: last) as? [String: Any], "\(load.output)")
        #expect(result["started"] as? Int == 40 && result["established"] as? Int == 40, "\(load.output)")
        #expect(try !gateway.swanctl("--list-sas").output.contains("ESTABLISHED"))
    }
}

import Foundation
import PKI
import Testing

/// Logins by EAP to a gateway that we did not write, which checks our passwords itself: neither its maths nor its key are ours.
@Suite(.serialized, .enabled(if: StrongSwanGateway.missing == nil, "needs root and strongSwan with kernel-libipsec"))
struct StrongSwanEAPTests {
    private static let ike = "aes256gcm16-prfsha256-x25519"

    private func gateway(_ method: String, certificates: StrongSwanGateway.Certificates? = nil) throws -> StrongSwanGateway {
        var users = ["anna@example.org": "ein Wort: äöü €", "OFFICE\\\\bob": "bob's word"]
        for number in 0..<10 { users["user\(number)"] = "word-\(number)" }
        return try StrongSwanGateway(
            ike: Self.ike, esp: "aes256gcm16", eap: StrongSwanGateway.EAP(method: method, users: users), certificates: certificates)
    }

    private func connect(_ gateway: StrongSwanGateway, _ more: [String]) throws -> Running {
        try gateway.load(
            words: [
                "connect", "--gateway", "198.51.100.1", "--remote-id", "gw.example.org", "--ike", Self.ike, "--esp", "aes256gcm16-noesn", "--tun",
                "rw0", "--route", "10.9.0.0/16",
            ] + more)
    }

    private func expectConnected(_ gateway: StrongSwanGateway, _ words: [String]) throws {
        let load = try connect(gateway, words)
        defer { load.stop() }
        guard load.waitFor("connected inner=10.8.0.", seconds: 15) else {
            Issue.record("\(words): \(load.output)\n\(gateway.log)")
            return
        }
        let ping = try command("ip", "netns", "exec", gateway.client, "ping", "-c", "2", "-i", "0.2", "-W", "2", "10.9.0.1")
        #expect(ping.output.contains(" 0% packet loss"), "\(ping.output)\n\(gateway.log)")
        load.terminate()
        #expect(load.end(seconds: 10) == 0, "\(load.output)")
    }

    @Test("EAP-MSCHAPv2: strongSwan takes our proof, we take its, and the MSK is the same; a wrong password is told", arguments: [false, true])
    func RFC2759_mschapv2(byCertificate: Bool) throws {
        let files = try StrongSwanCertificateTests.Files(.ecP256)
        let gateway = try gateway("mschapv2", certificates: byCertificate ? files.gateway() : nil)
        defer { gateway.remove() }
        let proof = byCertificate ? try files.authority(gateway) : ["--psk", StrongSwanGateway.psk]
        let password = try gateway.write("ein Wort: äöü €\n", to: "password")
        try expectConnected(gateway, proof + ["--id", "laptop", "--eap-user", "anna@example.org", "--eap-password-file", password])
        // A domain is told, and not hashed.
        try expectConnected(gateway, proof + ["--eap-user", "OFFICE\\bob", "--eap-password", "bob's word"])

        let refused = try connect(gateway, proof + ["--eap-user", "anna@example.org", "--eap-password", "another"])
        #expect(refused.end(seconds: 20) == 1 && refused.output.contains("EAP-Failure"), "\(refused.output)\n\(gateway.log)")
    }

    @Test("EAP-MD5: AUTH by SK_p, RFC 7296 section 2.16; declined where it was not named")
    func RFC3748_5_4_md5() throws {
        let gateway = try gateway("md5")
        defer { gateway.remove() }
        let words = ["--psk", StrongSwanGateway.psk, "--eap-user", "anna@example.org", "--eap-password", "ein Wort: äöü €"]
        try expectConnected(gateway, words + ["--eap-method", "md5"])
        let declined = try connect(gateway, words)
        #expect(declined.end(seconds: 20) == 1 && declined.output.contains("EAP-Failure"), "\(declined.output)\n\(gateway.log)")
    }

    @Test("programs.md: setup with a name and a password for each client, failures by cause")
    func programs_setup() throws {
        let gateway = try gateway("mschapv2")
        defer { gateway.remove() }
        // As many clients as logins: charon sits on a wrong password for two seconds.
        func setup(_ password: String) throws -> [String: Any] {
            let load = try gateway.load(
                "setup", "--gateway", "198.51.100.1", "--psk", StrongSwanGateway.psk, "--eap-user", "user%n", "--eap-password", password, "--rate",
                "5", "--clients", "10", "--for", "2s", "--json", "--ike", Self.ike)
            #expect(load.end(seconds: 60) == 0)
            let last = load.output.split(separator: "\n").last.map { Data($0.utf8) } ?? Data()
            return try #require(try JSONSerialization.jsonObject(with: last) as? [String: Any], "\(load.output)")
        }
        let good = try setup("word-%n")
        #expect(good["started"] as? Int == 10 && good["established"] as? Int == 10, "\(good)\n\(gateway.log)")
        let bad = try setup("word")
        let failures = try #require(bad["failures"] as? [[String: Any]])
        #expect(failures.count == 1 && failures.first?["cause"] as? String == "refused: EAP-Failure", "\(bad)")
        #expect(bad["established"] as? Int == 0 && bad["failed"] as? Int == 10 && failures.first?["count"] as? Int == 10, "\(bad)")
    }
}

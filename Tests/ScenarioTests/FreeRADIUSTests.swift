import Foundation
import Lab
import Testing

/// FreeRADIUS of the lab by itself, with the files of etc/freeradius: what the gateway's scenarios stand on, and what operations.md promises.
///
/// ```
///  radclient, eapol_test 10.20.0.1 gateway's machine ---- 10.20.0.2 FreeRADIUS
/// ```
@Suite(.watched)
struct FreeRADIUSTests {
    private struct World {
        let scenario: Scenario
        let network: RoadNetwork
        let server: FreeRADIUS
        let authority: LabCertificates

        static func build(_ scenario: Scenario, _ change: (inout FreeRADIUSSettings) throws -> Void = { _ in }) async throws -> World {
            let network = try await RoadNetwork.build(scenario)
            let authority = try LabCertificates(scenario)
            var settings = FreeRADIUSSettings(
                .init("alice@example.test", password: "alice's password", "Framed-IP-Address = 10.99.0.77", "Class = \"staff\"", "Class += 0x00ff00"))
            settings.certificates = try authority.radius()
            try change(&settings)
            return World(
                scenario: scenario, network: network, server: try await FreeRADIUS.start(scenario, in: network.host, settings), authority: authority)
        }

        func ask(_ name: String, _ password: String, secret: String? = nil) async throws -> CommandResult {
            try await server.ask(
                "auth", from: network.gateway, ["User-Name = \"\(name)\"", "User-Password = \"\(password)\"", "Message-Authenticator = 0x00"],
                secret: secret)
        }
    }

    @Test("X-4: with the samples' lines Accept and Reject without EAP carry Message-Authenticator; without them Debian 12's have none")
    func x_4_messageAuthenticator() async throws {
        try await Scenario.run { scenario in
            for hasLines in [true, false] {
                let world = try await World.build(scenario) {
                    $0.name = "radius-\(hasLines)"
                    $0.hasMessageAuthenticatorLines = hasLines
                }
                let accepted = try await world.ask("alice@example.test", "alice's password")
                #expect(accepted.output.contains("Received Access-Accept"), "\(accepted.output)")
                #expect(accepted.output.contains("\tFramed-IP-Address = 10.99.0.77") && accepted.output.contains("\tClass = 0x7374616666"))
                let rejected = try await world.ask("alice@example.test", "wrong")
                #expect(rejected.output.contains("Received Access-Reject"), "\(rejected.output)")
                for reply in [accepted.output, rejected.output].map({ $0.components(separatedBy: "Received Access-").last ?? "" }) {
                    #expect(reply.contains("Message-Authenticator = 0x") == hasLines, "\(reply)")
                }
                // the samples take no request without one either
                let bare = try await world.server.ask(
                    "auth", from: world.network.gateway, ["User-Name = \"alice@example.test\"", "User-Password = \"alice's password\""])
                #expect(bare.output.contains("No reply"))
                await world.server.stop()
            }
        }
    }

    @Test("etc/freeradius: every method by itself, with its keys, its attributes, and Message-Authenticator in every reply")
    func methods() async throws {
        try await Scenario.run { scenario in
            let world = try await World.build(scenario)
            let carol = try world.authority.write(try world.authority.client("carol@example.test"), "carol")
            let ca = "ca_cert=\"\(world.authority.rootFile)\""
            let alice = ["identity=\"alice@example.test\"", "password=\"alice's password\""]
            let tunnelled = alice + [ca, "anonymous_identity=\"carol@example.test\""]
            let certificate = ["client_cert=\"\(carol.certificate)\"", "private_key=\"\(carol.key)\""]
            let rows: [(String, [String], Bool)] = [
                ("MD5", ["eap=MD5"] + alice, false), ("MSCHAPv2", ["eap=MSCHAPV2"] + alice, true),
                ("TLS", ["eap=TLS", "identity=\"carol@example.test\"", ca] + certificate, true),
                ("TTLS-MSCHAPv2", ["eap=TTLS", "phase2=\"auth=MSCHAPV2\""] + tunnelled, true),
                ("TTLS-PAP", ["eap=TTLS", "phase2=\"auth=PAP\""] + tunnelled, true),
                ("TTLS-EAP-MSCHAPv2", ["eap=TTLS", "phase2=\"autheap=MSCHAPV2\""] + tunnelled, true),
                ("TTLS-EAP-MD5", ["eap=TTLS", "phase2=\"autheap=MD5\""] + tunnelled, true),
                ("PEAP", ["eap=PEAP", "phase2=\"auth=MSCHAPV2\""] + tunnelled, true),
            ]
            for (name, lines, isKeying) in rows {
                let outcome = try await world.server.converse(from: world.network.gateway, isKeying: isKeying, lines)
                #expect(outcome.succeeded, "\(name):\n\(outcome.output.suffix(3000))")
                #expect(outcome.replies.all > 1 && outcome.replies.authenticated == outcome.replies.all, "\(name): \(outcome.replies)")
                let names = outcome.reply.map(\.name)
                // the session hangs on the proved name, never on the tunnel's outer one
                let isAlice = name != "TLS"
                #expect(
                    outcome.reply.first { $0.name == "User-Name" }?.value == (isAlice ? "'alice@example.test'" : "'carol@example.test'"),
                    "\(name): \(names)")
                #expect(
                    names.contains("Framed-IP-Address") == isAlice && names.filter { $0 == "Class" }.count == (isAlice ? 2 : 0), "\(name): \(names)")
            }
        }
    }

    @Test("etc/freeradius: who may not: a wrong password, another's certificate, another's outer name, a policy's password by EAP")
    func refusals() async throws {
        try await Scenario.run { scenario in
            let world = try await World.build(scenario) {
                $0.users.append(.init("laptop.test", password: "the policy's", checks: ["EAP-Message !* 0x00"]))
                $0.users.append(.init("shut.test", password: nil, checks: ["Auth-Type := Reject"]))
            }
            let carol = try world.authority.write(try world.authority.client("carol@example.test"), "carol")
            let ca = "ca_cert=\"\(world.authority.rootFile)\""
            let rows: [(String, [String])] = [
                ("MSCHAPv2", ["eap=MSCHAPV2", "identity=\"alice@example.test\"", "password=\"wrong\""]),
                ("policy password", ["eap=MSCHAPV2", "identity=\"laptop.test\"", "password=\"the policy's\""]),
                (
                    "another's certificate",
                    ["eap=TLS", "identity=\"alice@example.test\"", ca, "client_cert=\"\(carol.certificate)\"", "private_key=\"\(carol.key)\""]
                ),
                (
                    "PEAP", ["eap=PEAP", "identity=\"alice@example.test\"", "anonymous_identity=\"alice@example.test\"", "password=\"wrong\"", ca]
                ),
            ]
            for (name, lines) in rows {
                let outcome = try await world.server.converse(from: world.network.gateway, lines)
                #expect(!outcome.succeeded, "\(name)")
                #expect(outcome.output.contains("code=3 (Access-Reject)"), "\(name):\n\(outcome.output.suffix(2000))")
                #expect(outcome.replies.authenticated == outcome.replies.all, "\(name): \(outcome.replies)")
            }
            #expect(try await world.ask("laptop.test", "the policy's").output.contains("Received Access-Accept"))
            #expect(try await world.ask("shut.test", "x").output.contains("Received Access-Reject"))
            #expect(try await world.ask("nobody.test", "x").output.contains("Received Access-Reject"))
        }
    }

    @Test("accounting is stored as it came, a server that plays dead answers nothing, and one that was killed goes on with its file")
    func accounting() async throws {
        try await Scenario.run { scenario in
            let world = try await World.build(scenario)
            func record(_ kind: String, _ further: String...) async throws -> Bool {
                try await world.server.ask(
                    "acct", from: world.network.gateway,
                    ["Acct-Status-Type = \(kind)", "Acct-Session-Id = \"192.0.2.1-[2001:db8::1]:500-1365016423\"", "User-Name = \"a\\\"b\""] + further
                ).output.contains("Received Accounting-Response")
            }
            #expect(try await record("Start", "Class = 0x7374616666", "Class = 0x00ff00", "Framed-IP-Address = 10.99.0.77"))
            world.server.playDead()
            #expect(try await !record("Interim-Update"))
            await world.server.killNow()
            #expect(try await !record("Interim-Update"))
            try await world.server.startAgain()
            #expect(
                try await record(
                    "Stop", "Acct-Terminate-Cause = User-Request", "Acct-Input-Octets = 7", "Acct-Input-Gigawords = 2", "Acct-Output-Octets = 5",
                    "Acct-Session-Time = 61", "Acct-Delay-Time = 3"))
            let records = try await world.server.waitForAccounting { $0.count == 2 }
            #expect(records.map(\.kind) == ["Start", "Stop"])
            #expect(
                records[0].classes == ["0x7374616666", "0x00ff00"] && records[0].userName == "a\"b" && records[0]["Framed-IP-Address"] == "10.99.0.77"
            )
            #expect(records[1].octetsIn == 2 << 32 + 7 && records[1].octetsOut == 5 && records[1].seconds == 61 && records[1].delay == 3)
            #expect(records[1].cause == "User-Request" && records[1].session == "192.0.2.1-[2001:db8::1]:500-1365016423")
        }
    }

    @Test("a Disconnect-Request is made as octets, with each secret another authenticator; the gateway's file with two servers passes check")
    func requestsAndSettings() async throws {
        try await Scenario.run { scenario in
            let world = try await World.build(scenario)
            let name = "User-Name = \"alice\""
            let made = try await world.server.compose(.disconnect, [name])
            let other = try await world.server.compose(.disconnect, [name], secret: "another")
            // code 40, 20 octets of header, one attribute
            #expect(made.count == 27 && made[0] == 40 && Array(made[20...]) == [1, 7] + Array("alice".utf8))
            #expect(other.count == 27 && made[4..<20] != other[4..<20])
            #expect(try await world.server.compose(.changeOfAuthorization, [name])[0] == 43)

            var settings = try AAARoad.settings(world.authority)
            settings.assignsIPv4 = false
            settings.hasIPv6Interface = true
            settings.radius?.servers.append(.init("radius-2", address: RoadNetwork.hostAddress6))
            settings.radius?.spool = (size: "1MiB", whenFull: "refuse-logins")
            settings.radius?.password = "the policy's"
            settings.furtherServices = [(name: "office", id: 7, interface: "priv1", address: "10.97.0.1/24")]
            settings.furtherTemplates = [2: ["ip-mtu: 1300"]]
            settings.furtherLists = ["printers": ["10.20.0.3/32"]]
            let file = try scenario.write(settings.yaml(folder: scenario.folder), to: "ipsec-gw.yaml")
            let check = try await scenario.run([try Programs.path("ipsec-gw"), "check", file])
            #expect(check.succeeded && !check.output.contains("error:"), "\(check.output)")
        }
    }

    @Test("the samples' own users and sessions: every attribute that they name comes back under its name")
    func samples() async throws {
        try await Scenario.run { scenario in
            let world = try await World.build(scenario) {
                $0.usersFile = try String(contentsOfFile: "\(Self.samples)/mods-config/ipsec-gw/users", encoding: .utf8)
                $0.sessionsFile = try String(contentsOfFile: "\(Self.samples)/mods-config/ipsec-gw/sessions", encoding: .utf8)
            }
            for (name, password) in [
                ("alice@example.com", "alice's password"), ("bob@example.com", "bob's password"), ("laptop-7.example.com", "the policy's password"),
            ] {
                let reply = try await world.ask(name, password).output
                #expect(reply.contains("Received Access-Accept"), "\(reply)")
                for line in try Self.attributes(of: name) where !line.hasPrefix("Class") {
                    #expect(reply.contains("\t\(line)"), "\(name): \(line)\n\(reply)")
                }
            }
            let shut = try await world.ask("mallory@example.com", "x").output
            #expect(shut.contains("Received Access-Reject") && shut.contains("The account is closed."), "\(shut)")
        }
    }

    private static var samples: String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return root.appendingPathComponent("etc/freeradius").path
    }

    /// The lines of a name in the sample of sessions.
    private static func attributes(of name: String) throws -> [String] {
        let text = try String(contentsOfFile: "\(samples)/mods-config/ipsec-gw/sessions", encoding: .utf8)
        let lines = text.components(separatedBy: "\n")
        guard let begin = lines.firstIndex(of: name) else { throw LabError("the sample has no \(name)") }
        return lines[(begin + 1)...].prefix { $0.hasPrefix("\t") }.map { $0.trimmingCharacters(in: CharacterSet(charactersIn: "\t,")) }
    }

    @Test("operations.md: the samples, installed as it says into Debian's own configuration, are a configuration that FreeRADIUS accepts")
    func installed() async throws {
        try await Scenario.run { scenario in
            let authority = try LabCertificates(scenario)
            let certificates = try authority.radius()
            let root = "\(scenario.folder)/etc"
            try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
            try await scenario.run(["/bin/cp", "-r", "/etc/freeradius/3.0", "\(root)/3.0"]).required()
            for (file, text) in [("server.pem", certificates.certificate), ("server.key", certificates.key), ("ca.pem", certificates.authority)] {
                _ = try scenario.write(text, to: file)
            }
            let commands = try Self.installation().map {
                $0.replacingOccurrences(of: "C=/etc/freeradius/3.0", with: "C=\(root)/3.0").replacingOccurrences(
                    of: "P=/root/radius", with: "P=\(scenario.folder)")
            }
            #expect(commands.count > 10 && commands.last == "freeradius -XC && systemctl restart freeradius")
            let script = (["set -eu", "cd \(Self.samples)"] + commands.dropLast()).joined(separator: "\n")
            try await scenario.run(["/bin/bash"], input: script).required()
            // the scenario's folder is not for the account freerad
            try await scenario.run(["/bin/sed", "-i", "-E", "s/^\\t(user|group) = freerad$//", "\(root)/3.0/radiusd.conf"]).required()
            let checked = try await scenario.run(["/usr/sbin/freeradius", "-XC", "-d", "\(root)/3.0"])
            #expect(checked.output.contains("Configuration appears to be OK"), "\(checked.output.suffix(2000))")
            #expect(
                checked.output.contains("server ipsec-gw {") && checked.output.contains("server ipsec-gw-inner {")
                    && !checked.output.contains("server default {"))
        }
    }

    /// The commands of operations.md that install etc/freeradius.
    private static func installation() throws -> [String] {
        let text = try String(contentsOfFile: "\(samples)/../../docs/operations.md", encoding: .utf8)
        guard let block = text.components(separatedBy: "```").first(where: { $0.hasPrefix("\n# on the RADIUS server") }) else {
            throw LabError("operations.md shows no installation")
        }
        return block.components(separatedBy: "\n").filter { !$0.isEmpty }
    }
}

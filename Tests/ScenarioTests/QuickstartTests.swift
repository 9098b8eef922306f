import Foundation
import Lab
import PKI
import Testing

/// The first start of `make run`, from nothing to connected clients, with exactly the files and texts that it makes.
///
/// ```
///  first-client, by certificate  198.51.101.2 --+
///  a second one, by certificate  198.51.102.2 --+-- internet ---- 192.0.2.1 gateway 10.20.0.1 ---- 10.20.0.2 host
///  one with the shared key       198.51.103.2 --+                 a CA of its own
/// ```
@Suite(.watched)
struct QuickstartTests {
    /// A machine after its first start.
    struct FirstStart {
        let scenario: Scenario
        let network: RoadNetwork
        let folder: String
        /// What `make run` printed.
        let output: String

        var pki: String { "\(folder)/pki" }

        static func run(_ scenario: Scenario, clients: Int = 1) async throws -> FirstStart {
            let network = try await RoadNetwork.build(scenario, clients: clients)
            let folder = "\(scenario.folder)/etc"
            let programs = (try Programs.path("ipsec-gw") as NSString).deletingLastPathComponent
            let output = try await scenario.run(
                [Recipe.script("first-start"), programs, "\(folder)/ipsec-gw.yaml"], in: network.gateway, timeout: .seconds(120)
            ).required()
            return FirstStart(scenario: scenario, network: network, folder: folder, output: output)
        }

        /// Starts the gateway with the file that was written; the control socket and the state alone move, since others run on this machine.
        func gateway() async throws -> GatewayProcess {
            let file = "\(folder)/ipsec-gw.yaml"
            let text = try String(contentsOfFile: file, encoding: .utf8)
            for path in ["/run/ipsec-gw/control.sock", "/var/lib/ipsec-gw"] { try #require(text.contains(path)) }
            try text.replacingOccurrences(of: "/run/ipsec-gw/control.sock", with: "\(folder)/control.sock")
                .replacingOccurrences(of: "/var/lib/ipsec-gw", with: "\(folder)/state")
                .write(toFile: file, atomically: true, encoding: .utf8)
            return try await GatewayProcess.start(scenario, in: network.gateway, configuredIn: folder)
        }

        func pki(_ arguments: String...) async throws -> CommandResult {
            try await scenario.run(
                [try Programs.path("ipsec-gw"), "pki"] + arguments + ["--directory", pki], in: network.gateway, timeout: .seconds(60))
        }

        /// strongSwan with the folder of a client's bundle in /etc.
        func client(_ number: Int, bundle name: String) async throws -> Charon {
            let charon = try await Charon.start(scenario, in: network.clients[number - 1])
            try await charon.load(installing: "\(pki)/clients/\(name)/swanctl")
            return charon
        }
    }

    @Test("make run: the first client connects by certificate with its bundle, one more is added, and a third has the shared key")
    func firstStart() async throws {
        try await Scenario.run(slots: 2) { scenario in
            let machine = try await FirstStart.run(scenario, clients: 3)
            let gateway = try await machine.gateway()

            let first = try await machine.client(1, bundle: "first-client")
            let sa = try await first.connect()
            #expect(sa.remoteIdentity == RoadNetwork.gatewayAddress)
            #expect(sa.children.first?.remoteSelectors == ["0.0.0.0/0"])
            #expect(try await Ping.run(from: first.namespace, to: RoadNetwork.hostAddress).isComplete)

            try await machine.pki("client", "alice@example.com").required()
            let alice = try await machine.client(2, bundle: "alice@example.com")
            try await alice.connect()
            #expect(try await Ping.run(from: alice.namespace, to: RoadNetwork.hostAddress).isComplete)

            // with the key: the recipe that was printed, and the CA that it asks for in the place that it names
            let keyed = try await Charon.start(scenario, in: machine.network.clients[2])
            let tree = "\(scenario.folder)/keyed"
            try #require(machine.output.contains("with \(machine.pki)/ca.pem as /etc/swanctl/x509ca/ipsec-gw-ca.pem"))
            for kind in ["conf.d", "x509ca"] {
                try FileManager.default.createDirectory(atPath: "\(tree)/\(kind)", withIntermediateDirectories: true)
            }
            try FileManager.default.copyItem(atPath: "\(machine.pki)/ca.pem", toPath: "\(tree)/x509ca/ipsec-gw-ca.pem")
            try Recipe.swanctl(in: machine.output).write(toFile: "\(tree)/conf.d/ipsec-gw.conf", atomically: true, encoding: .utf8)
            try await keyed.load(installing: tree)
            try await keyed.connect()
            #expect(try await Ping.run(from: keyed.namespace, to: RoadNetwork.hostAddress).isComplete)

            let sessions = try await gateway.waitForSessions(3)
            #expect(Set(sessions.map(\.identity)).isSuperset(of: ["first-client", "alice@example.com"]))
            let methods = gateway.process.lines().filter { $0.contains("event=authenticated") }.map { $0.contains("method=cert") }
            #expect(methods == [true, true, false])
        }
    }

    @Test("a second start changes nothing: the CA, the key and the first client stay, and how to connect is said again")
    func secondStart() async throws {
        try await Scenario.run { scenario in
            let machine = try await FirstStart.run(scenario)
            func files() throws -> [String: Data] {
                var found: [String: Data] = [:]
                for case let name as String in FileManager.default.enumerator(atPath: machine.folder) ?? .init() {
                    if let data = FileManager.default.contents(atPath: "\(machine.folder)/\(name)") { found[name] = data }
                }
                return found
            }
            let before = try files()
            #expect(before.keys.contains("pki/server.key") && before.keys.contains("pki/clients/first-client/first-client.mobileconfig"))
            #expect(!before.keys.contains { $0.contains(".new") })
            let programs = (try Programs.path("ipsec-gw") as NSString).deletingLastPathComponent
            let again = try await scenario.run(
                [Recipe.script("first-start"), programs, "\(machine.folder)/ipsec-gw.yaml"], in: machine.network.gateway, timeout: .seconds(60)
            ).required()
            #expect(try files() == before)
            #expect(again.contains("How to connect by certificate") && !again.contains("password of"))
            #expect(machine.output.contains("password of first-client.p12"))
        }
    }

    @Test(
        "PKI-15: a certificate near its end is told of at the start and after a reload; renewed, it is taken up and clients come in with their old bundles"
    )
    func pki_15_renewal() async throws {
        try await Scenario.run { scenario in
            let machine = try await FirstStart.run(scenario)
            // less than the thirty days of certificate-expiration-warning
            try await machine.pki("server", "--days", "5").required()
            let check = try await scenario.run([try Programs.path("ipsec-gw"), "check", "\(machine.folder)/ipsec-gw.yaml"])
            #expect(check.output.contains("ipsec.cert-profile.gateway.entry.1.cert: found O=ipsec-gw, CN=192.0.2.1, which ends at"))
            let gateway = try await machine.gateway()
            func told() -> Int { gateway.process.lines().filter { $0.contains("event=certificate-ends") }.count }
            #expect(await becomesTrue(within: .seconds(10)) { told() == 1 })
            #expect(gateway.process.lines().contains { $0.contains("the certificate of cert-profile gateway entry 1 ends in 4 days") })

            let client = try await machine.client(1, bundle: "first-client")
            try await client.connect()
            try await client.terminate(ike: "ipsec-gw")
            try await gateway.waitForSessions(0)

            try await machine.pki("server", "--days", "3").required()
            try await gateway.ctl("reload").required()
            #expect(await becomesTrue(within: .seconds(10)) { told() == 2 }, "another certificate that ends soon is told of at the reload")
            try await machine.pki("server").required()
            try await gateway.ctl("reload").required()
            try await client.connect()
            #expect(try await Ping.run(from: client.namespace, to: RoadNetwork.hostAddress).isComplete)
            #expect(told() == 2)
            let renewed = try Certificate(file: [UInt8](Data(contentsOf: URL(filePath: "\(machine.pki)/server.pem"))))
            #expect(renewed.notAfter - renewed.notBefore == .seconds(PrivateCA.endEntityDays * 86_400))
        }
    }

    @Test("a client that another CA's bundle was made for is refused, and is told nothing of why")
    func foreignBundle() async throws {
        try await Scenario.run { scenario in
            let machine = try await FirstStart.run(scenario)
            let gateway = try await machine.gateway()
            let other = "\(scenario.folder)/other"
            let program = try Programs.path("ipsec-gw")
            try await scenario.run([program, "pki", "init", "--directory", other, "--name", "192.0.2.1"], timeout: .seconds(60)).required()
            try await scenario.run([program, "pki", "client", "mallory", "--directory", other], timeout: .seconds(60)).required()
            // it trusts our CA, so that it is the gateway that says no
            let tree = "\(other)/clients/mallory/swanctl"
            try FileManager.default.removeItem(atPath: "\(tree)/x509ca/ipsec-gw-ca.pem")
            try FileManager.default.copyItem(atPath: "\(machine.pki)/ca.pem", toPath: "\(tree)/x509ca/ipsec-gw-ca.pem")
            let mallory = try await Charon.start(scenario, in: machine.network.clients[0])
            try await mallory.load(installing: tree)
            let result = try await mallory.initiate()
            #expect(!result.succeeded && result.output.contains("AUTHENTICATION_FAILED"))
            #expect(try await gateway.sessions().isEmpty)
            #expect(gateway.process.lines().contains { $0.contains("event=refused") && $0.contains("trust anchor") })
        }
    }
}

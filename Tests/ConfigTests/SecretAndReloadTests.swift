import AddressAssignment
import Config
import Foundation
import Testing
import Wire

@Suite("Secrets elsewhere, and reloads")
struct SecretAndReloadTests {
    private func directory() throws -> URL {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("config-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        return url
    }

    @Test func secrets_fromFilesAndVariables() throws {
        let folder = try directory()
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("psk")
        try Data("kEy-8fVq2ZxW0pLr7TnYb4CmJd6\n".utf8).write(to: file)
        let text = try Fixtures.plain("\"kEy-8fVq2ZxW0pLr7TnYb4CmJd6\"", "{ file: \(file.path) }")
        var configuration = try #require(Fixtures.load(text).configuration)
        #expect(configuration.gateways[0].preSharedKey?.value == nil)
        #expect(configuration.examineReferences() == [])
        #expect(configuration.resolveSecrets() == [])
        #expect(configuration.gateways[0].preSharedKey?.value?.revealed() == Array("kEy-8fVq2ZxW0pLr7TnYb4CmJd6".utf8))

        try Data("short".utf8).write(to: file)
        #expect(configuration.examineReferences().map(\.severity) == [.warning])
        #expect(configuration.resolveSecrets().map(\.severity) == [.warning])
        try Data().write(to: file)
        #expect(configuration.resolveSecrets().map(\.found) == ["an empty secret"])
        try FileManager.default.removeItem(at: file)
        #expect(configuration.resolveSecrets().lines.count == 1)
        #expect(
            configuration.examineReferences().lines == [
                "gw.yaml:49:29: warning: ipsec-gateway.rw.pre-shared-key: found \"\(file.path)\", which is not there; allowed a file that can be read; run needs it"
            ])

        let variable = try Fixtures.plain("\"kEy-8fVq2ZxW0pLr7TnYb4CmJd6\"", "{ env: GW_PSK }")
        var other = try #require(Fixtures.load(variable).configuration)
        #expect(other.examineReferences(environment: [:]).map(\.severity) == [.warning])
        #expect(other.resolveSecrets(environment: [:]).map(\.severity) == [.error])
        #expect(other.resolveSecrets(environment: ["GW_PSK": "kEy-8fVq2ZxW0pLr7TnYb4CmJd6"]) == [])
    }

    /// configuration.md: the files that the example names are needed by `run` alone; `check` warns.
    @Test func secrets_exampleWarnsOfMissingFiles() throws {
        let configuration = try #require(Fixtures.load(try Fixtures.example).configuration)
        let problems = configuration.examineReferences(environment: [:])
        #expect(problems.allSatisfy { $0.severity == .warning })
        let paths = problems.map(\.keyPath)
        for path in [
            "ipsec-gateway.road-warriors.pre-shared-key", "pki.ca-profile.root.cert-file", "pki.ca-profile.root.crl-file",
            "ipsec.cert-profile.vpn.entry.1.key", "router.radius-server.radius-1.secret",
            "ipsec.radius.authentication-policy.aaa.password", "ipsec.client-db.vips.client.1.credential.pre-shared-key",
        ] {
            #expect(paths.contains(path), "\(path)")
        }
    }

    @Test(arguments: [
        ("swordfish", true), ("password1234567890password1234567890", true), (String(repeating: "a", count: 200), true),
        ("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", true), ("abcabcabcabcabcabcabcabcabcabcabcabcabc", true),
        ("a long and random text of your own", false), ("kEy-8fVq2ZxW0pLr7TnYb4CmJd6", false),
        ("9f2c51e0b7a84d36c1fe027b95d8a34e6", false), ("kQ3v9+Zt/x1WmB7uHnYc5RaE2sLd8FgJ0pTiXoVb4Nw=", false),
    ])
    func threat_P14_guessableKeysAreWarned(key: String, isWarned: Bool) throws {
        let problems = Fixtures.load(try Fixtures.plain("kEy-8fVq2ZxW0pLr7TnYb4CmJd6", key)).problems
        #expect(problems.contains { $0.keyPath == "ipsec-gateway.rw.pre-shared-key" } == isWarned)
    }

    @Test func reload_differences() throws {
        let old = try #require(Fixtures.load(Fixtures.plain).configuration)
        func difference(_ from: String, _ to: String) throws -> ReloadDifference {
            try #require(Fixtures.load(try Fixtures.plain(from, to)).configuration).difference(from: old)
        }
        #expect(try difference("name: gw", "name: gw2").isEmpty, "the system's name is read at each use")
        #expect(try difference("system:", "\n\n# a comment\nsystem:").isEmpty)
        #expect(
            try difference("level: info", "level: debug")
                == {
                    var difference = ReloadDifference()
                    difference.changesLogLevel = true
                    return difference
                }())
        #expect(try difference("interval: 30", "interval: 40").changedGateways == ["rw"])
        #expect(try difference("group-19", "group-20").changedGateways == ["rw"])
        #expect(try difference("10.0.0.0/8", "10.0.0.0/9").changedGateways == ["rw"])
        #expect(try difference("kEy", "kEz").changedGateways == ["rw"])
        let template = try difference("ip-mtu: 1400", "ip-mtu: 1300")
        #expect(template.changedTemplates == [1] && template.changedGateways == ["rw"] && template.restarts == [])
        let pool = try difference("end: 10.99.0.250", "end: 10.99.0.240")
        #expect(pool.changedPools.map(\.description) == ["rw/all"] && pool.changedGateways == [])
        #expect(try difference("workers: 2", "workers: 3").restarts == ["tunnel-group"])
        #expect(try difference("workers: 2", "workers: 2, crypto-engine: openssl").restarts == ["tunnel-group"])
        #expect(try difference("workers: 2", "workers: 2, busy-poll: 20").restarts == ["tunnel-group"])
        let moved = try difference("192.0.2.1", "192.0.2.2")
        #expect(moved.restarts == ["ipsec-gateway.rw.local.gateway-address"] && moved.changedGateways == [])
        #expect(try difference("address: [10.99.0.1/24]", "address: [10.99.0.2/24]").restarts == ["service.home.interface.priv0"])
        let listening = try difference("system:", "aaa: { radius: { dynamic-authorization: { port: 3800 } } }\nsystem:")
        #expect(listening.restarts == ["aaa.radius.dynamic-authorization.port"], "the port is opened at start")
        let renamed = try difference("  rw:\n    tunnel-group", "  rx:\n    tunnel-group")
        #expect(renamed.addedGateways == ["rx"] && renamed.removedGateways == ["rw"] && renamed.restarts == [])
        let disabled = try difference("    tunnel-group: 1", "    admin-state: disable")
        #expect(disabled.removedGateways == ["rw"])
    }

    @Test func configuration_unsupportedListsWhatARunNeeds() throws {
        func needed(_ old: String, _ new: String) throws -> [String] {
            try #require(Fixtures.load(try Fixtures.plain(old, new)).configuration).unsupported.map(\.keyPath)
        }
        #expect(try needed("ip-mtu: 1400", "ip-mtu: 1401") == [])
        #expect(try needed("dpd: { interval: 30 }", "nat-traversal: { force: false }") == ["ipsec.ike-policy.1.nat-traversal.force"])
        #expect(try needed("dh-group: group-19", "dh-group: x448") == ["ipsec.ike-transform.1.dh-group"])
        #expect(try needed("aes256-gcm16", "aes256-gcm8") == ["ipsec.ipsec-transform.1.esp-encryption-algorithm"])
        #expect(try needed("192.0.2.1", "\"2001:db8::1\"") == ["ipsec-gateway.rw.local.gateway-address"])
        // Defined, and used by nothing.
        #expect(try needed("  ipsec-transform:\n", "  ipsec-transform:\n    2: { esp-encryption-algorithm: des }\n") == [])
        #expect(try needed("  ts-list:\n", "  client-db: { x: {} }\n  ts-list:\n") == [])
    }
}

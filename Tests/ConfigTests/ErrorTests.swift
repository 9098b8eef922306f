import Config
import Foundation
import Testing

/// One line of `plain` changed, and what must be said about it, word for word.
struct Fault: Sendable, CustomTestStringConvertible {
    let old: String
    let new: String
    let line: String
    var testDescription: String { new.split(separator: "\n").last.map(String.init) ?? new }

    init(_ old: String, _ new: String, _ line: String) {
        self.old = old
        self.new = new
        self.line = line
    }
}

private let faults: [Fault] = [
    Fault(
        "interval: 30", "intervall: 30",
        "gw.yaml:29:14: error: ipsec.ike-policy.1.dpd.intervall: found an unknown key; allowed interval, max-retries, reply-only, admin-state; did you mean \"interval\"?"
    ),
    Fault(
        "interval: 30", "interval: 9",
        "gw.yaml:29:24: error: ipsec.ike-policy.1.dpd.interval: found \"9\"; allowed 10...300 seconds"),
    Fault(
        "interval: 30", "interval: 1e3",
        "gw.yaml:29:24: error: ipsec.ike-policy.1.dpd.interval: found \"1e3\"; allowed 10...300 seconds"),
    Fault(
        "interval: 30", "interval: 99999999999999999999999",
        "gw.yaml:29:24: error: ipsec.ike-policy.1.dpd.interval: found \"99999999999999999999999\"; allowed 10...300 seconds"),
    Fault(
        "interval: 30", "interval:",
        "gw.yaml:29:14: error: ipsec.ike-policy.1.dpd.interval: found nothing; allowed 10...300 seconds"),
    Fault(
        "auth-method: psk", "auth-method: pks",
        "gw.yaml:28:37: error: ipsec.ike-policy.1.ike-version-2.auth-method: found \"pks\"; allowed psk, cert, psk-radius, cert-radius, eap, auto-eap, auto-eap-radius; did you mean \"psk\"?"
    ),
    Fault(
        "    ike-policy: 1\n", "    ike-policy: 7\n",
        "gw.yaml:42:17: error: ipsec-gateway.rw.ike-policy: found \"7\"; allowed the name of an ike-policy: 1"),
    Fault(
        "service-name: home", "service-name: hom",
        "gw.yaml:44:45: error: ipsec-gateway.rw.default-secure-service.service-name: found \"hom\"; allowed the name of a service: home; did you mean \"home\"?"
    ),
    Fault(
        "interface: priv0 }", "interface: priv1 }",
        "gw.yaml:44:62: error: ipsec-gateway.rw.default-secure-service.interface: found \"priv1\"; allowed the name of an interface of service home: priv0; did you mean \"priv0\"?"
    ),
    Fault(
        "pool: all }", "pool: some }",
        "gw.yaml:47:60: error: ipsec-gateway.rw.local.address-assignment.ipv4.pool: found \"some\"; allowed the name of a pool of local-dhcp-server rw: all"
    ),
    Fault(
        "ts-list: lan", "ts-list: lna",
        "gw.yaml:48:14: error: ipsec-gateway.rw.ts-list: found \"lna\"; allowed the name of a ts-list: lan; did you mean \"lan\"?"),
    Fault(
        "ike-transform: [1]", "ike-transform: [1, 2]",
        "gw.yaml:27:26: error: ipsec.ike-policy.1.ike-transform[1]: found \"2\"; allowed the name of an ike-transform: 1"),
    Fault(
        "ike-transform: [1]", "ike-transform: 1",
        "gw.yaml:27:22: error: ipsec.ike-policy.1.ike-transform: found \"1\"; allowed a list; did you mean \"[1]\"?"),
    Fault(
        "gateway-address: 192.0.2.1", "gateway-address: 192.0.2.256",
        "gw.yaml:46:24: error: ipsec-gateway.rw.local.gateway-address: found \"192.0.2.256\"; allowed an IPv4 or IPv6 address, such as 192.0.2.1"),
    Fault(
        "      gateway-address: 192.0.2.1\n", "",
        "gw.yaml:46:7: error: ipsec-gateway.rw.local.gateway-address: found nothing; allowed an IPv4 or IPv6 address, or auto"),
    Fault(
        "end: 10.99.0.250", "end: 10.99.1.2",
        "gw.yaml:18:17: error: local-dhcp-server.rw.pool.all.range[0]: found the range 10.99.0.10-10.99.1.2; allowed addresses of the subnet 10.99.0.0/24"
    ),
    Fault(
        "end: 10.99.0.250", "end: 10.99.0.9",
        "gw.yaml:18:43: error: local-dhcp-server.rw.pool.all.range[0].end: found \"10.99.0.9\"; allowed an address from 10.99.0.10 on"),
    Fault(
        "}]\n", "}, { begin: 10.99.0.250, end: 10.99.0.251 }]\n",
        "gw.yaml:18:58: error: local-dhcp-server.rw.pool.all.range[1]: found the range 10.99.0.250-10.99.0.251; allowed ranges that do not overlap; 10.99.0.10-10.99.0.250 stands before"
    ),
    Fault(
        "subnet: 10.99.0.0/24", "subnet: 10.99.0.1/24",
        "gw.yaml:17:17: error: local-dhcp-server.rw.pool.all.subnet: found \"10.99.0.1/24\"; allowed a prefix without host bits; did you mean \"10.99.0.0/24\"?"
    ),
    Fault(
        "address: [10.99.0.1/24]", "address: [10.98.0.1/24]",
        "gw.yaml:47:60: error: ipsec-gateway.rw.local.address-assignment.ipv4.pool: found the pool rw/all of 10.99.0.0/24; allowed a subnet within the prefixes of interface priv0: 10.98.0.0/24"
    ),
    Fault(
        "address: [10.99.0.1/24]", "address: [10.99.0.0/24]",
        "gw.yaml:12:19: error: service.home.interface.priv0.address[0]: found \"10.99.0.0/24\"; allowed the address of a host, not that of the network; did you mean \"10.99.0.1/24\"?"
    ),
    Fault(
        "      priv0:\n", "      a-very-long-name:\n",
        "gw.yaml:11:7: error: service.home.interface.a-very-long-name: found the name \"a-very-long-name\"; allowed 1...15 letters, digits, dots, dashes and underscores"
    ),
    Fault("    id: 1\n", "    id: 0\n", "gw.yaml:9:9: error: service.home.id: found \"0\"; allowed 1...2147483647"),
    Fault(
        "  1: { workers: 2 }", "  1: { workers: 65 }",
        "gw.yaml:6:17: error: tunnel-group.1.workers: found \"65\"; allowed 1...64 or auto"),
    Fault(
        "  1: { workers: 2 }", "  x: { workers: 2 }",
        "gw.yaml:6:3: error: tunnel-group.x: found the id \"x\"; allowed 1...2147483647"),
    Fault("ip-mtu: 1400", "ip-mtu: 511", "gw.yaml:33:15: error: ipsec.tunnel-template.1.ip-mtu: found \"511\"; allowed 512...9000"),
    Fault(
        "ip-mtu: 1400", "replay-window: 500",
        "gw.yaml:33:22: error: ipsec.tunnel-template.1.replay-window: found \"500\"; allowed 32, 64, 128, 256, 512, 1024, 2048"),
    Fault(
        "ip-mtu: 1400", "clear-df-bit: yes",
        "gw.yaml:33:21: error: ipsec.tunnel-template.1.clear-df-bit: found \"yes\"; allowed true, false; did you mean \"true\"?"),
    Fault(
        "esp-auth-algorithm: auth-encryption", "esp-auth-algorithm: sha-256",
        "gw.yaml:24:70: error: ipsec.ipsec-transform.1.esp-auth-algorithm: found \"sha-256\"; allowed auth-encryption with an AEAD algorithm"),
    Fault(
        "esp-encryption-algorithm: aes256-gcm16", "esp-encryption-algorithm: aes-256",
        "gw.yaml:24:65: error: ipsec.ipsec-transform.1.esp-auth-algorithm: found \"auth-encryption\"; allowed md-5, sha-1, sha-256, sha-384, sha-512, aes-xcbc with an algorithm that only encrypts"
    ),
    Fault(
        "ike-encryption-algorithm: aes-256, ike-auth-algorithm: sha-384", "ike-encryption-algorithm: aes256-gcm16",
        "gw.yaml:22:8: error: ipsec.ike-transform.1.ike-prf-algorithm: found nothing; allowed md-5, sha-1, sha-256, sha-384, sha-512, aes-xcbc with an AEAD algorithm"
    ),
    Fault(
        "ike-encryption-algorithm: aes-256, ike-auth-algorithm: sha-384", "ike-encryption-algorithm: aes256-gcm16, ike-prf-algorithm: same-as-auth",
        "gw.yaml:22:89: error: ipsec.ike-transform.1.ike-prf-algorithm: found \"same-as-auth\"; allowed md-5, sha-1, sha-256, sha-384, sha-512, aes-xcbc with an AEAD algorithm"
    ),
    Fault(
        "dh-group: group-19", "dh-group: group-91",
        "gw.yaml:22:20: error: ipsec.ike-transform.1.dh-group: found \"group-91\"; allowed group-1, group-2, group-5, group-14, group-15, group-16, group-17, group-18, group-19, group-20, group-21, x25519, x448; did you mean \"group-1\"?"
    ),
    Fault(
        "1: { address: { prefix: 10.0.0.0/8 } }", "1: { address: { prefix: 10.0.0.0/8 } }\n          2: { address: { prefix: 10.1.0.0/16 } }",
        "gw.yaml:39:11: error: ipsec.ts-list.lan.local.entry.2: found 10.1.0.0/16; allowed entries that do not overlap; entry 1 has 10.0.0.0/8"),
    Fault(
        "name: gw\n", "name: gw\n  name: gw2\n",
        "gw.yaml:3:3: error: system.name: found the key a second time; allowed each key once; the first is in line 2"),
    Fault(
        "log: { level: info }", "log: { level: loud }",
        "gw.yaml:4:17: error: management.log.level: found \"loud\"; allowed trace, debug, info, notice, warning, error"),
    Fault(
        "log: { level: info }", "accounting-spool: { maximum-size: 1PiB }",
        "gw.yaml:4:37: error: management.accounting-spool.maximum-size: found \"1PiB\"; allowed 1MiB...1TiB, in B, KiB, MiB, GiB or TiB"),
    Fault(
        "log: { level: info }", "socket-access: { mode: \"0888\" }",
        "gw.yaml:4:26: error: management.socket-access.mode: found \"0888\"; allowed an octal mode in quotes, such as \"0660\""),
    Fault(
        "log: { level: info }", "state-directory: state",
        "gw.yaml:4:20: error: management.state-directory: found \"state\"; allowed an absolute path, such as /etc/ipsec-gw/file"),
    Fault(
        "    pre-shared-key: \"kEy-8fVq2ZxW0pLr7TnYb4CmJd6\"\n", "",
        "gw.yaml:41:5: error: ipsec-gateway.rw.pre-shared-key: found nothing; allowed a text, { file: } or { env: }: auth-method psk needs it"),
    Fault(
        "      address-assignment: { ipv4: { dhcp-server: rw, pool: all } }\n", "",
        "gw.yaml:46:7: error: ipsec-gateway.rw.local.address-assignment: found nothing; allowed { ipv4: { dhcp-server: , pool: } }: auth-method psk has no other addresses"
    ),
    Fault(
        "pre-shared-key: \"kEy-8fVq2ZxW0pLr7TnYb4CmJd6\"", "pre-shared-key: { file: /a, env: B }",
        "gw.yaml:49:21: error: ipsec-gateway.rw.pre-shared-key: found both file and env; allowed one of { file: } and { env: }"),
    Fault(
        "pre-shared-key: \"kEy-8fVq2ZxW0pLr7TnYb4CmJd6\"", "pre-shared-key: { hunter2: }",
        "gw.yaml:49:23: error: ipsec-gateway.rw.pre-shared-key: found an unknown key; allowed file, env"),
    Fault("system:\n  name: gw\n", "system: [gw]\n", "gw.yaml:1:9: error: system: found a list; allowed a mapping (key: value)"),
    Fault(
        "system:\n  name: gw\n", "systm:\n  name: gw\n",
        "gw.yaml:1:1: error: systm: found an unknown key; allowed system, management, tunnel-group, service, local-dhcp-server, router, aaa, pki, ipsec, ipsec-gateway; did you mean \"system\"?"
    ),
    Fault(
        "  1: { workers: 2 }", "  1: { crypto-engine: 7 }",
        "gw.yaml:6:23: error: tunnel-group.1.crypto-engine: found \"7\"; allowed auto, ipsec-mb, openssl"),
    Fault(
        "  1: { workers: 2 }", "  1: { busy-poll: 1001 }",
        "gw.yaml:6:19: error: tunnel-group.1.busy-poll: found \"1001\"; allowed 0...1000"),
]

@Suite("Files that are refused, word for word")
struct ErrorTests {
    @Test(arguments: faults) func configuration_faultIsNamed(fault: Fault) throws {
        let (configuration, problems) = Fixtures.load(try Fixtures.plain(fault.old, fault.new))
        #expect(problems.errors.lines.contains(fault.line), "\(problems.errors.lines)")
        #expect(configuration == nil)
    }

    @Test func configuration_allProblemsInOneRun() throws {
        var text = Fixtures.plain
        for fault in [faults[0], faults[13], faults[17], faults[25]] { text = text.replacingOccurrences(of: fault.old, with: fault.new) }
        text = text.replacingOccurrences(of: "name: gw\n", with: "name: gw\n  name: gw2\n  \"name\": gw3\n")
        let errors = Fixtures.load(text).problems.errors
        #expect(errors.count == 6, "\(errors.lines)")
        #expect(errors.map(\.line) == errors.map(\.line).sorted())
    }

    @Test func configuration_twoGatewaysOnOneAddress() throws {
        for address in ["192.0.2.1", "auto"] {
            let one = Fixtures.plain.replacingOccurrences(of: "192.0.2.1", with: address)
            let gateway = try #require(one.range(of: "  rw:\n    tunnel-group"))
            let second = one[gateway.lowerBound...].replacingOccurrences(of: "  rw:\n    tunnel", with: "  rw2:\n    tunnel")
            let (configuration, problems) = Fixtures.load(one + second)
            #expect(configuration == nil)
            #expect(
                problems.errors.lines == [
                    "gw.yaml:50:3: error: ipsec-gateway.rw2.local.gateway-address: found \(address); allowed one gateway on each address; rw has it"
                ])
            #expect(
                Fixtures.load(one + second.replacingOccurrences(of: "ike-policy: 1", with: "ike-policy: 1\n    admin-state: disable")).problems.errors
                    == [])
        }
    }

    @Test func configuration_interfacesAndPoolsDoNotOverlap() throws {
        let text = try Fixtures.plain(
            "        address: [10.99.0.1/24]\n",
            "        address: [10.99.0.1/24]\n  other:\n    id: 2\n    interface: { priv0: { address: [10.99.0.129/25] } }\n"
        ).replacingOccurrences(
            of: "        dns: [10.99.0.1]\n",
            with: "      more: { subnet: 10.99.0.0/24, range: [{ begin: 10.99.0.200, end: 10.99.0.254 }] }\n")
        #expect(
            Fixtures.load(text).problems.errors.lines == [
                "gw.yaml:15:18: error: service.other.interface.priv0: found the interface priv0 again; allowed each name once in a network namespace; service.home.interface.priv0 has it",
                "gw.yaml:15:18: error: service.other.interface.priv0.address: found 10.99.0.129/25; allowed prefixes that do not overlap in one namespace; service.home.interface.priv0 has 10.99.0.0/24",
                "gw.yaml:22:7: error: local-dhcp-server.rw.pool.more.range: found 10.99.0.200-10.99.0.254; allowed addresses that no other pool has; local-dhcp-server.rw.pool.all has 10.99.0.10-10.99.0.250",
            ])
        let apart = text.replacingOccurrences(of: "[10.99.0.129/25]", with: "[10.99.0.129/25], network-namespace: two")
        #expect(Fixtures.load(apart).problems.errors.map(\.keyPath) == ["local-dhcp-server.rw.pool.more.range"])
    }

    @Test func configuration_poolsSuitTheGatewayAndItsClients() throws {
        let inside = Fixtures.load(try Fixtures.plain("gateway-address: 192.0.2.1", "gateway-address: 10.99.0.77")).problems.errors
        #expect(
            inside.lines == [
                "gw.yaml:40:3: error: ipsec-gateway.rw.local.gateway-address: found 10.99.0.77; allowed an address outside the pool rw/all"
            ])
        let text = try Fixtures.plain("address: [10.99.0.1/24]\n", "address: [10.99.0.1/24]\n      priv1:\n        address: [10.98.0.1/24]\n")
            .replacingOccurrences(
                of: "  ts-list:\n",
                with:
                    "  client-db: { d: { client: { 4: { identification: { idi: { any: true } }, private-service-name: home, private-interface: priv1 } } } }\n  ts-list:\n"
            )
            .replacingOccurrences(of: "    ts-list: lan\n", with: "    client-db: { name: d }\n")
        #expect(Fixtures.load(text).problems.errors.map(\.keyPath) == ["ipsec-gateway.rw.client-db"])
    }

    @Test func configuration_aPoolOfTheGatewaysOwnAddressesAlone() throws {
        let text = try Fixtures.plain("begin: 10.99.0.10, end: 10.99.0.250", "begin: 10.99.0.0, end: 10.99.0.1")
        #expect(Fixtures.load(text).problems.errors.map(\.found) == ["no address that a client can have"])
    }

    @Test func IKE16_andWeakChoicesAreWarned() throws {
        var text = try Fixtures.plain("dh-group: group-19", "dh-group: group-2, isakmp-lifetime: 7200")
        text = text.replacingOccurrences(of: "esp-auth-algorithm: auth-encryption", with: "ipsec-lifetime: 1800")
        text = text.replacingOccurrences(of: "kEy-8fVq2ZxW0pLr7TnYb4CmJd6", with: "swordfish")
        let problems = Fixtures.load(text).problems
        #expect(problems.errors.lines == [])
        let warned = problems.warnings.map(\.keyPath)
        for path in [
            "ipsec.ike-transform.1.dh-group", "ipsec.ike-transform.1.isakmp-lifetime", "ipsec.ipsec-transform.1.ipsec-lifetime",
            "ipsec.ike-policy.1.ike-transform", "ipsec-gateway.rw.pre-shared-key",
        ] {
            #expect(warned.contains(path), "\(path): \(warned)")
        }
    }

    @Test func AUTH_methodsNeedWhatTheyProveThemselvesBy() throws {
        let expected: [(String, [String])] = [
            ("cert", ["cert.cert-profile", "cert.trust-anchor-profile"]),
            ("psk-radius", ["radius.authentication-policy"]),
            ("eap", ["cert.cert-profile", "radius.authentication-policy"]),
            ("auto-eap-radius", ["cert.cert-profile", "cert.trust-anchor-profile", "radius.authentication-policy"]),
            ("psk, own-auth-method: eap-only", []),
        ]
        for (method, missing) in expected {
            let errors = Fixtures.load(try Fixtures.plain("auth-method: psk", "auth-method: \(method)")).problems.errors
            let paths = errors.map(\.keyPath).filter { $0.hasPrefix("ipsec-gateway") }
            #expect(paths.sorted() == missing.map { "ipsec-gateway.rw.\($0)" }, "\(method): \(errors.lines)")
            #expect(!errors.isEmpty)
        }
    }
}

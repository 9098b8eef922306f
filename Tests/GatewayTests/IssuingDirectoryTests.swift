import Config
import Foundation
import Gateway
import GatewayTesting
import PKI
import Testing

/// `ipsec-gw pki init` and `server`: what lies on disk, read by OpenSSL's own program.
@Suite("A private CA on disk")
struct IssuingDirectoryTests {
    static let names = ["192.0.2.1", "gw.example.com", "2001:db8::1"]

    /// The refusal's text; nil when there was none.
    static func refusal<Result>(_ body: () throws -> Result) throws -> String? {
        do {
            _ = try body()
            return nil
        } catch let failure as IssuingFailure {
            return failure.description
        }
    }

    @Test func quickstart_aCAAndAServerCertificateForEveryName() throws {
        let scratch = try Scratch()
        let place = "\(scratch.path)/etc/ipsec-gw/pki"
        let made = try IssuingDirectory(place).create(names: Self.names, days: 824)
        #expect(made.names == Self.names && made.path == place)
        #expect(Scratch.files(place) == ["ca.key", "ca.pem", "server.key", "server.pem"])
        #expect(try Scratch.mode(place) == 0o700)
        for key in ["ca.key", "server.key"] { #expect(try Scratch.mode("\(place)/\(key)") == 0o600) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(scratch.path)/etc/ipsec-gw") == ["pki"], "nothing beside it is left")

        let server = try Certificate(file: Scratch.octets("\(place)/server.pem"))
        #expect(server.connectName == "192.0.2.1")
        #expect("\(server.notAfter)" == made.end)
        // both ends belong to it, and Apple's devices count 825 days at most
        #expect(server.notAfter - server.notBefore < .seconds(825 * 86_400))
        guard case .rsa(let bits, _) = server.subjectKey else {
            Issue.record("an iPhone set up by hand takes RSA alone, and this is \(server.subjectKey)")
            return
        }
        #expect(bits == 3072)
    }

    @Test(.enabled(if: Tool.arePresent, Comment(rawValue: Tool.absence))) func quickstart_clientsRulesHold_saysOpenSSL() throws {
        let scratch = try Scratch()
        let place = "\(scratch.path)/pki"
        _ = try IssuingDirectory(place).create(names: Self.names, days: 824)
        // strict, for a server, for each name as what it is; an address also as a domain name, as Windows looks for it
        let checks = [
            ["-verify_ip", "192.0.2.1"], ["-verify_hostname", "192.0.2.1"], ["-verify_hostname", "gw.example.com"], ["-verify_ip", "2001:db8::1"],
        ]
        for check in checks {
            let verified = try Tool.openssl.run(
                ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.pem"] + check + ["server.pem"], in: place)
            #expect(verified.status == 0, "\(check): \(verified.text)")
        }
        for check in [["-verify_ip", "192.0.2.2"], ["-verify_hostname", "example.com"]] {
            #expect(try Tool.openssl.run(["verify", "-CAfile", "ca.pem"] + check + ["server.pem"], in: place).status != 0)
        }
        #expect(try Tool.openssl.run(["verify", "-purpose", "sslclient", "-CAfile", "ca.pem", "server.pem"], in: place).status != 0)
        let shown = try Tool.openssl.run(["x509", "-in", "server.pem", "-noout", "-text"], in: place).text
        #expect(shown.contains("TLS Web Server Authentication") && shown.contains("Digital Signature") && shown.contains("CA:FALSE"))
        #expect(shown.contains("IP Address:192.0.2.1") && shown.contains("DNS:192.0.2.1") && shown.contains("DNS:gw.example.com"))
        #expect(shown.contains("(3072 bit)") && shown.contains("sha256WithRSAEncryption"))
        let pair = try ["x509", "pkey"].map { kind in
            let file = kind == "x509" ? ["-in", "server.pem", "-noout", "-pubkey"] : ["-in", "server.key", "-pubout"]
            return try Tool.openssl.run([kind] + file, in: place).text
        }
        #expect(pair[0] == pair[1] && pair[0].contains("BEGIN PUBLIC KEY"))
    }

    @Test func quickstart_whatIsThereStays() throws {
        let scratch = try Scratch()
        let place = "\(scratch.path)/pki"
        let directory = IssuingDirectory(place, keys: .ecP256)
        _ = try directory.create(names: ["gw.example.com"], days: 10)
        let before = try Scratch.files(place).map { try Scratch.octets("\(place)/\($0)") }
        let refusal = try #require(try Self.refusal { try directory.create(names: ["gw.example.com"], days: 10) })
        #expect(refusal.contains("ipsec-gw pki server") && refusal.contains("move \(place) away"))
        #expect(try Scratch.files(place).map { try Scratch.octets("\(place)/\($0)") } == before)

        // something of somebody else's is in the way: nothing is made, and nothing is left of the attempt
        let foreign = "\(scratch.path)/foreign"
        try FileManager.default.createDirectory(atPath: foreign, withIntermediateDirectories: true)
        try "mine".write(toFile: "\(foreign)/notes", atomically: true, encoding: .utf8)
        #expect(
            try Self.refusal { try IssuingDirectory(foreign, keys: .ecP256).create(names: ["gw.example.com"], days: 10) }?.contains("move it away")
                == true)
        #expect(Scratch.files(foreign) == ["notes"])
        #expect(Set(try FileManager.default.contentsOfDirectory(atPath: scratch.path)) == ["foreign", "pki"])

        // an empty folder, as systemd makes it, is taken
        let empty = "\(scratch.path)/empty"
        try FileManager.default.createDirectory(atPath: empty, withIntermediateDirectories: true)
        _ = try IssuingDirectory(empty, keys: .ecP256).create(names: ["gw.example.com"], days: 10)
        #expect(Scratch.files(empty).count == 4)

        // what a killed run left is named
        let halved = "\(scratch.path)/halved"
        try FileManager.default.createDirectory(atPath: "\(halved).new", withIntermediateDirectories: true)
        #expect(
            try Self.refusal { try IssuingDirectory(halved, keys: .ecP256).create(names: ["gw.example.com"], days: 10) }?.contains(
                "remove \(halved).new") == true)
    }

    @Test func quickstart_renewingKeepsTheNamesAndTheCA() throws {
        let scratch = try Scratch()
        let place = "\(scratch.path)/pki"
        let directory = IssuingDirectory(place, keys: .ecP256)
        _ = try directory.create(names: Self.names, days: 10)
        func server() throws -> Certificate { try Certificate(file: Scratch.octets("\(place)/server.pem")) }
        let authority = try Scratch.octets("\(place)/ca.pem")
        let old = try server()
        // an interrupted run before this one
        try "half".write(toFile: "\(place)/server.key.new", atomically: true, encoding: .utf8)
        let made = try directory.renewServer(names: [], days: 824)
        let new = try server()
        #expect(made.names == Self.names && new.connectName == "192.0.2.1")
        #expect(new.subjectAlternativeNames == old.subjectAlternativeNames && new.notAfter > old.notAfter)
        #expect(new.subjectPublicKeyInfo != old.subjectPublicKeyInfo && new.serialNumber != old.serialNumber)
        #expect(try IssuingKey(file: Scratch.octets("\(place)/server.key")).subjectPublicKeyInfo == new.subjectPublicKeyInfo)
        #expect(try Scratch.octets("\(place)/ca.pem") == authority)
        #expect(Scratch.files(place) == ["ca.key", "ca.pem", "server.key", "server.pem"])
        #expect(try Scratch.mode("\(place)/server.key") == 0o600)

        _ = try directory.renewServer(names: ["vpn.example.com"], days: 824)
        #expect(try server().subjectAlternativeNames == [.dns("vpn.example.com")])
    }

    static let refused: [(names: [String], days: Int, text: String)] = [
        (["a b"], 10, "neither an address nor a host name"), (["*.example.com"], 10, "neither an address"), ([""], 10, "neither an address"),
        (["-x.example.com"], 10, "neither"), (["a..b"], 10, "neither"), (["vpn\n"], 10, "neither"), ([], 10, "1 to 32"),
        ([String](repeating: "a", count: 2), 10, "twice"), (["gw"], 0, "1 to 824"), (["gw"], 825, "Apple"),
    ]

    @Test(arguments: refused) func quickstart_refusesWhatNobodyCouldUse(_ names: [String], _ days: Int, _ text: String) throws {
        let scratch = try Scratch()
        let refusal = try #require(try Self.refusal { try IssuingDirectory("\(scratch.path)/pki").create(names: names, days: days) })
        #expect(refusal.contains(text), "\(refusal)")
        #expect(!refusal.contains("\n") && Scratch.files(scratch.path).isEmpty)
    }

    @Test func quickstart_withoutACAItSaysHowToGetOne() throws {
        let scratch = try Scratch()
        let directory = IssuingDirectory("\(scratch.path)/pki", keys: .ecP256)
        #expect(try Self.refusal { try directory.renewServer(names: [], days: 10) }?.contains("ipsec-gw pki init") == true)
        #expect(try Self.refusal { try directory.createClient("laptop", folder: nil, days: 10) }?.contains("ipsec-gw pki init") == true)
        _ = try directory.create(names: ["gw"], days: 10)
        let other = IssuingDirectory("\(scratch.path)/other", keys: .ecP256)
        _ = try other.create(names: ["gw"], days: 10)
        try FileManager.default.removeItem(atPath: "\(scratch.path)/pki/ca.key")
        try FileManager.default.copyItem(atPath: "\(scratch.path)/other/ca.key", toPath: "\(scratch.path)/pki/ca.key")
        #expect(try Self.refusal { try directory.renewServer(names: [], days: 10) }?.contains("backup") == true)
    }

    /// The first configuration with the first certificates: nothing to complain of but an end that is near.
    @Test func quickstart_theFirstConfigurationTakesThem() throws {
        for (days, endsSoon) in [(824, false), (20, true)] {
            let scratch = try Scratch()
            let place = "\(scratch.path)/pki"
            _ = try IssuingDirectory(place, keys: .ecP256).create(names: ["192.0.2.1", "gw.example.com"], days: days)
            let text = try #require(DefaultConfiguration.text(psk: "kQ3v9Zt0x1WmB7uHnYc5RaE2sLd8FgJ0pTiXoVb4Nw", pki: place))
            let configuration = try #require(Configuration.load(text: text, file: "gw.yaml").configuration)
            #expect(configuration.examineReferences() == [])
            let inventory = CertificateInventory(configuration)
            #expect(inventory.problems == [])
            #expect(inventory.ending.map(\.keyPath) == (endsSoon ? ["ipsec.cert-profile.gateway.entry.1.cert"] : []))
        }
    }
}

import Foundation
import Gateway
import GatewayTesting
import PKI
import Testing

/// `ipsec-gw pki client`: the bundle, read by programs that share no code with us.
@Suite("A client's bundle", .serialized, .enabled(if: Tool.arePresent, Comment(rawValue: Tool.absence)))
struct ClientBundleTests {
    let scratch: Scratch
    let place: String
    let directory: IssuingDirectory
    /// The same, where the kind of key does not matter.
    let quick: IssuingDirectory

    /// The files of one CA for all of these tests: RSA keys take a while.
    static let authority: [String: Data] = {
        guard let scratch = try? Scratch(),
            let made = try? IssuingDirectory("\(scratch.path)/pki").create(names: ["192.0.2.1", "gw.example.com"], days: 824)
        else { return [:] }
        return Dictionary(
            uniqueKeysWithValues: Scratch.files(made.path).map { ($0, FileManager.default.contents(atPath: "\(made.path)/\($0)") ?? Data()) })
    }()

    init() throws {
        scratch = try Scratch()
        place = "\(scratch.path)/pki"
        directory = IssuingDirectory(place)
        quick = IssuingDirectory(place, keys: .ecP256)
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        try #require(Self.authority.count == 4)
        for (name, octets) in Self.authority { try octets.write(to: URL(filePath: "\(place)/\(name)")) }
    }

    @Test(arguments: ["laptop", "alice@example.com", "10.1.2.3"])
    func quickstart_bundleIsCompleteAndOpensWithThePassword(_ name: String) throws {
        let made = try directory.createClient(name, folder: nil, days: 100)
        let folder = "\(place)/clients/\(name)"
        #expect(made.made.path == folder && made.gateway == "192.0.2.1")
        #expect(
            Scratch.files(folder)
                == [
                    "ipsec-gw-ca.cer", "\(name).mobileconfig", "\(name).p12", "\(name).ps1", "swanctl/conf.d/ipsec-gw.conf",
                    "swanctl/private/\(name).key", "swanctl/x509/\(name).pem", "swanctl/x509ca/ipsec-gw-ca.pem",
                ].sorted())
        for file in Scratch.files(folder) {
            #expect(try Scratch.mode("\(folder)/\(file)") == 0o600)
            let octets = try Data(contentsOf: URL(filePath: "\(folder)/\(file)"))
            #expect(octets.range(of: Data(made.password.utf8)) == nil, "the password is in \(file)")
        }
        #expect(made.password.split(separator: "-").map(\.count) == [4, 4, 4, 4, 4])

        let read = try Tool.openssl.run(["pkcs12", "-in", "\(name).p12", "-passin", "pass:\(made.password)", "-nodes", "-info"], in: folder)
        #expect(read.status == 0, "\(read.text)")
        #expect(read.text.contains("pbeWithSHA1And3-KeyTripleDES-CBC") && read.text.contains("MAC: sha1"), "Apple's devices read nothing newer")
        let own = try Certificate(file: Scratch.octets("\(folder)/swanctl/x509/\(name).pem"))
        let authority = try Certificate(file: Scratch.octets("\(place)/ca.pem"))
        #expect(try Set(Certificate.all(inFile: Array(read.text.utf8))) == [own, authority])
        #expect(try IssuingKey(file: Array(read.text.utf8)).subjectPublicKeyInfo == own.subjectPublicKeyInfo)
        #expect(try IssuingKey(file: Scratch.octets("\(folder)/swanctl/private/\(name).key")).subjectPublicKeyInfo == own.subjectPublicKeyInfo)
        #expect(try Tool.openssl.run(["pkcs12", "-in", "\(name).p12", "-passin", "pass:wrong", "-nodes"], in: folder).status != 0)
        #expect(try Certificate(der: Scratch.octets("\(folder)/ipsec-gw-ca.cer")) == authority)

        let verified = try Tool.openssl.run(
            ["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "swanctl/x509ca/ipsec-gw-ca.pem", "swanctl/x509/\(name).pem"], in: folder)
        #expect(verified.status == 0, "\(verified.text)")
        let shown = try Tool.openssl.run(["x509", "-in", "swanctl/x509/\(name).pem", "-noout", "-text"], in: folder).text
        #expect(shown.contains("TLS Web Client Authentication") && shown.contains("CN = \(name)"))
        let kind = name.contains("@") ? "email" : name.hasPrefix("10.") ? "IP Address" : "DNS"
        #expect(shown.contains("\(kind):\(name)"), "\(shown)")
        #expect(own.notAfter - own.notBefore == .seconds(100 * 86_400))
    }

    /// Apple's rules (clients.md), as Python's plistlib reads the profile.
    @Test func quickstart_appleProfile() throws {
        let made = try directory.createClient("alice@example.com", folder: "\(scratch.path)/out", days: 100)
        #expect(made.made.path == "\(scratch.path)/out")
        let program = """
            import json, plistlib, sys, base64
            def plain(value):
                if isinstance(value, bytes): return base64.b64encode(value).decode()
                if isinstance(value, dict): return {key: plain(item) for key, item in value.items()}
                if isinstance(value, list): return [plain(item) for item in value]
                return value
            print(json.dumps(plain(plistlib.load(open(sys.argv[1], 'rb')))))
            """
        let read = try Tool.python.run(["-c", program, "\(made.made.path)/alice@example.com.mobileconfig"])
        #expect(read.status == 0, "\(read.text)")
        let profile = try #require(try JSONSerialization.jsonObject(with: Data(read.text.utf8)) as? [String: Any])
        #expect(profile["PayloadType"] as? String == "Configuration")
        let payloads = try #require(profile["PayloadContent"] as? [[String: Any]])
        func payload(_ type: String) throws -> [String: Any] { try #require(payloads.first { $0["PayloadType"] as? String == type }) }
        let identifiers = ([profile] + payloads).compactMap { $0["PayloadUUID"] as? String }
        #expect(Set(identifiers).count == 4 && identifiers.allSatisfy { UUID(uuidString: $0) != nil })
        #expect(Set(([profile] + payloads).compactMap { $0["PayloadIdentifier"] as? String }).count == 4)
        #expect(([profile] + payloads).allSatisfy { $0["PayloadVersion"] as? Int == 1 })

        let authority = try Certificate(file: Scratch.octets("\(place)/ca.pem"))
        #expect(try payload("com.apple.security.root")["PayloadContent"] as? String == Data(authority.der).base64EncodedString())
        let pkcs12 = try payload("com.apple.security.pkcs12")
        #expect(try pkcs12["PayloadContent"] as? String == Data(Scratch.octets("\(made.made.path)/alice@example.com.p12")).base64EncodedString())
        #expect(pkcs12["Password"] == nil, "the device asks for it")
        let vpn = try payload("com.apple.vpn.managed")
        #expect(vpn["VPNType"] as? String == "IKEv2")
        let connection = try #require(vpn["IKEv2"] as? [String: Any])
        #expect(connection["RemoteAddress"] as? String == "192.0.2.1" && connection["RemoteIdentifier"] as? String == "192.0.2.1")
        #expect(connection["LocalIdentifier"] as? String == "alice@example.com")
        #expect(connection["AuthenticationMethod"] as? String == "Certificate" && connection["ExtendedAuthEnabled"] as? Int == 0)
        #expect(connection["CertificateType"] as? String == "RSA")
        #expect(connection["PayloadCertificateUUID"] as? String == pkcs12["PayloadUUID"] as? String)
        // a device sends CERTREQ and compares the issuer by this
        let issuer = try #require(connection["ServerCertificateIssuerCommonName"] as? String)
        #expect(authority.subject == DistinguishedName([("O", "ipsec-gw"), ("CN", issuer)]))
        for (key, minutes) in [("IKESecurityAssociationParameters", 1410), ("ChildSecurityAssociationParameters", 420)] {
            let algorithms = try #require(connection[key] as? [String: Any])
            #expect(algorithms["EncryptionAlgorithm"] as? String == "AES-256-GCM" && algorithms["IntegrityAlgorithm"] as? String == "SHA2-256")
            #expect(algorithms["DiffieHellmanGroup"] as? Int == 19 && algorithms["LifeTimeInMinutes"] as? Int == minutes)
        }
    }

    /// What clients.md says of Windows; there is no PowerShell here to run it.
    @Test func quickstart_windowsScript() throws {
        let made = try quick.createClient("laptop", folder: nil, days: 100)
        let text = try Scratch.text("\(made.made.path)/laptop.ps1")
        #expect(text.utf8.allSatisfy { (0x20...0x7e).contains($0) || $0 == 0x0d || $0 == 0x0a }, "PowerShell 5 reads ASCII alike everywhere")
        let lines = text.components(separatedBy: "\r\n")
        #expect(lines.allSatisfy { !$0.contains("\n") && !$0.contains("\r") })
        func line(_ command: String) throws -> String {
            let found = lines.filter { !$0.hasPrefix("#") && $0.contains("\(command) ") }
            #expect(found.count == 1, "\(command)")
            return try #require(found.first)
        }
        #expect(lines.contains("#Requires -RunAsAdministrator"))
        #expect(try line("Import-Certificate").contains("'ipsec-gw-ca.cer') -CertStoreLocation Cert:\\LocalMachine\\Root"))
        #expect(try line("Import-PfxCertificate").contains("'laptop.p12') -CertStoreLocation Cert:\\LocalMachine\\My -Password $Password"))
        let add = try line("Add-VpnConnection")
        for part in [
            "-ServerAddress '192.0.2.1'", "-TunnelType IKEv2", "-AuthenticationMethod MachineCertificate",
            "-MachineCertificateIssuerFilter $authority",
        ] {
            #expect(add.contains(part), "\(part)")
        }
        // never the MODP-1024 of Windows' own offer
        let algorithms = try line("Set-VpnConnectionIPsecConfiguration")
        for part in ["-EncryptionMethod AES256", "-IntegrityCheckMethod SHA256", "-DHGroup Group14", "-CipherTransformConstants GCMAES256", "-Force"]
        {
            #expect(algorithms.contains(part), "\(part)")
        }
        for (open, close) in [("(", ")"), ("{", "}"), ("[", "]")] {
            #expect(text.components(separatedBy: open).count == text.components(separatedBy: close).count)
        }
        #expect(lines.allSatisfy { $0.hasPrefix("#") || $0.components(separatedBy: "'").count % 2 == 1 })
        #expect(!text.contains(made.password))
    }

    @Test func quickstart_namesThatNeedNoQuotingAnywhere() throws {
        for name in [
            "", "-x", ".x", "@x", "a b", "a/b", "../x", "a'b", "a\"b", "a$b", "a;b", "a\nb", "ä", "a&b", "a<b", "a:b",
            String(repeating: "a", count: 65),
        ] {
            #expect(!ClientBundle.isUsable(name), "\(name)")
            let refusal = try IssuingDirectoryTests.refusal { try quick.createClient(name, folder: nil, days: 10) }
            #expect(refusal?.contains("no name for a client") == true && refusal?.contains("\n") == false)
        }
        #expect(Scratch.files("\(place)/clients") == [])
        for name in ["a", "A-1_b.c", "alice@example.com", String(repeating: "a", count: 64)] { #expect(ClientBundle.isUsable(name)) }
    }

    @Test func quickstart_aSecondBundleOfANameIsRefused() throws {
        let first = try quick.createClient("laptop", folder: nil, days: 10)
        let before = try Scratch.octets("\(first.made.path)/laptop.p12")
        let refusal = try IssuingDirectoryTests.refusal { try quick.createClient("laptop", folder: nil, days: 10) }
        #expect(refusal?.contains("take another name") == true)
        #expect(try Scratch.octets("\(first.made.path)/laptop.p12") == before)
        let second = try quick.createClient("laptop", folder: "\(scratch.path)/again", days: 10)
        #expect(second.password != first.password)
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(place)/clients") == ["laptop"])
    }
}

package import GatewayCrypto
import Wire

/// What a person carries to a device so that it connects by certificate: one folder for strongSwan, Apple's devices, Windows and Android.
/// Texts and octets alone; whoever writes them decides where. The private key is not among them: it goes to `keyPath`, straight from `Issued`.
package struct ClientBundle: Sendable {
    /// What the client is called: its identity in IKE, and the files' name.
    package let name: String
    /// What clients call the gateway; its certificate has it.
    package let gateway: String
    package let files: [File]
    /// Where the client's private key goes, PEM.
    package let keyPath: String

    package struct File: Hashable, Sendable {
        /// Below the bundle's folder.
        package let path: String
        package let octets: [UInt8]
    }

    package enum Problem: Error, Hashable, Sendable {
        /// Something else than 1 ... 64 letters, digits and `.-_@`, or not beginning with a letter or digit.
        case clientName
        /// No name of the gateway's certificate that clients could type.
        case gatewayName
        case issuing(IssuingError)
    }

    /// `password` protects the PKCS#12 files and stands in none of them.
    package init(
        _ issued: PrivateCA.Issued, name: String, gateway certificate: Certificate, password: String, entropy: any Entropy
    ) throws(Problem) {
        guard Self.isUsable(name) else { throw .clientName }
        guard let gateway = certificate.connectName else { throw .gatewayName }
        self.name = name
        self.gateway = gateway
        let pkcs12: [UInt8]
        do throws(IssuingError) {
            pkcs12 = try issued.pkcs12(password: password, friendlyName: "\(name) for \(gateway)")
        } catch {
            throw .issuing(error)
        }
        let apple = AppleProfile(
            name: name, gateway: gateway, authority: issued.authority, pkcs12: pkcs12,
            isRSA: issued.certificate.subjectKey.isRSA, identifiers: (0..<4).map { _ in UniqueIdentifier(entropy).description })
        let swan = StrongSwanSettings(name: name, gateway: gateway)
        let windows = WindowsScript(name: name, gateway: gateway)
        keyPath = "swanctl/private/\(name).key"
        files = [
            File(path: "\(name).p12", octets: pkcs12), File(path: "\(name).mobileconfig", octets: Array(apple.text.utf8)),
            File(path: "\(name).ps1", octets: Array(windows.text.utf8)), File(path: WindowsScript.authorityFile, octets: issued.authority.der),
            File(path: "swanctl/conf.d/ipsec-gw.conf", octets: Array(swan.text.utf8)),
            File(path: "swanctl/x509/\(name).pem", octets: Array(issued.certificate.pem.utf8)),
            File(path: "swanctl/x509ca/\(StrongSwanSettings.authorityFile)", octets: Array(issued.authority.pem.utf8)),
        ]
    }

    /// Whether a client may be called so: the name stands in file names, a plist, a script and swanctl.conf, and needs no quoting in any of them.
    package static func isUsable(_ name: String) -> Bool {
        guard (1...64).contains(name.utf8.count), let first = name.utf8.first, first.isLetterOrDigit else { return false }
        return name.utf8.allSatisfy { $0.isLetterOrDigit || ".-_@".utf8.contains($0) }
    }
}

extension Certificate {
    /// What a client types: the subject's common name where it is an alternative name too, as `PrivateCA.issueServer` writes it, else the first
    /// domain name or address. Nil where that needs quoting.
    package var connectName: String? {
        var names: [String] = []
        for name in subjectAlternativeNames {
            switch name {
            case .dns(let text): names.append(String(decoding: text, as: UTF8.self))
            case .address(let address): names.append(address.description)
            case .rfc822, .uri, .directory, .other: continue
            }
        }
        let usable = names.filter { name in name.utf8.allSatisfy { $0.isLetterOrDigit || ".-:".utf8.contains($0) } && !name.isEmpty }
        return usable.first { $0 == subject.commonName } ?? usable.first
    }
}

extension SubjectKey {
    var isRSA: Bool {
        if case .rsa = self { true } else { false }
    }
}

extension UInt8 {
    fileprivate var isLetterOrDigit: Bool { (48...57).contains(self) || (65...90).contains(self) || (97...122).contains(self) }
}

/// A version 4 UUID, RFC 9562 section 5.4.
struct UniqueIdentifier: CustomStringConvertible {
    let description: String

    init(_ entropy: any Entropy) {
        var octets = entropy.octets(16)
        octets[6] = octets[6] & 0x0f | 0x40
        octets[8] = octets[8] & 0x3f | 0x80
        let digits = octets.hexadecimal.uppercased()
        var text = ""
        for (index, digit) in digits.enumerated() {
            if [8, 12, 16, 20].contains(index) { text += "-" }
            text.append(digit)
        }
        description = text
    }
}

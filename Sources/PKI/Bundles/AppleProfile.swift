/// A configuration profile for iOS, iPadOS and macOS: the gateway's CA, the client's certificate and the IKEv2 connection in one file. The device asks
/// for the PKCS#12's password when the profile is installed.
///
/// One proposal each (clients.md): AES-256-GCM with ECP-256 first, or a device drops its connection at a rekey after 24 or 48 minutes.
struct AppleProfile {
    /// Minutes after which the device renews the IKE SA: before the gateway's day ends.
    static let ikeLifetime = 1410
    /// Minutes for a Child SA: before the eight hours of the gateway's first configuration end.
    static let childLifetime = 420

    let text: String

    /// `identifiers`: four UUIDs, fresh for each profile.
    init(name: String, gateway: String, authority: Certificate, pkcs12: [UInt8], isRSA: Bool, identifiers: [String]) {
        let base = "ipsec-gw.\(gateway).\(name)"
        let title = "VPN \(gateway)"
        let algorithms: (Int) -> PropertyList = { minutes in
            .dictionary([
                ("EncryptionAlgorithm", .string("AES-256-GCM")), ("IntegrityAlgorithm", .string("SHA2-256")), ("DiffieHellmanGroup", .integer(19)),
                ("LifeTimeInMinutes", .integer(minutes)),
            ])
        }
        var connection: [(String, PropertyList)] = [
            ("RemoteAddress", .string(gateway)), ("RemoteIdentifier", .string(gateway)), ("LocalIdentifier", .string(name)),
            ("AuthenticationMethod", .string("Certificate")), ("ExtendedAuthEnabled", .integer(0)),
            ("PayloadCertificateUUID", .string(identifiers[1])), ("CertificateType", .string(isRSA ? "RSA" : "ECDSA256")),
        ]
        if let issuer = authority.subject.commonName { connection.append(("ServerCertificateIssuerCommonName", .string(issuer))) }
        connection += [
            ("DeadPeerDetectionRate", .string("Medium")), ("EnablePFS", .integer(0)), ("DisableRedirect", .integer(1)),
            ("IKESecurityAssociationParameters", algorithms(Self.ikeLifetime)),
            ("ChildSecurityAssociationParameters", algorithms(Self.childLifetime)),
        ]
        let payloads: [PropertyList] = [
            Self.payload(
                "com.apple.security.root", "\(base).ca", identifiers[0], "CA of \(gateway)",
                [("PayloadCertificateFileName", .string("ipsec-gw-ca.cer")), ("PayloadContent", .data(authority.der))]),
            Self.payload(
                "com.apple.security.pkcs12", "\(base).certificate", identifiers[1], "Certificate of \(name)",
                [("PayloadCertificateFileName", .string("\(name).p12")), ("PayloadContent", .data(pkcs12))]),
            Self.payload(
                "com.apple.vpn.managed", "\(base).vpn", identifiers[2], title,
                [
                    ("UserDefinedName", .string(title)), ("VPNType", .string("IKEv2")), ("IKEv2", .dictionary(connection)),
                    ("IPv4", .dictionary([("OverridePrimary", .integer(1))])),
                ]),
        ]
        let profile = Self.payload(
            "Configuration", base, identifiers[3], title,
            [("PayloadContent", .array(payloads)), ("PayloadRemovalDisallowed", .boolean(false))])
        text = profile.document
    }

    private static func payload(
        _ type: String, _ identifier: String, _ uuid: String, _ title: String, _ own: [(String, PropertyList)]
    ) -> PropertyList {
        .dictionary(
            [
                ("PayloadType", .string(type)), ("PayloadVersion", .integer(1)), ("PayloadIdentifier", .string(identifier)),
                ("PayloadUUID", .string(uuid)), ("PayloadDisplayName", .string(title)),
            ] + own)
    }
}

/// A property list as Apple's XML has it.
indirect enum PropertyList {
    case string(String)
    case integer(Int)
    case boolean(Bool)
    case data([UInt8])
    case array([PropertyList])
    case dictionary([(String, PropertyList)])

    var document: String {
        """
        <?xml version="1.0" encoding="UTF-8"?>
        <!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
        <plist version="1.0">
        \(element(indent: ""))
        </plist>

        """
    }

    private func element(indent: String) -> String {
        let inner = indent + "  "
        switch self {
        case .string(let text): return "\(indent)<string>\(Self.escaped(text))</string>"
        case .integer(let value): return "\(indent)<integer>\(value)</integer>"
        case .boolean(let value): return "\(indent)<\(value)/>"
        case .data(let octets): return "\(indent)<data>\(String(decoding: PEM.encodeBase64(octets), as: UTF8.self))</data>"
        case .array(let items):
            return "\(indent)<array>\n" + items.map { $0.element(indent: inner) + "\n" }.joined() + "\(indent)</array>"
        case .dictionary(let pairs):
            let lines = pairs.map { "\(inner)<key>\(Self.escaped($0.0))</key>\n\($0.1.element(indent: inner))\n" }
            return "\(indent)<dict>\n" + lines.joined() + "\(indent)</dict>"
        }
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            default: result.append(character)
            }
        }
        return result
    }
}

import GatewayCrypto
import GatewayTesting
import Lab
import PKI
import Testing

/// What scenarios with a RADIUS server have in common: its certificate, and clients by EAP.
extension LabCertificates {
    /// The RADIUS server's own for EAP-TLS, TTLS and PEAP, and whom it takes: clients from below the issuer.
    func radius() throws -> FreeRADIUSSettings.Certificates {
        let made = try issuer.endEntity("radius.test") {
            $0.valid()
            $0.names = [.dns("radius.test")]
            $0.extendedKeyUsage = [.serverAuthentication]
        }
        return .init(
            certificate: ([made.certificate.pem] + made.chain.map(\.pem)).joined(),
            key: String(decoding: try made.key.pem().exposed(), as: UTF8.self),
            authority: root.certificate.pem)
    }

    /// A client's certificate that does not fit into 2,000 octets: names enough.
    func largeClient(_ name: String) throws -> TestCertificate {
        try client(name, kind: .rsa(bits: 2048)) { options in
            options.names = [.dns(name)] + (0..<40).map { .dns("a-rather-long-name-number-\($0).example.test") }
        }
    }
}

/// How a client logs in by EAP.
struct EAPMethod: Sendable, CustomTestStringConvertible {
    let name: String
    /// strongSwan's.
    let auth: String
    /// Inside TTLS.
    var inner: String?
    /// Whether the client shows a certificate instead of a password.
    var isByCertificate = false
    var isKeying = true
    var testDescription: String { name }

    static let md5 = EAPMethod(name: "EAP-MD5", auth: "eap-md5", isKeying: false)
    static let mschapv2 = EAPMethod(name: "EAP-MSCHAPv2", auth: "eap-mschapv2")
    static let tls = EAPMethod(name: "EAP-TLS", auth: "eap-tls", isByCertificate: true)
    static let ttlsMSCHAPv2 = EAPMethod(name: "EAP-TTLS with MSCHAPv2", auth: "eap-ttls", inner: "mschapv2")
    static let ttlsMD5 = EAPMethod(name: "EAP-TTLS with MD5", auth: "eap-ttls", inner: "md5")
    static let ttlsGTC = EAPMethod(name: "EAP-TTLS with a plain password (GTC)", auth: "eap-ttls", inner: "gtc")
    static let all = [md5, mschapv2, tls, ttlsMSCHAPv2, ttlsMD5, ttlsGTC]

    /// What a strongSwan client with this method differs in: identity of IKE and of EAP, password.
    func apply(to connection: inout CharonConnection, identity: String, password: String, idi: String? = nil) {
        connection.identity = idi ?? identity
        connection.eapIdentity = identity
        connection.localAuth = auth
        connection.eapPassword = password
        connection.aaaIdentity = auth == "eap-tls" || auth == "eap-ttls" ? "radius.test" : nil
    }
}

import Foundation
import GatewayCrypto
import GatewayTesting
import Lab
import PKI

/// A CA of a scenario and the files made from it. Certificates are valid around now.
struct LabCertificates {
    let scenario: Scenario
    let root: TestCA
    let rootFile: String
    /// With one the gateway's and the clients' certificates come from below the root.
    let intermediate: TestCA?

    init(_ scenario: Scenario, _ name: String = "Root", kind: IssuingKey.Kind = .ecP256, intermediate: Bool = false) throws {
        self.scenario = scenario
        root = try TestCA(name) {
            $0.kind = kind
            $0.valid()
        }
        rootFile = try scenario.write(root.certificate.pem, to: "\(name).pem")
        self.intermediate = intermediate ? try root.intermediate("\(name) below") { $0.valid() } : nil
    }

    var issuer: TestCA { intermediate ?? root }

    /// The gateway's own, for gw.test; `name` tells files apart.
    func gateway(
        kind: IssuingKey.Kind = .ecP256, name: String = "gateway", _ change: (inout TestCA.Options) -> Void = { _ in }
    ) throws -> GatewaySettings.Certificates {
        let made = try issuer.endEntity("gw.test") {
            $0.kind = kind
            $0.valid()
            $0.names = [.dns("gw.test")]
            $0.extendedKeyUsage = [.serverAuthentication]
            change(&$0)
        }
        let files = try write(made, name)
        var certificates = GatewaySettings.Certificates(certificate: files.certificate, key: files.key, anchors: [rootFile])
        if let intermediate {
            certificates.sendChain = [try scenario.write(intermediate.certificate.pem, to: "\(name).chain.pem")]
        }
        return certificates
    }

    func write(_ made: TestCertificate, _ name: String) throws -> (certificate: String, key: String) {
        (
            try scenario.write(made.certificate.pem, to: "\(name).pem"),
            try scenario.write(String(decoding: made.key.pem().exposed(), as: UTF8.self), to: "\(name).key")
        )
    }

    /// A client's; its name stands in the SAN.
    func client(_ name: String, kind: IssuingKey.Kind = .ecP256, _ change: (inout TestCA.Options) -> Void = { _ in }) throws -> TestCertificate {
        try issuer.endEntity(name) {
            $0.kind = kind
            $0.valid()
            $0.names = [name.contains("@") ? .rfc822(name) : .dns(name)]
            change(&$0)
        }
    }

    /// Gives a client its certificate and lets it trust the root.
    func install(_ certificate: TestCertificate, at charon: Charon) throws -> String {
        try charon.trust(root.certificate.pem)
        return try charon.add(
            certificate: certificate.certificate.pem, key: String(decoding: certificate.key.pem().exposed(), as: UTF8.self),
            intermediates: certificate.chain.map(\.pem))
    }
}

extension TestCA.Options {
    /// From yesterday for a year, by the clock on the wall.
    mutating func valid() {
        let now = CertificateTime(unixSeconds: Int64(Date().timeIntervalSince1970))
        notBefore = now + .seconds(-86_400)
        notAfter = now + .seconds(365 * 86_400)
    }
}

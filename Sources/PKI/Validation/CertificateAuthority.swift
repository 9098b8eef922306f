/// The certificate of a ca-profile after the checks of features.md PKI-4: what stands here may issue certificates.
package struct CertificateAuthority: Hashable, Sendable {
    /// The ca-profile's.
    package let name: String
    package let certificate: Certificate
    package let revocationCheck: RevocationCheck

    /// Why a ca-profile stays down.
    package enum Problem: Error, Hashable, Sendable {
        case notVersion3
        case notYetValid(from: CertificateTime)
        case expired(at: CertificateTime)
        /// BasicConstraints is absent or says that it is no CA.
        case notAnAuthority
        /// KeyUsage is present without keyCertSign and cRLSign.
        case keyUsage
        case weakKey
        /// CRL and OCSP are not there yet.
        case revocationCheckNotSupported
    }

    /// Checks at the given time; throws the first problem.
    package init(
        name: String, certificate: Certificate, revocationCheck: RevocationCheck, at time: CertificateTime
    ) throws(Problem) {
        guard certificate.version == 3 else { throw .notVersion3 }
        guard certificate.notBefore <= time else { throw .notYetValid(from: certificate.notBefore) }
        guard time <= certificate.notAfter else { throw .expired(at: certificate.notAfter) }
        guard certificate.extensions.basicConstraints?.isAuthority == true else { throw .notAnAuthority }
        if let usage = certificate.extensions.keyUsage, !usage.isSuperset(of: [.keyCertificateSign, .crlSign]) { throw .keyUsage }
        guard certificate.subjectKey.isStrong else { throw .weakKey }
        guard revocationCheck.isSupported else { throw .revocationCheckNotSupported }
        self.name = name
        self.certificate = certificate
        self.revocationCheck = revocationCheck
    }

    /// For vectors of another age.
    init(unchecked certificate: Certificate) {
        name = ""
        self.certificate = certificate
        revocationCheck = .none
    }
}

extension CertificateAuthority.Problem: CustomStringConvertible {
    package var description: String {
        switch self {
        case .notVersion3: "it is no version 3 certificate"
        case .notYetValid(let time): "it is not valid before \(time)"
        case .expired(let time): "it expired at \(time)"
        case .notAnAuthority: "its BasicConstraints do not say that it is a CA"
        case .keyUsage: "its KeyUsage does not allow it to sign certificates and CRLs"
        case .weakKey: "its key is weak or of an unknown kind: RSA from 2048 bits, ECDSA P-256, P-384, P-521, Ed25519 and Ed448 are taken"
        case .revocationCheckNotSupported: "this version can do revocation-check: none only"
        }
    }
}

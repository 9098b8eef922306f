/// Why a peer's certificate is not accepted: one plain cause, for the log only; the peer learns AUTHENTICATION_FAILED (threats.md C8).
package struct PathFailure: Error, Hashable, Sendable {
    package let cause: Cause
    /// Which certificate: 0 the end entity, 1 its issuer, and so on.
    package let depth: Int
    /// Whose, printable ASCII.
    package let subject: String

    package enum Cause: Hashable, Sendable {
        /// No CERT payload at all.
        case noCertificate
        /// More CERT payloads than `TrustAnchors.maximumPayloads`.
        case tooManyCertificates
        case malformed(CertificateError)
        /// No trust anchor in any chain that can be built: the wrong CA, or an intermediate that the peer did not send.
        case unknownAuthority
        /// The certificate is a trust anchor itself.
        case isTrustAnchor
        case notYetValid
        case expired
        case badSignature
        /// SHA-1, MD5, or another signature algorithm that is not taken.
        case weakSignature
        /// RSA below 2048 bits or with an exponent below 65537, or an EC curve or algorithm that is not taken.
        case weakKey
        /// An issuer that is no CA by its BasicConstraints.
        case issuerIsNoAuthority
        /// An issuer whose KeyUsage does not let it sign certificates.
        case issuerKeyUsage
        /// KeyUsage is present without digitalSignature and contentCommitment (RFC 4945 section 5.1.3.2).
        case keyUsage
        /// ExtendedKeyUsage is present without clientAuth, ipsecIKE or any.
        case extendedKeyUsage
        /// The chain or a pathLenConstraint is exceeded.
        case pathTooLong
        case nameConstraint
        /// More work in names and constraints than the cap.
        case tooManyNameConstraints
        case unknownCriticalExtension
        /// An extension that contradicts RFC 5280.
        case invalidExtension
        /// Certificate policies that must be there are not.
        case policy
        /// OpenSSL's own number for what has no name here.
        case refused(code: Int)
    }

    init(_ cause: Cause, depth: Int, _ certificate: Certificate?) {
        self.cause = cause
        self.depth = depth
        subject = certificate?.description ?? ""
    }

    init(_ cause: Cause, depth: Int = 0, subject: String = "") {
        self.cause = cause
        self.depth = depth
        self.subject = subject
    }
}

extension PathFailure: CustomStringConvertible {
    package var description: String {
        let whose = depth == 0 ? "the certificate" : "certificate \(depth) of the chain"
        return (subject.isEmpty ? whose : "\(whose) (\(subject))") + ": \(cause)"
    }
}

extension PathFailure.Cause: CustomStringConvertible {
    package var description: String {
        switch self {
        case .noCertificate: "the peer sent no certificate"
        case .tooManyCertificates: "the peer sent more than \(TrustAnchors.maximumPayloads) certificates"
        case .malformed(let error): "malformed, \(error)"
        case .unknownAuthority: "no trust anchor issued it: wrong CA, or an intermediate certificate is missing"
        case .isTrustAnchor: "a trust anchor is no end entity"
        case .notYetValid: "not yet valid"
        case .expired: "expired"
        case .badSignature: "its issuer did not sign it"
        case .weakSignature: "signed with an algorithm that is not taken, such as SHA-1"
        case .weakKey: "its key is weak or of a kind that is not taken"
        case .issuerIsNoAuthority: "it issued a certificate but is no CA"
        case .issuerKeyUsage: "it issued a certificate but its KeyUsage forbids that"
        case .keyUsage: "its KeyUsage has neither digitalSignature nor contentCommitment"
        case .extendedKeyUsage: "its ExtendedKeyUsage has neither clientAuth nor ipsecIKE"
        case .pathTooLong: "the chain is longer than allowed"
        case .nameConstraint: "a CA above it may not issue for this name"
        case .tooManyNameConstraints: "too many names and name constraints"
        case .unknownCriticalExtension: "a critical extension that is not understood"
        case .invalidExtension: "an extension contradicts RFC 5280"
        case .policy: "a certificate policy that must be there is missing"
        case .refused(let code): "refused by path validation (\(code))"
        }
    }
}

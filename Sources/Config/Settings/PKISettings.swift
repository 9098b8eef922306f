/// `pki`, and the certificate profiles of `ipsec`, as the file has them; PKI takes them up when it comes.
package struct PKISettings: Hashable, Sendable {
    package var certificateExpiration = ExpirationWarning()
    package var crlExpiration = ExpirationWarning()
    package var caProfiles: [CAProfile] = []
    package var certificateProfiles: [CertificateProfile] = []
    package var trustAnchorProfiles: [TrustAnchorProfile] = []
    package init() {}

    /// How long before the end it is told, and how often again; nil: not.
    package struct ExpirationWarning: Hashable, Sendable {
        package var before: Duration?
        package var repetition: Duration?
    }
}

package struct CAProfile: Hashable, Sendable {
    package var name: String
    package var isEnabled = true
    package var certificateFile: String
    package var crlFile: String?
    package var revocationCheck = RevocationCheck.crl
    package var ocspResponder: String?
    package var crlUpdate: CRLUpdate?

    package enum RevocationCheck: String, Hashable, Sendable, CaseIterable {
        case crl
        case crlOptional = "crl-optional"
        case none
    }

    package struct CRLUpdate: Hashable, Sendable {
        package var schedule = Schedule.nextUpdateBased
        package var period: Duration = .seconds(86_400)
        package var preUpdateTime: Duration = .seconds(3600)
        package var retryInterval: Duration = .seconds(3600)
        package var urls: [String] = []
    }

    package enum Schedule: String, Hashable, Sendable, CaseIterable {
        case periodic
        case nextUpdateBased = "next-update-based"
    }
}

package struct CertificateProfile: Hashable, Sendable {
    package var name: String
    /// In the order of the file.
    package var entries: [Entry]

    package struct Entry: Hashable, Sendable {
        package var id: Int
        package var certificateFile: String
        package var keyFile: String
        package var rsaSignature = RSASignature.pkcs1
        /// ca-profiles whose certificates are sent behind ours.
        package var sendChain: [String] = []
    }

    package enum RSASignature: String, Hashable, Sendable, CaseIterable { case pkcs1, pss }
}

package struct TrustAnchorProfile: Hashable, Sendable {
    package var name: String
    /// ca-profiles.
    package var anchors: [String]
}

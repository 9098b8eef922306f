/// What a ca-profile asks for about revoked certificates, features.md PKI-6, PKI-7, X-14.
package enum RevocationCheck: String, Hashable, Sendable, CaseIterable {
    case crl
    case crlOptional = "crl-optional"
    case none

    /// Whether this build can do it. The CRL and OCSP come with the PKI issue; until then only `none` is taken.
    package var isSupported: Bool { self == .none }
}

/// How an end entity's status is asked for, features.md PKI-9.
package struct StatusVerification: Hashable, Sendable {
    package enum Method: String, Hashable, Sendable, CaseIterable { case crl, ocsp }
    package enum Result: String, Hashable, Sendable, CaseIterable { case good, revoked }

    package var primary = Method.crl
    package var secondary: Method?
    package var defaultResult = Result.revoked

    package init(primary: Method = .crl, secondary: Method? = nil, defaultResult: Result = .revoked) {
        self.primary = primary
        self.secondary = secondary
        self.defaultResult = defaultResult
    }
}

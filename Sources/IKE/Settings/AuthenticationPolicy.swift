extension IKEPolicy {
    /// Who proves what to whom: the authentication keys of `ike-version-2` (features.md section 2).
    package struct Authentication: Hashable, Sendable {
        package var method: Method = .psk
        package var own: OwnMethod = .symmetric
        /// The branch of `auto-eap` for a peer that sends AUTH at once.
        package var autoEAP: AutoEAPMethod = .certificate
        /// Our own side of that branch.
        package var ownAutoEAP: OwnAutoEAPMethod = .certificate
        package var eapIdentity: EAPIdentity = .auto
        /// EAP-MD5, GTC: AUTH by SK_p (threats.md P16).
        package var allowsNonKeyingEAP = false
        /// Method 1 with a peer that knows no other (features.md X-7).
        package var allowsSHA1Signature = true
        /// IDr again in the last IKE_AUTH response after EAP.
        package var sendsIDrAfterEAP = true
        /// AUTH_LIFETIME, RFC 4478; nil: not sent.
        package var lifetime: Duration?
        package init() {}
    }

    /// `auth-method`.
    package enum Method: String, Hashable, Sendable, CaseIterable {
        case psk, certificate = "cert", pskRADIUS = "psk-radius", certificateRADIUS = "cert-radius", eap
        case autoEAP = "auto-eap", autoEAPRADIUS = "auto-eap-radius"

        /// It cannot do without a RADIUS server. `auto-eap` can: its EAP branch is open where the gateway has a server to ask (AUTH-8).
        package var asksRADIUS: Bool {
            switch self {
            case .psk, .certificate, .autoEAP: false
            case .pskRADIUS, .certificateRADIUS, .eap, .autoEAPRADIUS: true
            }
        }

        /// A peer without AUTH in its first IKE_AUTH request is led to EAP.
        package var hasEAP: Bool {
            switch self {
            case .psk, .certificate, .pskRADIUS, .certificateRADIUS: false
            case .eap, .autoEAP, .autoEAPRADIUS: true
            }
        }
    }

    /// `own-auth-method`; symmetric: the same as the peer's.
    package enum OwnMethod: String, Hashable, Sendable, CaseIterable {
        case symmetric, psk, certificate = "cert", eapOnly = "eap-only"
    }

    /// `auto-eap-method`.
    package enum AutoEAPMethod: String, Hashable, Sendable, CaseIterable {
        case psk, certificate = "cert", pskOrCertificate = "psk-or-cert"
    }

    /// `own-auto-eap-method`.
    package enum OwnAutoEAPMethod: String, Hashable, Sendable, CaseIterable {
        case psk, certificate = "cert"
    }

    /// `eap-identity` (features.md X-1).
    package enum EAPIdentity: String, Hashable, Sendable, CaseIterable {
        case auto, idi, request
    }

    /// A peer may prove itself by a preshared key.
    package var acceptsPSK: Bool {
        switch authentication.method {
        case .psk, .pskRADIUS: true
        case .autoEAP, .autoEAPRADIUS: authentication.autoEAP != .certificate
        case .certificate, .certificateRADIUS, .eap: false
        }
    }

    /// A peer may prove itself by a certificate.
    package var acceptsCertificate: Bool {
        switch authentication.method {
        case .certificate, .certificateRADIUS: true
        case .autoEAP, .autoEAPRADIUS: authentication.autoEAP != .psk
        case .psk, .pskRADIUS, .eap: false
        }
    }

    /// We prove ourselves by a certificate in some branch.
    package var signs: Bool {
        switch authentication.method {
        case .psk, .pskRADIUS, .certificate, .certificateRADIUS, .eap:
            return authentication.own == .certificate
                || authentication.own == .symmetric && (acceptsCertificate || authentication.method == .eap)
        case .autoEAP, .autoEAPRADIUS:
            return authentication.own == .certificate || authentication.own == .symmetric
                || authentication.ownAutoEAP == .certificate
        }
    }

    /// We prove ourselves by a preshared key in some branch.
    package var provesByPSK: Bool {
        switch authentication.method {
        case .psk, .pskRADIUS, .certificate, .certificateRADIUS, .eap:
            return authentication.own == .psk || authentication.own == .symmetric && acceptsPSK
        case .autoEAP, .autoEAPRADIUS:
            return authentication.own == .psk || authentication.ownAutoEAP == .psk
        }
    }
}

import GatewayCrypto
import IKE
import IKEMessages
import PKI
import Wire

/// What one gateway shows of itself and whom it trusts; made at start and by a reload, used by many logins at once.
struct GatewayCertificates: Sendable {
    /// A cert-profile; nil: the gateway shows no certificate.
    var own: OwnCertificates?
    /// The entries' private keys, by id.
    var keys: [Int: PrivateKey] = [:]
    /// Entries whose RSA key signs by PSS.
    var signsByPSS: Set<Int> = []
    /// A trust-anchor-profile; nil: none of its authorities is up.
    var anchors: TrustAnchors?

    /// The key and how it signs.
    struct Signer: Sendable {
        let key: PrivateKey
        let scheme: SignatureScheme
    }

    /// What is shown to a client: the certificate its CERTREQs ask for, else the first (features.md PKI-12); nil when it takes no signature of ours.
    func signer(for question: PeerQuestion, allowsSHA1: Bool) -> (entry: OwnCertificates.Entry, signer: Signer)? {
        // A CERTREQ that cannot be read asks for nothing in particular.
        let requests = (try? CertificateRequests(parsing: question.authorities)) ?? CertificateRequests([])
        guard let entry = own?.entry(for: requests), let key = keys[entry.id],
            let scheme = key.publicKey.scheme(peerHashes: question.signatureHashes, preferringPSS: signsByPSS.contains(entry.id)),
            scheme.hash != .sha1 || allowsSHA1
        else { return nil }
        return (entry, Signer(key: key, scheme: scheme))
    }
}

/// Why a client's certificate is not taken; for the log.
struct CertificateRefusal: Error {
    let cause: String
}

extension GatewayCertificates {
    /// The key that the client must have: its certificate's, after the path was validated and the name compared (threats.md C6, C9, P18).
    func peerKey(for question: PeerQuestion, matchesIdentity: Bool, at time: CertificateTime) throws(CertificateRefusal) -> PublicKey {
        guard let anchors else { throw CertificateRefusal(cause: "no trust anchor of its gateway is up, and it shows a certificate") }
        let path: ValidatedPath
        do throws(PathFailure) {
            path = try anchors.validate(question.certificates, purpose: .client, at: time)
        } catch {
            throw CertificateRefusal(cause: "\(error)")
        }
        if matchesIdentity {
            guard let identity = PeerIdentity(type: question.identity.type.rawValue, data: question.identity.data),
                path.endEntity.matches(identity)
            else {
                throw CertificateRefusal(
                    cause: "its identity \(question.identity.text) is not in its certificate (\(path.endEntity)); match-peer-id-to-cert asks for that"
                )
            }
        }
        do throws(KeyError) {
            return try PublicKey(subjectPublicKeyInfo: path.endEntity.subjectPublicKeyInfo)
        } catch {
            throw CertificateRefusal(cause: "its certificate (\(path.endEntity)) has a key that is not taken: \(error)")
        }
    }
}

extension OwnCertificates.Entry {
    /// Our IDr where the configuration leaves it to us: the name that the client asked for if the certificate has it, else the certificate's
    /// subject (features.md AUTH-2), else its first name.
    func identity(wanted: IdentificationPayload?) -> IdentificationPayload? {
        if let wanted, let identity = PeerIdentity(type: wanted.type.rawValue, data: wanted.data), certificate.matches(identity) { return wanted }
        if !certificate.subject.isEmpty { return IdentificationPayload(type: .derASN1DN, data: certificate.subject.der) }
        for name in certificate.subjectAlternativeNames {
            switch name {
            case .dns(let text): return IdentificationPayload(type: .fqdn, data: text)
            case .rfc822(let text): return IdentificationPayload(type: .rfc822Address, data: text)
            case .address(let address):
                return IdentificationPayload(type: address.family == .ipv4 ? .ipv4Address : .ipv6Address, data: address.octets)
            default: continue
            }
        }
        return nil
    }
}

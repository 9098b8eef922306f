/// A cert-profile with its certificates: what this gateway may show of itself. Private keys stay with GatewayCrypto; an entry's id leads to its key.
package struct OwnCertificates: Sendable {
    package static let maximum = 8

    package let entries: [Entry]

    package enum Problem: Error, Hashable, Sendable {
        case empty
        case tooMany
        /// The key file's public half is not the certificate's.
        case keyDoesNotMatch
        case weakKey
        /// More certificates in the send-chain than a path has.
        case chainTooLong
    }

    /// Throws unless there are 1 ... 8 entries, in the configuration's order (features.md PKI-12).
    package init(_ entries: [Entry]) throws(Problem) {
        guard !entries.isEmpty else { throw .empty }
        guard entries.count <= Self.maximum else { throw .tooMany }
        self.entries = entries
    }

    /// The first entry with an authority of the peer's CERTREQs above it; else the first configured one (PKI-12).
    package func entry(for requests: CertificateRequests) -> Entry? {
        entries.first { entry in entry.compareChain.contains { requests.contains($0) } } ?? entries.first
    }

    package struct Entry: Hashable, Sendable {
        package let id: Int
        package let certificate: Certificate
        /// Sent behind the certificate, in this order (PKI-13).
        package let sendChain: [Certificate]
        /// The authorities above the certificate, as far as the configuration knows them.
        package let compareChain: [Certificate]

        /// `keyInfo`: the SubjectPublicKeyInfo of the private key. `authorities`: every ca-profile's certificate, for the compare-chain.
        package init(
            id: Int, certificate: Certificate, keyInfo: [UInt8], sendChain: [Certificate] = [], authorities: [Certificate]
        ) throws(Problem) {
            guard certificate.subjectKey.isStrong else { throw .weakKey }
            guard LibX509.isSameKey(certificate.subjectPublicKeyInfo, keyInfo) else { throw .keyDoesNotMatch }
            guard sendChain.count <= TrustAnchors.maximumDepth else { throw .chainTooLong }
            self.id = id
            self.certificate = certificate
            self.sendChain = sendChain
            var chain: [Certificate] = []
            var top = certificate
            while chain.count < TrustAnchors.maximumDepth, !top.isSelfIssued || chain.isEmpty,
                let issuer = (authorities + sendChain).first(where: {
                    !chain.contains($0) && $0 != certificate && $0.mayHaveIssued(top) && LibX509.isSigned(top, by: $0)
                })
            {
                chain.append(issuer)
                top = issuer
            }
            compareChain = chain
        }

        /// What CERT payloads carry, the end entity first.
        package var payloads: [[UInt8]] { [certificate.der] + sendChain.map(\.der) }

        /// What the operator should know before clients refuse it; `name` is what clients call this gateway.
        package func warnings(name: PeerIdentity?, at time: CertificateTime) -> [Warning] {
            var warnings: [Warning] = []
            if time < certificate.notBefore { warnings.append(.notYetValid(from: certificate.notBefore)) }
            if time > certificate.notAfter { warnings.append(.expired(at: certificate.notAfter)) }
            let purposes = certificate.extensions.extendedKeyUsage ?? []
            if purposes.isDisjoint(with: [.serverAuthentication, .anyExtendedKeyUsage]) { warnings.append(.noServerAuthentication) }
            if let usage = certificate.extensions.keyUsage, usage.isDisjoint(with: [.digitalSignature, .contentCommitment]) {
                warnings.append(.keyUsage)
            }
            if let name, !certificate.matches(name) { warnings.append(.nameMissing) }
            if zip([certificate] + sendChain, sendChain).contains(where: { !$1.mayHaveIssued($0) }) { warnings.append(.chainDoesNotConnect) }
            return warnings
        }
    }

    package enum Warning: Hashable, Sendable {
        case notYetValid(from: CertificateTime)
        case expired(at: CertificateTime)
        /// Windows and Apple refuse a certificate without serverAuth.
        case noServerAuthentication
        case keyUsage
        /// The gateway's name is not in the alternative names.
        case nameMissing
        /// Two neighbours of the send-chain are not subject and issuer (PKI-13).
        case chainDoesNotConnect
    }
}

extension OwnCertificates.Problem: CustomStringConvertible {
    package var description: String {
        switch self {
        case .empty: "no entry"
        case .tooMany: "more than \(OwnCertificates.maximum) entries"
        case .keyDoesNotMatch: "the key does not belong to the certificate"
        case .weakKey: "the key is weak or of an unknown kind: RSA from 2048 bits, ECDSA P-256, P-384, P-521 and Ed25519 are taken"
        case .chainTooLong: "more than \(TrustAnchors.maximumDepth) certificates in the send-chain"
        }
    }
}

extension OwnCertificates.Warning: CustomStringConvertible {
    package var description: String {
        switch self {
        case .notYetValid(let time): "not valid before \(time)"
        case .expired(let time): "expired at \(time)"
        case .noServerAuthentication: "no ExtendedKeyUsage serverAuth: Windows and Apple clients refuse it"
        case .keyUsage: "its KeyUsage has neither digitalSignature nor contentCommitment: clients refuse it"
        case .nameMissing: "the gateway's name is not among its alternative names: Windows and Apple clients refuse it"
        case .chainDoesNotConnect: "the send-chain does not connect: a certificate is not issued by the next one"
        }
    }
}
